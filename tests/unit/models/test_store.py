"""The event store, on systems of two agents whose times can be worked out by hand."""

import pytest

from lhsim.distributions import Deterministic
from lhsim.errors import InputError
from lhsim.models import Closed, Cpu, EventStore, Poisson, PushServer, System, Workload
from lhsim.simulation import simulate

MS = 0.001
ENGINES = pytest.mark.parametrize("engine", ["simpy", "compiled"])


def stored(engine, **options):
    """Return when each of two messages is stored [ms] that are created at once, or its outcome."""
    system = System(
        "two writers",
        workload=Workload(traffic=Closed(1), start="together"),
        store=EventStore(write=Deterministic(4 * MS), single_writer=True, **options),
        push=PushServer(),
    )
    messages = simulate(system, agents=2, duration=1.0, engine=engine, keep_messages=True).messages
    done = messages["outcome"] == "delivered"
    return [
        pytest.approx(time / MS) if ok else outcome
        for time, ok, outcome in zip(messages["stored"], done, messages["outcome"], strict=True)
    ]


@ENGINES
def test_writers_wait_in_line(engine):
    assert stored(engine) == [4, 8]


@ENGINES
def test_a_writer_that_finds_the_database_locked_sleeps_longer_each_time(engine):
    # Locked at 0, 1 and 3 ms, which it sleeps 1, 2 and 5 ms after; unlocked at 8 ms.
    assert stored(engine, busy_timeout=1.0) == [4, 12]


@ENGINES
def test_the_last_sleep_of_a_writer_ends_with_its_timeout(engine):
    # Locked at 0, 1 and 3 ms; the last sleep is 1.5 ms instead of 5.
    assert stored(engine, busy_timeout=4.5 * MS) == [4, 8.5]


@ENGINES
def test_a_writer_that_has_slept_enough_gives_up(engine):
    assert stored(engine, busy_timeout=2 * MS) == [4, "rejected"]


@ENGINES
def test_what_a_writer_finds_locked_is_counted(engine):
    system = System(
        "two writers",
        workload=Workload(traffic=Closed(1), start="together"),
        store=EventStore(write=Deterministic(4 * MS), single_writer=True, busy_timeout=1.0),
        push=PushServer(),
    )
    assert simulate(system, agents=2, duration=1.0, engine=engine).counters.locked == 3


def test_only_a_single_writer_can_be_locked_out():
    with pytest.raises(InputError, match="busy_timeout"):
        EventStore(busy_timeout=1.0)


# Batches of writes: four events are ready to be written at once, or two; a write takes 4 ms.


def together(engine, agents=4, **options):
    """Return when each of so many messages is stored [ms], or its outcome, and the counters."""
    system = System(
        "writers",
        workload=Workload(traffic=Closed(1), start="together"),
        store=EventStore(**{"write": Deterministic(4 * MS), "single_writer": True} | options),
        push=PushServer(),
    )
    result = simulate(system, agents=agents, duration=1.0, engine=engine, keep_messages=True)
    done = result.messages["outcome"] == "delivered"
    return [
        pytest.approx(time / MS) if ok else outcome
        for time, ok, outcome in zip(
            result.messages["stored"], done, result.messages["outcome"], strict=True
        )
    ], result.counters


@ENGINES
def test_a_full_batch_is_written_in_one_service(engine):
    # The first event takes 4 ms, each further one 0.5 ms more.
    options = {"batch_size": 4, "linger": 1.0, "write_more": 0.5 * MS}
    times, counters = together(engine, **options)
    assert times == [5.5, 5.5, 5.5, 5.5]
    assert counters.writes == 1


@ENGINES
def test_a_batch_that_is_not_full_lingers_from_its_first_event_on(engine):
    times, counters = together(engine, batch_size=8, linger=10 * MS)
    assert times == [14, 14, 14, 14]
    assert counters.writes == 1


@ENGINES
def test_a_batch_is_collected_while_another_is_written(engine):
    # The first three are written from 0 to 4 ms; the fourth has lingered by 3 ms, and waits.
    times, counters = together(engine, batch_size=3, linger=3 * MS)
    assert times == [4, 4, 4, 8]
    assert counters.writes == 2


@ENGINES
def test_batches_share_the_connections_where_there_is_no_single_writer(engine):
    times, _ = together(engine, batch_size=2, linger=1.0, single_writer=False, connections=2)
    assert times == [4, 4, 4, 4]


@ENGINES
def test_a_batch_waits_for_the_lock_as_one_writer(engine):
    # The second batch finds the database locked at 0, 1 and 3 ms, and unlocked at 8 ms.
    times, counters = together(engine, batch_size=2, linger=1.0, busy_timeout=1.0)
    assert times == [4, 4, 12, 12]
    assert counters.locked == 3


@ENGINES
def test_a_batch_that_gives_up_is_rejected_as_a_whole(engine):
    times, counters = together(engine, batch_size=2, linger=1.0, busy_timeout=2 * MS)
    assert times == [4, 4, "rejected", "rejected"]
    assert counters.writes == 2


@ENGINES
def test_each_sender_of_a_rejected_batch_gets_its_answer(engine):
    system = System(
        "writers",
        workload=Workload(traffic=Closed(2, Deterministic(10.0)), start="together"),
        cpu=Cpu(acknowledge=Deterministic(1 * MS)),
        store=EventStore(
            write=Deterministic(4 * MS),
            single_writer=True,
            busy_timeout=2 * MS,
            batch_size=2,
            linger=1.0,
        ),
        push=PushServer(),
    )
    result = simulate(system, agents=4, duration=1.0, warmup=0.0, engine=engine)
    assert result.outcomes["rejected"] == 2
    assert result.utilization["cpu"] == pytest.approx(4 * MS)


@ENGINES
def test_a_batch_whose_write_takes_no_time_is_committed_when_it_goes_out(engine):
    times, counters = together(
        engine, agents=5, write=Deterministic(0), batch_size=2, linger=3 * MS
    )
    assert times == [0, 0, 0, 0, 3]
    assert counters.writes == 3


@ENGINES
def test_further_events_take_time_where_the_first_one_takes_none(engine):
    times, _ = together(
        engine, agents=3, write=Deterministic(0), batch_size=2, linger=3 * MS, write_more=2 * MS
    )
    assert times == [2, 2, 3]


@ENGINES
def test_a_broadcast_is_one_event_of_a_batch(engine):
    system = System(
        "broadcast",
        workload=Workload("broadcast", Closed(1), start="together"),
        store=EventStore(write=Deterministic(4 * MS), batch_size=2, linger=10 * MS),
        push=PushServer(),
    )
    result = simulate(system, agents=4, duration=1.0, engine=engine, keep_messages=True)
    assert list(result.messages["stored"]) == pytest.approx([14 * MS] * 3)


@pytest.mark.parametrize("seed", [1, 2])
def test_batches_save_transactions_and_let_one_writer_do_more(seed):
    """A writer of 4 ms does 250 events/s alone, and 10 of each batch in 13 ms: 769 events/s."""
    counters, overloaded = zip(
        *(_crowd(seed, **options) for options in ({}, {"batch_size": 10, "linger": 0.1})),
        strict=True,
    )
    assert overloaded == (True, False)
    assert counters[0].writes == pytest.approx(counters[0].created, abs=2)
    assert counters[1].writes < 0.11 * counters[1].created


def _crowd(seed, **options):
    more = {"write_more": 1 * MS} if options else {}
    system = System(
        "crowd",
        workload=Workload(traffic=Poisson(10.0)),
        store=EventStore(write=Deterministic(4 * MS), single_writer=True, **options, **more),
        push=PushServer(),
    )
    result = simulate(system, agents=50, duration=20.0, seed=seed)
    return result.counters, result.overloaded


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"batch_size": 2}, "linger: is missing"),
        ({"linger": 1.0}, "batch_size: is missing"),
        ({"write_more": 1.0}, "write_more: has no batch to add to"),
        ({"batch_size": 0, "linger": 1.0}, "batch_size: 0 is out of range"),
    ],
)
def test_what_makes_no_batch_is_refused(options, problem):
    with pytest.raises(InputError, match=problem):
        EventStore(**options)
