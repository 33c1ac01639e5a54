"""Capacities that have a closed form, and what a search says where there is none to find."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor

import pytest
from attrs import evolve

from lhsim.distributions import Deterministic, Exponential
from lhsim.errors import InputError
from lhsim.models import Cpu, Memory, Poisson, PollingServer, PushServer, System, Workload
from lhsim.models.system import Calibration
from lhsim.planning import capacity
from lhsim.planning.levels import Evaluation, Figure, Question
from lhsim.planning.objectives import parse_objectives
from lhsim.planning.search import _Search
from lhsim.planning.uncertainty import combined, spread

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


def test_the_p99_of_an_mm1_queue():
    found = capacity(MM1, ["p99<20ms"])
    assert found.value == pytest.approx(mm1_capacity(0.02), rel=0.03)
    low, high = found.interval
    assert low <= mm1_capacity(0.02) <= high
    assert high / low < 1.1
    assert found.binding_objective == "p99<20ms"
    (crossing,) = found.crossings
    assert crossing.parameters is None
    assert crossing.simulation == crossing.interval


def test_the_saturation_of_deterministic_pollers():
    """By the utilisation law U = N S / (Z + S) up to N* = (Z + S) / S = 101 agents."""
    found = capacity(CYCLES, ["utilization<95%"])
    assert found.value == pytest.approx(0.95 * 101, rel=0.03)
    assert found.interval[0] <= 0.95 * 101 <= found.interval[1]


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
    assert found.interval == (None, 2)
    assert found.crossings == ()


def test_everything_keeps_them():
    found = capacity(MM1, ["p99<20ms"], most=64)
    assert found.value is None
    assert found.interval == (64, None)


def test_agents_come_in_pairs():
    pairs = evolve(MM1, workload=Workload("pair", Poisson(2.0), start="together"))
    found = capacity(pairs, ["p99<20ms"])
    assert found.value % 2 == 0
    assert all(one.value % 2 == 0 for one in found.evaluations)


def test_processes_do_not_change_the_answer():
    alone = capacity(CYCLES, ["utilization<95%"])
    with ThreadPoolExecutor(2) as executor:
        assert capacity(CYCLES, ["utilization<95%"], executor=executor) == alone


def test_samples_of_the_parameters_widen_the_interval():
    """The service rate moves by 5 %, and the capacity N = mu - ln(100) / p99 with it."""
    factors = tuple(math.exp(0.05 * z) for z in (-1.5, -1, -0.6, -0.3, -0.1, 0.1, 0.3, 0.6, 1, 1.5))
    sampled = evolve(MM1, calibration=Calibration(samples={"cpu.send*": factors}))
    plain, found = capacity(MM1, ["p99<20ms"]), capacity(sampled, ["p99<20ms"])
    assert found.value == plain.value
    exact = spread(
        [mm1_capacity(0.02, 1000 / f) / mm1_capacity(0.02) for f in factors], 0.95
    ).around(found.value)
    assert found.crossings[0].simulation == plain.interval
    # The part of the parameters has the noise of two runs on top, and is never much too narrow.
    low, high = found.crossings[0].parameters
    exact_width = math.log(exact[1] / exact[0])
    assert exact_width * 0.9 < math.log(high / low) < exact_width * 1.6
    assert found.interval[0] < min(plain.interval[0], low * 1.01)
    assert found.interval[1] > max(plain.interval[1], high * 0.99)


def test_parts_of_an_interval_add_up_as_squares_of_logarithms():
    low, high = combined(1.0, (math.exp(-3), math.exp(3)), (math.exp(-4), math.exp(4)))
    assert (math.log(low), math.log(high)) == pytest.approx((-5, 5))


class TestNotMonotone:
    """A search over levels whose figures are written down instead of simulated."""

    @staticmethod
    def search(kept):
        question = Question(MM1, parse_objectives(["p99<1s"]), "cpu.send*", agents=10)
        search = _Search(question, None, None)

        def look(value):
            good = kept(value)
            margin = 0.1 if good else -0.1
            figure = Figure("p99<1s", 1.0, (1.0, 1.0), False, good, margin)
            search.known[value] = evolve(template, value=value, figures=(figure,))
            return search.known[value]

        template = Evaluation(1.0, 4, False, False, ())
        search.look = look
        return search

    def test_every_crossing_is_found(self):
        search = self.search(lambda value: 0.1 < value < 0.7 or 3.0 < value < 9.0)
        search.scan(0)
        search.settle()
        found = [search.estimate(*pair)[0] for pair in search.pairs()]
        assert found == pytest.approx([0.1, 0.7, 3.0, 9.0], rel=0.03)


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
