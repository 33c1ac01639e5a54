"""Laws that hold for any system: Little's, the utilisation law, conservation; and N*D/D/1."""

import math

import numpy as np
import pytest
from harness import check, customers_of
from simpy import Environment

from lhsim.distributions import Deterministic, Exponential
from lhsim.models import (
    Cpu,
    EventStore,
    Network,
    Periodic,
    Poisson,
    PollingServer,
    PushServer,
    System,
    Workload,
)
from lhsim.models.station import Station
from lhsim.simulation import simulate
from lhsim.theory import MMc, PeriodicSenders, littles_law, utilisation_law

MS = 1e-3
PARTS = {
    "workload": Workload(topology="random", traffic=Poisson(1.0)),
    "network": Network(Exponential(20 * MS), Exponential(20 * MS)),
    "cpu": Cpu(parse_message=Exponential(10 * MS), respond=Exponential(MS), send=Exponential(MS)),
    "store": EventStore(query=Exponential(5 * MS), write=Exponential(20 * MS), single_writer=True),
}
SYSTEMS = [
    System(name="polling", polling=PollingServer(), **PARTS),
    System(name="push", push=PushServer(), **PARTS),
]


def run(system, seed, duration=60.0, agents=20, **options):
    return simulate(
        system, agents=agents, seed=seed, duration=duration, keep_messages=True, **options
    )


# Little


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.name)
def test_the_backlog_at_each_moment_is_the_messages_that_are_on_their_way(system):
    result = run(system, seed=1, warmup=0.0, drain=0.0)
    series, messages = result.timeseries, result.records
    ended = np.nan_to_num(messages["delivered"], nan=math.inf)
    for time, backlog in zip(series["time_s"], series["backlog"], strict=True):
        assert backlog == np.sum((messages["created"] < time) & (ended >= time))


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.name)
def test_the_mean_backlog_is_littles_law(system):
    """The backlog as sampled, over the rate and the latencies as recorded: their ratio is 1."""

    def observe(seed):
        result = run(system, seed, duration=40.0, warmup=5.0, drain=5.0)
        series = result.timeseries.query("5 < time_s < 35")
        expected = littles_law(result.latency.count / 30.0, result.latency.mean)
        return {"L / (lambda W)": series["backlog"].mean() / expected}

    check(observe, {"L / (lambda W)": 1.0}, within=0.07)


def test_the_number_at_a_station_is_littles_law():
    """M/M/2 from empty to empty: the number there, seen at equal times, and the response times."""
    rate, service, every = 120.0, 0.01, 0.02

    def observe(seed):
        env = Environment()
        station, seen = Station(env, 2, (0.0, math.inf)), []

        def look():
            while not seen or env.now < 6_000 / rate:
                yield env.timeout(every)
                seen.append(station.busy + len(station.waiting))

        env.process(look())
        response, _ = customers_of(station, rate, Exponential(service), seed, 6_200)
        number = np.mean(seen)
        return {"L": number, "L / (lambda W)": number / littles_law(rate, response.mean())}

    queue = MMc(rate, service, 2)
    check(observe, {"L": queue.mean_number_in_system, "L / (lambda W)": 1.0}, within=0.05)


# Utilisation


def test_a_station_is_busy_for_its_throughput_times_its_cost():
    """Push passes each message through each station once, so U = X S / c; and U = lambda S / c."""

    def observe(seed):
        result = run(SYSTEMS[1], seed, duration=45.0)
        throughput = result.metrics.messages_per_second
        busy = result.utilization
        return {
            "writer": busy["writer"],
            "writer / law": busy["writer"] / utilisation_law(throughput, 20 * MS),
            "loop / law": busy["cpu"] / utilisation_law(throughput, 11 * MS),
        }

    check(observe, {"writer": 0.4, "writer / law": 1.0, "loop / law": 1.0}, within=0.04)


def test_a_pool_shares_its_work_among_its_connections():
    """Queries at constant cost: exactly, but for those cut at either end of the window."""
    store = EventStore(query=Deterministic(5 * MS), connections=3)
    silent = Workload(traffic=Poisson(1e-9))
    system = System(name="pool", polling=PollingServer(0.1), store=store, workload=silent)
    result = run(system, seed=1, agents=40, drain=0.0)
    measured = result.horizon - result.warmup
    throughput = result.metrics.database_queries_total / measured
    expected = utilisation_law(throughput, 5 * MS, servers=3)
    assert result.utilization["store"] == pytest.approx(expected, abs=5 * MS / measured)


# Conservation


@pytest.mark.parametrize("seed", range(1, 6))
def test_messages_are_conserved_whatever_becomes_of_them(seed):
    """Each way to end occurs, and what ended so adds up, in all and per sender."""
    push = PushServer(
        connections=15, outbound=2, session=Exponential(0.5), reconnect=Exponential(0.1)
    )
    cpu = Cpu(send=Exponential(20 * MS))
    workload, slow = Workload(traffic=Poisson(2.0)), Network(down=Exponential(0.2))
    system = System(name="any end", push=push, cpu=cpu, workload=workload, network=slow)
    result = run(system, seed)
    messages = result.messages
    ends = {"delivered", "rejected", "dropped", "lost", "pending"}
    assert {end for end, count in result.outcomes.items() if count} == ends
    assert result.outcomes == {end: sum(messages["outcome"] == end) for end in result.outcomes}
    assert messages["delivered"].notna().equals(messages["outcome"] == "delivered")
    for _, of_one in messages.groupby("sender"):
        assert sorted(of_one["number"]) == list(range(len(of_one)))


# Periodic senders


def test_periodic_senders_wait_as_n_d_d_1():
    """One period a run, at random phases: a period is like the one before, once the first is over.

    M/D/1 would have them wait over twice as long.
    """
    senders, period, service = 40, 1.0, 0.02
    system = System(
        name="periodic",
        push=PushServer(),
        workload=Workload(traffic=Periodic(1 / period), start="together"),
        store=EventStore(write=Deterministic(service), connections=1),
    )

    def observe(seed):
        result = run(system, seed, duration=3 * period, agents=senders, warmup=1.0, drain=1.0)
        created = result.records["created"]
        inside = (created >= period) & (created < 2 * period)
        waiting = (result.records["delivered"] - created)[inside] - service
        assert len(waiting) == senders
        return {"waiting": waiting.mean(), "P(no wait)": np.mean(waiting < 1e-9)}

    queue = PeriodicSenders(senders, period, service)
    theory = {"waiting": queue.mean_waiting_time, "P(no wait)": queue.waiting_time_cdf(0.0)}
    check(observe, theory, within=0.12, replications=200)
