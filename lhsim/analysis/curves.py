"""Plots of single answers: the tail of latencies, a search for a capacity, differences of figures.

Each draws on the axes that are given, or on a figure of its own, and returns the figure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from attrs import frozen
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from lhsim.analysis.plots import COLOURS, as_duration, drawing, figure_of, headline, plain_numbers

SIZE = 7.0, 4.2  # of a figure [in]
MARKS = {"kept": ("o", "#3a8f4d"), "violated": ("x", "#c44e25"), "undecided": ("s", "#8a6d1f")}
OF_VERDICTS = {"agrees": "#3a8f4d", "differs": "#c44e25", "cannot tell": "#5b5b5b"}
STYLES = ("-", "--", ":", "-.")  # of the lines of objectives
PERCENT = 1e2


@frozen
class Interval:
    """A figure with its interval, and what is said of it."""

    name: str
    value: float
    low: float
    high: float
    verdict: str = ""


def tail_plot(curves: Mapping[str, tuple[ArrayLike, ArrayLike]], ax: Axes | None = None) -> Figure:
    """Draw which part of the messages takes longer than a latency, both logarithmic.

    Parameters
    ----------
    curves
        By name: latencies [s] and the parts of the messages that take longer.
    ax
        Where to draw; a figure of its own when None.
    """
    with drawing(ax, *SIZE) as axes:
        begin = len(axes.lines)  # on axes that show something already, the colours go on
        for number, (name, (latency, part)) in enumerate(curves.items(), start=begin):
            colour = COLOURS[number % len(COLOURS)]
            axes.plot(np.asarray(latency), np.asarray(part), color=colour, label=name)
        axes.set(xscale="log", yscale="log", xlabel="time", ylabel="messages that take longer")
        headline(axes, "Which part of the messages takes longer than a time")
        plain_numbers(axes.xaxis, as_duration)
        axes.legend(frameon=False)
    return figure_of(axes)


def tail_of(times: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return samples in order, and which part of them is as large or larger."""
    found = np.sort(np.asarray(times, float))
    return found, 1 - np.arange(len(found)) / max(len(found), 1)


def search_plot(
    points: Sequence[Mapping[str, Any]], answer: Interval | None, what: str, ax: Axes | None = None
) -> Figure:
    """Draw the figures of a search as parts of their limits, and the answer.

    Parameters
    ----------
    points
        Each with ``objective``, ``value`` (the level), ``part`` (the figure, 1 at the limit),
        ``low`` and ``high`` (its interval, None where there is none), ``verdict`` and
        ``lower_bound`` (whether the figure is only that). One whose part is not > 0 is left out.
    answer
        The level that was found; None where there is none.
    what
        What a level is.
    ax
        Where to draw; a figure of its own when None.
    """
    objectives = list(dict.fromkeys(one["objective"] for one in points))
    with drawing(ax, *SIZE) as axes:
        if answer is not None:
            axes.axvspan(answer.low, answer.high, color="#1f6fb4", alpha=0.2, linewidth=0)
            axes.axvline(answer.value, color="#1f6fb4", label=answer.name)
        axes.axhline(PERCENT, color="#999999", linewidth=0.8)
        for objective, style in zip(objectives, STYLES * len(objectives), strict=False):
            some = [one for one in points if one["objective"] == objective and one["part"] > 0]
            axes.plot([one["value"] for one in some], [PERCENT * one["part"] for one in some],
                      style, color="#bbbbbb", linewidth=1, label=objective)  # fmt: skip
            for one in some:
                _figure_of_level(axes, one)
        for verdict in dict.fromkeys(one["verdict"] for one in points):
            axes.plot([], [], color=MARKS[verdict][1], marker=MARKS[verdict][0], label=verdict,
                      linestyle="none")  # fmt: skip
        if any(one["lower_bound"] for one in points):
            axes.plot([], [], color="#5b5b5b", marker="^", label="at least", linestyle="none")
        axes.set(xscale="log", yscale="log", xlabel=what, ylabel="figure as a part of its limit")
        headline(axes, f"Each figure against its limit (100 %), by {what}")
        plain_numbers(axes.xaxis)
        plain_numbers(axes.yaxis, "{:,g} %".format)
        if points:
            axes.legend(frameon=False, fontsize=8)
    return figure_of(axes)


def _figure_of_level(ax: Axes, one: Mapping[str, Any]) -> None:
    marker, colour = MARKS[one["verdict"]]
    ends = [one["low"], one["high"]]
    if None not in ends:
        shown = [PERCENT * max(end, one["part"] / 100) for end in ends]  # 0 is on no such axis
        ax.plot([one["value"]] * 2, shown, color=colour, linewidth=1.5, alpha=0.5)
    marker = "^" if one["lower_bound"] else marker
    ax.plot(one["value"], PERCENT * one["part"], marker, color=colour, markersize=5)


def difference_plot(rows: Sequence[Interval], what: str, ax: Axes | None = None) -> Figure:
    """Draw relative differences with their intervals, one below the other.

    Parameters
    ----------
    rows
        The differences as parts, not per cent; an interval that is not finite is left out, and
        one that is far longer than the greatest difference is cut off.
    what
        What differs from what.
    ax
        Where to draw; a figure of its own when None.
    """
    with drawing(ax, 7, 1.2 + 0.24 * max(len(rows), 4)) as axes:
        for place, row in enumerate(rows):
            colour = OF_VERDICTS.get(row.verdict, COLOURS[1])
            ends = [PERCENT * row.low, PERCENT * row.high]
            if all(map(math.isfinite, ends)):
                axes.plot(ends, [place, place], color=colour, linewidth=2, alpha=0.5)
            axes.plot(PERCENT * row.value, place, "o", color=colour, markersize=4)
        verdicts = dict.fromkeys(row.verdict for row in rows if row.verdict)
        for verdict in verdicts:
            axes.plot([], [], "o", color=OF_VERDICTS.get(verdict, COLOURS[1]), label=verdict)
        axes.axvline(0, color="#999999", linewidth=0.8)
        axes.set_yticks(range(len(rows)), [row.name for row in rows], fontsize=8)
        axes.invert_yaxis()
        most = PERCENT * max([0.25, *(2 * abs(row.value) for row in rows)])
        headline(axes, "Relative differences with their 95 % intervals")
        axes.set(xlabel=f"{what} [%]", xlim=(-most, most))  # the longest intervals go beyond it
        if verdicts:
            axes.legend(frameon=False, fontsize=8)
    return figure_of(axes)
