"""The picture of an inspection: response times, the dispersion of arrivals, think times."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from lhsim.analysis.plots import COLOURS, STYLE, draw_grid
from lhsim.readers.inspection import Inspection
from lhsim.units import format_duration

MOST_ROWS = 6  # logs of a picture
MOST_POINTS = 20_000  # of a log
SMALLEST = 1e-6  # of a response on a logarithmic axis [s]
_BLUE, _ORANGE, _GREY = COLOURS[1], COLOURS[0], "#5b5b5b"


def picture(found: Sequence[Inspection]) -> Figure:
    """Draw a row of three panels for each log, the first `MOST_ROWS` of them."""
    shown = found[:MOST_ROWS]
    with style.context(STYLE):
        size = (12.5, 0.6 + 3.1 * len(shown))
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots(len(shown), 3, squeeze=False)
        for (left, middle, right), one in zip(axes, shown, strict=True):
            _responses(left, one)
            _dispersion(middle, one)
            _times_between(right, one)
    return figure


def _responses(ax: Axes, found: Inspection) -> None:
    log = found.log
    step = max(1, len(log) // MOST_POINTS)
    times = log.start[::step]
    ax.plot(times, 1e3 * np.maximum(log.response[::step], SMALLEST), ",", color=_BLUE, alpha=0.6)
    if len(times) < 5000:
        ax.plot(times, 1e3 * np.maximum(log.response[::step], SMALLEST), ".", color=_BLUE, ms=2.5,
                alpha=0.5)  # fmt: skip
    edges = np.linspace(0, max(float(log.start[-1]), SMALLEST), 41)
    middles, medians = _medians(log.start, log.response, edges)
    ax.plot(middles, 1e3 * medians, color=_ORANGE, label="median")
    ax.set(yscale="log", xlabel="start [s]", ylabel="response time [ms]")
    _plain_numbers(ax.yaxis)
    _title(ax, f"{_short(found.source)}: {found.requests:,} requests, {found.rate:.4g}/s")
    ax.legend(frameon=False, fontsize=8)
    draw_grid(ax)


def _medians(
    times: NDArray[Any], values: NDArray[Any], edges: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any]]:
    rows = np.clip(np.searchsorted(edges, times, side="right") - 1, 0, len(edges) - 2)
    inside = [values[rows == index] for index in range(len(edges) - 1)]
    kept = [index for index, one in enumerate(inside) if len(one)]
    middles = (edges[:-1] + edges[1:]) / 2
    return middles[kept], np.array([np.median(inside[index]) for index in kept])


def _dispersion(ax: Axes, found: Inspection) -> None:
    one = found.dispersion
    _title(ax, f"arrivals: {one.kind}")
    ax.set(xlabel="window [ms]", ylabel="index of dispersion")
    if not len(one.windows):
        _say(ax, "too few requests, or too coarse a clock")
        return
    windows = 1e3 * one.windows
    ax.fill_between(windows, np.maximum(1 - one.half_widths, 0), 1 + one.half_widths,
                    color=_GREY, alpha=0.18, linewidth=0, label="a Poisson process")  # fmt: skip
    ax.axhline(1, color=_GREY, linewidth=0.8)
    ax.plot(windows, one.indices, "o-", color=_BLUE, ms=4)
    ax.set(xscale="log")
    _plain_numbers(ax.xaxis)
    ax.set_ylim(0, 1.15 * max(2.0, float(one.indices.max()), float(1 + one.half_widths.max())))
    ax.legend(frameon=False, fontsize=8)
    draw_grid(ax)


def _times_between(ax: Axes, found: Inspection) -> None:
    think = found.loop.think
    if think is None or not len(think.values):
        values, name = np.diff(found.log.start), "time between arrivals"
        title = f"{found.loop.kind} loop: times between arrivals"
    else:
        values, name = think.values, "think time"
        title = f"{found.loop.kind} loop: {think.kind} think time, {format_duration(think.mean)}"
    _title(ax, title)
    ax.set(xlabel=f"{name} [ms]", ylabel="requests")
    if not len(values):
        _say(ax, "no two requests")
        return
    low, high = np.quantile(values, [0.0, 0.995])
    span = max(float(high - low), 1e-9)
    ax.hist(1e3 * values, bins=60, range=(1e3 * low, 1e3 * (low + span)), color=_BLUE, alpha=0.85)
    ax.xaxis.set_major_locator(MaxNLocator(4))
    ax.ticklabel_format(axis="x", useOffset=False)
    draw_grid(ax)


def _plain_numbers(axis: Any) -> None:
    """Label a logarithmic axis with 1, 2 and 5 times the powers of ten."""
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _title(ax: Axes, text: str) -> None:
    ax.set_title(text, loc="left", fontsize=10)


def _say(ax: Axes, text: str) -> None:
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", color=_GREY)


def _short(source: str) -> str:
    return source.rpartition("/")[2][:40]
