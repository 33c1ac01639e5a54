"""Clients that give up and try again: small examples with known times, worked out by hand."""

import attrs
import numpy as np
import pytest

from lhsim import simulate
from lhsim.distributions import Deterministic, Exponential
from lhsim.models import (
    Cache,
    Closed,
    Cpu,
    EventStore,
    Network,
    Poisson,
    PollingServer,
    PushServer,
    RateLimit,
    Retry,
    System,
    Workload,
)

ONE_MESSAGE = Closed(None, Deterministic(1000.0))  # agent 0 to agent 1 at 0 s, and no more
RETRY = Retry(timeout=0.4, attempts=3, backoff=0.2)


OPTIONS = {"agents": 2, "warmup": 0.0, "drain": 0.0, "keep_messages": True}


@pytest.fixture(autouse=True, params=["simpy", "compiled"])
def engine(request, monkeypatch):
    """Each example is one of both engines."""
    monkeypatch.setitem(OPTIONS, "engine", request.param)


def run(system, duration=10.0, **options):
    return simulate(system, duration=duration, **OPTIONS | options)


def system(retry=None, traffic=ONE_MESSAGE, **parts):
    parts = parts if {"push", "polling"} & set(parts) else {"push": PushServer(), **parts}
    workload = Workload("pair", traffic, start="together", retry=retry)
    return System(name="example", workload=workload, **parts)


SLOW_WRITES = EventStore(write=Deterministic(1.0), connections=1)


def test_what_a_client_has_given_up_runs_on_in_vain():
    """Attempts at 0, 0.6 and 1.2 s; their writes end at 1, 2 and 3 s, each too late."""
    result = run(system(RETRY, store=SLOW_WRITES))
    assert result.records["delivered"] == pytest.approx([1.0])
    counters = result.counters
    assert (counters.created, counters.delivered, counters.writes) == (1, 1, 3)
    assert (counters.retries, counters.given_up, counters.duplicates) == (2, 3, 2)
    assert result.metrics.timeout_events == 3


def test_an_answer_in_time_is_the_end_of_it():
    """The answer to the first attempt is there at 1 s, and 0.25 s on its way."""
    network = Network(down=Deterministic(0.25))
    patient = attrs.evolve(RETRY, timeout=1.3)
    assert run(system(patient, store=SLOW_WRITES, network=network)).counters.retries == 0
    hasty = attrs.evolve(RETRY, timeout=1.2)
    assert run(system(hasty, store=SLOW_WRITES, network=network)).counters.retries > 0


@pytest.mark.parametrize(
    ("factor", "longest", "sent"),
    [
        (1.0, 60.0, [0.0, 1.5, 3.0, 4.5]),
        (2.0, 60.0, [0.0, 1.5, 3.5, 6.5]),
        (2.0, 0.7, [0.0, 1.5, 3.2, 4.9]),
    ],
)
def test_a_back_off_grows_up_to_the_longest(factor, longest, sent):
    """An attempt is given up after 1 s, and the first back-off takes 0.5 s."""
    retry = Retry(timeout=1.0, attempts=4, backoff=0.5, factor=factor, longest=longest)
    store = EventStore(write=Deterministic(100.0), connections=100)
    for until, expected in zip([*sent[1:], 9.0], range(1, 5), strict=True):
        before = run(system(retry, store=store), duration=until - 1e-6)
        assert before.counters.writes == expected


def test_a_jittered_back_off_lies_on_both_sides_of_the_usual():
    retry = Retry(timeout=1.0, attempts=2, backoff=4.0, jitter=0.5)
    store = EventStore(write=Deterministic(100.0), connections=100)
    writes = [run(system(retry, store=store), seed=seed, duration=5.0).counters.writes
              for seed in range(40)]  # fmt: skip
    # The second attempt comes from 3 to 7 s, before 5 s in half of the runs.
    assert 10 <= sum(count == 2 for count in writes) <= 30


def test_a_refused_attempt_is_repeated_at_once_after_its_back_off():
    """One token a second: attempts at 0, 0.2 and 0.4 s, of which the first is let in."""
    server = PushServer(rate_limit=RateLimit(1.0, 1))
    every_tenth = Closed(2, Deterministic(0.1))
    result = run(system(Retry(backoff=0.35, attempts=4), every_tenth, push=server))
    # The second message: at 0.1, 0.45, 0.8 s without a token, and at 1.15 s with one.
    assert result.records["delivered"] == pytest.approx([0.0, 1.15])
    assert (result.counters.limited, result.counters.retries) == (3, 3)


def test_a_message_has_failed_when_all_attempts_have():
    server = PushServer(rate_limit=RateLimit(0.001, 1))
    result = run(system(Retry(backoff=0.5, attempts=3), Closed(2, Deterministic(0.1)), push=server))
    assert result.outcomes["delivered"] == result.outcomes["rejected"] == 1
    assert result.counters.limited == 3
    assert result.horizon == pytest.approx(1.1)  # the end of the last attempt, after two back-offs


def test_an_attempt_that_comes_through_after_its_sender_has_given_up_counts():
    """Both attempts are given up, at 0.4 and 1 s; the first is stored at 2 s all the same."""
    store = EventStore(write=Deterministic(2.0), connections=1)
    result = run(system(attrs.evolve(RETRY, attempts=2), store=store))
    assert result.records["delivered"] == pytest.approx([2.0])


def test_a_budget_pays_for_a_part_of_the_attempts():
    """Each of 40 messages, one in 0.1 s, would be tried five times; a budget of 0.25 allows 10."""
    retry = Retry(timeout=0.01, attempts=5, backoff=0.01)
    store = EventStore(write=Deterministic(0.05), connections=1000)
    traffic = Closed(40, Deterministic(0.05))
    assert run(system(retry, traffic, store=store)).counters.retries == 40 * 4
    thrifty = attrs.evolve(retry, budget=0.25)
    assert run(system(thrifty, traffic, store=store)).counters.retries == 10


def test_a_broadcast_is_repeated_as_a_whole():
    workload = Workload("broadcast", ONE_MESSAGE, start="together", retry=RETRY)
    tried = System(name="example", workload=workload, store=SLOW_WRITES, push=PushServer())
    result = run(tried, agents=4)
    assert result.records["delivered"] == pytest.approx([1.0] * 3)
    assert (result.counters.writes, result.counters.duplicates) == (3, 6)


@pytest.mark.parametrize("parts", [{"push": PushServer()}, {"polling": PollingServer()}])
def test_patience_without_an_end_changes_nothing(parts):
    cpu = Cpu(**dict.fromkeys(("parse_message", "query", "send", "respond"), Exponential(0.003)))
    bare = System(
        name="example",
        workload=Workload("random", Poisson(2.0)),
        network=Network(Exponential(0.01), Exponential(0.01)),
        cpu=cpu,
        store=EventStore(Exponential(0.002), Exponential(0.002), connections=2),
        **parts,
    )
    patient = attrs.evolve(bare, workload=attrs.evolve(bare.workload, retry=Retry(timeout=1e6)))
    if bare.polling is not None:
        patient = attrs.evolve(patient, polling=attrs.evolve(bare.polling, client_timeout=1e6))
    a, b = (run(one, agents=20, duration=30.0) for one in (bare, patient))
    assert a.metrics == b.metrics
    assert all(np.array_equal(a.records[name], b.records[name]) for name in ("sender", "outcome"))
    assert np.array_equal(a.records["delivered"], b.records["delivered"], equal_nan=True)


# Agents that poll


def test_an_agent_finds_again_what_an_answer_held_that_it_did_not_wait_for():
    """Asked at 0 s, queried from 0.5 to 3.5 s, just before the message is there, and given up.

    That request goes on: its next query, from 4.5 to 7.5 s, finds the message, for nobody. The
    agent asks again at 4.1 s, 0.5 s on the way, and a query from 4.6 to 7.6 s finds it as well.
    """
    network = Network(up=Deterministic(0.5))
    polling = PollingServer(interval=1.0, client_timeout=3.6, backoff=0.5)
    store = EventStore(query=Deterministic(3.0), write=Deterministic(0.01), connections=5)
    result = run(system(polling=polling, store=store, network=network), duration=20.0)
    assert result.records["delivered"] == pytest.approx([7.6])
    assert result.counters.given_up >= 1


def test_a_request_that_was_given_up_still_holds_its_connection_and_queries_on():
    """Given up at 2.5 s, 5.5 s, ...; each handler goes on until its timeout of 10 s."""
    polling = PollingServer(interval=1.0, timeout=10.0, client_timeout=2.5, backoff=0.5)
    quiet = Closed(None, Deterministic(1e6))
    given_up = run(system(None, quiet, polling=polling), duration=9.5, agents=2)
    patient = attrs.evolve(polling, client_timeout=None)
    waits = run(system(None, quiet, polling=patient), duration=9.5, agents=2)
    # Agent 1 got the message of 0 s at once; requests at 0, 3, 6 and 9 s of both agents.
    assert given_up.metrics.connection_count == 8
    assert waits.metrics.connection_count == 2
    assert given_up.counters.given_up == 6
    assert given_up.counters.cycles > 2 * waits.counters.cycles


@pytest.mark.parametrize("options", [{"wake_on_write": True}, {"cache": Cache(30.0)}])
def test_no_message_is_lost_to_a_handler_that_runs_in_vain(options):
    polling = PollingServer(
        interval=0.3, timeout=5.0, client_timeout=0.7, backoff=0.05, limit=2,
        priorities=(0.5, 0.5), **options,
    )  # fmt: skip
    store = EventStore(Exponential(0.2), Exponential(0.05), connections=20)
    result = run(
        system(None, Poisson(1.0), polling=polling, store=store), agents=6, duration=60.0, drain=5.0
    )
    assert result.counters.given_up > 20
    waits = result.records["outcome"] == "pending"
    assert result.outcomes["delivered"] + waits.sum() == result.counters.created
    # What still waits is young: a message is found by its agent's next request.
    assert result.records["created"][waits].min(initial=60.0) > 60.0 - 10.0
