"""The runs of a level: as long as `lhsim.simulation.horizons` has it, one for each seed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lhsim.execution import Cell
from lhsim.simulation.horizons import Horizon, times
from lhsim.streams import replication_seed

if TYPE_CHECKING:
    from lhsim.models import System

__all__ = ["Horizon", "cells", "seeds"]


def cells(
    system: System, agents: int, horizon: Horizon, seeds: tuple[int, ...], engine: str
) -> list[Cell]:
    """Return the runs of a level, one for each seed."""
    return [_cell(system, agents, horizon, seed, engine) for seed in seeds]


def seeds(seed: int, replications: int) -> tuple[int, ...]:
    """Return the seeds of the replications, the same for all systems and levels."""
    return tuple(replication_seed(seed, number) for number in range(replications))


def _cell(system: System, agents: int, horizon: Horizon, seed: int, engine: str) -> Cell:
    found = times(system, agents, horizon)
    if horizon.duration is not None or system.offered_load(agents) is None:
        return Cell(system, agents, found.duration, seed, engine, stop_when_overloaded=True)
    return Cell(
        system, agents, found.duration, seed, engine, found.warmup, found.drain,
        stop_when_overloaded=True,
    )  # fmt: skip
