"""When a system is as it was before, on series whose answer is plain to see."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lhsim.analysis.recovery import Windows, band, time_to_recover, windows


def series(*values: float) -> Windows:
    return Windows(np.arange(len(values)) * 5.0, 5.0, np.array(values), np.ones(len(values), int))


def test_a_window_has_the_quantile_of_the_messages_created_in_it() -> None:
    found = windows([0.0, 4.9, 5.0, 11.0, 15.0], [1.0, 3.0, 7.0, math.nan, 9.0], 0, 15, 5, 0.5)
    assert list(found.starts) == [0, 5, 10]
    assert found.values[:2] == pytest.approx([2.0, 7.0])
    assert math.isnan(found.values[2])  # its only message has no latency
    assert list(found.counts) == [2, 1, 0]


def test_what_is_left_of_the_time_is_no_window() -> None:
    assert len(windows([], [], 0, 14.9, 5, 0.95).values) == 2


def test_the_band_is_a_prediction_interval_for_one_more_value() -> None:
    # mean 2, s = 1, n = 3: t(2, 0.975) = 4.302653, so 2 +- 4.302653 sqrt(4/3)
    assert band([1, 2, 3]) == pytest.approx((2 - 4.968275, 2 + 4.968275), rel=1e-6)
    assert all(map(math.isnan, band([1.0, math.nan])))


def test_the_band_holds_as_many_further_values_as_it_says() -> None:
    """Of 4000 normal values 95 % are inside, to within 3 standard errors: 1 %."""
    draws = np.random.default_rng(5).normal(size=(4000, 13))
    inside = [band(row[:12])[0] <= row[12] <= band(row[:12])[1] for row in draws]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.0104)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((1, 9, 1, 1, 1), 5.0),  # from the end of the trigger at 5 s: a window later
        ((1, 1, 1, 9, 9), 0.0),
        ((9, 1, 9, 1, 1), 10.0),  # once is not for 10 s
        ((1, 9, 9, 9, 1), math.nan),  # the last window alone does not last for 10 s
        ((1, math.nan, 1, 1, 1), 5.0),  # nothing was delivered: outside
    ],
)
def test_it_has_recovered_when_it_stays_below_the_band_for_long_enough(
    values: tuple[float, ...], expected: float
) -> None:
    found = time_to_recover(series(*values), since=5.0, top=2.0, hold=10.0)
    assert found == expected or (math.isnan(found) and math.isnan(expected))


def test_quicker_than_before_is_nothing_to_recover_from() -> None:
    assert time_to_recover(series(5, 1, 1), since=5.0, top=6.0, hold=10.0) == 0
