"""What the page may ask, and a runner that stops when nobody waits.

No run may be larger than `MOST_WORK`: what needs larger ones is refused before anything runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import wait
from typing import TYPE_CHECKING

import attrs

from lhsim.errors import InputError, LhsimError
from lhsim.execution import Cell, Failure, Runner, work_of
from lhsim.execution.pools import Threads
from lhsim.explore.state import AGENTS, Candidate, State
from lhsim.models.workload import check_count
from lhsim.planning import decision, search
from lhsim.planning.bracketing import least
from lhsim.planning.horizons import Horizon, cells
from lhsim.planning.levels import Question

if TYPE_CHECKING:
    from lhsim.models import System
    from lhsim.planning.levels import OnDone
    from lhsim.simulation import Result

SEED = 1
CONFIDENCE = 0.95
USUAL = Horizon()  # of `lhsim.simulate`
MOST_WORK = 1000.0  # of a run, as SimPy's time for it [s]; the compiled engine takes some 2 s
LOOK = 0.02  # after which it is asked whether anybody waits [s]

Outdated = Callable[[], bool]


class OutdatedError(Exception):
    """Nobody waits for the answer any more."""


class TooLargeError(LhsimError):
    """A run would be larger than the page may start."""


class Guarded(Runner):
    """A runner that stops when nobody waits any more, and starts no run that is too large.

    Runs are in a thread of their own, which ends in the midst of a run. Close it when all is done.
    """

    def __init__(self, is_outdated: Outdated = lambda: False) -> None:
        super().__init__(fail_fast=True)
        self._is_outdated = is_outdated
        self._thread = Threads(1)

    def run(
        self, cells: Sequence[Cell], *, on_done: OnDone | None = None
    ) -> tuple[dict[int, Result | Failure], bool]:
        """Run cells as a `Runner` does; raises `OutdatedError` and `TooLargeError`."""
        if any(work_of(cell) > MOST_WORK for cell in cells):
            raise TooLargeError("needs larger runs than this page starts")
        if self._is_outdated():
            raise OutdatedError
        future = self._thread.submit(super().run, cells, on_done=on_done)
        try:
            while not wait([future], LOOK).done:
                if self._is_outdated():
                    raise OutdatedError
        except BaseException:  # Ctrl-C as well
            self.close()
            raise
        outcome: tuple[dict[int, Result | Failure], bool] = future.result()
        return outcome

    def close(self) -> None:
        """End what is running."""
        self._thread.stop()


def questions(state: State, known: Mapping[str, Candidate]) -> dict[str, Question]:
    """Return what is asked of each system.

    Raises `InputError` for what cannot be asked, or is too much for a page.
    """
    found = {name: _question(state, state.system(known[name]), name) for name in state.systems}
    decision_asked(state, found)
    return found


def _question(state: State, system: System, name: str) -> Question:
    check_count(system.workload, state.agents)
    question = search.ask(system, state.slo, "agents", None, None, AGENTS[1], SEED,
                          CONFIDENCE, "auto")  # fmt: skip
    for agents in (least(question), state.agents):
        if work_of(cell_of(question, agents, USUAL)) > MOST_WORK:
            problem = f"a run of {agents:,} agents is too large for this page"
            allowed = "fewer agents, fewer messages, or fewer polls for each message"
            raise InputError(problem, source=name, allowed=allowed)
    most = AGENTS[1]
    while work_of(question.cells(most, range(1))[0]) > MOST_WORK:
        most = 2 * (most // 4)
    return attrs.evolve(question, most=most)


def cell_of(question: Question, agents: int, horizon: Horizon) -> Cell:
    """Return a run of `lhsim.simulate`, or a shorter one."""
    (cell,) = cells(question.system, agents, horizon, (SEED,), question.engine)
    return attrs.evolve(cell, stop_when_overloaded=False)


def decision_asked(state: State, asked: Mapping[str, Question]) -> decision.Asked:
    """Return what `lhsim.decide` is asked, or refuse it with an `InputError`."""
    systems = [one.system for one in asked.values()]
    return decision.ask(state.slo, state.agents, None, systems, None, None, decision.MONTHS, None,
                        CONFIDENCE, SEED, "auto")  # fmt: skip
