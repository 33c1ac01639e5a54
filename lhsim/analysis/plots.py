"""Plots of results, drawn on figures of their own: no window, no state shared with pyplot."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOURS = ("#c44e25", "#1f6fb4", "#3a8f4d", "#7d55a8", "#8a6d1f", "#5b5b5b")
# Over matplotlib's own defaults, not the user's: the same results give the same bytes.
_STYLE: Any = [
    "default",
    {"svg.hashsalt": "lhsim", "axes.spines.top": False, "axes.spines.right": False},
]
_QUANTILES = (("p50", "o", 2.0, 1.0), ("p99", "^", 1.2, 0.75))


@frozen
class Curve:
    """One system in a scaling plot; all lists are as long as `agents`, latencies in seconds."""

    name: str
    agents: Sequence[int]
    quantiles: Mapping[str, Sequence[float]]  # "p50" and "p99"
    bands: Mapping[str, tuple[Sequence[float], Sequence[float]]]  # 95 % intervals, low and high
    uncertain: Sequence[bool]  # levels whose latencies are lower bounds or overloaded
    bound: tuple[Sequence[float], Sequence[float]] = ((), ())  # agents, lower bound of the mean
    knee: int | None = None  # agents
    calibrated_to: float | None = None  # most agents of the calibration


def scaling_plot(curves: Sequence[Curve], ax: Axes | None = None) -> Figure:
    """Draw latency against the number of agents, both logarithmic, and return the figure.

    Parameters
    ----------
    curves
        The systems.
    ax
        Where to draw; a figure of its own when None.
    """
    from matplotlib import style  # noqa: PLC0415 - a late import keeps imports quick
    from matplotlib.figure import Figure  # noqa: PLC0415

    with style.context(_STYLE):
        if ax is None:
            figure = Figure(figsize=(8.5, 5.6), layout="constrained")
            ax = figure.add_subplot()
        _axes(ax)
        for colour, curve in zip(_COLOURS * len(curves), curves, strict=False):
            _draw(ax, curve, colour)
        _fit(ax, curves)
        for colour, curve in zip(_COLOURS * len(curves), curves, strict=False):
            _mark(ax, curve, colour)
        _legend(ax, curves)
    return ax.get_figure(root=True)  # type: ignore[return-value]


def save(figure: Figure, path: Path, kind: str) -> None:
    """Write a figure as ``"png"`` or ``"svg"``; the same figure always gives the same bytes."""
    from matplotlib import style  # noqa: PLC0415 - a late import keeps imports quick

    metadata: dict[str, Any] = {"Software": None} if kind == "png" else {"Date": None}
    with style.context(_STYLE):
        figure.savefig(path, format=kind, dpi=150, metadata=metadata)


def _axes(ax: Axes) -> None:
    from matplotlib.ticker import FuncFormatter, NullFormatter  # noqa: PLC0415

    ax.set(xscale="log", yscale="log", xlabel="agents", ylabel="end-to-end latency")
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _seconds(value)))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.grid(visible=True, which="major", color="#dddddd", linewidth=0.6)
    ax.set_axisbelow(True)


def _seconds(value: float) -> str:
    for symbol, factor in (("us", 1e6), ("ms", 1e3)):
        if value * factor < 999:
            return f"{value * factor:g} {symbol}"
    return f"{value:,g} s"


def _draw(ax: Axes, curve: Curve, colour: str) -> None:
    for name, marker, width, alpha in _QUANTILES:
        values = curve.quantiles[name]
        ax.plot(curve.agents, values, color=colour, linewidth=width, alpha=alpha)
        for hollow in (False, True):
            points = [i for i, flag in enumerate(curve.uncertain) if bool(flag) is hollow]
            ax.plot(
                [curve.agents[i] for i in points],
                [values[i] for i in points],
                linestyle="none",
                marker=marker,
                markersize=5,
                color=colour,
                markerfacecolor="white" if hollow else colour,
            )
        low, high = curve.bands[name]
        certain = [not flag for flag in curve.uncertain]  # a lower bound has no interval
        ax.fill_between(
            curve.agents, low, high, where=certain, color=colour, alpha=0.2, linewidth=0
        )
    ax.plot(*curve.bound, color=colour, linestyle=(0, (4, 3)), linewidth=1.1)


def _fit(ax: Axes, curves: Sequence[Curve]) -> None:
    """Fit the latency axis to the quantiles: the band of a few replications may reach below 0."""
    values = [
        value
        for curve in curves
        for line in (*curve.quantiles.values(), curve.bound[1])
        for value in line
        if math.isfinite(value) and value > 0
    ]
    if values:
        ax.set_ylim(min(values) / 2, max(values) * 2)


def _mark(ax: Axes, curve: Curve, colour: str) -> None:
    """Mark the knee, and shade what lies beyond the calibration."""
    right = ax.get_xlim()[1]
    if curve.calibrated_to is not None and curve.calibrated_to < right:
        ax.axvspan(curve.calibrated_to, right, color=colour, alpha=0.06, linewidth=0)
        ax.set_xlim(right=right)
    if curve.knee is not None:
        ax.axvline(curve.knee, color=colour, linewidth=1.0, linestyle=":")
        ax.annotate(
            f"knee {float(f'{curve.knee:.3g}'):,.0f}",
            (curve.knee, 0.5),
            xycoords=("data", "axes fraction"),
            rotation=90,
            ha="center",
            va="center",
            color=colour,
            fontsize=9,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 2},
        )


def _legend(ax: Axes, curves: Sequence[Curve]) -> None:
    from matplotlib.lines import Line2D  # noqa: PLC0415 - a late import keeps imports quick
    from matplotlib.patches import Patch  # noqa: PLC0415

    grey = "#555555"
    entries: list[Any] = [
        Line2D([], [], color=colour, linewidth=2.5, label=curve.name)
        for colour, curve in zip(_COLOURS * len(curves), curves, strict=False)
    ]
    entries += [
        Line2D([], [], color=grey, marker=marker, markersize=5, linewidth=width, label=name)
        for name, marker, width, _ in _QUANTILES
    ]
    if any(len(curve.bound[0]) for curve in curves):
        label = "lower bound of the mean (closed form)"
        entries.append(Line2D([], [], color=grey, linestyle=(0, (4, 3)), label=label))
    if any(any(curve.uncertain) for curve in curves):
        label = "lower bound: messages were pending"
        hollow: Any = {"marker": "o", "markerfacecolor": "white", "linestyle": "none"}
        entries.append(Line2D([], [], color=grey, markersize=5, label=label, **hollow))
    if any(curve.calibrated_to is not None for curve in curves):
        entries.append(Patch(color=grey, alpha=0.15, label="beyond the calibration"))
    where: Any = {"loc": "outside lower center", "ncols": 3}
    ax.figure.legend(handles=entries, frameon=False, fontsize=9, **where)
