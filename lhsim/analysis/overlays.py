"""Live times laid over simulated ones: distribution functions, and quantile against quantile."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter
from numpy.typing import ArrayLike, NDArray

from lhsim.analysis.plots import COLOURS, STYLE, as_duration, draw_grid

LEVELS = np.concatenate([np.linspace(0.01, 0.99, 99), [0.995, 0.999]])
MARKED = (0.5, 0.95, 0.99)
SHORTEST = 1e-6  # time that a logarithmic axis shows [s]


def overlay_plot(
    title: str, what: str, live: Sequence[ArrayLike], simulated: Sequence[ArrayLike]
) -> Figure:
    """Draw the distribution functions of runs, and their quantiles against one another.

    Parameters
    ----------
    title
        Of the figure.
    what
        What the times are.
    live, simulated
        Times of each run [s]; at least one run on each side, with one time or more.
    """
    with style.context(STYLE):
        figure = Figure(figsize=(9, 4.2), layout="constrained")
        figure.suptitle(title)
        functions, quantiles = figure.subplots(1, 2)
        ours = [np.sort(np.asarray(run, float)) for run in live]
        theirs = [np.sort(np.asarray(run, float)) for run in simulated]
        _functions(functions, what, ours, theirs)
        _quantiles(quantiles, what, np.concatenate(ours), np.concatenate(theirs))
    return figure


def _functions(
    ax: Axes,
    what: str,
    live: Sequence[NDArray[np.float64]],
    simulated: Sequence[NDArray[np.float64]],
) -> None:
    for name, runs, colour in (("simulated", simulated, COLOURS[1]), ("live", live, COLOURS[0])):
        alpha = max(0.25, len(runs) ** -0.5)  # of many none hides another, nor the live ones
        for number, times in enumerate(runs):
            shares = (np.arange(len(times)) + 1) / len(times)
            label = name if number == 0 else None
            ax.step(times, shares, where="post", color=colour, alpha=alpha, linewidth=1.1,
                    label=label)  # fmt: skip
    ends = np.concatenate([np.quantile(times, (0.001, 0.999)) for times in (*live, *simulated)])
    ax.set(xscale="log", xlabel=what, ylabel="part of the messages", ylim=(0, 1))
    ax.set_xlim(max(ends.min(), SHORTEST) / 1.1, ends.max() * 1.1)
    _grid(ax)
    ax.legend(frameon=False)


def _quantiles(
    ax: Axes, what: str, live: NDArray[np.float64], simulated: NDArray[np.float64]
) -> None:
    x, y = np.quantile(live, LEVELS), np.quantile(simulated, LEVELS)
    ends = [max(min(x[0], y[0]), SHORTEST), max(x[-1], y[-1])]
    ax.plot(ends, ends, color="#999999", linewidth=0.8)
    ax.plot(x, y, ".", color=COLOURS[1], markersize=4)
    for level in MARKED:
        point = float(np.quantile(live, level)), float(np.quantile(simulated, level))
        ax.plot(*point, "o", color=COLOURS[0], markersize=5)
        ax.annotate(f"p{100 * level:g}", point, (6, -10), textcoords="offset points", fontsize=8)
    ax.set(xscale="log", yscale="log", xlabel=f"live {what}", ylabel="simulated")
    _grid(ax)


def _grid(ax: Axes) -> None:
    for axis in (ax.xaxis, ax.yaxis):
        if axis.get_scale() == "log":
            low, high = axis.get_view_interval()
            near = np.log10(high / low) < 1  # no two powers of ten on it
            axis.set_major_formatter(FuncFormatter(lambda value, _: as_duration(value)))
            if near:
                axis.set_minor_formatter(FuncFormatter(_first_digits))
            else:
                axis.set_minor_formatter(NullFormatter())
    draw_grid(ax)


def _first_digits(value: float, _position: int | None = None) -> str:
    digit = round(value / 10 ** np.floor(np.log10(value) + 1e-9))
    return as_duration(value) if digit in {2, 5} else ""
