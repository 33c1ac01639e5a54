from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.signal import lfilter

from lhsim.analysis import flags
from lhsim.analysis.intervals import (
    Estimate,
    Sample,
    batch_means,
    effective_size,
    estimate,
    mean_over_replications,
    quantile_of_batches,
    quantile_over_replications,
    von_neumann_ratio,
)


def test_a_textbook_example():
    # Law (2015), Simulation Modeling and Analysis, example 4.26: 1.34 +- 0.24 at 90 %.
    values = [1.20, 1.50, 1.68, 1.89, 0.95, 1.49, 1.58, 1.55, 0.50, 1.09]
    found = estimate(values, confidence=0.90)
    assert found.mean == pytest.approx(1.343)
    assert found.high - found.mean == pytest.approx(0.24, abs=0.005)
    assert found.mean - found.low == pytest.approx(found.high - found.mean)


def test_one_value_has_no_interval():
    found = estimate([2.0])
    assert (found.mean, found.n) == (2.0, 1)
    assert math.isnan(found.low)
    assert math.isnan(found.high)


def test_what_is_not_known_is_left_out():
    assert estimate([1.0, math.nan, 1.0, None, 1.0]) == Estimate(1.0, 1.0, 1.0, 3)


def test_without_values_nothing_is_known():
    found = estimate([])
    assert found.n == 0
    assert math.isnan(found.mean)


def test_it_covers_the_mean_as_often_as_it_says():
    samples = np.random.default_rng(1).normal(5.0, 2.0, (2000, 4))
    found = [estimate(sample) for sample in samples]
    covered = sum(one.low <= 5.0 <= one.high for one in found)
    assert 0.93 < covered / 2000 < 0.97  # 4 standard errors about 0.95


def test_a_normal_quantile_instead_of_students_would_not():
    samples = np.random.default_rng(1).normal(5.0, 2.0, (2000, 4))
    half = 1.96 * samples.std(axis=1, ddof=1) / 2
    assert np.mean(np.abs(samples.mean(axis=1) - 5.0) <= half) < 0.93


@pytest.mark.parametrize(("values", "few"), [([1.0, 2.0], True), ([1.0, 2.0, 3.0], False)])
def test_fewer_than_three_replications_carry_a_flag(values, few):
    found = estimate(values)
    assert found.flags == ((flags.FEW_REPLICATIONS,) if few else ())
    assert found.reliable is not few


def test_the_half_width_is_that_of_the_farther_end():
    found = Estimate(-10.0, -11.0, -8.0, 5)
    assert (found.half_width, found.relative_half_width) == (2.0, 0.2)
    assert Estimate(0.0, 0.0, 0.0, 5).relative_half_width == 0.0
    assert Estimate(0.0, -1.0, 1.0, 5).relative_half_width == math.inf
    assert math.isnan(Estimate(1.0, math.nan, math.nan, 1).relative_half_width)
    scaled = Estimate(1.0, 0.5, 2.0, 4, (flags.THIN_TAIL,)).scaled(1e3)
    assert scaled == Estimate(1e3, 500.0, 2e3, 4, (flags.THIN_TAIL,))


def test_flags_are_there_once_and_in_one_order():
    found = Estimate(1.0, 0.0, 2.0, 2).flagged(flags.OVERLOADED, flags.THIN_TAIL)
    again = found.flagged(flags.THIN_TAIL, flags.FEW_BATCHES)
    assert again.flags == (flags.FEW_BATCHES, flags.THIN_TAIL, flags.OVERLOADED)


# Batches


def test_batch_means_by_hand():
    """Ten batches of two values, with means 1 ... 10 in an order that is not sorted."""
    means = np.array([3.0, 9, 1, 7, 5, 10, 2, 8, 4, 6])
    found = batch_means(2 * means, [2] * 10)
    half = 2.2622 * 3.0277 / math.sqrt(10)  # t(0.975, 9) s / sqrt(n)
    assert (found.value, found.n, found.flags) == (5.5, 10, ())
    assert found.interval == pytest.approx((5.5 - half, 5.5 + half), abs=1e-3)


def test_twenty_batches_become_ten_and_eight_stay_few():
    rng = np.random.default_rng(3)
    assert batch_means(rng.normal(size=20), np.ones(20)).n == 10
    few = batch_means(rng.normal(size=8), np.ones(8))
    assert (few.n, few.flags) == (8, (flags.FEW_BATCHES,))


def test_von_neumanns_ratio_by_hand():
    assert von_neumann_ratio([1.0, 2.0, 3.0]) == pytest.approx(2 / 2)
    assert von_neumann_ratio([1.0, -1.0, 1.0]) == pytest.approx(8 / (8 / 3))
    assert math.isnan(von_neumann_ratio([2.0, 2.0]))


def test_independent_batches_are_called_correlated_in_one_case_of_a_hundred():
    """The share of 4,000 is off by less than four standard errors, and skew does not matter."""
    samples = np.random.default_rng(5).exponential(size=(4_000, 20))
    found = [flags.CORRELATED_BATCHES in batch_means(one, np.ones(20)).flags for one in samples]
    assert np.mean(found) < 0.01 + 4 * math.sqrt(0.01 * 0.99 / 4_000)


def test_correlated_batches_are_found():
    """An AR(1) process with a correlation of 0.8 between neighbours."""
    rng, found = np.random.default_rng(5), 0
    for _ in range(200):
        x = np.zeros(20)
        noise = rng.normal(size=20)
        for i in range(1, 20):
            x[i] = 0.8 * x[i - 1] + noise[i]
        found += flags.CORRELATED_BATCHES in batch_means(x, np.ones(20)).flags
    assert found > 150


# Quantiles


def of_samples(rows, q, interval=quantile_over_replications):
    """Return the estimate of a quantile from raw values, one row for each part."""
    everything = np.sort(np.concatenate(rows))

    def quantile(level):
        return float(np.quantile(everything, level, method="inverted_cdf"))

    value = quantile(q)
    return interval(q, [np.mean(row <= value) for row in rows], [len(r) for r in rows], quantile)


def test_a_quantile_by_hand():
    """The values 1 ... 400, of which the four replications have 11, 9, 10, 10 % below 41."""
    low = np.split(np.arange(1, 41), [11, 20, 30])
    high = np.split(np.arange(41, 401), [89, 180, 270])
    found = of_samples([np.concatenate(parts) for parts in zip(low, high, strict=True)], 0.1)
    # s = 0.01 sqrt(2 / 3) = 0.00816, t(0.975, 3) = 3.182: 0.1 +- 0.013, so 5.196 values of 400.
    assert found.value == 40
    assert found.interval == (35, 46)
    assert found.flags == ()


def test_the_quantile_is_that_of_all_values_and_not_the_mean_of_biased_ones():
    """Exponential values, 50 in each of 20 replications: their own p90 are too low on average."""
    rows = np.random.default_rng(2).exponential(size=(2_000, 20, 50))
    together = [of_samples(some, 0.9).value for some in rows[:500]]
    assert abs(np.mean(together) - math.log(10)) < 0.01
    apart = np.quantile(rows, 0.9, axis=2, method="inverted_cdf").mean()
    assert apart < math.log(10) - 0.03


def test_the_interval_of_a_quantile_covers_it_as_often_as_it_says():
    """Of 1,000 samples of 10 replications whose values are alike, as those of one host would be."""
    rng, held = np.random.default_rng(4), 0
    for _ in range(1_000):
        scale = rng.lognormal(sigma=0.1, size=(10, 1))
        held += _holds(of_samples(list(scale * rng.exponential(size=(10, 400))), 0.9), TRUE_P90)
    assert 0.92 < held / 1_000 < 0.98  # more than four standard errors about 0.95


def test_an_interval_that_takes_values_of_a_replication_for_independent_does_not():
    rng, held = np.random.default_rng(4), 0
    for _ in range(1_000):
        scale = rng.lognormal(sigma=0.1, size=(10, 1))
        everything = (scale * rng.exponential(size=(10, 400))).ravel()
        half = 1.96 * math.sqrt(0.9 * 0.1 / 4_000)
        low, high = np.quantile(everything, [0.9 - half, 0.9 + half])
        held += low <= TRUE_P90 <= high
    assert held / 1_000 < 0.92


def _holds(found, truth):
    return found.low <= truth <= found.high


def _true_p90():
    """Return the p90 of an exponential value with a lognormal scale, by quadrature."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    scale, weights = np.exp(0.1 * nodes), weights / weights.sum()
    low, high = 1.0, 4.0
    for _ in range(60):
        middle = (low + high) / 2
        above = weights @ np.exp(-middle / scale) > 0.1
        low, high = (middle, high) if above else (low, middle)
    return low


TRUE_P90 = _true_p90()


def test_a_quantile_beyond_what_the_sample_can_show_has_no_upper_end():
    rows = np.random.default_rng(2).exponential(size=(5, 20))
    found = of_samples(rows, 0.99)
    assert found.high == math.inf
    assert found.low <= found.value < math.inf  # which is what the sample does show
    assert flags.THIN_TAIL in found.flags
    assert of_samples(rows, 0.5).flags == ()


def test_values_that_come_in_clumps_make_a_thin_tail():
    """As many values beyond the quantile, in all of the parts or in three of them."""
    even, clumped = np.zeros((10, 1_000)), np.zeros((10, 1_000))
    even[:, :10] = clumped[:1, :40] = clumped[1:3, :30] = 1.0
    shares = {"even": (even < 0.5).mean(axis=1), "clumped": (clumped < 0.5).mean(axis=1)}
    found = {
        name: quantile_of_batches(0.99, some, [1_000] * 10, lambda level: level)
        for name, some in shares.items()
    }
    assert found["even"].flags == ()
    assert flags.THIN_TAIL in found["clumped"].flags


def test_one_part_has_no_interval_and_empty_parts_do_not_count():
    found = quantile_over_replications(0.5, [0.5, 0.0], [10, 0], lambda level: level)
    assert (found.value, found.n) == (0.5, 1)
    assert math.isnan(found.low)
    assert flags.FEW_REPLICATIONS in found.flags


# What all of a sample says


def test_the_effective_size_of_independent_values_is_their_number():
    rows = np.random.default_rng(6).exponential(size=(400, 20, 50))
    sizes = [effective_size(row.sum(axis=1), [50] * 20, row.mean(), row.var())[0] for row in rows]
    # The median of 19 / chi2(19) is 1.036, cut off at 1.
    assert np.median(sizes) == pytest.approx(1_000, rel=0.05)
    assert max(sizes) <= 1_000 * (1 + 1e-12)


def test_the_effective_size_of_an_autoregressive_process():
    """With a correlation of 0.9 between neighbours, n values say as much as n (1 - 0.9) / 1.9."""
    noise, sizes = np.random.default_rng(6).normal(size=(200, 20_000)), []
    for one in noise:
        x = lfilter([1.0], [1.0, -0.9], one)
        batches = x.reshape(20, -1)
        sizes.append(effective_size(batches.sum(axis=1), [1_000] * 20, x.mean(), x.var())[0])
    # The inverse has no bias, and its mean over 200 a standard error of 0.32 / sqrt(200) = 2.3 %.
    assert np.mean(1 / np.array(sizes)) == pytest.approx(19 / 20_000, rel=0.1)


def test_batches_shorter_than_the_correlation_are_not_taken_for_many_values():
    """A random walk of any length is worth less than twice as many values as it has batches."""
    for seed in range(50):
        x = np.cumsum(np.random.default_rng(seed).normal(size=(20, 500))).reshape(20, 500)
        size, _ = effective_size(x.sum(axis=1), [500] * 20, x.mean(), x.var())
        assert size < 40


def test_equal_values_are_all_worth_something_and_none_nothing():
    assert effective_size([3.0] * 20, [3] * 20, 1.0, 0.0) == (60, 0.0)
    assert effective_size([0.0] * 20, [0] * 20, math.nan, math.nan)[0] == 0.0


def of_mean(half, origin=0.0, effective=1e6):
    """Return a mean of 10 whose plain half-width is `half`, as three replications have it."""
    unit = half / (4.302653 / math.sqrt(3))
    sample = Sample(effective, error=0.0, origin=origin, unit=0.0)
    return mean_over_replications([10 - unit, 10.0, 10 + unit], sample)


def test_the_end_of_an_interval_is_where_the_error_there_leaves_it():
    """Above, the error grows with the power 3.5; below it shrinks in proportion."""
    found = of_mean(0.5)
    assert found.high - 10 == pytest.approx(0.5 * (found.high / 10) ** 3.5, rel=1e-3)
    assert 10 - found.low == pytest.approx(0.5 * found.low / 10, rel=1e-3)
    assert found.flags == ()


def test_a_narrow_interval_is_that_of_student():
    found = of_mean(0.001)
    assert found.interval == pytest.approx((9.999, 10.001), abs=1e-6)


def test_the_error_grows_by_what_is_beyond_the_shortest_value():
    near, far = of_mean(0.5, origin=0.0), of_mean(0.5, origin=8.0)
    assert far.high > near.high
    assert far.low > near.low


def test_the_error_grows_to_two_and_a_half_of_it_at_most():
    assert of_mean(4.0).high == pytest.approx(10 + 2.5 * 4.0)


def test_an_interval_for_a_mean_never_reaches_below_the_shortest_value():
    assert of_mean(40.0, origin=2.0).low >= 2.0


@pytest.mark.parametrize(("effective", "small"), [(199.0, True), (201.0, False)])
def test_a_sample_worth_few_independent_values_carries_a_flag(effective, small):
    assert of_mean(0.5, effective=effective).flags == ((flags.SMALL_SAMPLE,) if small else ())


def test_a_tail_worth_few_independent_values_carries_a_flag():
    """The shares of ten batches are much alike; all of the sample says that this is luck."""
    shares, counts = [0.989, 0.991] * 5, [1_000] * 10
    for effective, expected in ((1_990.0, (flags.THIN_TAIL,)), (2_010.0, ())):
        sample = Sample(effective, error=0.0, origin=0.0, unit=0.0)
        found = quantile_of_batches(
            0.99, shares, counts, lambda level: -math.log(1 - level), sample=sample
        )
        assert found.flags == expected


def test_the_larger_of_two_standard_errors_counts():
    rows = np.random.default_rng(8).normal(10.0, 1.0, 20)
    narrow, wide = (
        batch_means(rows, np.ones(20), sample=Sample(1e6, error, origin=0.0, unit=0.0))
        for error in (0.0, 1.0)
    )
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)
