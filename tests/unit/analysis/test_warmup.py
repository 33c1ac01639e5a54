from __future__ import annotations

import math

import numpy as np
import pytest

from lhsim.analysis.warmup import marginal_errors, truncation


def series(values, warmup=0.0):
    return truncation(np.arange(1, len(values) + 1), values, warmup)


def autoregressive(phi, start, n, rng):
    x, value = np.empty(n), start
    for i, noise in enumerate(rng.normal(size=n)):
        value = x[i] = phi * value + noise
    return x


def test_marginal_errors_by_hand():
    """Means 9, 1, 3 and then 2 seven times, of which the last five stay."""
    means = np.array([9.0, 1, 3, *[2.0] * 7])
    found = marginal_errors(means)
    assert len(found) == 6
    # d = 0: mean 2.7, squares 39.69 + 2.89 + 0.09 + 7 * 0.49 = 46.1; over 100
    assert found[0] == pytest.approx(0.461)
    assert found[1] == pytest.approx(2 / 81)
    assert found[2] == pytest.approx((0.875**2 + 7 * 0.125**2) / 64)
    assert list(found[3:]) == [0.0, 0.0, 0.0]


def test_marginal_errors_are_those_of_the_definition():
    means = np.random.default_rng(1).lognormal(size=40) + 1e6
    direct = [((means[d:] - means[d:].mean()) ** 2).sum() / (40 - d) ** 2 for d in range(36)]
    assert marginal_errors(means) == pytest.approx(direct, rel=1e-9)


def test_a_step_is_left_out_and_found_where_the_warm_up_ends_before_it():
    values = np.r_[np.full(20, 30.0), np.zeros(80)] + np.tile([1.0, -1.0], 50)
    found = series(values)
    assert (found.observations, found.time, found.settled) == (20, 20.0, True)
    assert found.short_warmup
    assert series(values, warmup=10.0).short_warmup
    assert not series(values, warmup=20.0).short_warmup


def test_a_series_that_goes_on_growing_has_not_settled():
    found = series(np.arange(100.0), warmup=10.0)
    assert not found.settled
    assert found.short_warmup


def test_nothing_is_said_of_ten_batches_less_one_observation():
    assert series(np.ones(49)) is None
    assert series(np.ones(50)) is not None


@pytest.mark.parametrize("value", [0.0, 0.1, 1e9 / 3])
def test_a_constant_series_needs_no_warm_up(value):
    found = series(np.full(100, value))
    assert (found.observations, found.settled, found.short_warmup) == (0, True, False)


def test_the_start_up_of_an_autoregressive_process_is_left_out():
    """From 50 on it decays as 0.9^k, and is below a tenth of its own deviation after 52."""
    rng = np.random.default_rng(7)
    found = [series(autoregressive(0.9, 50.0, 1_000, rng)) for _ in range(200)]
    left_out = np.array([one.observations for one in found])
    # k = ln(50 / (0.1 * 2.29)) / ln(1 / 0.9) = 51; White et al. find MSER-5 a little short of it.
    assert 20 <= np.median(left_out) <= 60
    assert np.mean([one.short_warmup for one in found]) > 0.95  # measured: 0.985
    late = [series(autoregressive(0.9, 50.0, 1_000, rng), warmup=60.0) for _ in range(200)]
    assert np.mean([one.short_warmup for one in late]) < 0.1


def test_a_process_in_its_steady_state_is_seldom_suspected():
    """100 observations with a correlation of 0.5, after a warm-up of a tenth: in 5 of 100 runs."""
    rng = np.random.default_rng(8)
    deviation = 1 / math.sqrt(1 - 0.25)
    starts = rng.normal(scale=deviation, size=1_000)
    found = [series(autoregressive(0.5, start, 100, rng), warmup=10.0) for start in starts]
    suspected = np.mean([one.short_warmup for one in found])
    assert suspected < 0.07  # measured: 0.04
    # MSER alone would suspect many more.
    assert np.mean([one.time > 10.0 for one in found]) > 0.2
