"""Which design, until when, how surely, at what cost: against figures that are worked by hand."""

import math
from datetime import date, timedelta

import numpy as np
import pytest
from attrs import evolve

import lhsim
from lhsim.distributions import Deterministic, Exponential
from lhsim.errors import InputError
from lhsim.models import Cpu, Poisson, PushServer, System, Workload
from lhsim.models.system import Calibration
from lhsim.planning import capacity, decide
from lhsim.planning.decision import PROMISED, default_designs

START = date(2027, 1, 1)
ROOM = math.log(100) / 0.02  # of the service rate, that a p99 of 20 ms leaves free [1/s]


def queue(name, rate, deviation=0.05):
    logs = np.linspace(-1, 1, 20)
    factors = tuple(np.exp(logs / logs.std(ddof=1) * deviation).tolist())
    return System(
        name=name,
        workload=Workload(traffic=Poisson(1.0), start="together"),
        cpu=Cpu(send=Exponential(1 / rate)),
        push=PushServer(),
        calibration=Calibration(agents=(1.0, 500.0), samples={"cpu.send*": factors}),
    )


SLOW, QUICK = queue("slow", 1000.0), queue("quick", 4000.0)  # they hold 770 and 3,770 agents


def decided(*systems, **more):
    asked = {"agents": 300, "growth": "10%/month", "start": START, "server_cost": 100.0}
    return decide("p99<20ms", systems=systems, **asked | more)


@pytest.fixture(scope="module")
def found():
    return decided(SLOW, QUICK)


def test_it_says_when_to_move_and_to_what(found):
    slow, quick = found.designs
    assert found.advice.action == "move"
    assert found.advice.design == "quick"
    # 300 * 1.1^m = 769.7 after 9.885 months
    expected = START + timedelta(9.885 * 731 / 24)
    assert abs(slow.crossing_date - expected) < timedelta(15)
    first, last = slow.crossing_interval
    assert first < slow.crossing_date < last
    assert first < expected < last
    assert found.until == slow.lasts_until < slow.crossing_date
    assert quick.crossing_date is None  # 2,955 agents in the end
    assert quick.lasts_until == found.dates[-1]
    text = found.recommendation
    assert text.startswith(f"Stay with slow until {found.until}, then move to quick.")
    assert "95 % certainty" in text


def test_the_numbers_are_those_of_capacity_within_intervals(found):
    other = capacity(SLOW, "p99<20ms")
    slow = found.designs[0]
    assert other.interval[0] <= slow.capacity <= other.interval[1]
    assert slow.interval[0] <= other.value <= slow.interval[1]
    # Twice t for 95 % and the spread of the samples: 2 * 2.09 * 1.3 * 0.05
    assert math.log(slow.interval[1] / slow.interval[0]) == pytest.approx(0.272, rel=0.3)


def test_probabilities_fall_with_time_and_are_never_certain(found):
    for one in found.designs:
        assert list(one.p_keeps) == sorted(one.p_keeps, reverse=True)
        assert all(0.01 <= p <= 0.99 for p in one.p_keeps)
    assert found.designs[0].p_keeps_now == 0.99
    assert found.designs[0].p_keeps[-1] == pytest.approx(0.01)


def test_servers_and_money_follow_from_what_is_held_surely(found):
    slow, quick = found.designs
    last = (found.dates[-1] - START).days
    days = [300 * 1.1 ** (24 * day / last) for day in range(last + 1)]
    servers = [math.ceil(round(agents) / slow.sure) for agents in days]
    assert slow.servers == max(servers)
    assert slow.servers_now == quick.servers == 1
    assert slow.cost == pytest.approx(2400 * sum(servers) / len(servers))
    assert quick.cost == pytest.approx(2400)


def test_the_frontier_compares_speed_and_cost(found):
    quick, slow = found.frontier()
    assert (quick["name"], slow["name"]) == ("quick", "slow")
    assert quick["efficient"]
    assert not slow["efficient"]
    # M/M/1 with 300 agents: ln(100) / (mu - 300)
    assert slow["p99"] == pytest.approx(math.log(100) / 700, rel=0.1)


def test_the_growth_that_would_change_it_is_where_the_server_lasts(found):
    change = next(one for one in found.would_change_if if one.quantity == "growth")
    assert 300 * (1 + change.threshold) ** 24 == pytest.approx(found.designs[0].sure)
    calmer = decided(SLOW, QUICK, growth=f"{99 * change.threshold:.4f}%/month")
    assert calmer.advice.action == "stay"
    assert calmer.until == calmer.dates[-1]


def test_the_cost_that_would_change_it_is_the_ratio_of_both(found):
    change = next(one for one in found.would_change_if if one.quantity == "server_cost")
    assert change.threshold == pytest.approx(found.designs[0].cost / found.designs[1].cost)


def test_what_to_measure_removes_what_a_run_tells(found):
    measured = found.measure_next
    assert measured.design == "slow"
    assert measured.parameter == "cpu.send"
    assert measured.depends == pytest.approx(1, abs=0.01)  # there is no other
    # v = 0.05^2 of the samples against 0.04^2 of a run
    assert measured.narrows == pytest.approx(0.05**2 / (0.05**2 + 0.04**2), rel=0.05)
    assert "lhsim measure" in measured.command
    assert f"--agents {measured.agents} --rate 1 " in measured.command


def test_what_is_extrapolated_is_said(found):
    assert all(one.extrapolated for one in found.designs)
    assert "extrapolated" in found.recommendation
    assert any("calibrated up to 500" in line for line in found.sentences())


def test_plain_data_has_exactly_what_is_promised(found):
    data = found.to_dict()
    assert set(data) == {
        "recommendation", "until", "designs", "frontier", "would_change_if", "measure_next",
    }  # fmt: skip
    assert all(set(one) == set(PROMISED) for one in data["designs"])
    assert data["until"] == found.until.isoformat()
    assert data["recommendation"]["design"] == "quick"
    assert data["recommendation"]["capacity"] == found.designs[1].capacity


def test_it_is_a_frame_a_picture_and_a_short_line(found):
    frame = found.to_frame()
    assert list(frame["name"]) == ["slow", "quick"]
    assert frame["p_keeps_2027-01-01"].max() == 0.99
    assert repr(found).startswith("<Decision: Stay with slow until ")
    assert found.plot().axes[0].get_legend() is not None
    assert "Stay with slow" in found._repr_html_()


def test_the_same_question_has_the_same_answer(found):
    assert decided(SLOW, QUICK, jobs=2).to_dict() == found.to_dict()


def test_one_design_gets_servers_where_no_other_is_there():
    found = decided(SLOW)
    assert found.advice.action == "add"
    assert found.recommendation.startswith("Stay with slow, and add a second server by ")


def test_a_server_that_is_too_small_today_is_left_now():
    found = decided(SLOW, QUICK, agents=2000, growth=None)
    assert found.until is None
    assert found.recommendation.startswith("Move from slow to quick now.")
    assert found.designs[0].servers_now == 3
    assert found.designs[0].p99 is None  # it is overloaded


def test_what_nothing_keeps_is_said():
    found = decide("p99<1ms", agents=10, systems=[SLOW], start=START)
    assert found.advice.action == "none"
    assert found.recommendation.startswith("No design keeps p99<1ms on any number of servers.")
    assert found.designs[0].servers is None
    assert found.measure_next is None


def test_a_model_without_samples_says_so():
    plain = evolve(SLOW, calibration=None)
    found = decided(plain)
    assert found.designs[0].unknown[0] == "the uncertainty of its parameters"
    assert found.measure_next.narrows is None


def test_the_default_designs_are_four():
    designs = default_designs(lhsim.load_system("polling"), lhsim.load_system("push"))
    names = ["polling", "polling with wake-on-write", "polling every 500 ms", "push"]
    assert [one.name for one in designs] == names
    assert designs[1].polling.wake_on_write
    assert designs[2].polling.interval == 0.5


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ({"agents": None}, "--agents: is missing"),
        ({"start": "tomorrow"}, "--start: 'tomorrow' is no date; allowed: a date such as"),
        ({"server_cost": 0}, "server_cost: 0 is out of range"),
        ({"horizon": 0}, "horizon: 0 is out of range; allowed: a whole number from 1 to 600"),
        ({"currency": "x" * 9}, "currency: 'xxxxxxxxx' is no currency"),
        ({"confidence": 1}, "confidence: 1 is out of range"),
    ],
)
def test_bad_arguments_are_refused(more, line):
    with pytest.raises(InputError) as caught:
        decided(SLOW, **more)
    assert line in str(caught.value)


def test_designs_have_names_of_their_own():
    with pytest.raises(InputError, match="systems: 'slow' is there twice"):
        decided(SLOW, SLOW)


def test_a_throughput_is_no_objective_of_growth():
    with pytest.raises(InputError, match="--slo: throughput>1/s: says nothing of growth"):
        decide("throughput>1/s", agents=10, systems=[SLOW])


def test_a_design_that_loses_messages_is_said_to():
    """Push with 20 connections for 50 agents is quick: for those whom it lets in."""
    small = System(
        name="small", push=PushServer(connections=20, overflow="reject"),
        cpu=Cpu(send=Deterministic(1e-3)), workload=Workload(traffic=Poisson(1.0)),
    )  # fmt: skip
    found = decide("p99<1s", agents=50, systems=[small], progress=False)
    lost = "% of the messages are delivered, which no objective counts"
    assert lost in found.recommendation
    assert found.designs[0].delivers == pytest.approx(0.4, abs=0.05)
    counted = decide(["p99<1s", "delivery>99%"], agents=50, systems=[small],
                     progress=False)  # fmt: skip
    assert lost not in counted.recommendation
    answer = capacity(small, "p99<1s", progress=False, most=100)
    assert any(lost in one for one in answer.sentences())
    answer = capacity(small, ["p99<1s", "delivery>99%"], progress=False, most=100)
    assert not any(lost in one for one in answer.sentences())
