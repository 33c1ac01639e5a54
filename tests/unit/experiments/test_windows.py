"""Figures over the runs of a level whose load changes over time."""

from __future__ import annotations

import json

import pytest

import lhsim
from lhsim import cli
from lhsim.experiments.output import formatted
from lhsim.report.levels import window_table

TOML = """
name = "day"
[push]
[cpu.send]
family = "exponential"
mean = "1 ms"
[workload.traffic]
kind = "piecewise"
pieces = [{ duration = "60 s", rate = "0.1/s" }, { duration = "60 s", rate = "0.4/s" }]
"""


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    path = tmp_path_factory.mktemp("day") / "day.toml"
    path.write_text(TOML)
    return lhsim.sweep([path], agents=[50], replications=2, duration="120 s", progress=False)


def test_a_level_has_the_windows_of_its_runs_together(sweep):
    (row,) = sweep.level_rows()
    runs = [result.windows() for result in sweep.results]
    assert len(row["windows"]) == len(runs[0]) == 20
    for number, found in enumerate(row["windows"]):
        each = [run.iloc[number] for run in runs]
        assert found["start_s"] == each[0]["start_s"]
        assert found["messages_per_second"] == pytest.approx(
            sum(one["messages_per_second"] for one in each) / 2
        )
        low, high = sorted(one["p50_latency_ms"] for one in each)
        assert low * 0.98 <= found["p50_latency_ms"] <= high * 1.02
    first, last = row["windows"][0], row["windows"][-1]
    assert first["messages_per_second"] == pytest.approx(5, rel=0.5)
    assert last["messages_per_second"] == pytest.approx(20, rel=0.3)


def test_they_stand_in_the_table_and_in_json_and_not_in_csv(sweep):
    rows = sweep.level_rows()
    lines = window_table(rows)
    assert lines[1] == "messages by the time when they were sent"
    assert len(lines[2].splitlines()) == 21
    assert max(map(len, "\n".join(lines).splitlines())) <= 80
    assert len(json.loads(formatted(rows, "json", str))[0]["windows"]) == 20
    assert "windows" not in formatted(rows, "csv", str)


def test_a_steady_load_and_a_run_shorter_than_half_the_load_have_none(sweep):
    steady = lhsim.sweep(["push"], agents=[50], replications=1, duration="20 s", progress=False)
    short = lhsim.sweep(sweep.systems, agents=[50], replications=1, duration="50 s", progress=False)
    for one in (steady, short):
        assert all("windows" not in row for row in one.level_rows())
        assert window_table(one.level_rows()) == []


def test_scaling_shows_them(tmp_path, capsys):
    (tmp_path / "day.toml").write_text(TOML)
    arguments = ["--agents", "50", "--replications", "1", "--duration", "120s", "--quiet"]
    system = ["--system", str(tmp_path / "day.toml"), "--output-dir", str(tmp_path / "out")]
    assert cli.run(["scaling", *system, *arguments]) == 0
    out = capsys.readouterr().out
    assert "messages by the time when they were sent" in out
    assert max(map(len, out.splitlines())) <= 80
