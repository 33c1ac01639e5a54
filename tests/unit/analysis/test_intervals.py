from __future__ import annotations

import math

import numpy as np
import pytest

from lhsim.analysis.intervals import Estimate, estimate


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
    assert estimate([1.0, math.nan, 1.0, None]) == Estimate(1.0, 1.0, 1.0, 2)


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
