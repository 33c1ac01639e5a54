"""Hub and broadcast: worked examples by hand, run by both engines, and what they change."""

import attrs
import pytest

import lhsim
from lhsim.distributions import Deterministic
from lhsim.errors import InputError
from lhsim.models import (
    Closed,
    Cpu,
    EventStore,
    Network,
    Poisson,
    PollingServer,
    PushServer,
    System,
    Workload,
)

ENGINES = pytest.mark.parametrize("engine", ["simpy", "compiled"])


def ms(time):
    return Deterministic(time * 1e-3)


PUSH = System(
    name="push",
    workload=Workload(traffic=Closed(1), start="together"),
    network=Network(ms(1), ms(1)),
    cpu=Cpu(parse_message=ms(2), send=ms(4), acknowledge=ms(5)),
    store=EventStore(write=ms(3)),
    push=PushServer(),
)
POLLING = attrs.evolve(PUSH, push=None, polling=PollingServer(interval=0.010))


def run(system, topology, engine, agents=3, **workload):
    workload = attrs.evolve(system.workload, topology=topology, **workload)
    system = attrs.evolve(system, workload=workload)
    return lhsim.simulate(
        system, agents=agents, duration=1.0, warmup=0.0, engine=engine, keep_messages=True
    )


def times(result):
    """Return (sender, number, target, created, stored, delivered) of each message, in ms."""
    columns = ("sender", "number", "target", "created", "stored", "delivered")
    rows = zip(*(result.records[name].tolist() for name in columns), strict=True)
    return [(*row[:3], *(round(time * 1e3, 6) for time in row[3:])) for row in rows]


@ENGINES
def test_in_a_hub_all_others_send_to_agent_0(engine):
    """Up 1 ms; parsed at 3 and 5 ms, one after the other; stored 3 ms later; sent in turn."""
    assert times(run(PUSH, "hub", engine)) == [
        (1, 0, 0, 0, 6, 11),  # sent from 6 to 10 ms
        # Stored at 8 ms, it is sent from 10 to 14 ms, before the first one is acknowledged.
        (2, 0, 0, 0, 8, 15),
    ]


@ENGINES
def test_a_broadcast_comes_to_the_server_once_and_leaves_it_for_each_target(engine):
    """Up 1 ms, parsed at 3 ms and stored at 6 ms; sent from 6 to 10 and from 10 to 14 ms."""
    result = run(PUSH, "broadcast", engine)
    assert times(result) == [(0, 0, 1, 0, 6, 11), (0, 1, 2, 0, 6, 15)]
    assert result.counters.writes == 1
    assert result.counters.stored == result.counters.sent == 2


@ENGINES
def test_the_next_broadcast_waits_for_all_messages_of_the_last_one(engine):
    """Created at 15 ms: parsed from 19 ms, after the acknowledgement, to 21 ms."""
    rows = times(run(PUSH, "broadcast", engine, traffic=Closed(2)))
    assert rows[2:] == [(0, 2, 1, 15, 24, 29), (0, 3, 2, 15, 24, 33)]


@ENGINES
def test_a_broadcast_is_one_event_that_each_poller_finds(engine):
    """Queries at 1, 11, 21 ms, ...; the write ends at 6 ms; down 1 ms."""
    result = run(POLLING, "broadcast", engine)
    assert times(result) == [(0, 0, 1, 0, 6, 12), (0, 1, 2, 0, 6, 12)]
    assert result.counters.writes == 1


@ENGINES
def test_a_broadcast_to_one_is_a_single_message(engine):
    rows = [run(PUSH, topology, engine, agents=2) for topology in ("broadcast", "pair")]
    assert times(rows[0]) == times(rows[1])


@pytest.mark.parametrize(
    ("topology", "messages"), [("ring", 40), ("pair", 20), ("hub", 36), ("broadcast", 36)]
)
def test_the_offered_load_counts_messages(topology, messages):
    workload = Workload(topology=topology, traffic=Poisson(4.0))
    assert workload.offered_load(10) == messages
    assert workload.started_by == 1.0
    system = attrs.evolve(PUSH, workload=workload)
    result = lhsim.simulate(system, agents=10, duration=100.0, warmup=0.0, seed=3)
    # Poisson: a broadcast is 400 times 9 messages, so the deviation is 9 times 20.
    deviation = (9 if topology == "broadcast" else 1) * (100 * messages) ** 0.5
    assert result.counters.created == pytest.approx(100 * messages, abs=4 * deviation)


def test_a_broadcast_to_many_needs_room_for_all_of_them():
    """More messages at one instant than the compiled engine has places for at first."""
    system = attrs.evolve(PUSH, workload=attrs.evolve(PUSH.workload, topology="broadcast"))
    free = attrs.evolve(system, cpu=Cpu(), network=Network(), store=EventStore())
    result = lhsim.simulate(free, agents=20_000, duration=1.0, keep_messages=True)
    assert result.outcomes["delivered"] == 19_999
    assert sorted(result.records["target"]) == list(range(1, 20_000))


@pytest.mark.parametrize("topology", ["hub", "broadcast"])
def test_one_agent_has_no_other_to_send_to(topology):
    with pytest.raises(InputError, match="1 has no other to send to"):
        run(PUSH, topology, "simpy", agents=1)
