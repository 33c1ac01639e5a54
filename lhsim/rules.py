"""What both engines must agree on to the last bit, written once.

Small compiled functions of numbers and arrays: draws, the cost of an idle processor, the stretch of
a service by pauses, the choice of a target. None uses a logarithm or a power, none keeps a state.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lhsim._jit import jit
from lhsim.distributions.table import look_up
from lhsim.streams import Purpose, uniform

FloatArray = NDArray[np.float64]

TOGETHER, RAMP, RANDOM = 0, 1, 2  # how agents start
AT_START = int(Purpose.START)
NO_ANSWER, ACCEPT, DECLINE_OR_CANCEL = 0, 1, 2  # to an elicitation
STALL_GAP, STALL_LENGTH = int(Purpose.STALL_GAP), int(Purpose.STALL_LENGTH)


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
def start_time(how: int, over: float, agent: int, agents: int, seed: int) -> float:
    """Return when an agent starts [s]; `over` is the time in which all of them do."""
    if how == TOGETHER:
        return 0.0
    if how == RAMP:
        return over * (agent / agents)
    return over * uniform(seed, AT_START, agent, 0)


@jit
def other_agent(u: float, agent: int, agents: int) -> int:
    """Return one of the `agents`, but not `agent` itself, for a uniform draw `u`."""
    target = int(u * (agents - 1))
    return target if target < agent else target + 1


def slopes(gaps: FloatArray, excesses: FloatArray) -> FloatArray:
    """Return the curve of `idle_excess`, of shape (3, points): gaps, excesses, and slopes [1/s]."""
    rise = np.diff(excesses) / np.diff(gaps)
    return np.array([gaps, excesses, np.append(rise, 0.0)])


@jit
def idle_excess(gap: float, curve: FloatArray) -> float:
    """Return by how much an idle gap [s] raises a cost, as a fraction of the cost.

    Piecewise linear, flat below the first point and beyond the last; `curve` is that of `slopes`.
    """
    point = 0
    while point < curve.shape[1] and curve[0, point] <= gap:
        point += 1
    if point == 0:
        return float(curve[1, 0])
    if point == curve.shape[1]:
        return float(curve[1, -1])
    return float(curve[1, point - 1] + (gap - curve[0, point - 1]) * curve[2, point - 1])


@jit
def idle_cost(
    demand: float, gap: float, chill: float, curve: FloatArray, memory: float
) -> tuple[float, float]:
    """Return what an operation costs a loop that was idle for `gap`, and how cold it is then.

    `chill` is x of `lhsim.models.Warmth`, before the operation; all times in seconds.
    """
    chill = max(chill, idle_excess(gap, curve))
    cost = demand * (1.0 + chill)
    return cost, chill * memory / (memory + cost)


@jit
def backed_off(multiple: float, factor: float, cap: float) -> float:
    """Return by what a time to the next try is multiplied after one more refusal in a row.

    `multiple` is that before it, 1 at first: after the k-th refusal it is factor**k, up to `cap`.
    """
    return min(multiple * factor, cap)


@jit
def answer(u: float, accept: float, decline: float, cancel: float) -> int:
    """Return how the target of an elicitation answers, by a uniform draw `u` and the shares."""
    if u < accept:
        return ACCEPT
    return DECLINE_OR_CANCEL if u < accept + decline + cancel else NO_ANSWER


@jit
def heartbeat_index(attempt: int, number: int) -> int:
    """Return the index of the draw of a heartbeat of the connection that an attempt has made."""
    return attempt << 32 | number


@jit
def first_pause(now: float, ends: FloatArray, known: int) -> int:
    """Return the index of the first pause that ends after `now`.

    `known` is its index at an earlier time, from which the search goes on.
    """
    while known < len(ends) and ends[known] <= now:
        known += 1
    return known


@jit
def stretched(now: float, demand: float, starts: FloatArray, ends: FloatArray, first: int) -> float:
    """Return how long a service of `demand` [s] takes that begins at `now`, pauses included.

    The pauses are [starts[k], ends[k]), in order and disjoint, and `first` is the first of them
    that ends after `now`. Exactly `demand` where none falls into the service; a service that is
    due when a pause begins ends before it.
    """
    duration = demand
    for k in range(first, len(starts)):
        if starts[k] >= now + duration:
            break
        duration += ends[k] - max(starts[k], now)
    return duration


@jit
def part_inside(begin: float, end: float, low: float, high: float) -> float:
    """Return how much of the time from `begin` to `end` lies in [low, high] [s]."""
    return max(0.0, min(end, high) - max(begin, low))


@jit
def batch(created: float, start: float, end: float, batches: int) -> int:
    """Return the batch of a cohort, created in [start, end), to which a message belongs, or -1."""
    if not start <= created < end:
        return -1
    return int((created - start) / (end - start) * batches)


@jit
def pauses(
    gap: FloatArray, length: FloatArray, seed: int, host: int, horizon: float
) -> tuple[FloatArray, FloatArray]:
    """Return when the stalls of a host start and end [s], the last of them after `horizon`.

    Alternating renewals: `gap` and `length` are the cells of the quantile tables of the times
    between them and of their lengths.
    """
    starts, ends = [0.0 for _ in range(0)], [0.0 for _ in range(0)]
    clock, index = 0.0, 0
    while clock <= horizon:
        start = clock + draw(gap, seed, STALL_GAP, host, index)
        clock = start + draw(length, seed, STALL_LENGTH, host, index)
        starts.append(start)
        ends.append(clock)
        index += 1
    return np.array(starts), np.array(ends)
