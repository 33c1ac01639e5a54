"""The loop of a server: warmth at its two ends, stalls and collections on the average."""

import numpy as np
import pytest
from harness import check, latencies, open_queue

from lhsim.distributions import Deterministic, Exponential, Gamma
from lhsim.models import (
    Closed,
    Collection,
    Cpu,
    PushServer,
    Slowdowns,
    Stalls,
    System,
    Warmth,
    Workload,
)
from lhsim.simulation import simulate

BASE = 1e-3
WARMTH = Warmth(gaps=(0.0, 0.01, 0.1), excess=(0.0, 0.5, 2.0), memory=1.5e-3)


def closed(cpu, pause=0.0):
    """Return a system whose agents send without end, each a pause after its last message."""
    traffic = Closed(None, pause=Deterministic(pause))
    workload = Workload(traffic=traffic, start="together")
    return System(name="closed", push=PushServer(), workload=workload, cpu=cpu)


def run(system, seed=1, agents=10, duration=5.0):
    return simulate(system, agents=agents, seed=seed, duration=duration, warmup=1.0, drain=0.0)


@pytest.mark.parametrize("agents", [1, 10])
def test_a_loop_that_never_rests_costs_its_base(agents):
    result = run(closed(Cpu(send=Deterministic(BASE), warmth=WARMTH)), agents=agents)
    assert result.utilization["cpu"] == pytest.approx(1.0)
    assert result.metrics.messages_per_second == pytest.approx(1 / BASE, rel=1e-3)
    # The last warmth: x is worth a factor 1 + BASE / memory less with each operation.
    assert result.latency.mean == pytest.approx(agents * BASE, rel=1e-3)


@pytest.mark.parametrize(("agents", "of_a_turn"), [(1, 1), (2, 1), (10, 9), (50, 49)])
def test_a_turn_is_paid_once_by_all_that_wait_as_it_begins(agents, of_a_turn):
    """Who is done sends again when the next turn has begun: all the others are in it."""
    turn = 3 * BASE
    result = run(closed(Cpu(send=Deterministic(BASE), turn=turn)), agents=agents, duration=21.0)
    each = BASE + turn / of_a_turn
    assert result.utilization["cpu"] == pytest.approx(1.0)
    assert result.metrics.messages_per_second == pytest.approx(1 / each, rel=0.01)


@pytest.mark.parametrize(("pause", "excess"), [(0.01, 0.5), (0.055, 1.25), (0.1, 2.0), (0.5, 2.0)])
def test_a_single_agent_pays_for_the_rest_before(pause, excess):
    """After a pause p longer than the memory, x is f(p): cost = base (1 + f(p))."""
    result = run(closed(Cpu(send=Deterministic(BASE), warmth=WARMTH), pause), agents=1)
    assert result.latency.min == pytest.approx(BASE * (1 + excess))
    assert result.latency.max == pytest.approx(BASE * (1 + excess))


def test_a_saturated_loop_works_while_its_host_is_not_stalled():
    """Renewal reward: the part of the time without a stall, whatever its distributions."""
    stalls = Stalls(gap=Gamma(0.1, 2.0), length=Exponential(0.025))
    system = closed(Cpu(send=Deterministic(20 * BASE), stalls=stalls))

    def observe(seed):
        result = run(system, seed, duration=61.0)
        return {
            "throughput": result.metrics.messages_per_second,
            "working": result.metrics.cpu_utilization_percent / 100,
            "taken": result.utilization["cpu"],
        }

    theory = {"throughput": 0.8 / (20 * BASE), "working": 0.8, "taken": 1.0}
    check(observe, theory, within=0.02, replications=16)


def test_a_saturated_loop_is_slower_by_the_mean_over_its_operations():
    """Renewal reward: of the operations, too short to notice a border, each counts one."""
    slowdowns = Slowdowns(gap=Gamma(0.15, 2.0), length=Exponential(0.1), factor=2.5)
    system = closed(Cpu(send=Deterministic(BASE / 4), slowdowns=slowdowns))

    def observe(seed):
        result = run(system, seed, duration=61.0)
        return {
            "throughput": result.metrics.messages_per_second,
            "working": result.metrics.cpu_utilization_percent / 100,
        }

    # 3/5 of the time at full speed, 2/5 at 1 / 2.5 of it.
    theory = {"throughput": (0.6 + 0.4 / 2.5) / (BASE / 4), "working": 1.0}
    check(observe, theory, within=0.02, replications=16)


def test_messages_that_cost_next_to_nothing_wait_for_the_rest_of_a_stall():
    """Poisson messages see time averages: P(stalled) E[L^2] / (2 E[L])."""
    length = Gamma(0.25, 2.0)  # scv 1/2
    stalls = Stalls(gap=Exponential(0.75), length=length)
    system = open_queue(3.0, cpu=Cpu(send=Deterministic(1e-9), stalls=stalls))

    def observe(seed):
        latency = latencies(system, seed, 1_200)
        return {"latency": latency.mean(), "P(stalled)": np.mean(latency > 1e-6)}

    residual = 0.25 * (1 + 1 / 2) / 2
    check(observe, {"latency": 0.25 * residual, "P(stalled)": 0.25}, within=0.08)


def test_collections_cost_their_mean_share_of_each_operation():
    """A saturated loop: cost = base + E[collection] / every."""
    collection = Collection(every=10, cost=Exponential(5 * BASE))
    system = closed(Cpu(send=Deterministic(BASE), collection=collection))

    def observe(seed):
        return {"throughput": run(system, seed, duration=2.0).metrics.messages_per_second}

    check(observe, {"throughput": 1 / (BASE + 5 * BASE / 10)}, within=0.04)
