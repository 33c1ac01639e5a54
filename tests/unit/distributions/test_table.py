import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lhsim.distributions import (
    Deterministic,
    Exponential,
    Gamma,
    Lognormal,
    Mixture,
    Pareto,
    Scaled,
    Shifted,
    Uniform,
    Weibull,
    look_up,
)
from lhsim.distributions.table import CELLS, LAST_LEVEL, LEVELS, PROBABILITIES
from lhsim.errors import InputError

BORDERS = np.concatenate(
    [
        [0.0, 5e-324, 2.0**-53, 2.0**-42, 0.5, LAST_LEVEL, 1 - 2.0**-52, 1 - 2.0**-42],
        LEVELS[:-1],
        np.nextafter(LEVELS[1:], 0),
        np.nextafter(LEVELS[:-1], 1),
        LEVELS[1:-1] - 2.0**-53,
    ]
)


def durations(least=1e-6, most=1e3):
    return st.floats(math.log(least), math.log(most)).map(math.exp)


FAMILIES = st.one_of(
    st.builds(Deterministic, durations()),
    st.builds(Exponential, durations()),
    st.builds(Gamma, durations(), st.floats(0.1, 50)),
    st.builds(Lognormal, durations(), st.floats(0.01, 2)),
    st.builds(Weibull, durations(), st.floats(0.3, 10)),
    st.builds(Pareto, durations(), st.floats(1.1, 6)),
    durations().map(lambda low: Uniform(low, 1.5 * low)),
)
DISTRIBUTIONS = st.recursive(
    FAMILIES,
    lambda parts: st.one_of(
        st.builds(Shifted, parts, durations()),
        st.builds(Scaled, parts, st.floats(1e-3, 1e3)),
        st.lists(st.tuples(st.floats(0.01, 1), parts), min_size=2, max_size=3).map(
            lambda pairs: Mixture(*zip(*pairs, strict=True))
        ),
    ),
    max_leaves=4,
)


def quantiles(distribution):
    """Return the quantiles at the borders of the cells, without the rounding of an inversion."""
    return np.maximum.accumulate(distribution.quantile(LEVELS))


def ks_distance(distribution):
    """Return how far the table's distribution function is from the true one, at many points."""
    table = distribution.table()
    level = (LEVELS[:-1, None] + PROBABILITIES[:, None] * np.linspace(0.01, 0.99, 15)).ravel()
    level = np.minimum(level, LAST_LEVEL)
    x = table.quantile(level)
    below, above = distribution.cdf(x * (1 - 1e-12) - 1e-300), distribution.cdf(x * (1 + 1e-12))
    return float(np.max([below - level, level - above]))


def test_levels_have_the_documented_layout():
    assert len(PROBABILITIES) == CELLS == 2048
    assert math.fsum(PROBABILITIES) == 1.0
    body = PROBABILITIES[513:-513]
    assert len(body) == 1022
    np.testing.assert_array_equal(body, 2.0**-10)
    np.testing.assert_array_equal(PROBABILITIES, PROBABILITIES[::-1])
    assert LEVELS[1] == 2.0**-42
    np.testing.assert_array_equal(np.diff(PROBABILITIES[1:513:16]) > 0, True)
    np.testing.assert_array_equal(PROBABILITIES[497:513], 2.0**-15)


def test_look_up_equals_the_vector_version_to_the_last_bit(distribution):
    table = distribution.table()
    u = np.append(BORDERS, np.random.Generator(np.random.Philox(1)).random(2000))
    one_by_one = [look_up(table.cells, float(level)) for level in u]
    np.testing.assert_array_equal(table.quantile(u), one_by_one)


def test_look_up_finds_the_cell_of_the_level():
    """The obvious way, a search in the levels, agrees; above, u stands for [u, u + 2^-53)."""
    table = Lognormal(1.0, 1.0).table()
    u = np.append(BORDERS, np.random.Generator(np.random.Philox(2)).random(2000))
    for level in u[u > 0]:
        true_level = level + 2.0**-53 if level >= 1023 / 1024 else level
        cell = int(np.searchsorted(LEVELS, true_level, side="right")) - 1
        if level >= 1023 / 1024 and LEVELS[cell] == true_level:
            cell -= 1  # a border of the upper tail belongs to the cell below it
        start, width = table.cells[cell]
        fraction = (true_level - LEVELS[cell]) / PROBABILITIES[cell]
        assert look_up(table.cells, level) == pytest.approx(start + fraction * width, rel=1e-13)


def test_look_up_keeps_the_shape_of_an_array_of_levels():
    table = Exponential(1.0).table()
    assert table.quantile(np.full((2, 3), 0.5)).shape == (2, 3)
    assert float(table.quantile(0.5)) == pytest.approx(math.log(2), rel=1e-6)


def test_draws_are_monotone_and_finite(distribution):
    table = distribution.table()
    u = np.unique(np.append(BORDERS, np.linspace(0, LAST_LEVEL, 20_001)))
    draws = table.quantile(u)
    assert np.all(np.diff(draws) >= 0)
    assert draws[0] >= 0
    assert math.isfinite(draws[-1])
    assert np.all(table.cells[:, 1] >= 0)


def test_cells_stay_between_the_quantiles_of_their_borders(distribution):
    """Hence the distribution functions agree at each border, to 1/1024 in between."""
    cells, borders = distribution.table().cells, quantiles(distribution)
    assert np.all(cells[:, 0] >= borders[:-1])
    assert np.all(cells.sum(axis=1) <= borders[1:])


def test_mean_is_exact(distribution):
    table = distribution.table()
    assert table.mean == pytest.approx(distribution.mean, rel=5e-5)
    if "sum" not in str(distribution):
        assert table.mean == pytest.approx(distribution.mean, rel=1e-7)


def test_variance_of_smooth_families_is_exact(smooth):
    assert smooth.table().variance == pytest.approx(smooth.variance, rel=4e-4)


def test_distribution_function_of_smooth_families_is_close(smooth):
    assert ks_distance(smooth) < 2e-4


def test_distribution_function_of_all_is_within_the_bound(distribution):
    assert ks_distance(distribution) <= 1 / 1024


def test_ks_distance_notices_a_wrong_table():
    wrong = Lognormal(1.0, 1.0).table().quantile(LEVELS[:-1]) * 1.01
    assert np.max(np.abs(Lognormal(1.0, 1.0).cdf(wrong) - LEVELS[:-1])) > 1 / 1024


def test_variance_at_a_jump_loses_no_more_than_documented():
    jump = Mixture([98, 2], [Deterministic(1.0), Deterministic(100.0)])
    lost = jump.variance - jump.table().variance
    assert 0 < lost <= 3 / 16 * 99.0**2 / 1024


@settings(deadline=None, max_examples=60)
@given(DISTRIBUTIONS)
def test_random_compounds_keep_the_bounds(distribution):
    table, borders = distribution.table(), quantiles(distribution)
    assert np.all(table.cells[:, 0] >= borders[:-1])
    assert np.all(table.cells.sum(axis=1) <= borders[1:])
    assert table.mean == pytest.approx(distribution.mean, rel=1e-5)
    assert table.variance <= distribution.variance * (1 + 1e-5) + 1e-18 * distribution.mean**2
    assert ks_distance(distribution) <= 1 / 1024


@settings(deadline=None, max_examples=60)
@given(DISTRIBUTIONS, st.lists(st.floats(0, 1), min_size=2, max_size=30))
def test_quantile_and_cdf_invert_each_other(distribution, levels):
    u = np.sort(levels)
    x = distribution.quantile(u)
    assert np.all(x[1:] >= x[:-1] * (1 - 1e-12))
    assert np.all(distribution.cdf(x * (1 + 1e-12)) >= u - 1e-9)
    assert np.all(distribution.cdf(x * (1 - 1e-12)) <= u + 1e-9)


def test_an_infinite_mean_has_no_table():
    with pytest.raises(InputError, match="infinite mean"):
        Pareto(1.0, 1.0).table()


def test_equal_distributions_share_a_read_only_table():
    table = Exponential(2.0).table()
    assert Exponential(2.0).table() is table
    assert Exponential(3.0).table() is not table
    with pytest.raises(ValueError, match="read-only"):
        table.cells[0, 0] = 1.0


def test_is_zero_only_for_zero():
    assert Deterministic(0.0).table().is_zero
    assert not Deterministic(1e-12).table().is_zero
    assert not Mixture([1, 1], [Deterministic(0.0), Deterministic(1.0)]).table().is_zero


def test_constant_is_exact_in_each_cell():
    cells = Deterministic(8e-6).table().cells
    np.testing.assert_array_equal(cells[:, 0], 8e-6)
    np.testing.assert_array_equal(cells[:, 1], 0.0)
