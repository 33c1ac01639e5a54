"""Faults at set times: small examples with known times, worked out by hand."""

import attrs
import numpy as np
import pytest

from lhsim import parameters, simulate
from lhsim.distributions import Deterministic
from lhsim.errors import InputError
from lhsim.models import (
    Closed,
    Cpu,
    Disconnect,
    Elicitation,
    EventStore,
    Outage,
    Periodic,
    Poisson,
    PollingServer,
    PushServer,
    Retry,
    Stall,
    System,
    Workload,
)

OPTIONS = {"warmup": 0.0, "drain": 0.0, "keep_messages": True}
EVERY_SECOND = Closed(None, Deterministic(1.0))  # agent 0 to agent 1
PUSH = PushServer(reconnect=Deterministic(0.5))


@pytest.fixture(autouse=True, params=["simpy", "compiled"])
def engine(request, monkeypatch):
    """Each example is one of both engines."""
    monkeypatch.setitem(OPTIONS, "engine", request.param)


def run(faults, server=PUSH, traffic=EVERY_SECOND, agents=2, duration=5.5, retry=None, **more):
    system = System(
        name="example",
        workload=Workload(more.pop("topology", "pair"), traffic, start="together", retry=retry),
        faults=faults,
        **{"push" if isinstance(server, PushServer) else "polling": server},
        **more,
    )
    return simulate(
        system, agents=agents, duration=duration, warmup=0.0, drain=0.0,
        keep_messages=True,
    )  # fmt: skip


def delivered(result):
    return result.records["delivered"].tolist()


# Stalls


def test_a_stall_of_the_store_holds_a_write_up():
    """Writes of 0.1 s, from 0, 1.1, 2.2 s on; the store stands still from 1.15 to 1.65 s."""
    store = EventStore(write=Deterministic(0.1))
    result = run((Stall("store", 1.15, 0.5),), store=store)
    assert delivered(result)[:3] == pytest.approx([0.1, 1.7, 2.8])
    assert result.utilization["store"] * 5.5 * 10 == pytest.approx(5 * 0.1 + 0.5)


def test_a_stall_of_the_processor_holds_up_what_it_computes():
    """It computes 0.1 s from 1.1 s on, stands still from 1 to 2 s, and writes after that."""
    cpu, store = Cpu(parse_message=Deterministic(0.1)), EventStore(write=Deterministic(0.2))
    result = run((Stall("cpu", 1.0, 1.0),), cpu=cpu, store=store)
    assert delivered(result)[:2] == pytest.approx([0.3, 2.3])


def test_stalls_that_overlap_count_once():
    store = EventStore(write=Deterministic(0.1))
    stalls = (Stall("store", 2.0, 1.0), Stall("store", 1.15, 0.5), Stall("store", 1.5, 1.0))
    result = run(stalls, store=store)
    assert delivered(result)[:2] == pytest.approx([0.1, 3.05])


def test_a_stall_of_one_component_leaves_the_other_alone():
    store = EventStore(write=Deterministic(0.1))
    result = run((Stall("cpu", 0.0, 5.0),), store=store)
    assert delivered(result)[:2] == pytest.approx([0.1, 1.2])


# Outages


def test_what_comes_in_an_outage_is_rejected():
    """Messages at 0, 1, ..., 5 s; the server is out of reach from 1.5 to 3.5 s."""
    result = run((Outage(1.5, 2.0),), PushServer(overflow="wait", reconnect=Deterministic(0.5)))
    assert result.records["outcome"].tolist() == [
        "delivered", "delivered", "rejected", "rejected", "delivered", "delivered"
    ]  # fmt: skip
    # Cut at 1.5 s, the agent tries at 2, 2.5, 3, 3.5 s, and at 3.5 s the outage is over.
    assert delivered(result)[4] == pytest.approx(4.0)
    assert result.counters.refused == 2 * 3


def test_a_sender_that_tries_again_loses_nothing_to_an_outage():
    """The message of 2 s is refused at 2, 2.4, 2.8 and 3.2 s, and comes through at 3.6 s."""
    retry = Retry(attempts=10, backoff=0.4)
    server = PushServer(overflow="wait", reconnect=Deterministic(0.25))
    result = run((Outage(1.5, 2.0),), server, retry=retry)
    assert result.outcomes["rejected"] == 0
    assert delivered(result)[:4] == pytest.approx([0.0, 1.0, 3.6, 4.6])
    assert result.counters.retries == 4


def test_a_request_for_an_answer_that_is_cut_is_a_failure():
    """Parsed from 1 to 2 s; cut at 1.5 s, the sender tries again, and the first comes through."""
    cpu = Cpu(parse_message=Deterministic(1.0), workers=2)
    retry = Retry(attempts=2, backoff=0.25)
    server = PushServer(overflow="wait", reconnect=Deterministic(0.125))
    one = Closed(2, Deterministic(1.0))
    result = run((Outage(1.5, 0.2),), server, traffic=one, retry=retry, cpu=cpu, duration=9.0)
    assert delivered(result) == pytest.approx([1.0, 3.0])
    # The first message was created at 0 s and parsed by 1 s; the second is from 2 s on its own.
    assert result.counters.retries == 0
    result = run((Outage(0.5, 0.2),), server, traffic=one, retry=retry, cpu=cpu, duration=9.0)
    assert (result.counters.retries, result.counters.duplicates) == (1, 1)


def test_who_waits_in_line_is_refused_by_an_outage():
    """One place; agent 1 waits for it from 0 s on, and gets it at 2.25 s, after a second try."""
    server = PushServer(connections=1, overflow="wait", reconnect=Deterministic(0.25))
    result = run((Outage(1.0, 1.1),), server, duration=3.0)
    # Both are cut at 1 s, and come at 1.25, ... 2.0 s, in vain, and at 2.25 s: agent 0 is first.
    assert result.counters.attempts == 2 + 2 * 5
    assert result.metrics.connection_count == 1
    assert result.counters.refused == 1 + 2 * 4


def test_a_poller_asks_again_after_its_backoff():
    """Cut at 1.25 s and refused at 1.5, 1.75, 2 and 2.25 s, its request is held from 2.5 s on.

    The handler of the one that was cut does not notice, and goes on.
    """
    server = PollingServer(interval=0.5, timeout=10.0, backoff=0.25)
    result = run(
        (Outage(1.25, 1.2),), server, traffic=Closed(None, Deterministic(1.5)), duration=4.0
    )
    # Messages at 0 and 1.5 s, and at 3 s, a pause after the second was rejected.
    assert result.records["outcome"].tolist() == ["delivered", "rejected", "delivered"]
    assert delivered(result)[2] == pytest.approx(3.0)
    assert result.counters.refused == 2 * 4
    connections, times = result.samples["connections"], result.samples["time_s"]
    assert set(connections[(times > 2.6) & (times < 2.9)]) == {4}


def test_an_answer_that_comes_in_an_outage_is_lost():
    """Asked at 0 s, answered at 1 s, in an outage: expired at 3 s."""
    server = PushServer(
        overflow="wait",
        reconnect=Deterministic(0.5),
        elicitation=Elicitation(3.0, think=Deterministic(1.0)),
    )
    result = run((Outage(0.5, 1.0),), server, traffic=Closed(1), duration=5.0)
    assert result.outcomes["expired"] == 1
    assert result.horizon == pytest.approx(3.0)


# Cut connections


def test_a_share_of_the_connections_is_cut_and_comes_back():
    server = PushServer(overflow="wait", reconnect=Deterministic(0.5))
    result = run((Disconnect(2.0, 0.25),), server, agents=400, traffic=Periodic(1.0))
    again = result.counters.attempts - 400
    assert 60 < again < 140  # 100 expected
    connections = result.samples["connections"]
    times = result.samples["time_s"]
    assert set(connections[(times > 2.1) & (times < 2.4)]) == {400 - again}
    assert connections[-1] == 400
    assert result.outcomes["lost"] == result.outcomes["rejected"] == 0


def test_which_connections_are_cut_follows_from_the_seed_alone():
    def gone(server):
        result = run(
            (Disconnect(2.0, 0.5),), server, agents=50, traffic=Poisson(1.0), duration=2.01
        )
        return result.counters.attempts, result.samples["connections"][-1]

    one = PushServer(overflow="wait", reconnect=Deterministic(0.5))
    assert gone(one) == gone(attrs.evolve(one, outbound=7))
    assert 10 < gone(one)[1] < 40


def test_two_cuts_hit_other_agents():
    server = PushServer(overflow="wait", reconnect=Deterministic(10.0))
    twice = run((Disconnect(1.0, 0.5), Disconnect(2.0, 0.5)), server, agents=400, duration=3.0)
    # A quarter is left: half of those that the first has spared.
    assert 60 < twice.samples["connections"][-1] < 140


def test_a_reconnect_storm_costs_the_loop_all_connects_at_once():
    cpu = Cpu(connect=Deterministic(0.01))
    server = PushServer(overflow="wait", reconnect=Deterministic(0.5))
    quiet = Periodic(1e-6)
    result = run((Disconnect(2.0),), server, agents=100, traffic=quiet, cpu=cpu, duration=5.0)
    assert result.utilization["cpu"] * 5.0 == pytest.approx(2 * 100 * 0.01)
    queued = result.samples["queued"]
    assert queued[np.searchsorted(result.samples["time_s"], 2.55)] > 90


# Descriptions


def test_faults_are_read_from_a_file():
    data = {
        "name": "example",
        "polling": {},
        "faults": [
            {"kind": "stall", "component": "store", "at": "1 s", "duration": "500 ms"},
            {"kind": "outage", "at": 2, "duration": 3},
            {"kind": "disconnect", "at": 4, "share": 0.5},
        ],
    }
    system = parameters.structure(data, System, source="example.toml")
    assert system.faults == (Stall("store", 1.0, 0.5), Outage(2.0, 3.0), Disconnect(4.0, 0.5))


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (
            {"kind": "stal", "at": 1},
            r"faults\[0\].kind: unknown kind 'stal' \(did you mean 'stall'",
        ),
        (
            {"kind": "stall", "component": "disk", "at": 1, "duration": 1},
            r"faults\[0\].component: unknown choice 'disk'",
        ),
        ({"kind": "outage", "at": -1, "duration": 1}, r"faults\[0\].at: -1.0 is out of range"),
        ({"kind": "disconnect", "at": 1, "share": 2}, r"faults\[0\].share: 2.0 is out of range"),
        ({"kind": "outage", "at": 1}, r"faults\[0\].duration: is missing"),
    ],
)
def test_a_wrong_fault_is_refused(fault, message):
    data = {"name": "example", "polling": {}, "faults": [fault]}
    with pytest.raises(InputError, match=message):
        parameters.structure(data, System, source="example.toml")


def test_who_is_cut_has_to_come_back():
    with pytest.raises(InputError, match=r"push.reconnect: is missing"):
        run((Disconnect(1.0),), PushServer())
