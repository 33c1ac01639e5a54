"""``lhsim run FILE``: sweeps over any parameters, and the store that all experiments have."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pandas as pd
import pytest

from lhsim import cli
from lhsim.execution import run as run_cell
from lhsim.execution import runner
from lhsim.experiments.finding import Finding

SWEEP = """
kind = "sweep"
systems = ["./polling.toml", "./push.toml"]
replications = 2
messages = 20
min_duration = "5 s"
[axes]
agents = [5, 20]
"polling.interval" = ["250 ms", "1 s"]
"store.connections" = "lin 1..3 x 2"
"""
COMMAND = ["run", "./mine.toml", "--jobs", "1", "--quiet"]


@pytest.fixture
def mine(folder):
    Path("mine.toml").write_text(SWEEP)
    return folder


@pytest.fixture
def ran(monkeypatch):
    cells = []

    def run(cell):
        cells.append(cell)
        return run_cell(cell)

    monkeypatch.setattr(runner, "run", run)
    return cells


@pytest.mark.rendered
def test_rows_have_the_axes_as_columns(mine, capsys):
    assert cli.run([*COMMAND, "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    places = [
        (row["system"], row["agents"], row["polling.interval"], row["store.connections"])
        for row in rows
    ]
    assert places == [
        *(("polling", 5, 0.25, 1), ("polling", 5, 0.25, 3)),
        *(("polling", 5, 1.0, 1), ("polling", 5, 1.0, 3)),
        *(("polling", 20, 0.25, 1), ("polling", 20, 0.25, 3)),
        *(("polling", 20, 1.0, 1), ("polling", 20, 1.0, 3)),
        *(("push", 5, None, 1), ("push", 5, None, 3)),
        *(("push", 20, None, 1), ("push", 20, None, 3)),
    ]
    assert all(row["replications"] == 2 for row in rows)
    assert rows[0]["mean_latency_ms"] < rows[2]["mean_latency_ms"]
    runs = pd.read_parquet("results/mine/runs.parquet")
    assert len(runs) == 24
    assert list(runs["polling.interval"].dropna().unique()) == [0.25, 1.0]
    metrics = pd.read_parquet("results/mine/metrics.parquet")
    assert {"polling.interval", "store.connections", "ci_low"} <= set(metrics)
    assert Path("results/mine/manifest.json").exists()


def test_the_table_fits_80_columns(mine, capsys):
    assert cli.run(COMMAND) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "12 points, 2 runs each, seed 1"
    assert lines[3].split()[:4] == ["interval", "connections", "agents", "p50"]
    assert max(map(len, lines)) <= 80


def test_csv_and_agents_from_the_command_line(mine, capsys):
    assert cli.run([*COMMAND, "--format", "csv", "--agents", "7", "--replications", "1"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert {row["agents"] for row in rows} == {"7"}
    assert len(rows) == 6
    assert [row["polling.interval"] for row in rows] == ["0.25", "0.25", "1.0", "1.0", "", ""]


def test_a_space_filling_design_follows_from_the_seed(mine, capsys):
    design = 'replications = 1\ndesign = { kind = "latin-hypercube", points = 6 }'
    text = SWEEP.replace("lin 1..3 x 2", "lin 1..4").replace("replications = 2", design)
    Path("mine.toml").write_text(text)
    outputs = []
    for seed in ("1", "1", "2"):
        assert cli.run([*COMMAND, "--format", "json", "--seed", seed, "--fresh"]) == 0
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == outputs[1] != outputs[2]
    polling = [row for row in json.loads(outputs[0]) if row["system"] == "polling"]
    points = {(row["agents"], row["polling.interval"], row["store.connections"]) for row in polling}
    assert 3 <= len(points) == len(polling) <= 6  # two that fall together are one
    assert {row["store.connections"] for row in polling} == {1, 2, 3, 4}  # 6 parts of [1, 4]


def test_a_resumed_sweep_prints_the_same_bytes_and_runs_nothing(mine, ran, capsys):
    command = [*COMMAND[:-1], "--no-progress", "--format", "json"]
    assert cli.run(command) == 0
    fresh = capsys.readouterr()
    assert "runs: 24 done, 0 resumed, 0 failed, 0 left\n" in fresh.err
    assert len(ran) == 24
    assert cli.run(command) == 0
    resumed = capsys.readouterr()
    assert "runs: 0 done, 24 resumed, 0 failed, 0 left\n" in resumed.err
    assert resumed.out == fresh.out
    assert len(ran) == 24
    assert cli.run([*command, "--replications", "3"]) == 0
    assert "runs: 12 done, 24 resumed, 0 failed, 0 left\n" in capsys.readouterr().err
    assert cli.run([*command, "--fresh"]) == 0
    again = capsys.readouterr()
    assert "runs: 24 done, 0 resumed, 0 failed, 0 left\n" in again.err
    assert again.out == fresh.out


def test_scaling_resumes_its_levels_and_its_search(folder, ran, capsys):
    command = ["scaling", "--system", "./polling.toml", "--agents", "10,200", "--duration", "20"]
    command += ["--replications", "2", "--jobs", "1", "--format", "json", "--quiet"]
    assert cli.run(command) == 0
    fresh, count = capsys.readouterr().out, len(ran)
    assert count > 4  # the search for the knee
    assert cli.run(command) == 0
    assert capsys.readouterr().out == fresh
    assert len(ran) == count


def test_a_failed_run_is_run_again(mine, monkeypatch, capsys):
    def broken(cell):
        if cell.agents == 20:
            raise RuntimeError("broke")
        return run_cell(cell)

    command = [*COMMAND[:-1], "--no-progress"]
    with monkeypatch.context() as patch:
        patch.setattr(runner, "run", broken)
        assert cli.run(command) == 1
    err = capsys.readouterr().err
    assert "runs: 12 done, 0 resumed, 12 failed, 0 left\n" in err
    named = "a run failed: polling (polling.interval=250 ms, store.connections=1), 20 agents, seed "
    assert named in err
    assert cli.run(command) == 0
    assert "runs: 12 done, 12 resumed, 0 failed, 0 left\n" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["serial", "threads", "processes", "dask"])
def test_any_executor_prints_the_same_bytes(mine, lhsim, capsys, kind):
    if kind == "dask":
        pytest.importorskip("distributed")
    assert cli.run([*COMMAND, "--format", "json", "--output-dir", "one"]) == 0
    expected = capsys.readouterr().out
    asked = ("run", "./mine.toml", "--jobs", "2", "--executor", kind, "--format", "json", "--quiet")
    done = lhsim(*asked, "--output-dir", kind)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == expected


def test_what_is_too_much_is_skipped_with_its_values(mine, capsys):
    assert cli.run([*COMMAND, "--max-events", "1200"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "skipped: polling (polling.interval=250 ms, store.connections=1) with 20 agents" in out


def test_the_example_is_listed_and_is_what_the_schema_describes(capsys):
    assert cli.run(["list"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["intervals", "Latency", "and"] in [line[:3] for line in lines]
    assert cli.run(["schema"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "ParameterSweep"


def test_a_damaged_store_is_said_and_what_is_intact_is_kept(mine, capsys):
    command = [*COMMAND, "--format", "json"]
    assert cli.run(command) == 0
    expected = capsys.readouterr().out
    store = Path("results/mine/cells.store")
    content = bytearray(store.read_bytes())
    content[len(content) // 2] ^= 1
    store.write_bytes(content)
    assert cli.run(command) == 0
    damaged = capsys.readouterr()
    assert damaged.out == expected
    assert "are damaged; what stood there is run again\n" in damaged.err


def test_each_point_is_replicated_until_it_is_known(mine, capsys):
    more = ["--precision", "mean=20%", "--max-replications", "12", "--format", "json"]
    assert cli.run([*COMMAND, *more]) == 0
    rows = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert len(rows) == 12  # push has no interval
    for row in rows:
        assert row["precision"] in {"reached", "max replications"}
        assert 2 <= row["replications"] <= 12
        known = row["relative_half_widths"]["mean"] <= 0.2
        assert known == (row["precision"] == "reached")


def test_points_that_are_not_known_are_named_with_their_values(mine, capsys):
    more = ["--precision", "mean=0.1%", "--max-replications", "11"]
    assert cli.run([*COMMAND, *more]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "10-11 runs each" in text
    assert "not reached (max replications): polling polling.interval=250 ms" in text


def test_a_point_has_the_runs_that_it_has_without_a_precision(mine, capsys):
    frames = []
    for more in (
        ["--precision", "mean=0.1%", "--max-replications", "11"],
        ["--replications", "11"],
    ):
        assert cli.run([*COMMAND, *more, "--fresh"]) == 0
        frames.append(pd.read_parquet("results/mine/runs.parquet"))
    pd.testing.assert_frame_equal(*frames)


TINY = """
kind = "sweep"
systems = ["polling"]
agents = 10
[axes]
"polling.interval" = ["5e-324 s", "1 s"]
"""


def test_an_interval_of_no_time_is_skipped_with_a_notice_and_no_traceback(folder, capsys):
    Path("x.toml").write_text(TINY)
    few = ["--replications", "1", "--max-events", "10000", "--engine", "simpy", "--jobs", "1"]
    assert cli.run(["run", "x.toml", *few, "--quiet"]) in {0, 2}
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    assert "skipped" in captured.out + captured.err or captured.err.count("\n") == 1


@pytest.mark.rendered
def test_a_sweep_leaves_a_plot_and_a_finding(mine, capsys):
    assert cli.run(COMMAND) == 0
    found = Finding.read(Path("results/mine"))
    assert (found.name, found.title, found.status) == ("mine", "Sweep mine", "done")
    assert found.answer.startswith("polling: p99 ")
    assert "push: p99 " in found.answer
    assert found.command.startswith("python -m lhsim.experiments run ./mine.toml --seed 1")
    (table,) = found.tables
    assert {"polling.interval", "store.connections"} <= {one.key for one in table.columns}
    assert len(table.rows) == 12
    assert Path("results/mine/sweep.png").stat().st_size > 10_000
    capsys.readouterr()
    assert cli.run(["report", "results/mine"]) == 0
    page = Path("results/mine/report.html").read_text(encoding="utf-8")
    assert "Sweep mine" in page
    assert "polling.interval" in page
