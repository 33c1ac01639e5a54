"""Options of the push server: small examples with known times, worked out by hand, on each engine.

Agent 0 sends to agent 1 every 0.1 s, from a random phase on, from which the times here count.
"""

import math

import pytest
from attrs import evolve

from lhsim import simulate
from lhsim.distributions import Deterministic
from lhsim.errors import InputError
from lhsim.models import (
    Closed,
    Cpu,
    Elicitation,
    EventStore,
    Network,
    Periodic,
    PushServer,
    System,
    Workload,
)

ENGINES = pytest.mark.parametrize("engine", ["simpy", "compiled"])
WORKLOAD = Workload(topology="pair", traffic=Periodic(10.0), start="together")
SEND = 0.26  # [s]: a message is sent while two or three others come


def run(engine, *, agents=2, duration=2.0, workload=WORKLOAD, cpu=None, store=None, **options):
    system = System(
        name="example",
        workload=workload,
        cpu=cpu or Cpu(send=Deterministic(SEND)),
        store=store or EventStore(),
        push=PushServer(**options),
    )
    return simulate(
        system,
        agents=agents,
        duration=duration,
        warmup=0.0,
        drain=0.0,
        engine=engine,
        keep_messages=True,
    )


def messages(result):
    """Return the outcomes of the first eight messages, and when some of them were delivered."""
    table = result.messages.head(8)
    delivered = table.delivered - table.created[0]
    return list(table.outcome), [round(float(time), 9) for time in delivered.dropna()]


# Full outbound queues. Two places: one for the message that is being sent.


@ENGINES
def test_by_default_a_new_message_is_dropped(engine):
    # 1 waits for 0, so 2 is dropped; at 0.26 it is 1's turn, and 3 waits; 4 and 5 are dropped.
    outcomes, delivered = messages(run(engine, outbound=2))
    assert outcomes == [
        "delivered", "delivered", "dropped", "delivered", "dropped", "dropped", "delivered",
        "dropped",
    ]  # fmt: skip
    assert delivered == [0.26, 0.52, 0.78, 1.04]


@ENGINES
def test_the_oldest_that_waits_is_dropped(engine):
    # 1 waits for 0 and gives its place to 2; 3 waits for 2 and gives it to 4, and 4 to 5.
    outcomes, delivered = messages(run(engine, outbound=2, outbound_policy="drop_oldest"))
    assert outcomes == [
        "delivered", "dropped", "delivered", "dropped", "dropped", "delivered", "dropped",
        "delivered",
    ]  # fmt: skip
    assert delivered == [0.26, 0.52, 0.78, 1.04]


@ENGINES
def test_a_message_that_is_being_sent_is_not_dropped(engine):
    # With one place, the only message in the queue is the one that is being sent.
    one = run(engine, outbound=1, outbound_policy="drop_oldest")
    assert messages(one) == messages(run(engine, outbound=1))


@ENGINES
def test_a_dropped_message_costs_nothing(engine):
    result = run(engine, outbound=2, outbound_policy="drop_oldest")
    # From the first message on the loop sends one after the other, and nothing else.
    idle = result.messages.created[0]
    assert result.utilization["cpu"] == pytest.approx((2.0 + 0.1 - idle) / 2.0, abs=0.1)
    assert result.metrics.websocket_events_sent == int((2.0 - idle) / SEND)


@ENGINES
def test_requests_wait_for_a_slot_in_their_turn(engine):
    outcomes, delivered = messages(run(engine, outbound=2, outbound_policy="block", duration=3.0))
    assert outcomes == ["delivered"] * 8
    assert delivered == [0.26, 0.52, 0.78, 1.04, 1.3, 1.56, 1.82, 2.08]


@ENGINES
@pytest.mark.parametrize("overflow", ["reject", "wait"])
def test_requests_that_wait_for_a_slot_go_on_when_the_connection_closes(engine, overflow):
    # At 0.75 - phase the connection closes; 3 and later wait for a place, and 1 and 2 have one.
    result = run(
        engine,
        outbound=2,
        outbound_policy="block",
        overflow=overflow,
        session=Deterministic(0.75),
        reconnect=Deterministic(10.0),
        duration=3.0,
    )
    outcomes = list(result.messages.outcome)
    phase = result.messages.created[0]
    sent = int((0.75 - phase) / SEND)
    if overflow == "reject":
        assert outcomes[: sent + 3] == ["delivered"] * sent + ["lost"] * 2 + ["rejected"]
        assert set(outcomes[sent + 2 :]) == {"rejected"}
    else:
        assert outcomes[:sent] == ["delivered"] * sent
        assert set(outcomes[sent:]) == {"pending"}


@ENGINES
def test_the_connection_is_closed_when_its_queue_is_full(engine):
    # 2 finds it full at 0.2 and is rejected, 0 and 1 are sent in vain until 0.52, 3 finds nobody.
    # The agent is back at 0.35: 4 and 5 are queued, 6 finds it full at 0.6; back at 0.75.
    result = run(
        engine, outbound=2, outbound_policy="disconnect", reconnect=Deterministic(0.15)
    )  # fmt: skip
    outcomes, delivered = messages(result)
    assert outcomes == ["lost", "lost", "rejected", "rejected"] * 2
    assert delivered == []


@ENGINES
def test_the_session_of_a_closed_connection_does_not_end_the_next(engine):
    # Connections begin at 0, phase + 0.35, + 0.75, + 1.15, ... and the first session would end
    # at 0.9, within the third connection: that one still ends because its queue is full. Only
    # agent 0, to whom nobody sends, has a whole session, and comes back at 1.05.
    options = {"outbound": 2, "outbound_policy": "disconnect", "reconnect": Deterministic(0.15)}
    closed = run(engine, **options)
    too = run(engine, **options, session=Deterministic(0.9))
    assert list(too.messages.outcome) == list(closed.messages.outcome)
    assert too.counters.attempts == closed.counters.attempts + 1


# Refusals in a row


def attempts(result):
    return result.counters.attempts, result.counters.refused


@ENGINES
def test_an_agent_that_is_refused_again_and_again_comes_less_and_less_often(engine):
    # One of the two is in for good; the other comes at 0, 0.2, 0.6, 1.0 and 1.4: the factors are
    # 2, 4, and then 4, the most. Without, it comes 15 times up to 1.45.
    options = {"connections": 1, "reconnect": Deterministic(0.1), "duration": 1.45}
    assert attempts(run(engine, **options)) == (1 + 15, 15)
    assert attempts(run(engine, **options, backoff=2.0, backoff_cap=4.0)) == (1 + 5, 5)


@ENGINES
def test_a_success_ends_the_row_of_refusals(engine):
    # Agent 0: in at 0, out at 0.57; refused at 0.67 and 0.87; in at 1.27, out at 1.84; at 1.94.
    # Agent 1: refused at 0.05 and 0.25; in at 0.65, out at 1.22; refused at 1.32 and 1.52; 1.92.
    result = run(
        engine,
        workload=Workload(traffic=Periodic(10.0), start="ramp", start_over=0.1),
        connections=1,
        session=Deterministic(0.57),
        reconnect=Deterministic(0.1),
        backoff=2.0,
    )
    assert attempts(result) == (5 + 6, 3 + 4)


# Heartbeats


@ENGINES
def test_each_connection_costs_a_heartbeat_at_equal_distances(engine):
    # Two connections from 0 on, and heartbeats at 0.3, 0.6, ..., 2.7.
    cpu = Cpu(heartbeat=Deterministic(0.05))
    result = run(engine, cpu=cpu, heartbeat=0.3, duration=2.9)
    assert result.utilization["cpu"] == pytest.approx(2 * 9 * 0.05 / 2.9, rel=1e-9)
    assert run(engine, cpu=cpu, duration=2.9).utilization["cpu"] == 0.0


@ENGINES
def test_a_heartbeat_that_is_due_during_another_is_left_out(engine):
    # From 0.1 to 0.35, 0.4 to 0.65 and 0.7 to 0.95: those at 0.2, 0.3, 0.5, ... are left out.
    workload = Workload(traffic=Periodic(1.0), start="together")
    cpu = Cpu(heartbeat=Deterministic(0.25))
    result = run(engine, agents=1, workload=workload, cpu=cpu, heartbeat=0.1, duration=1.0)
    assert result.utilization["cpu"] == pytest.approx(0.75, rel=1e-9)


@ENGINES
def test_heartbeats_end_with_their_connection(engine):
    # Of each agent, those at 0.3, 0.6 and 0.9; the one at 1.2 finds the connection closed.
    result = run(
        engine,
        cpu=Cpu(heartbeat=Deterministic(0.05)),
        heartbeat=0.3,
        session=Deterministic(1.0),
        reconnect=Deterministic(5.0),
    )
    assert result.utilization["cpu"] == pytest.approx(2 * 3 * 0.05 / 2.0, rel=1e-9)


# Polls of agents that were refused


POLLED = {
    "cpu": Cpu(
        parse_request=Deterministic(0.01),
        query=Deterministic(0.02),
        respond=Deterministic(0.03),
    ),
    "store": EventStore(query=Deterministic(0.04)),
    "connections": 1,
    "overflow": "fallback",
    "fallback_interval": 0.3,
}


def next_time(created, times):
    """Return when a message is delivered that has to be there at one of `times`, given by pairs."""
    return next((delivered for stored, delivered in times if created <= stored), math.nan)


@ENGINES
def test_an_agent_that_is_refused_polls(engine):
    # Agent 1 is refused at 0. Its polls begin at 0.3, 0.7, 1.1, ...; each reads what is stored
    # 0.03 later, and brings it after 0.1.
    result = run(engine, **POLLED)
    polls = [(0.33 + 0.4 * k, 0.4 + 0.4 * k) for k in range(4)]
    expected = [next_time(created, polls) for created in result.messages.created]
    delivered = list(result.messages.delivered)
    assert delivered == pytest.approx(expected, rel=1e-12, nan_ok=True)
    assert set(result.messages.outcome) == {"delivered", "pending"}
    assert attempts(result) == (2, 1)
    counters = result.counters
    assert (counters.cycles, counters.queries, counters.wasted, counters.sent) == (5, 5, 0, 0)
    assert result.utilization["cpu"] == pytest.approx(5 * 0.06 / 2.0, rel=1e-9)


@ENGINES
def test_an_agent_that_polls_tries_to_connect_again(engine):
    # At 1.1 the nap is over, and the time to the next try, 1.0, has passed; and again at 2.2.
    again = run(engine, **POLLED, reconnect=Deterministic(1.0))
    assert attempts(again) == (3, 2)
    assert again.counters.cycles == 4  # from 0.3, 0.7, 1.4 and 1.8
    # After 0.4 s each: at 0.7 and 1.4. With a factor of 2: at 1.1, and then not before 2.7.
    often = {**POLLED, "reconnect": Deterministic(0.4)}
    assert attempts(run(engine, **often)) == (1 + 3, 3)
    assert attempts(run(engine, **often, backoff=2.0)) == (1 + 2, 2)


@ENGINES
def test_an_agent_that_has_polled_connects(engine):
    # Agent 0 leaves at 0.9, agent 1 connects at 1.1, and finds there what has come since 0.73.
    result = run(engine, **POLLED, session=Deterministic(0.9), reconnect=Deterministic(1.0))
    polls = [(0.33, 0.4), (0.73, 0.8), (1.1, 1.1)]
    created = [time for time in result.messages.created if time < 2.0]
    expected = [time if time > 1.1 else next_time(time, polls) for time in created]
    assert list(result.messages.delivered) == pytest.approx(expected, rel=1e-12)
    assert result.counters.sent == sum(time > 0.73 for time in created)


# Batches


QUICK = Cpu(send=Deterministic(0.02))


@ENGINES
def test_a_full_batch_is_sent_in_one_go(engine):
    # 2 comes at 0.2 and completes the first batch, 5 at 0.5 the second.
    result = run(engine, cpu=QUICK, batch_size=3, linger=5.0)
    assert messages(result)[1] == [0.22] * 3 + [0.52] * 3 + [0.82] * 2
    each = run(engine, cpu=QUICK)
    assert result.utilization["cpu"] < 0.4 * each.utilization["cpu"]
    assert result.metrics.websocket_events_sent == 18


@ENGINES
def test_a_batch_that_does_not_fill_is_sent_after_its_linger(engine):
    # From 0 to 0.25, from 0.3 to 0.55, from 0.6 to 0.85.
    result = run(engine, cpu=QUICK, batch_size=10, linger=0.25)
    assert messages(result)[1] == [0.27] * 3 + [0.57] * 3 + [0.87] * 2


@ENGINES
def test_the_linger_of_a_batch_that_was_full_before_does_not_end_the_next(engine):
    # At 0.25 it would find 2, which has waited for 3 since 0.2.
    result = run(engine, cpu=QUICK, batch_size=2, linger=0.25)
    assert messages(result)[1] == [0.12] * 2 + [0.32] * 2 + [0.52] * 2 + [0.72] * 2


@ENGINES
def test_a_full_queue_drops_the_oldest_of_the_batch_that_is_collected(engine):
    # 2 takes the place of 0, 3 that of 1, 4 that of 2; at 0.45 the batch goes out: 3 and 4.
    result = run(
        engine, cpu=QUICK, outbound=2, outbound_policy="drop_oldest", batch_size=5, linger=0.45
    )  # fmt: skip
    outcomes, delivered = messages(result)
    assert outcomes == ["dropped"] * 3 + ["delivered"] * 2 + ["dropped"] * 3
    assert delivered == [0.47] * 2


@ENGINES
@pytest.mark.parametrize("overflow", ["reject", "wait"])
def test_the_batch_of_a_connection_that_closes_is_not_sent(engine, overflow):
    # Connected until 0.3, and from 0.7 to 1.0: never for as long as a batch lingers.
    result = run(
        engine,
        cpu=QUICK,
        batch_size=100,
        linger=0.5,
        overflow=overflow,
        session=Deterministic(0.3),
        reconnect=Deterministic(0.4),
        duration=1.0,
    )
    assert result.utilization["cpu"] == 0.0
    created, outcomes = result.messages.created, result.messages.outcome
    if overflow == "wait":
        assert set(outcomes) == {"pending"}
    else:
        assert set(outcomes[created < 0.3]) == {"lost"}
        assert set(outcomes[(created >= 0.3) & (created < 0.7)]) == {"rejected"}


@ENGINES
def test_the_sender_is_answered_as_soon_as_its_message_is_in_a_batch(engine):
    # The answer costs 0.01 at the creation; the batch goes out with the third message.
    cpu = Cpu(send=Deterministic(0.02), acknowledge=Deterministic(0.01))
    result = run(engine, cpu=cpu, batch_size=3, linger=5.0)
    # The answer to 2 begins before the batch is sent.
    assert messages(result)[1] == [0.23] * 3 + [0.53] * 3 + [0.83] * 2


# Elicitation: message and answer cost the loop 0.01 to parse and 0.02 to validate, the target
# thinks for 0.15. So a message created at t is stored, and at its target, at t + 0.03; its answer
# is at the server at t + 0.18, and taken at t + 0.21.


def elicit(engine, traffic=None, **options):
    """Run with so few messages that none meets another."""
    others = {name: options.pop(name) for name in ("connections", "overflow") if name in options}
    return run(
        engine,
        workload=Workload(
            topology="pair", traffic=traffic or Periodic(2.0), start="together"
        ),
        cpu=Cpu(parse_message=Deterministic(0.01), validate=Deterministic(0.02)),
        elicitation=Elicitation(think=Deterministic(0.15), **options),
        duration=2.0,
        **others,
    )  # fmt: skip


def ended(result, outcome):
    """Return whether the messages that had time enough had this one outcome."""
    early = result.messages.created < 1.5
    return set(result.messages.outcome[early]) == {outcome}


@ENGINES
def test_a_message_is_delivered_once_it_is_answered(engine):
    result = elicit(engine)
    table = result.messages[result.messages.created < 1.5]
    assert ended(result, "delivered")
    assert list(table.delivered - table.created) == pytest.approx([0.03] * len(table), rel=1e-9)
    assert result.metrics.elicitation_responses_received == sum(result.messages.created < 1.79)


@ENGINES
def test_the_sender_of_a_closed_loop_waits_for_the_answer(engine):
    result = elicit(engine, traffic=Closed(5))
    assert list(result.messages.created) == pytest.approx([0.0, 0.21, 0.42, 0.63, 0.84], abs=1e-9)
    assert result.utilization["cpu"] == pytest.approx(5 * 0.06 / result.horizon, rel=1e-9)


@ENGINES
@pytest.mark.parametrize("share", ["decline", "cancel"])
def test_who_does_not_accept_sends_nothing_to_validate(engine, share):
    result = elicit(engine, traffic=Closed(5), accept=0.0, **{share: 1.0})
    assert list(result.messages.created) == pytest.approx([0.0, 0.19, 0.38, 0.57, 0.76], abs=1e-9)
    assert result.metrics.elicitation_responses_received == 5


@ENGINES
def test_an_answer_within_the_timeout_is_in_time(engine):
    assert ended(elicit(engine, timeout=0.181), "delivered")


@ENGINES
def test_an_answer_after_the_timeout_is_too_late(engine):
    # The next message of the closed loop is created when the one before has expired.
    result = elicit(engine, traffic=Closed(4), timeout=0.17)
    assert list(result.messages.outcome) == ["expired"] * 4
    # The answers come all the same, 0.01 s before the next message, which then waits for 0.02 s.
    assert list(result.messages.created) == pytest.approx([0.0, 0.2, 0.41, 0.62], abs=0.021)
    assert result.metrics.elicitation_responses_received == 0


@ENGINES
def test_without_an_answer_a_message_expires(engine):
    result = elicit(engine, traffic=Closed(4), accept=0.0, timeout=0.3)
    assert list(result.messages.outcome) == ["expired"] * 4
    assert list(result.messages.created) == pytest.approx([0.0, 0.33, 0.66, 0.99], abs=1e-9)


@ENGINES
def test_a_message_that_waits_for_its_target_expires(engine):
    # Agent 1 waits in line for ever.
    assert ended(elicit(engine, timeout=0.2, connections=1, overflow="wait"), "expired")


@ENGINES
def test_a_reply_carries_the_request_to_the_sender_itself(engine):
    """Up 0.2 s, parsed, validated and stored by 0.23, the reply paid by 0.28, there at 0.38 s.

    Then 0.15 s of thought, 0.2 s up, and 0.03 s on the loop: the call is answered at 0.76 s.
    """
    ms = {name: Deterministic(value / 1000) for name, value in (
        ("parse_message", 10), ("validate", 20), ("acknowledge", 50), ("connect", 70), ("send", 90)
    )}  # fmt: skip
    system = System(
        name="example",
        workload=Workload("pair", Closed(3), start="together"),
        network=Network(up=Deterministic(0.2), down=Deterministic(0.1)),
        cpu=Cpu(**ms),
        push=PushServer(elicitation=Elicitation(think=Deterministic(0.15), asks_by="reply")),
    )
    result = simulate(system, agents=2, duration=9.0, warmup=0.0, engine=engine, keep_messages=True)
    assert list(result.messages.created) == pytest.approx([0.0, 0.76, 1.52])
    assert list(result.messages.delivered - result.messages.created) == pytest.approx([0.38] * 3)
    assert result.utilization["cpu"] * result.horizon == pytest.approx(3 * 0.11)
    assert result.counters.attempts == result.metrics.connection_count == 0
    assert result.metrics.elicitation_responses_received == 3


@ENGINES
def test_a_request_in_a_reply_expires_like_any_other(engine):
    result = elicit(engine, traffic=Closed(4), accept=0.0, timeout=0.3, asks_by="reply")
    assert list(result.messages.outcome) == ["expired"] * 4
    assert list(result.messages.created) == pytest.approx([0.0, 0.33, 0.66, 0.99], abs=1e-9)


# Input


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"outbound": 2, "outbound_policy": "drop_all"}, "outbound_policy"),
        ({"outbound_policy": "block"}, "outbound"),
        ({"outbound": 2, "outbound_policy": "disconnect"}, "reconnect"),
        ({"backoff": 0.5, "reconnect": Deterministic(1.0)}, "backoff"),
        ({"backoff": 2.0}, "reconnect"),
        ({"backoff_cap": 0.0}, "backoff_cap"),
        ({"heartbeat": 0.0}, "heartbeat"),
        ({"elicitation": {"timeout": 0.0}}, "timeout"),
        ({"elicitation": {"accept": 1.5}}, "accept"),
        ({"elicitation": {"accept": 0.5, "decline": 0.4, "cancel": 0.2}}, "accept"),
        ({"batch_size": 2}, "linger"),
        ({"linger": 1.0}, "batch_size"),
        ({"batch_size": 0, "linger": 1.0}, "batch_size"),
        ({"batch_size": 2, "linger": 0.0}, "linger"),
        ({"overflow": "fallback"}, "fallback_interval"),
        ({"fallback_interval": 0.0}, "fallback_interval"),
        ({"elicitation": {"asks_by": "mail"}}, "asks_by"),
        ({"elicitation": {"asks_by": "reply"}, "outbound": 3}, "outbound"),
        ({"elicitation": {"asks_by": "reply"}, "overflow": "wait"}, "overflow"),
    ],
)
def test_what_is_out_of_range_is_named(options, key):
    elicitation = options.pop("elicitation", None)
    with pytest.raises(InputError, match=key):
        PushServer(**options, elicitation=elicitation and Elicitation(**elicitation))


# The backlog


@ENGINES
def test_a_full_backlog_drops_attempts_which_hosts_repeat_after_1_2_and_4_s(engine):
    """To connect takes 2 s, and one may wait: three come at 0, and two of them are dropped.

    At 1 the first is not done; at 3 (1 + 2) the place is free for the second, and the third is
    dropped again; at 7 (1 + 2 + 4) it is let in, and connected at 9.
    """
    system = System(
        "storm",
        workload=Workload(traffic=Closed(1), start="together"),
        cpu=Cpu(connect=Deterministic(2.0)),
        push=PushServer(backlog=1),
    )
    times = {"agents": 3, "warmup": 0.0, "drain": 0.0, "engine": engine}
    for duration, dropped in ((0.5, 2), (1.5, 4), (3.5, 5), (8.5, 5)):
        result = simulate(system, duration=duration, **times)
        assert (result.counters.attempts, result.counters.dropped) == (3, dropped)
    # The message of each waits at the server for its target to be connected.
    found = simulate(system, duration=10.0, keep_messages=True, **times).messages
    assert sorted(found["delivered"]) == [2.0, 5.0, 9.0]


@ENGINES
def test_a_storm_of_clients_takes_as_long_as_their_hosts_wait(engine):
    """100 come at once, 50 ms each: without a backlog they are in after 5 s. With one of 10 the
    node is idle while hosts wait, and the last of them is in after 15 s (1 + 2 + 4 + 8) or later.
    """
    system = System(
        "storm",
        workload=Workload(traffic=Closed(1), start="together"),
        cpu=Cpu(connect=Deterministic(0.05)),
        push=PushServer(),
    )
    limited = evolve(system, push=PushServer(backlog=10))
    last = [
        simulate(
            one, agents=100, duration=200.0, warmup=0.0, drain=0.0, engine=engine,
            keep_messages=True,
        ).messages["delivered"].max()
        for one in (system, limited)
    ]  # fmt: skip
    assert last[0] == pytest.approx(5.0, abs=0.2)
    assert last[1] > 15.0
