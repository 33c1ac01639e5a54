from __future__ import annotations

import math

import numpy as np
import pytest

from lhsim.analysis import flags
from lhsim.analysis.comparison import compare
from lhsim.errors import InputError


def test_a_comparison_by_hand():
    """Differences 10, 10.1, 10.2: a mean of 10.1, s = 0.1, t(0.975, 2) = 4.3027."""
    found = compare([110.0, 111.1, 112.2], [100.0, 101.0, 102.0])
    assert found.n == 3
    assert found.difference.value == pytest.approx(10.1)
    assert found.difference.half_width == pytest.approx(0.43027 / math.sqrt(3), abs=1e-5)
    assert found.significant
    assert found.ratio.interval == pytest.approx((1.1, 1.1))  # in each pair
    # Variances 1.21, 1 and, of the differences, 0.01.
    assert found.variance_reduction == pytest.approx(1 - 0.01 / 2.21)


def test_fiellers_interval_by_hand():
    """x = 4, y = 2, s_xx = s_yy = 1 / 3, s_xy = 0 of the means of four pairs."""
    a, b = [5.0, 5.0, 3.0, 3.0], [3.0, 1.0, 3.0, 1.0]
    t2 = 3.182446**2 / 3
    roots = np.roots([4 - t2, -16, 16 - t2])
    found = compare(a, b).ratio
    # (y^2 - t^2 s_yy) r^2 - 2 x y r + x^2 - t^2 s_xx = 0
    assert found.value == 2.0
    assert found.interval == pytest.approx(tuple(sorted(roots)), rel=1e-5)


def test_a_denominator_that_may_be_zero_leaves_the_ratio_unbounded():
    found = compare([1.0, 2.0, 1.5], [1.0, -1.0, 0.1])
    assert flags.UNBOUNDED in found.ratio.flags
    assert math.isnan(found.ratio.low)
    assert not found.difference.flags


def test_pairs_that_are_not_known_are_left_out():
    found = compare([1.0, None, 3.0, 4.0, 8.0], [2.0, 5.0, math.nan, 4.0, 9.0])
    assert found.n == found.a.n == found.b.n == 3
    assert found.a.value == pytest.approx(13 / 3)


def test_without_a_pair_nothing_is_known():
    found = compare([1.0, None], [None, 1.0])
    assert found.n == 0
    assert math.isnan(found.ratio.value)
    assert math.isnan(found.variance_reduction)
    assert not found.significant


def test_two_pairs_carry_a_flag():
    assert compare([1.0, 2.0], [2.0, 3.5]).difference.flags == (flags.FEW_REPLICATIONS,)


def test_values_that_are_no_pairs_are_refused():
    with pytest.raises(InputError, match="2 and 1 values are no pairs"):
        compare([1.0, 2.0], [1.0])


def test_pairing_takes_away_what_pairs_have_in_common():
    """Var(a) = Var(b) = 1 + 9, and that of the difference is 2."""
    rng = np.random.default_rng(1)
    common = 3 * rng.normal(size=4_000)
    a, b = common + rng.normal(size=4_000), common + rng.normal(size=4_000)
    assert compare(a, b).variance_reduction == pytest.approx(0.9, abs=0.02)
    assert compare(a, -b).variance_reduction == pytest.approx(-0.9, abs=0.02)
    assert compare(a, rng.permutation(b)).variance_reduction == pytest.approx(0.0, abs=0.06)


def test_the_intervals_cover_as_often_as_they_say():
    rng, held = np.random.default_rng(2), {"difference": 0, "ratio": 0, "unpaired": 0}
    for _ in range(2_000):
        common = rng.normal(size=5)
        a, b = 12 + common + 0.3 * rng.normal(size=5), 8 + common + 0.3 * rng.normal(size=5)
        found = compare(a, b)
        held["difference"] += found.difference.low <= 4 <= found.difference.high
        held["ratio"] += found.ratio.low <= 1.5 <= found.ratio.high
        wide = 2.776 * math.sqrt((a.var(ddof=1) + b.var(ddof=1)) / 5)
        held["unpaired"] += abs(a.mean() - b.mean() - 4) <= wide
    assert 0.93 < held["difference"] / 2_000 < 0.97  # four standard errors about 0.95
    assert 0.93 < held["ratio"] / 2_000 < 0.97
    assert held["unpaired"] / 2_000 > 0.99  # far too wide: it does not see what they share
