"""The suites: small systems whose answers are known, and what does not depend on the seed."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from lhsim import cli
from lhsim.experiments.finding import Finding
from lhsim.experiments.suites import burst, contention, memory, recovery
from lhsim.experiments.suites.suite import METRICS

SUITES = {one.SUITE.name: one.SUITE for one in (memory, recovery, burst, contention)}
Rows = list[dict[str, Any]]
GOLDEN = Path(__file__).parent / "golden"

# Constant costs, and agents that come over a second: nothing but the times of messages is random.
POLLING = """
name = "polling"
[store]
query = "1 ms"
write = "2 ms"
connections = 1
[polling]
interval = "500 ms"
[memory]
baseline = "10 MB"
per_agent = "10 kB"
"""
PUSH = """
name = "push"
[cpu]
validate = "0.5 ms"
send = "0.5 ms"
[store]
write = "2 ms"
connections = 1
[push]
[memory]
baseline = "10 MB"
per_connection = "20 kB"
"""
BOTH = ("--system", "./polling.toml", "--system", "./push.toml")
SMALL = {
    "memory": ("--duration", "900", "--agents", "5", "--replications", "2"),
    "recovery": ("--replications", "3"),
    "burst": ("--replications", "3"),
    "contention": ("--agents", "5,60", "--duration", "10", "--replications", "3"),
}


pytestmark = pytest.mark.usefixtures("blank_plots")


def with_systems(folder: Path) -> Path:
    (folder / "polling.toml").write_text(POLLING)
    (folder / "push.toml").write_text(PUSH)
    return folder


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(with_systems(tmp_path))
    return tmp_path


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The working directory of all who ask: what one of them has run the next one finds."""
    return with_systems(tmp_path_factory.mktemp("suites"))


Ask = Callable[..., str]


@pytest.fixture
def ask(kept: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    """Run a suite on the small systems and return its stdout."""
    monkeypatch.chdir(kept)

    def run(name: str, *more: str) -> str:
        jobs = [] if "--jobs" in more else ["--jobs", "1"]
        code = cli.run([name, *BOTH, *SMALL[name], *jobs, "--quiet", *more])
        captured = capsys.readouterr()
        assert (code, captured.err) == (0, "")
        return captured.out

    return run


def rows_of(text: str) -> Rows:
    found: Rows = json.loads(text, parse_constant=pytest.fail)
    return found


def by(rows: Rows, key: str, system: str) -> dict[Any, dict[str, Any]]:
    return {row[key]: row for row in rows if row["system"] == system}


@pytest.mark.rendered
@pytest.mark.parametrize("name", SUITES)
def test_a_suite_answers_its_question_in_80_columns(ask: Ask, name: str) -> None:
    text = ask(name)
    assert max(map(len, text.splitlines())) <= 80
    finding = Finding.read(Path("results") / name)
    words = " ".join(text.split())
    assert words.startswith(SUITES[name].question)
    assert words.endswith(finding.answer)
    assert finding.status == "done"
    assert finding.systems[0].toml == POLLING or finding.systems[0].toml.endswith(POLLING)
    assert finding.command.startswith(f"python -m lhsim.experiments {name} --seed 1 --system ")
    table = finding.tables[0]
    assert all(column.key in row for column in table.columns for row in table.rows)
    files = {path.name for path in (Path("results") / name).iterdir()}
    assert files == {
        *("runs.parquet", "manifest.json", "finding.json", "cells.store"),
        *(f"{name}.png", f"{name}.svg"),
    }


@pytest.mark.parametrize("name", SUITES)
def test_the_table_of_a_seed_is_what_it_was(ask: Ask, name: str) -> None:
    """To see what a change does: `python -m lhsim.experiments NAME` with the options above."""
    assert ask(name) == (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", SUITES)
def test_the_same_seed_gives_the_same_bytes_and_each_row_has_all_metrics(
    ask: Ask, name: str
) -> None:
    once = ask(name, "--format", "json")
    again = ask(name, "--format", "json", "--fresh", "--jobs", "2")
    assert once == again
    rows = rows_of(once)
    assert all(row.keys() >= {*METRICS, "system", "case", "agents"} for row in rows)
    flat = list(csv.DictReader(io.StringIO(ask(name, "--format", "csv"))))
    assert [row["case"] for row in flat] == [row["case"] for row in rows]
    runs = pd.read_parquet(f"results/{name}/runs.parquet")
    assert len(runs) == sum(row["replications"] for row in rows)


def test_memory_grows_by_what_is_written_and_not_with_retention(ask: Ask) -> None:
    rows = rows_of(ask("memory", "--format", "json"))
    for system in ("polling", "push"):
        cases = by(rows, "case", system)
        assert abs(cases["as it is"]["growth_mb_per_hour"]) < 0.1
        grown = cases["log in memory"]
        # 5 agents with 10 messages/s of 1 kB: 180 MB/h, and 90,000 Poisson messages are within 2 %.
        assert grown["growth_mb_per_hour"] == pytest.approx(180, rel=0.02)
        assert grown["memory_end_mb"] == pytest.approx(10 + 0.1 + 45, rel=0.02)
        kept = cases["retention 60 s"]
        assert kept["memory_peak_mb"] < 10 + 0.2 + 1.15 * 3  # a minute of 50 kB/s
        assert abs(kept["growth_mb_per_hour"]) < 2
        assert grown["samples"] == 180  # every 5 s; the warm-up ends at one of them


def test_contention_is_what_the_queue_of_writes_says(ask: Ask) -> None:
    """600 events/s of 2 ms do not fit: 500 a second are written, and the rest waits."""
    rows = rows_of(ask("contention", "--format", "json"))
    levels = by(rows, "agents", "push")
    assert list(levels) == [1, 5, 60]
    # M/D/1 at 10 events/s: 2 ms and a wait of rho S / 2 (1 - rho) = 0.02 ms; validation 0.5 ms.
    assert levels[1]["avg_write_latency_ms"] == pytest.approx(2.52, rel=0.02)
    assert levels[1]["database_contention_factor"] == pytest.approx(1)
    assert levels[5]["events_per_second"] == pytest.approx(50, rel=0.1)
    assert levels[60]["events_per_second"] == pytest.approx(500, rel=0.005)
    assert levels[60]["bottleneck"] == "store"
    assert levels[60]["overloaded"]
    assert levels[60]["unwritten"] == pytest.approx(15 * 100, rel=0.2)


def test_a_finding_has_the_alerts_of_the_first_runs(ask: Ask) -> None:
    ask("recovery")
    alerts = Finding.read(Path("results") / "recovery").alerts
    (lost,) = [one for one in alerts if (one["system"], one["alert"]) == ("push", "DeliveriesFail")]
    assert lost["cases"] == recovery.OUTAGE
    assert lost["severity"] == "warning"
    assert lost["fired_at_s"] > recovery.LEAD


def test_a_burst_is_felt_where_it_does_not_fit(ask: Ask) -> None:
    """200 queries/0.5 s of 1 ms and 200 writes/s of 2 ms are 0.8 of the polling store."""
    rows = rows_of(ask("burst", "--format", "json", "--set", "polling.interval=250ms"))
    polling = by(rows, "case", "polling")["20, 200, 20 send"]
    assert polling["burst_degradation_factor_low"] > 1.5  # 800 + 400 ms in each second
    push = by(rows, "case", "push")
    assert 1 < push["20, 200, 20 send"]["burst_degradation_factor"] < 1.5
    alone = push["20 alone"]
    assert alone["burst_degradation_factor_low"] < 1 < alone["burst_degradation_factor_high"]
    assert alone["recovered_runs"] is None
    # What the silent agents change before the burst is nothing, where they are pushed to.
    both = (push["20, 200, 20 send"]["normal_latency_ms"], alone["normal_latency_ms"])
    assert both[0] == pytest.approx(both[1], rel=0.05)


def test_recovery_counts_the_slow_and_what_fails(ask: Ask) -> None:
    rows = rows_of(ask("recovery", "--format", "json"))
    for system in ("polling", "push"):
        cases = by(rows, "case", system)
        assert cases["normal"]["agents"] == 40
        assert cases["with slow"]["agents"] == 50
        assert cases["normal"]["performance_degradation_percent"] == 0
        assert cases["with slow"]["cascade_failures"] == 0
        assert cases["outage"]["cascade_failures"] > 0
        assert cases["outage"]["failures"] >= cases["outage"]["cascade_failures"]
        assert cases["outage"]["retries"] > 0
        assert cases["outage"]["recovered_runs"] is not None
    polling = by(rows, "case", "polling")
    assert polling["with slow"]["performance_degradation_percent_low"] > 50


def test_exactly_so_many_agents_are_slow() -> None:
    asked = recovery.Recovery(systems=("push",), slow=10)
    seeds = recovery._seeds(7, 5, 50, asked)
    assert len(set(seeds)) == 5
    assert {len(recovery.slow_agents(0.2, 50, seed)) for seed in seeds} == {10}


SHAPES = {
    "memory": ["growth_mb_per_hour"],
    "contention": ["avg_write_latency_ms", "events_per_second"],
    "burst": ["normal_latency_ms", "burst_latency_ms", "recovery_latency_ms"],
    "recovery": ["avg_latency_ms", "normal_latency_ms"],
}


@pytest.mark.parametrize("name", SUITES)
def test_another_seed_gives_the_same_picture(ask: Ask, name: str) -> None:
    """The means of two seeds differ by less than their intervals together, three times over.

    Both intervals have a half-width of t s / sqrt(n); with 2 or 3 runs t is 12.7 or 4.3, so that
    three times the sum is far beyond what chance does, and well below what another system shows.
    """
    one, other = (rows_of(ask(name, "--format", "json", "--seed", seed)) for seed in ("1", "2"))
    assert one != other
    for first, second in zip(one, other, strict=True):
        for key in SHAPES[name]:
            if first[key] is None:  # an overloaded case has no latency, under no seed
                assert first["overloaded"]
                assert second[key] is None
                continue
            halves = [row[f"{key}_high"] - row[key] for row in (first, second)]
            allowed = 3 * sum(halves) + 1e-6 * abs(first[key])
            assert abs(first[key] - second[key]) <= allowed, (first["case"], key)


def test_every_metric_is_filled_by_an_experiment(
    ask: Ask, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = rows_of(ask("recovery", "--format", "json"))
    asked = ["latency", *BOTH, "--replications", "2", "--jobs", "1", "--quiet", "--format", "json"]
    assert cli.run([*asked, "--set", "polling.timeout=1s"]) == 0
    rows += rows_of(capsys.readouterr().out)
    assert {name for name in METRICS if any(row[name] for row in rows)} == {*METRICS}


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("burst", "--agents", "20"), "--agents: 20 is no burst; allowed: two numbers, such as"),
        (("burst", "--agents", "20,10"), "two numbers"),
        (
            ("burst", "--set", "workload.traffic={kind='poisson'}"),
            "--set: workload.traffic: is what the burst itself sets",
        ),
        (("burst", "--duration", "5"), "No such option"),
        (("memory", "--agents", "5,6"), "--agents: 2 numbers are too many"),
        (("memory", "--duration", "0"), "--duration"),
        (("recovery", "--agents", "10"), "--agents: 10 leave no normal ones beside 10 slow ones"),
        (("contention", "--agents", "0"), "--agents"),
        (("contention", "--set", "store.wirte=1"), "did you mean 'write'?"),
        (("contention", "--system", "./none.toml"), "none.toml: does not exist"),
        (("contentoin",), "did you mean 'contention'?"),
    ],
)
def test_bad_input_is_one_line(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], problem: str
) -> None:
    assert cli.run([*arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert problem in captured.err
    assert not Path("results").exists()


def test_what_is_too_much_is_skipped_and_said(capsys: pytest.CaptureFixture[str]) -> None:
    few = ["contention", *BOTH, *SMALL["contention"], "--max-events", "100", "--jobs", "1"]
    assert cli.run(few) == 0
    assert "skipped: push with 60 agents: 15 s may be the work of" in " ".join(
        capsys.readouterr().out.split()
    )
    assert Finding.read(Path("results/contention")).status == "failed"
