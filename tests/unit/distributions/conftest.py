"""One of each distribution, for the tests that hold for all of them."""

import numpy as np
import pytest

from lhsim.distributions import (
    Deterministic,
    Empirical,
    Erlang,
    Exponential,
    Gamma,
    Hyperexponential,
    Lognormal,
    Mixture,
    Pareto,
    Quantiles,
    Scaled,
    Scipy,
    Shifted,
    Sum,
    Uniform,
    Weibull,
)

SMOOTH = [
    Uniform(1e-3, 2e-3),
    Uniform(0.0, 1.0),
    Exponential(1e-3),
    Gamma(1.0, 0.3),
    Gamma(2.0, 50.0),
    Erlang(1.0, 4),
    Lognormal(8e-6, 0.3),
    Lognormal(1.0, 1.0),
    Lognormal(1.0, 2.0),
    Weibull(1.0, 0.5),
    Weibull(1.0, 3.0),
    Pareto(1.0, 5.0),
    Hyperexponential([0.9, 0.1], [1.0, 20.0]),
    Scipy("gengamma", {"a": 2.0, "c": 0.7}, scale=1e-3),
    Mixture([7, 3], [Lognormal(1.0, 0.1), Lognormal(3.0, 0.5)]),
    Shifted(Lognormal(1.0, 0.5), 3.0),
    Scaled(Gamma(1.0, 2.0), 3e-6),
    Sum([Exponential(1.0), Uniform(0.0, 2.0)]),
    Quantiles([0.0, 0.3, 1.0], [1.0, 2.0, 9.0]),
]
ROUGH = [
    Deterministic(8e-6),
    Deterministic(0.0),
    Mixture([1, 1], [Deterministic(1.0), Exponential(2.0)]),
    Mixture([98, 2], [Deterministic(1.0), Deterministic(100.0)]),
    Mixture([2, 8], [Uniform(0.0, 1.0), Uniform(5.0, 6.0)]),
    Quantiles([0.0, 0.25, 0.25, 0.75, 1.0], [1.0, 1.0, 3.0, 3.0, 4.0]),
    Empirical(np.random.Generator(np.random.Philox(5)).lognormal(size=300)),
    Empirical([0.0, 0.0, 1.0, 1.0, 1.0, 2.0]),
    Empirical([3.0]),
    Sum([Mixture([1, 1], [Deterministic(0.0), Deterministic(3.0)]), Exponential(0.1)]),
    Shifted(Scaled(Mixture([1, 1], [Uniform(1.0, 2.0), Deterministic(4.0)]), 2.0), -2.0),
]
HEAVY = [Pareto(1.0, 1.05), Pareto(1.0, 1.5), Pareto(1.0, 2.5), Lognormal(1.0, 5.0)]


@pytest.fixture(params=SMOOTH, ids=str)
def smooth(request):
    """A distribution with a continuous quantile function and a finite fourth moment."""
    return request.param


@pytest.fixture(params=SMOOTH + ROUGH + HEAVY, ids=str)
def distribution(request):
    return request.param
