"""The C program of the benchmarks simulates what lhsim does, to the last bit."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest
from attrs import evolve

import lhsim
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
