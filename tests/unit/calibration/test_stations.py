"""Stations that messages pass in several steps: each against what defines it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from attrs import evolve

from lhsim.calibration.fifo import deliveries
from lhsim.calibration.stations import Station
from lhsim.calibration.trace import departures, passages
from lhsim.distributions import Deterministic
from lhsim.models import Cpu, Poisson, PushServer, System, Workload
from lhsim.recording import Manifest
from lhsim.replay import replay
from lhsim.rules import slopes

NEVER_COLD = slopes(np.array([0.0, 1.0]), np.array([0.0, 0.0]))
COSTS = (2e-3, 3e-3, 1e-3)


def messages(n=3000, load=0.8, seed=1):
    generator = np.random.default_rng(seed)
    arrivals = np.cumsum(generator.exponential(sum(COSTS) / load, n))
    return arrivals, np.array(COSTS)[:, None] * generator.exponential(1.0, (3, n))


def test_one_core_without_a_quantum_is_the_loop():
    arrivals, costs = messages()
    expected = deliveries(arrivals, costs, 1, NEVER_COLD, 1e-3)
    assert passages(arrivals, costs, 1, 1, math.inf) == pytest.approx(expected, rel=1e-12)


def test_a_quantum_as_long_as_each_step_changes_nothing():
    """Equal steps: a slice that ends with its step and one that does not go the same way."""
    arrivals, _ = messages()
    steps = np.full((3, len(arrivals)), 2e-3)
    whole = steps.sum(axis=0)[None, :]
    in_steps = passages(arrivals, steps, 2, 1, math.inf)
    assert passages(arrivals, whole, 0, 1, 2e-3) == pytest.approx(in_steps, rel=1e-12)


@pytest.mark.parametrize("cores", [1, 3])
def test_one_step_is_a_departure(cores):
    arrivals, costs = messages()
    whole = costs.sum(axis=0)
    expected = departures(arrivals, whole, cores, math.inf)
    assert passages(arrivals, whole[None, :], 0, cores, math.inf) == pytest.approx(expected)


@pytest.mark.parametrize(("cores", "quantum"), [(1, None), (2, None), (2, 1e-3)])
def test_cores_are_those_of_the_processes(cores, quantum):
    """With costs that are no random numbers, message by message."""
    names = ("parse_message", "write", "acknowledge")
    costs = dict(zip(names, map(Deterministic, COSTS), strict=True))
    system = System("queue", cpu=Cpu(cores=cores, quantum=quantum, **costs), push=PushServer())
    # Together, so that all are connected when the first message comes.
    workload = Workload(traffic=Poisson(0.7 * cores / sum(COSTS) / 50), start="together")
    table = replay(system, Manifest("push", 50, workload, 3, 2.0, 8.0, 2.0)).messages
    table = table.sort_values("sent_s", kind="stable")
    sent, delivered = table["sent_s"].to_numpy(), table["delivered_s"].to_numpy()
    every = np.tile(np.array(COSTS)[:, None], len(sent))
    found = passages(sent, every, 1, cores, math.inf if quantum is None else quantum)
    arrived = np.isfinite(delivered)
    assert arrived.sum() > 500
    assert found[arrived] == pytest.approx(delivered[arrived], rel=1e-9)


def test_loops_keep_their_messages_apart():
    arrivals, costs = messages(load=1.4)
    places = np.random.default_rng(2).random(len(arrivals))
    found = Station(workers=2).left(arrivals, costs, places, 1, NEVER_COLD, 1e-3)
    for loop in (0, 1):
        own = (places < 0.5) == (loop == 0)
        some = np.ascontiguousarray(costs[:, own])
        expected = deliveries(arrivals[own], some, 1, NEVER_COLD, 1e-3)
        assert found[own] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("load", [0.5, 0.8])
def test_equal_shares_do_not_ask_how_services_vary(load):
    """M/G/1-PS: S / (1 - rho), whatever the variation (Kleinrock, Queueing Systems II, 4.4)."""
    arrivals, costs = messages(100_000, load, seed=3)
    station = Station(quantum=0.0)
    for work in (costs.sum(axis=0), np.full(len(arrivals), sum(COSTS))):
        left = station.left(arrivals, work[None, :], arrivals, 0, NEVER_COLD, 1e-3)
        mean = float((left - arrivals)[1000:].mean())
        assert mean == pytest.approx(sum(COSTS) / (1 - load), rel=0.08)


def test_a_station_says_what_the_processor_of_a_system_is():
    assert Station(workers=4).settings == {"workers": 4}
    assert Station(cores=4).settings == {"cores": 4, "quantum": None}
    assert Station(cores=2, quantum=0.0).settings == {"cores": 2, "quantum": 0.0}
    assert Station(workers=4).processors == Station(cores=4).processors == 4
    assert not evolve(Station(), quantum=0.0).is_loop
