"""Runs sets of cells on an executor, and keeps what they come to: `Runner`.

A runner may be given one set after the other, each of which may depend on the results of those
before it: further replications, or the next steps of a search.

>>> with workers(2, "threads") as executor, Store(Path("results")) as store:  # doctest: +SKIP
...     outcomes, interrupted = Runner(executor, store).run(cells)
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

from attrs import evolve, frozen

from lhsim import checks
from lhsim._files import expanded
from lhsim.errors import InputError
from lhsim.execution.belonging import belongs
from lhsim.execution.cells import Cell, Failure, as_asked, compile_once, in_order, memory_of, run
from lhsim.execution.executors import execute
from lhsim.execution.identity import Keys
from lhsim.execution.pools import default_kind, workers
from lhsim.execution.schedule import Schedule
from lhsim.execution.store import Store

if TYPE_CHECKING:
    from lhsim.models import System
    from lhsim.simulation import Result

logger = logging.getLogger(__name__)

OnDone = Callable[[Cell, "Result | Failure"], None]


@frozen
class Tally:
    """What became of the cells that a runner was given."""

    done: int = 0  # run now
    resumed: int = 0  # found in the store
    failed: int = 0
    left: int = 0  # not run: after Ctrl-C or a failure
    unkept: int = 0  # run, but not kept: there was no room in the store

    def sentence(self) -> str:
        """Return it for people."""
        counts = [f"{self.done:,} done", f"{self.resumed:,} resumed"]
        counts += [f"{self.failed:,} failed", f"{self.left:,} left"]
        return ", ".join([*counts, *([f"{self.unkept:,} not kept"] if self.unkept else [])])


class Runner:
    """Runs cells that are not in its store yet.

    Parameters
    ----------
    executor
        Any executor of `concurrent.futures`; None: cells run here, one by one.
    store
        Where results are kept and found again; None: nowhere.
    fail_fast
        Run nothing more after a failure.
    """

    def __init__(
        self,
        executor: Executor | None = None,
        store: Store | None = None,
        *,
        fail_fast: bool = False,
    ) -> None:
        self._executor = executor
        self._store = store
        self._fail_fast = fail_fast
        self.notices = tuple(store.notices) if store is not None else ()  # what was wrong with it
        self._key = Keys()
        self.tally = Tally()

    def left(self, cells: Sequence[Cell]) -> list[Cell]:
        """Return those of the cells that would have to be run."""
        store = self._store
        if store is None:
            return list(cells)
        return list({key: cell for cell in cells if (key := self._key(cell)) not in store}.values())

    def run(
        self, cells: Sequence[Cell], *, on_done: OnDone | None = None
    ) -> tuple[dict[int, Result | Failure], bool]:
        """Run cells; return their results by index, in order, and whether Ctrl-C ended it.

        Parameters
        ----------
        cells
            What to run. Equal ones are run once where there is a store.
        on_done
            Is called with each cell that was run now, and its result.
        """
        outcomes: dict[int, Result | Failure] = dict(self._kept(cells))
        resumed = len(outcomes)
        indices = self._first_of_each(cells, outcomes)
        interrupted = self._run(cells, indices, outcomes, on_done)
        ran = [outcomes[index] for index in indices if index in outcomes]
        self._share(cells, outcomes)
        failed = sum(isinstance(one, Failure) for one in ran)
        self._count(len(ran) - failed, resumed, failed, len(indices) - len(ran))
        return dict(sorted(outcomes.items())), interrupted

    def _run(
        self,
        cells: Sequence[Cell],
        indices: Sequence[int],
        outcomes: dict[int, Result | Failure],
        on_done: OnDone | None,
    ) -> bool:
        """Run the cells of these indices into `outcomes`; return whether Ctrl-C ended it."""
        alone = self._executor is None
        indices = in_order(cells, indices) if alone else indices
        chosen = [cells[index] for index in indices]
        elsewhere = getattr(self._executor, "elsewhere", False)
        running = execute(
            run,
            chosen,
            executor=self._executor,
            fail_fast=self._fail_fast,
            memory=None if elsewhere else memory_of,
            waiting=None if alone else Schedule(chosen, elsewhere=elsewhere),
        )
        try:
            if not alone and not elsewhere:
                compile_once(chosen)
            with closing(running):
                for number, outcome in running:
                    self._keep(chosen[number], outcome)
                    outcomes[indices[number]] = outcome
                    if on_done is not None:
                        on_done(chosen[number], outcome)
        except KeyboardInterrupt:
            return True
        return False

    def _keep(self, cell: Cell, outcome: Result | Failure) -> None:
        """Keep the outcome of a cell; if the store is full, go on without it."""
        if self._store is None:
            return
        try:
            self._store.put(self._key(cell), outcome)
        except InputError as error:
            if not self.tally.unkept:
                logger.error("lhsim: runs are no longer kept: %s", error)
            self.tally = evolve(self.tally, unkept=self.tally.unkept + 1)

    def _kept(self, cells: Sequence[Cell]) -> dict[int, Result | Failure]:
        """Return the results that are in the store, by index; one that is damaged is forgotten."""
        store = self._store
        if store is None:
            return {}
        found: dict[int, Result | Failure] = {}
        damaged = 0
        for index, cell in enumerate(cells):
            key = self._key(cell)
            if key in store:
                kept = _result_of(store, key, cell)
                if kept is None:
                    store.forget(key)
                    damaged += 1
                else:
                    found[index] = as_asked(cell, kept)
        if damaged:
            text = "kept runs are not what this lhsim has written there, and are run again"
            logger.error("lhsim: %s: %d %s", store.path, damaged, text)  # also with --quiet
        return found

    def _first_of_each(
        self, cells: Sequence[Cell], known: dict[int, Result | Failure]
    ) -> list[int]:
        """Return the indices of cells that are not known, of equal ones the first."""
        indices = [index for index in range(len(cells)) if index not in known]
        if self._store is None:
            return indices
        return list({self._key(cells[index]): index for index in reversed(indices)}.values())[::-1]

    def _share(self, cells: Sequence[Cell], outcomes: dict[int, Result | Failure]) -> None:
        """Give the outcome of a cell to all that equal it."""
        if self._store is None or len(outcomes) == len(cells):
            return
        by_key = {self._key(cells[index]): outcome for index, outcome in outcomes.items()}
        for index, cell in enumerate(cells):
            if index not in outcomes and self._key(cell) in by_key:
                outcomes[index] = by_key[self._key(cell)]

    def _count(self, done: int, resumed: int, failed: int, left: int) -> None:
        so_far = self.tally
        self.tally = evolve(
            so_far,
            done=so_far.done + done,
            resumed=so_far.resumed + resumed,
            failed=so_far.failed + failed,
            left=so_far.left + left,
        )


def _result_of(store: Store, key: bytes, cell: Cell) -> Result | None:
    """Return the result of a cell from the store, None if it is not a valid one."""
    try:
        kept = store.get(key)
    except ValueError:
        return None
    return cast("Result", kept) if belongs(kept, cell) else None


@contextmanager
def running(
    systems: Sequence[System],
    engine: str,
    jobs: int = 1,
    executor: Executor | str | None = None,
    folder: str | Path | None = None,
    *,
    scheduler: str | None = None,
    fresh: bool = False,
    fail_fast: bool = True,
) -> Iterator[Runner]:
    """Yield a runner with workers and a store, both of which are closed in the end.

    Parameters
    ----------
    systems, engine
        What will run: it decides who runs it best, where `executor` does not.
    jobs
        How many run at a time.
    executor
        Any executor of `concurrent.futures`, or one of `lhsim.execution.KINDS`.
    folder
        Of the store; None for none.
    scheduler
        Address of a Dask scheduler, with ``"dask"``.
    fresh
        Forget what is in the store.
    fail_fast
        Run nothing more after a failure.

    Raises
    ------
    InputError
        When the executor or the store cannot be had.
    """
    jobs = checks.whole_number(jobs, "jobs", 1, checks.MOST_JOBS)
    checks.folder(folder, "folder")
    with ExitStack() as stack:
        if not isinstance(executor, Executor):
            kind = default_kind(engine, systems) if executor is None else executor
            executor = stack.enter_context(workers(jobs, kind, scheduler))
        store = None
        if folder is not None:
            store = stack.enter_context(Store(expanded(folder), fresh=fresh))
        yield Runner(executor, store, fail_fast=fail_fast)
