"""Whether the agents of a log poll, and how often.

Who polls every T seconds has messages whose delays are nearly uniform over T, and gets nothing for
about T after each delivery, unless it arrived while the next request was on its way, which is one
and the same time after each delivery. Both are looked for where the load is lowest: the closer to
saturation, the less is either true.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from lhsim.calibration.logs import Log

Floats = NDArray[np.float64]
UNIFORM = 0.08  # Kolmogorov-Smirnov distance from a uniform distribution that passes for it
NEARLY_UNIFORM = 0.2  # likewise, where next to nothing is delivered between two polls
QUIET = 0.1  # part of the deliveries expected there that is next to nothing
BY_CHANCE = 0.6  # of that distance, over the root of the messages
AT_ONCE = 0.2  # of T, within which what arrived during a round trip is delivered after its end
SILENT = 0.25  # part of the deliveries expected between two polls that may be there
FEWEST_EXPECTED = 10.0  # of these, or they say nothing
CUT = 0.05  # at each end of the delays, where a uniform distribution is frayed
NEAR = 0.25  # part of an interval within which messages may overtake one another
IN_ORDER = 0.02  # part of the messages that overtakes another one by chance
FEWEST_OF_AGENT = 15  # messages that show the interval of an agent
APART = 1.5  # ratio of two intervals that differ
INSIDE = (0.15, 0.85)  # of T: after a delivery with the poll before, before that of the next one


@frozen
class Pattern:
    """How messages reach the agents."""

    interval: float | None  # between two polls [s]; None: they are pushed
    distance: float  # of the delays from a uniform distribution
    silence: float  # deliveries within an interval over those expected; NaN: too few expected
    several: tuple[float, float] | None = None  # intervals of agents that differ in that [s]

    @property
    def sentence(self) -> str:
        """What speaks for it."""
        delays = f"delays are {self.distance:.2f} from uniform (at most {UNIFORM:g} under polling)"
        if math.isnan(self.silence):
            return delays
        there = f"{100 * self.silence:.0f} %"
        return f"{delays}; {there} of the deliveries expected between polls are there"


def pattern(logs: Sequence[Log]) -> Pattern:
    """Return how messages reach the agents of logs of one server, by the log of lowest load."""
    log = min(logs, key=lambda one: (one.saturated, one.rate))
    delays = log.delivered - log.sent
    known = np.isfinite(delays) & log.counts
    length, distance = _uniform(delays[known])
    if length <= log.tick:  # delays that hardly differ
        return Pattern(None, 1.0, math.nan)
    silence = _silence(log, length)
    most = UNIFORM + BY_CHANCE / math.sqrt(int(known.sum()))
    if silence <= QUIET:  # over a distance, delays of what arrives during a round trip are shorter
        most = NEARLY_UNIFORM
    polls = distance <= most and not silence > SILENT
    if polls and math.isnan(silence):
        polls = _overtaking(log, length) > IN_ORDER
    several = None if polls else _several(log, delays, known)
    return Pattern(length if polls else None, distance, silence, several)


def _uniform(delays: Floats) -> tuple[float, float]:
    """Return the width of the uniform distribution nearest to delays, and their distance from it.

    The second is infinite where they are all equal.
    """
    delays = np.sort(delays)
    low, high = np.quantile(delays, (CUT, 1 - CUT))
    length = float(high - low) / (1 - 2 * CUT)
    if length <= 0:
        return 0.0, math.inf
    start = float(low) - CUT * length
    ranks = (np.arange(len(delays)) + 0.5) / len(delays)
    return length, float(np.abs(np.clip((delays - start) / length, 0, 1) - ranks).max())


def _overtaking(log: Log, length: float) -> float:
    """Return which part of the messages is delivered before one that was sent just before.

    Those of agents who poll, each in its own time, overtake one another; a server that pushes
    delivers them in their order.
    """
    near = np.diff(log.sent) < NEAR * length
    differ = np.diff(log.agent) != 0
    later = np.diff(log.delivered)
    pairs = near & differ & np.isfinite(later)
    return float((later[pairs] < 0).mean()) if pairs.sum() >= FEWEST_EXPECTED else math.inf


def _several(log: Log, delays: Floats, known: NDArray[np.bool_]) -> tuple[float, float] | None:
    """Return the shortest and the longest interval of agents who poll at intervals of their own.

    Then the delays of each are uniform, over other intervals than those of others, and nobody gets
    anything between two polls. None where that is not so.
    """
    order = np.argsort(log.agent[known], kind="stable")
    agents = log.agent[known][order]
    groups = np.split(delays[known][order], np.flatnonzero(np.diff(agents)) + 1)
    enough = [one for one in groups if len(one) >= FEWEST_OF_AGENT]
    lengths = np.array([_uniform(one)[0] for one in enough])
    if len(lengths) < 2 or lengths.min() <= log.tick or lengths.max() < APART * lengths.min():
        return None
    pairs = zip(enough, lengths, strict=True)
    shares = [(one - np.quantile(one, CUT)) / length for one, length in pairs]
    _, distance = _uniform(np.concatenate(shares))
    if distance > UNIFORM or _overtaking(log, float(lengths.max())) <= IN_ORDER:
        return None
    return float(np.quantile(lengths, 0.1)), float(np.quantile(lengths, 0.9))


def _silence(log: Log, length: float) -> float:
    """Return how many deliveries follow one within part of an interval, over those expected.

    Expected are as many as messages follow one another to an agent within that time. Those that
    follow after one round trip do not count.
    """
    expected = _within(log.intended, log.agent, length)
    if len(expected) < FEWEST_EXPECTED:
        return math.nan
    gaps = np.sort(_within(log.delivered, log.agent, length))
    together = np.searchsorted(gaps, gaps + AT_ONCE * length) - np.arange(len(gaps))
    return (len(gaps) - int(together.max(initial=0))) / len(expected)


def _within(times: Floats, agents: NDArray[np.int64], length: float) -> Floats:
    """Return the gaps of that length between times of an agent [s]."""
    known = np.isfinite(times)
    order = np.lexsort((times[known], agents[known]))
    times, agents = times[known][order], agents[known][order]
    gaps = np.diff(times)[np.diff(agents) == 0]
    low, high = INSIDE
    return np.asarray(gaps[(gaps > low * length) & (gaps < high * length)])
