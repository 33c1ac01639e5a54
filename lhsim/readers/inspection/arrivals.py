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
TELLING = 0.8  # half-width of an index that tells a Poisson process from others
Z999 = 3.29  # of several windows one is beyond 95 % by chance

Floats = NDArray[np.float64]


@frozen
class Dispersion:
    """Index of dispersion over windows of growing length."""

    kind: str  # POISSON, REGULAR, BUNCHED or UNKNOWN
    cluster: float  # requests of a cluster, as a random one meets it: the largest index, >= 1
    window: float  # in which the index is farthest from 1 [s]
    index: float  # in that window
    half_width: float  # around 1, within which a Poisson process is in that window
    beside: float  # others that start within half a median response of a request, before or after
    beside_by_chance: float  # of a Poisson process
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
    around = _beside(starts, float(np.median(log.response)))
    if not rows or span <= 0:
        return Dispersion(UNKNOWN, *(math.nan,) * 4, *around, *(np.zeros(0),) * 3)
    windows, indices, widths = (np.array(column) for column in zip(*rows, strict=True))
    return _judged(windows, indices, widths, around)


def _beside(starts: Floats, length: float) -> tuple[float, float]:
    """Return how many others start within half a length of a request, and how many by chance."""
    first = np.searchsorted(starts, starts - length / 2, side="left")
    last = np.searchsorted(starts, starts + length / 2, side="right")
    span = float(starts[-1] - starts[0])
    return float(np.mean(last - first) - 1), len(starts) * length / span if span > 0 else 0.0


def _judged(
    windows: Floats, indices: Floats, widths: Floats, around: tuple[float, float]
) -> Dispersion:
    beyond = (indices - 1) / widths
    most, least = int(np.argmax(indices)), int(np.argmin(indices))
    cluster = max(float(indices[most]), 1.0)
    if indices[most] > CLEARLY and beyond.max() > 1:
        kind, at = BUNCHED, int(np.argmax(beyond))
    elif beyond.min() < -1 and indices[least] < 1 / CLEARLY:
        kind, at = REGULAR, least
    else:
        kind, at = POISSON, int(np.argmax(np.abs(beyond)))
        kind = POISSON if widths.min() < TELLING else UNKNOWN
    window, index, width = (float(one[at]) for one in (windows, indices, widths))
    beside, chance = around
    return Dispersion(kind, cluster, window, index, width, beside, chance, windows, indices, widths)


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
