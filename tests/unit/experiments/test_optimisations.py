"""Optimisations and failures on small systems whose answers are known."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import pytest

from lhsim import cli
from lhsim.experiments.finding import Finding
from lhsim.experiments.suites.failure import SUITE as FAILURE
from lhsim.experiments.suites.optimisation_cases import EQUAL, KNEE
from lhsim.experiments.suites.optimisations import SUITE as OPTIMISATIONS
from lhsim.report.text import UNKNOWN

POLLING = """
name = "polling"
[cpu]
query = "0.1 ms"
[store]
query = "0.1 ms"
write = "2 ms"
connections = 2
[polling]
interval = "500 ms"
"""
PUSH = """
name = "push"
[cpu]
send = "0.5 ms"
[store]
write = "2 ms"
connections = 1
[push]
[memory]
baseline = "10 MB"
per_connection = "20 kB"
"""
FILES = {"polling": POLLING, "push": PUSH}
Rows = list[dict[str, Any]]
Done = tuple[Finding, str]
GOLDEN = Path(__file__).parent / "golden"


pytestmark = pytest.mark.usefixtures("blank_plots")


def carried_out(
    folder: Path, name: str, systems: tuple[str, ...], *more: str, jobs: str = "2"
) -> Done:
    """Run a suite on some of the small systems; return what it found and what it printed."""
    asked = [name, "--output-dir", str(folder / name), "--jobs", jobs, "--quiet", *more]
    for system in systems:
        (folder / f"{system}.toml").write_text(FILES[system])
        asked += ["--system", str(folder / f"{system}.toml")]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert cli.run(asked) == 0
    return Finding.read(folder / name), printed.getvalue()


def rows_of(finding: Finding, table: str, *, of: str | None = None) -> dict[str, dict[str, Any]]:
    (found,) = [one.rows for one in finding.tables if one.name == table]
    return {row["case"]: dict(row) for row in found if of is None or row["system"] == of}


@pytest.fixture(scope="module")
def optimisations(tmp_path_factory: pytest.TempPathFactory) -> Done:
    folder = tmp_path_factory.mktemp("optimised")
    more = ("--agents", "100", "--replications", "2")
    return carried_out(folder, "optimisations", ("polling", "push"), *more)


@pytest.fixture(scope="module")
def failure(tmp_path_factory: pytest.TempPathFactory) -> Done:
    folder = tmp_path_factory.mktemp("failed")
    return carried_out(folder, "failure", ("push",), "--replications", "2")


@pytest.fixture(scope="module")
def optimised(optimisations: Done) -> Finding:
    return optimisations[0]


@pytest.fixture(scope="module")
def failed(failure: Done) -> Finding:
    return failure[0]


@pytest.mark.parametrize("name", ["optimisations", "failure"])
def test_what_is_printed_is_what_it_was(name: str, request: pytest.FixtureRequest) -> None:
    """To see what a change does: `python -m lhsim.experiments NAME` with the options above."""
    _, printed = request.getfixturevalue(name)
    assert printed == (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")


def test_no_alert_is_told_of_a_step_of_a_search(optimised: Finding) -> None:
    pairs = [(one["system"], one["alert"]) for one in optimised.alerts]
    assert pairs
    assert len(set(pairs)) == len(pairs)
    assert not any(kind in one["cases"] for one in optimised.alerts for kind in (KNEE, EQUAL))


def test_an_option_does_what_it_is_for(optimised: Finding) -> None:
    polling = rows_of(optimised, "cases", of="polling")
    assert polling["as it is"]["p50_latency_ms"] == pytest.approx(250, rel=0.1)
    assert polling["interval 500 ms"]["mean_change_percent"] == 0  # that is what it has
    assert polling["wake on write"]["p50_latency_ms"] < 5
    assert polling["cache, invalidated"]["queries_per_second"] < 60  # of 200 and what is found
    assert polling["as it is"]["queries_per_second"] == pytest.approx(200, rel=0.1)
    assert polling["TTL cache"]["p50_latency_ms"] > 1000  # an empty mailbox is believed for 5 s
    assert polling["all together"]["p50_latency_ms"] < 20
    push = rows_of(optimised, "cases", of="push")
    assert push["as it is"]["memory_peak_mb"] == pytest.approx(10 + 100 * 0.02)
    assert push["multiplexing"]["memory_peak_mb"] == pytest.approx(10 + 10 * 0.02)
    assert push["batched writes"]["p50_latency_ms"] > 5  # the linger
    assert push["batched writes"]["writes_per_second"] < push["as it is"]["writes_per_second"]
    assert "interval 500 ms" not in push
    assert "multiplexing" not in polling


def test_the_same_messages_are_sent_with_each_option(optimised: Finding) -> None:
    for system in ("polling", "push"):
        rows = rows_of(optimised, "cases", of=system)
        ended = {row["successful_deliveries"] + row["failed_deliveries"] for row in rows.values()}
        assert max(ended) - min(ended) <= 20  # those on their way at the end


def test_the_knee_is_where_the_busiest_station_has_no_time_left(optimised: Finding) -> None:
    push = rows_of(optimised, "cases", of="push")
    # 2 ms a write: 475 messages/s are 95 % of the store's time, at 0.1 a second and agent.
    for name in ("as it is", "multiplexing"):
        assert push[name]["knee"] == pytest.approx(4750, rel=0.05)
        assert push[name]["bottleneck"] == "store"
    # Ten writes take as long as one: the loop, 0.5 ms a message, is what is left.
    assert push["batched writes"]["knee"] == pytest.approx(19_000, rel=0.05)


def test_the_fixes_are_compared_at_equal_use_of_the_processor(optimised: Finding) -> None:
    rows = rows_of(optimised, "equal-cpu")
    base = rows["as it is"]
    for name in ("jitter", "back-off", "wake on write", "cache, invalidated"):
        row = rows[name]
        assert row["cpu_utilization_percent"] == pytest.approx(
            base["cpu_utilization_percent"], rel=0.01
        )
    assert rows["wake on write"]["mean_latency_ms"] < 10
    assert rows["back-off"]["interval_ms"] < base["interval_ms"]
    assert rows["cache, invalidated"]["mean_latency_ms"] < base["mean_latency_ms"]
    assert rows["push, less busy"]["interval_ms"] is None


def test_the_factor_of_a_pair_is_that_of_its_rounds(optimised: Finding) -> None:
    (rows,) = [one.rows for one in optimised.tables if one.name == "factor"]
    assert [row["round_trip_ms"] for row in rows] == [0.1, 1, 10, 100, 1000]
    # In a closed loop that answers at once a message waits for a whole sleep of 500 ms; push takes
    # 2.5 ms and the round trip.
    assert rows[0]["factor_0"] == pytest.approx(502 / 2.6, rel=0.03)
    assert rows[3]["factor_0"] == pytest.approx(602 / 102.5, rel=0.03)
    # With a long pause it waits for half of it: (10 + 0.25) / 10.
    assert rows[0]["factor_4"] == pytest.approx(1.025, abs=0.01)
    for row in rows:
        factors = [row[f"factor_{number}"] for number in range(5)]
        assert factors == sorted(factors, reverse=True)
        assert min(factors) >= 1


def test_the_answer_says_what_a_sceptic_asks(optimised: Finding) -> None:
    assert "At equal use of the processor" in optimised.answer
    assert "less than 1.1 times from a pause of 10 s on" in optimised.answer
    assert UNKNOWN not in optimised.answer.split()
    assert {figure.file for figure in optimised.figures} == {
        "optimisations.svg", "equal-cpu.svg", "factor.svg",
    }  # fmt: skip


def test_retries_keep_a_system_down_and_a_budget_brings_it_back(failed: Finding) -> None:
    rows = rows_of(failed, "cases")
    stall = rows["stall"]
    assert stall["recovered_runs"] == stall["replications"] == 2
    # The store is used for 72 %: what came in 5 s is worked off in 5 * 0.72 / 0.28 = 12.9 s.
    assert 5 <= stall["recovery_time_seconds"] <= 25
    eager = rows["stall, eager"]
    assert eager["recovered_runs"] == 0
    assert eager["attempts_per_message"] > 2
    assert eager["delivered"] < 0.8
    budget = rows["stall, budget"]
    assert budget["recovered_runs"] == 2
    assert budget["attempts_per_message"] < 1.15
    assert budget["delivered"] > 0.99
    assert "stall, eager (2 of 2 runs" in failed.answer


def test_slow_agents_that_try_again_are_an_overload_of_their_own(failed: Finding) -> None:
    rows = rows_of(failed, "cases")
    assert rows["slow agents"]["delivered"] > 0.97
    assert rows["slow, eager"]["delivered"] < 0.8
    assert rows["slow, careful"]["delivered"] > 0.95
    assert rows["slow agents"]["recovered_runs"] is None  # there is nothing to recover from


def test_an_outage_loses_what_was_sent_in_it(failed: Finding) -> None:
    rows = rows_of(failed, "cases")
    for name in ("outage, eager", "outage, careful"):
        assert 0.85 < rows[name]["delivered"] < 1


@pytest.mark.parametrize("suite", [OPTIMISATIONS, FAILURE], ids=["optimisations", "failure"])
def test_a_suite_is_shown_in_80_columns(suite: Any, tmp_path: Path) -> None:
    more = ("--replications", "1", "--agents", "20")
    _, text = carried_out(tmp_path, suite.name, ("push",), *more, jobs="1")
    assert max(map(len, text.splitlines())) <= 80
    assert text.startswith(suite.question[:40])


@pytest.mark.parametrize("name", ["optimisations", "failure"])
def test_bad_input_is_one_line(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--agents", "5,6"], ["--system", "./none.toml"]):
        assert cli.run([name, *arguments]) == 2
        assert capsys.readouterr().err.count("\n") == 1
