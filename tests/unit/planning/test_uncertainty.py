"""Runs that are apart, and systems as they are in one of them."""

import math
from statistics import fmean, stdev

import pytest
from attrs import evolve

import lhsim
from lhsim.errors import InputError
from lhsim.models.system import Calibration
from lhsim.planning.samples import in_runs

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


@pytest.mark.parametrize("moves", [{"store": 0.1}, {"cpu": -0.1}, {"cpu": math.nan}])
def test_what_cannot_move_so_is_refused(moves):
    with pytest.raises(InputError) as caught:
        Calibration(moves=moves)
    assert caught.value.key == "moves"
