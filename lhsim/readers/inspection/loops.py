r"""Closed or open: whether clients wait for an answer before they send again.

Let R be a response time and Z the time from its end to the client's next start. In a closed loop Z
is a think time that does not depend on R; where requests are sent by a schedule, Z + R is what does
not, and Z falls by what R rises. So the slope of Z over R is 0 in a closed loop and -1 in an open
one. Where responses are too short for that, requests of a client that never overlap, though they
would by chance, tell a closed loop as well: by chance as many would overlap as there are pairs of
a response time and an interval between two starts that is shorter.
"""

from __future__ import annotations

import math

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray
from scipy import special

from lhsim.readers.request_log import RequestLog, by_client

CLOSED, OPEN, UNKNOWN = "closed", "open", "unknown"
CONSTANT, EXPONENTIAL, NONE, OTHER = "constant", "exponential", "none", "other"
OVERLAPS = 0.01  # part of a client's requests from which on it does not wait
EXPECTED = 6.0  # overlaps by chance without any of which clients do wait (exp(-6) = 0.2 %)
FEWEST = 20  # think times
STEADY = 0.05  # coefficient of variation of a think time, or of intervals, that is constant
BRIEF = 0.05  # part of a response time that a think time is no longer than where there is none
NO_THINKING = 2e-3  # a think time that a client's own work explains [s]
COARSE = 0.1  # part of the time between requests that a step of the clock is no longer than
FULL = 0.9  # part of the time that as many requests are under way as there ever are
TIMER = 0.01  # coefficient of variation of what only a timer makes
BLOCKS = 20  # of a log, within which what follows may depend on what was before
SLACK = 0.15  # of a slope, beyond its interval
DECISIVE = 0.5  # half-width of a slope that tells 0 from -1
Z95 = 1.96

Floats = NDArray[np.float64]


@frozen
class Think:
    """The time from the end of a response to the client's next request."""

    kind: str  # CONSTANT, EXPONENTIAL, NONE or OTHER
    mean: float  # [s]
    cv: float  # coefficient of variation
    median: float  # [s]
    count: int
    values: Floats = field(repr=False, eq=False)  # all of them [s]


@frozen
class Loop:
    """Whether clients wait for their answers, and why this is said."""

    kind: str  # CLOSED, OPEN or UNKNOWN
    reason: str
    in_flight: int | None  # the most requests of a client at a time; None without clients
    slope: float | None = None  # of think times over response times: 0 closed, -1 open
    slope_half_width: float | None = None  # of its 95 % interval
    think: Think | None = None  # of a closed loop


@frozen(eq=False)
class _Pairs:
    """Each request that another one of the same client follows, by their starts."""

    response: Floats  # [s]
    interval: Floats  # from its start to the next one [s]

    @property
    def think(self) -> Floats:
        return self.interval - self.response


def loop_of(log: RequestLog) -> Loop:
    """Return whether a log's clients wait for their answers."""
    if not log.has_clients:
        return _without_clients(log)
    in_flight = int(log.most_in_flight.max())
    pairs = _pairs(log)
    if log.scheduled is not None and np.isfinite(log.scheduled).any():
        return Loop(OPEN, "the log has the times at which requests were scheduled", in_flight)
    overlapping = float(np.mean(pairs.think < -log.clock_resolution)) if len(pairs.think) else 0.0
    if overlapping > OVERLAPS:
        share = f"{100 * overlapping:.3g} % of the requests start before the client's last one ends"
        return _overlapping(log, share, in_flight)
    if len(pairs.think) < FEWEST:
        return Loop(UNKNOWN, f"only {len(pairs.think)} requests follow one of the same client",
                    in_flight)  # fmt: skip
    if log.clock_resolution > COARSE * float(np.median(pairs.interval)):
        reason = "the steps of the clock are as long as the times between a client's requests"
        return Loop(UNKNOWN, reason, in_flight)
    return _judged(pairs, in_flight, log.clock_resolution)


def cycle_of(log: RequestLog, loop: Loop) -> float:
    """Return after what time clients repeat themselves, as with constant think times [s].

    Infinite where they do not.
    """
    if not log.has_clients or len(log) == log.clients:
        return math.inf
    intervals = _pairs(log).interval
    repeats = loop.think is not None and loop.think.kind == CONSTANT
    repeats |= _variation(intervals) < STEADY
    return float(np.median(intervals)) if repeats else math.inf


def _without_clients(log: RequestLog) -> Loop:
    if log.facts.get("loop") == OPEN:
        return Loop(
            OPEN, f"{log.format} is the format of an open loop: no request waits for another", None
        )
    gaps = np.diff(log.start)
    if _variation(gaps) < STEADY:
        return Loop(OPEN, "requests start at a constant rate", None)
    most, share = _plateau(log)
    if share > FULL and most > 1:
        reason = f"{most} requests are under way for {100 * share:.0f} % of the time"
        think = think_of(np.zeros(0))
        return Loop(CLOSED, reason + ": as many clients, without think times", None, think=think)
    return Loop(UNKNOWN, "nothing names the clients: closed loops cannot be told", None)


def _overlapping(log: RequestLog, share: str, in_flight: int) -> Loop:
    most, part = _plateau(log)
    if part > FULL:
        reason = f"{share}, and {most} are under way for {100 * part:.0f} % of the time"
        return Loop(CLOSED, reason, in_flight)
    return Loop(OPEN, share, in_flight)


def _judged(pairs: _Pairs, in_flight: int, resolution: float) -> Loop:
    """Return what the slope of the think times over the response times says."""
    slope, width = _slope(pairs, resolution)
    closed, opened = abs(slope) <= width + SLACK, abs(slope + 1) <= width + SLACK
    think = think_of(pairs.think)
    known = math.isfinite(width)

    def loop(kind: str, reason: str) -> Loop:
        return Loop(
            kind,
            reason,
            in_flight,
            slope=slope if known else None,
            slope_half_width=width if known else None,
            think=None if kind == OPEN else think,
        )

    steady = _variation(pairs.interval)
    if steady < STEADY and steady < think.cv / 2 and opened:
        return loop(OPEN, f"each client starts a request every {np.median(pairs.interval):.4g} s")
    said = f"the time to its next request changes by {slope:.2f} s with each second of response"
    if opened and not closed and width < DECISIVE:
        return loop(OPEN, said)
    if closed and not opened and width < DECISIVE:
        return loop(CLOSED, f"a client has one request at a time, and {said}")
    by_timer = think.kind == CONSTANT and _variation(pairs.think) < TIMER
    if closed and (by_timer or think.kind == NONE):
        return loop(CLOSED, "each request follows the client's last answer")
    expected = _by_chance(pairs)
    if closed and expected >= EXPECTED:
        by_chance = f"by chance {expected:.3g} would"
        return loop(CLOSED, f"requests of a client never overlap; {by_chance}")
    return loop(UNKNOWN, "responses are too short, next to the times between requests, to tell")


def think_of(values: Floats) -> Think:
    """Return what a sample of think times is [s]."""
    values = np.maximum(values, 0.0)
    if not len(values):
        return Think(NONE, 0.0, 0.0, 0.0, 0, values)
    mean, median = float(values.mean()), float(np.median(values))
    cv = float(values.std() / mean) if mean else 0.0
    return Think(_kind(values, mean, median), mean, cv, median, len(values), values)


def _kind(values: Floats, mean: float, median: float) -> str:
    if mean <= NO_THINKING and median <= NO_THINKING:
        return NONE
    # A few long ones, such as of a client that was stopped, make no think time vary.
    low, high = np.quantile(values, [0.25, 0.75])
    if (high - low) / 1.349 < STEADY * median:
        return CONSTANT
    limit = max(1.4 / math.sqrt(len(values)), 0.03)
    return EXPONENTIAL if _distance_from_exponential(values, mean) < limit else OTHER


def _distance_from_exponential(values: Floats, mean: float) -> float:
    """Return the Kolmogorov distance from the exponential distribution of this mean."""
    ordered = np.sort(values)
    below = -np.expm1(-ordered / mean)
    steps = np.arange(len(ordered) + 1) / len(ordered)
    return float(max(np.max(steps[1:] - below), np.max(below - steps[:-1])))


def _pairs(log: RequestLog) -> _Pairs:
    clients = [rows for _, rows in by_client(log)]
    interval = np.concatenate([np.diff(log.start[rows]) for rows in clients])
    rows = np.concatenate([rows[:-1] for rows in clients])
    order = np.argsort(rows)
    return _Pairs(log.response[rows[order]], interval[order])


def _slope(pairs: _Pairs, resolution: float) -> tuple[float, float]:
    """Return the slope of think times over responses and half its 95 % interval.

    Outliers of either, such as a pause, are left out. Responses that differ by no more than the
    steps of the clock tell nothing.
    """
    low, high = np.quantile(pairs.response, [0.01, 0.99])
    first, last = np.quantile(pairs.think, [0.01, 0.99])
    kept = (pairs.response >= low) & (pairs.response <= high)
    kept &= (pairs.think >= first) & (pairs.think <= last)
    x, y = pairs.response[kept], pairs.think[kept]
    spread = float(np.sum((x - x.mean()) ** 2)) if len(x) else 0.0
    if len(x) < FEWEST or spread <= len(x) * resolution**2:
        return 0.0, math.inf
    slope = float(np.sum((x - x.mean()) * (y - y.mean())) / spread)
    moments = (x - x.mean()) * (y - y.mean() - slope * (x - x.mean()))
    # Clients that share a schedule share its chance: errors are those of blocks (sandwich).
    blocks = np.array([one.sum() for one in np.array_split(moments, BLOCKS)])
    error = math.sqrt(max(float(np.sum(blocks**2)), float(np.sum(moments**2)))) / spread
    return slope, Z95 * error


def _by_chance(pairs: _Pairs) -> float:
    """Return how many requests would overlap if responses and intervals came independently."""
    ordered = np.sort(pairs.interval)
    shorter = np.searchsorted(ordered, pairs.response, side="left") / len(ordered)
    return float(shorter.sum())


def _plateau(log: RequestLog) -> tuple[int, float]:
    """Return the most requests under way, and the part of the time in which so many are."""
    times = np.concatenate([log.end, log.start])
    steps = np.repeat([-1, 1], len(log))
    order = np.lexsort((-steps, times))
    under_way, lasting = np.cumsum(steps[order])[:-1], np.diff(times[order])
    # When one ends and the next starts there is one more or less for a moment.
    counts = np.bincount(np.maximum(under_way, 0), weights=lasting)
    usual = int(np.argmax(counts))
    return usual, float(counts[usual] / max(lasting.sum(), 1e-300))


def _variation(values: Floats) -> float:
    """Return the coefficient of variation of most values, of which a few may be outliers."""
    if len(values) < FEWEST:
        return math.inf
    low, median, high = np.quantile(values, [0.25, 0.5, 0.75])
    # Quartiles of a normal distribution are 2 * erfinv(0.5) * sqrt(2) deviations apart.
    apart = 2 * math.sqrt(2) * float(special.erfinv(0.5))
    return float((high - low) / apart / median) if median > 0 else math.inf
