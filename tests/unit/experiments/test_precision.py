from __future__ import annotations

import pytest
from attrs import evolve

from lhsim import parameters
from lhsim.distributions import Deterministic
from lhsim.errors import InputError, LhsimError
from lhsim.execution import Failure, Runner
from lhsim.experiments import sweep as sweeps
from lhsim.experiments.levels import Horizon, seeds, work
from lhsim.experiments.points import levels
from lhsim.experiments.precision import Rounds, precision_of
from lhsim.experiments.specification import MaxEvents
from lhsim.models import System

COST = {"family": "exponential", "mean": "5 ms"}
DATA = {
    "name": "push",
    "push": {},
    "cpu": {"parse_message": COST},
    "workload": {"traffic": {"kind": "poisson", "rate": 1.0}},
}
PUSH = parameters.structure(DATA, System, source="test")
SHORT = {"seed": 3, "messages": 1_500, "min_duration": 1.0}
TARGETS = {"p99": 0.2, "mean": 0.04}


def swept(**more):
    return sweeps.sweep(PUSH, [50, 100], **SHORT, **({"precision": TARGETS} | more))


@pytest.fixture(scope="module")
def found():
    return swept()


def test_each_level_is_replicated_until_it_is_known(found):
    for row in found.level_rows():
        verdict = found.verdicts["push", row["agents"]]
        assert (row["precision"], verdict.reason) == ("reached", "reached")
        assert row["replications"] == verdict.replications >= 10
        assert row["relative_half_widths"].keys() == TARGETS.keys()
        low, high = row["latency_ci95_ms"]
        assert (high - low) / 2 / row["mean_latency_ms"] <= 0.04
        low, high = row["p99_ci95_ms"]
        value = row["p99_latency_ms"]
        assert max(high - value, value - low) / value <= 0.2
    fewer, more = (row["replications"] for row in found.level_rows())
    assert fewer < more


def test_replication_r_has_the_seed_of_replication_r_and_stands_in_its_place(found):
    for agents in (50, 100):
        level = [run for run in found.results if run.agents == agents]
        assert [run.seed for run in level] == list(seeds(3, len(level)))
    alone = sweeps.sweep(PUSH, [50], **SHORT, replications=len(level))
    same = [run for run in found.results if run.agents == 50]
    assert [run.metrics for run in alone.results][: len(same)] == [run.metrics for run in same]


def test_results_do_not_depend_on_what_is_done_first(found):
    """An executor that works from the last cell to the first."""

    def backwards(runner, cells, *, on_done):
        outcomes, ended = in_order(runner, cells[::-1], on_done=on_done)
        last = len(cells) - 1
        return {last - i: outcomes[i] for i in sorted(outcomes, reverse=True)}, ended

    in_order = Runner.run
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Runner, "run", backwards)
        again = swept()
    assert again.level_rows() == found.level_rows()


def test_the_budget_of_replications_ends_it():
    found = swept(precision={"p99": 0.001}, max_replications=13)
    assert {row["replications"] for row in found.level_rows()} == {13}
    assert {row["precision"] for row in found.level_rows()} == {"max replications"}


def test_the_budget_of_events_is_that_of_all_runs_of_a_level():
    plan = sweeps.plan(
        [PUSH], levels([PUSH], [50]), Horizon(1_500, 1.0), 10, 3, "auto", MaxEvents()
    )
    most = 13 * work(plan.cells[0])
    found = swept(precision={"p99": 0.001}, max_events=most)
    rows = {row["agents"]: row for row in found.level_rows()}
    assert (rows[50]["replications"], rows[50]["precision"]) == (13, "max events")


def test_an_overloaded_level_is_given_up_at_once():
    found = sweeps.sweep(PUSH, [400], **SHORT, precision={"p99": 0.1})
    (row,) = found.level_rows()
    assert row["replications"] == 10
    assert row["precision"] in {"overloaded", "lower bound"}


def test_a_level_whose_runs_all_fail_is_given_up(monkeypatch):
    in_order, failure = Runner.run, Failure("ValueError", "planted", "")

    def failing(runner, cells, **more):
        outcomes, ended = in_order(runner, cells, **more)
        large = {index: failure for index in outcomes if cells[index].agents == 100}
        return outcomes | large, ended

    monkeypatch.setattr(Runner, "run", failing)
    found = swept()
    assert len(found.failed) == 10
    reasons = {agents: verdict.reason for (_, agents), verdict in found.verdicts.items()}
    assert reasons == {50: "reached", 100: "failed"}


@pytest.mark.parametrize("precision", [None, TARGETS])
def test_a_sweep_of_which_every_run_failed_raises_with_the_first_failure(monkeypatch, precision):
    failure = Failure("ValueError", "planted", "")
    monkeypatch.setattr(
        Runner,
        "run",
        lambda _, cells, **__: (dict.fromkeys(range(len(cells)), failure), False),
    )
    with pytest.raises(
        LhsimError, match=r"^all \d+ runs failed, first: push, 50 agents, .*planted"
    ):
        swept(precision=precision)


def test_what_is_interrupted_says_so(monkeypatch):
    in_order, calls = Runner.run, []

    def interrupted(runner, cells, **more):
        calls.append(len(cells))
        outcomes, _ = in_order(runner, cells[:14], **more)
        return outcomes, True

    monkeypatch.setattr(Runner, "run", interrupted)
    found = swept()
    assert calls == [20]
    assert found.interrupted
    assert [row["replications"] for row in found.level_rows()] == [10, 4]
    assert {row["precision"] for row in found.level_rows()} == {"interrupted"}


def test_each_round_is_shown_with_its_runs():
    plan = sweeps.plan([PUSH], levels([PUSH], [50]), Horizon(1_500, 1.0), 5, 3, "auto", MaxEvents())
    shown = []

    class Quiet:
        def __init__(self, title, cells):
            shown.append((title, len(cells)))

        def __enter__(self):
            return None

        def __exit__(self, *_):
            return None

    asked = Rounds(precision_of({"p99": 0.001}, 12, None), 3, MaxEvents())
    sweeps.carry_out(evolve(plan, rounds=asked), Runner(), show=Quiet)
    assert shown == [("round 1", 5), ("round 2", 5), ("round 3", 2)]


@pytest.mark.parametrize(
    ("targets", "most", "replications", "line"),
    [
        ({"p98": 0.1}, None, None, "precision: unknown metric 'p98' (did you mean"),
        ({"max": 0.1}, None, None, "precision: unknown metric 'max'"),
        ({"p99": 0.0}, None, None, "precision: p99: 0.0 is out of range; allowed: a half-width"),
        ({"p99": 1.0}, None, None, "precision: p99: 1.0 is out of range"),
        ({"p99": float("nan")}, None, None, "precision: p99: nan is out of range"),
        ({"p99": "5%"}, None, None, "precision: p99: '5%' is out of range"),
        ({"p99": 0.05}, 1, None, "max_replications: 1 is out of range; allowed: a whole number"),
        (
            {"p99": 0.05},
            8,
            10,
            "max_replications: 8 is out of range; allowed: a whole number >=",
        ),
        ({}, 10, None, "max_replications: nothing says how precise; allowed: together with"),
    ],
)
def test_what_cannot_be_asked_for(targets, most, replications, line):
    with pytest.raises(InputError) as refused:
        precision_of(targets, most, replications)
    assert str(refused.value).startswith(line)


def test_without_a_target_nothing_is_asked_for():
    assert precision_of({}, None, 3) is None
    assert precision_of({"p99": 0.05}, None, 3).most == 50


# Comparisons


SLOWER = evolve(PUSH, name="slower", cpu=evolve(PUSH.cpu, send=Deterministic(1e-3)))


@pytest.fixture(scope="module")
def both():
    return sweeps.sweep([PUSH, SLOWER], [20, 40], **SHORT, replications=6)


def test_two_systems_are_compared_run_by_run(both):
    found = both.compare("slower", "push", metric="mean", agents=40)
    runs = {name: [r for r in both.results if (r.system, r.agents) == (name, 40)]
            for name in ("slower", "push")}  # fmt: skip
    differences = [
        1e3 * (a.latency.mean - b.latency.mean)
        for a, b in zip(runs["slower"], runs["push"], strict=True)
    ]
    assert found.n == 6
    assert found.difference.value == pytest.approx(sum(differences) / 6)
    assert found.significant
    assert found.ratio.low > 1
    assert found.variance_reduction > 0.5  # they see the same messages and the same costs


def test_all_comparisons_as_a_table(both):
    table = both.comparisons(["mean", "p99"])
    assert list(table["agents"]) == [20, 20, 40, 40]
    assert set(table["a"]) == {"push"}
    assert set(table["b"]) == {"slower"}
    assert (table["ratio"] < 1).all()
    assert (table["n"] == 6).all()


def test_levels_with_different_numbers_of_runs_share_the_first_of_them(both):
    fewer = evolve(both, results=tuple(r for r in both.results if r.system == "push"
                                       or r.seed in seeds(3, 4)))  # fmt: skip
    assert fewer.compare("slower", "push", agents=20).n == 4


def test_flags_of_either_system_are_those_of_their_comparison(both):
    results = tuple(evolve(r, overloaded=True) if r.system == "slower" else r for r in both.results)
    found = evolve(both, results=results).compare("push", "slower", agents=20)
    assert found.a.reliable
    assert found.difference.flags == found.ratio.flags == ("overloaded",)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({"a": "pull", "b": "push", "agents": 20}, "a: unknown system 'pull'"),
        ({"a": "push", "b": "slow", "agents": 20}, "b: unknown system 'slow' (did you mean"),
        ({"a": "push", "b": "slower", "agents": 21}, "agents: no run with 21 agents; allowed: 20"),
        ({"a": "push", "b": "slower", "agents": 20, "metric": "p9"}, "metric: unknown metric"),
    ],
)
def test_what_cannot_be_compared(both, arguments, line):
    with pytest.raises(InputError) as refused:
        both.compare(**arguments)
    assert str(refused.value).startswith(line)
