"""Choose and fit a distribution to samples, judged by samples that it has not seen.

A third of the samples is held out. Each family is fitted to the rest by maximum likelihood and
judged by its Kolmogorov-Smirnov distance D from the m held-out samples:

1. A family is good enough when D <= 1.36 / sqrt(m), which 95 % of the samples from the true
   distribution meet (Smirnov, 1948), and when the means differ by at most 4 standard errors: D is
   blind to a tail that decides over the mean.
2. Of these, those remain whose D is within one standard deviation, 0.26 / sqrt(m), of the smallest,
   and then those whose criterion of Akaike is within 10 of the smallest: more speaks against them
   (Burnham and Anderson, 2002, *Model Selection and Multimodel Inference*, section 2.6). The one
   with the fewest parameters is taken.
3. Where none is good enough, the samples speak for themselves: `Empirical.compact`.

What was chosen is fitted again, to all samples.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from attrs import field, frozen
from numpy.typing import ArrayLike

from lhsim import checks
from lhsim.distributions.base import Deterministic, Distribution
from lhsim.distributions.empirical import Empirical, Quantiles
from lhsim.distributions.estimation import (
    Estimator,
    exponential,
    gamma,
    log_density,
    lognormal,
    shifted,
    weibull,
)
from lhsim.distributions.lognormals import shifted_lognormals
from lhsim.distributions.table import FloatArray
from lhsim.errors import InputError, unknown_name

if TYPE_CHECKING:
    import pandas as pd

_FEWEST = 20  # samples
RANGE = (1e-15, 1e12)  # of durations, whose squares are numbers too [s]
_KS_LIMIT, _KS_STD = 1.36, 0.26  # 95 % quantile and standard deviation of sqrt(m) D
_AIC_LIMIT = 10.0
_MEAN_LIMIT = 4.0  # standard errors

_FAMILIES: dict[str, tuple[int, Estimator]] = {  # number of parameters, estimator
    "exponential": (1, exponential),
    "gamma": (2, gamma),
    "lognormal": (2, lognormal),
    "weibull": (2, weibull),
    "shifted exponential": (2, shifted(exponential)),
    "shifted gamma": (3, shifted(gamma)),
    "shifted lognormal": (3, shifted(lognormal)),
    "shifted weibull": (3, shifted(weibull)),
    "shifted lognormals": (6, shifted_lognormals),
}
CANDIDATES = tuple(_FAMILIES)
"""The names of the families that `fit` tries."""


@frozen
class Candidate:
    """How well one family did on the samples held out."""

    family: str
    distribution: Distribution  # fitted to the other two thirds
    parameters: int  # their number
    aic: float | None  # Akaike's information criterion on the two thirds; the empirical has none
    ks: float  # Kolmogorov-Smirnov distance from the samples held out
    mean_error: float  # difference of the mean from that of those samples, in standard errors
    is_good_enough: bool


@frozen
class Fit:
    """A distribution that was fitted to samples, with what speaks for it."""

    distribution: Distribution  # fitted to all samples
    family: str
    log_likelihood: float | None  # of all samples; None where there is no density
    ks: float  # Kolmogorov-Smirnov distance of the family from the samples held out
    n: int  # number of samples
    candidates: tuple[Candidate, ...]  # the one for all samples equal has none
    samples: FloatArray = field(repr=False, eq=False)  # [s]

    def to_frame(self) -> pd.DataFrame:
        """Return a row per candidate, the nearest to the held-out samples first."""
        import pandas as pd  # noqa: PLC0415  only this table needs it

        columns = ["family", "parameters", "aic", "ks", "mean_error", "is_good_enough"]
        rows = [[getattr(candidate, name) for name in columns] for candidate in self.candidates]
        return pd.DataFrame(rows, columns=columns).sort_values("ks", ignore_index=True)

    def bootstrap(self, replicates: int = 200, seed: int = 0) -> tuple[Distribution, ...]:
        """Return fits of the family to as many samples, drawn anew from these.

        Their spread is the uncertainty of the fit (Efron and Tibshirani, 1993, *An Introduction
        to the Bootstrap*). Each starts from the fit to all samples.
        """
        count, generator = checks.whole_number(replicates, "replicates", 1), _generator(seed)
        draws = (generator.choice(self.samples, self.n) for _ in range(count))
        return tuple(_refit(self.family, draw, self.distribution) for draw in draws)


def fit(samples: ArrayLike, families: Iterable[str] = CANDIDATES, seed: int = 0) -> Fit:
    """Return the family that fits best, fitted to the samples.

    Parameters
    ----------
    samples
        Durations [s], 20 or more, each 0 or within `RANGE`. Equal ones give a `Deterministic`.
    families
        Some of `CANDIDATES`. The empirical distribution is there in any case.
    seed
        Of the split into samples to fit and samples to judge by.

    Raises
    ------
    InputError
        When the samples cannot be used, or a family is unknown.
    """
    x = _checked(samples)
    names = checks.texts(families, "families", ", ".join(CANDIDATES))
    for name in names:
        if name not in CANDIDATES:
            raise unknown_name("family", name, CANDIDATES, key="families")
    if x.min() == x.max():
        constant = Deterministic(float(x[0]))
        return Fit(constant, constant.name, None, 0.0, len(x), (), x)
    held_out, rest = np.split(_generator(seed).permutation(x), [len(x) // 3])
    judged = (_judge(name, rest, held_out) for name in [*names, Empirical.name])
    candidates = tuple(candidate for candidate in judged if candidate)
    chosen = _choose(candidates, len(held_out))
    distribution = _refit(chosen.family, x, chosen.distribution)
    likelihood = _log_likelihood(distribution, x)
    return Fit(distribution, chosen.family, likelihood, chosen.ks, len(x), candidates, x)


def ks_distance(distribution: Distribution, samples: ArrayLike) -> float:
    """Return the largest difference between its distribution function and that of the samples."""
    x = np.sort(_checked(samples, fewest=1))
    too_high = distribution.cdf(np.nextafter(x, -math.inf)) - np.arange(len(x)) / len(x)
    too_low = np.arange(1, len(x) + 1) / len(x) - distribution.cdf(x)
    return float(max(too_high.max(), too_low.max()))


def _checked(samples: ArrayLike, fewest: int = _FEWEST) -> FloatArray:
    x = np.array(checks.array(samples, "samples", "finite numbers >= 0 [s]")).ravel()
    if len(x) < fewest:
        raise InputError(f"{len(x)} are too few", key="samples", allowed=f"{fewest} or more")
    low, high = RANGE
    bad = np.flatnonzero(~((x == 0) | ((low <= x) & (x <= high))))
    if len(bad):
        first = f"the first is {x[bad[0]]} at index {bad[0]}"
        problem = f"{len(bad)} of {len(x)} cannot be used, {first}"
        allowed = f"0, or finite numbers from {low:g} to {high:g} [s]"
        raise InputError(problem, key="samples", allowed=allowed)
    x.flags.writeable = False
    return x


def _generator(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(checks.whole_number(seed, "seed")))


def _judge(family: str, rest: FloatArray, held_out: FloatArray) -> Candidate | None:
    """Return how the family does that is fitted to `rest`; None where it cannot be."""
    distribution = _estimate(family, rest)
    if distribution is None:
        return None
    parameters, _ = _FAMILIES.get(family, (0, None))
    likelihood = _log_likelihood(distribution, rest)
    ks = ks_distance(distribution, held_out)
    spread = float(np.std(np.append(rest, held_out)))
    error = spread * math.sqrt(1 / len(rest) + 1 / len(held_out))
    mean_error = abs(distribution.mean - float(np.mean(held_out))) / error
    return Candidate(
        family=family,
        distribution=distribution,
        parameters=parameters,
        aic=None if likelihood is None else 2 * parameters - 2 * likelihood,
        ks=ks,
        mean_error=mean_error,
        is_good_enough=ks <= _KS_LIMIT / math.sqrt(len(held_out)) and mean_error <= _MEAN_LIMIT,
    )


def _choose(candidates: tuple[Candidate, ...], m: int) -> Candidate:
    """Return the candidate by the rule of the module; the last one is the empirical."""
    *families, empirical = candidates
    good = [candidate for candidate in families if candidate.is_good_enough]
    if not good:
        return empirical
    limit = min(candidate.ks for candidate in good) + _KS_STD / math.sqrt(m)
    near = [candidate for candidate in good if candidate.ks <= limit]
    aic = [math.inf if candidate.aic is None else candidate.aic for candidate in near]
    likely = [near[i] for i in range(len(near)) if aic[i] <= min(aic) + _AIC_LIMIT]
    return min(likely, key=lambda candidate: (candidate.parameters, candidate.ks))


def _estimate(family: str, x: FloatArray, start: Distribution | None = None) -> Distribution | None:
    if family == Empirical.name:
        return Empirical(x).compact()
    _, estimator = _FAMILIES[family]
    return estimator(x, start)


def _refit(family: str, x: FloatArray, start: Distribution) -> Distribution:
    """Return the family fitted to other samples, which may happen to be equal."""
    if x.min() == x.max():
        return Deterministic(float(x[0]))
    distribution = _estimate(family, x, start)
    assert distribution is not None
    return distribution


def _log_likelihood(distribution: Distribution, x: FloatArray) -> float | None:
    if isinstance(distribution, Quantiles | Deterministic):
        return None
    return math.fsum(log_density(distribution, x))
