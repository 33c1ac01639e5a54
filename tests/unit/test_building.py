"""SimPy answers while a kernel is compiled beside it, and nobody can tell but by the reason."""

import json
import os
import subprocess
import sys

import pytest

import lhsim
from lhsim.execution import Cell, cells
from lhsim.simulation import engines

RUN = """
import json, sys, lhsim
from lhsim.compiled import building
found = lhsim.simulate("polling", agents=5, duration=20)
if "wait" in sys.argv:
    building.wait(("polling", False))
print(json.dumps([found.engine, found.engine_reason, found.latency.mean, found.row()["pending"]]))
"""


@pytest.fixture
def compiling(monkeypatch):
    """A kernel that will be there in a minute."""
    monkeypatch.setattr(engines.compiled, "seconds_left", lambda kind: 60.0)


@pytest.mark.usefixtures("compiling")
def test_a_short_run_does_not_wait_for_the_compiler():
    found = lhsim.simulate("push", agents=4, duration=5)
    assert (found.engine, found.engine_reason) == ("simpy", engines.SOONER)


@pytest.mark.usefixtures("compiling")
def test_a_long_run_waits_for_it():
    name, _ = engines.choose_now("auto", lhsim.load_system("push"), 1_000_000, 600.0)
    assert name == "compiled"


@pytest.mark.usefixtures("compiling")
@pytest.mark.parametrize("asked", ["simpy", "compiled"])
def test_an_engine_that_was_asked_for_runs(asked):
    found = lhsim.simulate("push", agents=4, duration=5, engine=asked)
    assert (found.engine, found.engine_reason) == (asked, "it was asked for")


@pytest.mark.usefixtures("compiling")
def test_short_runs_come_first_while_a_kernel_is_compiled(monkeypatch):
    system = lhsim.load_system("push")
    some = [Cell(system, agents, 10.0, 1) for agents in (1000, 10, 100)]
    assert list(cells.in_order(some, [0, 1, 2])) == [1, 2, 0]
    monkeypatch.setattr(cells.compiled, "seconds_left", lambda kind: 0.0)
    assert list(cells.in_order(some, [0, 1, 2])) == [0, 1, 2]


@pytest.mark.usefixtures("compiling")
def test_a_kept_run_of_simpy_says_why_it_was_simpy():
    cell = Cell(lhsim.load_system("push"), 4, 5.0, 1)
    kept = cells.run(cell)
    assert kept.engine == "simpy"
    assert cells.as_asked(cell, kept).engine_reason == engines.SOONER


def ran(cache, *arguments):
    """Run in a process of its own, which compiles beside its first run."""
    surroundings = {key: value for key, value in os.environ.items() if key != "LHSIM_COMPILE"}
    done = subprocess.run(
        [sys.executable, "-c", RUN, *arguments],
        capture_output=True,
        text=True,
        check=True,
        env=surroundings | {"NUMBA_CACHE_DIR": str(cache)},
    )
    return json.loads(done.stdout)


@pytest.mark.slow
def test_the_next_run_finds_the_kernel_and_gives_the_same(tmp_path):
    first = ran(tmp_path, "wait")
    assert first[:2] == ["simpy", engines.SOONER]
    later = ran(tmp_path)
    assert later[0] == "compiled"
    assert later[2:] == first[2:]
