"""Token buckets: a worked example by hand, a published figure, and what a limit is good for."""

import attrs
import pytest

import lhsim
from lhsim import parameters
from lhsim.distributions import Deterministic
from lhsim.errors import InputError
from lhsim.models import (
    Closed,
    Cpu,
    EventStore,
    Periodic,
    PollingServer,
    PushServer,
    RateLimit,
    System,
    Workload,
)

ENGINES = pytest.mark.parametrize("engine", ["simpy", "compiled"])
SECOND = Deterministic(1.0)


def run(limit, engine="compiled", traffic=None, agents=2, duration=9.5, server=PushServer, **parts):
    name = "push" if server is PushServer else "polling"
    system = System(
        name="limited",
        workload=Workload("pair", traffic or Closed(None, SECOND), start="together"),
        **{name: server(rate_limit=limit)},
    )
    return lhsim.simulate(
        attrs.evolve(system, **parts), agents=agents, duration=duration, warmup=0.0, drain=0.0,
        engine=engine, keep_messages=True,
    )  # fmt: skip


@ENGINES
def test_a_message_takes_a_token_when_it_has_been_parsed_or_is_rejected(engine):
    """A message every 1.1 s, 0.1 s of it in the parser; two tokens at first, and one in 4 s.

    Tokens when the messages have been parsed, at 0.1, 1.2, ..., 8.9 s: 2, 1.275, 0.55, 0.825, 1.1,
    0.375, 0.65, 0.925, 1.2.
    """
    cpu = Cpu(parse_message=Deterministic(0.1), acknowledge=Deterministic(0.01))
    result = run(RateLimit(0.25, 2), engine, cpu=cpu)
    let_in = [True, True, False, False, True, False, False, False, True]
    assert [outcome == "delivered" for outcome in result.records["outcome"]] == let_in
    assert result.records["created"] == pytest.approx([1.1 * number for number in range(9)])
    assert result.outcomes["rejected"] == result.counters.limited == 5
    assert result.counters.writes == 4
    # Parsed are all, acknowledged those alone that are let in.
    assert result.utilization["cpu"] * 9.5 == pytest.approx(9 * 0.1 + 4 * 0.01)


@ENGINES
def test_a_token_is_there_at_the_instant_at_which_it_comes(engine):
    result = run(RateLimit(1.0, 1), engine)
    assert result.records["created"].tolist() == [float(second) for second in range(10)]
    assert result.outcomes["rejected"] == 0


@ENGINES
@pytest.mark.parametrize("server", [PushServer, PollingServer])
def test_the_published_throughput_is_that_of_the_rate_limiter(engine, server):
    """100 agents, 60 s, 36.6 requests/s: 2200 of 53,100 requests, and 50,900 refused.

    Ten tokens a minute and three more: a bucket of 13. Each agent goes on to ask, so it gets in
    floor(13 + 10 t / 60) times, where t is its last request just before 60 s: 22 times.
    """
    limit = parameters.structure({"rate": "10/min", "burst": 13}, RateLimit, source="published")
    traffic = Periodic(53_100 / 60 / 100)
    ring = Workload("ring", traffic, start="together")
    result = run(limit, engine, agents=100, duration=60.0, server=server, workload=ring)
    assert result.counters.writes == 2200
    assert result.counters.limited == result.outcomes["rejected"] == 50_900


@ENGINES
def test_a_broadcast_takes_one_token(engine):
    workload = Workload("broadcast", Closed(None, SECOND), start="together")
    result = run(RateLimit(0.5, 1), engine, agents=4, duration=3.5, workload=workload)
    outcomes = result.records["outcome"].tolist()
    assert outcomes == ["delivered"] * 3 + ["rejected"] * 3 + ["delivered"] * 3 + ["rejected"] * 3
    assert result.counters.limited == 6


def test_a_limit_keeps_the_store_from_being_overloaded():
    """40 writes a second offered, and 20 possible; a tenth of the rate is let in."""
    parts = {"store": EventStore(write=Deterministic(0.05), single_writer=True)}
    workload = Workload("ring", Periodic(10.0))
    some = {"agents": 4, "duration": 100.0, "workload": workload, **parts}
    free, limited = (run(limit, **some) for limit in (None, RateLimit(1.0, 1)))
    assert free.overloaded
    assert not limited.overloaded
    assert limited.utilization["writer"] == pytest.approx(4 * 1.0 * 0.05, rel=0.05)


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"rate": 0.0, "burst": 3}, "rate: 0.0 is out of range; allowed: a number > 0"),
        ({"rate": 1.0, "burst": 0}, "burst: 0 is out of range; allowed: a whole number >= 1"),
        ({"rate": 1.0}, "burst: is missing"),
    ],
)
def test_a_bad_limit_is_refused(settings, line):
    with pytest.raises(InputError, match=line):
        parameters.structure({"rate_limit": settings}, PushServer, source="file")
