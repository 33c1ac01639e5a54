"""Lower bounds of the mean latency where not each message comes to the server, or stays there."""

import math

import attrs
import pytest
from attrs import evolve

import lhsim
from lhsim.analysis.knee import SATURATION
from lhsim.distributions import Deterministic
from lhsim.models import (
    Cpu,
    EventStore,
    Poisson,
    PollingServer,
    PushServer,
    RateLimit,
    Requests,
    RequestServer,
    Retention,
    System,
    Workload,
)
from lhsim.planning.bounds import lower_bound, saturation
from lhsim.simulation.settling import push_load, requests_load, settling_time

MS = Deterministic(1e-3)


def system(topology, rate, **push):
    return System(
        name="bounded",
        workload=Workload(topology, Poisson(rate)),
        cpu=Cpu(parse_message=MS, send=MS),
        store=EventStore(write=Deterministic(0.005), connections=1),
        push=PushServer(**push),
    )


def test_a_broadcast_is_parsed_and_written_once():
    """25 broadcasts/s to 20 agents: the loop has 25 (1 + 20) ms to do, the store 25 times 5 ms."""
    broadcast = system("broadcast", 25.0)
    assert push_load(broadcast, 500.0, 20) == pytest.approx(0.525)
    assert push_load(broadcast, 500.0, 1) == pytest.approx(2.5)
    result = lhsim.simulate(broadcast, agents=21, duration=60.0)
    assert result.utilization["cpu"] == pytest.approx(0.525, rel=0.1)
    assert lower_bound(broadcast, 21) == pytest.approx(0.007)
    assert result.latency.mean > lower_bound(broadcast, 21)


def test_what_a_rate_limit_rejects_loads_no_one():
    """300 messages/s offered to a store that writes 200; 100 are let in."""
    free, limited = (system("ring", 30.0, rate_limit=limit) for limit in (None, RateLimit(10.0, 1)))
    assert lower_bound(free, 10) == float("inf")
    assert lower_bound(limited, 10) == pytest.approx(0.007)
    assert settling_time(limited, 10) == 0.0  # nobody has to be accepted
    result = lhsim.simulate(limited, agents=10, duration=60.0)
    assert not result.overloaded
    assert result.latency.mean > lower_bound(limited, 10)


@pytest.mark.parametrize(("shared_by", "connections"), [(1, 100), (8, 13), (1000, 1)])
def test_agents_that_share_a_connection_connect_once(shared_by, connections):
    """The loop accepts `connections` clients in 10 ms each, beside 200 messages/s of 2 ms each."""
    shared = system("ring", 2.0, agents_per_connection=shared_by)
    cpu = evolve(shared.cpu, connect=Deterministic(0.01))
    slow = evolve(shared, cpu=cpu, store=EventStore())
    assert settling_time(slow, 100) == pytest.approx(connections * 0.01 / (1 - 0.4))


def test_a_batch_takes_the_store_less():
    """300 messages/s: the store writes 200 alone, and 10 of a batch in 14 ms: a load of 0.42."""
    alone = system("ring", 30.0)
    store = attrs.evolve(alone.store, batch_size=10, linger=0.02, write_more=1e-3)
    batched = attrs.evolve(alone, store=store, cpu=Cpu())
    assert push_load(batched, 300.0, 1) == pytest.approx(300 * 0.0014)
    assert lower_bound(alone, 10) == float("inf")
    assert lower_bound(batched, 10) == pytest.approx(0.005)
    result = lhsim.simulate(batched, agents=10, duration=60.0)
    assert not result.overloaded
    assert result.latency.mean > lower_bound(batched, 10)
    # Where further events cost more than a write alone, the cheapest batch is one event.
    dear = attrs.evolve(store, write_more=0.01)
    assert push_load(attrs.evolve(batched, store=dear), 100.0, 1) == pytest.approx(0.5)


def test_a_batch_of_pushes_takes_the_loop_one_send():
    """800 messages/s to one connection: 4 ms each alone, and 4 ms for ten of a full batch."""
    alone = evolve(
        system("ring", 80.0, agents_per_connection=10),
        cpu=Cpu(send=Deterministic(0.004)),
        store=EventStore(),
    )
    batched = evolve(alone, push=evolve(alone.push, batch_size=10, linger=0.1))
    assert lower_bound(alone, 10) == float("inf")
    assert push_load(batched, 800.0, 1) == pytest.approx(800 * 0.0004)
    assert lower_bound(batched, 10) == pytest.approx(0.004)
    result = lhsim.simulate(batched, agents=10, duration=20.0)
    assert not result.overloaded
    assert result.latency.mean > lower_bound(batched, 10)
    # Nearly all batches are full: 800/s fill ten places in 12.5 ms.
    assert result.utilization["cpu"] == pytest.approx(push_load(batched, 800.0, 1), rel=0.05)


@pytest.mark.parametrize(
    "retention", [Retention(age=0.2), Retention(age=2.0), Retention(count=3), Retention(20, 0.5)]
)
@pytest.mark.parametrize("jitter", [0.0, 0.5])
def test_the_bound_is_that_of_the_messages_that_do_not_expire(retention, jitter):
    forgetful = System(
        "forgetful",
        workload=Workload(traffic=Poisson(0.5)),
        cpu=Cpu(query=MS, respond=MS),
        store=EventStore(query=MS, write=MS, scan=1e-5, events=500, retention=retention),
        polling=PollingServer(interval=1.0, jitter=jitter),
    )
    result = lhsim.simulate(forgetful, agents=20, duration=200.0)
    # Waits of up to 1 s, or 1.5 s with jitter: their mean has an error of 0.4 s / sqrt(n) at most.
    error = 0.4 / math.sqrt(result.metrics.successful_deliveries)
    assert result.latency.mean > lower_bound(forgetful, 20) - 3 * error
    if retention == Retention(age=0.2):
        # All that wait for less than 0.2 s are delivered, and no others.
        assert result.outcomes["expired"] > 0.7 * result.counters.created
        assert lower_bound(forgetful, 20) == pytest.approx(0.103)
        assert result.latency.mean == pytest.approx(0.105, rel=0.05)


def asking(rate, **cpu):
    return System(
        "asking",
        workload=Workload(traffic=Poisson(rate)),
        cpu=Cpu(query=Deterministic(0.01), **cpu),
        store=EventStore(query=MS, connections=1),
        requests=RequestServer(),
    )


@pytest.mark.parametrize("quantum", [None, 0.002, 0.0])
def test_requests_at_a_rate_take_their_services_at_least(quantum):
    system = asking(4.0, cores=2, quantum=quantum)
    assert lower_bound(system, 30) == pytest.approx(0.011)
    assert lhsim.simulate(system, agents=30, duration=50.0).latency.mean > 0.011
    assert requests_load(system, 120.0) == pytest.approx(0.6)
    assert lower_bound(system, 51) == math.inf
    assert saturation(system) == pytest.approx(50 * SATURATION)


def test_clients_have_no_bound_of_their_own_and_never_overload():
    clients = evolve(asking(1.0), workload=Workload(traffic=Requests(think=Deterministic(1.0))))
    assert lower_bound(clients, 500) is None
    assert saturation(clients) == pytest.approx(SATURATION * 1.011 / 0.01)
    assert not lhsim.simulate(clients, agents=500, duration=60.0).overloaded


def consumers(think, **server):
    options = {"limit": 1, "wake_on_write": True, "interval": 1e3, "timeout": 1e5}
    return System(
        name="queue",
        workload=Workload("queue", Poisson(1.0), Deterministic(think), producers=4),
        cpu=Cpu(query=MS, parse_request=MS, write=MS),
        store=EventStore(write=MS),
        polling=PollingServer(**options | server),
    )


def test_a_queue_has_no_finite_mean_where_consumers_work_all_the_time():
    """4 messages/s, and 8 consumers: work of 2 s keeps all of them busy."""
    assert lower_bound(consumers(2.0), 12) == math.inf
    assert lower_bound(consumers(2.0, limit=2), 12) < math.inf
    quick = consumers(0.5)
    # Two writes with what the loop does for them, a query, the work, and a request to delete.
    assert lower_bound(quick, 12) == pytest.approx(0.5 + 6e-3)
    result = lhsim.simulate(quick, agents=12, duration=60.0)
    assert lower_bound(quick, 12) <= result.latency.mean < 0.52


def test_a_short_poll_takes_the_loop_a_whole_request():
    """100 agents ask once a second: 3 ms each of the loop, where a long poll takes 1 ms."""
    cpu = Cpu(query=MS, parse_request=MS, respond=MS)
    held, short = (
        System(
            "s", cpu=cpu, workload=Workload(traffic=Poisson(1e-6)), polling=PollingServer(hold=h)
        )
        for h in (True, False)
    )
    assert saturation(held) == pytest.approx(3 * saturation(short), rel=1e-3)
    result = lhsim.simulate(short, agents=100, duration=60.0)
    assert result.utilization["cpu"] == pytest.approx(0.3, rel=0.1)
