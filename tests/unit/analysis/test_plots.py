from __future__ import annotations

import math
import sys

import pytest

from lhsim.analysis.plots import Curve, save, scaling_plot


@pytest.fixture
def curves():
    return [
        Curve(
            name="polling",
            agents=[10, 100, 1000],
            quantiles={"p50": [0.5, 0.5, 5.0], "p99": [1.0, 1.0, math.nan]},
            bands={
                "p50": ([1e-9, 0.5, math.nan], [1.0, 0.5, math.nan]),
                "p99": ([0.9, 0.9, 8.0], [1.1, 1.1, 12.0]),
            },
            uncertain=[False, False, True],
            bound=([10.0, 1000.0], [0.5, 0.6]),
            knee=620,
            calibrated_to=500,
        )
    ]


def test_axes_are_logarithmic_and_fit_the_quantiles_not_the_bands(curves):
    (ax,) = scaling_plot(curves).axes
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert ax.get_ylim() == (0.25, 10.0)


def test_it_marks_the_knee_and_explains_what_it_shows(curves):
    figure = scaling_plot(curves)
    assert [text.get_text() for text in figure.axes[0].texts] == ["knee 620"]
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == [
        *("polling", "p50", "p99", "lower bound of the mean (closed form)"),
        *("lower bound: messages were pending", "beyond the calibration"),
    ]


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
