"""What the commands print and write."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
from pathlib import Path

import pandas as pd
import pytest

from lhsim import cli

BOTH = ("--system", "./polling.toml", "--system", "./push.toml")
SMALL = ("--agents", "10,200", "--replications", "3", "--duration", "20")
FIELDS = {
    *(
        "system",
        "architecture",
        "agents",
        "servers",
        "replications",
        "p50_latency_ms",
        "p95_latency_ms",
    ),
    *("p99_latency_ms", "max_latency_ms", "mean_latency_ms", "latency_ci95_ms"),
    *("messages_per_second", "delivery_success_rate", "utilization", "bottleneck"),
    *("polling_cycles_total", "wasted_poll_cycles", "database_queries_total"),
    *("memory_per_agent_mb", "overloaded", "extrapolated", "test_duration_seconds"),
    *("agents_per_second", "cpu_utilization_percent", "backlog_growth_per_s", "engine"),
}


def scaling(*more):
    """Run the command with the small options, of which those that are given again give way."""
    pairs = zip(SMALL[::2], SMALL[1::2], strict=True)
    small = [part for pair in pairs if pair[0] not in more for part in pair]
    return cli.run(["scaling", *BOTH, *small, "--jobs", "1", *more])


@pytest.mark.rendered
def test_the_same_seed_gives_the_same_bytes_in_any_process_and_with_any_number_of_them(
    lhsim, capsys
):
    few = ("--agents", "10,200", "--replications", "2", "--duration", "10")
    asked = ("scaling", *BOTH, *few, "--format", "json", "--quiet")
    assert cli.run([*asked, "--jobs", "1", "--output-dir", "here"]) == 0
    here = capsys.readouterr()
    runs = {
        name: lhsim(*asked, "--jobs", jobs, "--output-dir", name)
        for name, jobs in (("one", "1"), ("two", "2"))
    }
    assert {run.returncode for run in runs.values()} == {0}
    assert {here.err, *(run.stderr for run in runs.values())} == {""}
    assert len({here.out, *(run.stdout for run in runs.values())}) == 1
    for file in ("scaling.png", "scaling.svg", "runs.parquet", "metrics.parquet"):
        assert len({Path(name, file).read_bytes() for name in ("here", *runs)}) == 1, file


def test_another_seed_gives_other_results(folder, capsys):
    outputs = set()
    for seed in ("1", "2"):
        assert scaling("--agents", "10", "--seed", seed, "--format", "json") == 0
        outputs.add(capsys.readouterr().out)
    assert len(outputs) == 2


def test_json_has_one_object_a_level(folder, capsys):
    assert scaling("--format", "json") == 0
    rows = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert [(row["system"], row["agents"]) for row in rows] == [
        *(("polling", 10), ("polling", 200)),
        *(("push", 10), ("push", 200)),
    ]
    for row in rows:
        assert row.keys() >= FIELDS
        assert row["replications"] == 3
        low, high = row["latency_ci95_ms"]
        assert low <= row["mean_latency_ms"] <= high
        assert row["p50_latency_ms"] <= row["p99_latency_ms"] <= row["max_latency_ms"]
    assert [row["extrapolated"] for row in rows] == [False, True, False, False]
    assert rows[1]["utilization"] > 0.95
    assert rows[1]["bottleneck"] == "cpu"
    assert rows[2]["database_queries_total"] == 0


def test_a_single_run_has_no_interval(folder, capsys):
    assert scaling("--format", "json", "--replications", "1") == 0
    rows = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert {row["latency_ci95_ms"] for row in rows} == {None}


def test_what_cannot_be_trusted_says_so_wherever_it_is_shown(folder, capsys):
    few = ("--replications", "2", "--agents", "10")
    assert scaling(*few, "--format", "json") == 0
    for row in json.loads(capsys.readouterr().out):
        assert row["flags"]["p99_latency_ms"][0] == "few replications"
    assert scaling(*few, "--format", "csv") == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert "p99_latency_ms: few replications" in rows[0]["flags"]
    assert scaling(*few) == 0
    text = capsys.readouterr().out
    assert "10?" in text
    assert "? few replications: fewer than 3 runs" in text
    metrics = pd.read_parquet("results/scaling/metrics.parquet").set_index("metric")
    assert not metrics.loc["p99_latency_ms", "reliable"].any()
    assert set(metrics.loc["utilization", "flags"]) == {"few replications"}


PRECISE = ("--precision", "mean=10%", "--precision", "utilization=20%", "--max-replications", "14")


def test_a_precision_is_kept_or_the_budget_is_spent_with_any_number_of_jobs(lhsim, capsys):
    asked = ("scaling", *BOTH, "--agents", "10,80", "--duration", "20", *PRECISE, "--quiet")
    asked = (*asked, "--format", "json", "--output-dir")
    assert cli.run([*asked, "one", "--jobs", "1"]) == 0
    printed = capsys.readouterr().out
    two = lhsim(*asked, "two", "--jobs", "2")
    assert (two.returncode, two.stdout) == (0, printed)
    assert len({Path(name, "metrics.parquet").read_bytes() for name in ("one", "two")}) == 1
    rows = json.loads(printed, parse_constant=pytest.fail)
    for row in rows:
        assert row["precision"] in {"reached", "max replications"}
        assert 10 <= row["replications"] <= 14
        if row["precision"] == "reached":
            assert row["relative_half_widths"]["mean"] <= 0.1
            assert row["relative_half_widths"]["utilization"] <= 0.2
        else:
            assert row["replications"] == 14
    assert json.loads(Path("one/manifest.json").read_text())["options"]["precision"] == {
        "mean": 0.1,
        "utilization": 0.2,
    }


def test_the_table_says_what_was_asked_and_what_was_not_reached(folder, capsys):
    asked = ("--precision", "mean=0.1%", "--precision", "p50=90%", "--max-replications", "6")
    assert scaling("--replications", "5", "--agents", "10,50", *asked) == 0
    captured = capsys.readouterr()
    assert "; 6 runs a level" in captured.out
    assert "95 % intervals: mean to 0.1 %, p50 to 90 %; together at least 90 %" in captured.out
    assert "not reached (max replications): polling 10; polling 50" in captured.out
    assert " 6! " in captured.out
    assert max(map(len, captured.out.splitlines())) <= 80
    assert cli.run(["latency", *BOTH, "--precision", "mean=50%", "--jobs", "1"]) == 0
    assert "reached at every level" in capsys.readouterr().out


def test_csv_has_the_same_levels(folder, capsys):
    assert scaling("--format", "csv") == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["agents"] for row in rows] == ["10", "200", "10", "200"]
    assert float(rows[0]["latency_ci95_low_ms"]) < float(rows[0]["latency_ci95_high_ms"])


def test_the_table_fits_80_columns_and_names_the_knee(folder, capsys):
    assert scaling("--engine", "simpy") == 0
    captured = capsys.readouterr()
    assert max(map(len, captured.out.splitlines())) <= 80
    knees = [line for line in captured.out.splitlines() if "knee" in line]
    assert knees[0].startswith("polling: knee at about ")
    words = " ".join(captured.out.split())
    sentence = words[words.index("polling: knee at") : words.index(" simulation only")]
    assert sentence.endswith("bottleneck: cpu; short warm-up; extrapolated")
    assert knees[1] == "push: no knee up to 200 agents"
    assert "engine simpy: " in captured.err


def test_the_knee_of_polling_is_where_theory_has_it(folder, capsys):
    assert scaling() == 0
    knee = json.loads(Path("results/scaling/manifest.json").read_text())["knees"]["polling"]
    # N = 0.95 (Z + S) / S, less the messages' part of the processor; S = 10 ms, Z = 1 s.
    assert 85 < knee["agents"] < 100
    assert knee["low"] < knee["agents"] < knee["high"] <= 1.06 * knee["low"]


@pytest.mark.rendered
def test_the_folder_holds_runs_metrics_manifest_and_plot(folder, capsys):
    assert (
        scaling("--set", "polling.interval=500ms", "--output-dir", "out", "--engine", "simpy") == 0
    )
    files = {path.name for path in Path("out").iterdir()}
    plots = {"scaling.png", "scaling.svg"}
    data = {"runs.parquet", "metrics.parquet", "manifest.json", "finding.json", "cells.store"}
    assert files == data | plots
    assert len(pd.read_parquet("out/runs.parquet")) == 12
    metrics = pd.read_parquet("out/metrics.parquet")
    assert list(metrics) == [
        *("system", "architecture", "agents", "servers", "metric", "statistic"),
        *("value", "ci_low", "ci_high", "n", "unit", "reliable", "flags"),
        *("lower_bound", "overloaded", "extrapolated"),
    ]
    manifest = json.loads(Path("out/manifest.json").read_text())
    digest = hashlib.sha256(Path("polling.toml").read_bytes()).hexdigest()
    assert manifest["systems"][0]["sha256"] == digest
    assert "polling.interval=500ms" in manifest["systems"][0]["settings"]
    assert "polling.interval=500ms" not in manifest["systems"][1]["settings"]
    assert manifest["seed"] == 1
    assert manifest["engines"] == ["simpy"]
    assert manifest["failures"] == manifest["skipped"] == []


@pytest.mark.rendered
def test_a_system_is_also_run_scaled_out_for_its_agents(folder, capsys):
    more = ("--agents-per-server", "50", "--format", "json", "--quiet")
    assert scaling(*more, "--set", "polling.connections=40", "--set", "store.connections=3") == 0
    rows = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    levels = [(row["system"], row["architecture"], row["agents"], row["servers"]) for row in rows]
    assert levels == [
        *(("polling", "polling", 10, 1), ("polling", "polling", 200, 1)),
        ("polling, scaled out", "polling", 200, 4),
        *(("push", "push", 10, 1), ("push", "push", 200, 1)),
        ("push, scaled out", "push", 200, 4),
    ]
    assert rows[1]["connection_count"] == 40
    assert rows[2]["connection_count"] == 160
    assert rows[2]["utilization_cpu"] < 0.8
    manifest = json.loads(Path("results/scaling/manifest.json").read_text())
    assert manifest["scale_out"] == {"agents_per_server": 50}
    assert manifest["knees"].keys() == {"polling", "push"}


def test_the_table_of_scaled_out_systems_says_what_that_means(folder, capsys):
    assert scaling("--agents-per-server", "50") == 0
    out = capsys.readouterr().out
    assert out.startswith(
        "One server serves 97 agents with polling and at least 200 agents with push"
    )
    assert "\nscaled out: a server for every 50 agents\n" in out
    assert "\npolling, scaled out\nagents  servers " in out
    assert max(map(len, out.splitlines())) <= 80
    assert scaling() == 0
    assert "scaled out" not in capsys.readouterr().out


def test_csv_says_how_many_servers_there_are(folder, capsys):
    assert scaling("--format", "csv", "--agents-per-server", "100") == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["servers"] for row in rows] == ["1", "1", "2", "1", "1", "2"]


def test_a_setting_changes_the_result(folder, capsys):
    more = ("--format", "json", "--quiet", "--agents", "10", "--set", "polling.interval=250ms")
    assert scaling(*more) == 0
    polling = json.loads(capsys.readouterr().out)[0]
    assert 120 < polling["mean_latency_ms"] < 200


def test_what_is_too_much_is_skipped_and_said(folder, capsys):
    assert scaling("--max-events", "5000", "--engine", "simpy") == 0
    out = capsys.readouterr().out
    assert "skipped: polling with 200 agents: 20 s may be the work of 13,200 " in out
    assert "limit for the SimPy engine is 5,000 (--max-events)" in " ".join(out.split())
    assert max(map(len, out.splitlines())) <= 80
    manifest = json.loads(Path("results/scaling/manifest.json").read_text())
    assert [level["agents"] for level in manifest["skipped"]] == [200]


def test_what_is_skipped_is_said_where_the_data_has_no_place_for_it(folder, capsys):
    assert scaling("--max-events", "5000", "--format", "json", "--quiet") == 0
    captured = capsys.readouterr()
    assert [row["agents"] for row in json.loads(captured.out)] == [10, 10, 200]
    assert captured.err.startswith(
        "lhsim: skipped: polling with 200 agents: 20 s may be the work of"
    )
    assert captured.err.count("\n") == 1


def test_when_all_is_skipped_it_says_so(folder, capsys):
    assert scaling("--max-events", "1") == 0
    assert "no run was finished" in capsys.readouterr().out


def test_levels_last_as_long_as_20_000_messages_take(folder, capsys):
    command = ["scaling", "--system", "./push.toml", "--agents", "500", "--replications", "1"]
    assert cli.run([*command, "--jobs", "1"]) == 0
    run = pd.read_parquet("results/scaling/runs.parquet").iloc[0]
    assert run["horizon_s"] - run["warmup_s"] - run["drain_s"] == pytest.approx(400)
    assert run["successful_deliveries"] == pytest.approx(20_000, rel=0.03)


@pytest.mark.rendered
def test_latency_shows_a_pair(folder, capsys):
    command = ["latency", *BOTH, "--replications", "2", "--jobs", "1"]
    assert cli.run([*command, "--format", "json"]) == 0
    polling, push = json.loads(capsys.readouterr().out)
    assert 400 < polling["p50_latency_ms"] < 620
    assert 900 < polling["p99_latency_ms"] < 1050
    assert push["max_latency_ms"] < 50
    assert push["successful_deliveries"] == 100
    assert math.isclose(push["min_latency_ms"], 1, rel_tol=0.2)
    assert cli.run(command) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].split() == ["system", "min", "mean", "p50", "p95", "p99", "max"]


def test_list_shows_systems_and_experiments(capsys):
    assert cli.run(["list"]) == 0
    out = capsys.readouterr().out
    assert "\n  scaling " in out
    assert "  seed-polling " in out


def test_version(capsys):
    import lhsim as package

    assert cli.run(["--version"]) == 0
    assert capsys.readouterr().out == f"lhsim {package.__version__}\n"
