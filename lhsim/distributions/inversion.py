"""The inverse of a distribution function that has no closed one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from lhsim.distributions.table import FloatArray

_PRECISION = 1e-13  # relative
_MOST_STEPS = 150  # three to a halving; from a cell of the grid to the precision it takes about 10


def invert(
    cdf: Callable[[FloatArray], FloatArray], u: FloatArray, grid: FloatArray, reached: FloatArray
) -> FloatArray:
    """Return the smallest durations [s] at which `cdf` reaches the levels `u`.

    Parameters
    ----------
    cdf
        The distribution function, monotone, for arrays of durations [s].
    u
        Levels in [0, 1], of any shape.
    grid
        Durations [s], ascending, from the least to the greatest possible one, which may be
        infinite. It holds each jump and the float before it; the finer, the fewer steps.
    reached
        `cdf` of the grid, ascending.
    """
    levels = u.ravel()
    last = int(np.isfinite(grid).sum()) - 1
    upper = np.minimum(np.searchsorted(reached, levels), last)
    upper[levels == 1] = len(grid) - 1  # the cdf of an infinite tail rounds to 1 before its end
    lower = np.maximum(upper - 1, 0)
    result = grid[upper]
    # At the far end the cdf may be a rounding short of the level.
    inside = np.flatnonzero((reached[lower] < levels) & (levels <= reached[upper]) & (levels < 1))
    low, high = lower[inside], upper[inside]
    above = levels[inside]
    result[inside] = _false_position(
        lambda x, i: cdf(x) - above[i],
        (grid[low], reached[low] - above),
        (grid[high], reached[high] - above),
    )
    return result.reshape(u.shape)


def _false_position(
    function: Callable[[FloatArray, NDArray[np.int64]], FloatArray],
    low: tuple[FloatArray, FloatArray],
    high: tuple[FloatArray, FloatArray],
) -> FloatArray:
    """Return the zeros of increasing functions between `low` and `high`, each (x, value).

    Bracketed false position in the variant of Illinois (Dowell and Jarratt, BIT 11, 1971), with
    a halving at each third step against shapes that a secant fits badly. `function(x, i)` is the
    i-th one at x.
    """
    (a, at_a), (b, at_b) = low, high
    was_below = np.zeros(len(a), dtype=bool)
    for step in range(_MOST_STEPS):
        i = np.flatnonzero(b - a > _PRECISION * b)
        if not len(i):
            break
        share = at_b[i] / (at_b[i] - at_a[i]) if step % 3 < 2 else 0.5
        x = b[i] - share * (b[i] - a[i])
        value = function(x, i)
        below = value < 0
        # The end that stays a second time counts half, else it would stay for good.
        weight = np.where(below == was_below[i], 0.5, 1.0)
        at_a[i] = np.where(below, value, weight * at_a[i])
        at_b[i] = np.where(below, weight * at_b[i], value)
        a[i] = np.where(below | (value == 0), x, a[i])
        b[i] = np.where(below, b[i], x)
        was_below[i] = below
    return b
