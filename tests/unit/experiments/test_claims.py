"""The claims: verdicts, on systems whose figures are known, and what would make them true."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scipy.optimize import brentq

from lhsim import cli, load_system
from lhsim.execution import Cell, Runner
from lhsim.experiments.finding import Finding
from lhsim.experiments.suites.claim_table import BY_ID, CLAIMS, Claim, Figure, meaning, seed_keys
from lhsim.experiments.suites.conditions import Condition, search_all

KEYS = {
    *("claim", "claimed", "figure", "interval", "verdict", "would_hold_if"),
    *("unit", "lower_bounds", "flags", "settings"),
}
POLLING = """
name = "polling"
[store]
query = "1 ms"
connections = 1
[network]
up = "1 ms"
down = "1 ms"
[polling]
interval = "500 ms"
[memory]
baseline = "10 MB"
per_agent = "10 kB"
"""
PUSH = """
name = "push"
[cpu]
validate = "0.1 ms"
send = "0.1 ms"
[network]
up = "1 ms"
down = "1 ms"
[push]
[memory]
baseline = "10 MB"
per_connection = "20 kB"
"""
BOTH = ("--system", "./polling.toml", "--system", "./push.toml", "--replications", "6")


pytestmark = pytest.mark.usefixtures("blank_plots")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "polling.toml").write_text(POLLING)
    (tmp_path / "push.toml").write_text(PUSH)
    monkeypatch.chdir(tmp_path)
    return tmp_path


Judge = Callable[..., dict[str, dict[str, Any]]]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of all tests here: what one of them has run the next one finds."""
    return tmp_path_factory.mktemp("claims")


@pytest.fixture
def judge(capsys: pytest.CaptureFixture[str], kept: Path) -> Judge:
    """Judge the claims of the small systems, and return them by id."""

    def run(*more: str, code: int = 0) -> dict[str, dict[str, Any]]:
        asked = ["claims", *BOTH, "--output-dir", str(kept), "--format", "json", "--quiet", *more]
        assert cli.run(asked) == code
        rows = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
        return {row["claim"]: row for row in rows}

    return run


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (1.0, 2.0, "supported"),  # its ends belong to it
        (1.2, 1.8, "supported"),
        (0.5, 0.9, "refuted"),
        (2.1, math.inf, "refuted"),
        (0.9, 1.1, "undecided"),
        (0.5, 2.5, "undecided"),
        (math.nan, math.nan, "undecided"),
    ],
)
def test_a_verdict_is_what_the_whole_interval_says(low: float, high: float, verdict: str) -> None:
    claim = Claim("x", "between 1 and 2", "x", 1.0, 2.0, 1.0)
    assert claim.verdict(Figure(1.5, low, high)) == verdict


def test_the_ids_are_those_of_the_table() -> None:
    assert len(BY_ID) == len(CLAIMS) == 37
    for cell in ("polling", "push", "factor"):
        for row in ("min", "avg", "max", "p99"):
            assert f"latency.{row}.{cell}" in BY_ID
    # 1000 ms and half or twice of it; 10 ms at most; 100 times at least
    bounds = [BY_ID[f"latency.min.{cell}"] for cell in ("polling", "push", "factor")]
    assert [(one.low, one.high) for one in bounds] == [
        (500, 2000), (-math.inf, 10), (100, math.inf)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("factor", "most", "expected"),
    [
        (29.9, (99, 1000), (False, True, False, True)),
        (30.0, (100, 1000), (True, True, True, False)),
        (300.1, (50, 999), (True, False, False, False)),
    ],
)
def test_the_keys_of_the_seed_are_reckoned_as_it_does(
    factor: float, most: tuple[float, float], expected: tuple[bool, ...]
) -> None:
    values = {"latency.avg.factor": factor, "agents.polling": most[0], "agents.push": most[1]}
    figures = {name: Figure(value, value, value) for name, value in values.items()}
    assert tuple(seed_keys(figures).values()) == expected


def test_each_claim_is_judged_by_what_theory_says(judge: Judge) -> None:
    rows = judge()
    assert rows.keys() == BY_ID.keys()
    assert all(row.keys() == KEYS for row in rows.values())
    # A message waits for half a cycle of 501 ms, then for its query, and travels for 2 ms.
    polling = rows["latency.avg.polling"]
    low, high = polling["interval"]
    assert low <= 0.5 * 501 + 1 + 2 <= high
    assert polling["verdict"] == "refuted"
    # 2 ms of network, 0.1 ms of validation and 0.1 ms of sending, and nobody else there
    assert rows["latency.avg.push"]["figure"] == pytest.approx(2.2)
    assert rows["latency.avg.push"]["verdict"] == "supported"
    assert rows["latency.avg.factor"]["figure"] == pytest.approx(polling["figure"] / 2.2)
    # Connections of 20 kB: 30 MB with 1000 agents, 10.2 MB with 10.
    assert rows["memory.push"]["figure"] == pytest.approx(30 / 10.2, rel=1e-6)
    assert rows["memory.push"]["verdict"] == "refuted"
    assert rows["memory.polling"]["verdict"] == "supported"
    assert rows["database.polling"]["figure"] == 1
    assert rows["database.push"]["figure"] == 0
    # Each loop is busy for 0.2 ms a message: 5000/s; 0.95 of it are 47,500 agents with 0.1/s each.
    assert rows["agents.push"]["figure"] == pytest.approx(47_500, rel=0.04)
    assert all(row["would_hold_if"] is None for row in rows.values() if row["verdict"] != "refuted")


def number(text: str, parameter: str) -> float:
    """Return the seconds in ``"polling.interval >= 1.2 s"``."""
    name, _, value, unit = text.split()
    assert name == parameter
    return float(value.replace(",", "")) * {"s": 1, "ms": 1e-3, "us": 1e-6}[unit]


def test_the_conditions_are_those_of_theory(judge: Judge) -> None:
    rows = judge()
    # Half of a sleep is 30 s; the mean of 2000 uniform waits is known to 1.3 %, the bracket to 2 %.
    found = number(rows["latency.avg.polling"]["would_hold_if"], "polling.interval")
    assert found == pytest.approx(60, rel=0.05)
    # 600 times 2.2 ms are 1.32 s: a sleep of 2.63 s.
    found = number(rows["latency.avg.factor"]["would_hold_if"], "polling.interval")
    assert found == pytest.approx(2.63, rel=0.05)

    # 50 agents: a query each Z + q, and one more for each of 5 messages/s, are 0.95 of the store.
    def left(query: float) -> float:
        return 50 * query / (0.5 + query) + 5 * query - 0.95

    found = number(rows["agents.polling"]["would_hold_if"], "store.query")
    assert found == pytest.approx(brentq(left, 1e-4, 1), rel=0.05)


def test_a_condition_makes_its_claim_true(judge: Judge) -> None:
    assert judge("--check", "latency.avg.polling", code=3)
    sleep = ("--set", "polling.interval=60s")
    rows = judge(*sleep, "--check", "latency.avg.polling", "--check", "latency.avg.push")
    assert rows["latency.avg.polling"]["verdict"] == "supported"


@pytest.mark.rendered
def test_it_fits_80_columns_and_leaves_a_finding(
    capsys: pytest.CaptureFixture[str], kept: Path
) -> None:
    assert cli.run(["claims", *BOTH, "--quiet", "--output-dir", str(kept)]) == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    for key in ("30x_improvement_minimum", "300x_improvement_maximum",
                "avg_improvement_within_range", "scalability_improvement"):  # fmt: skip
        assert f"  {key}: " in text
    finding = Finding.read(kept)
    assert [row["claim"] for row in finding.claims] == list(BY_ID)
    assert " ".join(text.split()).endswith(finding.answer)
    assert {path.name for path in kept.iterdir()} == {
        *("claims.png", "claims.svg", "manifest.json", "finding.json", "cells.store")
    }


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--check", "latency.avg.pushh"), "--check: unknown claim 'latency.avg.pushh' (did you"),
        (("--system", "./push.toml"), "--system: these are push; allowed: one system that polls"),
        (("--agents", "5"), "No such option"),
        (("--replications", "1"), "--replications"),
    ],
)
def test_bad_input_is_one_line(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], problem: str
) -> None:
    assert cli.run(["claims", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert problem in captured.err
    assert not Path("results").exists()


def test_a_search_whose_run_fails_says_so() -> None:
    def cell(_value: float) -> Cell:
        return Cell(load_system("polling"), 2, 10.0, 1, "no engine")

    asked = {"a": Condition("polling.interval", cell, lambda _result: True)}
    texts, interrupted = search_all(asked, Runner())
    assert not interrupted
    assert texts["a"].startswith("not known, as a run failed: InputError")


def test_each_claim_says_what_it_is_about():
    meanings = {claim.id: meaning(claim.id) for claim in CLAIMS}
    assert all(text[0].isupper() or text[:2] == "99" for text in meanings.values())
    assert max(map(len, meanings.values())) <= 90
    waiting = {name for name in meanings if name.startswith("throughput.1000.")}
    alike = {"throughput.1000.polling", "throughput.1000.factor"}  # the same time, claimed twice
    assert waiting > alike
    others = [text for name, text in meanings.items() if name not in alike]
    assert len(set(others)) == len(others)
