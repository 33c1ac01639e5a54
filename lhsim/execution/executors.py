"""Runs cells, one after the other or at once, and hands out their results as they finish.

The order in which results come depends on the machine; their index says where they belong. Who
sorts by it gets the same output with any number of workers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Generic, Protocol, TypeVar

from lhsim._machine import free_memory
from lhsim.errors import LhsimError
from lhsim.execution.cells import Failure, attempt

C = TypeVar("C")
R = TypeVar("R")

Done = Generator[tuple[int, R | Failure], None, None]

WAITING = 2  # cells handed to a worker at a time: none waits for its next one
MOST_SUBMITTED = 1000  # to an executor that does not say how many workers it has
LOOK = 1.0  # after which a silent executor is asked whether its workers are lost [s]


class Waiting(Protocol):
    """Cells that wait, by their indices."""

    def __bool__(self) -> bool:
        """Return whether there are any."""

    def first(self) -> int:
        """Return the one that is next."""

    def take(self) -> int:
        """Return the one that is next, which waits no more."""

    def rest(self) -> list[int]:
        """Return all of them."""


class InTurn:
    """Cells that wait, of which the first is next."""

    def __init__(self, count: int) -> None:
        self._indices = deque(range(count))

    def __bool__(self) -> bool:
        return bool(self._indices)

    def first(self) -> int:
        """Return the one that is next."""
        return self._indices[0]

    def take(self) -> int:
        """Return the one that is next, which waits no more."""
        return self._indices.popleft()

    def rest(self) -> list[int]:
        """Return all of them."""
        return list(self._indices)


def execute(
    function: Callable[[C], R],
    cells: Sequence[C],
    *,
    executor: Executor | None = None,
    fail_fast: bool = False,
    on_done: Callable[[int, R | Failure], None] | None = None,
    memory: Callable[[C], float] | None = None,
    waiting: Waiting | None = None,
) -> Done[R]:
    """Run each of the cells, and yield its index and its result or failure once it is done.

    Cells that have not begun are cancelled when the caller leaves the loop, on Ctrl-C and on
    another exception: what was yielded until then is the caller's to keep. Where a worker dies, the
    cells that it may have died of are run again, each of them alone; who does it again has failed.

    Parameters
    ----------
    function
        What makes a result of a cell. For other processes it has to be a module's function.
    cells
        What to run; they begin in this order, unless `waiting` has another.
    executor
        Runs the cells, such as that of `workers`, and stays open. None: here, one by one.
    fail_fast
        Run nothing more after a failure.
    on_done
        Is called with each index and result, before it is yielded.
    memory
        Returns what a cell takes [B]. Only as many run at a time as fit into the memory that is
        free in the beginning; one that does not fit at all runs alone. None: it does not matter.
    waiting
        Says which is next, with an executor.
    """
    if executor is None:
        done = _in_turn(function, cells)
    else:
        done = _Submission(function, cells, executor, memory, waiting).outcomes()
    try:
        for index, outcome in done:
            if on_done is not None:
                on_done(index, outcome)
            yield index, outcome
            if fail_fast and isinstance(outcome, Failure):
                return
    finally:
        done.close()


def _in_turn(function: Callable[[C], R], cells: Sequence[C]) -> Done[R]:
    for index, cell in enumerate(cells):
        yield index, attempt(function, cell)


class _Submission(Generic[C, R]):
    """Cells on their way through an executor."""

    def __init__(
        self,
        function: Callable[[C], R],
        cells: Sequence[C],
        executor: Executor,
        memory: Callable[[C], float] | None,
        waiting: Waiting | None,
    ) -> None:
        self._run = partial(attempt, function)
        self._cells = cells
        self._executor = executor
        self._memory = memory
        self._room = free_memory() if memory is not None else 0.0
        slots = getattr(executor, "slots", None)
        self._most = MOST_SUBMITTED if slots is None else slots * WAITING
        self._waiting = InTurn(len(cells)) if waiting is None else waiting
        self._suspects: deque[int] = deque()  # a worker died while they ran
        self._tried_alone: set[int] = set()
        self._running: dict[Future[Any], int] = {}
        self._taken: dict[int, float] = {}  # memory of what runs [B]
        self._ended: SimpleQueue[Future[Any]] = SimpleQueue()

    def outcomes(self) -> Done[R]:
        """Yield each index and its result or failure."""
        try:
            while self._waiting or self._suspects or self._running:
                self._submit()
                future = self._next()
                if future is None:
                    yield from self._lost()
                    return
                index = self._running.pop(future)
                self._taken.pop(index, None)
                error = _error_of(future)
                if isinstance(error, BrokenExecutor) and self._may_be_innocent(index):
                    self._suspects.append(index)
                else:
                    yield index, future.result() if error is None else Failure.of(error)
        finally:
            for future in self._running:
                future.cancel()

    def _next(self) -> Future[Any] | None:
        """Return the future that ends next; None where the executor has lost all its workers.

        What was to come from them may never end: Dask drops a future whose result it was fetching.
        """
        while True:
            try:
                return self._ended.get(timeout=LOOK)
            except Empty:
                if self._is_lost:
                    return None

    @property
    def _is_lost(self) -> bool:
        return bool(getattr(self._executor, "lost", False))

    def _lost(self) -> Iterator[tuple[int, Failure]]:
        """Yield a failure for each cell that has not ended, now that no worker is left."""
        failure = Failure.of(LhsimError("the workers were lost"))
        for index in sorted({*self._running.values(), *self._suspects, *self._waiting.rest()}):
            yield index, failure

    def _submit(self) -> None:
        if self._is_lost:
            return
        while self._waiting and not self._suspects and len(self._running) < self._most:
            if not self._fits(self._waiting.first()):
                return
            self._start(self._waiting.take())
        if self._suspects and not self._running:
            index = self._suspects.popleft()
            self._tried_alone.add(index)
            self._start(index)

    def _fits(self, index: int) -> bool:
        """Return whether a cell fits beside those that run, and note what it takes."""
        if self._memory is None:
            return True
        needed = self._memory(self._cells[index])
        if self._running and sum(self._taken.values()) + needed > self._room:
            return False
        self._taken[index] = needed
        return True

    def _start(self, index: int) -> None:
        future = self._executor.submit(self._run, self._cells[index])
        self._running[future] = index
        future.add_done_callback(self._ended.put)

    def _may_be_innocent(self, index: int) -> bool:
        """Return whether a cell may not be what its worker died of, and can be run again."""
        return getattr(self._executor, "renews", False) and index not in self._tried_alone


def _error_of(future: Future[Any]) -> BaseException | None:
    try:
        return future.exception()
    except CancelledError as cancelled:  # by an executor that has lost its workers
        return cancelled
