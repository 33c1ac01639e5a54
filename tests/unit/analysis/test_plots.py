from __future__ import annotations

import math
import sys

import pytest
from attrs import evolve

from lhsim.analysis.plots import Curve, KneeMark, Line, save, scaling_plot

CROSS = "\N{MULTIPLICATION SIGN}"


@pytest.fixture
def curves():
    return [
        Curve(
            name="polling",
            fixed=Line(
                agents=[10, 100, 1000, 10_000],
                quantiles={"p50": [0.5, 0.5, 5.0, 3.0], "p99": [1.0, 1.0, math.nan, 90.0]},
                bands={
                    "p50": ([1e-9, 0.5, math.nan, 2.0], [1.0, 0.5, math.nan, 4.0]),
                    "p99": ([0.9, 0.9, 8.0, 80.0], [1.1, 1.1, 12.0, 100.0]),
                },
                pending=[False, False, True, True],
                overloaded=[False, False, False, True],
            ),
            bound=([10.0, 1000.0], [0.5, 0.6]),
            knee=KneeMark(600, 640, 620),
            calibrated_to=500,
        )
    ]


@pytest.fixture
def scaled_out(curves):
    same = [0.5, 0.5]
    line = Line(
        agents=[100, 1000],
        quantiles={"p50": same, "p99": same},
        bands={"p50": (same, same), "p99": (same, same)},
        pending=[False, False],
        overloaded=[False, False],
    )
    return [evolve(curves[0], scaled_out=line)]


def test_latencies_of_0_have_a_linear_axis(curves):
    nothing = {"p50": [0.0, 0.0], "p99": [0.0, 0.0]}
    bands = {name: (values, values) for name, values in nothing.items()}
    line = Line([10, 100], nothing, bands, pending=[False] * 2, overloaded=[False] * 2)
    free = evolve(curves[0], fixed=line, bound=([10.0, 100.0], [0.0, 0.0]))
    (axes,) = scaling_plot([free]).axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "linear")


def test_axes_are_logarithmic_and_fit_the_quantiles_not_the_bands(curves):
    (ax,) = scaling_plot(curves).axes
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert ax.get_ylim() == (0.25, 10.0)


def test_it_marks_the_knee_and_explains_what_it_shows(curves):
    figure = scaling_plot(curves)
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts == [CROSS, "polling is overloaded:", "knee 620"]
    assert figure.axes[0].get_title("left") == "One server saturates at this many agents: " + (
        "620 with polling"
    )
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == [
        *("polling", "p50", "p99", "lower bound of the mean (closed form)"),
        *("lower bound: messages were pending", "overloaded: no latency settles"),
        "extrapolated",
    ]


def test_no_line_joins_the_levels_on_either_side_of_a_knee(curves):
    parts = {tuple(line.get_xdata()) for line in scaling_plot(curves).axes[0].lines}
    assert {(10, 100), (1000, 10_000)} <= parts
    whole = scaling_plot([evolve(curves[0], knee=None)]).axes[0].lines
    assert (10, 100, 1000, 10_000) in {tuple(line.get_xdata()) for line in whole}


def test_a_knee_of_which_only_a_bracket_is_known_is_a_band_and_no_line(curves):
    wide = evolve(curves[0], knee=KneeMark(100, 1000))
    figure = scaling_plot([wide])
    ax = figure.axes[0]
    assert ax.texts[-1].get_text() == "knee between 100 and 1,000"
    assert ax.get_title("left") == "Latency as the agents grow"
    ends = [(patch.get_x(), patch.get_x() + patch.get_width()) for patch in ax.patches]
    assert (100, 1000) in ends
    assert not [
        line for line in ax.lines if len(set(line.get_xdata())) == 1 < len(line.get_xdata())
    ]
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "the knee lies between these levels" in labels


def test_an_overloaded_level_is_a_cross_without_latencies(curves):
    ax = scaling_plot(curves).axes[0]
    lines = ax.lines
    crosses = [text.xy for text in ax.texts if text.get_text() == CROSS]
    assert crosses == [(10_000, 1.0)]  # above the axes, where no latency is
    p50 = next(line for line in lines if list(line.get_xdata()) == [1000, 10_000])
    assert math.isnan(p50.get_ydata()[-1])
    hollow = [line for line in lines if line.get_markerfacecolor() == "white"]
    assert [list(line.get_xdata()) for line in hollow] == [[1000]] * 2  # p50 and p99


def test_a_quantile_whose_interval_cannot_be_trusted_is_half_filled(curves):
    line = curves[0].fixed
    doubts = {"p99": [True] + [False] * (len(line.agents) - 1), "p50": [False] * len(line.agents)}
    doubtful = evolve(curves[0], fixed=evolve(line, doubtful=doubts))
    ax = scaling_plot([doubtful]).axes[0]
    half = [one for one in ax.lines if one.get_fillstyle() == "left" and len(one.get_xdata())]
    assert [list(one.get_xdata()) for one in half] == [[line.agents[0]]]
    labels = [text.get_text() for text in ax.figure.legends[0].get_texts()]
    assert "its interval cannot be trusted" in labels
    plain = scaling_plot(curves).axes[0].figure.legends[0].get_texts()
    assert "its interval cannot be trusted" not in [text.get_text() for text in plain]


def test_a_system_scaled_out_is_dashed_in_its_own_colour(scaled_out):
    figure = scaling_plot(scaled_out, agents_per_server=2000)
    lines = figure.axes[0].lines
    assert len({line.get_color() for line in lines}) == 1
    dashed = [line for line in lines if line.get_linestyle() == "--"]
    assert [list(line.get_xdata()) for line in dashed] == [[100, 1000]] * 2  # p50 and p99
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "scaled out: a server for every 2,000 agents" in labels


def test_it_draws_on_axes_that_it_is_given(curves):
    from matplotlib.figure import Figure

    figure = Figure()
    ax = figure.add_subplot()
    assert scaling_plot(curves, ax) is figure
    assert ax.lines


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_the_same_results_give_the_same_bytes(curves, kind, tmp_path):
    for name in ("one", "two"):
        save(scaling_plot(curves), tmp_path / name, kind)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert b"<dc:date>" not in (tmp_path / "one").read_bytes()


def test_it_opens_no_window(curves):
    scaling_plot(curves)
    assert (
        "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()
    )


def test_axes_of_less_than_a_decade_have_more_than_one_number(curves):
    both = {"p50": [0.14, 0.16], "p99": [0.84, 0.92]}
    bands = {name: (values, values) for name, values in both.items()}
    line = Line([50, 100], both, bands, pending=[False] * 2, overloaded=[False] * 2)
    figure = scaling_plot([evolve(curves[0], fixed=line, bound=([50, 100], [0.1, 0.1]), knee=None)])
    figure.draw_without_rendering()
    (ax,) = figure.axes
    for axis, least in ((ax.xaxis, {"50", "100"}), (ax.yaxis, {"200 ms", "500 ms"})):
        assert least <= {one.get_text() for one in axis.get_ticklabels()}
