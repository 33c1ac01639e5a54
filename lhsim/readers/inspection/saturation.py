"""Whether a server was at its limit while a log was written: throughput flat, responses longer.

By Little's law the requests under way are L = X R, with the throughput X and the mean response time
R. A request that finds no other under way takes R0: X R0 is the work of a second, in servers. (One
that meets none until it ends is a short one.) Within one log, requests may end at the same rate
whatever is under way, an elasticity of 0: at that rate the server is at its limit. The tenths of
the time that had most under way are also compared with those that had least.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from lhsim.readers.inspection.loops import CLOSED, Loop
from lhsim.readers.request_log import RequestLog

SATURATED, SUSTAINED, UNKNOWN = "saturated", "sustained", "unknown"
PARTS = 10  # of the time of a log
ALONE = 20  # requests that found no other, to say how long one takes
FLAT = 1.1  # more throughput than that is no plateau
MORE = 1.5  # times as much under way, to compare
GROWING = 2.0  # times as much under way at the end as in the middle
LONG = 3.0  # times as long as alone
BINS = 8  # of numbers under way
RANGE = 1.2  # of numbers under way that are compared
FEW = 20  # requests that ended in a bin
FEWEST = 100  # requests that ended
RISING = 0.4  # elasticity from which on more under way makes more end
FULL = 0.95  # part of the plateau from which on a server is at its limit
WAITING = 0.5  # part of their time that clients wait

Floats = NDArray[np.float64]
Sign = tuple[str, str]  # what it says, and why


@frozen
class Saturation:
    """How much was under way, and whether the server was at its limit."""

    kind: str  # SATURATED, SUSTAINED or UNKNOWN
    reason: str
    throughput: float  # requests that ended [1/s]
    in_flight: float  # mean number under way, L
    alone: float | None  # median response of requests that found no other [s]; None: too few
    work: float | None  # X times the mean of those responses, in servers
    stretch: float | None  # the mean response over the mean of those
    plateau: float | None  # rate at which requests end while several are under way, if flat [1/s]
    elasticity: float | None  # of that rate over how many are under way: 0 flat, 1 none waits


def saturation_of(log: RequestLog, loop: Loop) -> Saturation:
    """Return whether a server was at its limit while a log was written."""
    begin, finish = _middle(log)
    ended = (log.end >= begin) & (log.end < finish)
    length = max(finish - begin, 1e-300)
    throughput = float(ended.sum() / length)
    under_way = float(_overlap(log, begin, finish) / length)
    alone = log.response[_found(log) == 0]
    shortest = float(np.mean(alone)) if len(alone) >= ALONE else None
    mean = float(log.response.mean())
    rates = _rates(log, throughput)
    stretch = mean / shortest if shortest else None
    kind, reason = _judged(log, loop, rates, stretch, under_way)
    return Saturation(
        kind=kind,
        reason=reason,
        throughput=throughput,
        in_flight=under_way,
        alone=float(np.median(alone)) if shortest is not None else None,
        work=throughput * shortest if shortest is not None else None,
        stretch=stretch,
        plateau=rates.plateau if rates is not None and rates.flat else None,
        elasticity=rates.elasticity if rates is not None else None,
    )


def _judged(
    log: RequestLog, loop: Loop, rates: _Rates | None, stretch: float | None, under_way: float
) -> Sign:
    """Return what the first of the signs says that is clear."""
    signs = (
        _of_growth(log, loop),
        _of_rates(rates),
        _of_parts(log),
        _of_waiting(log, loop, stretch, under_way),
        _of_stretch(stretch),
    )
    found = next((sign for sign in signs if sign is not None), None)
    if found is not None:
        return found
    if stretch is None:
        reason = f"fewer than {ALONE} requests found no other under way: take a lower load, too"
        return UNKNOWN, reason
    return UNKNOWN, f"a response takes {stretch:.2g} times as long as alone: take more loads"


def _of_growth(log: RequestLog, loop: Loop) -> Sign | None:
    """Look for more and more under way, which a closed loop cannot have."""
    loads, _ = _parts(log)
    if len(loads) < PARTS or loop.kind == CLOSED:
        return None
    late, middle = float(np.mean(loads[-2:])), float(np.mean(loads[2:5]))
    if late <= GROWING * max(middle, 1.0) or not _rising(loads):
        return None
    return SATURATED, f"more and more is under way: {middle:.3g}, then {late:.3g} requests"


def _of_parts(log: RequestLog) -> Sign | None:
    """Compare the parts of the time that had most under way with those that had least."""
    loads, rates = _parts(log)
    if len(loads) < PARTS:
        return None
    order = np.argsort(loads)
    few, many = order[: PARTS // 3], order[-(PARTS // 3) :]
    less, more = float(np.mean(loads[few])), float(np.mean(loads[many]))
    slow, fast = float(np.mean(rates[few])), float(np.mean(rates[many]))
    if more <= MORE * less or less <= 1 or fast >= FLAT * slow:
        return None
    reason = f"with {more / less:.2g} times as much under way, {fast / slow:.2f} times as many"
    return SATURATED, f"{reason} requests a second ended"


def _of_rates(rates: _Rates | None) -> Sign | None:
    if rates is None:
        return None
    if rates.flat:
        share = f"requests end at {rates.throughput:.4g}/s, {100 * rates.used:.0f} % of the rate "
        share += "at which they end while two or more are under way"
        return SATURATED if rates.used > FULL else SUSTAINED, share
    if rates.elasticity - 2 * rates.error > RISING:
        return SUSTAINED, "the more requests are under way, the more end"
    return None


def _of_waiting(
    log: RequestLog, loop: Loop, stretch: float | None, under_way: float
) -> Sign | None:
    if loop.kind != CLOSED or not log.clients or log.clients < 2 or stretch is None:
        return None
    waiting = under_way / log.clients
    if waiting < WAITING or stretch < LONG:
        return None
    reason = f"clients wait for {100 * waiting:.0f} % of their time, and a response takes "
    return SATURATED, f"{reason}{stretch:.2g} times as long as alone"


def _of_stretch(stretch: float | None) -> Sign | None:
    if stretch is None or stretch > MORE:
        return None
    return SUSTAINED, f"a response takes {stretch:.2f} times as long as alone"


@frozen
class _Rates:
    """At what rate requests end, by the number of them that are under way."""

    throughput: float  # [1/s]
    plateau: float  # the rate while as many are under way as half of the time or more [1/s]
    elasticity: float  # of the rate over the number: 0 where it is flat, 1 where none waits
    error: float  # standard error of the elasticity

    @property
    def flat(self) -> bool:
        """Whether more under way makes no more end."""
        return self.elasticity + 2 * self.error < RISING

    @property
    def used(self) -> float:
        """The part of the plateau that is used."""
        return self.throughput / self.plateau


def _rates(log: RequestLog, throughput: float) -> _Rates | None:
    """Return at what rate requests end; None where too few differ in what is under way.

    The elasticity is the slope of log rate over log number, weighted by how many ended. A request
    that is alone ends the later in its time the less its service varies: states with two or more
    are preferred. The times of clients that come and go count as well.
    """
    number, lasting, ending = _states(log)
    least = 2 if ending[2:].sum() >= FEWEST else 1
    bins = _bins(number[least:], lasting[least:], ending[least:])
    if ending[least:].sum() < FEWEST or len(bins) < 2:
        return None
    mean, time, ended = bins.T
    if mean.max() < RANGE * mean.min():
        return None
    weights = ended
    x, y = np.log(mean), np.log(ended / time)
    x = x - np.average(x, weights=weights)
    spread = float(np.sum(weights * x**2))
    elasticity = float(np.sum(weights * x * y) / spread)
    top = bins[len(bins) // 2 :]
    plateau = float(top[:, 2].sum() / top[:, 1].sum())
    return _Rates(throughput, plateau, elasticity, 1 / math.sqrt(spread))


def _states(log: RequestLog) -> tuple[Floats, Floats, Floats]:
    """Return each number under way, how long it lasted [s], and how many ended out of it."""
    times = np.concatenate([log.end, log.start])
    steps = np.repeat([-1, 1], len(log))
    order = np.lexsort((-steps, times))
    times, steps = times[order], steps[order]
    state = np.maximum(np.cumsum(steps)[:-1], 0)
    lasting: Floats = np.bincount(state, weights=np.diff(times)).astype(np.float64)
    ending: Floats = np.bincount(state, weights=steps[1:] < 0).astype(np.float64)
    return np.arange(len(lasting), dtype=np.float64), lasting, ending


def _bins(number: Floats, lasting: Floats, ending: Floats) -> Floats:
    """Return neighbouring states put together: mean number, time [s] and requests that ended."""
    each = max(ending.sum() / BINS, 1.0)
    found, place = [], 0
    while place < len(number):
        upto = place + 1
        while upto < len(number) and ending[place:upto].sum() < each:
            upto += 1
        time, ended = lasting[place:upto].sum(), ending[place:upto].sum()
        if time > 0 and ended >= FEW:
            mean = float(np.sum(number[place:upto] * lasting[place:upto]) / time)
            found.append((mean, time, ended))
        place = upto
    return np.array(found).reshape(-1, 3)


def _middle(log: RequestLog) -> tuple[float, float]:
    """Return the time from the first start to the last, without a tenth and a twentieth."""
    first, last = 0.0, float(log.start[-1])
    return first + 0.1 * last, first + 0.95 * last


def _overlap(log: RequestLog, begin: float, finish: float) -> float:
    """Return the seconds that requests were under way in a window, added up."""
    inside = np.minimum(log.end, finish) - np.maximum(log.start, begin)
    return float(np.maximum(inside, 0.0).sum())


def _parts(log: RequestLog) -> tuple[Floats, Floats]:
    """Return how much was under way in each part of the time, and what ended in it [1/s]."""
    begin, finish = _middle(log)
    edges = np.linspace(begin, finish, PARTS + 1)
    if not finish > begin:
        return np.zeros(0), np.zeros(0)
    loads = [_overlap(log, low, high) for low, high in itertools.pairwise(edges)]
    ended, _ = np.histogram(log.end, edges)
    length = (finish - begin) / PARTS
    return np.array(loads) / length, ended / length


def _rising(loads: Floats) -> bool:
    """Return whether nearly every part has more under way than the one before."""
    return bool(np.mean(np.diff(loads) > 0) > 0.7)


def _found(log: RequestLog) -> NDArray[np.int64]:
    """Return how many others each request found under way when it started."""
    ended = np.searchsorted(np.sort(log.end), log.start, side="right")
    found: NDArray[np.int64] = np.maximum(np.arange(len(log)) - ended, 0)
    return found
