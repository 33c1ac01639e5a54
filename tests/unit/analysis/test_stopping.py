from __future__ import annotations

import math

import pytest

from lhsim.analysis import flags
from lhsim.analysis.intervals import Estimate
from lhsim.analysis.stopping import GROWTH, Precision, judge
from lhsim.errors import InputError

P99 = Precision({"p99": 0.05}, most=40)
PLENTY = 10**6


def known(width, *why, value=100.0):
    return Estimate(value, value * (1 - width), value * (1 + width), 5, why)


def test_a_narrow_interval_is_enough():
    found = judge({"p99": known(0.05)}, 5, P99, PLENTY)
    assert (found.reason, found.replications) == ("reached", 5)
    assert found.widths["p99"] == pytest.approx(0.05)


def test_the_next_round_is_what_the_interval_needs():
    # 1.1 * 10 (0.06 / 0.05)^2 = 15.84
    found = judge({"p99": known(0.06)}, 10, P99, PLENTY)
    assert (found.reason, found.replications) == ("", 16)


@pytest.mark.parametrize("width", [0.5, math.nan, math.inf])
def test_it_grows_by_no_more_than_a_factor(width):
    assert judge({"p99": known(width)}, 5, P99, PLENTY).replications == 5 * GROWTH


def test_it_grows_by_one_at_least():
    assert judge({"p99": known(0.0500001)}, 5, P99, PLENTY).replications == 6


def test_the_worst_of_several_measures_counts():
    both = Precision({"p99": 0.05, "mean": 0.01}, most=40)
    found = judge({"p99": known(0.04), "mean": known(0.012)}, 10, both, PLENTY)
    assert found.replications == 16
    assert judge({"p99": known(0.04), "mean": known(0.01)}, 10, both, PLENTY).reason == "reached"
    assert both.joint_confidence == pytest.approx(0.9)


def test_the_budgets_are_kept_and_named():
    wide = {"p99": known(0.5)}
    assert judge(wide, 30, P99, PLENTY).replications == 40
    assert judge(wide, 40, P99, PLENTY).reason == "max replications"
    assert judge(wide, 5, P99, 7).replications == 7
    assert judge(wide, 7, P99, 7).reason == "max events"
    assert judge(wide, 7, P99, 1).reason == "max events"


@pytest.mark.parametrize("flag", [flags.OVERLOADED, flags.LOWER_BOUND])
def test_what_no_replication_can_help_ends_at_once(flag):
    assert judge({"p99": known(0.001, flag)}, 5, P99, PLENTY).reason == flag


@pytest.mark.parametrize("flag", [flags.THIN_TAIL, flags.FEW_REPLICATIONS])
def test_a_narrow_interval_that_says_nothing_is_not_enough(flag):
    assert judge({"p99": known(0.001, flag)}, 5, P99, PLENTY).replications == 6


def test_a_short_warm_up_is_shown_and_does_not_go_on_for_ever():
    assert judge({"p99": known(0.001, flags.SHORT_WARMUP)}, 5, P99, PLENTY).reason == "reached"


@pytest.mark.parametrize(("asked", "first"), [(1, 10), (3, 10), (18, 18), (60, 40)])
def test_the_first_round_says_something_about_the_spread(asked, first):
    assert P99.first(asked) == first


def test_one_replication_is_no_budget():
    with pytest.raises(InputError, match="most: 1 is out of range"):
        Precision({"p99": 0.05}, most=1)
