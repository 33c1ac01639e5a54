"""Connections that several agents share: small examples, worked out by hand, on each engine.

Where nothing else is said, all agents start at 0 and send one message around their ring.
"""

import pytest

from lhsim import simulate
from lhsim.distributions import Deterministic, Exponential
from lhsim.errors import InputError
from lhsim.models import (
    Closed,
    Cpu,
    EventStore,
    Memory,
    Network,
    Periodic,
    Poisson,
    PushServer,
    Slow,
    System,
    Workload,
)
from lhsim.rules import RANDOM, slowness, start_time

ENGINES = pytest.mark.parametrize("engine", ["simpy", "compiled"])
ONCE = Workload(traffic=Closed(1), start="together")
PAIRS = Workload(topology="pair", traffic=Closed(1), start="together")  # 0 to 1, 2 to 3
SEED = 13


def run(engine, agents_per_connection, *, agents=4, duration=2.0, workload=ONCE, **parts):
    fields = {name: parts.pop(name) for name in ("cpu", "network", "store", "memory")
              if name in parts}  # fmt: skip
    system = System(
        name="example",
        workload=workload,
        push=PushServer(agents_per_connection=agents_per_connection, **parts),
        **fields,
    )
    return simulate(
        system,
        agents=agents,
        duration=duration,
        seed=SEED,
        warmup=0.0,
        drain=0.0,
        engine=engine,
        keep_messages=True,
    )


def delivered(result):
    """Return when the message from each agent was delivered, or how else it ended."""
    table = result.messages.sort_values("sender")
    return [
        pytest.approx(float(time), abs=1e-9) if outcome == "delivered" else outcome
        for outcome, time in zip(table.outcome, table.delivered, strict=True)
    ]


# What a connection costs


@ENGINES
@pytest.mark.parametrize(("shared_by", "connections"), [(1, 10), (4, 3), (5, 2), (10, 1), (99, 1)])
def test_agents_in_a_row_share_a_connection_and_its_costs(engine, shared_by, connections):
    result = run(
        engine,
        shared_by,
        agents=10,
        workload=Workload(traffic=Periodic(0.01), start="together"),
        cpu=Cpu(connect=Deterministic(0.1)),
        memory=Memory(baseline=1e6, per_agent=1e3, per_connection=1e5),
    )
    assert result.counters.attempts == result.metrics.connection_count == connections
    assert result.utilization["cpu"] == pytest.approx(connections * 0.1 / 2.0, rel=1e-9)
    assert result.metrics.memory_peak_mb == pytest.approx(1.01 + 0.1 * connections, rel=1e-9)


@ENGINES
def test_a_limit_of_connections_is_one_of_clients(engine):
    # Two of the three clients are let in: the last one, of agents 8 and 9, is not.
    result = run(engine, 4, agents=10, connections=2, workload=ONCE)
    assert (result.counters.attempts, result.counters.refused) == (3, 1)
    assert list(result.messages.target[result.messages.outcome == "rejected"]) == [8, 9]


@ENGINES
def test_a_connection_has_one_heartbeat_and_one_session(engine):
    # Each of two connections beats at 0.3, 0.6 and 0.9, is over at 1.0, and comes again at 1.5.
    result = run(
        engine,
        2,
        cpu=Cpu(heartbeat=Deterministic(0.05)),
        heartbeat=0.3,
        session=Deterministic(1.0),
        reconnect=Deterministic(0.5),
        duration=1.7,
        workload=Workload(traffic=Periodic(0.01), start="together"),
    )
    assert result.utilization["cpu"] == pytest.approx(2 * 3 * 0.05 / 1.7, rel=1e-9)
    assert result.counters.attempts == 4


# When a client comes


@ENGINES
@pytest.mark.parametrize("shared_by", [1, 2, 3, 6, 9])
def test_a_client_comes_when_the_first_of_its_agents_starts(engine, shared_by):
    agents = 6
    starts = [start_time(RANDOM, 1.0, agent, agents, SEED) for agent in range(agents)]
    assert starts[0] > min(starts[:3])  # else an agent that comes first would always be the first
    result = run(
        engine, shared_by, agents=agents, workload=Workload(traffic=Closed(1), start_over=1.0)
    )
    expected = []
    for sender, created in enumerate(starts):
        first = (sender + 1) % agents // shared_by * shared_by
        expected.append(max(created, min(starts[first : first + shared_by])))
    assert delivered(result) == expected


@ENGINES
def test_a_message_to_an_agent_that_has_not_started_goes_to_its_client(engine):
    # Agents 0 to 3 start at 0, 0.5, 1.0 and 1.5; 0 sends to 1 at 0, and 2 to 3 at 1.0.
    ramp = Workload(topology="pair", traffic=Closed(1), start="ramp", start_over=2.0)
    assert delivered(run(engine, 1, workload=ramp)) == [0.5, 1.5]
    assert delivered(run(engine, 2, workload=ramp)) == [0.0, 1.0]


@ENGINES
def test_at_one_instant_a_client_comes_before_its_agents_send(engine):
    # Nobody has to wait for anybody: each message finds its target's client connected.
    result = run(engine, 2, workload=Workload(topology="pair", traffic=Closed(1), start="together"))
    assert delivered(result) == [0.0, 0.0]
    assert result.counters.sent == 2


@ENGINES
def test_messages_are_the_same_whoever_shares_a_connection(engine):
    # Created at the same times and stored after the same draws: only the connections differ.
    tables = [
        run(
            engine,
            shared_by,
            agents=7,
            workload=Workload("random", Poisson(8.0)),
            network=Network(up=Exponential(0.01), down=Exponential(0.01)),
        ).messages
        for shared_by in (1, 3)
    ]
    for column in ("sender", "number", "target", "created", "stored"):
        assert tables[0][column].equals(tables[1][column])  # NaN, where one is not stored yet
    delays = [table.delivered - table.stored for table in tables]
    late = tables[0].created > 1.1  # when all have come
    assert delays[0][late].count() > 30
    assert delays[0][late].equals(delays[1][late])


# Loops


@ENGINES
def test_agents_that_share_a_connection_are_on_one_loop(engine):
    # 0 and 1 are on one loop, 2 and 3 on the other: the messages from 1 and from 3 cross.
    cpu = Cpu(workers=2, relay=Deterministic(0.01))
    assert delivered(run(engine, 2, cpu=cpu)) == [0.0, 0.01, 0.0, 0.01]
    # By themselves, neighbours are always on different loops, with two messages for each.
    assert delivered(run(engine, 1, cpu=cpu)) == [0.01, 0.01, 0.02, 0.02]


@ENGINES
def test_an_agent_sends_on_the_loop_of_its_client(engine):
    # Two messages on the loop of each client, one after the other.
    cpu = Cpu(workers=2, parse_message=Deterministic(0.01))
    assert delivered(run(engine, 2, cpu=cpu)) == [0.01, 0.02, 0.01, 0.02]
    assert delivered(run(engine, 4, cpu=cpu)) == [0.01, 0.02, 0.03, 0.04]


# The outbound queue


@ENGINES
def test_a_shared_queue_that_one_agent_fills_blocks_the_other(engine):
    # The only place of the queue is taken by the message to 1 when that to 3 comes.
    options = {"workload": PAIRS, "cpu": Cpu(send=Deterministic(0.25)), "outbound": 1}
    assert delivered(run(engine, 1, **options)) == [0.25, 0.5]
    assert delivered(run(engine, 4, **options)) == [0.25, "dropped"]


@ENGINES
def test_the_oldest_that_is_dropped_may_be_another_agents(engine):
    # 0 to 1 is being sent, 2 to 3 waits, and gives its place to 4 to 5.
    result = run(
        engine, 6, agents=6, workload=PAIRS, cpu=Cpu(send=Deterministic(0.25)),
        outbound=2, outbound_policy="drop_oldest",
    )  # fmt: skip
    assert delivered(result) == [0.25, "dropped", 0.5]


@ENGINES
def test_a_request_waits_for_a_slot_that_another_agents_message_has(engine):
    # 2 to 3 waits for the place of 0 to 1, and pays for its own answer after that.
    cpu = Cpu(workers=2, send=Deterministic(0.25), acknowledge=Deterministic(0.1))
    options = {"workload": PAIRS, "cpu": cpu, "outbound": 1, "outbound_policy": "block"}
    assert delivered(run(engine, 4, **options)) == [0.25, 0.6]
    assert delivered(run(engine, 2, **options)) == [0.25, 0.25]


@ENGINES
def test_a_full_queue_disconnects_all_agents_of_the_client(engine):
    # The message to 3 closes the connection at 0; that to 1 is lost, and that to 5 finds nobody.
    # All three come back at 0.2, by one attempt.
    result = run(
        engine, 6, agents=6, workload=PAIRS, cpu=Cpu(send=Deterministic(0.25)),
        outbound=1, outbound_policy="disconnect", reconnect=Deterministic(0.2),
    )  # fmt: skip
    assert delivered(result) == ["lost", "rejected", "rejected"]
    assert result.counters.attempts == 2


@ENGINES
def test_a_batch_holds_messages_to_all_agents_of_the_client(engine):
    # Two agents have one message each: together they fill a batch of two, alone they wait.
    options = {
        "workload": PAIRS, "cpu": Cpu(send=Deterministic(0.25)), "batch_size": 2, "linger": 1.0
    }  # fmt: skip
    shared = run(engine, 4, **options)
    assert delivered(shared) == [0.25, 0.25]
    assert shared.utilization["cpu"] == pytest.approx(0.25 / shared.horizon, rel=1e-9)
    alone = run(engine, 1, **options)
    assert delivered(alone) == [1.25, 1.5]
    assert alone.utilization["cpu"] == pytest.approx(0.5 / alone.horizon, rel=1e-9)


# Delays


def slow_agents(agents):
    return [slowness(0.5, 3.0, agent, SEED) for agent in range(agents)]


@ENGINES
def test_a_message_takes_as_long_as_its_target_is_slow_and_the_client_as_its_first_agent(engine):
    agents = 8
    factors = slow_agents(agents)
    result = run(
        engine,
        4,
        agents=agents,
        workload=Workload(traffic=Closed(1), start="together", slow=Slow(0.5, 3.0)),
        network=Network(up=Deterministic(0.01), down=Deterministic(0.1)),
    )
    expected = []
    for sender in range(agents):
        target = (sender + 1) % agents
        stored, connected = 0.01 * factors[sender], 0.01 * factors[target // 4 * 4]
        expected.append(max(stored, connected) + 0.1 * factors[target])
    assert delivered(result) == expected
    assert factors[0] != factors[4]  # one client is slow, the other is not,
    assert len(set(factors[4:])) > 1  # and its agents are of both kinds


@ENGINES
def test_one_poll_brings_the_messages_of_all_agents_of_the_client(engine):
    # Agents 2 and 3 are refused; their client polls at 0.3: at the store at 0.32, back at 0.37.
    result = run(
        engine,
        2,
        cpu=Cpu(parse_request=Deterministic(0.02), respond=Deterministic(0.01)),
        store=EventStore(query=Deterministic(0.04)),
        connections=1,
        overflow="fallback",
        fallback_interval=0.3,
        duration=0.5,
        workload=Workload(traffic=Closed(1), start="together"),
    )
    assert delivered(result) == [0.0, 0.37, 0.37, 0.0]
    assert (result.counters.cycles, result.counters.refused) == (1, 1)


# Input


@pytest.mark.parametrize("wrong", [0, -1, 1.5, True, "2"])
def test_so_many_agents_cannot_share_a_connection(wrong):
    with pytest.raises(InputError, match="agents_per_connection"):
        PushServer(agents_per_connection=wrong)
