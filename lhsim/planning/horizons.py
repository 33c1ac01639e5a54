"""How long the runs of a level last: as short as their question allows.

The measured window of a run holds so many messages and lasts at least so long. The warm-up before
it lasts until all agents have started, the work of their start is done
(`lhsim.planning.bounds.settling_time`), and a tenth of the window has passed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from lhsim.execution import Cell
from lhsim.planning.bounds import settling_time
from lhsim.streams import replication_seed

if TYPE_CHECKING:
    from lhsim.models import System

MARGIN = 1.25  # for what the closed form of the settling time leaves out: stalls, collections
LONGEST_DRAIN = 5.0  # [s]
LONGEST_CLOSED_LOOP = 60.0  # of a closed loop, whose rate nobody knows beforehand [s]


@frozen
class Horizon:
    """How long a run lasts."""

    messages: int = 20_000  # at least, created in the measured window
    shortest: float = 20.0  # measured window at least [s]
    duration: float | None = None  # of the whole run, instead of the above [s]


def cells(
    system: System, agents: int, horizon: Horizon, seeds: tuple[int, ...], engine: str
) -> list[Cell]:
    """Return the runs of a level, one for each seed."""
    return [_cell(system, agents, horizon, seed, engine) for seed in seeds]


def seeds(seed: int, replications: int) -> tuple[int, ...]:
    """Return the seeds of the replications, the same for all systems and levels."""
    return tuple(replication_seed(seed, number) for number in range(replications))


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
