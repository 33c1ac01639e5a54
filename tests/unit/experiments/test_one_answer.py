"""The same question has the same answer wherever it is asked.

A run from Python, a sweep, the experiment `scaling` and a search for the capacity warm up by one
rule, see the same work of the start, and judge a level alike: below, at and above the knee.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import pytest

import lhsim
from lhsim import cli
from lhsim.planning import capacity
from lhsim.simulation.horizons import Horizon, settled_by, times

# A message takes the loop 10 ms, and so does a query; to accept a connection is 20 times as much.
SYSTEMS = {
    "polling": """
name = "polling"
[cpu]
parse_message = { family = "deterministic", value = "1 ms" }
query = { family = "exponential", mean = "10 ms" }
[polling]
interval = "1 s"
""",
    "push": """
name = "push"
[workload]
traffic = { kind = "poisson", rate = "1/s" }
[cpu]
parse_message = { family = "deterministic", value = "5 ms" }
send = { family = "exponential", mean = "5 ms" }
connect = { family = "deterministic", value = "200 ms" }
[push]
""",
}
BELOW, AT, ABOVE = 50, 88, 130
LEVELS = (BELOW, AT, ABOVE)
KNEES = {"polling": 93, "push": 95}  # 0.95 of what a loop does


def overlap(*intervals: Sequence[float | None]) -> bool:
    """Whether two intervals have a value in common; None stands for an end that is open."""
    lows = [-math.inf if low is None else low for low, _ in intervals]
    highs = [math.inf if high is None else high for _, high in intervals]
    return max(lows) <= min(highs)


@pytest.mark.parametrize("name", ["polling", "push"])
def test_simulate_sweep_scaling_and_capacity_agree(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    file = Path(f"{name}.toml")
    file.write_text(SYSTEMS[name])
    swept = lhsim.sweep(file, LEVELS, replications=3, folder="results")
    levels = {row["agents"]: row for row in swept.level_rows()}

    asked = ["scaling", "--system", str(file), "--agents", ",".join(map(str, LEVELS))]
    more = ["--agents-per-server", "1000", "--output-dir", "results", "--jobs", "1"]
    assert cli.run([*asked, *more, "--format", "json"]) == 0
    scaled = json.loads(capsys.readouterr().out)
    for row in scaled:
        assert row["p99_latency_ms"] == levels[row["agents"]]["p99_latency_ms"]
        assert row["overloaded"] == levels[row["agents"]]["overloaded"]
        assert row["settings"] == []

    for agents in LEVELS:
        run, level = lhsim.simulate(file, agents=agents), levels[agents]
        assert run.overloaded == level["overloaded"]
        if not run.overloaded:
            estimate = run.estimate(0.99).scaled(1e3).interval
            assert overlap(estimate, level["p99_ci95_ms"]), agents
            assert run.utilization["cpu"] == pytest.approx(level["utilization"], rel=0.05)
            assert run.warmup > run.settled_by

    found = capacity(file, ["utilization<95%", "p99<1min"], check=BELOW, most=1000)
    assert found.value is not None
    assert found.value == pytest.approx(KNEES[name], rel=0.05)
    bracket = swept.knees[name]
    assert (bracket.low, bracket.high) == (AT, ABOVE)
    assert bracket.low <= found.value <= bracket.high
    knee = json.loads(Path("results/manifest.json").read_text())["knees"][name]
    assert overlap((knee["low"], knee["high"]), found.interval)
    assert found.check is not None
    (checked,) = (one for one in found.check.figures if one.objective.startswith("p99"))
    ends = tuple(1e3 * end for end in checked.interval)
    assert overlap(ends, levels[BELOW]["p99_ci95_ms"])


def test_a_storm_of_connections_is_over_before_a_run_counts() -> None:
    """8,000 connections keep the server busy for 15 s: a tenth of a minute was amid of that."""
    run = lhsim.simulate("push", agents=8000)
    (level,) = lhsim.sweep("push", [8000], replications=3).level_rows()
    assert run.warmup > settled_by(lhsim.load_system("push"), 8000) > 10
    assert overlap(run.estimate(0.99).scaled(1e3).interval, level["p99_ci95_ms"])
    assert run.metrics.p99_latency_ms < 30


def test_a_warmup_that_does_not_fit_is_flagged_everywhere() -> None:
    """In 20 s there is no room for the 15 s of the start."""
    run = lhsim.simulate("push", agents=8000, duration=20.0)
    assert run.short_warmup
    assert run.warmup < 10
    assert "short warm-up: the start outlasts it" in run.summary()
    assert "short warm-up" in run.estimate(0.99).flags
    (level,) = lhsim.sweep("push", [8000], replications=3, duration=20.0).level_rows()
    assert "short warm-up" in level["flags"]["p99_latency_ms"]


@pytest.mark.parametrize("agents", [10, 1000, 8000, 17_000, 25_000])
def test_a_duration_is_split_as_the_rule_would_have_it(agents: int) -> None:
    system = lhsim.load_system("push")
    free = times(system, agents, Horizon())
    same = times(system, agents, Horizon(duration=free.duration))
    assert (same.warmup, same.drain) == pytest.approx((free.warmup, free.drain))


def test_what_is_given_stays_and_the_rest_follows() -> None:
    system = lhsim.load_system("push")
    assert times(system, 10, Horizon(duration=60.0), 3.0, 2.0).warmup == 3.0
    drained = times(system, 10, Horizon(duration=60.0), drain=0.0)
    assert drained.drain == 0.0
    assert drained.warmup == pytest.approx(1.0 + 58.98 / 11, rel=1e-2)
    on_top = times(system, 10, Horizon(messages=10, shortest=20.0), warmup=7.0)
    assert on_top.duration == pytest.approx(7.0 + 20.0 + 5.0)
