"""Nodes that are the same as something else, to the bit; in either engine."""

import attrs
import pytest
from comparison import CANDIDATE, REFERENCE, Case, differences
from generators import AREAS, TICK
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lhsim.distributions import Exponential
from lhsim.models import (
    Cpu,
    EventStore,
    Network,
    NodeFailure,
    Nodes,
    Poisson,
    PollingServer,
    PushServer,
    Requests,
    RequestServer,
    System,
    Workload,
)
from lhsim.models.nodes import RULES

ENGINES = pytest.mark.parametrize("engine", [REFERENCE, CANDIDATE])
SHORT = Exponential(TICK / 4)
CPU = Cpu(parse_message=SHORT, parse_request=SHORT, query=SHORT, send=SHORT, relay=SHORT)
PARTS = {"network": Network(SHORT, SHORT), "store": EventStore(SHORT, SHORT)}
WORKLOAD = Workload(traffic=Poisson(8.0), start="together")


@ENGINES
@settings(max_examples=25, suppress_health_check=list(HealthCheck), deadline=None)
@given(case=st.one_of(*AREAS.values()), rule=st.sampled_from(RULES))
def test_one_node_is_none(engine, case, rule):
    faults = tuple(one for one in case.system.faults if not isinstance(one, NodeFailure))
    system = attrs.evolve(case.system, nodes=None, faults=faults)
    none = attrs.evolve(case, system=system)
    one = attrs.evolve(case, system=attrs.evolve(system, nodes=Nodes(1, rule)))
    assert differences(none.run(engine), one.run(engine)) == []


@ENGINES
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    "server",
    [
        {"polling": PollingServer(interval=TICK)},
        {"push": PushServer()},  # all are connected before the first message comes
        {"requests": RequestServer()},
    ],
    ids=lambda server: next(iter(server)),
)
def test_nodes_by_hash_are_loops_by_other_numbers(engine, server, workers):
    """Node a has loop b, and with it the clients of loop a + 3 b of as many workers."""
    many, nodes = attrs.evolve(CPU, workers=3 * workers), attrs.evolve(CPU, workers=workers)
    workload = WORKLOAD
    if "requests" in server:
        workload = attrs.evolve(WORKLOAD, traffic=Requests(think=SHORT, in_flight=2))
    times = {"agents": 10, "duration": 4.0, "warmup": 1.0, "drain": 0.5}
    a, b = (
        Case(System(name="x", workload=workload, **PARTS, **server, **parts), **times).run(engine)
        for parts in ({"cpu": many}, {"cpu": nodes, "nodes": Nodes(3)})
    )
    assert differences(a, attrs.evolve(b, utilization=a.utilization)) == []
    assert a.utilization["cpu"] == b.utilization["cpu"]


@ENGINES
@pytest.mark.parametrize("rule", RULES)
def test_a_client_alone_on_its_node_finds_it_the_same_by_any_rule_that_it_keeps(engine, rule):
    """With affinity a single client has one node, whichever that is."""
    system = System(
        name="x",
        workload=Workload(traffic=Requests(think=SHORT)),
        cpu=CPU,
        requests=RequestServer(),
        **PARTS,
    )
    nodes = Nodes(3, rule, affinity=rule != "hash")
    times = {"agents": 1, "duration": 4.0, "warmup": 1.0, "drain": 0.5}
    alone = Case(system, **times).run(engine)
    kept = Case(attrs.evolve(system, nodes=nodes), **times).run(engine)
    same = {"utilization": alone.utilization, "metrics": alone.metrics}  # parts of all nodes
    assert differences(alone, attrs.evolve(kept, **same)) == []
    assert max(kept.utilization.values()) == alone.utilization["cpu"]
