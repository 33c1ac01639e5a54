"""Plots of results, drawn on figures of their own: no window, no state shared with pyplot."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from attrs import field, frozen
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from lhsim.checks import axes as check_axes

COLOURS = (
    *("#c44e25", "#1f6fb4", "#3a8f4d", "#7d55a8", "#8a6d1f", "#5b5b5b"),
    *("#d4679b", "#2a9d9d", "#a3a31f", "#6b3410", "#8fa8c8", "#1b1e23"),
)
# Over matplotlib's own defaults, not the user's: the same results give the same bytes.
STYLE: Any = [
    "default",
    {"svg.hashsalt": "lhsim", "axes.spines.top": False, "axes.spines.right": False},
]
LINE = 14  # height of a line of marks above the axes [pt]
_Filling = Literal["full", "half", "hollow"]
_DASHED, _DOTTED = "--", ":"
_QUANTILES = (("p50", "o", 2.0, 1.0), ("p99", "^", 1.2, 0.75))


@frozen
class Line:
    """Latencies by level, in seconds; all lists are as long as `agents`."""

    agents: Sequence[int]
    quantiles: Mapping[str, Sequence[float]]  # "p50" and "p99"
    bands: Mapping[str, tuple[Sequence[float], Sequence[float]]]  # 95 % intervals, low and high
    pending: Sequence[bool]  # levels whose latencies are lower bounds
    overloaded: Sequence[bool]  # levels that have no latency: it grows as long as a run lasts
    doubtful: Mapping[str, Sequence[bool]] = field(factory=dict)  # intervals not to be trusted

    @property
    def bounds(self) -> list[bool]:
        """Which levels have latencies that are lower bounds."""
        flags = zip(self.pending, self.overloaded, strict=True)
        return [pending and not overloaded for pending, overloaded in flags]


@frozen
class KneeMark:
    """Where a knee lies: a bracket, and a value inside it where that is narrow."""

    low: int  # agents
    high: int  # agents
    agents: int | None = None

    @property
    def text(self) -> str:
        """What the plot calls it."""
        if self.agents is not None:
            return f"knee {float(f'{self.agents:.3g}'):,.0f}"
        return f"knee between {self.low:,} and {self.high:,}"

    def crossed(self, line: Line) -> list[bool]:
        """Return for each pair of neighbouring levels whether the knee lies between them."""
        return [a < self.high and b > self.low for a, b in itertools.pairwise(line.agents)]


@frozen
class Curve:
    """One system in a scaling plot."""

    name: str
    fixed: Line  # the system as it is
    scaled_out: Line | None = None  # with more servers as the agents grow
    bound: tuple[Sequence[float], Sequence[float]] = ((), ())  # agents, lower bound of the mean [s]
    knee: KneeMark | None = None
    calibrated_to: float | None = None  # most agents of the calibration

    @property
    def lines(self) -> list[Line]:
        """The system as it is, and scaled out where it was."""
        return [self.fixed] if self.scaled_out is None else [self.fixed, self.scaled_out]


def scaling_plot(
    curves: Sequence[Curve], ax: Axes | None = None, *, agents_per_server: int | None = None
) -> Figure:
    """Draw latency against the number of agents, both logarithmic, and return the figure.

    Parameters
    ----------
    curves
        The systems.
    ax
        Where to draw; a figure of its own when None.
    agents_per_server
        What the legend says of scaled-out systems.
    """
    with drawing(ax, height=5.6) as axes:
        _axes(axes, linear=not _latencies(curves))
        coloured = list(zip(COLOURS * len(curves), curves, strict=False))
        for colour, curve in coloured:
            _draw(axes, curve, colour)
        strips = _mark_overloads(axes, coloured)
        headline(axes, _message(curves), above=strips)
        _fit(axes, curves)
        _mark_few_decades(axes)
        for colour, curve in coloured:
            _mark(axes, curve, colour)
        _legend(axes, curves, agents_per_server)
    return figure_of(axes)


def save(figure: Figure, path: Path, kind: str) -> None:
    """Write a figure as ``"png"`` or ``"svg"``; the same figure always gives the same bytes."""
    metadata: dict[str, Any] = {"Software": None} if kind == "png" else {"Date": None}
    with style.context(STYLE):
        figure.savefig(path, format=kind, dpi=150, metadata=metadata)


def headline(ax: Axes, title: str, *, above: int = 0) -> None:
    """Put the title of a plot over its left edge, above so many lines of marks."""
    ax.set_title(title, loc="left", fontsize=11, pad=6 + LINE * above)


@contextmanager
def drawing(ax: Axes | None, width: float = 8.5, height: float = 4.8) -> Iterator[Axes]:
    """Yield axes in the style of all plots, with a grid behind everything else.

    They are those that are given, or those of a figure of its own, of so many inches.
    """
    check_axes(ax, "ax")
    with style.context(STYLE):
        if ax is None:
            ax = Figure(figsize=(width, height), layout="constrained").add_subplot()
        draw_grid(ax)
        yield ax


def figure_of(ax: Axes) -> Figure:
    """Return the figure that axes belong to."""
    return ax.get_figure(root=True)  # type: ignore[return-value]


def draw_grid(ax: Axes) -> None:
    """Draw a grid behind everything else."""
    ax.grid(visible=True, which="major", color="#dddddd", linewidth=0.6)
    ax.set_axisbelow(True)


def plain_numbers(axis: Any, form: Callable[[float], str] = "{:,g}".format) -> None:
    """Let a logarithmic axis say 2 and 5 beside the powers of ten where it has few of these."""
    low, high = axis.get_view_interval()
    few = high < 1000 * max(low, 1e-12)
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if few else (1,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: form(value)))
    axis.set_minor_formatter(NullFormatter())


def beside(ax: Axes) -> None:
    """Put the legend to the right of axes."""
    ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False, fontsize=9)


def _axes(ax: Axes, *, linear: bool) -> None:
    """Set the axes up; that of latencies is `linear` where none is above 0."""
    yscale = "linear" if linear else "log"
    ax.set(xscale="log", yscale=yscale, xlabel="agents", ylabel="end-to-end latency")
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: as_duration(value)))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.yaxis.set_minor_formatter(NullFormatter())


def _mark_few_decades(ax: Axes) -> None:
    """Let axes that would show one number or two show those between powers of ten as well."""
    plain_numbers(ax.xaxis, "{:,.0f}".format)
    if ax.get_yscale() == "log":
        plain_numbers(ax.yaxis, as_duration)


def _message(curves: Sequence[Curve]) -> str:
    """Return what the plot says: how many agents each system serves before it saturates."""
    known = sorted(
        (curve.knee.agents, curve.name) for curve in curves if curve.knee and curve.knee.agents
    )
    if not known:
        return "Latency as the agents grow"
    held = ", ".join(f"{float(f'{agents:.3g}'):,.0f} with {name}" for agents, name in known)
    return f"One server saturates at this many agents: {held}"


def as_duration(value: float) -> str:
    """Return what an axis of times says of a value [s]."""
    for symbol, factor in (("us", 1e6), ("ms", 1e3)):
        if value * factor < 999:
            return f"{value * factor:g} {symbol}"
    return f"{value:,g} s"


def _draw(ax: Axes, curve: Curve, colour: str) -> None:
    if curve.scaled_out is not None:
        _draw_line(ax, curve.scaled_out, colour, _DASHED)
    _draw_line(ax, curve.fixed, colour, "-", curve.knee)
    ax.plot(*curve.bound, color=colour, linestyle=_DOTTED, linewidth=1.1)


def _draw_line(ax: Axes, line: Line, colour: str, style: str, knee: KneeMark | None = None) -> None:
    for name, marker, width, alpha in _QUANTILES:
        values = _settled(line, line.quantiles[name])
        how: Any = {"color": colour, "linewidth": width, "alpha": alpha, "linestyle": style}
        for agents, part in _without_knee(line, values, knee):
            ax.plot(agents, part, **how)
        for filled, points in _by_filling(line, name).items():
            ax.plot(
                [line.agents[i] for i in points],
                [values[i] for i in points],
                linestyle="none",
                marker=marker,
                markersize=5,
                color=colour,
                fillstyle="left" if filled == "half" else "full",
                markerfacecolor="white" if filled == "hollow" else colour,
                markerfacecoloralt="white",
            )
        low, high = line.bands[name]
        # A lower bound has no interval.
        certain = [not any(flags) for flags in zip(line.pending, line.overloaded, strict=True)]
        lows = [end if sure else math.nan for end, sure in zip(low, certain, strict=True)]
        bands = zip(_without_knee(line, lows, knee), _without_knee(line, high, knee), strict=True)
        for (agents, least), (_, most) in bands:
            ax.fill_between(agents, least, most, color=colour, alpha=0.2, linewidth=0)


def _without_knee(
    line: Line, values: Sequence[float], knee: KneeMark | None
) -> list[tuple[list[int], list[float]]]:
    """Return the parts of a line on either side of a knee, over which nothing is interpolated."""
    crossed = [False] * (len(line.agents) - 1) if knee is None else knee.crossed(line)
    parts: list[tuple[list[int], list[float]]] = [([], [])]
    for agents, value, new in zip(line.agents, values, [False, *crossed], strict=True):
        if new:
            parts.append(([], []))
        parts[-1][0].append(agents)
        parts[-1][1].append(value)
    return parts


def _by_filling(line: Line, name: str) -> dict[_Filling, list[int]]:
    """Return the points of a quantile by how their markers are filled."""
    points: dict[_Filling, list[int]] = {"full": [], "half": [], "hollow": []}
    doubtful = line.doubtful.get(name, [False] * len(line.agents))
    for i, (bound, doubt) in enumerate(zip(line.bounds, doubtful, strict=True)):
        points["hollow" if bound else "half" if doubt else "full"].append(i)
    return points


def _settled(line: Line, values: Sequence[float]) -> list[float]:
    """Return the latencies of the levels that are not overloaded, and NaN for the others."""
    return [
        math.nan if over else value for value, over in zip(values, line.overloaded, strict=True)
    ]


def _mark_overloads(ax: Axes, coloured: Sequence[tuple[str, Curve]]) -> int:
    """Mark overloaded levels above the axes, where no latency is; return on how many lines.

    Each system has a line of its own, which begins with what it is about.
    """
    lines = 0
    for colour, curve in coloured:
        over = [
            agents
            for line in curve.lines
            for agents, flag in zip(line.agents, line.overloaded, strict=True)
            if flag
        ]
        for agents in over:
            where: Any = {"xycoords": ax.get_xaxis_transform(), "textcoords": "offset points"}
            ax.annotate("\N{MULTIPLICATION SIGN}", (agents, 1.0), (0, 4 + LINE * lines), **where,
                        ha="center", color=colour, fontsize=12, annotation_clip=False)  # fmt: skip
        if over:
            ax.annotate(f"{curve.name} is overloaded:", (0, 1.0), (0, 4 + LINE * lines),
                        xycoords="axes fraction", textcoords="offset points", color=colour,
                        fontsize=9)  # fmt: skip
            lines += 1
    return lines


def _fit(ax: Axes, curves: Sequence[Curve]) -> None:
    """Fit the latency axis to the quantiles: the band of a few replications may reach below 0."""
    values = _latencies(curves)
    if values:
        ax.set_ylim(min(values) / 2, max(values) * 2)


def _latencies(curves: Sequence[Curve]) -> list[float]:
    """Return the quantiles and bounds above 0 that curves show [s]."""
    quantiles = [
        _settled(line, values)
        for curve in curves
        for line in curve.lines
        for values in line.quantiles.values()
    ]
    bounds = [curve.bound[1] for curve in curves]
    return [
        value
        for some in (*quantiles, *bounds)
        for value in some
        if math.isfinite(value) and value > 0
    ]


def _mark(ax: Axes, curve: Curve, colour: str) -> None:
    """Mark the knee, and shade what is extrapolated."""
    right = ax.get_xlim()[1]
    if curve.calibrated_to is not None and curve.calibrated_to < right:
        ax.axvspan(curve.calibrated_to, right, color=colour, alpha=0.06, linewidth=0)
        ax.set_xlim(right=right)
    if curve.knee is not None:
        _draw_knee(ax, curve.knee, colour)


def _draw_knee(ax: Axes, knee: KneeMark, colour: str) -> None:
    """Draw the band in which a knee lies, and a line where that is narrow."""
    look: Any = {"facecolor": "none", "edgecolor": colour, "alpha": 0.35, "linewidth": 0}
    ax.axvspan(knee.low, knee.high, hatch="///", **look)
    if knee.agents is not None:
        ax.axvline(knee.agents, color=colour, linewidth=0.8)
    middle = knee.agents or math.sqrt(knee.low * knee.high)
    ax.annotate(
        knee.text,
        (middle, 0.98),
        xycoords=("data", "axes fraction"),
        rotation=90,
        ha="center",
        va="top",
        color=colour,
        fontsize=9,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 2},
    )


def _legend(ax: Axes, curves: Sequence[Curve], agents_per_server: int | None) -> None:
    grey = "#555555"

    def sample(label: str, **how: Any) -> Any:
        plain: dict[str, Any] = {"color": grey, "markersize": 5}
        return Line2D([], [], label=label, **(plain | how))

    lines = [line for curve in curves for line in curve.lines]
    entries = [
        sample(curve.name, color=colour, linewidth=2.5)
        for colour, curve in zip(COLOURS * len(curves), curves, strict=False)
    ]
    entries += [sample(name, marker=mark, linewidth=width) for name, mark, width, _ in _QUANTILES]
    if len(lines) > len(curves):
        rule = f": a server for every {agents_per_server:,} agents" if agents_per_server else ""
        entries.append(sample("scaled out" + rule, linestyle=_DASHED))
    if any(len(curve.bound[0]) for curve in curves):
        entries.append(sample("lower bound of the mean (closed form)", linestyle=_DOTTED))
    if any(any(line.bounds) for line in lines):
        hollow: Any = {"marker": "o", "markerfacecolor": "white", "linestyle": "none"}
        entries.append(sample("lower bound: messages were pending", **hollow))
    if any(_by_filling(line, name)["half"] for line in lines for name in line.doubtful):
        half: Any = {"marker": "o", "fillstyle": "left", "markerfacecoloralt": "white"}
        entries.append(sample("its interval cannot be trusted", linestyle="none", **half))
    if any(any(line.overloaded) for line in lines):
        entries.append(sample("overloaded: no latency settles", marker="x", linestyle="none"))
    if any(curve.knee is not None and curve.knee.agents is None for curve in curves):
        band: Any = {"facecolor": "none", "edgecolor": grey, "linewidth": 0, "hatch": "///"}
        entries.append(Patch(**band, label="the knee lies between these levels"))
    if any(curve.calibrated_to is not None for curve in curves):
        entries.append(Patch(color=grey, alpha=0.15, label="extrapolated"))
    where: Any = {"loc": "outside lower center", "ncols": 3}
    ax.figure.legend(handles=entries, frameon=False, fontsize=9, **where)
