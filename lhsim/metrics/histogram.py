"""A histogram of latencies whose size does not depend on how many there are.

Buckets are logarithmic: 64 to an octave, found from the binary exponent and mantissa of the value,
so that a value is known to within 1/64 of itself, and a quantile read from the middle of its bucket
to within 0.78 %. The range is 2^-31 s (0.5 ns) to 2^33 s; what lies outside enters the end buckets.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lhsim._jit import jit

STEPS = 64  # buckets of an octave
LOWEST = -31  # binary exponent of the lowest bucket
OCTAVES = 64
BUCKETS = STEPS * OCTAVES
LEAST = 2.0**LOWEST  # [s]
GREATEST = 2.0 ** (LOWEST + OCTAVES)  # [s]

_BELOW_STEP = 52 - (STEPS - 1).bit_length()  # bits of a float's mantissa that do not matter
_BITS_OF_LEAST = int(np.float64(LEAST).view(np.int64)) >> _BELOW_STEP

Counts = NDArray[np.int64]


@jit
def bucket(value: float) -> int:
    """Return the index of the bucket that holds `value` [s]."""
    if value < LEAST:
        return 0
    if value >= GREATEST:
        return BUCKETS - 1
    # Its bits are the exponent and the mantissa; their first digits are the octave and the step.
    first_bits: Any = np.float64(value).view(np.int64) >> _BELOW_STEP
    return int(first_bits - _BITS_OF_LEAST)


@jit
def record(counts: Counts, batch: int, value: float) -> None:
    """Count `value` [s] in row `batch` of `counts`, of shape (batches, BUCKETS)."""
    counts[batch, bucket(value)] += 1


def tally(values: NDArray[np.float64]) -> Counts:
    """Return how many of the `values` [s] each bucket holds, of shape (BUCKETS,)."""
    inside = np.clip(values, LEAST, np.nextafter(GREATEST, 0.0))
    index = (inside.view(np.int64) >> _BELOW_STEP) - _BITS_OF_LEAST
    return np.bincount(index, minlength=BUCKETS)


def edges(index: NDArray[np.int64] | int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the lower and the upper edge [s] of buckets."""
    octave, step = np.divmod(np.asarray(index), STEPS)
    low = np.ldexp(1 + step / STEPS, octave + LOWEST)
    high = np.ldexp(1 + (step + 1) / STEPS, octave + LOWEST)
    return low, high


def quantile(counts: Counts, q: float, beyond: int = 0) -> float:
    """Return the `q`-quantile [s] of one row of counts, linear inside the bucket.

    Parameters
    ----------
    counts
        How many values each bucket holds, of shape (BUCKETS,).
    q
        The level, from 0 to 1.
    beyond
        How many more values are known only to be longer than all of these.

    Returns
    -------
    float
        NaN when there is no value; infinity when the quantile is among those `beyond`.
    """
    inside = int(counts.sum())
    rank = q * (inside + beyond)
    if inside + beyond == 0:
        return math.nan
    if rank > inside:
        return math.inf
    cumulative = np.cumsum(counts)
    index = int(np.searchsorted(cumulative, max(rank, 1e-9), side="left"))
    before = cumulative[index] - counts[index]
    low, high = edges(index)
    return float(low + (high - low) * (rank - before) / counts[index])


def below(rows: Counts, value: float) -> NDArray[np.float64]:
    """Return how many values of each row are at or below `value` [s], linear inside the bucket.

    Parameters
    ----------
    rows
        How many values each bucket holds, of shape (rows, BUCKETS).
    value
        NaN, the quantile of no values, has none below it.
    """
    if math.isnan(value):
        return np.zeros(len(rows))
    index = bucket(value)
    low, high = edges(index)
    inside = min(max((value - float(low)) / float(high - low), 0.0), 1.0)
    whole: NDArray[np.float64] = rows[:, :index].sum(axis=1) + rows[:, index] * inside
    return whole
