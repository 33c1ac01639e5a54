"""What to run at a level: how long, and whether it can be done at all.

A run is as short as its question allows: its measured window holds so many messages and lasts at
least so long. The warm-up before it lasts until all agents have started, the work of their start
is done (`lhsim.experiments.bounds.settling_time`), and a tenth of the window has passed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from lhsim.errors import InputError
from lhsim.execution import Cell
from lhsim.experiments.bounds import settling_time
from lhsim.streams import replication_seed
from lhsim.units import format_duration

if TYPE_CHECKING:
    from lhsim.models import System

MARGIN = 1.25  # for what the closed form of the settling time leaves out: stalls, collections
AGENT_EVENTS = 20  # what it takes to set up an agent, in model events
LONGEST_DRAIN = 5.0  # [s]
LONGEST_CLOSED_LOOP = 60.0  # of a closed loop, whose rate nobody knows beforehand [s]


@frozen
class Horizon:
    """How long a run lasts."""

    messages: int = 20_000  # at least, created in the measured window
    shortest: float = 20.0  # measured window at least [s]
    duration: float | None = None  # of the whole run, instead of the above [s]


@frozen
class Skipped:
    """A level that was left out, and why."""

    system: str
    architecture: str
    agents: int
    reason: str


def cells(
    system: System, agents: int, horizon: Horizon, seeds: tuple[int, ...], engine: str
) -> list[Cell]:
    """Return the runs of a level, one for each seed."""
    return [_cell(system, agents, horizon, seed, engine) for seed in seeds]


def seeds(seed: int, replications: int) -> tuple[int, ...]:
    """Return the seeds of the replications, the same for all systems and levels."""
    return tuple(replication_seed(seed, number) for number in range(replications))


def model_events(cell: Cell) -> int:
    """Return a bound on the model events of a run: messages, deliveries, queries and sleeps.

    Open traffic creates as many messages as its rate says, and each is delivered at most once. An
    agent that polls queries once an interval and once more after each message, and sleeps as
    often; a message that wakes it adds one more of both. What a closed loop does is not known
    beforehand, and is left out.
    """
    rate = cell.system.offered_load(cell.agents) or 0.0
    messages = rate * cell.duration
    polling = cell.system.polling
    if polling is None:
        return round(2 * messages)
    sleeps = cell.agents * cell.duration / polling.interval + messages * polling.wake_on_write
    return round(3 * messages + 2 * sleeps)


def work(cell: Cell) -> int:
    """Return roughly how much work a run is at most, in model events; so is setting up an agent."""
    return model_events(cell) + AGENT_EVENTS * cell.agents


def why_not(cell: Cell, most: int) -> str | None:
    """Return why a run is more than `most` model events for its engine, or None if it is not."""
    needed = work(cell)
    if needed <= most:
        return None
    engine = "SimPy" if cell.engine == "simpy" else "compiled"
    return (
        f"{format_duration(cell.duration)} may be the work of {needed:,} model events, "
        f"and the limit for the {engine} engine is {most:,} (--max-events)"
    )


def _cell(system: System, agents: int, horizon: Horizon, seed: int, engine: str) -> Cell:
    if horizon.duration is not None:
        return Cell(system, agents, horizon.duration, seed, engine, stop_when_overloaded=True)
    rate = system.offered_load(agents)
    if rate is None:
        return Cell(system, agents, LONGEST_CLOSED_LOOP, seed, engine, stop_when_overloaded=True)
    window = max(horizon.shortest, horizon.messages / rate)
    settling = MARGIN * settling_time(system, agents)
    warmup = system.workload.started_by + settling + window / 10
    drain = min(LONGEST_DRAIN, window / 4)
    # The drain comes on top, so that the window holds its messages.
    duration = warmup + window + drain
    return Cell(system, agents, duration, seed, engine, warmup, drain, stop_when_overloaded=True)


def check_agents(system: System, agents: int) -> None:
    """Raise `InputError` when the system's workload cannot have so many agents."""
    from lhsim.models.agent import check_count  # noqa: PLC0415 - imports the models

    try:
        check_count(system.workload, agents)
    except InputError as error:
        raise InputError(error.problem, source="--agents", allowed=error.allowed) from None
