"""The distribution of the sum of two independent durations, both given by their quantile tables.

A table is a mixture of uniform cells, so with F the distribution function of the second one,

    P(X + Y <= x)  =  sum over the cells [a, b] of X of  p  times the mean of F over [x - b, x - a]

is exact: F is piecewise linear, its integral piecewise quadratic. The upper half of the sum is
computed as the lower half of its mirror image, so that small probabilities are exact in both tails.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from lhsim._jit import jit
from lhsim.distributions import elementary
from lhsim.distributions.table import BODY, PROBABILITIES, FloatArray, QuantileTable

_STEPS = 32  # knots per octave of a tail
_LOWER_OCTAVES, _UPPER_OCTAVES = 42, 53
_COARSE_TO_FINE = 8, 8, 8  # each pass narrows the knots around an atom by the levels in it

_NEGLIGIBLE = 2e-5  # of the mean, within one piece
_FILLING = 16  # pieces that a wider one is cut into


def convolve(first: QuantileTable, second: QuantileTable) -> tuple[FloatArray, FloatArray]:
    """Return levels from 0 to 1, and there the quantiles [s] of the sum of two draws."""
    least = first.cells[0, 0], second.cells[0, 0]
    levels = _levels()
    x = first.quantile(levels) - least[0] + second.quantile(levels) - least[1]
    cdf = functools.partial(
        _cdf,
        first=first.cells - [least[0], 0],
        second=second.cells - [least[1], 0],
        middle=x[len(x) // 2],
    )
    for step in _COARSE_TO_FINE:
        knots = x[::step]
        x = np.interp(levels, cdf(knots), knots)
    reached = cdf(x)
    more = _inside_gaps(x, reached, _NEGLIGIBLE * (first.mean + second.mean - least[0] - least[1]))
    reached = np.sort(np.concatenate([reached, cdf(more), [0.0, 1.0]]))
    x = np.sort(np.concatenate([x, more, [0.0, x[-1]]]))
    return reached, x + (least[0] + least[1])


def _levels() -> FloatArray:
    """Return levels in (0, 1) with equal steps in the middle and equal ratios in the tails."""
    octaves = np.arange(_STEPS, _UPPER_OCTAVES * _STEPS + 1) / _STEPS
    ratios = elementary.exp(-octaves * math.log(2))
    lower = ratios[: (_LOWER_OCTAVES - 1) * _STEPS + 1]
    return np.unique(np.concatenate([lower, np.arange(1, BODY) / BODY, 1 - ratios]))


def _inside_gaps(x: FloatArray, reached: FloatArray, negligible: float) -> FloatArray:
    """Return durations inside the pieces whose straightness could matter for the mean."""
    wide = np.flatnonzero(np.diff(x) * np.diff(reached) > negligible)
    steps = np.arange(1, _FILLING) / _FILLING
    return np.sort(x[wide, None] + np.diff(x)[wide, None] * steps, axis=None)


def _cdf(x: FloatArray, first: FloatArray, second: FloatArray, middle: float) -> FloatArray:
    """Return P(X + Y <= x) for ascending `x` up to the middle, and P(X + Y < x) beyond it."""
    lower, upper = x[x <= middle], x[x > middle]
    below = _reach(lower, first, PROBABILITIES, *_integrated(second))
    mirrored = _mirrored(first), PROBABILITIES[::-1], *_integrated(_mirrored(second))
    above = _reach(-upper[::-1], *mirrored)[::-1]
    return np.maximum.accumulate(np.append(below, 1 - above))


def _mirrored(cells: FloatArray) -> FloatArray:
    """Return the cells of the negative of a duration."""
    return np.column_stack([-cells.sum(axis=1), cells[:, 1]])[::-1]


def _integrated(cells: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the ends of the cells [s], and there the distribution function and its integral."""
    knots = np.column_stack([cells[:, 0], cells.sum(axis=1)]).ravel()
    reached = np.cumsum(PROBABILITIES)
    cdf = np.column_stack([reached - PROBABILITIES, reached]).ravel()
    integral = np.append(0.0, np.cumsum(np.diff(knots) * (cdf[1:] + cdf[:-1]) / 2))
    return knots, cdf, integral


@jit
def _reach(
    x: FloatArray,
    cells: FloatArray,
    probabilities: FloatArray,
    knots: FloatArray,
    cdf: FloatArray,
    integral: FloatArray,
) -> FloatArray:
    """Return the probability that a draw from the cells and one from the knots reach at most x.

    From cell to cell the rest of x gets smaller, so the knots are walked down only once per x.
    """
    result = np.zeros(len(x))
    for i in range(len(x)):
        k = len(knots) - 1
        for cell in range(len(cells)):
            rest = x[i] - cells[cell, 0]
            k = _last_at_most(rest, k, knots)
            if k < 0:
                break
            mean, high_integral = _at(rest, k, knots, cdf, integral)
            width = cells[cell, 1]
            if width > 0:
                k = _last_at_most(rest - width, k, knots)
                low, low_integral = _at(rest - width, k, knots, cdf, integral)
                # In a narrow cell the difference is mostly rounding: the ends bound it.
                mean = min(max((high_integral - low_integral) / width, low), mean)
            result[i] += probabilities[cell] * mean
    return result


@jit
def _last_at_most(x: float, k: int, knots: FloatArray) -> int:
    """Return the last of the knots up to the k-th that is not above x, or -1."""
    while k >= 0 and knots[k] > x:
        k -= 1
    return k


@jit
def _at(
    x: float, k: int, knots: FloatArray, cdf: FloatArray, integral: FloatArray
) -> tuple[float, float]:
    """Return the distribution function and its integral at x, which follows on the k-th knot."""
    if k < 0:
        return 0.0, 0.0
    beyond = x - knots[k]
    height = cdf[k]
    if k + 1 < len(knots):
        height += (cdf[k + 1] - cdf[k]) * (beyond / (knots[k + 1] - knots[k]))
    return height, integral[k] + beyond * (cdf[k] + height) / 2
