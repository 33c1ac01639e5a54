"""Pauses in the logs of simulated runs, whose pauses are known."""

from __future__ import annotations

import attrs
import numpy as np
import pandas as pd
import pytest

import lhsim
from lhsim.calibration import levels
from lhsim.calibration.pauses import Pauses, gaps, pauses, short_stalls, with_pauses
from lhsim.distributions import Deterministic, Exponential, Mixture
from lhsim.models import Poisson, Workload
from lhsim.models.cpu import Stalls
from lhsim.recording import Machine, Manifest, Recording
from lhsim.replay import replay

LENGTH = 12e-3
LOADS = ((100, 1.0), (200, 2.0), (300, 3.0))


def manifest(agents=2, rate=1.0, seed=1, machine=None):
    workload = Workload(traffic=Poisson(rate))
    return Manifest("push", agents, workload, seed, 1.0, 20.0, 1.0, machine=machine or Machine())


def recording(sent, acknowledged):
    table = pd.DataFrame({"sent_s": sent, "acknowledged_s": acknowledged})
    return Recording(manifest(), table, pd.DataFrame({"time_s": []}))


def system(per_message=0.0, per_second=0.0):
    plain = lhsim.load_system("push")
    parts, kinds = (1 - per_message, per_message), (Deterministic(0.0), Deterministic(LENGTH))
    write = Mixture(parts, kinds) if per_message else Deterministic(0.0)
    stalls = Stalls(Exponential(1 / per_second), Deterministic(LENGTH)) if per_second else None
    return attrs.evolve(
        plain,
        store=attrs.evolve(plain.store, write=write),
        cpu=attrs.evolve(plain.cpu, stalls=stalls),
    )


def found(true, seeds=(1, 2), loads=LOADS):
    runs = [replay(true, manifest(*load, seed)) for load in loads for seed in seeds]
    some = levels(runs)
    without = [[replay(system(), run.manifest) for run in level.runs] for level in some]
    return pauses(some, without)


def test_a_pause_begins_with_the_last_answer_or_with_the_first_who_waits():
    # One waits from 1.0 on until 1.05; at 2.001 a second comes into a pause that began at 2.0.
    run = recording([0.1, 0.2, 1.0, 2.0, 2.001], [0.101, 0.201, 1.05, 2.001, 2.03])
    assert gaps(run) == pytest.approx([0.049, 0.028])


def test_waiting_for_nobody_is_no_pause():
    assert len(gaps(recording([0.1, 5.0, 9.0], [0.101, 5.001, 9.001]))) == 0


@pytest.mark.parametrize("count", [0, 1])
def test_a_log_of_a_message_shows_none(count):
    assert len(gaps(recording(np.zeros(count), np.zeros(count)))) == 0


def test_pauses_that_writes_bring():
    one = found(system(per_message=1 / 250))
    assert one.per_message == pytest.approx(1 / 250, rel=0.25)
    assert one.per_second < 0.2
    assert np.median(one.lengths) == pytest.approx(LENGTH, rel=0.15)


def test_a_load_whose_queue_hides_pauses_does_not_make_them_rarer():
    busy = (540, 3.0)
    true = system(per_message=1 / 250)
    run = replay(true, manifest(*busy, 1))
    assert len(gaps(run)) < len(run.messages) / 250 / 3  # it hides most of them
    one = found(true, seeds=(1, 2, 3, 4), loads=(*LOADS[:2], busy))
    assert one.per_message == pytest.approx(1 / 250, rel=0.25)
    assert one.per_second < 0.2


def test_pauses_that_come_by_themselves():
    one = found(system(per_second=1.5))
    assert one.per_second == pytest.approx(1.5, rel=0.25)
    assert one.per_message < 1 / 1500


def test_a_server_without_pauses_has_none():
    assert found(system()) is None


def test_a_system_gets_what_was_found():
    some = Pauses(2.0, 0.01, (0.01,) * 10)
    one = with_pauses(system(), some)
    assert one.store.write.mean == pytest.approx(0.01 * 0.01)
    assert one.cpu.stalls.gap.mean == pytest.approx(0.5)
    stalled = with_pauses(system(per_second=2.0), some)
    assert stalled.cpu.stalls.gap.mean == pytest.approx(0.25)
    assert stalled.cpu.stalls.length.mean == pytest.approx((LENGTH + 0.01) / 2)
    assert with_pauses(system(), None) == system()


def test_a_probes_long_stalls_are_left_to_the_log():
    lengths = (2e-3, 2e-3, 3e-3, 20e-3)
    machine = Machine(stalls_per_s=4.0, stall_lengths=lengths)
    run = Recording(manifest(machine=machine), pd.DataFrame(), pd.DataFrame())
    stalls = short_stalls([lhsim.calibration.Level((run,))])
    assert 1 / stalls.gap.mean == pytest.approx(3.0)
    assert stalls.length.mean < 3e-3
