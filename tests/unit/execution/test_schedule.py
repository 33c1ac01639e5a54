"""The longest cells begin first, but where the compiler is still busy."""

from __future__ import annotations

import pytest

import lhsim
from lhsim.execution import Cell, Runner, runner, workers
from lhsim.execution.cells import run as run_cell
from lhsim.execution.schedule import Schedule

POLLING, PUSH = lhsim.load_system("polling"), lhsim.load_system("push")


def order(schedule):
    found = []
    while schedule:
        assert sorted([*found, *schedule.rest()]) == list(range(len(found) + len(schedule.rest())))
        assert schedule.first() == schedule.first()
        found.append(schedule.take())
    return found


@pytest.fixture
def compiling(monkeypatch):
    """The kernels that are not there yet."""
    kinds = set()
    monkeypatch.setattr(
        "lhsim.execution.schedule.compiled.seconds_left", lambda kind: 60.0 * (kind in kinds)
    )
    return kinds


@pytest.mark.usefixtures("compiling")
def test_the_longest_come_first_and_equals_in_turn():
    cells = [Cell(PUSH, agents, 10.0, seed) for agents in (10, 1000, 100) for seed in (1, 2)]
    assert order(Schedule(cells)) == [2, 3, 4, 5, 0, 1]


def test_what_waits_for_the_compiler_comes_last_and_the_shortest_of_it_first(compiling):
    compiling.add(("polling", False))
    cells = [Cell(POLLING, 1000, 10.0, 1), Cell(PUSH, 10, 10.0, 1), Cell(POLLING, 10, 10.0, 1),
             Cell(PUSH, 100, 10.0, 1), Cell(POLLING, 20, 10.0, 1, "simpy")]  # fmt: skip
    schedule = Schedule(cells)
    # A cell that asks for SimPy waits for nothing.
    assert [schedule.take() for _ in range(4)] == [3, 4, 1, 2]
    compiling.clear()
    assert order(schedule) == [0]


def test_a_kernel_that_comes_is_used_for_the_longest(compiling):
    compiling.add(("push", False))
    cells = [Cell(PUSH, agents, 10.0, 1) for agents in (10, 20, 30, 40)]
    schedule = Schedule(cells)
    assert schedule.take() == 0
    compiling.clear()
    assert [schedule.take() for _ in range(3)] == [3, 2, 1]


def test_what_has_to_wait_for_the_compiler_anyway_does_not_disturb_it(compiling):
    compiling.add(("push", False))
    cells = [Cell(PUSH, agents, 10.0, 1) for agents in (10, 1_000_000, 100)]
    assert order(Schedule(cells)) == [1, 0, 2]


def test_other_machines_get_the_longest_first_whatever_is_compiled_here(compiling):
    compiling.add(("push", False))
    cells = [Cell(PUSH, agents, 10.0, 1) for agents in (10, 30, 20)]
    assert order(Schedule(cells, elsewhere=True)) == [1, 2, 0]


def test_workers_begin_with_the_longest(monkeypatch):
    begun = []

    def run(cell):
        begun.append(cell.agents)
        return run_cell(cell)

    monkeypatch.setattr(runner, "run", run)
    cells = [Cell(PUSH, agents, 2.0, 1) for agents in (5, 100, 2000)]
    with workers(2, "threads") as executor:
        outcomes, _ = Runner(executor).run(cells)
    assert set(begun[:2]) == {2000, 100}
    assert [outcome.agents for outcome in outcomes.values()] == [5, 100, 2000]
