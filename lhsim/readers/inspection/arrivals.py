r"""How requests arrive: as a Poisson process, more regularly, or in clusters.

The index of dispersion of counts is the variance of the number of starts in a window over its mean:
1 for a Poisson process, and the mean size of the cluster that a random request belongs to where
clusters come as one. The variance is that of successive differences (von Neumann), so that a load
that rises does not count:

.. math:: I(w) = \frac{\overline{(N_{i+1} - N_i)^2}}{2 \overline{N}}

See D. R. Cox and P. A. W. Lewis, The Statistical Analysis of Series of Events (1966), chapter 4.
"""

from __future__ import annotations

import math

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from lhsim.readers.request_log import RequestLog

POISSON, REGULAR, BUNCHED, UNKNOWN = "Poisson", "regular", "bunched", "unknown"
MEANS = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0)  # starts in a window
FEWEST_WINDOWS = 40
MOST_WINDOWS = 1_000_000
CLEARLY = 1.3  # an index from which on it matters that arrivals bunch
Z999 = 3.29  # of several windows one is beyond 95 % by chance

Floats = NDArray[np.float64]


@frozen
class Dispersion:
    """Index of dispersion over windows of growing length."""

    kind: str  # POISSON, REGULAR, BUNCHED or UNKNOWN
    cluster: float  # requests of a cluster, as a random one meets it: the largest index, >= 1
    window: float  # in which the index is farthest from 1 [s]
    index: float  # in that window
    windows: Floats = field(repr=False, eq=False)  # [s]
    indices: Floats = field(repr=False, eq=False)
    half_widths: Floats = field(repr=False, eq=False)  # within which a Poisson process is


def dispersion_of(log: RequestLog, cycle: float = math.inf) -> Dispersion:
    """Return how a log's requests arrive.

    Where they come again after a `cycle` [s], only one of it tells something.
    """
    starts = log.start
    # The first and the last tenth: clients start together, and stop together.
    low, high = np.quantile(starts, [0.1, 0.95])
    inner = starts[(starts >= low) & (starts < high)] - low
    span = float(high - low)
    rows = [
        _index(inner, mean * span / len(inner), span, cycle)
        for mean in MEANS
        if len(inner) and FEWEST_WINDOWS <= len(inner) / mean <= MOST_WINDOWS
    ]
    # A window no longer than the steps of the clock counts those.
    rows = [row for row in rows if 5 * log.clock_resolution <= row[0] <= cycle / 2]
    if not rows or span <= 0:
        return Dispersion(UNKNOWN, math.nan, math.nan, math.nan, *(np.zeros(0),) * 3)
    windows, indices, widths = (np.array(column) for column in zip(*rows, strict=True))
    return _judged(windows, indices, widths)


def _judged(windows: Floats, indices: Floats, widths: Floats) -> Dispersion:
    beyond = (indices - 1) / widths
    most, least = int(np.argmax(indices)), int(np.argmin(indices))
    cluster = max(float(indices[most]), 1.0)
    if indices[most] > CLEARLY and beyond.max() > 1:
        kind, at = BUNCHED, most
    elif beyond.min() < -1 and indices[least] < 1 / CLEARLY:
        kind, at = REGULAR, least
    else:
        kind, at = POISSON, int(np.argmax(np.abs(beyond)))
    return Dispersion(
        kind, cluster, float(windows[at]), float(indices[at]), windows, indices, widths
    )


def _index(starts: Floats, window: float, span: float, cycle: float) -> tuple[float, float, float]:
    """Return a window, the index in it, and within what a Poisson process is around 1."""
    count = max(int(span / window), 2)
    found = np.bincount(np.minimum((starts / window).astype(np.int64), count), minlength=count)
    found = found[:count]  # the last window is not whole
    mean = max(float(found.mean()), 1e-300)
    index = float(np.mean(np.diff(found) ** 2) / 2 / mean)
    # The variance of the estimate is 3 / n for normal counts, and the fourth moment of a Poisson
    # count adds 1 / (n mean).
    different = min(count, cycle / window)
    return window, index, Z999 * math.sqrt((3 + 1 / mean) / different)
