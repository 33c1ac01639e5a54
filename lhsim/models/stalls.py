"""When a component stalls, or is slow: at random with its host, and at set times."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lhsim.models import faults
from lhsim.models.loop import SlowSpells
from lhsim.models.station import StallTimes
from lhsim.rules import OF_SLOWDOWNS, OF_STALLS, renewals, with_slowdowns, with_stalls

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from lhsim.models.cpu import Slowdowns, Stalls
    from lhsim.models.faults import Component, Fault

NO_TIMES = np.zeros(0)


def of_component(
    component: Component,
    stalls: Stalls | None,
    planned: Iterable[Fault],
    seed: int,
    horizon: float,
) -> StallTimes | None:
    """Return the stalls of a component up to a horizon [s]; None where it has none.

    They are the stalls of its host, and those of the planned faults.
    """
    starts, ends = (NO_TIMES, NO_TIMES) if stalls is None else of_host(stalls, seed, horizon)
    times = with_stalls(starts, ends, faults.stalls(planned, component))
    return StallTimes(times) if times.size else None


def slow_spells(
    host: Slowdowns | None, planned: Iterable[Fault], seed: int, horizon: float
) -> SlowSpells | None:
    """Return when a processor is slow up to a horizon [s]; None where it never is."""
    starts, ends, factor = NO_TIMES, NO_TIMES, 1.0
    if host is not None:
        gap, length, factor = host.gap.table().cells, host.length.table().cells, host.factor
        starts, ends = renewals(gap, length, OF_SLOWDOWNS, seed, 0, horizon)
    spells = with_slowdowns(starts, ends, factor, faults.slowdowns(planned))
    return SlowSpells(spells) if spells.size else None


def of_host(
    stalls: Stalls, seed: int, horizon: float, host: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return when a host stalls: starts and ends [s], drawn by address."""
    gap, length = stalls.gap.table().cells, stalls.length.table().cells
    return renewals(gap, length, OF_STALLS, seed, host, horizon)
