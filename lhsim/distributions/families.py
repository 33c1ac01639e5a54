"""The textbook families, by their textbook parameters.

The closed forms are those of Johnson, Kotz and Balakrishnan, *Continuous Univariate
Distributions* (2nd ed., 1994).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import scipy  # it loads its parts on their first use, and scipy.stats takes a second
from attrs import field, frozen

from lhsim import checks
from lhsim.distributions import elementary
from lhsim.distributions.base import (
    Derived,
    Distribution,
    each,
    floats,
    one_for_each,
    unbounded,
)
from lhsim.distributions.compounds import Mixture
from lhsim.distributions.table import FloatArray
from lhsim.errors import InputError, shown, unknown_name
from lhsim.units import Seconds

_SMALL = 1e-4  # 1 / shape, below which lgamma cancels more than the next term of its series


@frozen
class Uniform(Distribution):
    """Each duration from `low` to `high` is equally likely."""

    name: ClassVar[str] = "uniform"

    low: Seconds = field(validator=checks.non_negative)  # [s]
    high: Seconds = field(validator=checks.positive)  # above low [s]

    def __attrs_post_init__(self) -> None:
        if self.high <= self.low:
            allowed = f"a number > {self.low!r}"
            raise InputError(f"{self.high!r} is not above low", key="high", allowed=allowed)

    @property
    def mean(self) -> float:
        """(low + high) / 2 [s]."""
        return (self.low + self.high) / 2

    @property
    def variance(self) -> float:
        """(high - low)^2 / 12 [s^2]."""
        return (self.high - self.low) ** 2 / 12

    def _quantile(self, u: FloatArray) -> FloatArray:
        return (1 - u) * self.low + u * self.high

    def _cdf(self, x: FloatArray) -> FloatArray:
        return np.clip((x - self.low) / (self.high - self.low), 0.0, 1.0)


@frozen
class Exponential(Distribution):
    """The memoryless distribution, of rate 1 / mean."""

    name: ClassVar[str] = "exponential"

    mean: Seconds = field(validator=checks.positive)  # [s]

    @property
    def variance(self) -> float:
        """mean^2 [s^2]."""
        return self.mean**2

    def _quantile(self, u: FloatArray) -> FloatArray:
        return -self.mean * elementary.log1p(-u)

    def _cdf(self, x: FloatArray) -> FloatArray:
        return -elementary.expm1(-x / self.mean)


@frozen
class Gamma(Distribution):
    """The gamma distribution by its mean and shape; its variance is mean^2 / shape."""

    name: ClassVar[str] = "gamma"

    mean: Seconds = field(validator=checks.positive)  # [s]
    shape: float = field(validator=checks.positive)

    @property
    def variance(self) -> float:
        """mean^2 / shape [s^2]."""
        return self.mean**2 / self.shape

    def _quantile(self, u: FloatArray) -> FloatArray:
        return np.asarray(self.mean / self.shape * scipy.special.gammaincinv(self.shape, u))

    def _cdf(self, x: FloatArray) -> FloatArray:
        return np.asarray(scipy.special.gammainc(self.shape, self.shape / self.mean * x))


@frozen
class Erlang(Derived, Distribution):
    """The sum of so many exponential stages of equal means: gamma, of variance mean^2 / stages."""

    name: ClassVar[str] = "erlang"

    mean: Seconds = field(validator=checks.positive)  # of the sum [s]
    stages: int = field(validator=checks.whole(1))

    @property
    def _form(self) -> Gamma:
        return Gamma(self.mean, float(self.stages))


@frozen
class Lognormal(Distribution):
    """The exponential of a normal variable of mean log(median) and standard deviation sigma."""

    name: ClassVar[str] = "lognormal"

    median: Seconds = field(validator=checks.positive)  # [s]
    sigma: float = field(validator=checks.positive)  # of the logarithm

    @property
    def mean(self) -> float:
        """Median times exp(sigma^2 / 2) [s]."""
        return self.median * unbounded(math.exp, self.sigma**2 / 2)

    @property
    def variance(self) -> float:
        """mean^2 (exp(sigma^2) - 1) [s^2]."""
        return _product(
            self.median**2, unbounded(math.exp, self.sigma**2), unbounded(math.expm1, self.sigma**2)
        )

    def _quantile(self, u: FloatArray) -> FloatArray:
        return self.median * elementary.exp(self.sigma * scipy.special.ndtri(u))

    def _cdf(self, x: FloatArray) -> FloatArray:
        return np.asarray(scipy.special.ndtr(elementary.log(x / self.median) / self.sigma))


@frozen
class Weibull(Distribution):
    """P(X > x) = exp(-(x / scale)^shape)."""

    name: ClassVar[str] = "weibull"

    scale: Seconds = field(validator=checks.positive)  # [s]
    shape: float = field(validator=checks.positive)

    @property
    def mean(self) -> float:
        """Scale times Gamma(1 + 1 / shape) [s]."""
        return self.scale * unbounded(math.exp, unbounded(math.lgamma, 1 + 1 / self.shape))

    @property
    def variance(self) -> float:
        """scale^2 (Gamma(1 + 2 / shape) - Gamma(1 + 1 / shape)^2) [s^2]."""
        if math.isinf(self.mean):
            return math.inf
        log_square = 2 * unbounded(math.lgamma, 1 + 1 / self.shape)
        log_ratio = self._log_ratio(log_square)
        return _product(
            self.scale**2, unbounded(math.exp, log_square), unbounded(math.expm1, log_ratio)
        )

    def _quantile(self, u: FloatArray) -> FloatArray:
        return self.scale * elementary.power(-elementary.log1p(-u), 1 / self.shape)

    def _log_ratio(self, log_square: float) -> float:
        """Return the logarithm of the mean square over the squared mean.

        Two logarithms that are nearly equal cancel: there, their Taylor series (Abramowitz and
        Stegun 6.1.33) with zeta(2), zeta(3) and zeta(4).
        """
        x = 1 / self.shape
        if x > _SMALL:
            return unbounded(math.lgamma, 1 + 2 * x) - log_square
        return x * x * (math.pi**2 / 6 - x * (2.404113806319189 - x * 7 * math.pi**4 / 180))

    def _cdf(self, x: FloatArray) -> FloatArray:
        return -elementary.expm1(-elementary.power(x / self.scale, self.shape))


@frozen
class Pareto(Distribution):
    """P(X > x) = (minimum / x)^alpha. The mean is infinite for alpha <= 1: no table then."""

    name: ClassVar[str] = "pareto"

    minimum: Seconds = field(validator=checks.positive)  # [s]
    alpha: float = field(validator=checks.positive)  # tail index

    @property
    def mean(self) -> float:
        """Minimum times alpha / (alpha - 1) [s]; infinite for alpha <= 1."""
        return self.minimum * self.alpha / (self.alpha - 1) if self.alpha > 1 else math.inf

    @property
    def variance(self) -> float:
        """mean^2 / (alpha (alpha - 2)) [s^2]; infinite for alpha <= 2."""
        return self.mean**2 / (self.alpha * (self.alpha - 2)) if self.alpha > 2 else math.inf

    def _quantile(self, u: FloatArray) -> FloatArray:
        return self.minimum * elementary.power(1 - u, -1 / self.alpha)

    def _cdf(self, x: FloatArray) -> FloatArray:
        return -elementary.expm1(-self.alpha * elementary.log(np.maximum(x / self.minimum, 1.0)))


@frozen
class Hyperexponential(Derived, Distribution):
    """Exponential with one of several means, chosen with these probabilities: scv >= 1."""

    name: ClassVar[str] = "hyperexponential"

    probabilities: tuple[float, ...] = field(converter=floats, validator=each(checks.positive))
    means: tuple[Seconds, ...] = field(converter=floats, validator=each(checks.positive))  # [s]

    def __attrs_post_init__(self) -> None:
        one_for_each("means", self.means, "probability", self.probabilities)
        total = math.fsum(self.probabilities)
        if not math.isclose(total, 1.0, rel_tol=1e-6):
            raise InputError(f"add up to {total!r}", key="probabilities", allowed="a sum of 1")

    @cached_property
    def _form(self) -> Mixture:
        return Mixture(self.probabilities, tuple(Exponential(mean) for mean in self.means))


def _shapes(given: Mapping[str, float]) -> dict[str, float]:
    if not isinstance(given, Mapping):
        allowed = "names and numbers"
        raise InputError(f"{shown(given)} is no table", key="parameters", allowed=allowed)
    checked = checks.number
    return {name: checked(one, f"parameters.{name}", "a number") for name, one in given.items()}


@frozen
class Scipy(Distribution):
    """Any continuous distribution of `scipy.stats` on durations >= 0, by its name there.

    ``Scipy("gengamma", {"a": 2.0, "c": 0.7}, scale=1e-3)`` is ``gengamma(a=2, c=0.7, scale=1e-3)``.
    """

    name: ClassVar[str] = "scipy"

    distribution: str
    # Its shapes
    parameters: dict[str, float] = field(factory=dict, converter=_shapes, hash=False)
    loc: Seconds = field(default=0.0, validator=checks.finite)  # [s]
    scale: Seconds = field(default=1.0, validator=checks.positive)  # [s]

    def __attrs_post_init__(self) -> None:
        shapes = [name.strip() for name in (_family(self.distribution).shapes or "").split(",")]
        needed = set(filter(None, shapes))
        for name in sorted(self.parameters.keys() - needed):
            raise unknown_name("parameter", name, needed, key=f"parameters.{name}")
        for name in sorted(needed - self.parameters.keys()):
            problem = f"is needed by {self.distribution}"
            raise InputError(problem, key=f"parameters.{name}", allowed="a number")
        least, _ = self._frozen.support()
        if math.isnan(least):
            problem = f"are out of the range of {self.distribution}"
            raise InputError(problem, key="parameters", allowed="see scipy.stats")
        if least < 0:
            problem = f"{self.distribution} reaches below 0 s (from {float(least)!r})"
            raise InputError(problem, key="loc", allowed="a distribution of durations >= 0")

    @cached_property
    def mean(self) -> float:
        """The mean according to scipy [s]."""
        return _moment(self._frozen.mean)

    @cached_property
    def variance(self) -> float:
        """The variance according to scipy [s^2]."""
        return _moment(self._frozen.var)

    def _quantile(self, u: FloatArray) -> FloatArray:
        return np.asarray(self._frozen.ppf(u))

    def _cdf(self, x: FloatArray) -> FloatArray:
        return np.asarray(self._frozen.cdf(x))

    @cached_property
    def _frozen(self) -> Any:
        family = _family(self.distribution)
        return family(**self.parameters, loc=self.loc, scale=self.scale)


def _family(name: str) -> Any:
    """Return the continuous distribution of `scipy.stats` with this name."""
    stats = scipy.stats
    family = getattr(stats, str(name), None)
    if isinstance(family, stats.rv_continuous):
        return family
    known = (key for key in dir(stats) if isinstance(getattr(stats, key), stats.rv_continuous))
    error = unknown_name("distribution of scipy.stats", str(name), known, key="distribution")
    allowed = "the name of a continuous one, such as gamma"  # there are over a hundred
    raise InputError(error.problem, key=error.key, allowed=allowed)


def _moment(compute: Callable[[], Any]) -> float:
    """Return a moment of scipy's, infinite where there is none that it could compute."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            moment = float(compute())
        except (ArithmeticError, ValueError):
            return math.inf
    return moment if moment >= 0 else math.inf  # NaN, too, or a failed integration


def _product(*factors: float) -> float:
    """Return a product, infinite as soon as one of the factors is."""
    return math.inf if math.inf in factors else math.prod(factors)
