"""A queue with competing consumers: examples worked out by hand, and theory.

Only what is named takes time. Consumers are asleep until a write wakes the one that has slept
longest, unless an example says otherwise. Both engines run them.
"""

import attrs
import numpy as np
import pytest

from lhsim.distributions import Deterministic, Exponential
from lhsim.errors import InputError
from lhsim.models import (
    Cache,
    Closed,
    Cpu,
    Disconnect,
    EventStore,
    Network,
    Poisson,
    PollingServer,
    PushServer,
    RateLimit,
    RequestServer,
    Retention,
    Retry,
    System,
    Workload,
)
from lhsim.simulation import simulate
from lhsim.theory import MMc

engines = pytest.mark.parametrize("engine", ["simpy", "compiled"])


def queue(work=0.0, traffic=None, producers=1, write=0.0, parts=(), **server):
    """Return a system in which some agents send to a queue, and the others consume."""
    options = {"interval": 1e4, "timeout": 1e6, "limit": 1, "wake_on_write": True}
    think = work if isinstance(work, Exponential) else Deterministic(work)
    workload = Workload("queue", traffic or Closed(1), think, "together", producers=producers)
    store = EventStore(write=Deterministic(write), connections=1)
    return System(
        name="queue",
        **{
            "workload": workload,
            "store": store,
            "polling": PollingServer(**options | server),
            **dict(parts),
        },
    )


def run(system, engine, agents, duration=100.0, **options):
    return simulate(
        system,
        agents=agents,
        duration=duration,
        engine=engine,
        keep_messages=True,
        **{"seed": 3, "warmup": 0.0, "drain": 0.0} | options,
    )


@engines
def test_a_message_is_done_when_it_is_deleted_by_hand(engine):
    # Stored at 1; agent 1 works on it up to 6, and its delete is written up to 7.
    result = run(queue(work=5.0, write=1.0), engine, agents=2)
    assert result.records["stored"].tolist() == [1.0]
    assert result.records["delivered"].tolist() == [7.0]
    assert result.records["target"].tolist() == [1]
    assert result.counters.writes == 2
    assert result.counters.duplicates == 0


@engines
def test_a_delete_is_a_request_of_its_own_by_hand(engine):
    # Up 1 s, parsed in 0.25 s, written in 0.5 s; down 2 s. The message is up at 1 and stored at
    # 1.5: agent 1 has its answer at 3.5, and thinks up to 4.5. Its delete is up at 5.5, and over at
    # 6.25. At 8.25 it knows, and it asks again: there at 9.25.
    parts = {
        "network": Network(Deterministic(1.0), Deterministic(2.0)),
        "cpu": Cpu(parse_request=Deterministic(0.25), write=Deterministic(0.25)),
        "store": EventStore(write=Deterministic(0.25)),
    }
    twice = queue(work=1.0, traffic=Closed(2), parts=parts.items())
    result = run(twice, engine, agents=2)
    assert result.records["stored"][0] == 1.5
    # The second is created at 6.25 and stored at 7.75. It is found at 9.5, and comes at 11.5; its
    # delete, sent at 12.5, is up at 13.5 and over at 14.25.
    assert result.records["delivered"].tolist() == [6.25, 14.25]


@engines
def test_a_message_that_takes_too_long_is_worked_on_twice_by_hand(engine):
    # Agent 1 takes the first one at 1, is done at 6, and has deleted it at 7. It is visible again
    # at 4.5, and agent 2 takes it, up to 9.5, and deletes it again up to 10.5: a duplicate. The
    # second one is stored at 8, and deleted by agent 1 at 14.
    slow = queue(work=5.0, write=1.0, traffic=Closed(2), visibility=3.5)
    result = run(slow, engine, agents=3)
    assert result.records["delivered"].tolist() == [7.0, 14.0]
    assert result.records["target"].tolist() == [1, 1]
    assert result.counters.duplicates == 1
    enough = attrs.evolve(slow, polling=attrs.evolve(slow.polling, visibility=6.25))
    assert run(enough, engine, agents=3).counters.duplicates == 0


@engines
def test_a_message_comes_back_at_its_place_by_age_by_hand(engine):
    # Stored at 1, 2 and 3; taken at 1 by agent 3 and at 2 by agent 4, who work for 10 s. The first
    # two are visible again at 5 and 6, before the third. Agent 3 has deleted the first at 12, and
    # takes the second; agent 4 has deleted that at 13, and takes the third, up to 23. The delete
    # of agent 3 is written from 22 to 23, and that of agent 4 then.
    result = run(queue(work=10.0, write=1.0, producers=3, visibility=4.0), engine, agents=5)
    assert result.records["delivered"].tolist() == [12.0, 13.0, 24.0]
    assert result.records["target"].tolist() == [3, 4, 4]
    assert result.counters.duplicates == 1


@engines
def test_without_a_time_out_a_message_is_taken_for_good(engine):
    result = run(queue(work=50.0, visibility=None), engine, agents=3)
    assert result.records["delivered"].tolist() == [50.0]
    assert result.counters.duplicates == 0


@engines
def test_who_has_slept_longest_wakes_first_by_hand(engine):
    # Agents 1, 2 and 3 sleep from 0 on. Messages are created one after the other is done: each at
    # another consumer, in turn, since who has worked goes to sleep behind the others.
    result = run(queue(work=1.0, traffic=Closed(6)), engine, agents=4)
    assert result.records["target"].tolist() == [1, 2, 3, 1, 2, 3]


@engines
def test_an_answer_is_worked_on_as_one_and_deleted_as_one_by_hand(engine):
    # Three are stored at 0, before anybody is woken; agent 3 gets two, and agent 4 the third.
    result = run(queue(work=1.0, producers=3, limit=2), engine, agents=5)
    assert result.records["delivered"].tolist() == [1.0, 1.0, 1.0]
    assert sorted(result.records["target"].tolist()) == [3, 3, 4]
    assert result.counters.writes == 3 + 2


@engines
def test_all_wake_where_they_should(engine):
    one, everybody = (
        run(queue(work=1.0, traffic=Closed(5), wake=wake), engine, agents=11)
        for wake in ("one", "all")
    )
    assert one.records["delivered"].tolist() == everybody.records["delivered"].tolist()
    # 10 at the start, the first of which finds the first message; then one for each message, or 10;
    # and each of those who have worked asks again.
    assert one.counters.queries == 10 + 4 + 5
    assert everybody.counters.queries == 10 + 4 * 10 + 5


@engines
@pytest.mark.parametrize("hold", [True, False])
def test_without_a_wake_up_call_consumers_poll(engine, hold):
    # A producer and two consumers, which poll at 0, 4, 8, ... The message of 1 is found at 4.
    lazy = queue(work=1.0, write=1.0, interval=4.0, wake_on_write=False)
    changes = {} if hold else {"timeout": 60.0, "hold": False}
    lazy = attrs.evolve(lazy, polling=attrs.evolve(lazy.polling, **changes))
    assert run(lazy, engine, agents=3).records["delivered"].tolist() == [6.0]


@engines
def test_all_agents_send_and_consume_unless_some_only_send(engine):
    both = attrs.evolve(queue(), workload=Workload("queue", Poisson(2.0), start="together"))
    result = run(both, engine, agents=5, duration=50.0)
    assert set(result.records["sender"]) == set(range(5))
    assert set(result.records["target"]) == set(range(5))
    result = run(queue(traffic=Poisson(2.0), producers=2), engine, agents=5, duration=50.0)
    assert set(result.records["sender"]) == {0, 1}
    assert set(result.records["target"]) == {2, 3, 4}


@engines
def test_a_message_that_the_store_has_removed_expires(engine):
    # The consumer is asleep up to 10; the events of 1, 2, ... 8 are kept for 5 s.
    parts = {
        "store": EventStore(write=Deterministic(1.0), connections=1, retention=Retention(age=5.0))
    }
    lazy = queue(producers=8, interval=10.0, wake_on_write=False, limit=10, parts=parts.items())
    outcomes = run(lazy, engine, agents=9, duration=15.0).records["outcome"].tolist()
    assert outcomes == ["expired"] * 5 + ["delivered"] * 3


@engines
@pytest.mark.parametrize(("consumers", "utilisation"), [(1, 0.5), (4, 0.8)])
def test_consumers_are_the_servers_of_a_queue(engine, consumers, utilisation):
    # M/M/c: the think times are the services. 5 standard errors, from 20 batches of a long run.
    rate, mean = consumers * utilisation, 1.0
    system = queue(work=Exponential(mean), traffic=Poisson(rate))
    result = run(system, engine, consumers + 1, duration=20_000.0, warmup=500.0, drain=100.0)
    theory = MMc(rate, mean, consumers)
    delivered = ~np.isnan(result.records["delivered"])
    times = (result.records["delivered"] - result.records["created"])[delivered]
    batches = np.array([one.mean() for one in np.array_split(times, 20)])
    error = batches.std(ddof=1) / np.sqrt(20)
    assert result.latency.mean == pytest.approx(theory.mean_response_time, abs=5 * error)
    assert error < 0.1 * theory.mean_response_time


@engines
def test_senders_that_try_again_fill_a_queue_with_duplicates(engine):
    retry = Retry(timeout=0.5, attempts=3, backoff=0.0)
    impatient = queue(traffic=Closed(3), write=1.0)
    impatient = attrs.evolve(impatient, workload=attrs.evolve(impatient.workload, retry=retry))
    result = run(impatient, engine, agents=3, duration=30.0)
    assert result.counters.duplicates > 0
    assert result.counters.delivered == 3


@pytest.mark.parametrize(
    ("parts", "key"),
    [
        ({"polling": PollingServer(cache=Cache())}, "polling.cache"),
        ({"polling": PollingServer(priorities=(0.5, 0.5))}, "polling.priorities"),
        ({"polling": PollingServer(client_timeout=5.0)}, "polling.client_timeout"),
        ({"polling": None, "push": PushServer()}, "workload.topology"),
        ({"polling": None, "requests": RequestServer()}, "workload.topology"),
        ({"faults": (Disconnect(1.0),)}, "faults"),
        (
            {"workload": Workload(), "polling": PollingServer(visibility=3.0)},
            "polling.visibility",
        ),
    ],
)
def test_what_goes_with_no_queue_is_refused(parts, key):
    with pytest.raises(InputError) as error:
        attrs.evolve(queue(), **parts)
    assert error.value.key == key


def test_producers_are_those_of_a_queue():
    with pytest.raises(InputError, match="producers"):
        Workload("ring", producers=2)
    with pytest.raises(InputError, match="no consumer"):
        simulate(queue(producers=3), agents=3, duration=1.0)


def test_a_limit_of_the_rate_goes_with_a_queue():
    limited = queue(traffic=Poisson(8.0), rate_limit=RateLimit(2.0, 1))
    assert run(limited, "simpy", agents=2, duration=20.0).counters.limited > 0
