"""Answers: figures of the library, the first of them soon, and nothing that goes on for hours."""

from __future__ import annotations

import io
import threading
import time
from contextlib import redirect_stdout

import pytest
from attrs import evolve

import lhsim
from lhsim.errors import InputError
from lhsim.execution import Runner
from lhsim.explore import answers as module
from lhsim.explore.answers import capacity_part, levels, point
from lhsim.explore.guard import (
    USUAL,
    Guarded,
    OutdatedError,
    TooLargeError,
    cell_of,
    questions,
)
from lhsim.explore.state import State

STATE = State(("small",), agents=40, interval=0.5, slo="p99<700ms")


def run(cells, runner):
    try:
        return runner.run(cells)
    finally:
        runner.close()


def answer(parts):
    """Return an answer as the page puts it together."""
    found = {"systems": {}}
    for part in parts:
        into = found["systems"].setdefault(part["system"], {}) if "system" in part else found
        into.update(part)
    return found


def printed(line):
    with redirect_stdout(io.StringIO()) as output:
        exec(line, {})
    return output.getvalue().strip()


@pytest.fixture
def found(answers):
    return answer(answers.of(STATE))


def test_every_figure_is_one_of_the_library(found, known):
    system, small = STATE.system(known["small"]), found["systems"]["small"]
    result = lhsim.simulate(system, agents=40)
    assert small["point"] == point(result, 0.99)
    assert small["point"]["value"] == result.estimate(0.99).value
    for one in small["curve"]:
        at = lhsim.simulate(system, agents=one["agents"])
        assert one == point(at, 0.99)
    capacity = lhsim.capacity(system, STATE.slo)
    assert small["capacity"].items() >= capacity_part(capacity).items()
    assert (small["capacity"]["low"], small["capacity"]["high"]) == capacity.interval
    decision = lhsim.decide(STATE.slo, agents=40, systems=[system])
    assert found["decision"]["text"] == decision.recommendation
    assert found["done"]


def test_the_lines_of_python_print_the_figures_to_the_last_digit(found):
    small = found["systems"]["small"]
    assert printed(small["python"]) == str(small["point"]["value"])
    assert printed(small["capacity"]["python"]) == str(small["capacity"]["value"])
    assert printed(found["decision"]["python"]) == found["decision"]["text"]


@pytest.mark.parametrize("slo", ["mean<300ms", "p99.9<2s", "utilization<70%"])
def test_other_objectives_have_their_line_too(answers, slo):
    state = State(("small",), agents=10, slo=slo)
    for part in answers.of(state):
        if "curve" in part:
            assert float(printed(state.python(answers.known["small"]))) == part["point"]["value"]
            return


def test_the_first_answer_comes_from_short_runs(answers):
    parts = []
    for part in answers.of(STATE):
        parts.append(part)
        if "decision" in part:
            break
    curves = [part["curve"] for part in parts if "curve" in part]
    kinds = [next(key for key in ("toml", "curve", "capacity", "status", "decision") if key in part)
             for part in parts]  # fmt: skip
    assert kinds.index("curve") < kinds.index("capacity") < kinds.index("decision")
    assert len(curves) == 2
    assert len(curves[0]) < len(curves[1])
    exact = {one["agents"]: one for one in curves[1]}
    assert all(one["agents"] in exact for one in curves[0])
    assert curves[0] != [exact[one["agents"]] for one in curves[0]]


def test_a_state_that_comes_back_runs_nothing(answers, monkeypatch):
    before = answer(answers.of(STATE))
    monkeypatch.setattr(Runner, "run", lambda *_, **__: pytest.fail("something has run"))
    assert answer(answers.of(STATE)) == before


def test_a_move_of_the_agents_keeps_curve_and_capacity(answers, monkeypatch):
    before, runs, original = answer(answers.of(STATE)), [], Runner.run

    def counted(self, cells, **more):
        runs.append([cell.agents for cell in cells])
        return original(self, cells, **more)

    monkeypatch.setattr(Runner, "run", counted)
    moved = State(("small",), agents=60, interval=0.5, slo="p99<700ms")
    for part in answers.of(moved):
        if "decision" not in part and part.get("capacity", {}).get("exact"):
            break
    assert runs == [[60]]
    assert part["capacity"] == before["systems"]["small"]["capacity"]


def test_what_nobody_waits_for_stops_after_a_run(answers, monkeypatch):
    ran = []
    monkeypatch.setattr(module, "point", lambda result, _: ran.append(result) or {})
    with pytest.raises(OutdatedError):
        list(answers.of(STATE, lambda: True))
    assert ran == []


def test_a_run_under_way_ends_when_nobody_waits_any_more(known):
    (question,) = questions(State(("push",)), known).values()
    cell = evolve(cell_of(question, 1000, USUAL), duration=100_000.0)  # takes some seconds
    runner = Guarded(lambda: time.monotonic() > begun + 0.2)
    run([evolve(cell, duration=1.0, warmup=None, drain=None)], Guarded())  # loads the kernel
    begun = time.monotonic()
    with pytest.raises(OutdatedError):
        run([cell], runner)
    assert time.monotonic() - begun < 1.5
    assert not [one for one in threading.enumerate() if one.name.startswith("lhsim_")]


@pytest.mark.parametrize(
    ("state", "line"),
    [
        (
            State(("push",), agents=100_000, rate=100.0),
            "push: a run of 100,000 agents is too large",
        ),
        (
            State(("polling",), agents=100, interval=0.01, rate=0.001),
            "polling: a run of 1 agents is",
        ),
        (State(("small",), slo="throughput>5/s"), "--slo: throughput>5/s: says nothing of growth"),
    ],
)
def test_what_is_too_much_is_refused_before_it_runs(known, monkeypatch, state, line):
    monkeypatch.setattr(Runner, "run", lambda *_, **__: pytest.fail("something has run"))
    with pytest.raises(InputError) as refused:
        questions(state, known)
    assert str(refused.value).startswith(line)


def test_no_larger_run_is_started(known):
    (question,) = questions(State(("push",)), known).values()
    with pytest.raises(TooLargeError):
        Guarded().run(question.cells(100_000_000, range(1)))


def test_a_search_ends_where_its_runs_would_be_too_large(known):
    (few,) = questions(State(("push",), agents=10, rate=100.0), known).values()
    (many,) = questions(State(("push",), agents=10), known).values()
    assert few.most < many.most == 100_000


def test_levels_are_there_for_each_topology_and_around_the_saturation(known):
    (question,) = questions(State(("polling",)), known).values()
    short, closely = levels(question, closely=False), levels(question, closely=True)
    assert set(short) < set(closely)
    assert all(one % 2 == 0 for one in closely)
    assert 4000 in short
    assert max(short) < 10_000
