"""How answers show themselves, and how far a function of Python says it is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import lhsim
from lhsim.recording import Recording
from lhsim.validation.validate import Validated

LONGEST = 160  # characters
DATA = Path(__file__).parents[2] / "notebooks" / "data"
SMALL = {"replications": 2, "duration": 5, "engine": "simpy"}


@pytest.fixture(scope="module")
def recordings():
    return [Recording.read(path) for path in sorted((DATA / "calibrate").iterdir())[:3]]


def is_short(thing):
    text = repr(thing)
    return text.startswith("<") and len(text) <= LONGEST and text.isprintable()


def test_what_runs_find_shows_itself_in_a_line():
    sweep = lhsim.sweep(["polling", "push"], [2, 4], **SMALL)
    found = [
        lhsim.simulate("push", agents=2, duration=5, engine="simpy"),
        sweep,
        sweep.compare("polling", "push", agents=4),
        lhsim.compare(sweep, sweep),
        lhsim.capacity("push", "p99<1s", most=4, engine="simpy", budget="10 s"),
    ]
    assert [thing for thing in found if not is_short(thing)] == []
    assert repr(found[2]).startswith("<Comparison: ")


def test_what_was_measured_shows_itself_in_a_line(recordings):
    from lhsim.crosscheck import Crosscheck

    first = recordings[0]
    assert is_short(first)
    assert "30 agents" in repr(first) or "agents" in repr(first)
    found = Crosscheck("push", "accepted", (), (), None, (), 0.95, ())
    assert repr(found) == "<Crosscheck: push is accepted; 0 figures compared>"
    assert is_short(Validated("push", None, found, (), (), 0))


def test_all_public_names_are_completed():
    names = set(dir(lhsim))
    assert {
        "simulate",
        "sweep",
        "capacity",
        "decide",
        "explain",
        "sensitivity",
        "compare",
        "load",
    } <= names
    assert {"load_system", "systems", "Result", "ResultFolder", "Differences"} <= names


def test_the_package_is_a_program():
    done = subprocess.run(
        [sys.executable, "-m", "lhsim", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"lhsim {lhsim.__version__}\n"


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr("lhsim.execution.progress.PATIENCE", 0.0)
    monkeypatch.setattr("lhsim.experiments.sweep.PATIENCE", 0.0)
    monkeypatch.setattr("lhsim.execution.progress.SECONDS_BETWEEN_LINES", 0.0)


def test_a_long_sweep_says_how_far_it_is(impatient, capsys):
    lhsim.sweep("push", [2, 4], **SMALL)
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert len(lines) == 4
    assert lines[-1].startswith("sweep: 4/4 runs")


def test_a_long_search_says_how_far_it_is(impatient, capsys):
    lhsim.capacity("push", "p99<1s", most=4, engine="simpy", budget="10 s")
    assert capsys.readouterr().err.splitlines()[0] == "capacity: 1 run"


def test_what_is_quick_or_quiet_or_told_says_nothing(impatient, capsys, monkeypatch):
    told = []
    lhsim.sweep("push", 2, **SMALL, on_done=lambda *one: told.append(one))
    lhsim.sweep("push", 2, **SMALL, progress=False)
    lhsim.compare("push", "push", agents=2, **SMALL, progress=False)
    lhsim.capacity("push", "p99<1s", most=4, engine="simpy", budget="10 s", progress=False)
    assert len(told) == 2
    monkeypatch.undo()
    lhsim.sweep("push", 2, **SMALL)
    assert capsys.readouterr().err == ""
