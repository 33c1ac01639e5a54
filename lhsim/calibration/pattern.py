"""Whether the agents of a log poll, and how often.

Who polls every T seconds has messages whose delays are nearly uniform over T, and gets nothing for
about T after each delivery. Both are looked for where the load is lowest: the closer to
saturation, the less is either true.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from lhsim.calibration.logs import Log

Floats = NDArray[np.float64]
UNIFORM = 0.08  # Kolmogorov-Smirnov distance from a uniform distribution that passes for it
SILENT = 0.25  # part of the deliveries expected between two polls that may be there
FEWEST_EXPECTED = 10.0  # of these, or they say nothing
CUT = 0.05  # at each end of the delays, where a uniform distribution is frayed
INSIDE = (0.15, 0.85)  # of T: after a delivery with the poll before, before that of the next one


@frozen
class Pattern:
    """How messages reach the agents."""

    interval: float | None  # between two polls [s]; None: they are pushed
    distance: float  # of the delays from a uniform distribution
    silence: float  # deliveries within an interval over those expected; NaN: too few expected

    @property
    def sentence(self) -> str:
        """What speaks for it."""
        delays = f"delays are {self.distance:.2f} from uniform (at most {UNIFORM:g} under polling)"
        if np.isnan(self.silence):
            return delays
        return f"{delays}; {self.silence:.0%} of the deliveries expected between polls are there"


def pattern(logs: Sequence[Log]) -> Pattern:
    """Return how messages reach the agents of logs of one server, by the log of lowest load."""
    log = min(logs, key=lambda one: (one.saturated, one.rate))
    delays = np.sort((log.delivered - log.sent)[log.counts])
    delays = delays[np.isfinite(delays)]
    low, high = np.quantile(delays, (CUT, 1 - CUT))
    length = float(high - low) / (1 - 2 * CUT)
    start = float(low) - CUT * length
    ranks = (np.arange(len(delays)) + 0.5) / len(delays)
    distance = float(np.abs(np.clip((delays - start) / length, 0, 1) - ranks).max())
    silence = _silence(log, length)
    polls = distance <= UNIFORM and not silence > SILENT
    return Pattern(length if polls else None, distance, silence)


def _silence(log: Log, length: float) -> float:
    """Return how many deliveries follow one within part of an interval, over those expected.

    Expected are as many as messages follow one another to an agent within that time.
    """
    expected = _within(log.intended, log.agent, length)
    found = _within(log.delivered, log.agent, length)
    return found / expected if expected >= FEWEST_EXPECTED else float("nan")


def _within(times: Floats, agents: NDArray[np.int64], length: float) -> float:
    known = np.isfinite(times)
    order = np.lexsort((times[known], agents[known]))
    times, agents = times[known][order], agents[known][order]
    gaps = np.diff(times)[np.diff(agents) == 0]
    low, high = INSIDE
    return float(((gaps > low * length) & (gaps < high * length)).sum())
