"""Distributions made of others: mixed, shifted, scaled, added up. They may be nested."""

from __future__ import annotations

import functools
import math
from functools import cached_property
from typing import ClassVar

import numpy as np
from attrs import field, frozen

from lhsim import checks
from lhsim.distributions.base import (
    Derived,
    Distribution,
    each,
    floats,
    is_distribution,
    one_for_each,
    unbounded,
)
from lhsim.distributions.convolution import convolve
from lhsim.distributions.empirical import Quantiles
from lhsim.distributions.inversion import invert
from lhsim.distributions.table import LEVELS, FloatArray
from lhsim.errors import InputError
from lhsim.units import Seconds, format_duration

_MOST_KEPT = 50_000  # levels at a time whose quantiles are kept


@frozen
class Mixture(Distribution):
    """One of the components, chosen with probabilities in proportion to the weights."""

    name: ClassVar[str] = "mixture"

    weights: tuple[float, ...] = field(converter=floats, validator=each(checks.positive))
    components: tuple[Distribution, ...] = field(
        converter=checks.as_tuple, validator=each(is_distribution)
    )

    def __attrs_post_init__(self) -> None:
        one_for_each("weights", self.weights, "component", self.components)

    @property
    def mean(self) -> float:
        """The weighted mean of the components' means [s]."""
        return unbounded(math.fsum, (p * part.mean for p, part in self._parts))

    @property
    def variance(self) -> float:
        """The variance within the components and between their means [s^2]."""
        mean = self.mean
        if math.isinf(mean):
            return math.inf
        return unbounded(
            math.fsum,
            (p * (part.variance + unbounded(pow, part.mean - mean, 2)) for p, part in self._parts),
        )

    @property
    def breaks(self) -> FloatArray:
        """Where a component begins, ends, bends or jumps, on either side of it."""
        points = np.concatenate([_corners(part) for part in self.components])
        before = np.nextafter(points, -math.inf)
        levels = np.unique(self.cdf(np.concatenate([before, points])))
        return levels[(levels > 0) & (levels < 1)]

    def _quantile(self, u: FloatArray) -> FloatArray:
        if u.size > _MOST_KEPT:
            return invert(self.cdf, u, *self._grid)
        return _quantiles_of(self, u.tobytes()).reshape(u.shape).copy()

    def _cdf(self, x: FloatArray) -> FloatArray:
        return np.asarray(sum(p * part.cdf(x) for p, part in self._parts))

    @property
    def _parts(self) -> list[tuple[float, Distribution]]:
        whole = math.fsum(self.weights)
        weights = [weight / whole for weight in self.weights]
        return list(zip(weights, self.components, strict=True))

    @cached_property
    def _grid(self) -> tuple[FloatArray, FloatArray]:
        """Durations [s] from the least to the greatest, close together, and the cdf there."""
        lowest, highest = np.ldexp(1.0, np.arange(-1074, -42)), np.ldexp(1.0, np.arange(-53, -42))
        levels = np.concatenate([lowest, LEVELS, 1 - highest])
        quantiles = [part.quantile(levels) for part in self.components]
        corners = np.concatenate([_corners(part) for part in self.components])
        grid = np.unique(np.concatenate([*quantiles, corners, np.nextafter(corners, -math.inf)]))
        grid = grid[grid >= corners.min()]
        return grid, np.maximum.accumulate(self.cdf(grid))


@functools.lru_cache(maxsize=64)
def _quantiles_of(mixture: Mixture, levels: bytes) -> FloatArray:
    """Return quantiles [s] of a mixture, kept for who asks for the same levels again.

    A calibration tabulates one mixture a hundred times, scaled by another factor each time.
    """
    return invert(mixture.cdf, np.frombuffer(levels), *mixture._grid)


def _corners(part: Distribution) -> FloatArray:
    """Return the finite durations [s] at which the cdf of `part` begins, ends, bends or jumps."""
    levels = np.concatenate([part.breaks, np.nextafter(part.breaks, 1), [0.0, 1.0]])
    points = part.quantile(levels)
    return np.unique(points[np.isfinite(points)])


@frozen
class Shifted(Distribution):
    """Another distribution and a constant; a negative one only where the sum stays >= 0."""

    name: ClassVar[str] = "shifted"

    base: Distribution = field(validator=is_distribution)
    by: Seconds = field(validator=checks.finite)  # [s]

    def __attrs_post_init__(self) -> None:
        least = float(self.base.quantile(0.0))
        if least + self.by < 0:
            problem = f"{self.by!r} would give durations below 0 s"
            allowed = f"a duration of at least {format_duration(-least)}"
            raise InputError(problem, key="by", allowed=allowed)

    @property
    def mean(self) -> float:
        """The mean of the base and the shift [s]."""
        return self.base.mean + self.by

    @property
    def variance(self) -> float:
        """The variance of the base [s^2]."""
        return self.base.variance

    @property
    def breaks(self) -> FloatArray:
        """Those of the base."""
        return self.base.breaks

    def _quantile(self, u: FloatArray) -> FloatArray:
        return self.base.quantile(u) + self.by

    def _cdf(self, x: FloatArray) -> FloatArray:
        return self.base.cdf(x - self.by)


@frozen
class Scaled(Distribution):
    """Another distribution times a constant."""

    name: ClassVar[str] = "scaled"

    base: Distribution = field(validator=is_distribution)
    by: float = field(validator=checks.positive)

    @property
    def mean(self) -> float:
        """The mean of the base times the constant [s]."""
        return self.base.mean * self.by

    @property
    def variance(self) -> float:
        """The variance of the base times the squared constant [s^2]."""
        return self.base.variance * self.by**2

    @property
    def breaks(self) -> FloatArray:
        """Those of the base."""
        return self.base.breaks

    def _quantile(self, u: FloatArray) -> FloatArray:
        return self.base.quantile(u) * self.by

    def _cdf(self, x: FloatArray) -> FloatArray:
        return self.base.cdf(x / self.by)


def scaled(distribution: Distribution, by: float) -> Distribution:
    """Return a distribution times a constant > 0, as simple as it can be written."""
    if by == 1 or distribution.mean == 0:
        return distribution
    if isinstance(distribution, Scaled):
        return Scaled(distribution.base, distribution.by * by)
    return Scaled(distribution, by)


@frozen
class Sum(Derived, Distribution):
    """The sum of independent durations, convolved from the quantile tables of its terms.

    Mean and variance are those of the terms, exactly. Constant terms are exact shifts. The rest is
    as accurate as the tables; see `lhsim.distributions.convolution`.
    """

    name: ClassVar[str] = "sum"

    terms: tuple[Distribution, ...] = field(
        converter=checks.as_tuple, validator=each(is_distribution)
    )

    def __attrs_post_init__(self) -> None:
        for term in self.terms:
            if math.isinf(term.mean):
                allowed = "distributions with a finite mean"
                raise InputError(f"{term} has an infinite mean", key="terms", allowed=allowed)

    @property
    def mean(self) -> float:
        """The sum of the means [s]."""
        return unbounded(math.fsum, (term.mean for term in self.terms))

    @property
    def variance(self) -> float:
        """The sum of the variances [s^2]."""
        return unbounded(math.fsum, (term.variance for term in self.terms))

    @cached_property
    def _form(self) -> Distribution:
        ends = [(term, *term.quantile([0.0, 1.0]).tolist()) for term in self.terms]
        constant = math.fsum(low for _, low, high in ends if low == high)
        random = [term for term, low, high in ends if low < high]
        if not random:
            return Quantiles((0.0, 1.0), (constant, constant))
        return Shifted(functools.reduce(_convolved, random), constant)


def _convolved(first: Distribution, second: Distribution) -> Distribution:
    levels, values = convolve(first.table(), second.table())
    return Quantiles(tuple(levels.tolist()), tuple(values.tolist()))
