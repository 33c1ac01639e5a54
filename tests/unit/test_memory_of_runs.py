"""A run that would not fit in memory is refused before it starts."""

import pytest
from attrs import evolve

import lhsim
from lhsim.distributions import Deterministic, Exponential
from lhsim.distributions.base import ZERO
from lhsim.errors import InputError, LhsimError
from lhsim.models import (
    Closed,
    Elicitation,
    EventStore,
    Poisson,
    PollingServer,
    PushServer,
    Retention,
    System,
    Webhook,
    Workload,
)
from lhsim.models.cpu import Slowdowns, Stalls
from lhsim.simulation import memory

POLLING = System("polling", workload=Workload(traffic=Poisson(0.1)), polling=PollingServer())
CLOSED = System("closed", workload=Workload(traffic=Closed(10)), push=PushServer())


@pytest.fixture
def free(monkeypatch):
    def set_to(amount):
        monkeypatch.setattr(memory, "free_memory", lambda: amount)

    return set_to


@pytest.mark.parametrize("engine", ["simpy", "compiled"])
def test_too_many_agents_are_refused_with_the_estimate_and_the_limit(free, engine):
    free(1e9)
    with pytest.raises(InputError, match=r"GB of memory with the \w+ engine, and 1 GB are free"):
        lhsim.simulate(POLLING, agents=10**8, engine=engine)


def test_as_many_as_are_allowed_fit(free):
    free(1e9)
    with pytest.raises(InputError) as refusal:
        lhsim.simulate(POLLING, agents=10**8)
    allowed = int(refusal.value.allowed.split()[1].replace(",", ""))
    assert 1e6 < allowed < 1e8
    memory.check(POLLING, allowed, 60.0, "compiled", keep=False)


def test_simpy_needs_more_than_the_compiled_engine():
    estimates = [
        memory.estimate(POLLING, 1000, 60.0, engine, keep=False) for engine in ("simpy", "compiled")
    ]
    assert estimates[0] > 10 * estimates[1]


@pytest.mark.parametrize("system", [POLLING, CLOSED])
def test_kept_messages_count(system):
    plain = memory.estimate(system, 100, 60.0, "compiled", keep=False)
    kept = memory.estimate(system, 100, 60.0, "compiled", keep=True)
    messages = 600 if system is POLLING else 1000
    assert kept - plain == pytest.approx(memory.PER_RECORD["compiled"] * messages)


def test_more_agents_than_the_compiled_engine_can_number_are_refused(free):
    free(1e15)
    with pytest.raises(InputError, match=r"agents: 300,000,000 are too many; allowed: at most 214"):
        lhsim.simulate(POLLING, agents=300_000_000, engine="compiled")


def test_a_message_that_may_be_answered_is_kept_for_its_timeout():
    plain, asking = (
        System("push", workload=Workload(traffic=Poisson(1.0)), push=PushServer(elicitation=asks))
        for asks in (None, Elicitation(timeout=20.0))
    )
    estimates = [memory.estimate(s, 100, 60.0, "compiled", keep=False) for s in (plain, asking)]
    # Without, one message on its way is the least that is counted.
    assert estimates[1] - estimates[0] == memory.PER_MESSAGE["compiled"] * (100 * 20 - 1)


def test_alarms_of_sleeps_that_everybody_has_ended_are_kept_until_they_go_off():
    # 10 messages/s wake 100 agents, who sleep for 2 s; at most 500 queries/s where one takes 2 ms.
    workload = Workload(traffic=Poisson(0.1))
    systems = [
        System(
            "herd",
            workload=workload,
            store=EventStore(query, connections=1),
            polling=PollingServer(interval=2.0, wake_on_write=True, wake=wake),
        )
        for wake, query in (("one", ZERO), ("all", ZERO), ("all", Deterministic(2e-3)))
    ]
    estimates = [memory.estimate(one, 100, 60.0, "compiled", keep=False) for one in systems]
    alone, everybody, slow = (one / memory.PER_MESSAGE["compiled"] for one in estimates)
    assert everybody - alone == pytest.approx(100 * 10 * 2)
    assert slow - alone == pytest.approx(500 * 2)


def test_what_posts_a_message_is_kept_with_it():
    plain, posting = (
        System("push", workload=Workload(traffic=Poisson(1.0)), push=PushServer(webhook=hook))
        for hook in (None, Webhook(timeout=5.0))
    )
    estimates = [memory.estimate(s, 100, 60.0, "compiled", keep=False) for s in (plain, posting)]
    assert estimates[1] - estimates[0] == memory.PER_MESSAGE["compiled"] * (100 * 15 - 1)


@pytest.mark.parametrize(
    ("retention", "times"),
    [
        (Retention(count=50), 0),
        (Retention(age=20.0), 100 * 20),
        (Retention(age=90.0), 100 * 60),
        (Retention(age=20.0, count=50), 50),
    ],
)
def test_the_ages_of_events_take_memory(retention, times):
    workload = Workload(traffic=Poisson(1.0))
    plain, ageing = (
        System("push", workload=workload, store=EventStore(retention=keeps), push=PushServer())
        for keeps in (None, retention)
    )
    estimates = [memory.estimate(s, 100, 60.0, "compiled", keep=False) for s in (plain, ageing)]
    assert estimates[1] - estimates[0] == memory.PER_EVENT["compiled"] * times


def test_a_closed_loop_may_write_all_its_events_within_the_age():
    store = EventStore(retention=Retention(age=1.0))
    closed = System("closed", workload=CLOSED.workload, store=store, push=PushServer())
    estimates = [memory.estimate(s, 100, 60.0, "compiled", keep=False) for s in (CLOSED, closed)]
    assert estimates[1] - estimates[0] == pytest.approx(memory.PER_EVENT["compiled"] * 1000)


def test_a_log_without_room_ends_the_run(monkeypatch):
    monkeypatch.setattr("lhsim.compiled.engine.free_memory", lambda: 1000.0)
    busy = System(
        "busy",
        workload=Workload(traffic=Poisson(1000.0)),
        store=EventStore(retention=Retention(age=50.0)),
        push=PushServer(),
    )
    with pytest.raises(LhsimError, match=r"the store keeps 1,02\d events at .* no memory for more"):
        lhsim.simulate(busy, agents=10, engine="compiled")


def test_a_backlog_without_room_ends_the_run(monkeypatch):
    monkeypatch.setattr("lhsim.compiled.engine.free_memory", lambda: 1000.0)
    busy = System(
        "busy", workload=Workload(traffic=Poisson(1000.0)), polling=PollingServer(interval=50.0)
    )
    with pytest.raises(LhsimError, match="no memory for more"):
        lhsim.simulate(busy, agents=10, engine="compiled")


@pytest.mark.parametrize(
    "spells",
    [
        {"stalls": Stalls(Exponential(0.09), Exponential(0.01))},
        {"slowdowns": Slowdowns(Exponential(0.04), Exponential(0.06), 1.5)},
    ],
)
def test_spells_of_a_host_are_drawn_before_a_run_and_count(spells):
    with_spells = evolve(POLLING, cpu=evolve(POLLING.cpu, **{"stalls": None} | spells))
    plain = evolve(POLLING, cpu=evolve(POLLING.cpu, stalls=None))
    estimates = [memory.estimate(s, 2, 1e6, "compiled", keep=False) for s in (plain, with_spells)]
    assert estimates[1] - estimates[0] == pytest.approx(1e7 * memory.PER_SPELL)
