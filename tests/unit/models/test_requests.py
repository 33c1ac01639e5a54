"""Clients of a request/response server: laws that hold whatever the server is like."""

import itertools
from collections import defaultdict

import numpy as np
import pytest
from attrs import evolve

from lhsim.distributions import Deterministic, Exponential, Uniform
from lhsim.errors import InputError, LhsimError
from lhsim.models import (
    Closed,
    Cpu,
    Disconnect,
    EventStore,
    Network,
    RateLimit,
    Requests,
    RequestServer,
    Retry,
    Stall,
    System,
    Warmth,
    Workload,
    ledger,
)
from lhsim.simulation import simulate

D = 0.01  # demand of a request on the processor [s]
SYSTEM = System(
    name="requests",
    requests=RequestServer(),
    network=Network(Deterministic(1e-3), Deterministic(1e-3)),
    cpu=Cpu(query=Exponential(D), quantum=D / 4),
    store=EventStore(query=Uniform(0.0, D), connections=3),
    workload=Workload(traffic=Requests(think=Uniform(0.0, 0.2))),
)
SHARING = {"fifo": None, "slices": D / 4, "equal": 0.0}


def changed(system=SYSTEM, cpu=None, **traffic):
    workload = evolve(system.workload, traffic=evolve(system.workload.traffic, **traffic))
    return evolve(system, workload=workload, cpu=evolve(system.cpu, **cpu or {}))


def run(system, agents=10, duration=20.0, **options):
    options = {"seed": 1, "warmup": 0.0, "drain": 0.0, "keep_messages": True} | options
    return simulate(system, agents=agents, duration=duration, **options)


def most_under_way(records):
    """Return the most requests of one client that are open at a time."""
    changes = defaultdict(list)
    ends = np.where(np.isnan(records["delivered"]), np.inf, records["delivered"])
    for client, start, end in zip(records["sender"], records["created"], ends, strict=True):
        changes[client] += [(start, 1), (end, -1)]
    return max(
        max(itertools.accumulate(step for _, step in sorted(of_client)))
        for of_client in changes.values()
    )


@pytest.mark.parametrize("quantum", SHARING.values(), ids=SHARING)
@pytest.mark.parametrize("in_flight", [1, 3])
def test_a_client_has_no_more_requests_under_way_than_it_may(in_flight, quantum):
    records = run(changed(cpu={"quantum": quantum}, in_flight=in_flight)).records
    assert most_under_way(records) == in_flight
    assert (records["target"] == records["sender"]).all()


@pytest.mark.parametrize("quantum", SHARING.values(), ids=SHARING)
@pytest.mark.parametrize("agents", [5, 60])
def test_clients_obey_the_interactive_response_time_law(agents, quantum):
    """N = X (Z + R), by Little's law; what is under way at both ends is little."""
    result = run(changed(cpu={"quantum": quantum}), agents, duration=200.0, warmup=20.0)
    cycle = SYSTEM.workload.traffic.wait + result.latency.mean
    assert result.metrics.messages_per_second * cycle == pytest.approx(agents, rel=0.02)


def test_a_client_without_patience_gets_no_answer_and_goes_on():
    result = run(changed(patience=1e-6), duration=50.0)
    assert result.outcomes["delivered"] == 0
    assert result.outcomes["expired"] >= len(result.records["number"]) - 10
    each = SYSTEM.workload.traffic.wait + 1e-6
    assert len(result.records["number"]) == pytest.approx(10 * 50.0 / each, rel=0.05)


def test_a_client_that_gives_up_may_have_more_under_way_at_the_server():
    """The server works in vain: beyond one request of each, its line grows."""
    result = run(changed(patience=0.05), agents=60)
    assert result.outcomes["expired"] > 0
    assert result.samples["queued"].max() > 60


def test_patience_that_never_ends_changes_nothing():
    patient, without_end = run(changed(patience=1e6)), run(SYSTEM)
    assert np.array_equal(patient.records["delivered"], without_end.records["delivered"], True)


@pytest.mark.parametrize("in_flight", [1, 3])
def test_a_finite_loop_ends_when_each_client_has_asked_for_all(in_flight):
    result = run(changed(requests=7, in_flight=in_flight), duration=1e3)
    assert len(result.records["number"]) == result.outcomes["delivered"] == 70
    for client in range(10):
        numbers = result.records["number"][result.records["sender"] == client]
        assert sorted(numbers) == list(range(7))


@pytest.mark.parametrize("quantum", SHARING.values(), ids=SHARING)
def test_all_times_twice_as_long_make_all_results_twice_as_long(quantum):
    cpu = {"quantum": quantum}
    once = run(changed(cpu=cpu), agents=20).records
    slow = evolve(
        changed(cpu=cpu, think=Uniform(0.0, 0.4)),
        network=Network(Deterministic(2e-3), Deterministic(2e-3)),
        store=EventStore(query=Uniform(0.0, 2 * D), connections=3),
        cpu=Cpu(query=Exponential(2 * D), quantum=quantum and 2 * quantum),
    )
    slow = evolve(slow, workload=evolve(slow.workload, start_over=2 * slow.workload.start_over))
    twice = run(slow, agents=20, duration=40.0).records
    for name in ("created", "stored", "delivered"):
        np.testing.assert_allclose(twice[name], 2 * once[name], rtol=1e-9)


@pytest.mark.parametrize("quantum", SHARING.values(), ids=SHARING)
def test_twice_the_cores_serve_twice_the_clients_at_least_as_well(quantum):
    store = EventStore(query=Deterministic(0.0))
    one, two = (
        run(
            evolve(changed(cpu={"quantum": quantum, "cores": cores}), store=store),
            agents=12 * cores,
            duration=200.0,
            warmup=20.0,
        )
        for cores in (1, 2)
    )
    assert two.latency.mean < one.latency.mean
    assert two.metrics.messages_per_second > 2 * one.metrics.messages_per_second


@pytest.mark.parametrize("workers", [1, 3])
def test_no_more_requests_are_served_than_there_are_workers(workers):
    """They keep a worker while the store serves them: its connections are not all used."""
    store = EventStore(query=Uniform(0.0, 2 * D), connections=10)
    system = evolve(SYSTEM, requests=RequestServer(workers=workers), cpu=Cpu(), store=store)
    result = run(system, agents=60)
    assert result.metrics.messages_per_second == pytest.approx(workers / D, rel=0.05)
    assert result.utilization["store"] == pytest.approx(workers / 10, rel=0.02)


def test_a_stall_stops_all_that_share():
    """Nothing leaves while the processor stands still."""
    system = evolve(SYSTEM, store=EventStore(), faults=(Stall("cpu", 5.0, 1.0),))
    for quantum in SHARING.values():
        stored = run(changed(system, cpu={"quantum": quantum}), agents=20).records["stored"]
        assert not ((stored > 5.0) & (stored < 6.0)).any()
        assert ((stored > 6.0) & (stored < 6.1)).any()


def test_clients_overload_no_server_for_good():
    """While the line fills that they come to wait in, it grows; no more wait than there are."""
    found = run(changed(think=Exponential(50.0)), agents=20_000, duration=20.0, warmup=1.0)
    backlog = found.timeseries["backlog"]
    assert backlog.iloc[-1] > 3 * backlog.iloc[len(backlog) // 4] > 0
    assert not found.overloaded
    assert np.isfinite(found.latency.quantile(0.5))


@pytest.mark.parametrize(
    ("key", "parts"),
    [
        ("workload.topology", {"workload": Workload("hub", Requests())}),
        ("workload.retry", {"workload": Workload(traffic=Requests(), retry=Retry())}),
        ("faults", {"faults": (Disconnect(1.0),)}),
        ("polling", {"requests": None}),
    ],
)
def test_what_does_not_go_with_requests_is_refused(key, parts):
    with pytest.raises(InputError) as refused:
        evolve(SYSTEM, **parts)
    assert refused.value.key == key


@pytest.mark.parametrize(
    ("key", "parts"),
    [
        ("workers", {"workers": 2, "cores": 2}),
        ("workers", {"workers": 2, "quantum": 0.1}),
        ("warmth", {"cores": 2, "warmth": Warmth((0.0, 1.0), (0.0, 1.0))}),
        ("switch", {"quantum": 0.0, "switch": 0.1}),
        ("switch", {"switch": 0.1}),
        ("cores", {"cores": 1025, "quantum": 0.0}),
    ],
)
def test_cores_that_cannot_be_shared_are_refused(key, parts):
    with pytest.raises(InputError) as refused:
        Cpu(**parts)
    assert refused.value.key == key


def by_turn(turn=0.0, **fields):
    """Return clients that start together, and a loop that answers them by turn."""
    traffic = Requests(think=Deterministic(1.0), requests=2)
    return System(
        name="by turn",
        requests=RequestServer(by_turn=True),
        cpu=Cpu(query=Deterministic(D), turn=turn, **fields),
        workload=Workload(traffic=traffic, start="together"),
    )


@pytest.mark.parametrize("turn", [0.0, 0.004])
def test_answers_leave_together_as_their_turn_ends(turn):
    """Of four that come together the first is a turn of its own, the three others are the next.

    Those three come together again, after the first, so that now two are the next turn.
    """
    records = run(by_turn(turn), agents=4, duration=5.0).records
    response = records["delivered"] - records["created"]
    first = np.sort(response[records["number"] == 0])
    assert first == pytest.approx([D + turn, *[4 * D + 2 * turn] * 3])
    second = np.sort(response[records["number"] == 1])
    assert second == pytest.approx([D + turn, D + turn, *[3 * D + 2 * turn] * 2])


def test_answers_by_turn_are_never_earlier_than_in_their_order():
    """Fed with the same arrivals at the same costs: one request of each client."""
    system = evolve(by_turn(), cpu=Cpu(query=Exponential(D)))
    traffic = Requests(think=Exponential(0.5), requests=1)
    system = evolve(system, workload=evolve(system.workload, traffic=traffic))
    turns = run(system, agents=100, duration=10.0).records
    order = run(evolve(system, requests=RequestServer()), agents=100, duration=10.0).records
    later = turns["delivered"] - order["delivered"]
    assert (turns["created"] == order["created"]).all()
    assert later.min() > -1e-9
    assert later.max() > D / 2


@pytest.mark.parametrize(
    ("cpu", "store", "key"),
    [
        (Cpu(cores=2), EventStore(), "requests.by_turn"),
        (Cpu(quantum=0.0), EventStore(), "requests.by_turn"),
        (Cpu(query=Deterministic(D)), EventStore(query=Deterministic(D)), "requests.by_turn"),
    ],
)
def test_answers_that_are_no_part_of_a_turn_are_refused(cpu, store, key):
    with pytest.raises(InputError) as caught:
        evolve(by_turn(), cpu=cpu, store=store)
    assert caught.value.key == key


@pytest.mark.parametrize("fields", [{"cores": 2}, {"quantum": 0.004}, {"quantum": 0.0}])
def test_shared_cores_have_no_turns(fields):
    with pytest.raises(InputError, match="is that of one loop"):
        Cpu(turn=1e-3, **fields)


def test_requests_without_end_that_take_no_time_are_refused():
    with pytest.raises(InputError, match="sends without end in no time"):
        System("free", workload=Workload(traffic=Requests()), requests=RequestServer())
    System(
        "paused", workload=Workload(traffic=Requests(Deterministic(D))), requests=RequestServer()
    )
    System("ends", workload=Workload(traffic=Requests(requests=3)), requests=RequestServer())


@pytest.mark.parametrize("traffic", [Requests(), Closed(None)], ids=lambda traffic: traffic.name)
def test_refusals_without_end_in_one_instant_are_an_error(traffic, monkeypatch):
    monkeypatch.setattr(ledger, "MOST_AT_ONCE", 1000)
    workload, server = Workload(traffic=traffic), RequestServer(rate_limit=RateLimit(1.0, 1))
    system = System(
        "limited", workload=workload, cpu=Cpu(respond=Deterministic(D)), requests=server
    )
    with pytest.raises(LhsimError, match="time stands still"):
        simulate(system, agents=1, duration=10.0, engine="simpy")
