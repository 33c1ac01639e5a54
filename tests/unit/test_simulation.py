"""`simulate`: worked examples by hand, conservation, windows and refusals."""

import math

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lhsim
from lhsim.distributions import Deterministic, Exponential, Uniform
from lhsim.models import (
    Calibration,
    Closed,
    Collection,
    Cpu,
    EventStore,
    Memory,
    Network,
    Periodic,
    Piece,
    Piecewise,
    Poisson,
    PollingServer,
    PushServer,
    Stalls,
    System,
    Warmth,
    Workload,
)

MS = Deterministic(1e-3)
ONE_MESSAGE = Workload(topology="pair", traffic=Closed(1), start="together")

POLLING = System(name="polling", polling=PollingServer())
PUSH = System(name="push", push=PushServer())


def run(system, agents=2, duration=10.0, **options):
    return lhsim.simulate(system, agents=agents, duration=duration, keep_messages=True, **options)


def only(result):
    (message,) = result.messages.itertuples()
    return message


# One message from agent 0 to agent 1, each time known.


def test_a_message_waits_for_the_next_query_of_its_target():
    """It is stored at 3 ms, after the query that began at 1 ms."""
    system = attrs.evolve(
        POLLING,
        workload=ONE_MESSAGE,
        network=Network(MS, MS),
        store=EventStore(query=MS, write=Deterministic(2e-3), connections=3),
    )
    message = only(run(system))
    assert message.stored == pytest.approx(0.003)
    # up 1 ms, query 1 ms, sleep 1 s, query 1 ms, down 1 ms
    assert message.delivered == pytest.approx(1.004)


def test_a_query_sees_what_was_stored_when_its_service_began():
    """Stored at 1 ms, while the first query, from 0 to 5 ms, is served: the second finds it."""
    system = attrs.evolve(
        POLLING,
        workload=ONE_MESSAGE,
        store=EventStore(query=Deterministic(5e-3), write=MS, connections=3),
    )
    assert only(run(system)).delivered == pytest.approx(0.005 + 1 + 0.005)


def test_the_loop_serves_one_operation_at_a_time():
    """In turn: request of 0, message, request of 1, query of 0, query of 1."""
    cpu = Cpu(parse_request=MS, parse_message=Deterministic(2e-3), query=Deterministic(3e-3))
    message = only(run(attrs.evolve(POLLING, workload=ONE_MESSAGE, cpu=cpu)))
    assert message.stored == pytest.approx(1e-3 + 2e-3)
    assert message.delivered == pytest.approx(1e-3 + 2e-3 + 1e-3 + 3e-3 + 3e-3)


def test_two_workers_serve_their_own_agents():
    cpu = Cpu(workers=2, parse_request=MS, parse_message=MS, query=Deterministic(5e-3))
    message = only(run(attrs.evolve(POLLING, workload=ONE_MESSAGE, cpu=cpu)))
    # loop 0: request of 0, message (stored at 2 ms); loop 1: request of 1, its query at 1 to 6 ms
    assert message.stored == pytest.approx(2e-3)
    assert message.delivered == pytest.approx(6e-3)


def test_an_answer_holds_at_most_limit_messages():
    workload = Workload(
        topology="ring", traffic=Periodic(10.0), start="together", think=Deterministic(0.01)
    )
    system = attrs.evolve(POLLING, workload=workload, polling=PollingServer(limit=3))
    messages = run(system, agents=1, duration=6.0, warmup=0.0, drain=0.0).messages
    batches = messages.dropna().groupby("delivered").size()
    assert batches.max() == 3
    assert list(messages.dropna()["number"]) == sorted(messages.dropna()["number"])


def test_the_timeout_is_looked_at_after_a_sleep():
    """Queries at 0, 1, 2; at 3 s over 2.5 s have passed, and the empty answer goes out."""
    silent = Workload(traffic=Poisson(1e-9), start="together")
    system = attrs.evolve(POLLING, workload=silent, polling=PollingServer(timeout=2.5))
    metrics = run(system, agents=1, duration=9.5, warmup=0.0, drain=0.0).metrics
    assert metrics.timeout_events == 3
    assert metrics.polling_cycles_total == 10  # three an answer, and the one at 9 s
    assert metrics.wasted_poll_cycles == 10


def test_beyond_the_connection_limit_an_agent_backs_off_and_tries_again():
    silent = Workload(traffic=Poisson(1e-9), start="together")
    polling = PollingServer(connections=1, timeout=1.0, backoff=0.7)
    result = run(attrs.evolve(POLLING, workload=silent, polling=polling), duration=9.9, warmup=0.0)
    assert result.metrics.connection_count == 1
    assert result.bottleneck == "connections"
    assert result.utilization["connections"] == pytest.approx(1.0)


def test_a_pushed_message_passes_each_stage_once():
    system = attrs.evolve(
        PUSH,
        workload=ONE_MESSAGE,
        network=Network(MS, Deterministic(2e-3)),
        cpu=Cpu(
            parse_message=Deterministic(4e-3),
            validate=Deterministic(8e-3),
            write=Deterministic(16e-3),
            send=Deterministic(32e-3),
            acknowledge=Deterministic(1.0),
        ),
        store=EventStore(write=Deterministic(64e-3)),
    )
    result = run(system)
    message = only(result)
    assert message.stored == pytest.approx((1 + 4 + 8 + 16 + 64) * 1e-3)
    assert message.delivered == pytest.approx(message.stored + (32 + 2) * 1e-3)
    assert result.metrics.schema_validation_time_ms == pytest.approx(8.0)
    assert result.metrics.websocket_events_sent == 1


@pytest.mark.parametrize(("workers", "latency"), [(1, 1e-3), (2, 6e-3)])
def test_a_message_that_crosses_workers_is_relayed(workers, latency):
    cpu = Cpu(workers=workers, send=MS, relay=Deterministic(5e-3))
    message = only(run(attrs.evolve(PUSH, workload=ONE_MESSAGE, cpu=cpu)))
    assert message.delivered == pytest.approx(latency)


@pytest.mark.parametrize(("overflow", "outcome"), [("reject", "rejected"), ("wait", "pending")])
def test_beyond_the_connection_limit_a_push_is_refused_or_waits(overflow, outcome):
    workload = attrs.evolve(ONE_MESSAGE, start="ramp", start_over=1.0)
    push = PushServer(connections=1, overflow=overflow)
    # agent 0 has the one connection; agent 1, the target, has none
    result = run(attrs.evolve(PUSH, workload=workload, push=push))
    assert only(result).outcome == outcome
    assert result.outcomes[outcome] == 1


def test_a_message_waits_until_its_target_has_a_connection():
    """Agent 0 holds the connection from 0 to 2 s; then agent 1, in line since 0.5 s, has it."""
    workload = attrs.evolve(ONE_MESSAGE, start="ramp", start_over=1.0)
    push = PushServer(
        connections=1, overflow="wait", session=Deterministic(2.0), reconnect=Deterministic(9.0)
    )
    assert only(run(attrs.evolve(PUSH, workload=workload, push=push))).delivered == 2.0


def test_a_message_whose_connection_closes_under_it_is_lost():
    push = PushServer(session=Deterministic(1e-3), reconnect=Deterministic(9.0))
    cpu = Cpu(send=Deterministic(2e-3))
    assert only(run(attrs.evolve(PUSH, workload=ONE_MESSAGE, push=push, cpu=cpu))).outcome == "lost"


def test_a_full_outbound_queue_drops_the_newest():
    """Three messages meet at a queue of two: agents 1, 2 and 3 all have one random target, 0."""
    workload = Workload(traffic=Periodic(10.0), start="together")
    system = attrs.evolve(
        PUSH, workload=workload, push=PushServer(outbound=2), cpu=Cpu(send=Deterministic(1.0))
    )
    result = run(system, agents=1, duration=5.0)
    assert result.outcomes["dropped"] > 0
    delivered = result.messages[result.messages["outcome"] == "delivered"]
    assert (delivered["delivered"] - delivered["stored"]).max() <= 2.0 + 1e-9


def test_a_closed_loop_sends_its_messages_one_after_the_other():
    workload = Workload(
        topology="pair", traffic=Closed(5, pause=Deterministic(0.5)), start="together"
    )
    system = attrs.evolve(PUSH, workload=workload, network=Network(MS, MS))
    result = run(system)
    assert list(result.messages["created"]) == pytest.approx([0.502 * k for k in range(5)])
    assert result.horizon == pytest.approx(4 * 0.502 + 0.002)
    assert result.stopped_early
    assert result.metrics.messages_per_second == pytest.approx(5 / result.horizon)


def test_agents_start_as_the_workload_says():
    def first_delivery(start):
        workload = Workload(traffic=Closed(1), start=start, start_over=4.0)
        result = run(attrs.evolve(PUSH, workload=workload), agents=4, warmup=0.0, drain=0.0)
        return sorted(result.messages["created"])

    assert first_delivery("together") == [0.0] * 4
    assert first_delivery("ramp") == [0.0, 1.0, 2.0, 3.0]
    random = first_delivery("random")
    assert len(set(random)) == 4
    assert all(0 <= time < 4 for time in random)


def test_a_query_that_scans_the_log_costs_more_as_it_grows():
    silent = Workload(traffic=Poisson(1e-9), start="together")
    store = EventStore(connections=1, scan=1e-6, events=10_000)
    result = run(attrs.evolve(POLLING, workload=silent, store=store), 1, warmup=0.0, drain=0.0)
    assert result.utilization["store"] == pytest.approx(10 * 0.01 / 10, rel=0.02)


def test_memory_is_the_sum_of_its_parts():
    memory = Memory(baseline=50e6, per_agent=10e3, per_connection=20e3, per_event=1e3)
    system = attrs.evolve(PUSH, workload=ONE_MESSAGE, memory=memory)
    metrics = run(system).metrics
    assert metrics.memory_baseline_mb == 50
    assert metrics.memory_peak_mb == pytest.approx(50 + 2 * 0.01 + 2 * 0.02 + 0.001)
    assert metrics.memory_per_agent_mb == pytest.approx((0.02 + 0.04 + 0.001) / 2)


def test_an_idle_loop_is_cold_and_warms_with_work():
    cpu = Cpu(send=MS, warmth=Warmth(gaps=(0.0, 1.0), excess=(0.0, 1.0), memory=1e-3))
    traffic = Closed(2, pause=Deterministic(0.25))
    workload = Workload(topology="pair", traffic=traffic, start="together")
    first, second = run(attrs.evolve(PUSH, workload=workload, cpu=cpu)).messages.itertuples()
    assert first.delivered - first.created == pytest.approx(2e-3)  # x = 1
    # x = max(1 / (1 + 2 ms / 1 ms), f(0.25 s)) = 1 / 3
    assert second.delivered - second.created == pytest.approx(1e-3 * (4 / 3))


def test_every_so_many_operations_pay_for_a_collection():
    cpu = Cpu(send=MS, collection=Collection(every=3, cost=Deterministic(0.1)))
    workload = Workload(topology="pair", traffic=Closed(6), start="together")
    messages = run(attrs.evolve(PUSH, workload=workload, cpu=cpu)).messages
    slow = messages["delivered"] - messages["created"] > 0.05
    assert list(slow) == [False, False, True, False, False, True]


def test_a_stalled_host_serves_nothing():
    cpu = Cpu(send=MS, stalls=Stalls(gap=Deterministic(1.0), length=Deterministic(0.5)))
    traffic = Closed(3, pause=Deterministic(0.9995))
    workload = Workload(topology="pair", traffic=traffic, start="together")
    messages = run(attrs.evolve(PUSH, workload=workload, cpu=cpu)).messages
    # 0 to 1 ms; 1.0005 s is inside [1, 1.5), served from 1.5 s; 2.5005 s is past it
    assert messages["delivered"][0] == pytest.approx(1e-3)
    assert messages["delivered"][1] == pytest.approx(1.501)


# Laws of every run


BUSY = attrs.evolve(
    POLLING,
    workload=Workload(traffic=Poisson(2.0)),
    network=Network(Exponential(1e-3), Exponential(1e-3)),
    store=EventStore(Exponential(1e-3), Exponential(1e-3), connections=2),
    cpu=Cpu(parse_message=Exponential(1e-4), respond=Exponential(1e-4)),
)

costs = st.sampled_from([Deterministic(0.0), MS, Exponential(2e-3), Uniform(0.0, 5e-3)])
servers = st.one_of(
    st.builds(
        PollingServer,
        interval=st.sampled_from([0.1, 1.0]),
        timeout=st.sampled_from([0.5, 60.0]),
        limit=st.sampled_from([1, 10]),
        connections=st.sampled_from([None, 2]),
    ).map(lambda server: {"polling": server}),
    st.builds(
        PushServer,
        connections=st.sampled_from([None, 2]),
        overflow=st.sampled_from(["reject", "wait"]),
        outbound=st.sampled_from([None, 1]),
        session=st.sampled_from([None, Exponential(0.5)]),
        reconnect=st.just(Exponential(0.2)),
    ).map(lambda server: {"push": server}),
)
traffic = st.sampled_from([Poisson(3.0), Periodic(3.0, 0.5), Closed(7), Closed(None, MS)])
systems = st.builds(
    lambda server, **parts: System(name="any", **server, **parts),
    server=servers,
    workload=st.builds(
        Workload,
        topology=st.sampled_from(["ring", "pair", "random", "hub", "broadcast"]),
        traffic=traffic,
        think=costs,
        start=st.sampled_from(["random", "together", "ramp"]),
    ),
    network=st.builds(Network, costs, costs),
    cpu=st.builds(
        Cpu,
        workers=st.integers(1, 3),
        parse_message=costs,
        parse_request=costs,
        query=costs,
        respond=costs,
        send=costs,
        relay=costs,
    ),
    store=st.builds(
        EventStore,
        query=costs,
        write=costs,
        connections=st.integers(1, 2),
        single_writer=st.booleans(),
    ),
)


@settings(max_examples=150)
@given(systems, st.integers(0, 2**63 - 1))
def test_every_message_has_one_outcome_and_its_times_are_in_order(system, seed):
    result = lhsim.simulate(
        system, agents=6, duration=4.0, warmup=0.0, drain=0.0, seed=seed, keep_messages=True
    )
    messages = result.messages
    counts = messages["outcome"].value_counts()
    assert {name: count for name, count in result.outcomes.items() if count} == counts.to_dict()
    delivered = messages[messages["outcome"] == "delivered"]
    assert (delivered["created"] <= delivered["stored"]).all()
    assert (delivered["stored"] <= delivered["delivered"]).all()
    assert all(0 <= share <= 1 + 1e-9 for share in result.utilization.values())
    assert not delivered.duplicated(["sender", "number"]).any()


def test_one_seed_gives_one_result_and_another_seed_another():
    first, second = run(BUSY, 20), run(BUSY, 20)
    assert first.row() == second.row()
    assert first.messages.equals(second.messages)
    assert run(BUSY, 20, seed=2).row() != first.row()


def test_polling_and_push_see_the_same_message_times_under_one_seed():
    push = attrs.evolve(BUSY, polling=None, push=PushServer())
    columns = ["sender", "number", "target", "created"]
    polled, pushed = (run(system, 20).messages[columns] for system in (BUSY, push))
    order = ["sender", "number"]
    assert polled.sort_values(order, ignore_index=True).equals(
        pushed.sort_values(order, ignore_index=True)
    )


def test_the_histogram_agrees_with_the_messages():
    result = run(BUSY, 50, duration=60.0)
    cohort = result.messages.query(f"created >= {result.warmup} and created < {60 - result.drain}")
    latencies = cohort["delivered"] - cohort["created"]
    assert result.latency.count + result.latency.pending == len(cohort)
    assert result.latency.mean == pytest.approx(latencies.mean())
    assert result.latency.max == latencies.max()
    for q in (0.05, 0.5, 0.95, 0.99):
        assert result.latency.quantile(q) == pytest.approx(latencies.quantile(q), rel=0.016)


def test_intervals_of_a_single_run_hold_the_estimate():
    latency = run(BUSY, 50, duration=60.0).latency
    for estimate, (low, high) in (
        (latency.mean, latency.mean_interval()),
        (latency.quantile(0.5), latency.interval(0.5)),
    ):
        assert low < estimate < high
        assert high - low < 0.2 * estimate
    rare = latency.estimate(0.9999)  # of which there is not one
    assert rare.high == math.inf
    assert rare.flags == ("thin tail",)


def test_a_run_reports_what_mser_would_leave_out():
    """A start of all at once takes seconds of a server that is nearly busy."""
    connect = Cpu(connect=Deterministic(0.02), parse_message=MS)
    slow = attrs.evolve(PUSH, cpu=connect, workload=Workload(traffic=Poisson(1.0)))
    early = lhsim.simulate(slow, agents=400, duration=60.0, warmup=0.5)
    assert early.short_warmup
    assert early.truncation.time == pytest.approx(8 / (1 - 0.4), abs=6)
    assert "short warm-up" in early.summary()
    assert "short warm-up" in early.estimate(0.99).flags
    assert early.row()["short_warmup"]
    late = lhsim.simulate(slow, agents=400, duration=60.0, warmup=20.0)
    assert not late.short_warmup
    assert late.row()["mser_truncation_s"] == late.truncation.time


@pytest.mark.parametrize(
    "traffic",
    [Closed(3), Piecewise((Piece(5.0, 1.0), Piece(5.0, 9.0)))],
    ids=["a loop that ends", "bursts"],
)
def test_a_load_that_is_not_steady_needs_no_warm_up(traffic):
    result = run(attrs.evolve(PUSH, workload=Workload(traffic=traffic)), 10, duration=60.0)
    assert result.truncation is None
    assert not result.short_warmup
    assert math.isnan(result.row()["mser_truncation_s"])


def test_what_an_overloaded_run_says_carries_a_flag():
    slow = attrs.evolve(PUSH, cpu=Cpu(parse_message=Deterministic(0.05)))
    result = run(attrs.evolve(slow, workload=Workload(traffic=Poisson(1.0))), 40, duration=60.0)
    assert result.overloaded
    assert {"overloaded", "lower bound"} <= set(result.mean_estimate().flags)
    p99 = result.estimate(0.99)
    assert p99.high == math.inf
    assert {"overloaded", "lower bound"} <= set(p99.flags)


def test_an_overloaded_run_says_so_and_at_which_rate():
    """20 agents x 2 messages/s need 40 x 50 ms = 2 s of the loop a second: half is left over."""
    system = attrs.evolve(
        PUSH, workload=Workload(traffic=Poisson(2.0)), cpu=Cpu(send=Deterministic(0.05))
    )
    result = run(system, 20, duration=60.0)
    assert result.overloaded
    assert result.backlog_growth == pytest.approx(20, rel=0.1)
    assert result.latency.is_lower_bound(0.99)
    assert "overloaded" in result.summary()
    short = run(system, 20, duration=60.0, stop_when_overloaded=True)
    assert short.overloaded
    assert short.stopped_early


@pytest.mark.parametrize("seed", range(10))
def test_a_stable_run_is_not_called_overloaded(seed):
    system = attrs.evolve(
        PUSH, workload=Workload(traffic=Poisson(2.0)), cpu=Cpu(send=Exponential(0.02))
    )
    assert not run(system, 20, duration=60.0, seed=seed).overloaded  # utilisation 0.8


def test_pollers_that_only_saturate_the_server_are_not_called_overloaded():
    """50 messages/s leave half of the loop; 500 pollers share it in cycles of 10 s."""
    cpu = Cpu(parse_message=Deterministic(0.01), query=Deterministic(0.01))
    system = attrs.evolve(POLLING, workload=Workload(traffic=Poisson(0.1)), cpu=cpu)
    result = run(system, 500, duration=30.0, stop_when_overloaded=True)
    assert result.utilization["cpu"] > 0.99
    assert not result.overloaded
    assert result.latency.mean > 2.0


def test_a_level_beyond_the_calibrated_range_is_extrapolated():
    calibration = Calibration(agents=(1, 10), messages_per_second=(0.0, 3.0))
    system = attrs.evolve(PUSH, calibration=calibration)
    assert not run(system, 10).extrapolated
    assert run(system, 12).extrapolated_because == ("12 agents; calibrated up to 10",)
    assert "extrapolated" in run(system, 40).summary()
    assert len(run(system, 40).extrapolated_because) == 2


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"agents": 0}, "agents"),
        ({"agents": 2.0}, "agents"),
        ({"agents": True}, "agents"),
        ({"duration": 0}, "duration"),
        ({"duration": math.nan}, "duration"),
        ({"warmup": -1.0}, "warmup"),
        ({"warmup": 6.0, "drain": 6.0}, "duration"),
        ({"seed": -1}, "seed"),
        ({"engine": "simpi"}, "engine"),
        ({"system": "poling"}, "poling"),
    ],
)
def test_bad_arguments_are_refused_in_one_line(options, key):
    arguments = {"system": POLLING, "agents": 2, "duration": 10.0} | options
    with pytest.raises(lhsim.InputError, match=key) as caught:
        lhsim.simulate(arguments.pop("system"), **arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("topology", "agents"), [("pair", 3), ("random", 1), ("hub", 1), ("broadcast", 1)]
)
def test_a_topology_refuses_numbers_of_agents_that_it_cannot_have(topology, agents):
    with pytest.raises(lhsim.InputError, match="agents"):
        run(attrs.evolve(POLLING, workload=Workload(topology=topology)), agents)


def test_a_result_shows_itself_in_each_form():
    result = run(BUSY, 20)
    frame = result.to_frame()
    assert len(frame) == 1
    assert frame["p99_latency_ms"][0] == result.metrics.p99_latency_ms
    assert len(result.timeseries) >= 100
    assert (np.diff(result.timeseries["created"]) >= 0).all()
    assert "polling" in result.summary()
    assert result._repr_html_().startswith("<b>")


@pytest.mark.parametrize("duration", [0.5, 5])
def test_a_run_with_next_to_no_messages_has_no_figure_that_is_none(duration):
    summary = lhsim.simulate("push", agents=20, duration=duration).summary()
    assert "inf" not in summary
    assert "nan" not in summary
