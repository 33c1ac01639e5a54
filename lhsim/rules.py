"""What both engines must agree on to the last bit, written once.

Small compiled functions of numbers and arrays: draws, the cost of an idle processor, the stretch of
a service by pauses, the choice of a target. None uses a logarithm or a power, none keeps a state.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lhsim._jit import jit
from lhsim.distributions.table import look_up
from lhsim.streams import uniform

FloatArray = NDArray[np.float64]


@jit
def draw(cells: FloatArray, seed: int, purpose: int, entity: int, index: int) -> float:
    """Return the value at an address: its uniform draw through the quantile table `cells`."""
    return look_up(cells, uniform(seed, purpose, entity, index))


@jit
def draw_block(
    cells: FloatArray, seed: int, purpose: int, entity: int, first: int, values: FloatArray
) -> None:
    """Fill `values` with the draws of an entity from index `first` on."""
    for offset in range(len(values)):
        values[offset] = draw(cells, seed, purpose, entity, first + offset)


@jit
def other_agent(u: float, agent: int, agents: int) -> int:
    """Return one of the `agents`, but not `agent` itself, for a uniform draw `u`."""
    target = int(u * (agents - 1))
    return target if target < agent else target + 1


@jit
def idle_excess(gap: float, gaps: FloatArray, excesses: FloatArray) -> float:
    """Return by how much an idle gap [s] raises a cost, as a fraction of the cost.

    Piecewise linear through the points (`gaps`, `excesses`), flat beyond the last.
    """
    if gap >= gaps[-1]:
        return float(excesses[-1])
    after = np.searchsorted(gaps, gap, side="right")
    if after == 0:
        return float(excesses[0])
    rise = (excesses[after] - excesses[after - 1]) / (gaps[after] - gaps[after - 1])
    return float(excesses[after - 1] + (gap - gaps[after - 1]) * rise)


@jit
def stretched(now: float, demand: float, starts: FloatArray, ends: FloatArray) -> float:
    """Return how long a service of `demand` [s] takes that begins at `now`, pauses included.

    The pauses are [starts[k], ends[k]), in order and disjoint. Exactly `demand` where none falls
    into the service; a service that is due when a pause begins ends before it.
    """
    duration = demand
    for k in range(np.searchsorted(ends, now, side="right"), len(starts)):
        if starts[k] >= now + duration:
            break
        duration += ends[k] - max(starts[k], now)
    return duration
