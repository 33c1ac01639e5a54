"""Capacities that have a closed form, and what a search says where there is none to find."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from attrs import evolve
from scipy.special import stdtrit

import lhsim
from lhsim.analysis.intervals import estimate
from lhsim.distributions import Deterministic, Exponential
from lhsim.errors import InputError
from lhsim.execution import Runner
from lhsim.models import Cpu, Memory, Poisson, PollingServer, PushServer, System, Workload
from lhsim.models.system import Calibration
from lhsim.planning import capacities, capacity
from lhsim.planning.bracketing import Bracketing
from lhsim.planning.budget import BudgetedRunner, BudgetSpentError
from lhsim.planning.crossings import Task, crossings
from lhsim.planning.horizons import Horizon
from lhsim.planning.levels import SHORT_RUNS, Evaluation, Figure, Question, judge
from lhsim.planning.objectives import parse_objectives
from lhsim.planning.uncertainty import combined, noise_of, spread, spread_of

MM1 = System(
    name="mm1",
    workload=Workload(traffic=Poisson(1.0), start="together"),
    cpu=Cpu(send=Exponential(1e-3)),
    push=PushServer(),
)
# Each cycle is a sleep of 1 s and a query of 10 ms.
CYCLES = System(
    name="cycles",
    workload=Workload(traffic=Poisson(0.01)),
    cpu=Cpu(query=Deterministic(0.01)),
    polling=PollingServer(),
)


def mm1_capacity(p99: float, service_rate: float = 1000.0) -> float:
    """Return the agents of MM1, each with 1 message/s, whose sojourn time has this p99 [s]."""
    return service_rate - math.log(100) / p99


@pytest.fixture(scope="module")
def mm1():
    """The capacity of MM1."""
    return capacity(MM1, ["p99<20ms"])


def test_the_p99_of_an_mm1_queue(mm1):
    assert mm1.value == pytest.approx(mm1_capacity(0.02), rel=0.03)
    low, high = mm1.interval
    assert low <= mm1_capacity(0.02) <= high
    assert high / low < 1.1
    assert mm1.binding_objective == "p99<20ms"
    (crossing,) = mm1.crossings
    assert crossing.parameters is None
    assert crossing.simulation == crossing.interval


@pytest.fixture(scope="module")
def cycles():
    """The capacity of CYCLES."""
    return capacity(CYCLES, ["utilization<95%"])


def test_the_saturation_of_deterministic_pollers(cycles):
    """By the utilisation law U = N S / (Z + S) up to N* = (Z + S) / S = 101 agents."""
    assert cycles.value == pytest.approx(0.95 * 101, rel=0.03)
    assert cycles.interval[0] <= 0.95 * 101 <= cycles.interval[1]


def test_the_objective_that_is_reached_first_binds():
    memory = evolve(MM1, memory=Memory(per_connection=1e6))
    found = capacity(memory, ["p99<20ms", "memory<100MB"])
    assert found.binding_objective == "memory<100MB"
    assert found.value in {99, 100}


def test_the_slowest_server_that_holds_so_many():
    """A factor f of the service time leaves 1000 / f = 500 + ln(100) / 20 ms."""
    found = capacity(MM1, ["p99<20ms"], vary="cpu.send*", agents=500)
    expected = 1000 / (500 + math.log(100) / 0.02)
    assert found.value == pytest.approx(expected, rel=0.03)
    assert found.interval[0] <= expected <= found.interval[1]
    assert found.crossing.kept == "below"


def test_the_fewest_loops_that_hold_so_many():
    """1500 messages/s over w loops, each an M/M/1 queue with a p99 of 20 ms up to 770/s: w = 2."""
    found = capacity(MM1, ["p99<20ms"], vary="cpu.workers", agents=1500)
    assert (found.value, found.crossing.kept) == (2, "above")
    assert found.interval == (1, 2)


def test_nothing_keeps_the_objectives():
    found = capacity(MM1, ["p99<1us"])
    assert found.value is None
    assert found.interval == (None, 1)  # not even a single agent
    assert found.crossings == ()


@pytest.mark.parametrize(
    ("topology", "least"), [("ring", 1), ("pair", 2), ("random", 2), ("hub", 2)]
)
def test_the_search_begins_with_the_fewest_agents_that_there_can_be(topology, least):
    system = evolve(MM1, workload=Workload(topology, Poisson(1.0), start="together"))
    found = capacity(system, ["p99<1us"], most=7)
    assert found.interval == (None, least)
    assert found.evaluations[0].value == least
    assert max(one.value for one in found.evaluations) <= 7


def test_everything_keeps_them():
    found = capacity(MM1, ["p99<20ms"], most=64)
    assert found.value is None
    assert found.interval == (64, None)


def test_agents_come_in_pairs():
    pairs = evolve(MM1, workload=Workload("pair", Poisson(2.0), start="together"))
    found = capacity(pairs, ["p99<20ms"])
    assert found.value % 2 == 0
    assert all(one.value % 2 == 0 for one in found.evaluations)


def test_processes_do_not_change_the_answer(cycles):
    with ThreadPoolExecutor(2) as executor:
        assert capacity(CYCLES, ["utilization<95%"], executor=executor) == cycles


FACTORS = tuple(math.exp(0.05 * z) for z in (-1.5, -1, -0.6, -0.3, -0.1, 0.1, 0.3, 0.6, 1, 1.5))
SAMPLED = evolve(MM1, calibration=Calibration(samples={"cpu.send*": FACTORS}))


def test_samples_of_the_parameters_widen_the_interval(mm1):
    plain, found = mm1, capacity(SAMPLED, ["p99<20ms"])
    assert found.value == plain.value
    (crossing,) = found.crossings
    assert crossing.simulation == plain.interval
    low, high = combined(crossing.value, crossing.simulation, crossing.parameters)
    # The ends of the parts are rounded outwards before they are added up here.
    assert found.interval == (pytest.approx(low, abs=2), pytest.approx(high, abs=2))
    assert found.interval[0] < plain.interval[0]
    assert found.interval[1] > plain.interval[1]


def test_the_part_of_the_parameters_is_that_of_their_exact_capacities():
    """N = mu - ln(100) / p99 moves with the service rate, which ten samples scale.

    A single answer scatters: an error of the two runs, which all samples share in proportion to
    how far they are off, counts twice in the variance. The mean over seeds must hold the truth.
    """
    answers = [mm1_capacity(0.02, 1000 / factor) for factor in FACTORS]
    exact = float(np.var(np.log(answers), ddof=1))
    question = Question(SAMPLED, parse_objectives(["p99<20ms"]), horizon=Horizon(2000, 2.0))
    quantile = stdtrit(len(FACTORS) - 1, 0.975)
    variances = []
    with ThreadPoolExecutor(2) as executor:
        for seed in range(1, 11):
            found = spread_of(evolve(question, seed=seed), 770.0, "below", Runner(executor))
            assert found.samples == len(FACTORS)
            variances.append((found.half_width / quantile) ** 2)
    mean = estimate(variances, 0.999)
    assert mean.low <= exact <= mean.high
    assert mean.high - mean.low < 1.5 * exact


@pytest.mark.parametrize("near", [10.0, 45.0, 96.0, 230.0, 900.0])
def test_a_crossing_is_found_from_afar(near):
    """U = N / 101 up to 1, and then it is flat: a straight line over all of that goes wrong."""
    question = Question(CYCLES, parse_objectives(["utilization<95%"]), looks=(2,))
    found = crossings({"pollers": Task(question, near)}, Runner())["pollers"]
    assert found.value == pytest.approx(0.95 * 101, rel=0.01)


@pytest.mark.parametrize("kind", ["independent", "in proportion", "alike"])
def test_the_noise_of_runs_is_taken_out_of_a_spread(kind):
    """Whatever the covariance of the samples' errors under one seed, what is left is the truth."""
    generator = np.random.default_rng(1)
    truth = np.array([-1.5, -0.7, 0.0, 0.7, 1.5])
    exact = float(np.var(truth, ddof=1))
    left, raw = [], []
    for _ in range(4000):
        errors = {
            "independent": generator.normal(size=(5, 2)),
            "in proportion": truth[:, None] * generator.normal(size=2),
            "alike": generator.normal(size=2) * np.ones((5, 1)),
        }[kind]
        runs = truth[:, None] + errors
        means = runs.mean(axis=1)
        raw.append(float(np.var(means, ddof=1)))
        left.append(raw[-1] - noise_of(list(runs - means[:, None])))
    found = estimate(left, 0.999)
    rounding = 1e-9
    assert found.low - rounding <= exact <= found.high + rounding
    assert (estimate(raw, 0.999).low > exact + rounding) == (kind != "alike")  # without it


def test_where_a_sample_has_no_figure_nothing_is_taken_out():
    assert noise_of([(0.1, -0.1), ()]) == 0.0
    assert noise_of([(0.0,), (0.0,)]) == 0.0


def test_noise_never_makes_a_spread_negative():
    assert spread([0.99, 1.0, 1.01], 0.95, noise=1.0).half_width == 0.0


def test_parts_of_an_interval_add_up_as_squares_of_logarithms():
    low, high = combined(1.0, (math.exp(-3), math.exp(3)), (math.exp(-4), math.exp(4)))
    assert (math.log(low), math.log(high)) == pytest.approx((-5, 5))


class TestNotMonotone:
    """A search over levels whose figures are written down instead of simulated."""

    @staticmethod
    def search(kept, kept_briefly=None):
        """Return a search that has ended; short runs may say something else, and decide nothing."""
        search = Bracketing(Question(MM1, parse_objectives(["p99<1s"]), "cpu.send*", agents=10))
        for asked in search.steps():
            short = not asked.full and kept_briefly is not None
            for value in asked.values:
                good = (kept_briefly if short else kept)(value)
                margin = 0.1 if good else -0.1
                figure = Figure("p99<1s", 1.0, (1.0, 1.0), False, None if short else good, margin)
                search.learn(Evaluation(value, 4, False, False, (figure,), short))
        return search

    def test_every_crossing_is_found(self):
        search = self.search(lambda value: 0.1 < value < 0.7 or 3.0 < value < 9.0)
        found = [search.estimate(*pair)[0] for pair in search.pairs()]
        assert found == pytest.approx([0.1, 0.7, 3.0, 9.0], rel=0.03)

    @pytest.mark.parametrize("off", [0.7, 0.95, 1.05, 1.5])
    def test_full_runs_overrule_short_ones(self, off):
        search = self.search(lambda value: value < 0.7, lambda value: value < off * 0.7)
        (pair,) = search.pairs()
        assert search.estimate(*pair)[0] == pytest.approx(0.7, rel=0.01)
        assert not any(search.known[end].short for end in pair)


class TestAnytime:
    def test_the_answers_narrow_down_to_that_of_the_whole_search(self, mm1):
        found = list(capacities(MM1, ["p99<20ms"]))
        assert found[-1] == mm1
        assert {one.stop_reason for one in found[:-1]} == {None}
        assert found[-1].stop_reason == "precision"
        bracketed = [one for one in found if one.value is not None]
        assert len(bracketed) > 3
        first, last = bracketed[0].interval, mm1.interval
        assert first[0] <= last[0] < last[1] <= first[1]
        assert first[1] / first[0] > 3 * last[1] / last[0]

    def test_short_runs_decide_what_is_clear(self, mm1):
        by_length = {one.short: one for one in mm1.evaluations}
        assert set(by_length) == {True, False}
        assert by_length[True].replications == SHORT_RUNS
        nearest = sorted(mm1.evaluations, key=lambda one: abs(one.value - mm1.value))
        assert not any(one.short for one in nearest[:2])

    def test_a_small_budget_gives_a_wide_interval_that_holds_the_answer(self, mm1):
        found = capacity(MM1, ["p99<20ms"], budget="0.2 s")
        assert found.stop_reason == "budget"
        assert sum(one.replications for one in found.evaluations) < sum(
            one.replications for one in mm1.evaluations
        )
        low, high = found.interval
        assert low is None or low <= mm1.value
        assert high is None or high >= mm1.value
        assert found.sentences()[1] == "stopped by its budget: more time narrows the interval"

    def test_a_large_budget_changes_nothing(self, mm1):
        assert capacity(MM1, ["p99<20ms"], budget=600.0) == mm1

    def test_a_closed_form_stands_in_for_the_samples_of_the_parameters(self):
        *before, whole = capacities(SAMPLED, ["p99<20ms"])
        early = before[-1].crossing
        assert early.parameters_by == "closed form"
        assert whole.crossing.parameters_by == "runs"
        assert early.parameters[0] < whole.crossing.parameters[0]
        assert early.parameters[1] > whole.crossing.parameters[1]
        assert "by a closed form" in before[-1].sentences()[2]

    def test_ctrl_c_leaves_what_is_known(self, mm1):
        left = iter(range(60))

        def interrupt(_cell, _result):
            if next(left, None) is None:
                raise KeyboardInterrupt

        found = capacity(MM1, ["p99<20ms"], on_done=interrupt)
        assert found.stop_reason == "interrupted"
        assert found.interval[0] <= mm1.value <= found.interval[1]

    def test_ctrl_c_before_anything_is_known(self):
        def interrupt(_cell, _result):
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            capacity(MM1, ["p99<20ms"], on_done=interrupt)

    def test_who_has_enough_stops(self):
        for found in capacities(MM1, ["p99<20ms"]):
            if found.value is not None:
                break
        assert len(found.evaluations) < 10

    def test_no_run_is_started_that_would_end_too_late(self):
        system = evolve(MM1, name="brief")
        cells = Question(system, parse_objectives(["p99<20ms"])).cells(10.0, range(4))
        runner = BudgetedRunner(Runner(), until=0.0)
        assert len(runner.run(cells[:1])[0]) == 1  # the first are started in any case
        with pytest.raises(BudgetSpentError):
            runner.run(cells[1:])

    def test_kept_runs_cost_nothing(self, tmp_path, mm1):
        capacity(MM1, ["p99<20ms"], folder=tmp_path)
        assert capacity(MM1, ["p99<20ms"], folder=tmp_path, budget=0.001) == mm1

    @pytest.mark.parametrize("budget", [0, -1.0, "2", "fast", True])
    def test_a_budget_that_is_none(self, budget):
        with pytest.raises(InputError, match="budget"):
            capacity(MM1, ["p99<20ms"], budget=budget)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ({"vary": "agents", "agents": 5}, "--agents: agents are what is varied"),
        ({"vary": "cpu.workers"}, "--agents: is missing"),
        ({"vary": "cpu.wrokers", "agents": 5}, "--vary: cpu.wrokers: the system has no 'wrokers'"),
        ({"vary": "cpu.send", "agents": 5}, "--vary: cpu.send: is a distribution"),
        ({"check": 2.5}, "--check: 2.5 is no whole number"),
        ({"check": 0}, "--check: 0 is out of range"),
        ({"confidence": 1.0}, "confidence: 1.0 is out of range"),
        ({"engine": "fast"}, "unknown engine 'fast'"),
        ({"most": 0}, "--most: 0 is out of range"),
    ],
)
def test_arguments_that_cannot_be_used(arguments, part):
    with pytest.raises(InputError) as caught:
        capacity(MM1, ["p99<20ms"], **arguments)
    assert part in str(caught.value)


def test_what_runs_that_show_the_start_violate_is_not_decided():
    runs = [
        lhsim.simulate("push", agents=20, duration=20, seed=seed, engine="simpy")
        for seed in range(4)
    ]
    objectives = parse_objectives(["mean<0.1ms"])
    assert judge(objectives, 20, runs, 0.95).verdict == "violated"
    early = [evolve(run, settled_by=100.0) for run in runs]
    assert judge(objectives, 20, early, 0.95).verdict == "undecided"


def test_an_interval_reaches_down_to_where_an_overload_may_end_it():
    """Memory below a limit that is far away, of a server that is overloaded before."""
    system = System(name="full", push=PushServer(), cpu=Cpu(send=Deterministic(1e-3)),
                    workload=Workload(traffic=Poisson(1.0), start="together"))  # fmt: skip
    found = list(capacities(system, "memory<1GB"))
    for one in found[1:]:
        low, high = one.interval
        assert low is None or low <= 1000, one.sentences()[0]
        assert high is None or high >= 990, one.sentences()[0]
    assert any(one.startswith("it ends in overload") for one in found[-1].sentences())
