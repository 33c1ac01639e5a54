"""Time-shared stations: processor sharing, round robin, and closed loops over both.

Processor sharing is insensitive: the mean response of M/G/1-PS is S / (1 - rho) whatever the
service, and x / (1 - rho) for a job that needs x (Kleinrock, Queueing Systems II, 1976, 4.4); a
finite source over it has the throughput of the machine repairmen, for any service.
"""

import math

import numpy as np
import pytest
from harness import WARMUP, check, customers_of
from simpy import Environment

from lhsim.distributions import Deterministic, Exponential, Hyperexponential, Mixture
from lhsim.models import Cpu, EventStore, Requests, RequestServer, System, Workload
from lhsim.models.sharing import ProcessorSharing, TimeShared, station_of
from lhsim.models.station import Station
from lhsim.rules import draw_block
from lhsim.simulation import simulate
from lhsim.streams import Purpose
from lhsim.theory import MachineRepair, MMc

S = 0.01  # mean service time [s]
RHO = 0.6
RATE = RHO / S
ALWAYS = (0.0, math.inf)
SERVICES = {
    "constant": Deterministic(S),
    "exponential": Exponential(S),
    "very variable": Hyperexponential((0.9, 0.1), (S / 2, 5.5 * S)),
}


def observe(make, rate, cost, customers):
    def observe(seed):
        response, _ = customers_of(make(), rate, cost, seed, customers)
        return {"response": response.mean()}

    return observe


def sharing(processors=1):
    return ProcessorSharing(Environment(), processors, ALWAYS)


def sliced(quantum, processors=1, switch=0.0):
    return TimeShared(Environment(), processors, ALWAYS, quantum=quantum, switch=switch)


@pytest.mark.parametrize("service", SERVICES)
def test_processor_sharing_is_insensitive(service):
    theory = {"response": S / (1 - RHO)}
    check(observe(sharing, RATE, SERVICES[service], 12_000), theory, within=0.06)


def test_a_job_that_needs_x_takes_x_over_one_minus_rho():
    short, long = S / 2, 3 * S
    cost = Mixture((0.8, 0.2), (Deterministic(short), Deterministic(long)))

    def observe(seed):
        count = 12_000
        response, _ = customers_of(sharing(), RATE, cost, seed, count)
        demands = np.empty(count)
        draw_block(cost.table().cells, seed, int(Purpose.WRITE), 0, 0, demands)
        is_short = demands[WARMUP:] < S
        return {"short": response[is_short].mean(), "long": response[~is_short].mean()}

    check(observe, {"short": short / (1 - RHO), "long": long / (1 - RHO)}, within=0.06)


def test_several_processors_share_as_m_m_c():
    """For exponential services the number of jobs is that of M/M/c, so the mean response is too."""
    queue = MMc(280.0, S, 4)
    theory = {"response": queue.mean_response_time}
    check(observe(lambda: sharing(4), 280.0, Exponential(S), 15_000), theory, within=0.04)


@pytest.mark.parametrize("processors", [1, 3])
def test_round_robin_of_exponential_services_has_the_mean_of_m_m_c(processors):
    rate = processors * RATE
    theory = {"response": MMc(rate, S, processors).mean_response_time}
    check(
        observe(lambda: sliced(S / 3, processors), rate, Exponential(S), 12_000),
        theory,
        within=0.05,
    )


def test_short_slices_are_processor_sharing():
    theory = {"response": S / (1 - RHO)}
    service = SERVICES["very variable"]
    check(observe(lambda: sliced(S / 50), RATE, service, 6_000), theory, within=0.1)


@pytest.mark.parametrize(
    ("quantum", "switch", "ends"),
    [
        (0.5, 0.0, (1.5, 2.0)),
        (0.5, 0.125, (1.625, 2.25)),  # 1/2 of each, then a switch and the other half
        (0.25, 0.5, (4.25, 5.0)),  # four slices of each, all but the first after a switch
        (1.0, 0.125, (1.0, 2.0)),
    ],
)
def test_a_switch_comes_before_each_further_slice(quantum, switch, ends):
    """Two jobs of 1 s that come together, by hand, in times that add up without rounding."""
    station = sliced(quantum, switch=switch)
    jobs, found = [station.serve(1.0) for _ in range(2)], []
    for job in jobs:
        job.callbacks.append(lambda _: found.append(station.env.now))
    station.env.run()
    assert tuple(found) == ends


def test_a_switch_costs_the_processor_its_time():
    """At 0.95 of the time nearly every service of two slices is put off once, and so 0.1 S longer.

    With a switch the server has more to do than there is time, and the queue grows; a quantum that
    no service exceeds makes it none.
    """
    rate, cost = 0.93 / S, Deterministic(S)
    free, dear, never = (
        customers_of(sliced(quantum, switch=switch), rate, cost, 1, 8_000)[0]
        for quantum, switch in ((S / 2, 0.0), (S / 2, S / 10), (S, S / 10))
    )
    grows = dear[-1000:].mean() - dear[:1000].mean()
    excess = 0.93 * 1.1 - 1  # of what comes in a second
    assert grows == pytest.approx(excess * 7_000 / rate, rel=0.3)
    assert max(free.mean(), never.mean()) < grows / 10


@pytest.mark.parametrize("processors", [1, 3])
def test_slices_longer_than_any_service_are_first_come_first_served(processors):
    rate = processors * RATE
    fifo = customers_of(Station(Environment(), processors, ALWAYS), rate, Exponential(S), 1, 5_000)
    found = customers_of(sliced(1e3, processors), rate, Exponential(S), 1, 5_000)
    assert np.array_equal(fifo[0], found[0])


def test_first_come_first_served_is_not_insensitive():
    """The negative control: the same check says of a FIFO station that it differs."""
    service = SERVICES["very variable"]
    responses = [
        customers_of(station_of(Environment(), 1, ALWAYS, None, None), RATE, service, seed, 4_000)
        for seed in range(1, 9)
    ]
    mean = np.mean([response.mean() for response, _ in responses])
    assert mean > 1.5 * S / (1 - RHO)


# Clients over both engines' stations: machine repair

Z = 1.0  # think time [s]
D = 0.05  # demand [s]: the knee is at 21 clients of a core


def clients(cost, think=None, requests=None, store=None, **cpu):
    return System(
        name="clients",
        requests=requests or RequestServer(),
        cpu=Cpu(query=cost, **cpu),
        store=store or EventStore(),
        workload=Workload(traffic=Requests(think=think or Exponential(Z))),
    )


def throughput_of(system, agents, measured=90.0):
    def observe(seed):
        result = simulate(
            system, agents=agents, seed=seed, warmup=15.0, duration=15.0 + measured, drain=0.0
        )
        return {"throughput": result.metrics.messages_per_second}

    return observe


@pytest.mark.parametrize("agents", [8, 21, 45])
@pytest.mark.parametrize("cores", [1, 2])
def test_clients_of_shared_cores_are_machine_repair(agents, cores):
    agents *= cores
    theory = {"throughput": MachineRepair(Z, D, agents, cores).throughput}
    for sharing_of in ({}, {"quantum": D / 5}, {"quantum": 0.0}):
        system = clients(Exponential(D), cores=cores, **sharing_of)
        check(throughput_of(system, agents), theory, within=0.04)


@pytest.mark.parametrize("cost", [Deterministic(D), Hyperexponential((0.9, 0.1), (D / 2, 5.5 * D))])
def test_a_finite_source_over_processor_sharing_is_insensitive(cost):
    theory = {"throughput": MachineRepair(Z, D, 25).throughput}
    check(throughput_of(clients(cost, quantum=0.0), 25), theory, within=0.03)


def workers_of(number):
    """Return a server of so many workers, each of which serves one request at a time."""
    return clients(
        Deterministic(0.0),
        requests=RequestServer(workers=number),
        store=EventStore(query=Exponential(D), connections=100),
    )


def test_workers_are_the_repairmen():
    """Each request keeps one of three workers for its whole service, which nothing else delays."""
    theory = {"throughput": MachineRepair(Z, D, 70, 3).throughput}
    check(throughput_of(workers_of(3), 70), theory, within=0.03)


@pytest.mark.parametrize(("demand", "quantum"), [(0.012, 0.003), (0.010, 0.0025), (0.3, 0.1)])
def test_what_rounding_leaves_of_a_job_takes_no_further_slice(demand, quantum):
    """Two jobs of n slices each take turns: the first ends one slice before the second."""
    station = sliced(quantum)
    ends = []
    for _ in range(2):
        station.serve(demand).callbacks.append(lambda _: ends.append(station.env.now))
    station.env.run()
    assert ends == pytest.approx([2 * demand - quantum, 2 * demand])
