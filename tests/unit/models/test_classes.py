"""Classes of agents, and what the sizes of messages add: worked by hand, and laws."""

import json
import re

import numpy as np
import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

import lhsim
from lhsim import parameters
from lhsim.distributions import Deterministic, Exponential, Uniform
from lhsim.errors import InputError
from lhsim.models import (
    AgentClass,
    Closed,
    Cpu,
    EventStore,
    Network,
    PerByte,
    Periodic,
    PollingServer,
    PushServer,
    Requests,
    RequestServer,
    System,
    Workload,
)
from lhsim.models.average import in_the_mean
from lhsim.models.classes import Population
from lhsim.models.workload import check_count
from lhsim.planning.bounds import lower_bound
from lhsim.report.levels import class_table, legend
from lhsim.simulation import simulate

KB = 1e3


def push(workload, **parts):
    return System(name="push", push=PushServer(), workload=workload, **parts)


def run(system, agents=10, duration=50.0, **options):
    options = {"seed": 1, "warmup": 0.0, "drain": 0.0, "keep_messages": True} | options
    return simulate(system, agents=agents, duration=duration, **options)


def latencies(result):
    return result.records["delivered"] - result.records["created"]


def two_classes(**of_second):
    return (AgentClass(0.3, "first"), AgentClass(0.7, "second", **of_second))


@pytest.mark.parametrize(
    ("shares", "agents", "sizes"),
    [
        ((0.3, 0.7), 10, [3, 7]),
        ((0.5, 0.5), 5, [3, 2]),
        ((0.2, 0.0, 0.8), 4, [1, 0, 3]),
        ((1 / 3, 1 / 3, 1 / 3), 100, [33, 34, 33]),
        ((1.0,), 7, [7]),
    ],
)
def test_each_class_has_its_share_of_the_agents_in_a_row(shares, agents, sizes):
    classes = [AgentClass(share, f"{number}") for number, share in enumerate(shares)]
    population = Population(classes, agents)
    assert [end - first for first, end in population.ranges] == sizes
    members = [population.class_of(agent) for agent in range(agents)]
    assert members == sorted(members)
    assert [members.count(number) for number in range(len(shares))] == sizes


def test_a_message_pays_for_each_of_its_bytes():
    """1 kB at 1 MB/s is 1 ms each way, and at 2, 3, 4, 5 us a byte 2 + 3 + 4 + 5 ms of work."""
    per_byte = PerByte(parse_message=2e-6, validate=3e-6, send=4e-6)
    system = push(
        Workload(traffic=Periodic(0.1), payload=Deterministic(KB)),
        cpu=Cpu(parse_message=Deterministic(1e-3), per_byte=per_byte),
        store=EventStore(write_per_byte=5e-6),
        network=Network(Deterministic(1e-3), Deterministic(1e-3), bandwidth=1e6),
    )
    expected = (1e-3 + 1e-3) + (1e-3 + 2e-3) + 3e-3 + 5e-3 + 4e-3 + (1e-3 + 1e-3)
    assert latencies(run(system, agents=1)) == pytest.approx(expected)


def test_an_answer_to_a_poll_has_the_bytes_of_all_its_messages():
    """One answer brings three messages of 1 kB, at 2 us a byte and 1 MB/s: 6 + 3 ms."""
    system = System(
        name="polling",
        polling=PollingServer(interval=10.0),
        workload=Workload(
            "hub", Closed(1), start="together", payload=Deterministic(KB), start_over=0.0
        ),
        cpu=Cpu(per_byte=PerByte(respond=2e-6)),
        network=Network(bandwidth=1e6),
    )
    found = run(system, agents=4, duration=30.0).records
    assert found["stored"] == pytest.approx(1e-3)
    assert found["delivered"] == pytest.approx(10.0 + 9e-3)


def test_a_request_pays_for_its_bytes_and_its_answer_for_its_own():
    system = System(
        name="requests",
        requests=RequestServer(answer_payload=Deterministic(10 * KB)),
        workload=Workload(traffic=Requests(think=Deterministic(1.0)), payload=Deterministic(KB)),
        cpu=Cpu(per_byte=PerByte(parse_request=1e-6, query=2e-6, respond=1e-7)),
        store=EventStore(query_per_byte=3e-6),
        network=Network(bandwidth=1e6),
    )
    expected = 1e-3 + (1e-3 + 2e-3) + 3e-3 + 1e-3 + 10e-3
    assert latencies(run(system, agents=1)) == pytest.approx(expected)


def test_classes_send_at_their_own_rates_to_their_own_targets():
    classes = (
        AgentClass(0.2, "loud", rate=5.0, target="quiet"),
        AgentClass(0.3, "silent", rate=0.0),
        AgentClass(0.5, "quiet"),
    )
    system = push(Workload("random", Periodic(0.5), classes=classes))
    result = run(system, agents=10, duration=100.0)
    senders = result.records["sender"]
    assert set(senders) == {0, 1, 5, 6, 7, 8, 9}
    assert np.count_nonzero(senders < 2) == pytest.approx(2 * 5.0 * 100, rel=0.02)
    assert np.count_nonzero(senders >= 5) == pytest.approx(5 * 0.5 * 100, rel=0.02)
    assert set(result.records["target"][senders < 2]) == {5, 6, 7, 8, 9}
    assert set(result.records["target"][senders >= 5]) == set(range(10))
    assert system.offered_load(10) == pytest.approx(12.5)


def test_figures_of_classes_are_those_of_their_messages():
    far = Network(Deterministic(0.1), Deterministic(0.1))
    result = run(push(Workload(classes=two_classes(network=far))), duration=200.0)
    sent = latencies(result)
    of_first = result.records["sender"] < 3
    for name, agents, mine in (("first", 3, of_first), ("second", 7, ~of_first)):
        found = result.classes[name]
        assert found.agents == agents
        assert found.created == np.count_nonzero(mine)
        assert found.latency.mean == pytest.approx(np.nanmean(sent[mine]))
    assert sum(one.delivered for one in result.classes.values()) == result.outcomes["delivered"]


def test_one_class_of_all_agents_changes_nothing():
    usual = Workload("random", Periodic(0.5), think=Uniform(0.0, 0.1), payload=Exponential(KB))
    one = evolve(usual, classes=(AgentClass(1.0, "all"),))
    parts = {"network": Network(bandwidth=1e5), "cpu": Cpu(per_byte=PerByte(send=1e-6))}
    a, b = run(push(usual, **parts)), run(push(one, **parts))
    for name in a.records:
        assert np.array_equal(a.records[name], b.records[name], equal_nan=name != "outcome")
    assert b.classes == {}


def test_classes_that_say_nothing_change_nothing_but_the_figures_by_class():
    a, b = run(push(Workload())), run(push(Workload(classes=two_classes())))
    assert np.array_equal(a.records["delivered"], b.records["delivered"], equal_nan=True)
    assert set(b.classes) == {"first", "second"}


def test_messages_without_bytes_cost_what_they_did():
    parts = {"cpu": Cpu(parse_message=Exponential(1e-3), send=Exponential(1e-3))}
    costly = {"cpu": evolve(parts["cpu"], per_byte=PerByte(send=1e-6, parse_message=1e-6))}
    a, b = run(push(Workload(), **parts)), run(push(Workload(), **costly))
    assert np.array_equal(a.records["delivered"], b.records["delivered"], equal_nan=True)


def test_closed_forms_take_classes_and_sizes_in_the_mean():
    classes = (
        AgentClass(0.25, "loud", rate=3.0, payload=Deterministic(8 * KB)),
        AgentClass(0.75, "others", rate=1.0),
    )
    workload = Workload(traffic=Periodic(1.0), payload=Exponential(2 * KB), classes=classes)
    system = push(
        workload,
        cpu=Cpu(parse_message=Deterministic(1e-4), per_byte=PerByte(parse_message=1e-7)),
    )
    mean = in_the_mean(system)
    assert mean.offered_load(100) == pytest.approx(system.offered_load(100)) == 150
    size = (0.75 * 8 * KB + 0.75 * 2 * KB) / 1.5
    assert mean.cpu.parse_message.mean == pytest.approx(1e-4 + 1e-7 * size)
    assert in_the_mean(mean) is mean
    assert lower_bound(system, 10) <= run(system, agents=10, duration=200.0).latency.mean


def test_a_file_says_sizes_in_bytes():
    table = {
        "payload": {"family": "lognormal", "median": "2 kB", "sigma": 1.0},
        "classes": [{"name": "all", "share": 1.0, "payload": "1 MB"}],
    }
    found = parameters.structure(table, Workload, source="here")
    assert found.payload.median == 2 * KB
    assert found.classes[0].payload == Deterministic(1e6)
    assert parameters.structure(parameters.unstructure(found), Workload, source="here") == found


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"classes": [{"name": "a", "share": 0.5}]}, "classes"),
        ({"classes": [{"name": "a", "share": 0.5}] * 2}, "classes[1].name"),
        ({"classes": [{"name": "a", "share": 1, "target": "b"}]}, "classes[0].target"),
        ({"classes": [{"name": "a", "share": 1, "target": "a"}]}, "classes[0].target"),
        ({"classes": [{"name": "a", "share": 1, "rate": 0}]}, "classes"),
        ({"classes": [{"share": 1, "rate": 0}, {"share": 0}]}, "classes"),
        ({"topology": "random", "classes": [{"share": 1, "target": "class 2"}, {"share": 0}]},
         "classes[0].target"),
        ({"classes": [{"name": "a", "share": 1, "rate": 1}], "traffic": "closed"},
         "classes[0].rate"),
        ({"payload": "2 s"}, "payload"),
        ({"payload": -1}, "payload"),
    ],
)  # fmt: skip
def test_bad_classes_and_sizes_are_refused_where_they_stand(change, key):
    if change.get("traffic") == "closed":
        change = change | {"traffic": {"kind": "closed"}}
    with pytest.raises(InputError) as refused:
        parameters.structure(change, Workload, source="here")
    assert refused.value.key == key


@settings(max_examples=200)
@given(data=st.data())
def test_from_the_fewest_agents_on_all_numbers_will_do(data):
    weights = data.draw(st.lists(st.integers(0, 9), min_size=1, max_size=5).filter(any))
    names = [f"{number}" for number in range(len(weights))]
    total = sum(weights)
    largest = names[weights.index(max(weights))]
    targets = st.sampled_from([None, None, largest])
    classes = tuple(
        AgentClass(
            weight / total,
            name,
            rate=None if name == largest else data.draw(st.sampled_from([None, 0.0, 2.0])),
            target=data.draw(targets),
        )
        for name, weight in zip(names, weights, strict=True)
    )
    workload = Workload("random", classes=classes)
    agents = max(2, workload.fewest) + data.draw(st.integers(0, 60))
    assert check_count(workload, agents) == agents


def test_a_sweep_begins_with_as_many_agents_as_its_classes_need():
    classes = (AgentClass(0.2, rate=2.0), AgentClass(0.8, rate=0.0))
    swept = lhsim.sweep(push(Workload(classes=classes)), agents=[10, 20], duration=20.0)
    (first, _) = swept.level_rows()
    sends, silent = first["classes"]["class 1"], first["classes"]["class 2"]
    assert (sends["agents"], silent["agents"]) == (2, 8)
    assert sends["delivered"] > 0
    assert silent["messages"] == 0
    assert silent["p99_latency_ms"] is None
    json.dumps(first, allow_nan=False)


def test_latencies_of_classes_carry_their_marks():
    """A link so slow that its messages are still on their way: their quantiles are lower bounds."""
    slow = Network(Exponential(5.0), Exponential(5.0))
    classes = (AgentClass(0.5, "near"), AgentClass(0.5, "far", network=slow))
    swept = lhsim.sweep(push(Workload(classes=classes)), agents=[20], duration=300.0)
    (row,) = swept.level_rows()
    assert "p99_latency_ms" in row["classes"]["far"]["lower_bounds"]
    table = "\n".join(class_table([row]))
    assert re.search(r"far +10 .*>\d", table)
    assert "> a lower bound" in "\n".join([table, *legend([row])])


def test_agents_who_leave_nobody_who_sends_are_refused():
    classes = (AgentClass(0.01, "loud"), AgentClass(0.99, "silent", rate=0.0))
    with pytest.raises(InputError, match="leave nobody who sends"):
        lhsim.simulate(push(Workload(classes=classes)), agents=10, duration=1.0)


def test_too_few_agents_for_the_targets_of_a_class_are_refused():
    classes = (AgentClass(0.9, "many", target="few"), AgentClass(0.1, "few"))
    system = push(Workload("random", classes=classes))
    with pytest.raises(InputError, match="leave class 'many' nobody to send to"):
        lhsim.simulate(system, agents=4, duration=1.0)
