"""The C programs of the benchmarks simulate what lhsim does, to the last bit."""

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


def with_compiler(programs: dict[str, ModuleType]) -> ModuleType:
    if not programs["plain_c"].has_compiler():
        pytest.skip("gcc is not installed")
    return programs["plain_c"]


@pytest.mark.parametrize("engine", ["simpy", "compiled"])
@pytest.mark.parametrize("query", [50e-6, 12e-3], ids=["idle database", "saturated database"])
def test_polling_in_c_equals_lhsim(
    programs: dict[str, ModuleType], engine: str, query: float
) -> None:
    plain_c = with_compiler(programs)
    system = programs["systems"].yardsticks()
    system = evolve(system, store=evolve(system.store, query=Exponential(query)))
    system = evolve(system, polling=evolve(system.polling, timeout=5.0))
    result = lhsim.simulate(
        system, agents=100, duration=20.0, seed=7, warmup=0.0, drain=0.0, engine=engine
    )
    assert result.metrics.timeout_events > 0
    assert plain_c.differences(plain_c.run(system, 100, 20.0, seed=7), result) == []


UNCALIBRATED = ["calibration=none"]  # which has samples of the warmth
BUSY = ["workload.traffic.rate=1/s"]
PUSH = {
    "as it comes": (50, 7, []),
    "sends to itself": (1, 1, ["workload.traffic.rate=5/s"]),
    "messages wait for connections": (300, 8, [*BUSY, "workload.start_over=3s"]),
    "all start at once": (1000, 9, [*BUSY, "workload.start_over=0"]),
    "several servers": (300, 10, ["cpu.workers=3", "store.connections=2", "store.write=10ms"]),
    "neither warmth nor stalls": (
        200,
        2**63 - 1,
        [*UNCALIBRATED, "cpu.warmth=none", "cpu.stalls=none"],
    ),
    "collections": (200, 4, ["cpu.collection.every=50", "cpu.collection.cost=2ms"]),
    "free steps": (500, 3, ["cpu.connect=0", "cpu.write=0", "store.write=0", "cpu.validate=0"]),
}


@pytest.mark.parametrize("engine", ["simpy", "compiled"])
@pytest.mark.parametrize(("agents", "seed", "settings"), PUSH.values(), ids=PUSH)
def test_push_in_c_equals_lhsim(
    programs: dict[str, ModuleType], engine: str, agents: int, seed: int, settings: list[str]
) -> None:
    plain_c = with_compiler(programs)
    system = lhsim.load_system("push", settings=settings)
    result = lhsim.simulate(
        system, agents=agents, duration=6.0, seed=seed, warmup=0.0, drain=0.0, engine=engine
    )
    assert result.outcomes["delivered"] > 20
    assert not result.overloaded  # lhsim then has no means
    assert plain_c.differences(plain_c.run(system, agents, 6.0, seed=seed), result) == []


@pytest.mark.parametrize(
    ("setting", "different"),
    [
        ("workload.traffic.rate=0.1001/s", "created"),
        ("cpu.warmth.memory=1.5001ms", "work"),
        ("cpu.stalls.gap=83.4ms", "busiest_loop"),
        ("store.write=1ns", "busy"),
        ("network.down=58.87us", "from_store"),
        ("cpu.connect=1ms", "work"),
    ],
)
def test_push_in_c_differs_where_one_parameter_does(
    programs: dict[str, ModuleType], setting: str, different: str
) -> None:
    plain_c = with_compiler(programs)
    other = lhsim.load_system("push", settings=[setting])
    result = lhsim.simulate(
        "push", agents=1000, duration=5.0, seed=7, warmup=0.0, drain=0.0, engine="compiled"
    )
    assert different in plain_c.differences(plain_c.run(other, 1000, 5.0, seed=7), result)


@pytest.mark.parametrize(
    "setting", ["workload.topology=pair", "push.outbound=3", "cpu.relay=0.1ms"]
)
def test_push_in_c_refuses_what_it_does_not_know(
    programs: dict[str, ModuleType], setting: str
) -> None:
    system = lhsim.load_system("push", settings=[setting])
    with pytest.raises(ValueError, match="does not know"):
        with_compiler(programs).run(system, 10, 1.0)


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
