"""Plots of a few lines against time or a level, with bands: what the suites show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import field, frozen
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

from lhsim.analysis.plots import (
    COLOURS,
    as_duration,
    beside,
    drawing,
    figure_of,
    headline,
    plain_numbers,
)


@frozen
class Series:
    """A line, and where its values are known to lie."""

    name: str
    x: Sequence[float]
    y: Sequence[float]  # NaN where there is none
    low: Sequence[float] = ()  # of a band around it; empty for none
    high: Sequence[float] = ()
    colour: int = 0  # a number: lines that belong together have one
    dashed: bool = False
    markers: bool = False


@frozen
class Chart:
    """What a plot shows besides its lines."""

    x_title: str
    y_title: str
    log_x: bool = False
    log_y: bool = False
    spans: Sequence[tuple[float, float, str]] = ()  # from, to, and what happens in it
    ticks: Sequence[float] = field(factory=tuple)  # of the x axis; empty: as they come
    durations: bool = False  # whether y is a time [ms], which the axis shows with its unit
    title: str = ""


def lines_plot(series: Sequence[Series], chart: Chart, ax: Axes | None = None) -> Figure:
    """Draw lines, and return the figure."""
    with drawing(ax) as axes:
        axes.set(xlabel=chart.x_title, ylabel=chart.y_title)
        x_scale, y_scale = ("log" if log else "linear" for log in (chart.log_x, chart.log_y))
        axes.set(xscale=x_scale, yscale=y_scale)
        for start, end, text in chart.spans:
            axes.axvspan(start, end, color="#888888", alpha=0.15, linewidth=0, label=text)
        for one in series:
            _draw(axes, one)
        _scale(axes, chart)
        headline(axes, chart.title)
        beside(axes)
    return figure_of(axes)


def _draw(ax: Axes, one: Series) -> None:
    look: dict[str, Any] = {"color": COLOURS[one.colour % len(COLOURS)], "label": one.name}
    look |= {"linestyle": "--" if one.dashed else "-", "linewidth": 1.6}
    look |= {"marker": "o" if one.markers else None, "markersize": 4}
    ax.plot(one.x, one.y, **look)
    if one.low:
        ax.fill_between(one.x, one.low, one.high, color=look["color"], alpha=0.18, linewidth=0)


def _scale(ax: Axes, chart: Chart) -> None:
    if chart.ticks:
        ax.xaxis.set_major_locator(FixedLocator(list(chart.ticks)))
        ax.xaxis.set_minor_formatter(NullFormatter())
    ax.xaxis.set_major_formatter(FuncFormatter(_tick))
    form = _ms if chart.durations else "{:,g}".format
    if chart.log_y:
        plain_numbers(ax.yaxis, form)
    else:
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: form(value)))
        ax.set_ylim(bottom=0)


def _ms(value: float) -> str:
    return as_duration(value / 1e3)


def _tick(value: float, _position: object) -> str:
    return f"{value:,.0f}" if value == round(value) else f"{value:g}"


def marks_plot(
    names: Sequence[str], marks: Mapping[str, Sequence[float | None]], what: str, title: str
) -> Figure:
    """Draw times on a logarithmic axis, a line of them for each name, and return the figure.

    Parameters
    ----------
    names
        Of the lines, the first at the top.
    marks
        Times [ms] by the name of their mark, each as long as `names`; what is unknown has none.
    what
        They are.
    title
        Of the plot.
    """
    with drawing(None, height=1.4 + 0.28 * len(names)) as ax:
        places = list(range(len(names)))
        for number, (name, values) in enumerate(marks.items()):
            known = [(x, y) for x, y in zip(values, places, strict=True) if x]
            look: Any = {"color": COLOURS[number], "marker": "o^sD"[number % 4]}
            ax.plot(
                [x for x, _ in known], [y for _, y in known], linestyle="none", label=name, **look
            )
        ax.set_yticks(places, names)
        ax.set(xscale="log", xlabel=what)
        ax.invert_yaxis()
        plain_numbers(ax.xaxis, _ms)
        headline(ax, title)
        beside(ax)
    return figure_of(ax)
