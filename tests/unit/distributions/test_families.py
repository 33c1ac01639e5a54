import math

import numpy as np
import pytest
import scipy.stats

from lhsim.distributions import (
    Deterministic,
    Erlang,
    Exponential,
    Gamma,
    Hyperexponential,
    Lognormal,
    Pareto,
    Scipy,
    Uniform,
    Weibull,
)
from lhsim.errors import InputError

REFERENCES = [
    (Uniform(2.0, 5.0), scipy.stats.uniform(2, 3)),
    (Exponential(3.0), scipy.stats.expon(scale=3)),
    (Gamma(3.0, 0.4), scipy.stats.gamma(0.4, scale=7.5)),
    (Erlang(3.0, 4), scipy.stats.erlang(4, scale=0.75)),
    (Lognormal(2.0, 0.7), scipy.stats.lognorm(0.7, scale=2)),
    (Weibull(2.0, 0.7), scipy.stats.weibull_min(0.7, scale=2)),
    (Pareto(2.0, 2.7), scipy.stats.pareto(2.7, scale=2)),
    (Scipy("gengamma", {"a": 2.0, "c": 0.7}, 1.0, 3.0), scipy.stats.gengamma(2, 0.7, 1, 3)),
    (Scipy("expon", scale=3.0), scipy.stats.expon(scale=3)),
]


@pytest.mark.parametrize(
    ("distribution", "reference"), REFERENCES, ids=[str(pair[0]) for pair in REFERENCES]
)
def test_agrees_with_scipy(distribution, reference):
    u = np.concatenate([np.geomspace(1e-12, 0.5, 40), 1 - np.geomspace(1e-12, 0.5, 40)])
    x = reference.ppf(u)
    np.testing.assert_allclose(distribution.quantile(u), x, rtol=1e-9)
    np.testing.assert_allclose(distribution.cdf(x), reference.cdf(x), rtol=1e-9, atol=1e-15)
    assert distribution.mean == pytest.approx(reference.mean(), rel=1e-12)
    assert distribution.variance == pytest.approx(reference.var(), rel=1e-10)


def test_deterministic_is_a_step():
    constant = Deterministic(2.0)
    assert constant.mean == 2.0
    assert constant.variance == 0.0
    np.testing.assert_array_equal(constant.quantile([0, 0.5, 1]), 2.0)
    np.testing.assert_array_equal(constant.cdf([1.999, 2.0, 3.0]), [0, 1, 1])


def test_hyperexponential_has_the_textbook_moments():
    p, means = np.array([0.9, 0.1]), np.array([1.0, 20.0])
    h2 = Hyperexponential(p, means)
    assert h2.mean == pytest.approx(p @ means)
    assert h2.variance == pytest.approx(2 * p @ means**2 - (p @ means) ** 2)
    assert h2.scv > 1
    x = np.array([0.5, 5.0, 50.0])
    expected = 1 - np.exp(-x[:, None] / means) @ p
    np.testing.assert_allclose(h2.cdf(x), expected, rtol=1e-14)
    np.testing.assert_allclose(h2.quantile(expected), x, rtol=1e-9)


@pytest.mark.parametrize(
    ("alpha", "mean", "variance"), [(0.8, math.inf, math.inf), (1.5, 3.0, math.inf)]
)
def test_pareto_with_infinite_moments(alpha, mean, variance):
    pareto = Pareto(1.0, alpha)
    assert pareto.mean == pytest.approx(mean)
    assert pareto.variance == variance
    assert float(pareto.quantile(1.0)) == math.inf


@pytest.mark.parametrize("huge", [Lognormal(1.0, 60.0), Weibull(1.0, 1e-3)])
def test_moments_beyond_a_float_are_infinite(huge):
    assert huge.mean == huge.variance == math.inf


@pytest.mark.parametrize(
    ("build", "key"),
    [
        (lambda: Deterministic(-1.0), "value"),
        (lambda: Deterministic(math.nan), "value"),
        (lambda: Uniform(-1.0, 1.0), "low"),
        (lambda: Uniform(2.0, 2.0), "high"),
        (lambda: Exponential(0.0), "mean"),
        (lambda: Exponential(math.inf), "mean"),
        (lambda: Gamma(1.0, -1.0), "shape"),
        (lambda: Erlang(1.0, 0), "stages"),
        (lambda: Erlang(1.0, 2.5), "stages"),
        (lambda: Lognormal(0.0, 1.0), "median"),
        (lambda: Lognormal(1.0, 0.0), "sigma"),
        (lambda: Weibull(-1.0, 1.0), "scale"),
        (lambda: Pareto(1.0, 0.0), "alpha"),
        (lambda: Hyperexponential([], []), "probabilities"),
        (lambda: Hyperexponential([0.5, 0.4], [1.0, 2.0]), "probabilities"),
        (lambda: Hyperexponential([0.5, 0.5], [1.0]), "means"),
        (lambda: Hyperexponential([0.5, 0.5], [1.0, -1.0]), "means"),
        (lambda: Scipy("gama"), "distribution"),
        (lambda: Scipy("poisson"), "distribution"),
        (lambda: Scipy("gamma"), "parameters.a"),
        (lambda: Scipy("gamma", {"a": 1.0, "b": 2.0}), "parameters.b"),
        (lambda: Scipy("gamma", {"a": -1.0}), "parameters"),
        (lambda: Scipy("gamma", {"a": 1.0}, scale=0.0), "scale"),
        (lambda: Scipy("gamma", {"a": 1.0}, loc=-0.1), "loc"),
        (lambda: Scipy("norm"), "loc"),
    ],
)
def test_bad_parameters_are_refused_by_name(build, key):
    with pytest.raises(InputError) as refusal:
        build()
    assert refusal.value.key == key


def test_a_misspelt_scipy_name_gets_a_suggestion():
    with pytest.raises(InputError, match="did you mean 'gengamma'"):
        Scipy("gengama")


@pytest.mark.parametrize("shape", [1e4, 9_999.0, 10_001.0, 1e6, 1e8, 1e12, 1e18])
def test_the_spread_of_a_steep_weibull_survives_cancellation(shape):
    """Towards a large shape, log X has the variance of a Gumbel law, pi^2 / (6 shape^2)."""
    relative = Weibull(2.0, shape).scv * shape**2 / (math.pi**2 / 6)
    assert relative == pytest.approx(1.0, rel=3 / shape + 1e-7)
