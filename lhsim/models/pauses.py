"""When a component stands still: stalls of the host at random, and stalls at set times."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lhsim.models import faults
from lhsim.rules import first_pause, pauses, stretched, with_stalls

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


def of_component(system: System, component: Component, seed: int, horizon: float) -> Pauses | None:
    """Return the pauses of a component of a system up to a horizon [s]; None where it has none."""
    stalls = system.cpu.stalls if component == "cpu" else None
    starts, ends = (NO_TIMES, NO_TIMES) if stalls is None else of_host(stalls, seed, horizon)
    times = with_stalls(starts, ends, faults.stalls(system.faults, component))
    return Pauses(times) if times.size else None


def of_host(
    stalls: Stalls, seed: int, horizon: float, host: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return when a host stalls: starts and ends [s], drawn by address."""
    gap, length = stalls.gap.table().cells, stalls.length.table().cells
    return pauses(gap, length, seed, host, horizon)
