"""Calibration on runs of which the truth is known: simulated ones of a changed system."""

from __future__ import annotations

import attrs
import pytest

import lhsim
from lhsim.calibration import calibrate, levels
from lhsim.errors import InputError
from lhsim.models import Poisson, Workload, paths
from lhsim.recording import Manifest
from lhsim.replay import replay

LOADS = {
    "polling": ((100, 1.0), (300, 1.0), (400, 0.2), (1500, 1.0)),
    "push": ((50, 1.0), (300, 2.0), (400, 0.2), (800, 4.0)),
}
HELD_OUT = {"polling": ((200, 1.0), (600, 1.0)), "push": ((200, 1.0), (500, 2.0))}


def manifest(architecture, agents, rate, seed):
    workload = Workload(traffic=Poisson(rate))
    return Manifest(architecture, agents, workload, seed, 2.0, 6.0, 2.0)


def truth(architecture):
    system = lhsim.load_system(architecture)
    changes = {"cpu.write*": 1.3, "cpu.parse_message*": 1.2, "network.up*": 3.0}
    if architecture == "polling":
        changes["cpu.query*"] = 0.8
    for path, factor in changes.items():
        system = paths.changed(system, path, factor)
    return system


@pytest.fixture(scope="module", params=["polling", "push"])
def calibrated(request):
    architecture = request.param
    system = truth(architecture)
    runs = [
        replay(system, manifest(architecture, agents, rate, seed))
        for agents, rate in LOADS[architecture]
        for seed in (1, 2)
    ]
    return system, calibrate(runs, name="found")


def test_loads_that_were_held_out_are_predicted(calibrated):
    system, found = calibrated
    median = "store_p50" if system.polling else "latency_p50"
    for agents, rate in HELD_OUT[system.architecture]:
        asked = manifest(system.architecture, agents, rate, 9)
        true, predicted = (replay(one, asked).measures() for one in (system, found.system))
        assert predicted["throughput"] == pytest.approx(true["throughput"], rel=0.02)
        assert predicted["cpu"] == pytest.approx(true["cpu"], rel=0.10)
        assert predicted[median] == pytest.approx(true[median], rel=0.25)


def test_the_system_is_written_and_read_again(calibrated, tmp_path):
    system = calibrated[1].system
    lhsim.parameters.dump(system, tmp_path / "found.toml")
    again = lhsim.load_system(tmp_path / "found.toml")
    assert again.calibration == system.calibration
    assert again.calibration.agents[1] == max(a for a, _ in LOADS[system.architecture])
    assert all(len(numbers) == 40 for numbers in again.calibration.samples.values())


def test_what_is_saturated_is_known(calibrated):
    found = [level.saturated for level in calibrated[1].levels]
    assert found == [False, False, False, True]


@pytest.fixture(scope="module")
def run():
    return replay(lhsim.load_system("polling"), manifest("polling", 20, 1.0, 1))


def test_one_load_is_too_few(run):
    with pytest.raises(InputError, match="1 load"):
        calibrate([run, run])


def test_runs_without_processor_time_are_refused(run):
    bare = attrs.evolve(run, counters=run.counters[["time_s"]])
    other = replay(lhsim.load_system("polling"), manifest("polling", 40, 1.0, 1))
    with pytest.raises(InputError, match="processor time was not read"):
        calibrate([bare, other])


def test_runs_without_acknowledgements_are_refused(run):
    bare = attrs.evolve(run, messages=run.messages.assign(acknowledged_s=float("nan")))
    other = replay(lhsim.load_system("polling"), manifest("polling", 40, 1.0, 1))
    with pytest.raises(InputError, match="has no store_p50"):
        calibrate([bare, other])


def test_architectures_are_not_mixed(run):
    push = replay(lhsim.load_system("push"), manifest("push", 20, 1.0, 1))
    with pytest.raises(InputError, match="several architectures"):
        levels([run, push])
