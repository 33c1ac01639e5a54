import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lhsim.distributions import Empirical, Quantiles
from lhsim.errors import InputError

SAMPLES = hnp.arrays(float, st.integers(1, 200), elements=st.floats(0, 1e6))


def heavy(n=3000, seed=1):
    """Mostly lognormal, with ties from a coarse clock and a few outliers."""
    generator = np.random.Generator(np.random.Philox(seed))
    x = np.round(generator.lognormal(0.0, 0.3, n), 2)
    x[:3] = 50.0, 80.0, 200.0
    return x


def piecewise_moments(probabilities, values):
    """Return mean and variance by brute force: a fine midpoint rule over the quantile function."""
    u = (np.arange(400_000) + 0.5) / 400_000
    x = np.interp(u, probabilities, values)
    return x.mean(), x.var()


def test_hazens_rule():
    empirical = Empirical([4.0, 1.0, 2.0])
    u = [0.0, 1 / 6, 1 / 3, 1 / 2, 5 / 6, 1.0]
    np.testing.assert_allclose(empirical.quantile(u), [1, 1, 1.5, 2, 4, 4])
    np.testing.assert_allclose(empirical.cdf([0.9, 1, 1.5, 2, 4]), [0, 1 / 6, 1 / 3, 1 / 2, 1])


@given(SAMPLES)
def test_mean_and_range_are_those_of_the_samples(samples):
    empirical = Empirical(samples)
    assert empirical.mean == pytest.approx(samples.mean(), rel=1e-12)
    assert empirical.variance <= samples.var() * (1 + 1e-9) + 1e-20 * samples.mean() ** 2
    assert float(empirical.quantile(0)) == samples.min()
    assert float(empirical.quantile(1)) == samples.max()


@given(SAMPLES)
def test_distribution_function_is_within_half_a_sample_at_the_samples(samples):
    x, count = np.unique(samples, return_counts=True)
    middle = (np.cumsum(count) - count / 2) / len(samples)
    atom = count / (2 * len(samples))
    assert np.all(np.abs(Empirical(samples).cdf(x) - middle) <= atom + 1e-12)


def test_one_sample_is_a_constant():
    table = Empirical([3.0]).table()
    assert table.mean == 3.0
    assert table.variance == 0.0


@pytest.mark.parametrize(
    ("samples", "problem"),
    [
        ([1.0, math.nan], "nan"),
        ([1.0, math.inf], "inf"),
        ([1.0, -1e-9], "-1e-09"),
        ([], "empty"),
        (["a"], "not a number"),
    ],
)
def test_samples_that_are_no_durations_are_refused(samples, problem):
    with pytest.raises(InputError, match=problem) as refusal:
        Empirical(samples)
    assert refusal.value.key == "samples"


def test_quantiles_are_linear_between_the_points():
    probabilities, values = [0.0, 0.2, 0.2, 0.7, 1.0], [1.0, 2.0, 4.0, 4.0, 9.0]
    quantiles = Quantiles(probabilities, values)
    np.testing.assert_allclose(
        quantiles.quantile([0, 0.1, 0.2, np.nextafter(0.2, 1), 0.5, 0.85, 1]),
        [1, 1.5, 2, 4, 4, 6.5, 9],
    )
    np.testing.assert_allclose(
        quantiles.cdf([0.5, 1.5, 3.0, 3.999, 4.0, 6.5, 10]), [0, 0.1, 0.2, 0.2, 0.7, 0.85, 1]
    )
    mean, variance = piecewise_moments(probabilities, values)
    assert quantiles.mean == pytest.approx(mean, rel=1e-5)
    assert quantiles.variance == pytest.approx(variance, rel=1e-5)


@pytest.mark.parametrize(
    ("probabilities", "values", "key"),
    [
        ([0.0, 1.0], [1.0], "values"),
        ([0.1, 1.0], [1.0, 2.0], "probabilities"),
        ([0.0, 0.9], [1.0, 2.0], "probabilities"),
        ([0.0, 0.6, 0.5, 1.0], [1.0, 2.0, 3.0, 4.0], "probabilities"),
        ([0.0, 0.5, 1.0], [1.0, 3.0, 2.0], "values"),
        ([0.0, 1.0], [-1.0, 2.0], "values"),
        ([0.0, 1.5], [1.0, 2.0], "probabilities"),
        ([], [], "probabilities"),
    ],
)
def test_bad_quantiles_are_refused_by_name(probabilities, values, key):
    with pytest.raises(InputError) as refusal:
        Quantiles(probabilities, values)
    assert refusal.value.key == key


def test_compact_is_close_and_short():
    empirical = Empirical(heavy())
    compact = empirical.compact(64)
    assert len(compact.values) <= 64
    x = np.unique(empirical.samples)
    assert np.max(np.abs(compact.cdf(x) - empirical.cdf(x))) < 0.015
    assert compact.mean == pytest.approx(empirical.mean, rel=5e-3)
    assert compact.variance == pytest.approx(empirical.variance, rel=0.05)
    assert compact.quantile([0, 1]).tolist() == empirical.quantile([0, 1]).tolist()


@given(SAMPLES, st.integers(8, 40))
def test_compact_keeps_its_bound_in_probability(samples, points):
    empirical = Empirical(samples)
    compact = empirical.compact(points)
    assert len(compact.values) <= points
    x = np.unique(samples)
    x = np.concatenate([x, (x[1:] + x[:-1]) / 2])
    bound = 2 / (points - 2) + 1 / len(samples)
    assert np.max(np.abs(compact.cdf(x) - empirical.cdf(x))) <= bound + 1e-9


def test_compact_keeps_few_samples_as_they_are():
    empirical = Empirical([1.0, 2.0, 2.0, 5.0])
    u = np.linspace(0, 1, 101)
    np.testing.assert_allclose(empirical.compact().quantile(u), empirical.quantile(u))


def test_compact_needs_some_points():
    with pytest.raises(InputError, match="too few"):
        Empirical([1.0, 2.0]).compact(7)
