"""Nodes behind a balancer: who comes where, by hand and by laws."""

import numpy as np
import pytest
from attrs import evolve

from lhsim.distributions import Deterministic, Exponential
from lhsim.errors import InputError
from lhsim.explanation import explain
from lhsim.models import (
    Closed,
    Cpu,
    Elicitation,
    EventStore,
    Network,
    NodeFailure,
    Nodes,
    Poisson,
    PollingServer,
    PushServer,
    Requests,
    RequestServer,
    Retry,
    Server,
    System,
    Workload,
)
from lhsim.models.nodes import RULES
from lhsim.planning import scaled_out
from lhsim.rules import choose_node, less_loaded_of_two
from lhsim.simulation import simulate

MS = 1e-3
UP = np.ones(3, np.int64)
TEN_MS = Deterministic(10 * MS)
ONE_EACH = Workload(traffic=Closed(1), topology="pair", start="together")


@pytest.fixture(params=["simpy", "compiled"])
def engine(request):
    return request.param


def run(system, engine="simpy", agents=8, duration=1.0, **options):
    options = {"seed": 1, "warmup": 0.0, "drain": 0.0, "keep_messages": True} | options
    return simulate(system, agents=agents, duration=duration, engine=engine, **options)


def busy(result):
    """Return the utilisation of each node."""
    shares = result.utilization.items()
    return [share for name, share in shares if name.startswith("node ")]


# The rules


@pytest.mark.parametrize(
    ("rule", "node"), [("hash", 7 % 3), ("round_robin", 1), ("least_connections", 2)]
)
def test_a_rule_without_a_draw(rule, node):
    loads = np.array([3, 2, 2])
    found = choose_node(RULES.index(rule), 7, 1, loads, UP, 3, 1, 32, 0, 0)
    assert found == (1 if rule == "least_connections" else node)
    if rule == "least_connections":  # of equals the first from the turn on
        assert choose_node(RULES.index(rule), 7, 2, loads, UP, 3, 1, 32, 0, 0) == 2
        assert choose_node(RULES.index(rule), 7, 0, loads, UP, 3, 1, 32, 0, 0) == 1


@pytest.mark.parametrize("nodes", [2, 3, 7])
def test_each_ordered_pair_of_two_choices_has_the_same_share_of_the_draws(nodes):
    """Of equals the first drawn is taken; where all but one are full, that is in 2 of n pairs."""
    pairs = nodes * (nodes - 1)
    middles = (np.arange(pairs) + 0.5) / pairs
    equal = np.zeros(nodes, np.int64)
    first = [less_loaded_of_two(u, equal, equal + 1, nodes) for u in middles]
    assert np.bincount(first).tolist() == [nodes - 1] * nodes
    for free in range(nodes):
        loads = np.full(nodes, 5)
        loads[free] = 0
        chosen = [less_loaded_of_two(u, loads, equal + 1, nodes) for u in middles]
        assert chosen.count(free) == 2 * (nodes - 1)


@pytest.mark.parametrize("u", [0.0, 1 - 2.0**-53])
@pytest.mark.parametrize("nodes", [2, 3, 10, 1000])
def test_any_draw_is_a_node(nodes, u):
    equal = np.zeros(nodes, np.int64)
    assert 0 <= less_loaded_of_two(u, equal, equal + 1, nodes) < nodes


@pytest.mark.parametrize("rule", range(len(RULES)))
@pytest.mark.parametrize("up", [[0, 1, 0, 1, 1], [1, 0, 0, 0, 0], [0, 0, 0, 0, 1], [1, 1, 1, 1, 0]])
def test_no_rule_chooses_a_node_that_is_down(rule, up):
    loads, up, found = np.zeros(5, np.int64), np.array(up), set()
    for number in range(200):
        turn = number % 5
        address = up.sum(), 1, 32, number, 0
        found.add(choose_node(rule, number, turn, loads, up, *address))
    assert found == set(np.flatnonzero(up))


def test_by_hash_only_the_clients_of_a_node_that_fails_move():
    loads, up = np.zeros(3, np.int64), np.array([1, 0, 1])
    found = [choose_node(0, client, 0, loads, up, 2, 1, 32, 0, 0) for client in range(6)]
    assert found == [0, 2, 2, 0, 0, 2]  # those of node 1: to the nodes that are up, by turns


# By hand


@pytest.mark.parametrize(
    ("rule", "stored"), [("hash", [10, 20, 30, 40]), ("round_robin", [10, 10, 20, 20])]
)
def test_four_senders_whose_numbers_are_even(engine, rule, stored):
    """By their numbers they all come to node 0; in turns, with the agents that connect, to both.

    What arrives, in its order: agent 0, its message, agent 1, agent 2, its message, agent 3, ...
    """
    system = System(
        name="even",
        workload=ONE_EACH,
        cpu=Cpu(parse_message=TEN_MS),
        nodes=Nodes(2, rule),
        push=PushServer(),
    )
    times = run(system, engine).records["stored"]
    assert sorted(times) == pytest.approx([one * MS for one in stored])


@pytest.mark.parametrize(("nodes", "latency"), [(1, 1), (2, 9)])
def test_a_message_that_crosses_nodes_takes_the_link_and_then_the_relay(engine, nodes, latency):
    system = System(
        name="crossing",
        workload=ONE_EACH,
        cpu=Cpu(send=Deterministic(1 * MS), relay=Deterministic(3 * MS)),
        nodes=Nodes(nodes, link=Deterministic(5 * MS)),
        push=PushServer(),
    )
    # Agent 1 is connected as the message of agent 0 is stored.
    late = evolve(system, network=Network(up=Deterministic(0.0)), store=EventStore(write=TEN_MS))
    found = run(late, engine, agents=2).records
    assert found["delivered"][0] - found["stored"][0] == pytest.approx(latency * MS)


def test_a_message_whose_target_is_not_connected_crosses_nothing(engine):
    """It waits in the store, and is sent from the node that its target comes to."""
    workload = evolve(ONE_EACH, start="ramp", start_over=1.0)  # agent 1 comes at 0.5 s
    system = System(
        name="waiting",
        workload=workload,
        cpu=Cpu(send=Deterministic(1 * MS), relay=Deterministic(3 * MS)),
        nodes=Nodes(2, link=Deterministic(5 * MS)),
        push=PushServer(),
    )
    found = run(system, engine, agents=2, duration=2.0).records
    assert found["delivered"][0] == pytest.approx(0.501)


@pytest.mark.parametrize(("nodes", "held"), [(1, 1), (2, 2), (3, 3), (8, 4)])
def test_a_limit_of_connections_is_that_of_a_node(engine, nodes, held):
    system = System(
        name="limit", nodes=Nodes(nodes), push=PushServer(connections=1),
        workload=Workload(traffic=Poisson(1.0)),
    )  # fmt: skip
    result = run(system, engine, agents=4, duration=2.0)
    assert result.metrics.connection_count == held
    assert result.utilization["connections"] == pytest.approx(held / nodes, abs=0.3)


@pytest.mark.parametrize(("nodes", "answered"), [(1, [10, 20, 30, 40]), (2, [10, 10, 20, 20])])
def test_workers_are_those_of_a_node(engine, nodes, answered):
    """What they wait for is the store, which serves all at once."""
    system = System(
        name="workers",
        workload=Workload(traffic=Requests(requests=1), start="together"),
        store=EventStore(query=TEN_MS, connections=10),
        nodes=Nodes(nodes, "round_robin"),
        requests=RequestServer(workers=1),
    )
    times = run(system, engine, agents=4).records["delivered"]
    assert sorted(times) == pytest.approx([one * MS for one in answered])


def failing(**parts):
    """Return two nodes by hash, of which node 1 fails from 1 s to 3 s."""
    usual = {
        "nodes": Nodes(2),
        "workload": Workload(traffic=Closed(None, Deterministic(0.5)), start="together"),
        "faults": (NodeFailure(at=1.0, duration=2.0, node=1),),
        "cpu": Cpu(connect=Deterministic(1 * MS)),
    }
    return System(name="failing", **usual | parts)


def test_clients_of_a_node_that_fails_come_to_another(engine):
    """Agent 1 loses its connection at 1 s, and has one on node 0 at 1.101 s, where it stays."""
    again = Deterministic(0.1)
    system = failing(push=PushServer(overflow="wait", reconnect=again))
    found = run(system, engine, agents=2, duration=2.0)
    for_agent_1 = found.records["target"] == 1
    created, delivered = (found.records[name][for_agent_1] for name in ("created", "delivered"))
    assert created == pytest.approx([0.0, 0.501, 1.001, 1.601])
    assert delivered == pytest.approx([0.001, 0.501, 1.101, 1.601])
    assert busy(found) == pytest.approx([2 * MS / 2, 1 * MS / 2])


def test_senders_whose_node_fails_lose_their_answer(engine):
    """The message of agent 1 is parsed by node 1 from 0.9 s to 1.3 s, and sent again at 1.1 s."""
    system = System(
        name="failing",
        nodes=Nodes(2),
        workload=Workload(
            traffic=Closed(1), start="ramp", start_over=1.8, topology="ring",
            retry=Retry(timeout=10.0, backoff=0.1, jitter=0.0),
        ),
        cpu=Cpu(parse_message=Deterministic(0.4)),
        polling=PollingServer(interval=0.01),
        faults=(NodeFailure(at=1.0, duration=5.0, node=1),),
    )  # fmt: skip
    found = run(system, engine, agents=2, duration=5.0)
    assert found.records["acknowledged"] == pytest.approx([0.4, 1.3])
    # The node goes on with what it has: its message is stored before that of the retry.
    assert found.records["stored"] == pytest.approx([0.4, 1.3])
    first, second = busy(found)
    assert first == pytest.approx(2 * second)


def test_requests_come_to_nodes_that_are_up(engine):
    system = failing(
        requests=RequestServer(),
        cpu=Cpu(query=TEN_MS),
        workload=Workload(traffic=Requests(think=Deterministic(0.09)), start="together"),
    )
    found = run(system, engine, agents=2, duration=4.0)
    first, second = busy(found)
    # Both clients meet on node 0 for 2 of 4 s.
    assert second == pytest.approx(0.05, rel=0.05)
    assert first == pytest.approx(0.15, rel=0.05)
    assert found.outcomes["rejected"] == 0


@pytest.mark.parametrize("server", ["push", "polling", "requests"])
def test_where_all_nodes_are_down_nobody_is_let_in(engine, server):
    servers = {
        "push": PushServer(reconnect=Deterministic(0.1)),
        "polling": PollingServer(),
        "requests": RequestServer(),
    }
    down = tuple(NodeFailure(at=1.0, duration=2.0, node=node) for node in range(2))
    traffic = Workload(traffic=Poisson(20.0), start="together")
    system = failing(**{server: servers[server]}, faults=down, workload=traffic)
    found = run(system, engine, agents=2, duration=4.0).records
    inside = (found["created"] >= 1.0) & (found["created"] < 3.0)
    assert inside.any()
    assert (found["outcome"][inside] == "rejected").all()


# Laws


@pytest.mark.parametrize("rule", ["least_connections", "random"])
def test_nobody_waits_where_there_is_a_node_for_each(engine, rule):
    """Who looks for the node with the fewest finds a free one; chance need not."""
    system = System(
        name="free",
        workload=Workload(traffic=Requests(think=Exponential(0.02))),
        cpu=Cpu(query=TEN_MS),
        nodes=Nodes(5, rule),
        requests=RequestServer(),
    )
    longest = run(system, engine, agents=5, duration=5.0).latency.max
    assert (longest < 10.001 * MS) == (rule == "least_connections")


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule != "hash"])
@pytest.mark.parametrize("server", ["polling", "push", "requests"])
def test_a_client_keeps_its_first_node_with_affinity(engine, server, rule):
    servers = {"polling": PollingServer(), "push": PushServer(), "requests": RequestServer()}
    system = System(
        name="sticky",
        workload=Workload(traffic=Poisson(20.0)),
        cpu=Cpu(parse_request=TEN_MS, parse_message=TEN_MS),
        nodes=Nodes(3, rule, affinity=True),
        **{server: servers[server]},
    )
    shares = busy(run(system, engine, agents=1, duration=5.0))
    assert sum(share > 0 for share in shares) == 1
    wandering = evolve(system, nodes=evolve(system.nodes, affinity=False))
    assert all(share > 0 for share in busy(run(wandering, engine, agents=1, duration=5.0)))


@pytest.mark.parametrize("rule", RULES)
def test_each_loop_of_each_node_has_its_clients(engine, rule):
    """Clients of a node are spread over its loops, also where they are every second one."""
    system = System(
        name="loops",
        workload=Workload(traffic=Requests(think=Exponential(0.02))),
        cpu=Cpu(query=TEN_MS, workers=2),
        nodes=Nodes(2, rule),
        requests=RequestServer(),
    )
    shares = busy(run(system, engine, agents=32, duration=2.0))
    assert min(shares) > 0.8  # the mean of both loops of a node


def test_the_imbalance_of_nodes_shows_in_their_utilisation(engine):
    system = System(
        name="uneven",
        workload=Workload(traffic=Requests(think=Exponential(0.02))),
        cpu=Cpu(query=Exponential(10 * MS)),
        nodes=Nodes(2),
        requests=RequestServer(),
    )
    result = run(system, engine, agents=3, duration=20.0)  # two clients here, one there
    first, second = busy(result)
    assert first > 1.3 * second
    assert result.utilization["cpu"] == first
    mean = result.metrics.cpu_utilization_percent / 100
    assert mean == pytest.approx((first + second) / 2, rel=0.01)


def test_an_explanation_knows_the_link():
    system = System(
        name="crossing",
        workload=Workload(traffic=Poisson(5.0)),
        cpu=Cpu(send=Exponential(1 * MS), relay=Exponential(1 * MS)),
        nodes=Nodes(2, link=Deterministic(5 * MS)),
        push=PushServer(),
    )
    found = explain(system, agents=4, duration=10.0)
    assert "link" in {part.name for part in found.parts}


def test_a_system_with_nodes_scales_out_by_nodes():
    system = System(
        name="nodes", cpu=Cpu(workers=2), nodes=Nodes(3), push=PushServer(connections=5)
    )
    twice = scaled_out(system, 2)
    assert twice.nodes.count == 6
    assert (twice.cpu.workers, twice.push.connections) == (2, 5)


# What is refused


class Own(Server):
    def serve(self, bridge):
        raise NotImplementedError


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (lambda: Nodes(0), "count: 0 is out of range"),
        (lambda: Nodes(2, "fastest"), "rule: unknown choice 'fastest'"),
        (lambda: Nodes(2, affinity=True), "affinity: changes nothing"),
        (
            lambda: System(name="x", nodes=Nodes(2, link=TEN_MS), polling=PollingServer()),
            "nodes.link: carries nothing",
        ),
        (
            lambda: System(
                name="x",
                nodes=Nodes(2, link=TEN_MS),
                push=PushServer(elicitation=Elicitation(asks_by="reply")),
            ),
            "nodes.link: carries nothing",
        ),
        (lambda: System(name="x", nodes=Nodes(2), server=Own()), "nodes: stands beside"),
        (
            lambda: System(name="x", faults=(NodeFailure(1.0, 1.0, 0),), requests=RequestServer()),
            "faults: need a node beside",
        ),
        (
            lambda: System(
                name="x",
                nodes=Nodes(2),
                faults=(NodeFailure(1.0, 1.0, 2),),
                requests=RequestServer(),
            ),
            "faults.node: 2 is no node",
        ),
        (
            lambda: System(
                name="x", nodes=Nodes(2), faults=(NodeFailure(1.0, 1.0, 1),), push=PushServer()
            ),
            "push.reconnect: is missing",
        ),
    ],
)
def test_what_would_do_nothing_is_refused(make, line):
    with pytest.raises(InputError) as caught:
        make()
    assert line in str(caught.value)
