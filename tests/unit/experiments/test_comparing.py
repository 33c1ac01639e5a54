"""What `lhsim.compare` finds, against theory and on made-up runs."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import pandas as pd
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

import lhsim
from lhsim import parameters
from lhsim.errors import InputError
from lhsim.experiments.comparing import differences
from lhsim.experiments.sides import Level, Side
from lhsim.models import System
from lhsim.simulation import MEANING

RECORDINGS = Path(__file__).parents[3] / "notebooks" / "data" / "calibrate"


def queue(mean, name="queue"):
    """Return an M/M/1 queue of what agents push, one message a second each."""
    data = {
        "name": name,
        "workload": {"start": "together", "traffic": {"kind": "poisson", "rate": 1.0}},
        "cpu": {"send": {"family": "exponential", "mean": mean}},
        "push": {},
    }
    return parameters.structure(data, System, source="test")


QUEUE = queue("5 ms")


def side(name, values, metric="p99_latency_ms", first=1, **more):
    """Return a side with runs of one level whose metric has these values."""
    runs = [{"seed": first + i, metric: value, **more} for i, value in enumerate(values)]
    return Side(name, {Level("queue", 10): runs})


def compared(a, b, tolerance=None, confidence=0.95):
    return differences(a, b, None, (), tolerance, confidence)


def test_a_slower_server_is_as_much_slower_as_the_closed_form_says():
    """M/M/1, T = 1 / (mu - lambda): 10 ms at 100/s of 200/s, 50/3 ms at 100/s of 160/s."""
    how = {"agents": 100, "duration": "2 min", "seed": 3, "replications": 6, "engine": "simpy"}
    found = lhsim.compare(QUEUE, queue("6.25 ms"), metrics="mean", **how)
    (row,) = found.to_dicts()
    assert (row["metric"], row["unit"], row["paired"]) == ("mean", "s", True)
    assert row["difference_low"] < 1 / 60 - 1 / 100 < row["difference_high"]
    assert row["differs"]
    assert row["worse"]
    assert found.paragraph().startswith("B (queue) is slower: mean at 100 agents 16.")
    assert "nothing else differs beyond chance" in found.paragraph()
    sweeps = [lhsim.sweep(QUEUE, **how), lhsim.sweep(queue("6.25 ms"), **how | {"seed": 4})]
    (free,) = lhsim.compare(*sweeps, metrics="mean").to_dicts()
    assert not free["paired"]
    widths = [one["difference_high"] - one["difference_low"] for one in (row, free)]
    assert widths[0] < 0.6 * widths[1]


def test_one_system_under_two_seeds_differs_no_more_often_than_it_is_said():
    """Of 60 comparisons of a system with itself at most 8 find something: 3 on average."""
    found = 0
    for trial in range(60):
        sweeps = [
            lhsim.sweep(QUEUE, 40, duration=10, seed=2 * trial + side, replications=5,
                        engine="simpy")
            for side in range(2)
        ]  # fmt: skip
        found += lhsim.compare(*sweeps).differ
    assert found <= 8  # a chance of 1 in 100 at 5 %


def test_the_same_runs_do_not_differ_at_all():
    sweep = lhsim.sweep(QUEUE, [10, 20], duration=10, replications=3, engine="simpy")
    found = lhsim.compare(sweep, sweep)
    assert {row["difference"] for row in found.to_dicts()} == {0}
    assert {row["p_adjusted"] for row in found.to_dicts()} == {1}
    assert not found.differ
    count = len(found.to_dicts())
    assert found.paragraph() == f"Nothing differs beyond chance in {count} comparisons."


def test_metrics_have_base_units_and_the_processor_counts_once():
    sweep = lhsim.sweep(QUEUE, 20, duration=10, replications=2, engine="simpy")
    rows = {row["metric"]: row for row in lhsim.compare(sweep, sweep).to_dicts()}
    assert list(rows) == [
        *("mean", "p50", "p95", "p99", "throughput", "utilization", "delivery", "memory"),
        "queries",
    ]
    run = sweep.to_frame().mean(numeric_only=True)
    assert rows["p99"]["a"] == pytest.approx(run["p99_latency_ms"] / 1e3)
    assert rows["memory"]["a"] == pytest.approx(run["memory_peak_mb"] * 1e6)
    assert (rows["memory"]["unit"], rows["queries"]["unit"]) == ("B", "1/s")
    (only,) = lhsim.compare(sweep, sweep, metrics=["cpu"]).to_dicts()
    assert only["a"] == pytest.approx(run["cpu_utilization_percent"] / 100)


def test_queries_are_counted_over_the_window_that_a_run_has():
    times = {"horizon_s": 20.0, "warmup_s": 6.0, "drain_s": 4.0}
    a, b = (side(name, [90, 110, 100], "database_queries_total", **times) for name in "ab")
    (row,) = compared(a, b).to_dicts()
    assert (row["a"], row["unit"]) == (10, "1/s")
    with pytest.raises(InputError, match="no figure has two runs"):
        compared(a, side("b", [90, 110], "database_queries_total", horizon_s=20.0))


def test_pairs_need_the_same_seeds():
    a, b = side("a", [10.0, 11.0, 12.0]), side("b", [11.1, 12.0, 13.0])
    (row,) = compared(a, b).to_dicts()
    assert row["paired"]
    assert row["differs"]
    (row,) = compared(a, side("b", [11.1, 12.0, 13.0], first=3)).to_dicts()
    assert not row["paired"]
    assert not row["differs"]
    more = side("b", [11.1, 12.0, 13.0, 14.0, 15.0])
    (row,) = compared(a, more).to_dicts()
    assert (row["paired"], row["runs_b"]) == (True, 3)


def test_runs_without_a_figure_are_left_out_in_pairs():
    a, b = side("a", [1.0, math.nan, 3.0, 4.0]), side("b", [2.1, 5.0, math.nan, 5.0])
    (row,) = compared(a, b).to_dicts()
    assert (row["a"], row["b"]) == pytest.approx((2.5e-3, 3.55e-3))
    assert row["runs_a"] == row["runs_b"] == 2


@given(st.floats(1, 1e3), st.floats(0.01, 0.5), st.floats(-0.9, 3), st.booleans())
def test_a_tolerance_counts_what_is_surely_worse(value, tolerance, change, more_is_better):
    """Without noise the answer is plain arithmetic."""
    metric = "messages_per_second" if more_is_better else "p99_latency_ms"
    a = side("a", [value] * 3, metric)
    b = side("b", [value * (1 + change)] * 3, metric)
    worse = -change if more_is_better else change
    if abs(worse - tolerance) > 1e-6 and abs(change) > 1e-6:
        assert compared(a, b, tolerance).worse == (worse > tolerance)
        assert compared(a, b).worse == (worse > 0)
        assert compared(a, b).differ
        assert compared(b, a).differ


def test_what_is_worse_by_less_than_its_noise_is_not_surely_worse():
    a, b = side("a", [100.0, 110, 90, 105]), side("b", [118.0, 125, 96, 120], first=9)
    assert not compared(a, b, 0.05).worse
    assert not compared(a, b).differ


def test_an_overloaded_side_is_said_instead_of_numbers():
    a = side("a", [10.0, 11.0, 12.0])
    b = side("b", [900.0, 910.0, 920.0], overloaded=True)
    found = compared(a, b)
    (row,) = found.to_dicts()
    assert (row["metric"], row["a"], row["b"]) == ("overloaded", False, True)
    assert row["difference"] is None
    assert found.differ
    assert found.worse
    assert found.paragraph() == (
        "B is overloaded with 10 agents of queue: no latency settles there."
    )
    assert not compared(b, a).worse
    assert not compared(b, b).differ
    assert "Both are overloaded" in compared(b, b).paragraph()


def test_a_level_is_named_by_its_axes_and_a_case_by_itself():
    fast, slow = side("a", [10.0, 11.0, 12.0]), side("b", [110.0, 112.0, 113.0])
    (level,) = fast.levels

    def at(one, point, units):
        return evolve(one, levels={evolve(level, point=point): one.levels[level]}, units=units)

    point, units = (("polling.interval", 0.5), ("store.cache", None)), {"polling.interval": "s"}
    found = compared(*(at(one, point, units | {"store.cache": ""}) for one in (fast, slow)))
    assert "p99 at 10 agents (interval=500 ms) 112 ms instead of 11.0 ms" in found.paragraph()
    assert "queue: 10 agents (interval=500 ms)\nmetric " in found.text()
    assert max(map(len, found.text().splitlines())) <= 80
    case = compared(*(at(one, (("case", "20 alone"),), {"case": ""}) for one in (fast, slow)))
    assert "p99 in 20 alone 112 ms instead of 11.0 ms" in case.paragraph()
    with pytest.raises(InputError, match="no level in common"):
        compared(fast, at(slow, point, units))


def test_systems_of_two_names_are_compared_where_each_side_has_one():
    a, b = side("a", [1.0, 2.0]), side("b", [2.0, 3.0])
    (level,) = b.levels
    renamed = {evolve(level, system="other"): b.levels[level]}
    (row,) = compared(a, evolve(b, levels=renamed)).to_dicts()
    assert (row["system_a"], row["system_b"]) == ("queue", "other")
    two = {**renamed, evolve(level, system="third"): b.levels[level]}
    with pytest.raises(InputError, match="no level in common: queue with 10 agents in A, other"):
        compared(a, evolve(b, levels=two))


@pytest.mark.parametrize(
    ("a", "b", "problem"),
    [
        (side("a", [1.0]), side("b", [2.0]), "no figure has two runs on both sides"),
        (
            side("a", [1.0, 2.0]),
            evolve(side("b", [2.0, 3.0]), meaning=1),
            f"versions {MEANING} and 1",
        ),
        (
            side("a", [1.0, 2.0]),
            Side("b", {}, capacity={"value": 1, "interval": [1, 2]}),
            "a capacity and runs are no pair",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused(a, b, problem):
    with pytest.raises(InputError, match=problem):
        compared(a, b)


CAPACITY = {
    "system": "queue", "vary": "agents", "agents": None, "objectives": ["p99<20ms"],
    "confidence": 0.95, "unit": "", "value": 1000, "interval": [950, 1060],
}  # fmt: skip


def capacity_side(**changes):
    return Side("x", {}, capacity={**CAPACITY, **changes})


def test_capacities_are_compared_by_their_intervals():
    found = compared(capacity_side(), capacity_side(value=2000, interval=[1900, 2100]))
    (row,) = found.to_dicts()
    assert (row["difference"], row["unit"]) == (1000, "agents")
    assert row["difference_low"] == pytest.approx(1000 - math.hypot(100, 60))
    assert not found.worse
    assert found.paragraph().startswith("B (x) holds more agents: 2,000 agents instead of 1,000")
    assert not compared(capacity_side(), capacity_side(value=1010)).differ
    less = capacity_side(value=800, interval=[790, 810])
    assert compared(capacity_side(), less, 0.1).worse
    assert not compared(capacity_side(), less, 0.19).worse
    with pytest.raises(InputError, match="the two searches differ in objectives"):
        compared(capacity_side(), capacity_side(objectives=["p99<1s"]))


@pytest.mark.parametrize(
    "changes",
    [
        {"value": None}, {"value": "many"}, {"value": True}, {"interval": [1]},
        {"interval": [1, None]}, {"interval": 3}, {"interval": [1, math.inf]},
    ],
)  # fmt: skip
def test_an_answer_without_a_capacity_is_refused(copy, changes):
    from lhsim.experiments.output import digest

    (copy / "answer.json").write_text(json.dumps({**CAPACITY, **changes}))
    answer = {"answer.json": digest(copy / "answer.json")}
    changed(copy, experiment="capacity", files=answer)
    with pytest.raises(InputError, match="out: has no capacity that is known"):
        lhsim.compare(copy, copy)
    changed(copy, experiment="decide")
    with pytest.raises(InputError, match="out: decide keeps no runs"):
        lhsim.compare(copy, copy)


def test_recordings_are_compared_by_what_was_measured():
    found = lhsim.compare(RECORDINGS, RECORDINGS)
    rows = pd.DataFrame(found.to_dicts())
    assert set(rows["metric"]) == {"p50", "p95", "p99", "throughput", "delivery", "cpu"} | (
        {"overloaded"} & set(rows["metric"])
    )
    assert not found.differ
    assert set(rows["agents"]) == {331, 1067}
    assert found.single == 2  # 30 and 1900 agents were recorded once
    assert "2 levels with a single run" in found.text()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder of a small experiment."""
    from lhsim import cli

    home = tmp_path_factory.mktemp("folder")
    parameters.dump(QUEUE, home / "queue.toml")
    words = ["scaling", "--system", str(home / "queue.toml"), "--agents", "10,20", "--duration",
             "10", "--replications", "3", "--engine", "simpy", "--quiet",
             "--jobs", "1"]  # fmt: skip
    assert cli.run([*words, "--output-dir", str(home / "out")]) == 0
    return home / "out"


def test_a_folder_gives_back_what_it_was_made_of(folder):
    found = lhsim.load(folder)
    sweep = lhsim.sweep(QUEUE, [10, 20], duration=10, replications=3, engine="simpy")
    pd.testing.assert_frame_equal(found.runs, sweep.to_frame(), check_dtype=False)
    pd.testing.assert_frame_equal(found.metrics, sweep.metrics(), check_dtype=False)
    assert list(found.levels["agents"]) == [10, 20]
    assert list(found.levels["p99_latency_ms"]) == list(sweep.levels()["p99_latency_ms"])
    assert found.to_frame() is found.to_frame() or found.to_frame().equals(found.levels)
    assert found.experiment == "scaling"
    assert found.configuration["options"]["agents"] == [10, 20]
    assert found.configuration["systems"][0]["name"] == "queue"
    assert found.provenance["seed"] == 1
    assert found.provenance["versions"]["lhsim"] == lhsim.__version__
    assert "scaling --seed 1" in found.provenance["command"]
    assert found.details is None
    assert repr(found) == f"<ResultFolder {str(folder)!r}: scaling of queue>"
    assert "<table" in found._repr_html_()
    rows = lhsim.compare(found, sweep).to_dicts()
    assert {row["difference"] for row in rows} == {0}
    assert {row["paired"] for row in rows} == {True}


@pytest.fixture
def copy(folder, tmp_path):
    """The folder again, to be damaged."""
    shutil.copytree(folder, tmp_path / "out")
    return tmp_path / "out"


def changed(folder, **changes):
    """Change entries of a manifest; None takes one away."""
    path = folder / "manifest.json"
    content = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({k: v for k, v in content.items() if v is not None}))


def test_half_of_a_folder_is_no_result(copy):
    (copy / "runs.parquet").write_bytes((copy / "metrics.parquet").read_bytes())
    with pytest.raises(InputError, match=r"runs.parquet: is half-written or changed"):
        _ = lhsim.load(copy).runs
    (copy / "runs.parquet").unlink()
    with pytest.raises(InputError, match=r"runs.parquet: is half-written or changed"):
        lhsim.compare(copy, copy)
    (copy / "manifest.json").unlink()
    with pytest.raises(InputError, match=r"out: has no manifest.json: no result, or a half-"):
        lhsim.load(copy)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"format": 2}, r"manifest.json: has another format: 2; allowed: format 1"),
        ({"format": None}, r"has another format: 'none'"),
        ({"format": True}, r"has another format: True"),
        ({"seed": "one"}, r"manifest.json: seed: "),
        ({"files": {"runs.parquet": 3}}, r"manifest.json: files"),
        ({"experiment": None}, r"manifest.json: experiment: is missing"),
    ],
)
def test_a_manifest_is_read_strictly(copy, changes, problem):
    changed(copy, **changes)
    with pytest.raises(InputError, match=problem):
        lhsim.load(copy)


def test_what_was_interrupted_is_loaded_and_not_compared(copy):
    changed(copy, interrupted=True)
    assert repr(lhsim.load(copy)).endswith("of queue, interrupted>")
    with pytest.raises(InputError, match="out: was interrupted; allowed: a finished result"):
        lhsim.compare(copy, copy)


def rewritten(folder, **columns):
    """Change columns of the runs of a folder, with the digest that the manifest has of them."""
    from lhsim.experiments.output import digest

    runs = pd.read_parquet(folder / "runs.parquet").assign(**columns)
    runs.to_parquet(folder / "runs.parquet", index=False)
    changed(folder, files={"runs.parquet": digest(folder / "runs.parquet")})


@pytest.mark.parametrize(
    ("columns", "key"),
    [
        ({"system": 3}, "system"),
        ({"agents": "ten"}, "agents"),
        ({"agents": -1}, "agents"),
        ({"seed": 0.5}, "seed"),
        ({"overloaded": "yes"}, "overloaded"),
        ({"p99_latency_ms": "fast"}, "p99_latency_ms"),
        ({"p99_latency_ms": 1e300}, "p99_latency_ms"),
        ({"p99_latency_ms": math.inf}, "p99_latency_ms"),
        ({"extra": [[1]] * 6}, "extra"),
    ],
)
def test_runs_are_read_strictly(copy, columns, key):
    rewritten(copy, **columns)
    with pytest.raises(InputError, match=f"runs.parquet: {key}: "):
        _ = lhsim.load(copy).runs


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"a": QUEUE, "b": QUEUE}, "agents: is missing"),
        ({"a": 3, "b": QUEUE}, "3 is no system"),
        ({"agents": 0}, "agents: 0 is out of range"),
        ({"metrics": "p98"}, "metrics: unknown metric 'p98'"),
        ({"metrics": 4}, "metrics: 4 is no list"),
        ({"tolerance": "5"}, "tolerance: '5' is none"),
        ({"tolerance": -0.1}, "tolerance: -0.1 is out of range"),
        ({"confidence": 1}, "confidence: 1 is out of range"),
        ({"replications": 3}, "replications: is of no use here"),
        ({"seed": 3}, "seed: is of no use here"),
        ({"agents": 7}, "agents: no level of 7 agents in common"),
        ({"b": QUEUE}, "a result and a system are no pair"),
    ],
)
def test_bad_arguments_are_refused_in_a_line(folder, arguments, problem):
    given = {"a": folder, "b": folder, **arguments}
    with pytest.raises(InputError, match=problem) as caught:
        lhsim.compare(given.pop("a"), given.pop("b"), **given)
    assert str(caught.value).isprintable()


def test_an_answer_in_the_notebook(folder):
    found = lhsim.compare(folder, folder)
    assert repr(found) == f"<Differences: 0 of {len(found.to_dicts())} figures differ>"
    assert "Nothing differs" in found._repr_html_()
    assert len(found.to_frame()) == len(found.to_dicts())
    assert found.plot().axes
