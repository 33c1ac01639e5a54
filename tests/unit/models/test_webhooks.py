"""Webhooks: examples worked out by hand. Only what is named takes time. Both engines run them."""

import attrs
import numpy as np
import pytest

from lhsim.distributions import Deterministic, Exponential
from lhsim.errors import InputError
from lhsim.models import (
    Closed,
    Cpu,
    Elicitation,
    EventStore,
    Network,
    Outage,
    Poisson,
    PushServer,
    Retry,
    Slow,
    System,
    Webhook,
    Workload,
)
from lhsim.simulation import simulate
from lhsim.streams import Purpose, uniform
from lhsim.theory import MMc

SEED = 3

engines = pytest.mark.parametrize("engine", ["simpy", "compiled"])


def posting(traffic=None, topology="pair", network=1.0, workload=(), parts=(), **hook):
    """Return a system in which agent 0 sends to agent 1, by posts that take 1 s each way."""
    sent = {"traffic": traffic or Closed(1), "start": "together"}
    return System(
        name="posting",
        **{
            "workload": Workload(topology, **sent | dict(workload)),
            "network": Network(Deterministic(0.0), Deterministic(network)),
            "push": PushServer(webhook=Webhook(**hook)),
        }
        | dict(parts),
    )


def run(system, engine, agents=2, duration=100.0, **options):
    return simulate(
        system,
        agents=agents,
        duration=duration,
        engine=engine,
        keep_messages=True,
        **{"seed": SEED, "warmup": 0.0, "drain": 0.0} | options,
    )


@engines
def test_a_post_that_is_answered_in_time_by_hand(engine):
    # Sent at 0.5, there at 1.5, where the second message is created; answered at 3.5 and 7.5.
    parts = {"cpu": Cpu(send=Deterministic(0.5))}.items()
    result = run(posting(Closed(2), parts=parts, think=Deterministic(2.0)), engine)
    assert result.records["delivered"].tolist() == [1.5, 3.0]
    assert result.counters.sent == 2
    assert result.counters.retries == 0
    assert result.counters.duplicates == 0


@engines
def test_a_slow_target_gets_duplicates_by_hand(engine):
    # A post takes 1 s, and 3 s of work: answered 4 s after it was sent. The server waits for 2 s,
    # then 1 s, then 2 s: it posts at 0, 3 and 7. The first post is answered at 4, too late.
    lazy = posting(Poisson(1e-4), timeout=2.0, attempts=3, backoff=1.0, think=Deterministic(3.0))
    at = first_message(lazy)
    result = run(lazy, engine, duration=at + 20.0)
    assert result.records["delivered"].tolist() == [pytest.approx(at + 1)]
    assert result.records["outcome"].tolist() == ["delivered"]
    assert result.counters.sent == 3
    assert result.counters.retries == 2
    assert result.counters.given_up == 3
    assert result.counters.duplicates == 2
    patient = attrs.evolve(lazy, push=PushServer(webhook=Webhook(think=Deterministic(3.0))))
    assert run(patient, engine, duration=at + 20.0).counters.sent == 1


def first_message(system):
    """Return when the one message of a system with rare ones is created [s]."""
    return float(run(system, "simpy", duration=100_000.0).records["created"][0])


@engines
@pytest.mark.parametrize("attempts", [1, 2, 4])
def test_a_target_that_refuses_all_makes_dead_letters_by_hand(engine, attempts):
    # A refusal is back 1 s after the post: posts at 0, 1 + 1, 2 + 1 + 2, 5 + 1 + 4; the last of
    # them arrives 1 s later, is refused and answered at once, and the message is lost.
    dead = posting(failure=1.0, attempts=attempts, backoff=1.0)
    result = run(dead, engine, duration=30.0)
    assert result.records["outcome"].tolist() == ["lost"]
    assert result.counters.sent == attempts
    assert result.counters.duplicates == 0


@engines
def test_a_dead_letter_that_was_delivered_is_no_loss(engine):
    # The answers take longer than the patience; both posts arrive.
    result = run(posting(Poisson(0.5), attempts=2, timeout=0.5, network=1.0), engine, duration=50.0)
    outcomes = result.records["outcome"].tolist()
    assert outcomes.count("lost") == 0
    assert result.counters.duplicates > 0


@engines
def test_each_post_is_refused_by_a_draw_of_its_own(engine):
    refused = posting(Closed(20), failure=0.5, attempts=2, backoff=0.0)
    result = run(refused, engine, duration=200.0)
    draws = [
        [uniform(SEED, int(Purpose.POST_FAILURE), 0, post << 48 | number) for post in (0, 1)]
        for number in range(20)
    ]
    expected = ["lost" if max(draw) < 0.5 else "delivered" for draw in draws]
    assert result.records["outcome"].tolist() == expected
    assert result.counters.retries == sum(first < 0.5 for first, _ in draws)


@engines
def test_posts_wait_for_a_slot_in_their_order_by_hand(engine):
    # Three messages are stored at 0, and one post at a time takes 1 s: there at 1, 2 and 3.
    one = posting(topology="hub", in_flight=1)
    result = run(one, engine, agents=4, duration=30.0)
    assert result.records["delivered"].tolist() == [1.0, 2.0, 3.0]
    two = posting(topology="hub", in_flight=2)
    assert run(two, engine, agents=4).records["delivered"].tolist() == [1.0, 1.0, 2.0]


@engines
def test_a_sender_does_not_wait_for_the_target(engine):
    parts = {"store": EventStore(write=Deterministic(1.0))}.items()
    result = run(posting(parts=parts, network=5.0), engine)
    assert result.records["acknowledged"].tolist() == [1.0]
    assert result.records["delivered"].tolist() == [6.0]


@engines
def test_slots_are_the_servers_of_a_queue(engine):
    # M/M/c: c posts at a time, each as long as its target works. A message is delivered when its
    # post sets out: what is left is its wait. 5 standard errors of 20 batches.
    posts = posting(
        Poisson(0.8), "ring", network=0.0, in_flight=4, timeout=1e4, think=Exponential(1.0)
    )
    result = run(posts, engine, agents=4, duration=10_000.0, warmup=200.0, drain=100.0)
    times = result.records["delivered"] - result.records["created"]
    batches = times[: len(times) - len(times) % 20].reshape(20, -1).mean(axis=1)
    error = np.nanstd(batches, ddof=1) / 20**0.5
    theory = MMc(3.2, 1.0, 4)
    assert result.latency.mean == pytest.approx(theory.mean_waiting_time, abs=5 * error)


@engines
def test_in_an_outage_no_answer_comes_back_by_hand(engine):
    # Posted at 0, there at 1; the answer of 1 meets the outage, which lasts from 0.5 to 1.5. Time
    # is up at 2; posted again at 3, there at 4: a duplicate.
    slow = posting(
        timeout=2.0, backoff=1.0, think=Deterministic(0.25), parts={"faults": (Outage(0.5, 1.0),)}
    )
    slow = attrs.evolve(slow, workload=attrs.evolve(slow.workload, traffic=Poisson(1e-4)))
    at = first_message(attrs.evolve(slow, faults=()))
    hit = attrs.evolve(slow, faults=(Outage(at + 0.5, 1.0),))
    result = run(hit, engine, duration=at + 20.0)
    assert result.counters.duplicates == 1
    assert result.counters.retries == 1


@engines
def test_attempts_of_senders_are_posted_as_well(engine):
    retry = Retry(timeout=0.5, attempts=2, backoff=0.0)
    parts = {"store": EventStore(write=Deterministic(1.0))}.items()
    twice = posting(Closed(1), parts=parts, workload={"retry": retry}.items(), network=0.25)
    result = run(twice, engine, duration=10.0)
    assert result.counters.writes == 2
    assert result.counters.delivered == 1


@engines
def test_a_slow_target_works_for_longer(engine):
    slow = {"slow": Slow(1.0, 3.0)}.items()
    one = posting(workload=slow, think=Deterministic(1.0), timeout=3.5, attempts=1)
    # Down for 3 s, and work for 3 s: not in time, and delivered all the same.
    result = run(one, engine)
    assert result.records["delivered"].tolist() == [3.0]


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"connections": 5}, "connections"),
        ({"session": Deterministic(5.0), "reconnect": Deterministic(1.0)}, "session"),
        ({"reconnect": Deterministic(1.0)}, "reconnect"),
        ({"outbound": 5}, "outbound"),
        ({"agents_per_connection": 2}, "agents_per_connection"),
        ({"elicitation": Elicitation()}, "elicitation"),
    ],
)
def test_what_goes_with_connections_is_refused(options, key):
    with pytest.raises(InputError) as error:
        PushServer(webhook=Webhook(), **options)
    assert error.value.key == key


def test_values_out_of_range_are_refused():
    for wrong in ({"failure": 1.5}, {"attempts": 0}, {"timeout": 0.0}, {"in_flight": 0}):
        with pytest.raises(InputError):
            Webhook(**wrong)
