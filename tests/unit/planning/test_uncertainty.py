"""Runs that are apart, and systems as they are in one of them."""

import math
from statistics import fmean, stdev

import pytest
from attrs import evolve

import lhsim
from lhsim.distributions import Exponential
from lhsim.errors import InputError
from lhsim.models import Cpu, Poisson, Provenance, Requests, RequestServer, System, Workload
from lhsim.models.system import Calibration
from lhsim.planning.samples import in_runs, with_traffic
from lhsim.planning.uncertainty import load_spread

SYSTEM = lhsim.load_system("push")


def moving(**moves):
    return evolve(SYSTEM, calibration=Calibration(moves=moves))


def logs(systems, of):
    return [math.log(of(one) / of(SYSTEM)) for one in systems]


def test_what_does_not_move_is_the_same_in_all_runs():
    assert in_runs([SYSTEM] * 3) == [SYSTEM] * 3
    assert in_runs([]) == []


def test_costs_move_together_and_evenly():
    found = in_runs([moving(cpu=0.05)] * 20)
    sends = logs(found, lambda one: one.cpu.send.mean)
    assert sends == pytest.approx(logs(found, lambda one: one.cpu.write.mean))
    assert fmean(sends) == pytest.approx(0, abs=1e-12)
    assert stdev(sends) == pytest.approx(0.05, rel=0.05)
    assert all(one.network == SYSTEM.network for one in found)


def test_both_ways_move_together_and_apart_from_the_costs():
    found = in_runs([moving(cpu=0.05, network=0.1)] * 20)
    ups = logs(found, lambda one: one.network.up.mean)
    assert ups == pytest.approx(logs(found, lambda one: one.network.down.mean))
    assert stdev(ups) == pytest.approx(0.1, rel=0.05)
    sends = logs(found, lambda one: one.cpu.send.mean)
    assert abs(fmean(a * b for a, b in zip(ups, sends, strict=True))) < 0.5 * 0.1 * 0.05


def test_systems_move_in_pairs():
    dearer = evolve(SYSTEM, cpu=SYSTEM.cpu.slower(2))
    moves = Calibration(moves={"cpu": 0.05})
    pairs = zip(*(in_runs([evolve(one, calibration=moves)] * 10) for one in (SYSTEM, dearer)),
                strict=True)  # fmt: skip
    for one, other in pairs:
        assert other.cpu.send.mean == pytest.approx(2 * one.cpu.send.mean)


def sampled(system, factors):
    known = Calibration(samples={"cpu.query*": factors})
    return evolve(system, calibration=known)


def test_a_load_moves_as_its_costs_do_and_twice_as_far():
    """A server that nobody loads but its messages: a factor on costs is one on the load."""
    factors = tuple(1 + 0.02 * number for number in range(-5, 6))
    web = System(
        name="web",
        requests=RequestServer(),
        cpu=Cpu(query=Exponential(0.01)),
        workload=Workload(traffic=Poisson(0.1)),
    )
    slower = with_traffic(sampled(web, factors), Poisson(0.09))
    found = load_spread(slower, sampled(web, factors), 50, 0.95)
    logarithms = [math.log(one) for one in factors]
    assert found.half_width == pytest.approx(2 * 2.228 * stdev(logarithms), rel=1e-3)  # t of 10
    assert found.by == "closed form"
    assert load_spread(web, web, 50, 0.95) is None


def test_where_polls_make_most_of_the_load_its_costs_move_the_rest_farther():
    polling = sampled(
        lhsim.load_system("polling"), tuple(0.95 + 0.01 * number for number in range(11))
    )
    few, many = (
        load_spread(
            with_traffic(polling, Poisson(0.9 * rate)),
            with_traffic(polling, Poisson(rate)),
            500,
            0.95,
        ).half_width
        for rate in (4.0, 0.1)
    )
    assert many > 3 * few


def test_other_traffic_takes_no_samples_of_what_was_there():
    thinking = Requests(think=Exponential(1.0))
    numbers = tuple(0.95 + 0.01 * number for number in range(11))
    source = Provenance("logs", 9)
    known = Calibration(
        samples={"workload.traffic.think*": numbers, "cpu.query*": numbers},
        parameters={"workload.traffic.think": source, "cpu.query": source},
    )
    web = System(
        name="web",
        requests=RequestServer(),
        cpu=Cpu(query=Exponential(0.01)),
        workload=Workload(traffic=thinking),
        calibration=known,
    )
    found = with_traffic(web, Poisson(0.5))
    assert found.workload.traffic == Poisson(0.5)
    assert found.calibration.samples == {"cpu.query*": numbers}
    assert set(found.calibration.parameters) == {"cpu.query"}


@pytest.mark.parametrize("moves", [{"store": 0.1}, {"cpu": -0.1}, {"cpu": math.nan}])
def test_what_cannot_move_so_is_refused(moves):
    with pytest.raises(InputError) as caught:
        Calibration(moves=moves)
    assert caught.value.key == "moves"
