"""The cross-check accepts what the recordings were made with, and rejects what differs."""

import math

import attrs
import numpy as np
import pytest

import lhsim
from lhsim.crosscheck import crosscheck
from lhsim.crosscheck.judgement import distance
from lhsim.errors import InputError
from lhsim.models import Poisson, Workload
from lhsim.models.paths import changed
from lhsim.recording import Manifest
from lhsim.replay import replay

FACTORS = np.random.default_rng(1).normal(1.0, 0.01, 10).tolist()


def system_of(architecture):
    """Return a default system whose parameters are known to about 1 %."""
    system = lhsim.load_system(architecture)
    calibration = attrs.evolve(system.calibration, samples={"cpu.write*": tuple(FACTORS)})
    return attrs.evolve(system, calibration=calibration)


def recordings(system, seed=0, agents=(20, 50), repetitions=4, duration=10.0):
    """Return runs that the system made up: the manifests' own seeds are not what was drawn."""
    return [
        replay(
            system,
            Manifest(
                architecture=system.architecture,
                agents=count,
                workload=Workload(traffic=Poisson(1.0)),
                seed=repetition,
                warmup=2.0,
                duration=duration,
                drain=2.0,
            ),
            seed=10_000 + 1000 * seed + 100 * repetition + count,
        )
        for count in agents
        for repetition in range(repetitions)
    ]


@pytest.fixture(scope="module", params=["polling", "push"])
def truth(request):
    return system_of(request.param)


def test_the_true_system_is_accepted_under_nearly_all_seeds(truth):
    verdicts = [crosscheck(truth, recordings(truth, seed)).verdict for seed in range(10)]
    assert verdicts.count("accepted") >= 9


def test_what_a_model_missed_before_widens_its_prediction_and_no_verdict(truth):
    runs = recordings(truth)
    plain = crosscheck(truth, runs)
    missing = attrs.evolve(truth.calibration, misses={"store_p95": 0.3})
    wider = crosscheck(attrs.evolve(truth, calibration=missing), runs)
    for one, other in zip(plain.findings, wider.findings, strict=True):
        grown = other.simulated_interval[1] - one.simulated_interval[1]
        assert (grown > 0) == (one.metric == "store_p95")
        assert one.kind == other.kind
        np.testing.assert_equal(one.difference, other.difference)


def test_runs_that_move_are_predicted_and_count_less_the_more_there_are(truth):
    moving = attrs.evolve(truth.calibration, moves={"cpu": 0.05})
    steady, moved = (
        next(one for one in found.findings if one.metric == "cpu")
        for found in (
            crosscheck(system, recordings(truth))
            for system in (truth, attrs.evolve(truth, calibration=moving))
        )
    )
    assert half(*moved.simulated_interval) > 1.3 * half(*steady.simulated_interval)
    wide, narrow = (half(*(1 + end for end in one.difference)) for one in (moved, steady))
    added = math.sqrt(wide**2 - narrow**2)
    # 1.7 deviations of 5 %, of a mean of 4 live runs and one of 20 simulated ones
    assert added == pytest.approx(1.7 * 0.05 * math.sqrt(1 / 4 + 1 / 20), rel=0.3)


def half(low, high):
    return math.log(high / low) / 2


def test_a_store_that_costs_half_as_much_again_is_rejected(truth):
    found = crosscheck(changed(truth, "cpu.write*", 1.5), recordings(truth))
    assert found.verdict == "rejected"
    assert any("cpu differs" in reason for reason in found.reasons)


def test_a_system_without_warmth_is_rejected(truth):
    cold = attrs.evolve(truth, cpu=attrs.evolve(truth.cpu, warmth=None), calibration=None)
    assert crosscheck(cold, recordings(truth)).verdict == "rejected"


def test_latency_of_polling_earns_no_verdict():
    polling = system_of("polling")
    found = crosscheck(polling, recordings(polling, agents=(20,)))
    kinds = {one.metric: one.kind for one in found.findings}
    assert kinds["latency_p50"] == kinds["latency"] == "uninformative"
    assert kinds["store_p50"] == "agrees"


def test_intervals_hold_about_as_many_live_values_as_they_say(truth):
    found = [crosscheck(truth, recordings(truth, seed)).coverage for seed in range(4)]
    share = sum(one.inside for one in found) / sum(one.values for one in found)
    assert 0.8 <= share <= 1.0
    assert all(one.width < 3 for one in found)


def test_another_capacity_is_said_in_words():
    push = system_of("push")
    slow = changed(attrs.evolve(push, calibration=None), "cpu.write*", 60.0)
    found = crosscheck(slow, recordings(push, agents=(200,), repetitions=2), runs_simulated=5)
    assert any("the capacity differs" in note for note in found.notes)
    assert {one.metric for one in found.findings} == {"throughput", "cpu", "knee"}
    assert found.verdict == "rejected"


def test_a_doubtful_run_is_left_out_where_there_are_others_and_else_flagged():
    push = system_of("push")
    runs = recordings(push, agents=(20,), repetitions=3)
    doubt = [attrs.evolve(r, manifest=attrs.evolve(r.manifest, doubts=("late",))) for r in runs]
    found = crosscheck(push, [doubt[0], *runs[1:]])
    assert all(one.runs == 2 for one in found.findings)
    assert "left out: late" in found.notes[0]
    alone = crosscheck(push, [doubt[0]])
    assert all("doubtful runs" in one.flags for one in alone.findings)


def test_no_runs_are_refused():
    with pytest.raises(InputError, match="runs: are missing"):
        crosscheck(system_of("push"), [])


def test_the_distance_of_two_samples_by_hand():
    assert distance(np.array([1.0, 2.0]), np.array([2.0, 3.0])) == pytest.approx(0.5)
