"""Where the two engines are built differently: sizes, types, and the pieces in which one works."""

import attrs
import pytest
from comparison import CANDIDATE, Case, check, differences
from generators import AREAS, TICK
from hypothesis import given, settings
from hypothesis import strategies as st

from lhsim.compiled import engine, setup
from lhsim.distributions import Deterministic, Exponential
from lhsim.metrics.account import Window
from lhsim.models import (
    Closed,
    Cpu,
    EventStore,
    Memory,
    Network,
    Poisson,
    PollingServer,
    PushServer,
    Requests,
    RequestServer,
    Retention,
    Stalls,
    System,
    Warmth,
    Workload,
)

SHORT = Exponential(TICK / 4)
WORKLOAD = Workload(traffic=Poisson(8.0))
POLLING = System(
    name="polling",
    workload=WORKLOAD,
    network=Network(SHORT, SHORT),
    cpu=Cpu(parse_request=SHORT, query=SHORT),
    store=EventStore(SHORT, SHORT),
    polling=PollingServer(interval=8 * TICK),
)
PUSH = System(
    name="push",
    workload=WORKLOAD,
    network=Network(SHORT, SHORT),
    cpu=Cpu(send=SHORT),
    store=EventStore(SHORT, SHORT),
    push=PushServer(),
)
SERVERS = pytest.mark.parametrize("system", [POLLING, PUSH], ids=lambda system: system.name)


# The compiled engine works in pieces of so many events, has room that grows, and three structures
# for its future events; nothing of this may show.


@pytest.mark.parametrize(
    ("module", "name", "value"),
    [
        (engine, "EVENTS_AT_A_TIME", 1),
        (engine, "EVENTS_AT_A_TIME", 7),
        (setup, "FEWEST_MESSAGES", 1),
        (setup, "FEWEST_EVENTS", 1),
        (setup, "MOST_LANES", 1),
        (setup, "_first_days_per_second", lambda *_: 1e-6),
        (setup, "_first_days_per_second", lambda *_: 1e9),
    ],
    ids=[
        "one event at a time",
        "seven events at a time",
        "no room for messages at first",
        "no room for the times of events at first",
        "one lane",
        "long days",
        "short days",
    ],
)
def test_the_pieces_in_which_it_works_do_not_matter(module, name, value):
    @settings(max_examples=15, print_blob=True)
    @given(case=st.one_of(*AREAS.values()))
    def look(case):
        usual = case.run(CANDIDATE)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, name, value)
            assert differences(usual, case.run(CANDIDATE)) == []

    look()


@SERVERS
def test_a_calendar_that_is_never_adjusted(system, monkeypatch):
    monkeypatch.setattr(engine.CompiledEngine, "_tune", lambda *_: None)
    check(Case(system, 40, duration=4.0))


# Sizes


@SERVERS
def test_more_messages_on_their_way_than_there_is_room_for_at_first(system):
    workload = Workload(traffic=Poisson(200.0))
    cpu = attrs.evolve(system.cpu, parse_message=Deterministic(TICK))
    case = Case(attrs.evolve(system, workload=workload, cpu=cpu), 25, duration=1.5)
    check(case)
    assert case.run(CANDIDATE).outcomes["pending"] > setup.FEWEST_MESSAGES


@SERVERS
@pytest.mark.parametrize("batch", [{}, {"batch_size": 3000, "linger": 1.0}])
def test_more_events_with_an_age_than_there_is_room_for_at_first(system, batch):
    workload = Workload(traffic=Poisson(100.0))
    store = EventStore(SHORT, retention=Retention(age=1.0), events=50, **batch)
    gauge = Memory(per_event=1.0)
    parts = {"workload": workload, "store": store, "memory": gauge}
    case = Case(attrs.evolve(system, **parts), 25, duration=2.5)
    check(case)
    assert case.run(CANDIDATE).samples["memory_b"].max() > 2 * setup.FEWEST_EVENTS


@pytest.mark.parametrize("patience", [None, 1.0])
def test_requests_that_take_no_time_have_room(patience, monkeypatch):
    """Each is an event of its own, though none has to wait for anything."""
    monkeypatch.setattr(setup, "FEWEST_MESSAGES", 1)
    traffic = Requests(requests=50, patience=patience)
    parts = {"workload": Workload(traffic=traffic), "network": Network(), "cpu": Cpu()}
    system = System("instant", **parts, store=EventStore(), requests=RequestServer())
    check(Case(system, 3))


def test_answers_that_leave_together_have_room(monkeypatch):
    """At the end of one turn of the loop all clients create their next requests."""
    monkeypatch.setattr(setup, "FEWEST_MESSAGES", 1)
    workload = Workload(traffic=Requests(patience=1.0), start="together")
    cpu = Cpu(respond=Deterministic(TICK), turn=TICK)
    server = RequestServer(by_turn=True)
    system = System("turns", workload=workload, network=Network(), cpu=cpu, requests=server)
    check(Case(system, 200))


def test_a_batch_of_writes_may_open_a_batch_for_each_of_its_targets():
    """More places of messages are taken at once than by any other event."""
    store = EventStore(batch_size=500, linger=10.0)
    workload = Workload(traffic=Closed(2), start="together")
    push = PushServer(batch_size=2, linger=1.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(setup, "FEWEST_MESSAGES", 1)
        system = attrs.evolve(PUSH, workload=workload, network=Network(), store=store, push=push)
        check(Case(system, 500, duration=20.0))


@SERVERS
def test_memory_follows_the_messages_on_their_way_and_not_all_that_there_were(system):
    running = engine.CompiledEngine(system, 10, 1, Window(0.0, 500.0, 500.0), keep_messages=False)
    running.advance(50.0)
    before = int(running._state.counts["used"][0])
    running.advance(500.0)
    assert running.counters().created > 39_000
    assert running._state.counts["used"][0] < 2 * before < 400


@SERVERS
def test_more_loops_than_lanes(system):
    cpu = attrs.evolve(system.cpu, workers=20, relay=SHORT)
    check(Case(attrs.evolve(system, cpu=cpu), 50, duration=1.0))


@SERVERS
def test_a_thousand_agents_at_one_instant(system):
    together = Workload(traffic=Poisson(1.0), start="together")
    constant = Cpu(workers=2, parse_request=Deterministic(TICK / 64), send=Deterministic(TICK / 64))
    check(Case(attrs.evolve(system, workload=together, cpu=constant), 1000, duration=1.0))


@SERVERS
def test_few_events_in_a_long_time(system):
    rare = Workload(traffic=Poisson(1e-4), start_over=100.0)
    parts = {"polling": PollingServer(interval=100.0, timeout=1e4)} if system.polling else {}
    check(Case(attrs.evolve(system, workload=rare, **parts), 3, duration=1e5))


# Values at the edge of what is allowed


@pytest.mark.parametrize("share", [1e-300, 1e-9, 0.5, 0.9])
@SERVERS
def test_a_window_of_any_length(system, share):
    check(Case(system, 4, warmup=2.0 * share, drain=0.0))
    check(Case(system, 4, warmup=0.0, drain=2.0 * share))


@pytest.mark.parametrize(("gap", "length"), [(0.0, 0.5), (0.1, 0.0), (TICK, TICK), (1e-3, 1e-6)])
@SERVERS
def test_stalls_without_a_gap_or_a_length(system, gap, length):
    stalls = Stalls(Deterministic(gap), Deterministic(length))
    check(Case(attrs.evolve(system, cpu=attrs.evolve(system.cpu, stalls=stalls)), 4))


# A description made in Python may hold whole numbers for real ones; one from a file never does.


@SERVERS
def test_whole_numbers_of_bytes(system):
    check(Case(attrs.evolve(system, memory=Memory(1, 2, 3, 4)), 4))


@SERVERS
def test_whole_numbers_in_a_table_of_warmth(system):
    cpu = attrs.evolve(system.cpu, warmth=Warmth((0, 1), (0, 2), memory=1))
    check(Case(attrs.evolve(system, cpu=cpu), 4))


@pytest.mark.parametrize("several", [1, 2, 5, 9, 10, 11, 2**31, 2**63])
@pytest.mark.parametrize("topology", ["ring", "pair", "random", "hub", "broadcast"])
def test_any_number_of_agents_shares_a_connection(topology, several):
    cpu = attrs.evolve(PUSH.cpu, workers=3, relay=SHORT, connect=SHORT, parse_message=SHORT)
    server = PushServer(
        agents_per_connection=several, session=Exponential(8 * TICK), reconnect=Exponential(TICK)
    )
    workload = Workload(topology, Poisson(16.0 if topology != "broadcast" else 4.0))
    shared = attrs.evolve(PUSH, push=server, cpu=cpu, workload=workload)
    check(Case(shared, 10, duration=1.0))


@pytest.mark.parametrize("several", [10, 11, 1000])
def test_more_agents_than_there_are_share_the_connection_of_all(several):
    one, all_of_them = (
        Case(attrs.evolve(PUSH, push=PushServer(agents_per_connection=number)), 10)
        for number in (several, 10)
    )
    assert differences(one.run(), all_of_them.run()) == []


def test_whole_numbers_of_seconds():
    server = PollingServer(interval=1, timeout=2, backoff=1, connections=2)
    system = attrs.evolve(POLLING, polling=server)
    check(Case(system, 4, duration=10, warmup=1, drain=1))


@pytest.mark.parametrize("most", [2**31, 2**63])
def test_limits_that_are_no_limits(most):
    store = EventStore(SHORT, SHORT, connections=most, retention=Retention(count=most))
    batches = EventStore(SHORT, SHORT, batch_size=most, linger=4 * TICK)
    check(Case(attrs.evolve(POLLING, store=batches), 4))
    server = PollingServer(limit=most, connections=most)
    check(Case(attrs.evolve(POLLING, polling=server, store=store), 4))
    check(Case(attrs.evolve(PUSH, push=PushServer(connections=most, outbound=most)), 4))
