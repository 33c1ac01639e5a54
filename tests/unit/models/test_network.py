"""Slow agents and lost packets: worked examples by hand, and what they change."""

import attrs
import numpy as np
import pytest

import lhsim
from lhsim.distributions import Deterministic, Exponential, Shifted
from lhsim.errors import InputError
from lhsim.models import (
    Closed,
    Network,
    Poisson,
    PollingServer,
    PushServer,
    Slow,
    System,
    Workload,
)
from lhsim.rules import slowness
from lhsim.streams import Purpose, uniform

ENGINES = pytest.mark.parametrize("engine", ["simpy", "compiled"])


def ms(time):
    return Deterministic(time * 1e-3)


PUSH = System(
    name="push",
    workload=Workload("pair", Closed(2, ms(10)), start="together"),
    network=Network(ms(1), ms(2)),
    push=PushServer(),
)
POLLING = attrs.evolve(PUSH, push=None, polling=PollingServer(interval=0.010))


def run(system, engine="compiled", agents=2, duration=30.0, seed=1):
    return lhsim.simulate(
        system, agents=agents, duration=duration, warmup=0.0, seed=seed, engine=engine,
        keep_messages=True,
    )  # fmt: skip


def slow(system, share, factor, **workload):
    workload = attrs.evolve(system.workload, slow=Slow(share, factor), **workload)
    return attrs.evolve(system, workload=workload)


def times(result):
    """Return (created, stored, delivered) of each message, in ms."""
    columns = (result.records[name].tolist() for name in ("created", "stored", "delivered"))
    return [tuple(round(time * 1e3, 6) for time in row) for row in zip(*columns, strict=True)]


def seed_with(slow_agents):
    """Return the first seed with which, of two agents, half of all, just these are slow."""
    return next(
        seed
        for seed in range(100)
        if [agent for agent in (0, 1) if slowness(0.5, 3.0, agent, seed) > 1] == slow_agents
    )


# Up 1 ms, down 2 ms, a pause of 10 ms: a slow sender takes three times as long for the first and
# the last, a slow target for the way down.
@ENGINES
@pytest.mark.parametrize(
    ("slow_agents", "expected"),
    [
        ([], [(0, 1, 3), (13, 14, 16)]),
        ([0], [(0, 3, 5), (35, 38, 40)]),
        ([1], [(0, 3, 9), (19, 20, 26)]),  # the first waits until its target has come, at 3 ms
        ([0, 1], [(0, 3, 9), (39, 42, 48)]),
    ],
)
def test_a_slow_agent_takes_longer_for_its_own_steps(engine, slow_agents, expected):
    if slow_agents == [1]:
        expected = [(0, 1, 9), *expected[1:]]
    result = run(slow(PUSH, 0.5, 3.0), engine, seed=seed_with(slow_agents))
    assert times(result) == expected


@ENGINES
def test_a_slow_poller_asks_answers_and_thinks_longer(engine):
    """Up 1 ms, down 2 ms, think 4 ms, all times three; a message at 1 ms, and then every 30."""
    system = slow(POLLING, 0.5, 3.0, traffic=Closed(2), think=ms(4))
    result = run(system, engine, seed=seed_with([1]))
    # It asks at 3 ms and gets the first message at 3 + 6 ms; the second is created then and stored
    # at 10 ms; it thinks until 21 ms, asks at 24 ms, and has it at 30 ms.
    assert times(result) == [(0, 1, 9), (9, 10, 30)]


def test_slow_agents_slow_down_no_one_else():
    messages = run(slow(PUSH, 0.3, 50.0, traffic=Poisson(5.0)), agents=40, seed=2).messages
    times_longer = np.array([slowness(0.3, 50.0, agent, 2) for agent in range(40)])
    expected = times_longer[messages["sender"]] * 1e-3 + times_longer[messages["target"]] * 2e-3
    settled = messages["outcome"] == "delivered"
    settled &= messages["created"] > 1.0  # all are connected
    latency = messages["delivered"] - messages["created"]
    assert len(messages) > 1000
    assert latency[settled].to_numpy() == pytest.approx(expected[settled])


LOSSY = Network(ms(1), ms(2), loss=0.25, retransmission_timeout=0.1)


def late(purpose, entity, index):
    """Return by how many ms a packet is late: 100 for the first loss, 200 for the second, ..."""
    u = uniform(1, int(purpose), entity, index)
    losses = sum(u < 0.25**k for k in range(1, 30))
    return 100 * (2**losses - 1)


@ENGINES
def test_what_is_lost_is_sent_again_after_a_timeout_that_doubles(engine):
    """Up 1 ms, down 2 ms, a pause of 10 ms, and the delays of the packets that were lost."""
    system = attrs.evolve(PUSH, network=LOSSY)
    system = attrs.evolve(system, workload=Workload("pair", Closed(40, ms(10)), start="together"))
    expected, created, late_ones = [], 0, 0
    connected = 1 + late(Purpose.LOSS_REQUEST_UP, 1, 0)
    for number in range(40):
        up = late(Purpose.LOSS_MESSAGE_UP, 0, number)
        down = late(Purpose.LOSS_PUSH_DOWN, 0, number)
        stored = created + 1 + up
        delivered = max(stored, connected) + 2 + down
        expected.append((created, stored, delivered))
        created = delivered + 10
        late_ones += (up > 0) + (down > 0)
    assert 10 < late_ones < 30
    assert times(run(system, engine)) == expected


@ENGINES
def test_a_request_and_its_answer_may_be_lost_as_well(engine):
    """The poller has one request for each of the messages, which wait for it."""
    system = attrs.evolve(POLLING, network=LOSSY)
    system = attrs.evolve(system, workload=Workload("pair", Closed(1), start="together"))
    stored = 1 + late(Purpose.LOSS_MESSAGE_UP, 0, 0)
    query = 1 + late(Purpose.LOSS_REQUEST_UP, 1, 0)
    while query < stored:
        query += 10
    delivered = query + 2 + late(Purpose.LOSS_ANSWER_DOWN, 1, 0)
    assert times(run(system, engine)) == [(0, stored, delivered)]


def test_loss_loses_no_message_and_moves_the_tail():
    system = attrs.evolve(PUSH, workload=Workload(traffic=Poisson(10.0)))
    system = attrs.evolve(system, network=Network(ms(1), ms(2)))
    lossy = attrs.evolve(system, network=attrs.evolve(system.network, loss=0.01))
    clean, late = (run(one, agents=100, duration=60.0) for one in (system, lossy))
    assert late.outcomes["lost"] == late.outcomes["dropped"] == late.outcomes["rejected"] == 0
    assert late.counters.created == clean.counters.created
    assert late.latency.quantile(0.5) == pytest.approx(clean.latency.quantile(0.5), rel=1e-3)
    # One of a message's two packets is lost with probability 2 %, and then 200 ms late.
    assert clean.latency.quantile(0.99) < 0.004
    assert late.latency.quantile(0.99) == pytest.approx(0.203, rel=0.01)


@ENGINES
def test_loss_needs_no_delay(engine):
    network = attrs.evolve(LOSSY, up=ms(0), down=ms(0))
    system = attrs.evolve(PUSH, network=network)
    system = attrs.evolve(system, workload=Workload("pair", Closed(1), start="together"))
    stored = late(Purpose.LOSS_MESSAGE_UP, 0, 0)
    connected = late(Purpose.LOSS_REQUEST_UP, 1, 0)
    delivered = max(stored, connected) + late(Purpose.LOSS_PUSH_DOWN, 0, 0)
    assert times(run(system, engine)) == [(0, stored, delivered)]


def test_jitter_is_a_random_delay():
    """The smallest delay, and an exponential jitter of mean 3 ms on top of it, each way."""
    jittery = Network(*[Shifted(Exponential(0.003), 0.005)] * 2)
    system = attrs.evolve(
        PUSH, network=jittery, workload=Workload(traffic=Poisson(50.0), start="together")
    )
    result = run(system, agents=20)
    assert result.latency.min == pytest.approx(0.010, rel=0.05)
    assert result.latency.mean == pytest.approx(0.016, rel=0.02)


@pytest.mark.parametrize(
    ("make", "key"),
    [
        (lambda: Slow(1.5, 2.0), "share"),
        (lambda: Slow(0.5, 0.5), "factor"),
        (lambda: Network(loss=0.6), "loss"),
        (lambda: Network(loss=-0.1), "loss"),
        (lambda: Network(retransmission_timeout=0.0), "retransmission_timeout"),
    ],
)
def test_a_bad_value_is_refused(make, key):
    with pytest.raises(InputError, match=f"{key}: .* is out of range; allowed: a number"):
        make()
