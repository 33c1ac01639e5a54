"""Pollers as a closed network: they sleep Z, query and wait; below, at and above the knee."""

import pytest
from harness import check, compare

from lhsim.distributions import Deterministic, Exponential
from lhsim.models import Cpu, EventStore, Poisson, PollingServer, System, Workload
from lhsim.simulation import simulate
from lhsim.theory import ClosedNetwork, MachineRepair, mean_value_analysis

Z, S = 1.0, 0.05  # sleep, query [s]: the knee is at 21 pollers
WARMUP, MEASURED = 15.0, 60.0
BELOW_AT_ABOVE = (8, 21, 45)


def pollers(query, connections=1, query_cpu=None):
    return System(
        name="pollers",
        workload=Workload(traffic=Poisson(1e-9), start="random", start_over=Z),
        polling=PollingServer(interval=Z, timeout=1e9),
        cpu=Cpu(query=query_cpu or Deterministic(0.0)),
        store=EventStore(query=query, connections=connections),
    )


def observe(system, agents):
    def observe(seed):
        result = simulate(
            system, agents=agents, seed=seed, warmup=WARMUP, duration=WARMUP + MEASURED, drain=0.0
        )
        throughput = result.metrics.database_queries_total / MEASURED
        return {
            "throughput": throughput,
            "response": agents / throughput - Z,
            "utilisation of the loop": result.utilization["cpu"],
        }

    return observe


@pytest.mark.parametrize("agents", BELOW_AT_ABOVE)
@pytest.mark.parametrize("connections", [1, 2])
def test_pollers_of_one_store_are_machine_repair(agents, connections):
    """Exact although the sleep is constant: only its mean matters where nothing queues."""
    agents *= connections
    exact = MachineRepair(Z, S, agents, connections)
    system = pollers(Exponential(S), connections)
    check(observe(system, agents), {"throughput": exact.throughput}, within=0.03)


@pytest.mark.parametrize("agents", BELOW_AT_ABOVE[1:])
def test_the_response_of_a_busy_store_is_machine_repair(agents):
    theory = {"response": MachineRepair(Z, S, agents).mean_response_time}
    check(observe(pollers(Exponential(S)), agents), theory, within=0.08)


@pytest.mark.parametrize("agents", BELOW_AT_ABOVE)
def test_pollers_of_a_loop_and_a_store_are_a_product_form_network(agents):
    system = pollers(Exponential(S), query_cpu=Exponential(0.6 * S))
    network = ClosedNetwork(Z, (0.6 * S, S))
    exact = mean_value_analysis(network, agents)
    theory = {"throughput": exact.throughput, "utilisation of the loop": exact.utilisations[0]}
    check(observe(system, agents), theory, within=0.04)


@pytest.mark.parametrize("agents", BELOW_AT_ABOVE)
def test_constant_pollers_reach_the_bounds(agents):
    """Customers with constant times synchronise; what is left is a query of each at either end."""
    bound = ClosedNetwork(Z, (S,)).throughput_bound(agents)
    for seed in range(1, 9):
        throughput = observe(pollers(Deterministic(S)), agents)(seed)["throughput"]
        assert throughput == pytest.approx(bound, abs=agents / MEASURED)
        above_the_knee = agents * S > Z + S
        if above_the_knee:
            assert throughput == pytest.approx(1 / S, abs=1.001 / MEASURED)


@pytest.mark.parametrize("agents", BELOW_AT_ABOVE)
def test_variable_pollers_stay_below_the_bounds(agents):
    """At the knee by far: a bound is no forecast."""
    bound = ClosedNetwork(Z, (S,)).throughput_bound(agents)
    values = [observe(pollers(Exponential(S)), agents)(seed)["throughput"] for seed in range(1, 9)]
    reached = compare("throughput", values, bound, within=0.1)
    assert reached.mean - reached.half_width <= bound
    if agents == 21:
        assert reached.mean + reached.half_width < 0.95 * bound
