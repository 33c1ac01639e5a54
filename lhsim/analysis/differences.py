"""By how much two samples differ, and which of many differences are more than chance.

Replications of two systems under the same seeds are pairs: the interval of their mean difference is
Student's, as in `lhsim.analysis.comparison`. Without pairs the difference of two means of n and m
values has the squared error s_a^2 / n + s_b^2 / m, and degrees of freedom by Welch (1947, The
generalization of "Student's" problem when several different population variances are involved,
Biometrika 34, 28-35). Of two figures that are known by their intervals alone, the interval of the
difference b - a is that of Zou and Donner (2008, Construction of confidence limits about effect
measures, Statistics in Medicine 27, 1693-1702) ::

    low = b - a - sqrt((b - low_b)^2 + (high_a - a)^2),  high likewise

Of many comparisons some look real by chance. Holm's correction (1979, A simple sequentially
rejective multiple test procedure, Scand. J. Statist. 6, 65-70) keeps the chance to find any
difference where there is none below the level of the test, whatever the comparisons have in common.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from attrs import frozen
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from lhsim.analysis.intervals import Estimate
from lhsim.checks import column

ROUNDING = 1e-9  # of a figure: a smaller difference is none


@frozen
class Difference:
    """How far the figure of `b` lies above that of `a`."""

    a: float  # in the unit of the values, like the next four; NaN where nothing is known
    b: float
    value: float  # b - a
    low: float  # ends of the interval; NaN without a spread
    high: float
    p_value: float  # chance of so large a difference, in either direction, where there is none

    def p_beyond(self, sign: int) -> float:
        """Return the p-value of the claim that the difference has this sign: 1 or -1."""
        return self.p_value / 2 if sign * self.value > 0 else 1 - self.p_value / 2


def paired(a: ArrayLike, b: ArrayLike, confidence: float = 0.95) -> Difference:
    """Return the difference of two samples whose values are pairs; one with a NaN is left out."""
    pairs = np.column_stack([np.asarray(a, float), np.asarray(b, float)])
    pairs = pairs[~np.isnan(pairs).any(axis=1)]
    error = _error(pairs[:, 1] - pairs[:, 0])
    return _student(pairs[:, 0], pairs[:, 1], error, len(pairs) - 1, confidence)


def unpaired(a: ArrayLike, b: ArrayLike, confidence: float = 0.95) -> Difference:
    """Return the difference of two independent samples, without their NaNs."""
    first, second = (_known(values) for values in (a, b))
    errors = np.array([_error(first), _error(second)])
    squared = errors**2
    total = float(squared.sum())
    freedom = math.nan
    if total > 0:
        freedom = total**2 / float((squared**2 / [len(first) - 1, len(second) - 1]).sum())
    return _student(first, second, math.sqrt(total), freedom, confidence)


def between_estimates(a: Estimate, b: Estimate, confidence: float = 0.95) -> Difference:
    """Return the difference of two independent figures with intervals of this confidence."""
    value = b.value - a.value
    below = math.hypot(b.value - b.low, a.high - a.value)
    above = math.hypot(b.high - b.value, a.value - a.low)
    toward_none = below if value > 0 else above  # the side on which 0 lies
    if toward_none == 0:
        p_value = float(value == 0)
    else:
        deviations = float(ndtri((1 + confidence) / 2)) * abs(value) / toward_none
        p_value = 2 * float(ndtr(-deviations))
    return Difference(a.value, b.value, value, value - below, value + above, p_value)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values that are adjusted for their number, in the same order."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = largest
    return adjusted


def _student(
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    error: float,
    freedom: float,
    confidence: float,
) -> Difference:
    if not (len(a) and len(b)):
        return Difference(*[math.nan] * 6)
    first, second = float(a.mean()), float(b.mean())
    value = second - first
    if abs(value) <= ROUNDING * max(abs(first), abs(second)):
        value = 0.0
    if error == 0:  # no chance is in it: all runs agree
        return Difference(first, second, value, value, value, float(value == 0))
    half = float(stdtrit(freedom, (1 + confidence) / 2)) * error
    p_value = 2 * float(stdtr(freedom, -abs(value) / error))
    return Difference(first, second, value, value - half, value + half, p_value)


def _error(values: NDArray[np.float64]) -> float:
    """Return the standard error of a mean, 0 where only rounding has made a spread."""
    if len(values) < 2:
        return math.nan
    spread = float(values.std(ddof=1))
    return spread / math.sqrt(len(values)) if spread > ROUNDING * abs(values).max() else 0.0


def _known(values: ArrayLike) -> NDArray[np.float64]:
    given = column(values, "values")
    return given[~np.isnan(given)]
