"""How surely the objectives are kept, against queues whose truth is known in closed form."""

import math

import numpy as np
import pytest
from attrs import evolve

from lhsim.distributions import Exponential
from lhsim.execution import Runner
from lhsim.models import Cpu, Poisson, PollingServer, PushServer, System, Workload
from lhsim.models.system import Calibration
from lhsim.planning.levels import Question
from lhsim.planning.misfits import misfit
from lhsim.planning.objectives import parse_objectives
from lhsim.planning.odds import SUREST, Odds, find_odds

RATE = 1000.0  # of the service [1/s]
ROOM = math.log(100) / 0.02  # of the service rate, that a p99 of 20 ms leaves free [1/s]
TRUTH = RATE - ROOM  # agents who send 1/s each, M/M/1


def queue(**known):
    return System(
        name="queue",
        workload=Workload(traffic=Poisson(1.0), start="together"),
        cpu=Cpu(send=Exponential(1 / RATE)),
        push=PushServer(),
        calibration=Calibration(**known) if known else None,
    )


def odds_of(system, *slo, seed=1):
    return find_odds(Question(system, parse_objectives(slo or "p99<20ms"), seed=seed), Runner())


def even(deviation, count=20):
    """Return factors whose logarithms spread evenly, with this standard deviation."""
    logs = np.linspace(-1, 1, count)
    return tuple(np.exp(logs / logs.std(ddof=1) * deviation).tolist())


def test_at_the_crossing_it_is_even_and_each_number_is_held_as_surely_as_it_keeps():
    odds = Odds(1000.0, 0.05, 7.0)
    assert odds.keeping(1000) == pytest.approx(0.5)
    # 2.365 is the 97.5 % quantile of t with 7 degrees of freedom.
    assert odds.holding(0.975) == pytest.approx(1000 * math.exp(-2.3646 * 0.05), rel=1e-4)
    for probability in (0.05, 0.3, 0.8, 0.95):
        assert odds.keeping(odds.holding(probability)) == pytest.approx(probability)


@pytest.mark.parametrize("odds", [Odds(1000.0), Odds(0.0), Odds(math.inf)])
def test_nothing_is_certain(odds):
    found = [odds.keeping(agents) for agents in (1, 100, 1000, 10_000, 10**9)]
    assert all(1 - SUREST <= one <= SUREST for one in found)
    assert found == sorted(found, reverse=True)


def test_a_model_that_may_be_off_may_hold_nothing():
    odds = Odds(1000.0, 0.05, 7.0, (-math.inf, 0.0, 0.0, 0.1))
    assert odds.keeping(10) == pytest.approx(0.75)
    assert odds.holding(0.8) == 0
    for probability in (0.1, 0.3, 0.6):
        assert odds.keeping(odds.holding(probability)) == pytest.approx(probability)


def test_without_samples_the_runs_alone_say_how_well_the_crossing_is_known():
    found = odds_of(queue())
    assert found.odds.crossing == pytest.approx(TRUTH, rel=0.04)
    assert found.odds.freedom == pytest.approx(3)
    assert found.moves == ()
    assert found.binding_objective == "p99<20ms"


def test_samples_move_the_crossing_as_theory_says():
    # ln(mu - ROOM) moves by mu / (mu - ROOM) for each ln(mu), the saturation by 1.
    share, deviation = RATE / TRUTH, 0.05
    system = queue(samples={"cpu.send*": even(deviation)})
    found = [odds_of(system, seed=seed) for seed in (1, 2, 3, 4)]
    moved = [np.std(one.moves, ddof=1) for one in found]
    # One seed has a standard deviation of 7 to 10 %, and so the mean of four has 5 % at most.
    assert np.mean(moved) == pytest.approx(share * deviation, rel=0.2)
    assert np.mean([one.odds.spread for one in found]) == pytest.approx(np.mean(moved), rel=0.2)
    assert all(one.odds.freedom > 15 for one in found)


def test_days_that_differ_spread_the_crossing():
    samples = {"cpu.send*": even(0.03)}
    alone = odds_of(queue(samples=samples)).odds
    moving = odds_of(queue(samples=samples, moves={"cpu": 0.1})).odds
    assert moving.spread == pytest.approx(RATE / TRUTH * math.hypot(0.03, 0.1), rel=0.25)
    assert moving.spread > 1.5 * alone.spread


def test_a_misfit_moves_the_limit():
    """A p99 that the model has a fifth too low reaches 20 ms where the model says 16.7 ms."""
    odds = odds_of(queue(misses={"latency_p99": 0.1824}, biases={"latency_p99": -0.1823})).odds
    truth = RATE - 1.2 * ROOM
    assert odds.holding(0.5) == pytest.approx(truth, rel=0.05)


def test_a_misfit_that_is_large_leaves_a_chance_that_nothing_is_held():
    odds = odds_of(queue(misses={"latency_p99": 2.0})).odds
    # With no queue p99 is ln(100) / mu = 4.6 ms: a factor of 4.34 off, ln 4.34 = 1.47, breaks it.
    assert odds.keeping(1) == pytest.approx(0.768, abs=0.04)  # Phi(1.47 / 2)


def test_what_a_calibration_missed_has_a_sign_and_a_spread():
    system = queue(misses={"latency_p99": 0.5, "cpu": 0.1}, biases={"latency_p99": -0.3})
    p99, cpu, memory = parse_objectives(["p99<1s", "cpu<50%", "memory<1GB"])
    assert misfit(system, p99) == pytest.approx((0.3, 0.4))
    assert misfit(system, cpu) == (0.0, 0.1)
    assert misfit(system, memory) == misfit(queue(), p99) == (0.0, 0.0)


def test_an_objective_that_no_number_keeps():
    found = odds_of(queue(), "p99<1ms")
    assert found.odds == Odds(0.0)
    assert found.binding_objective == "p99<1ms"


def test_a_use_of_the_processor_is_proportional():
    found = odds_of(queue(samples={"cpu.send*": even(0.05)}), "cpu<50%")
    assert found.odds.crossing == pytest.approx(500, rel=0.03)
    assert np.std(found.moves, ddof=1) == pytest.approx(0.05, rel=0.1)


def test_the_first_of_several_objectives_binds():
    found = odds_of(queue(), "p99<20ms", "cpu<50%")
    assert found.odds.crossing == pytest.approx(500, rel=0.03)
    assert found.binding_objective == "cpu<50%"


def test_the_answer_is_that_of_the_system_whatever_its_name():
    assert odds_of(queue()).odds == odds_of(evolve(queue(), name="other")).odds


def test_nothing_is_run_with_fewer_agents_than_the_system_has():
    """Three agents that only send, and no consumer, are no queue; a search goes down to few."""
    consumers = System(
        name="consumers",
        workload=Workload(traffic=Poisson(1.0), topology="queue", producers=3),
        polling=PollingServer(interval=0.1, wake_on_write=True),
        cpu=Cpu(query=Exponential(1e-3)),
    )
    assert Question(consumers, parse_objectives("p99<1ms")).nearest(1.0) == 4.0
    assert odds_of(consumers, "p99<1ms").odds.crossing == 0.0
