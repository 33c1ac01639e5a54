"""The options of the polling server: examples worked out by hand, and what each option changes.

In the examples agent 0 sends and agent 1 receives, both start at 0, and only what is named takes
time: a write, most of all, so that a message is stored at a known time. Both engines run them.
"""

import itertools

import attrs
import numpy as np
import pytest

from lhsim.distributions import Deterministic
from lhsim.errors import InputError
from lhsim.models import (
    Cache,
    Closed,
    EventStore,
    Growth,
    Network,
    Periodic,
    Poisson,
    PollingServer,
    System,
    Workload,
)
from lhsim.simulation import simulate
from lhsim.streams import Purpose, uniform
from lhsim.theory import polling_delay

SEED = 5

engines = pytest.mark.parametrize("engine", ["simpy", "compiled"])


def one_way(server, write, messages=2, **parts):
    """Return a system in which agent 0 sends one message after the other to agent 1."""
    workload = Workload(topology="pair", traffic=Closed(messages), start="together")
    store = EventStore(write=Deterministic(write))
    return System(
        name="one way", **{"workload": workload, "store": store, "polling": server, **parts}
    )


def run(system, engine, agents=2, duration=100.0):
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


def busy(**options):
    """Return a system of pollers that start together and have something to receive."""
    workload = Workload(traffic=Poisson(0.2), start="together")
    return System(name="busy", workload=workload, polling=PollingServer(**options))


# The jitter of the interval


@engines
def test_a_jittered_sleep_by_hand(engine):
    server = PollingServer(interval=2.0, jitter=0.5)
    result = run(one_way(server, write=10.25, messages=1), engine)
    queried, cycle = 0.0, 0  # agent 1 queries at 0, and then after each sleep
    while queried < 10.25:
        u = uniform(SEED, int(Purpose.SLEEP), 1, cycle)
        queried, cycle = queried + 2.0 * (0.5 + u), cycle + 1
    assert result.records["delivered"][0] == pytest.approx(queried, rel=1e-12)
    assert 10.25 < queried < 13.25


@engines
def test_jitter_spreads_pollers_that_start_together(engine):
    def instants(jitter):
        delivered = run(busy(interval=1.0, jitter=jitter), engine, 50).records["delivered"]
        return len(np.unique(delivered[~np.isnan(delivered)]))

    assert instants(0.0) <= 100
    assert instants(0.1) > 500


def test_a_jittered_poll_has_the_delay_of_renewal_theory():
    # Z is uniform on (0, 2), of variance 1/3. The interval covers in all but 1 of 1000 cases.
    result = run(busy(interval=1.0, jitter=1.0), "compiled", 500)
    low, high = result.latency.mean_interval(0.999)
    assert low < polling_delay(1.0, 0.0, 0.0, 1 / 3) < high
    assert high - low < 0.05


# The growth of the interval


@engines
def test_a_growing_sleep_by_hand(engine):
    # Queries at 0, 1, 3, 7: the timeout has passed, so an empty answer and a new request: 7, 8, 10.
    # The second message is created at 10 and stored at 19.5: 10, 11, 13, 17; 17, 18, 20.
    server = PollingServer(interval=1.0, timeout=6.0, growth=Growth(2.0, 4.0))
    result = run(one_way(server, write=9.5), engine)
    assert result.records["delivered"].tolist() == [10.0, 20.0]
    assert result.records["stored"].tolist() == [9.5, 19.5]


@engines
def test_a_sleep_grows_to_the_longest(engine):
    # Queries at 0, 1, 3, 6, 9, 12, 15: a sleep of 2 s and then no more than 3 s.
    server = PollingServer(interval=1.0, growth=Growth(2.0, 3.0))
    result = run(one_way(server, write=12.5, messages=1), engine)
    assert result.records["delivered"].tolist() == [15.0]


@engines
def test_growth_trades_queries_for_latency(engine):
    plain, grown = (
        run(busy(interval=0.5, growth=growth), engine, 20) for growth in (None, Growth(2.0, 8.0))
    )
    assert grown.counters.queries < 0.6 * plain.counters.queries
    assert grown.latency.mean > 2 * plain.latency.mean


# The first sleep


@engines
def test_a_first_sleep_by_hand(engine):
    # Queries at 0, 0.25, 1.25, 2.25: the timeout has passed, so an empty answer and a new request:
    # 2.25, 2.5, 3.5. The second message is created at 2.5 and stored at 4.75: 2.5, 2.75, 3.75,
    # 4.75, where the timeout has passed, and then 4.75 again.
    server = PollingServer(interval=1.0, timeout=2.25, first_sleep=0.25)
    result = run(one_way(server, write=2.375), engine)
    assert result.records["delivered"].tolist() == [2.5, 5.0]
    assert result.records["stored"].tolist() == [2.375, 4.875]


@engines
def test_a_long_first_sleep_is_followed_by_the_interval(engine):
    # Queries at 0, 3, 4, 5.
    server = PollingServer(interval=1.0, first_sleep=3.0)
    result = run(one_way(server, write=4.5, messages=1), engine)
    assert result.records["delivered"].tolist() == [5.0]


@engines
def test_growth_begins_with_the_interval(engine):
    # Queries at 0, 0.5, 1.5, 3.5, 7.5.
    server = PollingServer(interval=1.0, first_sleep=0.5, growth=Growth(2.0, 4.0))
    result = run(one_way(server, write=3.75, messages=1), engine)
    assert result.records["delivered"].tolist() == [7.5]


def test_the_mean_sleep_is_that_of_a_request_that_finds_nothing():
    assert PollingServer(interval=0.3).mean_sleep == 0.3
    # Queries at 0, 1, 3, 5, 7, 9 and an answer at 11, after the timeout of 10.
    assert PollingServer(interval=2.0, timeout=10.0, first_sleep=1.0).mean_sleep == 11 / 6
    assert PollingServer(interval=2.0, timeout=10.0, first_sleep=30.0).mean_sleep == 30.0


@pytest.mark.parametrize("first", [0.1, 0.5, 2.0])
def test_an_idle_agent_asks_once_a_mean_sleep(first):
    server = PollingServer(interval=0.5, timeout=5.0, first_sleep=first)
    result = run(one_way(server, write=1000.0, messages=1), "compiled", duration=1000.0)
    assert result.counters.queries == pytest.approx(2 * 1000 / server.mean_sleep, rel=0.01)


def test_a_longest_sleep_below_the_first_is_refused():
    with pytest.raises(InputError, match=r"growth\.longest.*at least 2\.0 s"):
        PollingServer(interval=2.0, growth=Growth(2.0, 1.0))


@pytest.mark.parametrize(
    ("cls", "values"),
    [
        (PollingServer, {"jitter": 1.5}),
        (PollingServer, {"jitter": -0.1}),
        (Growth, {"factor": 0.5}),
        (Growth, {"longest": 0.0}),
        (Cache, {"ttl": -1.0}),
    ],
)
def test_values_out_of_range_are_refused(cls, values):
    with pytest.raises(InputError, match="out of range"):
        cls(**values)


@engines
def test_without_an_option_nothing_changes(engine):
    plain, growing = (
        run(busy(interval=0.5, **options), engine, 10)
        for options in ({}, {"growth": Growth(1.0, 0.5)})
    )
    assert attrs.asdict(plain.counters) == attrs.asdict(growing.counters)
    assert plain.records["delivered"].tobytes() == growing.records["delivered"].tobytes()


# Wake-on-write


@engines
def test_a_write_ends_the_sleep_by_hand(engine):
    # Stored at 4.25, in the sleep from 4 to 5; the next is created then and stored at 8.5, in the
    # sleep from 8.25 to 9.25. The alarms at 5 and 9.25 go off in vain.
    server = PollingServer(interval=1.0, wake_on_write=True)
    result = run(one_way(server, write=4.25), engine)
    assert result.records["delivered"].tolist() == [4.25, 8.5]
    # Agent 1 queries at 0 ... 4 and 4.25, at 4.25 ... 8.25 and 8.5, and then at 8.5 ... 99.5;
    # agent 0, which nobody writes to, at 0 ... 99 and, with its requests of 60 s each, at 60.
    assert result.metrics.wasted_poll_cycles == result.counters.queries - 2


@engines
def test_a_write_during_a_query_lets_no_sleep_begin_by_hand(engine):
    # Queries from 0 to 1, 3 to 4 and 6 to 7, each seeing what is stored when it begins. The
    # message is stored at 6.5, too late for the third, so the fourth follows at once: 7 to 8.
    server = PollingServer(interval=2.0, wake_on_write=True)
    store = EventStore(query=Deterministic(1.0), write=Deterministic(6.5))
    result = run(one_way(server, write=6.5, messages=1, store=store), engine)
    assert result.records["delivered"].tolist() == [8.0]


@engines
def test_a_wake_up_call_takes_the_sleep_out_of_the_latency(engine):
    plain, woken = (
        run(busy(interval=1.0, wake_on_write=wakes), engine, 20) for wakes in (False, True)
    )
    assert plain.latency.mean == pytest.approx(0.5, abs=0.05)
    assert woken.latency.max < 1e-9


# A message wakes everybody


@engines
def test_a_write_wakes_all_by_hand(engine):
    # Both query at 0 and sleep. A message for agent 0 is stored at 4: both query, and agent 0 asks
    # again at once. Of four, three are stored at 4: all find all of them at the first query.
    server = PollingServer(interval=10.0, timeout=100.0, wake_on_write=True, wake="all")
    workload = Workload("hub", Closed(1), start="together")
    one = System(
        name="hub", workload=workload, store=EventStore(write=Deterministic(4.0)), polling=server
    )
    result = run(one, engine, duration=9.0)
    assert result.records["delivered"].tolist() == [4.0]
    assert result.counters.queries == 2 + 2 + 1
    result = run(one, engine, agents=4, duration=9.0)
    assert set(result.records["delivered"]) == {4.0}
    assert result.metrics.wasted_poll_cycles == result.counters.queries - 1


@engines
def test_those_who_went_to_sleep_first_wake_first(engine):
    # Queries take 1 s on the one connection, and the agents start at 0, 2, 4 and 6. A message for
    # agent 1 is stored at 4.5: 0 wakes before 1, which has slept for less, so that its query lasts
    # from 6 to 7. Agent 2 has queried up to 5, and does so again, from 7 to 8; 3 from 8 to 9, 1
    # from 9 to 10. The message for 3 is stored at 9: what 3 has queried by then is too old, so it
    # does so again, and goes before 0, which goes on after the events that are due.
    server = PollingServer(interval=100.0, wake_on_write=True, wake="all", timeout=1000.0)
    store = EventStore(Deterministic(1.0), Deterministic(4.5), connections=1, single_writer=True)
    one = one_way(server, write=4.5, messages=1, store=store)
    one = attrs.evolve(one, workload=attrs.evolve(one.workload, start="ramp", start_over=8.0))
    result = run(one, engine, agents=4, duration=50.0)
    assert result.records["delivered"].tolist() == [7.0, 11.0]


@engines
def test_a_herd_multiplies_the_queries(engine):
    agents = 20
    one, everybody = (
        run(busy(interval=5.0, wake_on_write=True, wake=wake), engine, agents)
        for wake in ("one", "all")
    )
    # A message makes all query, and its target once more: it asks again.
    per_message = everybody.counters.queries / everybody.counters.delivered
    assert per_message == pytest.approx(agents + 1, rel=0.1)
    assert one.counters.queries < everybody.counters.queries / 5
    assert everybody.latency.max < 1e-9


# A short poll


@engines
def test_a_short_poll_by_hand(engine):
    # Each way takes 0.5 s. Agent 1 asks at 0, is answered at 1, and sleeps to 3; and so at 3, 6 and
    # 9. Its requests are there at 0.5, 3.5 and 6.5. The message is stored at 4: the request of 6
    # finds it, and brings it at 7, where the loop ends.
    server = PollingServer(interval=2.0, hold=False)
    network = Network(Deterministic(0.5), Deterministic(0.5))
    result = run(one_way(server, write=3.5, messages=1, network=network), engine, duration=8.25)
    assert result.records["stored"].tolist() == [4.0]
    assert result.records["delivered"].tolist() == [7.0]
    assert result.counters.timeouts == 0
    assert result.counters.queries == 3 + 3  # and those of agent 0


@engines
def test_the_sleeps_of_a_client_grow_and_start_over_by_hand(engine):
    # Agent 1 asks at 0, sleeps 1, asks at 1, sleeps 2, asks at 3, sleeps 4, asks at 7, sleeps 8,
    # asks at 15. The message is stored at 8, so it comes at 15; it asks again at 15, and sleeps 1:
    # the next one, stored at 23, meets its requests at 16, 18, 22, 30.
    server = PollingServer(interval=1.0, hold=False, growth=Growth(2.0, 8.0))
    result = run(one_way(server, write=8.0), engine)
    assert result.records["delivered"].tolist() == [15.0, 30.0]


@engines
def test_a_short_poll_holds_no_connection(engine):
    held, short = (run(busy(interval=1.0, hold=hold), engine, 20) for hold in (True, False))
    assert held.metrics.connection_count == 20
    assert short.metrics.connection_count == 1
    assert short.latency.mean == pytest.approx(0.5, abs=0.05)
    # Without network and service times both find the same messages at the same times.
    assert held.records["delivered"].tobytes() == short.records["delivered"].tobytes()


@engines
def test_a_long_way_lets_a_short_poll_be_late(engine):
    # C = interval + up + down from one query to the next; half of it, and the way up of the message
    # and down of the answer.
    network = Network(Deterministic(0.5), Deterministic(0.5))
    system = attrs.evolve(busy(interval=1.0, hold=False), network=network)
    result = run(system, engine, 50, duration=200.0)
    assert result.latency.mean == pytest.approx(polling_delay(2.0, 0.0) + 1.0, rel=0.1)


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"hold": False, "timeout": 30.0}, "timeout"),
        ({"hold": False, "wake_on_write": True}, "wake_on_write"),
        ({"wake": "all"}, "wake"),
        ({"wake": "some"}, "wake"),
    ],
)
def test_options_that_mean_nothing_are_refused(options, key):
    with pytest.raises(InputError) as error:
        PollingServer(**options)
    assert error.value.key == key


# The cache


@engines
@pytest.mark.parametrize(("invalidate", "delivered", "queries"), [(True, 5.0, 4), (False, 6.0, 4)])
def test_a_cache_by_hand(engine, invalidate, delivered, queries):
    # Agent 1 queries at 0 and looks up at 1 and 2, where the entry is 2 s old; it queries at 3 and
    # looks up at 4. The message is stored at 4.5. Forgotten: a query at 5 finds it, and nothing new
    # one at 5 again, as at 6 and 7 the entry is fresh. Not forgotten: a look-up at 5, and the
    # query at 6 finds it, and another at 6 nothing new. Agent 0 queries at 0, 3 and 6.
    server = PollingServer(interval=1.0, cache=Cache(ttl=2.0, invalidate=invalidate))
    result = run(one_way(server, write=4.5, messages=1), engine, duration=7.5)
    assert result.records["delivered"].tolist() == [delivered]
    # A closed loop that has sent all its messages ends there: what is counted is up to a sample.
    assert result.counters.queries + result.counters.cache_hits == result.counters.cycles
    assert result.counters.queries == 2 + queries + (not invalidate)


@engines
def test_a_look_up_takes_the_place_of_a_query_by_hand(engine):
    # Both agents query from 0 to 1 and are asleep to 2, where the entries are 2 s old. The loop
    # serves the look-up of agent 0 to 2.5 and that of agent 1 to 3, which is asleep to 4. The entry
    # is gone by then: a query from 4 to 5.
    server = PollingServer(interval=1.0, cache=Cache(ttl=2.0, look_up=Deterministic(0.5)))
    store = EventStore(query=Deterministic(1.0), write=Deterministic(3.25))
    result = run(one_way(server, write=3.25, messages=1, store=store), engine)
    assert result.records["delivered"].tolist() == [5.0]


@engines
def test_a_longer_ttl_never_makes_more_queries(engine):
    # Where neither a query nor a look-up takes time, all cycles are at the same times for any ttl,
    # and each query after one at t is at the first of them beyond t + ttl, or after a write.
    queries = []
    for ttl in (0.0, 0.5, 1.0, 1.5, 2.0, 5.0, 20.0):
        result = run(busy(interval=0.5, jitter=0.5, cache=Cache(ttl)), engine, 20)
        delivered = result.records["delivered"].tobytes()
        queries.append(result.counters.queries)
        if ttl == 0.0:
            without_hits = delivered
        assert delivered == without_hits
    assert queries == sorted(queries, reverse=True)
    assert queries[-1] < queries[0] / 4


@engines
def test_without_invalidation_the_cache_costs_latency(engine):
    fresh, stale = (
        run(busy(interval=0.5, cache=Cache(4.0, invalidate=invalidate)), engine, 20)
        for invalidate in (True, False)
    )
    assert fresh.latency.mean == pytest.approx(0.25, abs=0.05)
    assert stale.latency.mean > 1.5


# Priorities


def urgent(number, share):
    """Return whether a message of agent 0 is of the higher one of two priorities."""
    return uniform(SEED, int(Purpose.PRIORITY), 0, number) < share


@engines
def test_priorities_by_hand(engine):
    # One message a second is created from the phase of agent 0 on, and stored at once. Agent 1
    # queries at 0, 10, 20, ... and again after each answer, which holds two messages: so those of
    # one period are delivered in pairs at one instant, as are answers that cost no time. With an
    # answer that takes 1 s, pair after pair comes 1 s later: the urgent ones first.
    workload = Workload(topology="pair", traffic=Periodic(1.0), start="together")
    server = PollingServer(interval=10.0, limit=2, priorities=(0.25, 0.75))
    system = one_way(
        server, write=0.0, workload=workload, network=Network(down=Deterministic(0.125))
    )
    result = run(system, engine, duration=10.99)
    phase = uniform(SEED, int(Purpose.MESSAGE_GAP), 0, 0)
    stored = phase + np.arange(len(result.records["stored"]))
    assert result.records["stored"] == pytest.approx(stored)
    waiting = [number for number in range(len(stored)) if stored[number] < 10.0]
    waiting.sort(key=lambda number: (not urgent(number, 0.25), number))
    assert any(later < earlier for earlier, later in itertools.pairwise(waiting))
    first, second = waiting[:2], waiting[2:4]
    assert result.records["delivered"][first].tolist() == [10.125, 10.125]
    assert result.records["delivered"][second].tolist() == [10.25, 10.25]


@engines
def test_urgent_messages_wait_less_where_many_wait(engine):
    workload = Workload(topology="pair", traffic=Poisson(9.0), start="together")
    server = PollingServer(interval=1.0, limit=1, priorities=(0.1, 0.9))
    system = one_way(server, 0.0, workload=workload, network=Network(down=Deterministic(0.1)))
    records = run(system, engine, duration=200.0).records
    latency = records["delivered"] - records["created"]
    first = np.array([urgent(number, 0.1) for number in records["number"]])
    assert np.nanmean(latency[first]) < np.nanmean(latency[~first]) / 1.5


@pytest.mark.parametrize("priorities", [(0.5, 0.4), (1.5, -0.5), (float("nan"), 1.0), ("a",)])
def test_shares_that_are_no_parts_of_a_whole_are_refused(priorities):
    with pytest.raises(InputError, match=r"priorities.*numbers >= 0 whose sum is 1"):
        PollingServer(priorities=priorities)
