"""The shifted mixture of two lognormals: what most measured service times look like.

One component is the usual case, the other one a slower path or an interruption. With samples x,
a shift s and y = log(x - s), it is a mixture of two normal variables y, for which
expectation-maximisation is robust but slow (McLachlan and Peel, 2000, *Finite Mixture Models*,
chapter 3). It is run a little from several starts; from the best one, a truncated Newton search
goes on, with the shift as one parameter more.
"""

from __future__ import annotations

import itertools
import math
from typing import cast

import numpy as np
import scipy  # it loads its parts on their first use

from lhsim.distributions.base import Distribution
from lhsim.distributions.compounds import Mixture, Shifted
from lhsim.distributions.estimation import log_gaps
from lhsim.distributions.families import Lognormal
from lhsim.distributions.table import FloatArray

_SIGMAS = 0.01, 5.0  # the allowed range: a narrower component would catch single values
_LOG_MEANS = -50.0, 50.0  # relative to the median: no bound in practice
_RAREST = 0.001  # weight
_SPLITS = 0.5, 0.9  # shares of the samples that the lower component starts with
_SHIFTS = 5  # to start from
_EM_STEPS = 30


def shifted_lognormals(
    samples: FloatArray, start: Distribution | None = None
) -> Distribution | None:
    """Estimate a shifted mixture of two `Lognormal` distributions, from an earlier one if given.

    The parameters of the search are theta = (log gap, log odds of the first component, its mean
    and the other's, log of its standard deviation and of the other's), where the gap is that
    between the shift and the least sample and all of them belong to samples in units of the median.
    """
    gaps = log_gaps(samples)
    if gaps is None:
        return None
    least, unit = float(samples.min()), float(np.median(samples))
    excess = (samples - least) / unit
    bounds = _bounds(gaps, unit)
    if start is None:
        grid = itertools.product(np.linspace(*bounds[0], _SHIFTS).tolist(), _SPLITS)
        starts = [_em(excess, log_gap, split) for log_gap, split in grid]
    else:
        starts = [_theta(start, least, unit)]
    best = min(
        (_clip(theta, bounds) for theta in starts), key=lambda theta: _loss(theta, excess)[0]
    )
    # TNC calls no LAPACK, whose threads cost far more than the search on a busy machine.
    found = scipy.optimize.minimize(
        _loss, best, (excess,), method="TNC", jac=True, bounds=bounds, options={"maxfun": 500}
    )
    return _distribution(found.x, least, unit)


def _bounds(gaps: tuple[float, float], unit: float) -> list[tuple[float, float]]:
    """Return the least and the greatest value of each parameter."""
    low, high = (log_gap - math.log(unit) for log_gap in gaps)
    log_odds = math.log(1 / _RAREST - 1)
    log_sigmas = math.log(_SIGMAS[0]), math.log(_SIGMAS[1])
    return [(low, high), (-log_odds, log_odds), _LOG_MEANS, _LOG_MEANS, log_sigmas, log_sigmas]


def _clip(theta: FloatArray, bounds: list[tuple[float, float]]) -> FloatArray:
    low, high = np.transpose(bounds)
    return np.clip(theta, low, high)


def _em(excess: FloatArray, log_gap: float, split: float) -> FloatArray:
    """Return theta after some steps of expectation-maximisation at a fixed shift."""
    y = np.log(excess + math.exp(log_gap))
    lower = (y <= np.quantile(y, split)).astype(float)
    shares = np.stack([lower, 1 - lower])
    theta = np.empty(0)
    for _ in range(_EM_STEPS):
        weights = np.maximum(shares.mean(axis=1), _RAREST)
        means = (shares * y).mean(axis=1) / weights
        variances = (shares * (y - means[:, None]) ** 2).mean(axis=1) / weights
        log_sigmas = np.clip(np.log(variances + 1e-300) / 2, *np.log(_SIGMAS))
        log_odds = math.log(weights[0] / weights[1])
        theta = np.array([log_gap, log_odds, *means, *log_sigmas])
        _, shares, _ = _densities(theta, y)
    return theta


def _densities(theta: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the log density at each y, each component's share of it, and (y - mean) / sigma."""
    log_weights = -np.logaddexp(0, [-theta[1], theta[1]])
    z = (y - theta[2:4, None]) * np.exp(-theta[4:, None])
    logs = (log_weights - theta[4:])[:, None] - z**2 / 2
    total = np.logaddexp(logs[0], logs[1])
    return total - math.log(2 * math.pi) / 2, np.exp(logs - total), z


def _loss(theta: FloatArray, excess: FloatArray) -> tuple[float, FloatArray]:
    """Return the negative mean log-likelihood and its gradient."""
    gap = math.exp(theta[0])
    shifted = excess + gap
    y = np.log(shifted)
    density, shares, z = _densities(theta, y)
    weight = 1 / (1 + math.exp(-theta[1]))
    pull = shares * z * np.exp(-theta[4:, None])  # the derivative with respect to the means
    gradient = [
        np.mean((-pull.sum(axis=0) - 1) * (gap / shifted)),
        np.mean(shares[0]) - weight,
        *pull.mean(axis=1),
        *(shares * (z**2 - 1)).mean(axis=1),
    ]
    return -float(np.mean(density - y)), -np.array(gradient)


def _distribution(theta: FloatArray, least: float, unit: float) -> Distribution:
    """Return the mixture with these parameters, the faster component first."""
    weight = 1 / (1 + math.exp(-theta[1]))
    medians, sigmas = np.exp(theta[2:4]) * unit, np.exp(theta[4:])
    parts = sorted(zip(medians.tolist(), sigmas.tolist(), [weight, 1 - weight], strict=True))
    mixture = Mixture(
        [weight for *_, weight in parts], [Lognormal(median, sigma) for median, sigma, _ in parts]
    )
    return Shifted(mixture, max(least - math.exp(theta[0]) * unit, 0.0))


def _theta(start: Distribution, least: float, unit: float) -> FloatArray:
    """Return the parameters of an earlier estimate, for other samples."""
    shifted = cast(Shifted, start)
    mixture = cast(Mixture, shifted.base)
    first, other = cast(tuple[Lognormal, Lognormal], mixture.components)
    gap = max(least - shifted.by, 1e-300)
    odds = mixture.weights[0] / mixture.weights[1]
    medians = first.median / unit, other.median / unit
    return np.array(
        [math.log(one) for one in (gap / unit, odds, *medians, first.sigma, other.sigma)]
    )
