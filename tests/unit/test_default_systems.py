"""The systems that come with lhsim: their files, and what they were calibrated on.

The live figures are those of examples/measurements/live_runs.csv. The tolerances are what the
calibration achieves, with room for the noise of short runs; models/README.md has the misfits.
"""

from __future__ import annotations

import tomllib

import pytest
from attrs import evolve

from lhsim import parameters
from lhsim.distributions.base import ZERO
from lhsim.library import load_system, systems
from lhsim.models.store import EventStore
from lhsim.models.system import System
from lhsim.models.workload import Poisson, Workload
from lhsim.simulation import Result, simulate

NAMES = ["polling", "push", "seed-polling", "seed-push"]
CALIBRATED = ["polling", "push"]


def run(system: System, agents: int, rate: float, duration: float) -> Result:
    """Simulate agents that all have come before, each with `rate` messages/s to send."""
    cpu = evolve(system.cpu, connect=ZERO)
    workload = Workload(traffic=Poisson(rate))
    system = evolve(system, workload=workload, cpu=cpu)
    return simulate(system, agents=agents, duration=duration)


def processor_time(result: Result) -> float:
    return result.metrics.cpu_utilization_percent / 100


def relay() -> System:
    """Return the push server as it ran live, which stored nothing."""
    push = load_system("push")
    return evolve(push, cpu=evolve(push.cpu, write=ZERO), store=EventStore())


def test_all_are_there() -> None:
    assert set(NAMES) <= set(systems())


@pytest.mark.parametrize("name", NAMES)
class TestEachFile:
    def test_names_its_system(self, name: str) -> None:
        assert load_system(name).name == name

    def test_survives_a_round_trip(self, name: str) -> None:
        system = load_system(name)
        text = parameters.dumps(system)
        assert parameters.structure(tomllib.loads(text), System, source=name) == system

    def test_simulates_and_loses_nothing(self, name: str) -> None:
        result = simulate(name, agents=10, duration=20)
        assert result.metrics.successful_deliveries > 0
        assert result.metrics.failed_deliveries == 0

    def test_says_where_its_figures_come_from(self, name: str) -> None:
        calibration = load_system(name).calibration
        assert calibration is not None
        assert calibration.source
        assert all(entry.source for entry in calibration.parameters.values())


@pytest.mark.parametrize("name", CALIBRATED)
class TestEachCalibratedFile:
    def test_has_a_provenance_for_each_cost(self, name: str) -> None:
        system = load_system(name)
        assert system.calibration is not None
        costs = tomllib.loads(parameters.dumps(system))["cpu"]
        described = {key.removeprefix("cpu.") for key in system.calibration.parameters}
        assert costs.keys() <= described

    def test_marks_a_level_beyond_its_range(self, name: str) -> None:
        calibration = load_system(name).calibration
        assert calibration is not None
        assert calibration.beyond(100, 100.0) == ()
        assert calibration.beyond(20_000, 2e4)


class TestPolling:
    @pytest.mark.parametrize(
        ("agents", "duration", "live"), [(10, 120, 0.0235), (50, 40, 0.0839), (200, 15, 0.242)]
    )
    def test_processor_time_is_within_15_percent_of_live_runs(
        self, agents: int, duration: float, live: float
    ) -> None:
        result = run(load_system("polling"), agents, 1.0, duration)
        assert processor_time(result) == pytest.approx(live, rel=0.15)

    def test_polls_as_often_as_the_live_server(self) -> None:
        metrics = run(load_system("polling"), 200, 1.0, 15).metrics
        length = 15 - 1.0 - 1.5  # less the start and the warm-up
        assert metrics.polling_cycles_total / length == pytest.approx(326, rel=0.05)
        assert metrics.wasted_poll_cycles / length == pytest.approx(199.7, rel=0.05)

    def test_saturates_between_1000_and_1100_agents_to_within_a_tenth(self) -> None:
        system = load_system("polling")
        assert run(system, 900, 1.0, 6).utilization["cpu"] < 0.95
        assert run(system, 1200, 1.0, 5).utilization["cpu"] > 0.99


class TestPush:
    @pytest.mark.parametrize(
        ("agents", "rate", "duration", "live"),
        [(50, 2.0, 40, 0.104), (500, 1.0, 12, 0.308), (500, 2.0, 8, 0.506), (5000, 0.1, 10, 0.281)],
    )
    def test_processor_time_without_a_store_is_within_15_percent_of_live_runs(
        self, agents: int, rate: float, duration: float, live: float
    ) -> None:
        assert processor_time(run(relay(), agents, rate, duration)) == pytest.approx(live, rel=0.15)

    def test_saturates_without_a_store_between_2500_and_3000_messages_per_second(self) -> None:
        assert run(relay(), 1150, 2.0, 4).utilization["cpu"] < 0.97
        assert run(relay(), 1500, 2.0, 3).utilization["cpu"] > 0.98

    def test_median_latency_is_that_of_live_runs(self) -> None:
        assert 0.55 < run(relay(), 500, 2.0, 8).metrics.p50_latency_ms < 0.95  # live: 0.77

    def test_stores_each_message(self) -> None:
        metrics = simulate("push", agents=10, duration=20).metrics
        assert metrics.message_send_latency_ms > 0


class TestSeedPolling:
    def test_is_not_saturated_by_45_agents(self) -> None:
        assert simulate("seed-polling", agents=45, duration=60).utilization["store"] < 0.96

    def test_is_saturated_by_55_agents(self) -> None:
        result = simulate("seed-polling", agents=55, duration=60)
        assert result.utilization["store"] == pytest.approx(1.0, abs=1e-6)
        assert result.bottleneck == "store"

    def test_its_limit_is_50_agents(self) -> None:
        system = load_system("seed-polling")
        assert system.polling is not None
        cost = system.store.query.mean
        assert (system.polling.interval + cost) / cost == pytest.approx(50)


class TestSeedPush:
    def test_has_the_latencies_of_the_seed_on_an_idle_server(self) -> None:
        result = simulate("seed-push", agents=100, duration=60)
        assert result.latency.min * 1e3 == pytest.approx(10, rel=0.02)
        assert result.latency.mean * 1e3 == pytest.approx(50, rel=0.03)
        assert result.metrics.p99_latency_ms == pytest.approx(150, rel=0.03)
        assert result.metrics.max_latency_ms == pytest.approx(200, rel=0.02)

    def test_reaches_1000_messages_per_second_and_hardly_more(self) -> None:
        reached = simulate("seed-push", agents=1000, duration=12)
        assert reached.metrics.messages_per_second == pytest.approx(1000, rel=0.02)
        assert not reached.overloaded
        assert simulate("seed-push", agents=1200, duration=8).overloaded
