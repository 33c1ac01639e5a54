"""Calibration on runs of which the truth is known: simulated ones of a changed system."""

from __future__ import annotations

import math

import attrs
import numpy as np
import pytest

import lhsim
from lhsim.calibration import calibrate, levels
from lhsim.calibration.fit import Fit, Target
from lhsim.calibration.levels import PRIOR_DOF, Level, expected_spread, spread
from lhsim.distributions import Deterministic
from lhsim.errors import InputError
from lhsim.models import Poisson, Workload, paths
from lhsim.planning.samples import samples_of
from lhsim.recording import Machine, Manifest
from lhsim.replay import replay
from lhsim.report.calibration import calibration_text

pytestmark = pytest.mark.usefixtures("replay_once")

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


def test_a_true_shape_misses_little_of_what_was_fitted_and_says_by_how_much(calibrated):
    _, found = calibrated
    assert not found.unexplained
    misses = found.system.calibration.misses
    assert misses["cpu"] < 0.03
    assert misses["throughput"] < 0.01
    unsaturated = [level for level in found.levels if not level.saturated]
    squares = [
        np.log(
            np.mean([replay(found.system, run.manifest).measures()["store_p95"] for run in runs])
            / np.mean([run.measures()["store_p95"] for run in runs])
        )
        ** 2
        for runs in (level.runs for level in unsaturated)
    ]
    assert misses["store_p95"] == pytest.approx(np.sqrt(np.mean(squares)), rel=0.01)


def test_samples_of_the_parameters_fit_as_well_as_they_should(calibrated):
    """Those of unknowns that make up for one another lie along a curve."""
    _, found = calibrated
    fit = Fit(found.system, found.levels, found.targets)
    some = [np.log(fit.simulated(one)) for one in samples_of(found.system)[::2]]
    spread_of_targets = np.std(some, axis=0)
    for target, value in zip(found.targets, spread_of_targets, strict=True):
        from_runs = {"cpu": 0.04, "throughput": 0.04}.get(target.measure, 0.15)
        assert value < math.hypot(1.5 * target.error, 1.5 * from_runs), target


def test_runs_that_happen_to_be_alike_promise_nothing():
    run = replay(lhsim.load_system("push"), manifest("push", 20, 1.0, 1))
    alike = [Level((run, run))]
    assert spread(alike, "cpu") == 0
    whole = PRIOR_DOF + 1
    variance = PRIOR_DOF * 0.03**2 / whole * whole / (whole - 2)
    assert expected_spread(alike, "cpu", 0.03) == pytest.approx(math.sqrt(variance))
    assert expected_spread([Level((run,))], "cpu", 0.03) == pytest.approx(0.03 * math.sqrt(2))


def test_many_runs_say_how_far_they_are_apart():
    runs = [replay(lhsim.load_system("push"), manifest("push", 20, 1.0, s)) for s in range(1, 31)]
    level = [Level(tuple(runs))]
    assert expected_spread(level, "cpu", 0.5) > spread(level, "cpu")  # what was expected is far off
    own = spread(level, "cpu")
    assert expected_spread(level, "cpu", own) == pytest.approx(own, rel=0.05)


def test_what_is_saturated_is_known(calibrated):
    found = [level.saturated for level in calibrated[1].levels]
    assert found == [False, False, False, True]


@pytest.mark.usefixtures("few_samples")
def test_a_server_that_its_store_holds_up_is_not_explained_by_its_processor():
    system = lhsim.load_system("push")
    write = attrs.evolve(system.store, write=Deterministic(2e-3), connections=1)
    held_up = attrs.evolve(system, store=write)
    loads = ((50, 1.0), (100, 2.0), (400, 4.0))
    runs = [replay(held_up, manifest("push", *load, seed)) for load in loads for seed in (1, 2)]
    found = calibrate(runs)
    (sentence,) = found.unexplained
    assert sentence.startswith("At 400 agents, 1600 messages/s the server got ")
    assert "Trust no capacity" in " ".join(calibration_text(found.to_dict(), []).split())


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


@pytest.mark.usefixtures("few_samples")
def test_a_server_that_is_twice_as_slow_is_found_to_be():
    system = lhsim.load_system("push")
    slow = attrs.evolve(system, cpu=system.cpu.slower(2.0))
    loads = ((30, 1.0), (200, 1.0), (600, 2.0))
    runs = [replay(slow, manifest("push", agents, rate, 1)) for agents, rate in loads]
    found = calibrate(runs)
    for target, simulated in zip(found.targets, found.simulated, strict=True):
        assert simulated == pytest.approx(target.live, rel=0.05 if target.measure == "cpu" else 0.2)


@pytest.mark.usefixtures("few_samples")
def test_each_run_is_replayed_on_a_processor_of_its_pace():
    system = lhsim.load_system("push")

    def run(agents, pace):
        asked = manifest("push", agents, 1.0, 1)
        asked = attrs.evolve(asked, machine=Machine(pace=pace))
        return attrs.evolve(
            replay(attrs.evolve(system, cpu=system.cpu.slower(pace / 40e-6)), asked), manifest=asked
        )

    found = calibrate([run(30, 30e-6), run(300, 50e-6), run(900, 40e-6)])
    assert found.system.calibration.pace == pytest.approx(40e-6)
    asked = manifest("push", 500, 1.0, 2)
    true, predicted = (replay(one, asked).measures()["cpu"] for one in (system, found.system))
    assert predicted == pytest.approx(true, rel=0.05)


@pytest.fixture(scope="module")
def pair():
    system = lhsim.load_system("push")
    return [replay(system, manifest("push", 30, 1.0, seed)) for seed in (1, 2)]


def with_cpu(run, cpu):
    """The run with another processor's time, as a part of a core."""
    times = run.counters["time_s"] - run.counters["time_s"].iloc[0]
    return attrs.evolve(run, counters=run.counters.assign(cpu_s=cpu * times))


@pytest.mark.usefixtures("few_samples")
def test_doubtful_runs_are_left_out_where_others_have_their_load(pair):
    sure, other = pair
    doubtful = with_cpu(other, 0.5)  # which would be seen in the target
    doubtful = attrs.evolve(doubtful, manifest=attrs.evolve(other.manifest, doubts=("late",)))
    alone = replay(lhsim.load_system("push"), manifest("push", 60, 1.0, 1))
    alone = attrs.evolve(alone, manifest=attrs.evolve(alone.manifest, doubts=("late",)))
    found = calibrate([sure, doubtful, alone])
    assert [level.runs for level in found.levels] == [(sure,), (alone,)]
    assert found.left_out == (doubtful,)
    live = next(t.live for t in found.targets if t.level == 0 and t.measure == "cpu")
    assert live == pytest.approx(sure.measures()["cpu"])
    asked = {"agents": 30, "seed": other.manifest.seed, "doubts": ["late"]}
    assert found.to_dict()["left_out"] == [asked]
    assert f"Left out: 30 agents, seed {asked['seed']}: late." in calibration_text(
        found.to_dict(), ()
    )


@pytest.mark.usefixtures("few_samples")
def test_a_busy_level_that_delivers_is_saturated(pair):
    busy = [with_cpu(run, 0.96) for run in pair]
    other = [replay(lhsim.load_system("push"), manifest("push", 60, 1.0, 1))]
    found = calibrate([*busy, *other])
    assert [level.saturated for level in found.levels] == [True, False]
    (target,) = (t for t in found.targets if t.level == 0)
    throughput = np.mean([run.measures()["throughput"] for run in busy])
    assert (target.measure, target.live) == ("capacity", pytest.approx(throughput / 0.96, rel=0.01))


def test_a_saturated_level_has_its_capacity_alone(calibrated):
    last = len(calibrated[1].levels) - 1
    assert [t.measure for t in calibrated[1].targets if t.level == last] == ["capacity"]


def test_each_run_of_a_level_is_simulated_under_its_own_seed(pair):
    """The means are those of the live runs exactly where the system is the one that made them."""
    found = levels(pair)
    system = lhsim.load_system("push")
    targets = [
        Target(0, measure, found[0].mean(measure), 0.1) for measure in ("cpu", "latency_p50")
    ]
    fit = Fit(system, found, targets, None)
    assert fit.simulated(system) == [target.live for target in targets]


@pytest.mark.usefixtures("few_samples")
def test_the_steps_are_counted(run):
    other = replay(lhsim.load_system("polling"), manifest("polling", 40, 1.0, 1))
    steps = []
    calibrate([run, other], on_step=lambda done, most: steps.append((done, most)))
    assert [done for done, _ in steps] == list(range(1, len(steps) + 1))
    assert all(done <= most for done, most in steps)
