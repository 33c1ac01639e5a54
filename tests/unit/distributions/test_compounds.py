import math

import numpy as np
import pytest
import scipy.stats

from lhsim.distributions import (
    Deterministic,
    Empirical,
    Erlang,
    Exponential,
    Lognormal,
    Mixture,
    Pareto,
    Scaled,
    Shifted,
    Sum,
    Uniform,
)
from lhsim.errors import InputError

LEVELS = np.concatenate(
    [np.geomspace(1e-9, 0.01, 50), np.linspace(0.01, 0.99, 99), 1 - np.geomspace(1e-9, 0.01, 50)]
)


# --- Mixture, Shifted, Scaled --------------------------------------------------------------------


def test_mixture_weighs_its_components():
    a, b = Exponential(1.0), Lognormal(5.0, 0.2)
    mixture = Mixture([3, 1], [a, b])
    x = np.array([0.1, 1.0, 4.0, 8.0])
    np.testing.assert_allclose(mixture.cdf(x), 0.75 * a.cdf(x) + 0.25 * b.cdf(x), rtol=1e-14)
    assert mixture.mean == pytest.approx(0.75 * a.mean + 0.25 * b.mean)
    second = 0.75 * (a.variance + a.mean**2) + 0.25 * (b.variance + b.mean**2)
    assert mixture.variance == pytest.approx(second - mixture.mean**2)


def test_mixture_of_atoms_and_a_gap():
    mixture = Mixture([0.25, 0.25, 0.5], [Deterministic(1), Deterministic(2), Uniform(4, 6)])
    u = [0.0, 0.2, 0.25, 0.26, 0.5, np.nextafter(0.5, 1), 0.75, 1.0]
    expected = [1, 1, 1, 2, 2, 4, 5, 6]
    np.testing.assert_allclose(mixture.quantile(u), expected, rtol=1e-12)
    np.testing.assert_allclose(
        mixture.cdf([0.9, 1, 1.5, 3, 4, 5, 9]), [0, 0.25, 0.25, 0.5, 0.5, 0.75, 1]
    )


def test_mixture_over_many_orders_of_magnitude():
    mixture = Mixture([0.5, 0.5], [Lognormal(1e-9, 0.1), Lognormal(1e3, 0.1)])
    u = np.array([1e-12, 0.1, 0.4999, 0.5001, 0.9, 1 - 1e-9])
    np.testing.assert_allclose(mixture.cdf(mixture.quantile(u)), u, rtol=1e-9)


def test_mixture_of_mixtures_is_a_mixture():
    parts = [Exponential(1.0), Uniform(1.0, 2.0), Deterministic(3.0)]
    flat = Mixture([0.2, 0.3, 0.5], parts)
    nested = Mixture([0.5, 0.5], [Mixture([0.4, 0.6], parts[:2]), parts[2]])
    np.testing.assert_allclose(nested.quantile(LEVELS), flat.quantile(LEVELS), rtol=1e-8)
    assert nested.table().mean == pytest.approx(flat.table().mean, rel=1e-9)


def test_shifted_and_scaled_are_exact():
    base = Lognormal(2.0, 0.5)
    shifted, scaled = Shifted(base, 1.0), Scaled(base, 3.0)
    np.testing.assert_array_equal(shifted.quantile(LEVELS), base.quantile(LEVELS) + 1)
    np.testing.assert_array_equal(scaled.quantile(LEVELS), base.quantile(LEVELS) * 3)
    assert (shifted.mean, shifted.variance) == (base.mean + 1, base.variance)
    assert (scaled.mean, scaled.variance) == (3 * base.mean, 9 * base.variance)


def test_a_negative_shift_may_go_down_to_zero():
    assert float(Shifted(Uniform(1.0, 2.0), -1.0).quantile(0)) == 0.0
    with pytest.raises(InputError, match="below 0 s"):
        Shifted(Uniform(1.0, 2.0), -1.0000001)


@pytest.mark.parametrize(
    ("build", "key"),
    [
        (lambda: Mixture([1.0], [Exponential(1.0), Exponential(2.0)]), "weights"),
        (lambda: Mixture([1.0, -1.0], [Exponential(1.0), Exponential(2.0)]), "weights"),
        (lambda: Mixture([], []), "weights"),
        (lambda: Mixture([1.0], [3.0]), "components"),
        (lambda: Shifted(3.0, 1.0), "base"),
        (lambda: Shifted(Exponential(1.0), math.nan), "by"),
        (lambda: Shifted(Exponential(1.0), -1e-9), "by"),
        (lambda: Scaled(Exponential(1.0), 0.0), "by"),
        (lambda: Sum([]), "terms"),
        (lambda: Sum([Exponential(1.0), "1 s"]), "terms"),
        (lambda: Sum([Exponential(1.0), Pareto(1.0, 1.0)]), "terms"),
    ],
)
def test_bad_parts_are_refused_by_name(build, key):
    with pytest.raises(InputError) as refusal:
        build()
    assert refusal.value.key == key


# --- Sum -----------------------------------------------------------------------------------------


def test_sum_of_exponentials_is_erlang():
    total, erlang = Sum([Exponential(0.5)] * 4), Erlang(2.0, 4)
    np.testing.assert_allclose(erlang.cdf(total.quantile(LEVELS)), LEVELS, atol=2e-5)
    np.testing.assert_allclose(total.quantile(LEVELS), erlang.quantile(LEVELS), rtol=2e-3)
    assert total.mean == pytest.approx(2.0, rel=1e-15)
    assert total.variance == pytest.approx(1.0, rel=1e-15)
    assert total.table().mean == pytest.approx(2.0, rel=5e-6)
    assert total.table().variance == pytest.approx(1.0, rel=5e-5)


def test_sum_of_two_uniforms_is_triangular():
    total, triangle = Sum([Uniform(5.0, 6.0)] * 2), scipy.stats.triang(0.5, loc=10, scale=2)
    np.testing.assert_allclose(total.cdf(triangle.ppf(LEVELS)), LEVELS, atol=2e-6)
    np.testing.assert_allclose(total.quantile(LEVELS), triangle.ppf(LEVELS), rtol=1e-6)


def test_sum_is_not_one_uniform_used_twice():
    comonotone = Scaled(Exponential(1.0), 2.0)
    independent = Sum([Exponential(1.0), Exponential(1.0)])
    assert independent.table().variance == pytest.approx(comonotone.variance / 2, rel=1e-4)


def test_constant_terms_are_exact_shifts():
    total = Sum([Deterministic(1.0), Lognormal(1.0, 0.5), Empirical([2.0, 2.0])])
    np.testing.assert_array_equal(
        total.quantile(LEVELS), Lognormal(1.0, 0.5).quantile(LEVELS) + 3.0
    )
    constant = Sum([Deterministic(1.0), Deterministic(2.5)])
    np.testing.assert_array_equal(constant.quantile(LEVELS), 3.5)


def test_sum_of_atoms_has_the_atoms_of_the_sums():
    a = Mixture([1, 1], [Deterministic(1.0), Deterministic(3.0)])
    b = Mixture([1, 3], [Deterministic(0.1), Deterministic(10.0)])
    total = Sum([a, b])
    probability = np.array([1 / 8, 1 / 8, 3 / 8, 3 / 8])
    value = np.array([1.1, 3.1, 11.0, 13.0])
    middle = np.cumsum(probability) - probability / 2
    np.testing.assert_allclose(total.quantile(middle), value, rtol=1e-5)
    np.testing.assert_allclose(total.cdf(value + 1e-3), np.cumsum(probability), atol=1e-9)


def test_sum_with_a_heavy_tail_keeps_the_tail_and_the_mean():
    """Far out, one big term makes the sum big: P(X + Y > x) is about P(X > x - E Y)."""
    pareto = Pareto(1.0, 1.5)
    total = Sum([pareto, Exponential(2.0)])
    assert total.table().mean == pytest.approx(5.0, rel=5e-5)
    assert total.variance == math.inf
    x = np.array([1e3, 1e5, 1e7])
    np.testing.assert_allclose(1 - total.cdf(x), 1 - pareto.cdf(x - 2.0), rtol=1e-3)


def test_sum_of_scales_that_differ_by_a_billion():
    total = Sum([Exponential(1e-9), Exponential(1.0)])
    np.testing.assert_allclose(total.cdf(Exponential(1.0).quantile(LEVELS)), LEVELS, atol=1e-4)


def test_sums_may_be_nested():
    inner = Sum([Uniform(0.0, 1.0), Shifted(Uniform(0.0, 1.0), 0.5)])
    total = Scaled(Mixture([1, 1], [Sum([inner, Deterministic(1.0)]), Deterministic(9.0)]), 2.0)
    assert total.mean == pytest.approx(2 * (2.5 + 9.0) / 2)
    assert total.table().mean == pytest.approx(total.mean, rel=1e-6)
    assert total.table().variance == pytest.approx(total.variance, rel=1e-3)
    assert float(total.quantile(0.25)) == pytest.approx(2 * 2.5, rel=1e-5)


def test_quantiles_of_a_mixture_belong_to_who_asked():
    mixture = Mixture((1.0, 2.0), (Exponential(1.0), Exponential(3.0)))
    levels = np.array([0.1, 0.5])
    first = mixture.quantile(levels)
    expected = first.tolist()
    first[:] = 0.0
    assert mixture.quantile(levels).tolist() == expected
