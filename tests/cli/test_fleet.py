"""`lhsim fleet` as a user runs it."""

from __future__ import annotations

import json
import shlex
from datetime import date

import numpy as np
import pandas as pd
import pytest

from lhsim import cli

DAY = """
name = "web"
[requests]
[nodes]
count = 3
rule = "random"
[cpu.query]
family = "exponential"
mean = "10 ms"
[workload]
start = "together"
[workload.traffic]
kind = "piecewise"
pieces = [
    { duration = "30 min", rate = "0.2/s" },
    { duration = "30 min", rate = "0.3/s" },
    { duration = "30 min", rate = "0.6/s" },
    { duration = "30 min", rate = "0.5/s" },
]
"""
ANSWER = {
    *("system", "objectives", "confidence", "seed", "growth", "autoscaler", "plans", "milestones"),
    *("extrapolated", "warnings"),
}
PLAN = {
    *("day", "agents", "sizes", "windows", "span", "nodes", "interval", "node_hours"),
    *("node_hours_interval", "autoscaled_node_hours", "short", "late"),
}


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """The output folder of all: what one has run the next one finds."""
    return tmp_path_factory.mktemp("fleet")


@pytest.fixture
def bare(folder, kept):
    (folder / "day.toml").write_text(DAY)
    return ["fleet", "--system", "./day.toml", "--jobs", "1", "--quiet", "--output-dir", str(kept)]


@pytest.fixture
def asked(bare):
    return [*bare, "--slo", "p99<150ms", "--agents", "200", "--start", "2027-01-01"]


@pytest.fixture
def scaled(asked):
    return [*asked, "--target-utilization", "60%", "--start-delay", "0s", "--growth", "2%/month"]


def test_json_has_exactly_what_is_promised(scaled, capsys):
    assert cli.run([*scaled, "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found) == ANSWER
    assert all(set(plan) == PLAN for plan in found["plans"])
    assert [plan["day"] for plan in found["plans"]] == ["2027-01-01", "2028-01-01"]
    assert [plan["agents"] for plan in found["plans"]] == [200, 254]
    first, second = found["plans"][0]["windows"]
    # 69.3 messages/s a node: 1/SERVICE - ln(100)/LIMIT
    assert (first["start"], first["end"], first["nodes"], second["nodes"]) == (0, 3600, 1, 2)
    assert (second["peak"], second["load"]) == pytest.approx((120, 110))
    assert found["autoscaler"] == {
        "target": 0.6, "start_delay": 0.0, "stabilization": 300.0, "period": 15.0,
        "tolerance": 0.1, "least": 1, "most": 1000,
    }  # fmt: skip
    assert found["plans"][0]["node_hours"] == pytest.approx(36)


def test_the_table_begins_with_a_sentence_and_keeps_to_80_columns(scaled, kept, capsys):
    assert cli.run(scaled) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("p99<150ms: 1 to 2 nodes over the day, 36.0 node-hours a day")
    assert max(map(len, lines)) <= 80
    assert any(line.startswith("2 nodes all day: 48.0 node-hours") for line in lines)
    assert any(line.startswith("autoscaler at 60 %: ") for line in lines)
    assert any(line.startswith("2 nodes keep the objective at the busiest time") for line in lines)
    assert sum(line.startswith("00:00-01:00") for line in lines) == 2
    finding = json.loads((kept / "finding.json").read_text())
    assert finding["title"] == "Fleet"
    assert {"fleet.png", "fleet.svg", "answer.json", "finding.json"} <= {
        path.name for path in kept.iterdir()
    }


def test_csv_has_a_row_for_each_window_of_each_day(scaled, capsys):
    assert cli.run([*scaled, "--format", "csv"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("day,agents,start_s,end_s,messages_per_second,peak_per_second,nodes")
    assert [line.split(",")[:4] for line in lines[1:]] == [
        [day, agents, *ends]
        for day, agents in (("2027-01-01", "200"), ("2028-01-01", "254"))
        for ends in (["0.0", "3600.0"], ["3600.0", "7200.0"])
    ]


def test_it_resumes_and_says_the_same_again(asked, capsys):
    assert cli.run(asked) == 0
    first = capsys.readouterr().out
    loud = [word for word in asked if word != "--quiet"]
    assert cli.run([*loud, "--no-progress"]) == 0
    captured = capsys.readouterr()
    assert captured.out == first
    assert "runs: 0 done" in captured.err


def test_the_load_of_a_log_replaces_the_traffic(bare, folder, capsys):
    """Two hours: 40/s on average in the first, 120/s in the second."""
    generator = np.random.default_rng(1)
    at = np.concatenate(
        [generator.uniform(0, 3600, 144_000), generator.uniform(3600, 7200, 432_000)]
    )
    at.sort()
    frame = pd.DataFrame({"client": -1, "start_s": at, "end_s": at + 0.01})
    frame.to_parquet(folder / "log.parquet")
    arguments = [*bare, "log.parquet", "--slo", "p99<150ms", "--agents", "200", "--format", "csv"]
    assert cli.run(arguments) == 0
    rows = [line.split(",") for line in capsys.readouterr().out.splitlines()]
    nodes = rows[0].index("nodes")
    loads = rows[0].index("messages_per_second")
    assert [float(row[loads]) for row in rows[1:]] == pytest.approx([40, 120], rel=0.01)
    assert [row[nodes] for row in rows[1:]] == ["1", "2"]
    assert rows[1][0] == date.today().isoformat()


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--agents", "9"], "--slo: there is no objective"),
        (["--slo", "p99>1s", "--agents", "9"], "--slo: p99>1s: a latency has an upper limit"),
        (["--slo", "p99<1s"], "--agents: is missing"),
        (["--slo", "p99<1s", "--agents", "9", "--horizon", "3"], "--horizon: changes nothing"),
        (["--slo", "p99<1s", "--agents", "9", "--growth", "x"], "--growth: 'x' is no growth"),
        (["--slo", "p99<1s", "--agents", "9", "--start", "x"], "--start: 'x' is no date"),
        (["--slo", "p99<1s", "--agents", "9", "--min-nodes", "3"],
         "--min-nodes: changes nothing; allowed: only with --target-utilization"),
        (["--slo", "p99<1s", "--agents", "9", "--target-utilization", "0%"],
         "--target-utilization: 0 is out of range"),
        (["--slo", "p99<1s", "--agents", "9", "--target-utilization", "700"],
         "--target-utilization: '700' is out of range; allowed: a share such as 70% or 0.7"),
        (["--slo", "p99<1s", "--agents", "9", "--target-utilization", "nan"],
         "--target-utilization: 'nan' is out of range"),
        (["--slo", "p99<1s", "--agents", "9", "--target-utilization", ".5", "--min-nodes", "3",
          "--max-nodes", "2"], "--max-nodes: 2 is out of range"),
        (["--slo", "p99<1s", "--agents", "9", "--target-utilization", ".5", "--period", "1h"],
         "--period: "),
        (["--slo", "p99<1s", "--agents", "9", "--window", "0"], "--window: '0' is out of range"),
        (["--slo", "p99<1s", "none.csv"], "--agents: is missing; allowed: a number, with logs"),
        (["--slo", "p99<1s", "--agents", "9", "none.csv"], "none.csv"),
        (["--slo", "p99<1s", "--agents", "9", "--every", "1h"],
         "--every: changes nothing; allowed: only with logs"),
        (["--slo", "p99<1s", "--agents", "9", "--as", "otlp"], "--as: changes nothing"),
        (["--slo", "p99<1s", "--agents", "9", "--log-format", "nginx"],
         "--log-format: changes nothing"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line(bare, kept, capsys, arguments, part):
    before = {path.name for path in kept.iterdir()}
    assert cli.run([*bare, *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert part in captured.err
    assert {path.name for path in kept.iterdir()} == before


def test_a_system_without_a_load_over_time_is_refused(capsys, tmp_path):
    arguments = ["fleet", "--system", "polling", "--agents", "9", "--slo", "p99<1s"]
    assert cli.run([*arguments, "--output-dir", str(tmp_path / "none")]) == 2
    assert "polling: workload.traffic: is no load over time" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_the_command_of_a_finding_gives_the_same_answer_again(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "day.toml").write_text(DAY)
    asked = ["fleet", "--slo", "p99<1s", "--agents", "20", "--system", "./day.toml"]
    quiet = ["--quiet", "--output-dir"]
    assert cli.run([*asked, "--start", "2027-01-31", *quiet, "one"]) == 0
    command = shlex.split(json.loads((tmp_path / "one/finding.json").read_text())["command"])
    assert cli.run([*command[command.index("fleet") :], *quiet, "two"]) == 0
    capsys.readouterr()
    assert (tmp_path / "one/answer.json").read_text() == (tmp_path / "two/answer.json").read_text()
