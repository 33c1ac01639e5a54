"""Maximum likelihood estimates of the families that service times are fitted with.

Each estimator takes samples [s] and, to begin from, an earlier estimate of the same family or
None. It returns None where its family cannot be fitted, such as a lognormal to a sample of 0 s.

The shift of a shifted family stays a little below the least sample: where the density has no
bound, the likelihood is infinite at the sample itself and says nothing (Cheng and Traylor, 1995,
*Non-regular maximum likelihood problems*).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np
import scipy  # it loads its parts on their first use, and scipy.optimize takes its time

from lhsim.distributions.base import Distribution
from lhsim.distributions.compounds import Mixture, Shifted
from lhsim.distributions.families import Exponential, Gamma, Lognormal, Weibull
from lhsim.distributions.table import FloatArray

_NARROWEST = 1e-5  # standard deviation of the logarithms
Estimator = Callable[[FloatArray, Distribution | None], Distribution | None]


def exponential(samples: FloatArray, _start: Distribution | None = None) -> Distribution | None:
    """Estimate an `Exponential`: its mean is that of the samples, which are not all 0."""
    mean = float(np.mean(samples))
    return Exponential(mean) if mean > 0 else None


def gamma(samples: FloatArray, _start: Distribution | None = None) -> Distribution | None:
    """Estimate a `Gamma` (Minka, 2002, *Estimating a gamma distribution*)."""
    if not _is_regular(samples):
        return None
    mean, mean_log = float(np.mean(samples)), float(np.mean(np.log(samples)))
    gap = math.log(mean) - mean_log
    shape = (3 - gap + math.sqrt((gap - 3) ** 2 + 24 * gap)) / (12 * gap)
    for _ in range(5):
        slope = 1 / shape - float(scipy.special.polygamma(1, shape))
        step = (math.log(shape) - float(scipy.special.digamma(shape)) - gap) / (shape**2 * slope)
        shape = 1 / (1 / shape + step)
    return Gamma(mean, shape)


def lognormal(samples: FloatArray, _start: Distribution | None = None) -> Distribution | None:
    """Estimate a `Lognormal` from the mean and the standard deviation of the logarithms."""
    if not _is_regular(samples):
        return None
    logs = np.log(samples)
    return Lognormal(math.exp(np.mean(logs)), float(np.std(logs)))


def weibull(samples: FloatArray, _start: Distribution | None = None) -> Distribution | None:
    """Estimate a `Weibull`: its shape is the root of an increasing function."""
    if not _is_regular(samples):
        return None
    logs = np.log(samples)
    top, mean_log = float(np.max(logs)), float(np.mean(logs))

    def score(shape: float) -> float:
        powers = np.exp(shape * (logs - top))
        return float(np.average(logs, weights=powers)) - mean_log - 1 / shape

    guess = 1.28 / float(np.std(logs))  # the standard deviation of a log-Weibull is 1.28 / shape
    shape = float(scipy.optimize.brentq(score, guess / 30, guess * 30))
    log_scale = top + math.log(np.mean(np.exp(shape * (logs - top)))) / shape
    return Weibull(math.exp(log_scale), shape)


def shifted(estimator: Estimator) -> Estimator:
    """Return the estimator of a family with a shift, by the profile of the likelihood."""

    def estimate(samples: FloatArray, _start: Distribution | None = None) -> Distribution | None:
        bounds = log_gaps(samples)
        if bounds is None:
            return None
        least = float(samples.min())

        def candidate(log_gap: float) -> Distribution | None:
            shift = max(least - math.exp(log_gap), 0.0)
            base = estimator(samples - shift, None)
            return base and Shifted(base, shift)

        def loss(log_gap: float) -> float:
            distribution = candidate(log_gap)
            return -float(np.mean(log_density(distribution, samples))) if distribution else math.inf

        best = scipy.optimize.minimize_scalar(
            loss, bounds=bounds, method="bounded", options={"xatol": 0.01}
        )
        return candidate(float(best.x))

    return estimate


def log_gaps(samples: FloatArray) -> tuple[float, float] | None:
    """Return the range of the logarithm of the gap between the shift and the least sample [s].

    The smallest gap is what lies between two samples on average; the largest is without a shift.
    """
    if not 0 < samples.min() < samples.max():
        return None
    least = float(samples.min())
    smallest = (float(np.mean(samples)) - least) / len(samples)
    return math.log(np.clip(smallest, 1e-9 * least, least)), math.log(least)


def _is_regular(samples: FloatArray) -> bool:
    """Whether the samples have logarithms with a spread that is more than rounding."""
    return bool(samples.min() > 0 and np.std(np.log(samples)) > _NARROWEST)


@functools.singledispatch
def log_density(distribution: Distribution, x: FloatArray) -> FloatArray:
    """Return the logarithm of the density [1/s] at `x` [s]; for the families estimated here."""
    raise TypeError(f"no density is written down for {distribution}")


@log_density.register
def _(distribution: Exponential, x: FloatArray) -> FloatArray:
    return -x / distribution.mean - math.log(distribution.mean)


@log_density.register
def _(distribution: Gamma, x: FloatArray) -> FloatArray:
    shape, rate = distribution.shape, distribution.shape / distribution.mean
    constant = shape * math.log(rate) - math.lgamma(shape)
    return constant + (shape - 1) * np.log(x) - rate * x


@log_density.register
def _(distribution: Lognormal, x: FloatArray) -> FloatArray:
    z = np.log(x / distribution.median) / distribution.sigma
    return -(z**2) / 2 - np.log(x * (distribution.sigma * math.sqrt(2 * math.pi)))


@log_density.register
def _(distribution: Weibull, x: FloatArray) -> FloatArray:
    shape, logs = distribution.shape, np.log(x / distribution.scale)
    return math.log(shape) + shape * logs - np.exp(shape * logs) - np.log(x)


@log_density.register
def _(distribution: Shifted, x: FloatArray) -> FloatArray:
    return log_density(distribution.base, x - distribution.by)


@log_density.register
def _(distribution: Mixture, x: FloatArray) -> FloatArray:
    weights = np.array(distribution.weights) / math.fsum(distribution.weights)
    parts = [log_density(part, x) for part in distribution.components]
    return np.asarray(scipy.special.logsumexp(parts, axis=0, b=weights[:, None]))
