"""A runner that starts no runs which would end too late.

How long runs take is known from those before them: the least time that their work has taken. The
first ones are started in any case, so that there is something to say.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lhsim.execution import Cell, Failure, Runner, work_of

if TYPE_CHECKING:
    from lhsim.execution.runner import OnDone
    from lhsim.simulation import Result


class BudgetSpentError(Exception):
    """The next runs would end after the time that was given."""


class BudgetedRunner:
    """A runner until a time.

    Parameters
    ----------
    runner
        Runs the cells.
    until
        On the monotonic clock [s].
    """

    def __init__(self, runner: Runner, until: float) -> None:
        self._runner = runner
        self._until = until
        self._pace: float | None = None  # least time that a unit of work has taken

    def run(
        self, cells: Sequence[Cell], *, on_done: OnDone | None = None
    ) -> tuple[dict[int, Result | Failure], bool]:
        """Run cells as a `Runner` does; raises `BudgetSpentError` where they would end too late."""
        work = sum(map(work_of, self._runner.left(cells)))
        begun = time.monotonic()
        if self._pace is not None and work and begun + work * self._pace > self._until:
            raise BudgetSpentError
        outcome = self._runner.run(cells, on_done=on_done)
        if work:
            pace = (time.monotonic() - begun) / work
            self._pace = pace if self._pace is None else min(pace, self._pace)
        return outcome
