from __future__ import annotations

import math

from lhsim.analysis.intervals import Estimate
from lhsim.analysis.levels import level_of, level_rows, metric_rows

RUN = {
    "system": "polling",
    "architecture": "polling",
    "agents": 10,
    "servers": 1,
    "seed": 1,
    "engine": "simpy",
    "duration_s": 20.0,
    "horizon_s": 20.0,
    "mean_latency_ms": 500.0,
    "min_latency_ms": 3.0,
    "max_latency_ms": 990.0,
    "p99_latency_ms": 980.0,
    "polling_cycles_total": 200,
    "utilization": 0.5,
    "bottleneck": "cpu",
    "overloaded": False,
    "backlog_growth_per_s": 0.0,
    "extrapolated": False,
    "p99_is_lower_bound": False,
}


def test_measures_are_averaged_and_extremes_are_kept():
    other = {"mean_latency_ms": 510.0, "min_latency_ms": 2.0, "max_latency_ms": 1000.0}
    (row,) = level_rows([RUN, RUN | other])
    assert row["replications"] == 2
    assert row["mean_latency_ms"] == 505.0
    assert (row["min_latency_ms"], row["max_latency_ms"]) == (2.0, 1000.0)
    low, high = row["latency_ci95_ms"]
    # t(0.975, 1) s / sqrt(2) = 12.706 * 5
    assert (round(low, 2), round(high, 2)) == (441.47, 568.53)
    assert row["test_duration_seconds"] == 20.0
    assert row["agents_per_second"] == 0.5
    assert "seed" not in row


def test_levels_keep_their_order():
    rows = level_rows([RUN | {"agents": 50}, RUN, RUN | {"agents": 50}])
    assert [(row["agents"], row["replications"]) for row in rows] == [(50, 2), (10, 1)]


def test_what_no_run_knows_is_none():
    unknown = {"mean_latency_ms": math.nan, "max_latency_ms": math.nan, "p99_latency_ms": math.nan}
    (row,) = level_rows([RUN | unknown, RUN | unknown])
    assert row["mean_latency_ms"] is row["max_latency_ms"] is row["latency_ci95_ms"] is None


def test_half_of_the_runs_make_a_level_overloaded_and_one_makes_it_extrapolated():
    over = {"overloaded": True, "extrapolated": True, "p99_is_lower_bound": True}
    (one_of_three,) = level_rows([RUN, RUN, RUN | over])
    assert not one_of_three["overloaded"]
    assert one_of_three["extrapolated"]
    assert one_of_three["lower_bounds"] == ["p99_latency_ms"]
    (one_of_two,) = level_rows([RUN, RUN | over])
    assert one_of_two["overloaded"]


def test_the_long_table_has_units_and_intervals():
    rows = {row["metric"]: row for row in metric_rows([RUN, RUN | {"p99_latency_ms": 990.0}])}
    p99, longest = rows["p99_latency_ms"], rows["max_latency_ms"]
    assert (p99["value"], p99["n"], p99["unit"], p99["statistic"]) == (985.0, 2, "ms", "mean")
    assert p99["ci_low"] < 985.0 < p99["ci_high"]
    assert (longest["statistic"], longest["ci_low"]) == ("max", None)
    assert rows["backlog_growth_per_s"]["unit"] == "1/s"
    assert rows["utilization"]["unit"] == "1"
    assert not {"seed", "bottleneck", "overloaded", "p99_is_lower_bound"} & rows.keys()


POOLED = {level_of(RUN): {"p99_latency_ms": Estimate(985.0, 970.0, math.inf, 3, ("thin tail",))}}


def test_a_quantile_of_all_messages_takes_the_place_of_the_mean_of_quantiles():
    runs = [RUN, RUN, RUN | {"p99_latency_ms": 1100.0}]
    (row,) = level_rows(runs, POOLED)
    assert row["p99_latency_ms"] == 985.0
    assert row["p99_ci95_ms"] == [970.0, None]
    assert row["flags"] == {"p99_latency_ms": ["thin tail"]}
    rows = {row["metric"]: row for row in metric_rows(runs, POOLED)}
    p99 = rows["p99_latency_ms"]
    assert (p99["statistic"], p99["ci_low"], p99["ci_high"]) == ("quantile", 970.0, None)
    assert (p99["reliable"], p99["flags"]) == (False, "thin tail")
    assert (rows["utilization"]["reliable"], rows["utilization"]["flags"]) == (True, "")


def test_two_runs_are_too_few_for_any_interval():
    (row,) = level_rows([RUN, RUN])
    assert row["flags"]["utilization"] == ["few replications"]
    assert "max_latency_ms" not in row["flags"]


def test_flags_of_runs_are_those_of_their_level():
    short, over = {"short_warmup": True}, {"overloaded": True, "p99_is_lower_bound": True}
    (most,) = level_rows([RUN | short | over, RUN | short | over, RUN])
    assert most["flags"]["p99_latency_ms"] == ["lower bound", "short warm-up", "overloaded"]
    assert most["flags"]["utilization"] == ["short warm-up"]
    (fewer,) = level_rows([RUN | short, RUN, RUN])
    assert fewer["flags"] == {}
