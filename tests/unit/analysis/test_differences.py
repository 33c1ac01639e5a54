"""Differences of samples, by hand and by how often they are right."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lhsim.analysis.differences import between_estimates, holm, paired, unpaired
from lhsim.analysis.intervals import Estimate, estimate

FIGURES = st.floats(-1e6, 1e6).map(lambda value: round(value, 6))
SAMPLES = st.lists(FIGURES, min_size=2, max_size=12)


def test_pairs_by_hand():
    """Differences 10, 10.1, 10.2: a mean of 10.1, s = 0.1, t(0.975, 2) = 4.3027."""
    found = paired([100.0, 101.0, 102.0], [110.0, 111.1, 112.2])
    assert found.value == pytest.approx(10.1)
    assert found.high - found.value == pytest.approx(0.43027 / math.sqrt(3), abs=1e-5)
    assert found.p_value == pytest.approx(3.2666e-5, rel=1e-3)  # 2 T_2(-101 sqrt(3))


def test_welchs_example():
    """The first example of Welch's test in R: t.test(extra ~ group, data = sleep)."""
    a = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
    b = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
    found = unpaired(a, b)
    assert found.p_value == pytest.approx(0.07939, abs=1e-5)
    assert (found.low, found.high) == pytest.approx((-0.2054832, 3.3654832), abs=1e-6)


def test_intervals_alone_by_hand():
    """Standard errors 3 and 4 make one of 5."""
    z = 1.959964
    a, b = (Estimate(value, value - z * s, value + z * s, 9) for value, s in ((100, 3), (110, 4)))
    found = between_estimates(a, b)
    assert (found.low, found.high) == pytest.approx((10 - 5 * z, 10 + 5 * z))
    assert found.p_value == pytest.approx(0.0455, abs=1e-4)  # two standard errors
    same = between_estimates(a, a)
    assert same.value == 0
    assert same.p_value == 1


def test_holms_example():
    """Holm (1979), by hand: 4 x 0.005, 3 x 0.01, 2 x 0.03, and 0.04 at least as much."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


@pytest.mark.parametrize("test", [paired, unpaired])
def test_what_all_runs_agree_on_is_no_chance(test):
    assert test([5.0, 5.0, 5.0], [5.0, 5.0, 5.0]).p_value == 1
    found = test([5.0, 5.0, 5.0], [6.0, 6.0, 6.0])
    assert (found.low, found.high, found.p_value) == (1, 1, 0)
    rounded = test([0.1 + 0.2, 0.3], [0.3, 0.3])  # differs in the last bit
    assert (rounded.value, rounded.p_value) == (0, 1)


@given(SAMPLES, SAMPLES)
def test_the_sides_are_alike(a, b):
    found, turned = unpaired(a, b), unpaired(b, a)
    assert turned.value == pytest.approx(-found.value)
    assert turned.low == pytest.approx(-found.high, nan_ok=True)
    assert turned.p_value == pytest.approx(found.p_value)
    assert 0 <= found.p_value <= 1


@given(st.lists(st.tuples(FIGURES, FIGURES), min_size=2, max_size=12), st.randoms())
def test_the_order_of_pairs_does_not_matter(pairs, random):
    found = paired(*zip(*pairs, strict=True))
    random.shuffle(pairs)
    other = paired(*zip(*pairs, strict=True))
    assert (other.low, other.high) == pytest.approx((found.low, found.high), abs=1e-3)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_a_correction_never_helps_and_keeps_the_order(p_values):
    adjusted = holm(p_values)
    assert all(p <= q <= 1 for p, q in zip(p_values, adjusted, strict=True))
    assert min(adjusted) <= len(p_values) * min(p_values) + 1e-12
    by_size = sorted(range(len(p_values)), key=lambda i: p_values[i])
    assert [adjusted[i] for i in by_size] == sorted(adjusted)


def test_nothing_is_found_more_often_than_it_is_said():
    """Twelve comparisons of nothing: a difference in 5 % of the trials, and in no more."""
    rng, trials = np.random.default_rng(3), 1_000
    found = {"paired": 0, "unpaired": 0, "uncorrected": 0}
    for _ in range(trials):
        common = rng.normal(size=(12, 5))
        a, b = (10 + common + 0.3 * rng.normal(size=(12, 5)) for _ in range(2))
        tests = {"paired": [paired(*rows).p_value for rows in zip(a, b, strict=True)]}
        c = 10 + rng.normal(size=(12, 7))
        tests["unpaired"] = [unpaired(*rows).p_value for rows in zip(a, c, strict=True)]
        for name, p_values in tests.items():
            found[name] += min(holm(p_values)) < 0.05
        found["uncorrected"] += min(tests["paired"]) < 0.05
    assert found["paired"] <= 78  # four standard errors above 50
    assert found["unpaired"] <= 78
    assert found["uncorrected"] > 300  # 1 - 0.95^12 is 46 %


def test_the_intervals_cover_as_often_as_they_say():
    rng, held = np.random.default_rng(4), {"unpaired": 0, "estimates": 0}
    for _ in range(2_000):
        a, b = rng.normal(10, 1, 5), rng.normal(12, 3, 8)
        found = unpaired(a, b)
        held["unpaired"] += found.low <= 2 <= found.high
        found = between_estimates(estimate(a), estimate(b))
        held["estimates"] += found.low <= 2 <= found.high
    assert 0.93 < held["unpaired"] / 2_000 < 0.97  # four standard errors about 0.95
    assert held["estimates"] / 2_000 > 0.93  # a t interval in place of a normal one: cautious


def test_a_claim_of_a_direction_has_half_the_chance():
    found = unpaired([1.0, 2.0, 3.0], [2.0, 3.0, 4.0])
    assert found.p_beyond(1) == pytest.approx(found.p_value / 2)
    assert found.p_beyond(-1) == pytest.approx(1 - found.p_value / 2)
