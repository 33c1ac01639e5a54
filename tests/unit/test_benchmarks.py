"""The C program of the benchmarks simulates what lhsim does, to the last bit."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest
from attrs import evolve

import lhsim
from lhsim.compiled.setup import has_options
from lhsim.distributions import Exponential

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> dict[str, ModuleType]:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return {name: importlib.import_module(name) for name in ("plain_c", "systems")}


@pytest.mark.parametrize("engine", ["simpy", "compiled"])
@pytest.mark.parametrize("query", [50e-6, 12e-3], ids=["idle database", "saturated database"])
def test_c_program_equals_lhsim(programs: dict[str, ModuleType], engine: str, query: float) -> None:
    plain_c = programs["plain_c"]
    if plain_c.build() is None:
        pytest.skip("gcc is not installed")
    system = programs["systems"].yardsticks()
    system = evolve(system, store=evolve(system.store, query=Exponential(query)))
    system = evolve(system, polling=evolve(system.polling, timeout=5.0))
    result = lhsim.simulate(
        system, agents=100, duration=20.0, seed=7, warmup=0.0, drain=0.0, engine=engine
    )
    assert result.metrics.timeout_events > 0
    assert plain_c.differences(plain_c.run(system, 100, 20.0, seed=7), result) == []


@pytest.mark.parametrize("name", ["polling", "push"])
def test_an_option_that_never_acts_takes_the_other_kernel_and_changes_nothing(
    programs: dict[str, ModuleType], name: str
) -> None:
    systems = programs["systems"]
    plain, forced = (systems.SYSTEMS[key](40) for key in (name, f"{name}_options"))
    assert not has_options(plain)
    assert has_options(forced)
    results = [
        lhsim.simulate(system, agents=40, duration=5.0, engine="compiled")
        for system in (plain, forced)
    ]
    assert results[0].model_events > 0
    assert results[0].counters == results[1].counters
    assert results[0].latency.mean == results[1].latency.mean
    assert results[0].utilization == results[1].utilization
