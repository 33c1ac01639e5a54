"""Piecewise-linear quantile functions: empirical ones, and the results of a convolution."""

from __future__ import annotations

import math

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from lhsim.distributions.table import FloatArray


@frozen(eq=False)
class PiecewiseLinear:
    """A quantile function that is linear between knots (level, value).

    Two knots of one level are a gap in the values; two of one value are an atom.

    Parameters
    ----------
    levels
        From 0 to 1, ascending.
    values
        The quantiles at the levels [s], ascending.
    """

    levels: FloatArray = field()
    values: FloatArray = field()

    @property
    def inner_levels(self) -> FloatArray:
        """The levels between 0 and 1, each once."""
        return np.unique(self.levels[(self.levels > 0) & (self.levels < 1)])

    @property
    def mean(self) -> float:
        """The mean [s]."""
        return math.fsum(np.diff(self.levels) * (self.values[1:] + self.values[:-1]) / 2)

    @property
    def variance(self) -> float:
        """The variance [s^2]."""
        low, high = self.values[:-1] - self.mean, self.values[1:] - self.mean
        return math.fsum(np.diff(self.levels) * (low * low + low * high + high * high) / 3)

    def quantile(self, u: FloatArray) -> FloatArray:
        """Return the smallest values [s] that are not exceeded with the probabilities `u`."""
        upper = np.searchsorted(self.levels, u, side="left").clip(1, len(self.levels) - 1)
        return _interpolate(u, upper, self.levels, self.values)

    def cdf(self, x: FloatArray) -> FloatArray:
        """Return the probabilities of at most `x` [s]."""
        upper = np.searchsorted(self.values, x, side="right").clip(1, len(self.values) - 1)
        inside = _interpolate(x, upper, self.values, self.levels)
        return np.where(x < self.values[0], 0.0, np.where(x >= self.values[-1], 1.0, inside))


def _interpolate(
    x: FloatArray, upper: NDArray[np.int64], knots: FloatArray, heights: FloatArray
) -> FloatArray:
    """Return the heights at `x` on the line up to the knot `upper`; of a step, the lower height."""
    low, high = knots[upper - 1], knots[upper]
    step = high == low
    share = np.where(step, 0.0, (x - low) / np.where(step, 1.0, high - low)).clip(0.0, 1.0)
    bottom, top = heights[upper - 1], heights[upper]
    return np.clip(bottom + share * (top - bottom), bottom, top)
