"""When a sender has its answer, in examples worked out by hand. Times in ms."""

import attrs
import numpy as np
import pytest

from lhsim.distributions import Deterministic
from lhsim.models import (
    Closed,
    Cpu,
    EventStore,
    Network,
    PollingServer,
    PushServer,
    RateLimit,
    Retry,
    System,
    Workload,
)
from lhsim.simulation import simulate

ENGINES = pytest.mark.parametrize("engine", ["simpy", "compiled"])


def ms(time: float) -> Deterministic:
    return Deterministic(time / 1e3)


COSTS = {
    "network": Network(up=ms(1), down=ms(1)),
    "store": EventStore(write=ms(3)),
    "cpu": Cpu(parse_message=ms(2), acknowledge=ms(4), send=ms(5)),
}


def acknowledged(engine, server, *, agents=2, messages=1, topology="pair", **parts):
    """Return when messages were acknowledged, in their order, in ms."""
    workload = Workload(topology=topology, traffic=Closed(messages), start="together")
    system = System("example", **{"workload": workload, **COSTS, **server, **parts})
    run = simulate(
        system,
        agents=agents,
        duration=10.0,
        warmup=0.0,
        drain=0.0,
        engine=engine,
        keep_messages=True,
    )
    return np.round(run.records["acknowledged"] * 1e3, 6).tolist()


@ENGINES
def test_a_stored_message_is_acknowledged(engine):
    """Up 1 ms, parsed at 3, stored at 6, answered at 10: the way back is not the server's."""
    assert acknowledged(engine, {"polling": PollingServer()}) == [10]


@ENGINES
def test_a_message_is_pushed_before_it_is_acknowledged(engine):
    assert acknowledged(engine, {"push": PushServer()}) == [15]


@ENGINES
def test_messages_that_are_sent_together_have_one_answer(engine):
    """Stored at 6 ms, and sent from 6 to 21, one copy after the other: all are ahead of it."""
    times = acknowledged(engine, {"push": PushServer()}, agents=4, topology="broadcast")
    assert times[0] == 25
    assert np.isnan(times[1:]).all()


@ENGINES
def test_a_message_that_is_refused_is_not_acknowledged(engine):
    limit = RateLimit(rate=1e-3, burst=1)
    polling = attrs.evolve(PollingServer(), rate_limit=limit)
    times = acknowledged(engine, {"polling": polling}, messages=2)
    assert times[0] == 10
    assert np.isnan(times[1])


def test_of_several_attempts_the_first_answer_counts():
    """The first attempt is given up at 5 ms; both are acknowledged, at 10 ms and after."""
    retry = Retry(timeout=0.005, attempts=2, backoff=0.0)
    workload = Workload(topology="pair", traffic=Closed(1), start="together", retry=retry)
    times = acknowledged("simpy", {"polling": PollingServer()}, workload=workload)
    assert times == [10]
