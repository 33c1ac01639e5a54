"""When a system is as it was before something happened to it: latencies by window, and a band.

The latencies of the messages that are created in each window of time have a quantile. Before the
trigger those quantiles spread around their mean; a further one lies inside the band ::

    mean +- t s sqrt(1 + 1/n)

with the confidence of the band (a prediction interval for one more value: Hahn and Meeker 1991,
Statistical Intervals, section 4.7). The system has *recovered* at the beginning of the first window
from which on no window leaves the band at its upper end for as long as is asked. A window below the
band is quicker than before, which is nothing to recover from; one in which no message was delivered
is outside.
"""

from __future__ import annotations

import math

import numpy as np
from attrs import frozen
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

from lhsim.checks import array, level, positive_number, share


@frozen(eq=False)
class Windows:
    """A quantile of the latencies by the time at which the messages were created."""

    starts: NDArray[np.float64]  # of each window [s]
    width: float  # of all windows [s]
    values: NDArray[np.float64]  # the quantile in each [s]; NaN without a message
    counts: NDArray[np.int64]  # messages in each

    def between(self, start: float, end: float) -> NDArray[np.float64]:
        """Return the values of the windows that lie wholly between two times [s]."""
        tiny = 1e-9 * self.width
        inside = (self.starts >= start - tiny) & (self.starts + self.width <= end + tiny)
        return self.values[inside]


def windows(
    created: ArrayLike, latency: ArrayLike, start: float, end: float, width: float, q: float
) -> Windows:
    """Return the `q`-quantile of the latencies in each window between two times.

    Parameters
    ----------
    created, latency
        Of each message, of shape (messages,) [s]. Of a message without a latency it is NaN.
    start, end, width
        Of the windows [s]; what is left of the time in the end is less than a window.
    q
        The level, from 0 to 1.
    """
    width, q = positive_number(width, "width"), level(q, "q")
    times = array(created, "created", "times [s]")
    values = array(latency, "latency", "times [s]")
    known = np.isfinite(values)
    times, values = times[known], values[known]
    number = int((end - start) / width + 1e-9)
    index = np.floor((times - start) / width).astype(int)
    parts = [values[index == one] for one in range(number)]
    return Windows(
        starts=start + width * np.arange(number, dtype=np.float64),
        width=width,
        values=np.array([np.quantile(part, q) if len(part) else math.nan for part in parts]),
        counts=np.array([len(part) for part in parts], int),
    )


def band(values: ArrayLike, confidence: float = 0.95) -> tuple[float, float]:
    """Return the band in which one more value lies with a confidence; NaN for fewer than two."""
    confidence = share(confidence, "confidence")
    known = array(values, "values", "numbers")
    known = known[np.isfinite(known)]
    n = len(known)
    if n < 2:
        return math.nan, math.nan
    half = float(stdtrit(n - 1, (1 + confidence) / 2)) * float(known.std(ddof=1))
    half *= math.sqrt(1 + 1 / n)
    return float(known.mean()) - half, float(known.mean()) + half


def time_to_recover(found: Windows, since: float, top: float, hold: float) -> float:
    """Return how long after `since` the values stay at or below `top` for `hold` [s].

    NaN when they do not before the windows end.
    """
    tiny = 1e-9 * found.width
    first = int(np.searchsorted(found.starts, since - tiny))
    needed = max(1, math.ceil(hold / found.width - 1e-9))
    inside = found.values[first:] <= top  # NaN is not
    for index in range(len(inside) - needed + 1):
        if inside[index : index + needed].all():
            return float(found.starts[first + index]) - since
    return math.nan
