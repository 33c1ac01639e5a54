"""Keys of cells: equal exactly where results are."""

from __future__ import annotations

import pytest
import small
from attrs import evolve

import lhsim
from lhsim.distributions import Exponential
from lhsim.execution import Cell, identity
from lhsim.execution.encoding import classes_of
from lhsim.execution.identity import Keys, layout
from lhsim.models import Calibration, CalibrationWarning, Provenance

CELL = Cell(small.PUSH, 10, 20.0, 1)
key_of = Keys()


def with_system(**changes):
    return evolve(CELL, system=evolve(small.PUSH, **changes))


OTHER = {
    "agents": evolve(CELL, agents=11),
    "duration": evolve(CELL, duration=20.5),
    "seed": evolve(CELL, seed=2),
    "warm-up": evolve(CELL, warmup=1.0),
    "drain": evolve(CELL, drain=1.0),
    "stopping": evolve(CELL, stop_when_overloaded=True),
    "engine": evolve(CELL, engine="simpy"),
    "name": with_system(name="other"),
    "a default": with_system(push=evolve(small.PUSH.push, heartbeat=7.0)),
    "a cost": with_system(cpu=evolve(small.CPU, query=Exponential(3e-3))),
    "a range": with_system(calibration=Calibration(agents=(1, 5))),
    "architecture": evolve(CELL, system=evolve(small.POLLING, name="push")),
}


@pytest.mark.parametrize("what", OTHER)
def test_what_changes_a_result_changes_the_key(what):
    assert key_of(OTHER[what]) != key_of(CELL)


SAME = {
    "the engine that auto means": evolve(CELL, engine="compiled"),
    "a whole number": evolve(CELL, duration=20),
    "an equal system": with_system(),
    "description": with_system(description="for people"),
    "where it comes from": evolve(
        OTHER["a range"],
        system=evolve(
            small.PUSH,
            calibration=Calibration(
                "a host",
                agents=(1, 5),
                parameters={"x": Provenance("y")},
                warnings=(CalibrationWarning("capacity", "Trust no capacity."),),
            ),
        ),
    ),
}


@pytest.mark.parametrize("what", SAME)
def test_what_changes_no_result_does_not(what):
    like = OTHER["a range"] if what == "where it comes from" else CELL
    assert key_of(SAME[what]) == key_of(like)


def test_another_meaning_has_other_keys(monkeypatch):
    before = key_of(CELL)
    monkeypatch.setattr("lhsim.simulation.MEANING", lhsim.simulation.MEANING + 1)
    assert key_of(CELL) != before


def test_results_with_other_fields_have_other_keys(monkeypatch):
    before = key_of(CELL)
    monkeypatch.setattr(identity, "layout", lambda: layout() + "another")
    assert key_of(CELL) != before


def test_the_layout_is_that_of_all_classes_in_a_result():
    found = {one.__name__ for one in classes_of(lhsim.Result).values()}
    assert found >= {"Result", "AgentCommunicationMetrics", "Latency", "Counters"}


def test_all_systems_that_come_with_lhsim_have_keys():
    keys = {key_of(Cell(lhsim.load_system(name), 10, 1.0, 1)) for name in lhsim.systems()}
    assert len(keys) == len(lhsim.systems())
