"""Retention: which messages are found, on systems of a few agents with times known by hand."""

import attrs
import numpy as np
import pytest
from simpy import Environment

from lhsim.distributions import Deterministic
from lhsim.distributions.base import ZERO
from lhsim.errors import InputError
from lhsim.models import (
    Cache,
    Closed,
    Elicitation,
    EventStore,
    Memory,
    Periodic,
    PollingServer,
    PushServer,
    Retention,
    System,
    Workload,
)
from lhsim.models.log import Log
from lhsim.simulation import simulate

ENGINES = pytest.mark.parametrize("engine", ["simpy", "compiled"])
QUARTER = Deterministic(0.25)
# An agent comes, and stays for 2 s: the next in line then comes.
IN_TURN = {"connections": 1, "session": Deterministic(2.0), "reconnect": Deterministic(100.0)}


def run(engine, server, retention, agents=2, messages=1, pause=ZERO, **store):
    """Let every other agent send; what is written one after the other takes 0.25 s each."""
    polls = isinstance(server, PollingServer)
    system = System(
        "forgetful",
        workload=Workload("pair", Closed(messages, pause), start="together"),
        store=EventStore(write=QUARTER, connections=1, retention=retention, **store),
        **{"polling" if polls else "push": server},
    )
    return simulate(
        system,
        agents=agents,
        duration=30.0,
        warmup=0.0,
        drain=0.0,
        engine=engine,
        keep_messages=True,
    )


def ends(result):
    """Return the outcome of each message, and when it was delivered [s]."""
    table = result.messages
    return [
        (outcome, None if np.isnan(time) else time)
        for outcome, time in zip(table["outcome"], table["delivered"], strict=True)
    ]


# Polling: agent 1 queries at 0 and 2 s, and the message is stored at 0.25 s.


@ENGINES
@pytest.mark.parametrize(
    ("age", "end"),
    [(1.8, ("delivered", 2.0)), (1.75, ("expired", None)), (1.0, ("expired", None))],
)
def test_a_query_finds_what_is_younger_than_the_age(engine, age, end):
    """An event of the very age is gone."""
    assert ends(run(engine, PollingServer(interval=2.0), Retention(age=age))) == [end]


@ENGINES
def test_a_message_expires_when_it_is_looked_for(engine):
    # The first is gone from 1.25 s on, but only at 2 s its sender learns of it.
    result = run(engine, PollingServer(interval=2.0), Retention(age=1.0), messages=2)
    assert list(result.messages["created"]) == [0.0, 2.0]
    assert ends(result) == [("expired", None), ("expired", None)]


@ENGINES
def test_the_newest_so_many_events_are_kept(engine):
    # Written at 0.25, 0.5 and 0.75 s by agents 0, 2 and 4: the last two are there at 2 s.
    result = run(engine, PollingServer(interval=2.0), Retention(count=2), agents=6)
    assert ends(result) == [("expired", None), ("delivered", 2.0), ("delivered", 2.0)]


@ENGINES
def test_an_event_has_to_be_within_both_limits(engine):
    # The second is the newest but one, and as old as 1.5 s.
    result = run(engine, PollingServer(interval=2.0), Retention(count=2, age=1.5), agents=6)
    assert ends(result) == [("expired", None), ("expired", None), ("delivered", 2.0)]


@ENGINES
def test_a_batch_may_be_longer_than_the_log(engine):
    # Three are committed at 0.25 s at once, and the oldest two are gone at that.
    store = {"batch_size": 3, "linger": 1.0}
    result = run(engine, PollingServer(interval=2.0), Retention(count=1), agents=6, **store)
    assert ends(result) == [("expired", None), ("expired", None), ("delivered", 2.0)]


@ENGINES
def test_a_broadcast_expires_for_each_target_on_its_own(engine):
    system = System(
        "broadcast",
        workload=Workload("broadcast", Closed(1), start="ramp", start_over=3.0),
        store=EventStore(write=QUARTER, retention=Retention(age=0.9)),
        polling=PollingServer(interval=1.5),
    )
    result = simulate(
        system, agents=3, duration=30.0, warmup=0.0, engine=engine, keep_messages=True
    )
    # Agent 1 queries first at 1 s, agent 2 at 2 s: the event is there from 0.25 to 1.15 s.
    assert ends(result) == [("delivered", 1.0), ("expired", None)]


@ENGINES
def test_a_snapshot_of_what_has_expired_is_an_empty_one(engine):
    # Agent 1 queries at 0 and 1 s, when the first message is gone since 0.55 s. That makes an
    # entry, which hides the second, stored at 1.25 s, until it is gone, too, at 1.55 s.
    server = PollingServer(interval=0.5, cache=Cache(ttl=0.6, invalidate=False))
    result = run(engine, server, Retention(age=0.3), messages=2)
    assert ends(result) == [("expired", None), ("expired", None)]
    assert list(result.messages["created"]) == [0.0, 1.0]
    shown = attrs.evolve(server, cache=Cache(ttl=0.4, invalidate=False))
    assert ends(run(engine, shown, Retention(age=0.3), messages=2))[0] == ("delivered", 0.5)


# The log


@ENGINES
def test_queries_scan_what_is_kept(engine):
    # Agent 0 queries to 0.5 s, then it writes, then agent 1 queries: 9 events from 0.75 s on. By
    # 3.75 s all of them are gone, and at 5.875 s its query finds one, stored at 5.5625 s.
    pause = Deterministic(4.0)
    store = {"scan": 0.0625, "events": 8}
    result = run(
        engine, PollingServer(interval=2.0), Retention(age=3.0), messages=2, pause=pause, **store
    )
    assert ends(result) == [("delivered", 1.3125), ("delivered", 5.9375)]


@ENGINES
def test_memory_is_bounded_with_retention_and_grows_without(engine):
    def memory(retention, events=0):
        system = System(
            "growing",
            workload=Workload(traffic=Periodic(10.0), start="together"),
            store=EventStore(retention=retention, events=events),
            push=PushServer(),
            memory=Memory(per_event=1.0),
        )
        # The warm-up ends at one of the times at which the state is looked at anyway.
        result = simulate(system, agents=2, duration=50.0, warmup=5.0, engine=engine)
        return result.samples["memory_b"], result.metrics.memory_peak_mb * 1e6

    time = np.arange(1, 101) / 2
    samples, _ = memory(None)
    assert np.abs(samples - 20.0 * time).max() <= 2
    samples, peak = memory(Retention(count=30))
    assert samples.max() == samples[-1] == peak == 30
    samples, peak = memory(Retention(age=2.0))
    assert abs(samples[5:] - 40.0).max() <= 2
    assert peak <= 42
    # A log that begins longer than that is cut; by age it goes at once, as old as the run.
    assert memory(Retention(count=30), events=1000)[1] == 30
    samples, peak = memory(Retention(age=2.0), events=1000)
    assert samples[2] >= 1000
    assert samples[3:].max() <= 42
    assert 1000 < peak <= 1041


# Push: agent 1 comes when the session of agent 0 has ended, at 2 s.


@ENGINES
@pytest.mark.parametrize(
    ("retention", "end"),
    [
        (None, ("delivered", 2.0)),
        (Retention(age=1.8), ("delivered", 2.0)),
        (Retention(age=1.75), ("expired", None)),
    ],
)
def test_a_parked_message_is_handed_over_if_it_is_still_there(engine, retention, end):
    result = run(engine, PushServer(overflow="wait", **IN_TURN), retention)
    assert ends(result) == [end]


@ENGINES
@pytest.mark.parametrize(("age", "end"), [(0.8, ("delivered", 1.0)), (0.5, ("expired", None))])
def test_a_poll_of_an_agent_that_was_refused_finds_what_is_kept(engine, age, end):
    server = PushServer(connections=1, overflow="fallback", fallback_interval=1.0)
    assert ends(run(engine, server, Retention(age=age))) == [end]


@ENGINES
def test_what_has_been_handed_to_a_connection_is_in_memory(engine):
    server = PushServer(batch_size=9, linger=5.0)
    assert ends(run(engine, server, Retention(age=1.0))) == [("delivered", 5.25)]


@ENGINES
@pytest.mark.parametrize("timeout", [1.0, 30.0])
def test_an_elicitation_expires_once(engine, timeout):
    """By its own timeout at 1.25 s, or at 2 s, when its event is looked for."""
    server = PushServer(overflow="wait", elicitation=Elicitation(timeout), **IN_TURN)
    result = run(engine, server, Retention(age=1.0), messages=2)
    assert list(result.messages["created"]) == [0.0, 1.25 if timeout == 1.0 else 2.0]
    assert result.messages["outcome"][0] == "expired"


# The log on its own


def test_the_log_against_a_list_of_times():
    rng = np.random.default_rng(1)
    for count, age, start in [(None, 1.0, 3), (4, None, 9), (3, 0.7, 0), (5, 2.0, 4)]:
        env = Environment()
        log = Log(env, start, Retention(count, age))
        times = [0.0] * start
        for gap in rng.exponential(0.3, 200):
            env.run(until=env.now + gap)
            if rng.uniform() < 0.7:
                assert log.append() >= 0
                times.append(env.now)
            kept = [time for time in times if age is None or time + age > env.now]
            assert log.kept == len(kept if count is None else kept[-count:])


def test_a_retention_has_a_limit():
    with pytest.raises(InputError, match="count: is missing"):
        Retention()
    with pytest.raises(InputError, match="age"):
        Retention(age=0.0)
    with pytest.raises(InputError, match="count"):
        Retention(count=0)
