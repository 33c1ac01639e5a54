"""Balancers: nodes with one server each, Poisson arrivals, exponential service times.

The time between arrival and answer, for each rule, against its exact mean where there is one.
"""

import itertools

import numpy as np
import pytest
from attrs import evolve
from harness import check
from scipy.sparse import diags, lil_matrix
from scipy.sparse.linalg import spsolve

from lhsim.distributions import Exponential
from lhsim.models import Cpu, Nodes, Poisson, RequestServer, System, Workload
from lhsim.simulation import simulate
from lhsim.theory import MMc

S = 0.01  # mean service time [s]
AGENTS = 40  # their Poisson streams are one Poisson stream


def balanced(rule, nodes, load, **options):
    """Return nodes of one core each that are busy for `load` of the time."""
    rate = load * nodes / S / AGENTS
    return System(
        name="balanced",
        workload=Workload(traffic=Poisson(rate)),
        cpu=Cpu(query=Exponential(S)),
        nodes=Nodes(nodes, rule, **options),
        requests=RequestServer(),
    )


def response(system, customers=60_000):
    """Return what observes the mean response time of so many customers, in service times."""
    window = customers / system.offered_load(AGENTS)

    def observe(seed):
        times = {"warmup": window / 10, "drain": 0.0, "duration": 1.1 * window}
        return {"response": simulate(system, agents=AGENTS, seed=seed, **times).latency.mean / S}

    return observe


def mm1(load):
    return 1 / (1 - load)


@pytest.mark.parametrize("rule", ["random", "hash"])
def test_a_random_split_makes_queues_of_their_own(rule):
    """A Poisson stream that is split at random, or by its clients, is n Poisson streams."""
    check(response(balanced(rule, 4, 0.7)), {"response": mm1(0.7)}, within=0.02)


def test_clients_that_keep_a_random_node_are_spread_unevenly():
    """Node k has c_k of the clients, and is an M/M/1 queue by itself: sums over the c_k."""
    system, clients = balanced("random", 4, 0.4, affinity=True), AGENTS
    rate, found = system.workload.traffic.rate_per_agent, []
    for seed in range(1, 9):
        result = simulate(system, agents=AGENTS, seed=seed, duration=500.0, warmup=10.0, drain=0.0)
        loads = np.array([result.utilization[f"node {node}"] for node in range(4)])
        of_nodes = np.rint(loads / (rate * S))
        assert of_nodes.sum() == clients
        theory = (of_nodes / clients * mm1(of_nodes * rate * S)).sum()
        found.append(result.latency.mean / S / theory)
    assert np.mean(found) == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("nodes", [2, 4])
def test_by_turns_the_times_between_arrivals_at_a_node_are_those_of_erlang(nodes):
    """E_n/M/1, as of any GI/M/1 queue: S / (1 - sigma) (Kleinrock, Queueing Systems I, 1975, 6.4).

    sigma is the root in (0, 1) of sigma = A*((1 - sigma) / S), A* the transform of the times
    between arrivals, here of sums of n exponential ones.
    """
    load, sigma = 0.7, 0.0
    for _ in range(1000):
        sigma = (nodes * load / (nodes * load + 1 - sigma)) ** nodes
    theory = 1 / (1 - sigma)
    assert theory < mm1(load)
    check(response(balanced("round_robin", nodes, load)), {"response": theory}, within=0.02)


def shortest_of_two(load, most=150, apart=40):
    """Return the stationary distribution of two queues, of which an arrival joins the shorter.

    Of the chain of the shorter length, below `most`, and of the difference, below `apart`: the
    rates at which a state is left for one beyond are 0. Times in service times.
    """
    number = np.arange(most * apart).reshape(most, apart)
    rates = lil_matrix((most * apart, most * apart))
    for short, more in itertools.product(range(most), range(apart)):
        arrives = (short, 1) if more == 0 else (short + 1, more - 1)
        served = [(short, more - 1), (short - 1, more + 1)] if more else 2 * [(short - 1, 1)]
        for (to_short, to_more), rate in zip([arrives, *served], [2 * load, 1.0, 1.0], strict=True):
            if 0 <= to_short < most and to_more < apart:
                rates[number[to_short, to_more], number[short, more]] += rate
    rates -= diags(np.asarray(rates.sum(axis=0)).ravel())
    rates = rates.tolil()
    rates[0] = 1.0  # in place of one balance equation: probabilities add up to 1
    right = np.zeros(most * apart)
    right[0] = 1.0
    return spsolve(rates.tocsc(), right).reshape(most, apart)


def mean_of_two(load):
    """Return the mean response time of these queues, by Little's law, in service times."""
    p = shortest_of_two(load)
    short, more = np.indices(p.shape)
    return float((p * (2 * short + more)).sum()) / (2 * load)


@pytest.mark.parametrize("load", [0.5, 0.9])
def test_the_chain_of_two_queues_has_the_tail_of_the_literature(load):
    """The shorter one is longer by one with probability load**2 (Kingman, "Two similar queues in
    parallel", Ann. Math. Statist. 32, 1961). And it is better than two queues, and worse than one
    line for both.
    """
    of_the_shorter = shortest_of_two(load).sum(axis=1)
    assert of_the_shorter[21] / of_the_shorter[20] == pytest.approx(load**2, rel=1e-6)
    assert MMc(2 * load, 1.0, 2).mean_response_time < mean_of_two(load) < mm1(load)


@pytest.mark.parametrize("load", [0.5, 0.8])
def test_the_node_with_the_fewest_is_the_shorter_queue(load):
    theory = {"response": mean_of_two(load)}
    check(response(balanced("least_connections", 2, load)), theory, within=0.03)


def test_two_choices_of_two_nodes_are_the_shorter_queue():
    check(response(balanced("two_choices", 2, 0.8)), {"response": mean_of_two(0.8)}, within=0.03)


def of_two_choices(load):
    """Return the mean response time of infinitely many queues, in service times.

    (Mitzenmacher, "The power of two choices in randomized load balancing", IEEE TPDS 12(10), 2001;
    Vvedenskaya, Dobrushin and Karpelevich, Problems of Information Transmission 32, 1996.)
    """
    return sum(load ** (2**i - 2) for i in range(1, 12))


def test_the_limit_of_two_choices_is_as_published():
    """In table 1 of Mitzenmacher (2001)."""
    assert of_two_choices(0.9) == pytest.approx(2.6141, abs=5e-5)


@pytest.mark.parametrize(("nodes", "within"), [(25, 0.07), (100, 0.03)])
def test_two_choices_come_close_to_the_limit_of_many_nodes(nodes, within):
    """With n nodes the mean is longer by O(1/n): by 1.2 % with 100 and a load of 0.9 there."""
    system = balanced("two_choices", nodes, 0.9)
    found = np.mean([response(system, 400_000)(seed)["response"] for seed in range(1, 5)])
    assert found == pytest.approx(of_two_choices(0.9), rel=within)
    assert found > of_two_choices(0.9) * 0.99


def test_rules_that_look_are_better_than_turns_and_these_than_chance():
    rules = ("least_connections", "two_choices", "round_robin", "random")
    means = [response(balanced(rule, 8, 0.9))(1)["response"] for rule in rules]
    assert means == sorted(means)
    assert means[0] < means[3] / 3


def test_a_node_of_one_core_with_workers_has_a_queue_of_its_own():
    """The difference between n queues, and one queue for n cores."""
    several = balanced("random", 4, 0.7)
    together = evolve(several, nodes=None, cpu=evolve(several.cpu, cores=4))
    check(response(together), {"response": MMc(4 * 0.7, 1.0, 4).mean_response_time}, within=0.02)
