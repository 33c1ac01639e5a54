"""Every answer renders by itself: as HTML, as a plot on given axes or its own, as a tidy table."""

from __future__ import annotations

import html.parser
import math

import numpy as np
import pytest
from attrs import evolve
from matplotlib.figure import Figure

import lhsim
from lhsim.analysis.curves import Interval, search_plot, tail_of
from lhsim.calibration import Calibrated, levels
from lhsim.calibration.points import START
from lhsim.calibration.runs import Target
from lhsim.crosscheck import crosscheck
from lhsim.errors import InputError
from lhsim.models import Poisson, Workload
from lhsim.planning import Capacity, Sensitivity, capacity, decide
from lhsim.planning.levels import Evaluation
from lhsim.planning.levels import Figure as FigureOfLevel
from lhsim.planning.screening import Effect
from lhsim.recording import Manifest
from lhsim.replay import replay

PUSH = evolve(lhsim.load_system("push"), name="push & <b>co</b>")


def recording(seed):
    workload = Workload(traffic=Poisson(1.0))
    return replay(PUSH, Manifest("push", 20, workload, seed, 1.0, 4.0, 1.0, doubts=("a <doubt>",)))


def sensitivity():
    effect = Effect("cpu.query*", "p99", 0.5, 2.0, "given", 0.1, (0.05, 0.2), 0.0, (0.0, 0.0), 1, 2)
    others = [evolve(effect, path="cpu.send*"), evolve(effect, metric="knee")]
    return Sensitivity(PUSH.name, 10, 4, {"p99": 1.5, "knee": 100.0}, (effect, *others))


def calibrated():
    found = levels([recording(1)])
    targets = (Target(0, "cpu", 0.5, 0.03), Target(0, "latency_p50", 2e-3, 0.1))
    alike = (("messages", "delay", 0.97),)
    return Calibrated(PUSH, START, targets, (0.51, 2.1e-3), {}, alike, tuple(found))


ANSWERS = {
    "result": lambda: lhsim.simulate(PUSH, agents=20, duration=10),
    "sweep": lambda: lhsim.sweep(PUSH, [2, 20], replications=2, duration=10),
    "capacity": lambda: capacity(PUSH, ["p50<2ms"], most=40),
    "decision": lambda: decide("p50<2ms", agents=10, systems=[PUSH], start="2027-01-01"),
    "sensitivity": sensitivity,
    "recording": lambda: recording(1),
    "calibrated": calibrated,
    "crosscheck": lambda: crosscheck(PUSH, [recording(1), recording(2)], runs_simulated=5),
}


@pytest.fixture(scope="module", params=ANSWERS)
def answer(request):
    return ANSWERS[request.param]()


class Tags(html.parser.HTMLParser):
    """Holds that each tag is closed in its turn."""

    def __init__(self):
        super().__init__()
        self.open = []
        self.seen = set()

    def handle_starttag(self, tag, _attrs):
        self.open.append(tag)
        self.seen.add(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_html_is_whole_and_escaped(answer):
    text = answer._repr_html_()
    tags = Tags()
    tags.feed(text)
    assert tags.open == []
    assert {"b", "table"} & tags.seen
    assert "<b>co</b>" not in text
    assert "<doubt>" not in text


def test_a_plot_goes_to_the_axes_that_are_given_or_to_its_own(answer):
    own = answer.plot()
    assert isinstance(own, Figure)
    assert own.axes[0].has_data()
    given = Figure()
    ax = given.add_subplot()
    assert answer.plot(ax) is given
    assert ax.has_data()


def test_a_frame_is_tidy(answer):
    frame = answer.to_frame()
    assert len(frame) > 0
    assert frame.columns.is_unique
    assert not any(frame[name].map(lambda one: isinstance(one, list | dict | tuple)).any()
                   for name in frame.columns)  # fmt: skip


def test_a_result_draws_its_own_tail():
    result = ANSWERS["result"]()
    (line,) = result.plot().axes[0].lines
    times, parts = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
    assert np.interp(-0.5, -parts, times) == pytest.approx(result.latency.quantile(0.5), rel=0.02)


def test_what_is_as_large_or_larger():
    times, parts = tail_of([3.0, 1.0, 2.0, 4.0])
    assert times.tolist() == [1.0, 2.0, 3.0, 4.0]
    assert parts.tolist() == [1.0, 0.75, 0.5, 0.25]


def test_one_metric_of_a_sensitivity():
    assert len(sensitivity().plot().axes) == 2
    (ax,) = sensitivity().plot(metric="knee").axes
    assert ax.get_xlabel() == "knee [agents]"
    with pytest.raises(InputError, match=r"unknown metric 'p9' \(did you mean 'p99'\?\)"):
        sensitivity().plot(metric="p9")


def test_a_capacity_without_an_end():
    found = Capacity("x", "agents", None, ("p99<1s",), 0.95, None, (8.0, None), None, (), (), False)
    assert found.sentences() == ["p99<1s: kept up to 8 agents, and no end was found"]
    assert found.to_frame().empty
    assert isinstance(found.plot(), Figure)
    assert "8 agents" in found._repr_html_()


def test_figures_of_a_search_are_parts_of_their_limits():
    shared = {"low": None, "high": None, "lower_bound": False}
    points = [
        shared | {"objective": "p99<1s", "value": 10, "part": 0.5, "verdict": "kept"},
        shared | {"objective": "p99<1s", "value": 20, "part": 3.0, "verdict": "violated"},
        shared | {"objective": "delivery>0%", "value": 20, "part": math.nan, "verdict": "kept"},
    ]
    ax = search_plot(points, Interval("answer", 15, 14, 16), "agents").axes[0]
    shown = {
        line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in ax.lines
    }
    assert shown["p99<1s"] == ([10, 20], [50.0, 300.0])
    assert shown["delivery>0%"] == ([], [])
    assert set(shown["answer"][0]) == {15}


def test_the_levels_of_a_search_have_intervals_and_objectives_their_own_verdicts():
    figures = (
        FigureOfLevel("p99<1s", 2.0, (1.5, 2.5), lower_bound=True, kept=False, margin=-1.0),
        FigureOfLevel("delivery>25%", 1.0, (None, None), lower_bound=False, kept=True, margin=1.0),
    )
    level = Evaluation(8.0, 4, overloaded=False, extrapolated=False, figures=figures)
    slo = ("p99<1s", "delivery>25%")
    found = Capacity("x", "agents", None, slo, 0.95, None, (None, 8.0), None, (), (level,), False)
    lines = found.plot().axes[0].lines
    assert (150.0, 250.0) in [tuple(line.get_ydata()) for line in lines]  # the interval
    markers = {tuple(line.get_ydata()): line.get_marker() for line in lines}
    assert (markers[200.0,], markers[400.0,]) == ("^", "o")  # the last on top
    labels = {line.get_label() for line in lines}
    assert {"kept", "violated", "at least"} <= labels
