"""Distributions that follow measured samples instead of a formula: piecewise linear ones."""

from __future__ import annotations

import functools
import heapq
import math
from functools import cached_property
from itertools import pairwise
from typing import ClassVar

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from lhsim import checks
from lhsim.distributions.base import Derived, Distribution, each, floats, one_for_each
from lhsim.distributions.table import FloatArray
from lhsim.errors import InputError
from lhsim.units import Seconds

MOST_POINTS = 1_000_000


@frozen
class Quantiles(Derived, Distribution):
    """A quantile function that is linear between a few points.

    Two points of equal values are an atom; two of equal probabilities are a gap.
    """

    name: ClassVar[str] = "quantiles"

    # from 0 to 1, ascending
    probabilities: tuple[float, ...] = field(
        converter=floats, validator=each(checks.within(0.0, 1.0))
    )
    # the quantiles there, ascending [s]
    values: tuple[Seconds, ...] = field(converter=floats, validator=each(checks.non_negative))

    def __attrs_post_init__(self) -> None:
        one_for_each("values", self.values, "probability", self.probabilities)
        if self.probabilities[0] != 0.0 or self.probabilities[-1] != 1.0:
            problem = f"go from {self.probabilities[0]!r} to {self.probabilities[-1]!r}"
            allowed = "numbers from 0 to 1, both included"
            raise InputError(problem, key="probabilities", allowed=allowed)
        for key in ("probabilities", "values"):
            if any(left > right for left, right in pairwise(getattr(self, key))):
                raise InputError("decrease", key=key, allowed="numbers in ascending order")

    @cached_property
    def _form(self) -> PiecewiseLinear:
        return PiecewiseLinear(np.array(self.probabilities), np.array(self.values))


@frozen
class Empirical(Derived, Distribution):
    """The distribution of measured samples.

    Its quantile function is linear between the points ((i - 1/2) / n, i-th smallest sample) and
    constant beyond them (Hazen's rule). So the mean is that of the samples, the variance a
    little less than theirs, no draw lies outside of what was measured, equal samples make an atom,
    and the distribution function differs from that of the samples by at most 1 / (2 n).
    """

    name: ClassVar[str] = "empirical"

    samples: tuple[Seconds, ...] = field(converter=floats, validator=each(checks.non_negative))

    def compact(self, points: int = 64) -> Quantiles:
        """Return nearly the same distribution by at most so many points.

        Half of the points are spread evenly over the probabilities, so that the distribution
        function moves by less than 2 / (points - 2) + 1 / n. Each further one goes where it
        helps most: to the piece with the largest error in probability, mean and variance.

        Raises
        ------
        InputError
            For less than 8 points.
        """
        points = checks.whole_number(points, "points", most=MOST_POINTS)
        if points < 8:
            raise InputError(f"{points} are too few", key="points", allowed="a whole number >= 8")
        levels, values = self._form.levels, self._form.values
        scaled = values / (values[-1] or 1.0)
        even = np.searchsorted(levels, np.linspace(0, 1, points // 2))
        kept = sorted({0, *even.tolist(), len(levels) - 1})
        worst_point = functools.partial(
            _worst_point, levels, scaled, float(np.mean(scaled)), float(np.std(scaled))
        )
        pieces = [worst_point(low, high) for low, high in pairwise(kept)]
        heapq.heapify(pieces)
        while len(kept) < points and pieces[0][0] < 0:
            _, low, split, high = heapq.heappop(pieces)
            kept.append(split)
            heapq.heappush(pieces, worst_point(low, split))
            heapq.heappush(pieces, worst_point(split, high))
        kept.sort()
        return Quantiles(tuple(levels[kept].tolist()), tuple(values[kept].tolist()))

    @cached_property
    def _form(self) -> PiecewiseLinear:
        values = np.sort(np.array(self.samples, dtype=float))
        levels = (np.arange(len(values)) + 0.5) / len(values)
        return PiecewiseLinear(
            np.concatenate([[0.0], levels, [1.0]]),
            np.concatenate([values[:1], values, values[-1:]]),
        )


def _worst_point(
    levels: FloatArray, values: FloatArray, mean: float, std: float, low: int, high: int
) -> tuple[float, int, int, int]:
    """Return (-error, low, split, high) of the straight piece between the knots low and high.

    The split is the knot that is farthest from the piece. The error is that in probability and
    a bound of those in the mean and in the variance, relative to these.
    """
    rise, run = values[high] - values[low], levels[high] - levels[low]
    if rise == 0 or run == 0 or high - low < 2:
        return 0.0, low, low, high
    inside = slice(low + 1, high)
    distance = np.abs((values[inside] - values[low]) / rise - (levels[inside] - levels[low]) / run)
    worst = int(np.argmax(distance))
    error = distance[worst] * run * (1 + rise / mean + (rise / std) ** 2)
    return -float(error), low, low + 1 + worst, high


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
    def breaks(self) -> FloatArray:
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
