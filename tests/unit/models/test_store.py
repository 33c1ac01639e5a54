"""The event store, on systems of two agents whose times can be worked out by hand."""

import pytest

from lhsim.distributions import Deterministic
from lhsim.errors import InputError
from lhsim.models import Closed, EventStore, PushServer, System, Workload
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
