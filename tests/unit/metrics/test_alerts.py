"""Which alerts would have fired in a run, and when; most figures here are worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from attrs import evolve

import lhsim
from lhsim.cli import run
from lhsim.metrics.alerts import (
    alerts,
    average_of_minute,
    growth_per_hour,
    of_minute,
    success_percent,
)
from lhsim.metrics.thresholds import THRESHOLDS, Threshold
from lhsim.models import Poisson, Workload
from lhsim.models.faults import Stall
from lhsim.recording import Manifest, Recording
from lhsim.replay import replay

BUSY = Threshold("Busy", "warning", "cpu", True, 70, lasting=60)


def fired(values, *, times=None, threshold=BUSY):
    at = np.arange(0.0, 30.0 * len(values), 30.0) if times is None else np.array(times)
    return alerts({threshold.metric: (at, np.array(values, float))}, [threshold])[0].fired_at


@pytest.mark.parametrize(
    ("values", "when"),
    [
        ([71, 71, 71], 60.0),
        ([71, 71], None),  # for 30 s, as far as anybody knows
        ([50, 71, 71, 71], 90.0),
        ([71, 71, 70, 71, 71, 71], 150.0),  # the limit itself is none too much
        ([71, 71, math.nan, 71, 71], None),  # no value interrupts
    ],
)
def test_a_threshold_has_to_be_broken_for_long_enough(values, when):
    assert fired(values) == when


def test_between_two_samples_an_alert_fires_when_its_time_is_over():
    assert fired([90, 90], times=[10.0, 100.0]) == 70.0


def test_an_alert_without_a_duration_fires_at_once_on_either_side_of_its_limit():
    low = Threshold("Low", "critical", "delivery", False, 90)
    assert fired([95, 90, 89.9], threshold=low) == 60.0
    (alert,) = alerts({"delivery": (np.arange(3.0), np.array([95, 80, 89.0]))}, [low])
    assert (alert.worst, alert.to_dict()["threshold"]) == (80.0, "delivery < 90")


def test_of_what_was_not_measured_nothing_is_said():
    for series in ({}, {"cpu": (np.arange(2.0), np.full(2, math.nan))}):
        (alert,) = alerts(series, [BUSY])
        assert (alert.measured, alert.fired_at, alert.worst) == (False, None, None)


def test_averages_are_those_of_a_minute():
    ended, values = np.array([61.0, 10.0, 20.0]), np.array([9.0, 1.0, 3.0])
    found = average_of_minute(np.array([5.0, 15.0, 61.0, 75.0, 121.0]), ended, values)
    # Before 10 s nothing; at 75 s those of (15, 75]; at 121 s the last one is a minute ago.
    assert np.array_equal(found, [math.nan, 1.0, 13 / 3, 6.0, math.nan], equal_nan=True)
    grouped = average_of_minute(
        np.array([100.0]), np.array([90.0, 99.0]), np.array([4.0, 8.0]), [1, 3]
    )
    assert grouped.tolist() == [3.0]


def test_totals_are_those_of_a_minute():
    times, total = np.array([60.0, 120.0]), np.array([60.0, 180.0])
    # One a second, then two a second: from 30 to 90 s 30 of the first and 60 of the second.
    assert of_minute(np.array([30.0, 90.0, 120.0]), times, total).tolist() == [30.0, 90.0, 120.0]


def test_success_is_a_part_of_what_ended():
    found = success_percent(np.array([9.0, 0.0]), np.array([1.0, 0.0]))
    assert np.array_equal(found, [90.0, math.nan], equal_nan=True)


def test_memory_grows_by_its_trend_once_there_are_ten_minutes():
    times = np.arange(0.0, 1500.0, 300.0)
    found = growth_per_hour(times, 100 + times * 500 / 3600)
    assert np.isnan(found[:2]).all()
    assert found[2:] == pytest.approx(500)


def test_the_alerts_of_a_simulation_know_what_its_messages_know():
    by_name = []
    for keep in (True, False):
        result = lhsim.simulate("polling", agents=600, duration=90, seed=1, keep_messages=keep)
        found = {one.threshold.name: one for one in result.alerts()}
        assert list(found) == [one.name for one in THRESHOLDS]
        by_name.append(found)
    kept, not_kept = (found["HighLatency"].worst for found in by_name)
    # Either is the mean of thousands of latencies between 0 and 1 s.
    assert kept == pytest.approx(500, rel=0.05)
    assert not_kept == pytest.approx(kept, rel=0.05)
    for found in by_name:
        assert found["ManyAgents"].fired_at <= 2
        assert found["TooManyAgents"].fired_at is None
        assert not found["MemoryGrows"].measured


def test_a_stall_is_when_latency_alerts_fire():
    system = evolve(lhsim.load_system("push"), workload=Workload(traffic=Poisson(1.0)))
    stalled = evolve(system, faults=(Stall(component="cpu", at=30.0, duration=20.0),))
    runs = [
        lhsim.simulate(one, agents=50, duration=100, keep_messages=True)
        for one in (system, stalled)
    ]
    quiet, found = ({one.threshold.name: one for one in run.alerts()} for run in runs)
    assert quiet["HighLatency"].fired_at is None
    # Nothing ends before the stall does; then, of the messages of 50 s, those of 20 s have waited
    # for 10 s in the mean.
    assert 50 <= found["HighLatency"].fired_at <= 51
    assert found["HighLatency"].worst == pytest.approx(1e3 * 10 * 20 / 50, rel=0.1)
    assert found["VeryHighLatency"].fired_at is None


@pytest.fixture(scope="module")
def recording():
    manifest = Manifest("push", 20, Workload(traffic=Poisson(1.0)), 1, 2.0, 70.0, 2.0)
    return replay(lhsim.load_system("push"), manifest)


def test_a_recording_has_alerts_as_well(recording):
    quiet = {one.threshold.name: one for one in recording.alerts()}
    assert all(one.fired_at is None for one in quiet.values())
    assert {name for name, one in quiet.items() if not one.measured} == {
        "MemoryGrows", "MemoryExhausted", "ManyAgents", "TooManyAgents",
    }  # fmt: skip
    messages = recording.messages.copy()
    late = messages["intended_s"] > 40
    messages.loc[late, ["delivered_s", "acknowledged_s"]] = math.nan
    counters = pd.DataFrame(
        {"time_s": [0.0, 5.0, 10.0, 72.0], "cpu_s": [0.0, 1.0, 5.0, 60.0],
         "memory_mb": [10.0, 10.0, 6000.0, 10.0], "connections": [0.0, 20.0, 600.0, 20.0]}
    )  # fmt: skip
    found = {
        one.threshold.name: one
        for one in Recording(recording.manifest, messages, counters).alerts()
    }
    # 80 % from 5 to 10 s and 89 % after that: busy for a minute at 70 s, as seen at 10 s first.
    assert found["ProcessorBusy"].fired_at == 70.0
    assert found["MemoryExhausted"].fired_at == 10.0
    assert found["ManyAgents"].fired_at == 10.0
    # 20 a second: at 42-45 s the first 5 % of the minute have failed.
    assert 41 <= found["DeliveriesFail"].fired_at <= 46
    assert found["DeliveriesFail"].fired_at < found["ManyDeliveriesFail"].fired_at <= 52


def test_the_command_shows_them(recording, tmp_path, capsys):
    recording.write(tmp_path / "run")
    assert run(["alerts", "--over", str(tmp_path / "run")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(THRESHOLDS)
    assert max(map(len, lines)) <= 80
    assert lines[1].split()[-1] == "no"
    assert lines[3].endswith("unknown")
    assert run(["alerts", "--over", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
