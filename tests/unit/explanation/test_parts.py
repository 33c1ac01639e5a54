"""Messages whose way is known by hand."""

import math

import attrs
import pytest

from lhsim.distributions import Deterministic
from lhsim.execution import Cell
from lhsim.explanation.following import follow
from lhsim.metrics.account import Outcome
from lhsim.models import (
    Closed,
    Collection,
    Cpu,
    EventStore,
    Network,
    Periodic,
    PollingServer,
    PushServer,
    Requests,
    RequestServer,
    Retry,
    Server,
    ServerProcesses,
    Slowdown,
    Stall,
    System,
    Workload,
)
from lhsim.models.faults import Outage

MS = 1e-3


def ms(value):
    return Deterministic(value * MS)


def parts(system, agents=2, duration=20.0, warmup=0.0):
    """Return the parts of each message [ms], oldest first."""
    cell = Cell(system, agents, duration, 1, warmup=warmup, drain=0.0)
    _, messages, found = follow(cell, 1)
    return messages, found.parts.mul(1e3)


def once(**system):
    """Return a system in which the one sender sends its one message at time 0."""
    workload = Workload(traffic=Closed(messages=1), start="together", topology="pair")
    return System(name="once", workload=workload, **system)


def test_push_is_the_sum_of_its_steps():
    cpu = Cpu(parse_message=ms(1), validate=ms(2), write=ms(4), send=ms(8), acknowledge=ms(64))
    system = once(
        push=PushServer(),
        cpu=cpu,
        store=EventStore(write=ms(16)),
        network=Network(up=ms(32), down=ms(128)),
    )
    _, found = parts(system)
    first = found.iloc[0]
    assert first["network"] == pytest.approx(32 + 128)
    assert first["cpu service"] == pytest.approx(1 + 2 + 4 + 8)
    assert first["store service"] == pytest.approx(16)
    assert "cpu waiting" not in found or first["cpu waiting"] == pytest.approx(0)


def test_polling_sleeps_until_the_next_query():
    # Pollers ask at 0, find nothing and sleep for 1 s; the message is there after 30 ms.
    system = once(
        polling=PollingServer(interval=1.0),
        cpu=Cpu(parse_message=ms(10), respond=ms(5)),
        store=EventStore(query=ms(3)),
        network=Network(up=ms(20), down=ms(40)),
    )
    _, found = parts(system)
    first = found.iloc[0]
    # Asked at 20 ms, answered at 23 ms, asleep to 1,023 ms: less what lies before the message.
    assert first["sleep"] == pytest.approx(1023 - 30)
    assert first["network"] == pytest.approx(20 + 40)
    assert first["cpu service"] == pytest.approx(10 + 5)
    assert first["store service"] == pytest.approx(3)
    assert first.sum() == pytest.approx(1023 + 3 + 5 + 40)


def test_two_messages_at_once_wait_for_each_other():
    workload = Workload(traffic=Closed(messages=1), start="together", topology="ring")
    system = System(name="two", workload=workload, push=PushServer(), cpu=Cpu(validate=ms(10)))
    _, found = parts(system)
    assert sorted(found["cpu waiting"]) == pytest.approx([0, 10])
    assert list(found["cpu service"]) == pytest.approx([10, 10])


def test_a_pause_is_a_part_of_its_own():
    stall = Stall(component="cpu", at=0.004, duration=0.1)
    _, found = parts(once(push=PushServer(), cpu=Cpu(validate=ms(10)), faults=(stall,)))
    assert found.iloc[0]["pauses"] == pytest.approx(100)
    assert found.iloc[0]["cpu service"] == pytest.approx(10)


def test_a_slow_spell_is_a_part_of_its_own():
    slow = Slowdown(at=0.0, duration=1.0, factor=3.0)
    _, found = parts(once(push=PushServer(), cpu=Cpu(validate=ms(10)), faults=(slow,)))
    assert found.iloc[0]["slow spells"] == pytest.approx(20)
    assert found.iloc[0]["cpu service"] == pytest.approx(10)


def test_a_collection_is_overhead():
    cpu = Cpu(validate=ms(10), collection=Collection(every=1, cost=ms(7)))
    _, found = parts(once(push=PushServer(), cpu=cpu))
    assert found.iloc[0]["cpu overhead"] == pytest.approx(7)
    assert found.iloc[0]["cpu service"] == pytest.approx(10)


@pytest.mark.parametrize("quantum", [0.0, 1 * MS])
def test_the_slices_of_others_are_waiting(quantum):
    workload = Workload(traffic=Requests(requests=1), start="together")
    system = System(
        name="shared", workload=workload, requests=RequestServer(),
        cpu=Cpu(query=ms(10), quantum=quantum),
    )  # fmt: skip
    _, found = parts(system)
    assert list(found["cpu service"]) == pytest.approx([10, 10])
    assert sum(found["cpu waiting"]) == pytest.approx(20 if quantum == 0 else 19)


def test_a_request_waits_for_a_worker():
    workload = Workload(traffic=Requests(requests=1), start="together")
    system = System(name="one worker", workload=workload, requests=RequestServer(workers=1),
                    store=EventStore(query=ms(10)))  # fmt: skip
    _, found = parts(system)
    assert sorted(found["worker or turn"]) == pytest.approx([0, 10])


def test_a_batch_waits_for_its_commit():
    store = EventStore(write=ms(3), batch_size=8, linger=0.05)
    _, found = parts(once(push=PushServer(), store=store))
    assert found.iloc[0]["commit"] == pytest.approx(50)
    assert found.iloc[0]["store service"] == pytest.approx(3)


def test_a_message_that_is_sent_again_has_the_way_of_the_attempt_that_came():
    workload = Workload(
        traffic=Closed(messages=1), start="together", topology="pair",
        retry=Retry(timeout=1.0, attempts=3, backoff=0.5, jitter=0.0),
    )  # fmt: skip
    system = System(
        name="again", workload=workload, push=PushServer(reconnect=ms(100)),
        cpu=Cpu(validate=ms(10)), network=Network(up=ms(5)),
        faults=(Outage(at=0.0, duration=0.2),),
    )  # fmt: skip
    messages, found = parts(system)
    latency = (messages["delivered"] - messages["created"]) * 1e3
    assert found.iloc[0].sum() == pytest.approx(latency.iloc[0])
    assert found.iloc[0]["cpu service"] == pytest.approx(10)
    assert found.iloc[0]["network"] == pytest.approx(5)
    assert found.iloc[0]["commit"] == pytest.approx(latency.iloc[0] - 15)


@attrs.frozen
class Desk(Server):
    """A server that hands a message over after a step of the bridge and a wait of its own."""

    def serve(self, bridge):
        return DeskProcesses(bridge)


class DeskProcesses(ServerProcesses):
    def carry(self, message):
        if (yield from self.bridge.receive(message)):
            yield self.env.timeout(0.5)
            self.bridge.ledger.end(message, Outcome.DELIVERED, self.env.now)


def test_what_a_server_of_your_own_does_is_elsewhere():
    workload = Workload(traffic=Periodic(rate=1.0), start="together")
    system = System(name="desk", workload=workload, server=Desk(),
                    cpu=Cpu(parse_message=ms(10)))  # fmt: skip
    _, found = parts(system, agents=1)
    assert list(found["elsewhere"]) == pytest.approx([500] * len(found))
    assert list(found["cpu service"]) == pytest.approx([10] * len(found))


def test_parts_that_no_message_has_are_left_out():
    _, found = parts(once(push=PushServer(), cpu=Cpu(validate=ms(10))))
    assert list(found.columns) == ["cpu service"]
    assert not any(math.isnan(value) for value in found.to_numpy().ravel())
