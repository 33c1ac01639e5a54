"""When a component stands still, or is slow: at random with its host, and at set times."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lhsim.models import faults
from lhsim.rules import (
    OF_SLOWDOWNS,
    OF_STALLS,
    first_pause,
    renewals,
    stretched,
    times_as_long,
    with_slowdowns,
    with_stalls,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lhsim.models.cpu import Stalls
    from lhsim.models.faults import Component
    from lhsim.models.system import System

NO_TIMES = np.zeros(0)


class Pauses:
    """The pauses of one component, in order and disjoint."""

    def __init__(self, times: NDArray[np.float64]) -> None:
        self.starts, self.ends = times
        self._first = 0  # of those that have not ended

    def stretch(self, now: float, demand: float) -> float:
        """Return how long a service of `demand` [s] takes that begins at `now`; never go back."""
        self._first = first_pause(now, self.ends, self._first)
        return stretched(now, demand, self.starts, self.ends, self._first)


class Slow:
    """The spells in which a processor is slow, in order and disjoint."""

    def __init__(self, spells: NDArray[np.float64]) -> None:
        self._starts, self._ends, self._factors = spells
        self._first = 0  # of those that have not ended

    def times_as_long(self, now: float) -> float:
        """Return how many times as long an operation takes that begins `now`; never go back."""
        self._first = first_pause(now, self._ends, self._first)
        return times_as_long(now, self._starts, self._factors, self._first)


def of_component(system: System, component: Component, seed: int, horizon: float) -> Pauses | None:
    """Return the pauses of a component of a system up to a horizon [s]; None where it has none."""
    stalls = system.cpu.stalls if component == "cpu" else None
    starts, ends = (NO_TIMES, NO_TIMES) if stalls is None else of_host(stalls, seed, horizon)
    times = with_stalls(starts, ends, faults.stalls(system.faults, component))
    return Pauses(times) if times.size else None


def slow(system: System, seed: int, horizon: float) -> Slow | None:
    """Return when the processor of a system is slow up to a horizon [s]; None where it never is."""
    host = system.cpu.slowdowns
    starts, ends, factor = NO_TIMES, NO_TIMES, 1.0
    if host is not None:
        gap, length, factor = host.gap.table().cells, host.length.table().cells, host.factor
        starts, ends = renewals(gap, length, OF_SLOWDOWNS, seed, 0, horizon)
    spells = with_slowdowns(starts, ends, factor, faults.slowdowns(system.faults))
    return Slow(spells) if spells.size else None


def of_host(
    stalls: Stalls, seed: int, horizon: float, host: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return when a host stalls: starts and ends [s], drawn by address."""
    gap, length = stalls.gap.table().cells, stalls.length.table().cells
    return renewals(gap, length, OF_STALLS, seed, host, horizon)
