"""Runs on a core that was slow at times, and the system that they make."""

from __future__ import annotations

import attrs
import numpy as np
import pytest

import lhsim
from lhsim.calibration import calibrate, levels
from lhsim.calibration.slowdowns import EXPECTED, follows, slowdowns
from lhsim.distributions import Exponential
from lhsim.models import Poisson, Slowdown, Slowdowns, Workload
from lhsim.models.system import Calibration
from lhsim.recording import Machine, Manifest
from lhsim.replay import replay
from lhsim.rules import OF_SLOWDOWNS, renewals

PACE = 40e-6
TRUE = Slowdowns(Exponential(0.8), Exponential(0.3), 1.75)


def manifest(agents=2, seed=1, pace=PACE, spells=TRUE):
    """What was asked of a run, and the spells that its core had."""
    asked = Manifest("push", agents, Workload(traffic=Poisson(4.0)), seed, 2.0, 20.0, 1.0)
    cells = spells.gap.table().cells, spells.length.table().cells
    times = zip(*renewals(*cells, OF_SLOWDOWNS, seed, 0, asked.end), strict=True)
    found = tuple(Slowdown(start, end - start, spells.factor) for start, end in times)
    return attrs.evolve(asked, machine=Machine(pace=pace, slowdowns=found))


def server(pace=PACE):
    """The true server, on a core of that pace; its spells are those of the run."""
    system = lhsim.load_system("push")
    return attrs.evolve(system, calibration=Calibration(pace=pace))


def test_spells_are_as_long_and_as_frequent_as_those_of_the_runs():
    found = slowdowns([manifest(seed=seed) for seed in range(30)], 1.0)
    assert found.factor == pytest.approx(1.75)
    assert found.length.mean == pytest.approx(0.3, rel=0.15)
    assert found.gap.mean == pytest.approx(0.8, rel=0.15)


def test_where_the_pace_of_a_run_is_unknown_there_are_none():
    assert slowdowns([manifest(seed=1), manifest(seed=2, pace=None)], 1.0) is None


def test_few_spells_are_none():
    assert slowdowns([attrs.evolve(manifest(), machine=Machine(pace=PACE))], 1.0) is None


def test_a_run_is_replayed_with_its_own_spells():
    system, asked = server(), manifest(250)
    random = attrs.evolve(system, cpu=attrs.evolve(system.cpu, slowdowns=TRUE))
    plain = attrs.evolve(asked, machine=Machine(pace=PACE))
    run = replay(system, asked)
    assert replay(random, asked).measures() == run.measures()
    assert run.measures()["cpu"] > 1.05 * replay(system, plain).measures()["cpu"]


def test_the_mean_pace_counts_the_spells():
    asked = attrs.evolve(manifest(), machine=Machine(pace=2.0, slowdowns=(Slowdown(1, 2.3, 1.5),)))
    assert asked.mean_pace == pytest.approx(2.0 * (1 + 0.1 * 0.5))
    assert attrs.evolve(asked, machine=Machine()).mean_pace is None


@pytest.mark.parametrize("power", [0.5, 1.0])
def test_how_far_a_server_follows_the_pace_shows_between_runs(power):
    true = attrs.evolve(server(), calibration=Calibration(pace=PACE, follows=power))
    runs = [
        replay(true, manifest(agents, seed, pace))
        for seed, pace in enumerate((PACE, 1.3 * PACE, 1.7 * PACE), 1)
        for agents in (30, 100)
    ]
    assert follows(levels(runs)) == pytest.approx(power, abs=0.1)


def test_how_far_a_server_follows_is_assumed_where_nothing_shows_it():
    for pace in (PACE, None):
        asked = [attrs.evolve(manifest(seed=s), machine=Machine(pace=pace)) for s in (1, 2)]
        runs = [replay(server(), one) for one in asked]
        assert follows(levels(runs)) == pytest.approx(EXPECTED)


@pytest.mark.usefixtures("few_samples")
def test_a_server_that_is_slow_at_times_is_calibrated_to_be():
    """Its tail comes from the spells: a server that is always as fast as in the mean has none."""
    loads = [
        manifest(agents, seed, pace)
        for seed, pace in enumerate((PACE, 1.3 * PACE, 1.6 * PACE), 1)
        for agents in (30, 150, 350)
    ]
    found = calibrate([replay(server(), asked) for asked in loads]).system
    assert found.cpu.slowdowns.factor == pytest.approx(1.75, rel=0.1)
    # With 250 agents it is overloaded in a spell, and p99 off by many times what a cost is off.
    for agents, measure, within in (
        (250, "cpu", 0.05), (250, "latency_p50", 0.15), (150, "latency_p99", 0.2),
    ):  # fmt: skip
        asked = [manifest(agents, seed) for seed in range(10, 16)]
        live, simulated = (
            np.mean([replay(one, each).measures()[measure] for each in asked])
            for one in (server(), found)
        )
        assert simulated == pytest.approx(live, rel=within)
