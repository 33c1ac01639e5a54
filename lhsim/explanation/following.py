"""A run whose messages are followed from step to step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lhsim import models
from lhsim.errors import InputError
from lhsim.execution.cells import times_of
from lhsim.explanation.parts import Split, split
from lhsim.metrics.account import Window
from lhsim.models.trace import Trace
from lhsim.simulation.engines import rare_garbage_collection
from lhsim.simulation.run import Run

if TYPE_CHECKING:
    import pandas as pd

    from lhsim.execution import Cell
    from lhsim.simulation import Result

REASON = "it follows messages from step to step"


def follow(cell: Cell, fewest: int) -> tuple[Result, pd.DataFrame, Split]:
    """Run a cell on SimPy; return what it shows, its messages, and where their time went.

    The messages are those of the cohort that were delivered, as of `lhsim.Result.messages`, in the
    order of their creation.

    Raises
    ------
    InputError
        When they are fewer than `fewest`.
    """
    result, trace = _traced(cell)
    records = _delivered(result)
    if len(records) < fewest and result.overloaded:
        problem = f"overload the system: {len(records)} messages were delivered in the window"
        raise InputError(problem, key="agents", allowed="fewer")
    if len(records) < fewest:
        problem = f"{len(records)} messages were delivered in the window"
        raise InputError(problem, key="duration", allowed=f"as long as {fewest} messages take")
    steps = trace.steps
    return result, records, split(
        cell.system, cell.seed, cell.agents, cell.duration, steps, records
    )  # fmt: skip


def _traced(cell: Cell) -> tuple[Result, Trace]:
    warmup, drain = times_of(cell)
    window, trace = Window(warmup, cell.duration - drain, cell.duration), Trace()
    with rare_garbage_collection():
        started = models.SimpyEngine(
            cell.system, cell.agents, cell.seed, window, keep_messages=True, trace=trace
        )
        run = Run(started, cell.system, cell.agents, window, stop_when_overloaded=False)
    return run.result(cell.seed, cell.duration, REASON, 0.0), trace


def _delivered(result: Result) -> pd.DataFrame:
    messages = result.messages
    assert messages is not None
    cohort = messages["created"].between(result.warmup, result.horizon - result.drain, "left")
    found = messages[cohort & (messages["outcome"] == "delivered")]
    return found.drop(columns="outcome").reset_index(drop=True)
