"""The plot of a sweep: what of it is drawn."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lhsim import analysis
from lhsim.planning import ScaleOut, scaled_out_name
from lhsim.planning.bounds import lower_bound
from lhsim.report.text import axis_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lhsim.analysis.knee import Knee
    from lhsim.models import System

SECONDS_PER_MS = 1e-3
POINTS = 200  # of a closed form
MOST_LINES = 12  # of a plot, each in a colour of its own
MOST_TICKS = 8

Row = Mapping[str, Any]


def scaling_figure(
    systems: Sequence[System],
    rows: Sequence[Row],
    metrics: Sequence[Row],
    knees: Mapping[str, Knee],
    rule: ScaleOut | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Return the latencies of systems against the number of agents, as a figure.

    `rows` and `metrics` are those of a sweep, in any order: its levels, and their measures with
    intervals.
    `knees` are by system. `rule` is that by which levels are scaled out, None for none; without
    `ax` the figure is one of its own.
    """
    curves = [_curve(system, rows, metrics, knees.get(system.name)) for system in systems]
    return analysis.scaling_plot(
        curves, ax, agents_per_server=rule.agents_per_server if rule else None
    )


def axes_figure(rows: Sequence[Row], units: Mapping[str, str], ax: Axes | None = None) -> Figure:
    """Return the p99 of levels against the agents, or else the first axis with several numbers.

    `units` are those of the axes but for the agents. Without `ax` the figure is one of its own.
    """
    axis = next((one for one in ("agents", *units) if _is_spread(rows, one)), "agents")
    others = [one for one in ("agents", *units) if one != axis and _varies(rows, one)]
    lines: dict[str, list[Row]] = {}
    for row in rows:
        if row[axis] is not None:
            values = [
                f"{one.rpartition('.')[2]}={axis_text(row[one], units.get(one, ''))}"
                for one in others
                if row[one] is not None
            ]
            lines.setdefault(", ".join([row["system"], *values]), []).append(row)
    if len(lines) > MOST_LINES:  # such as of points that fill the space: one line for a system
        lines = {}
        for row in rows:
            lines.setdefault(row["system"], []).append(row)
    series = [
        _series(name, sorted(some, key=lambda row: row[axis]), axis, number)
        for number, (name, some) in enumerate(lines.items())
    ]
    unit = units.get(axis, "")
    title = f"{axis} [{unit}]" if unit else axis
    places = sorted({x for one in series for x in one.x})
    ticks = places if len(places) <= MOST_TICKS else ()
    log = min(places) > 0
    chart = analysis.Chart(
        title, "p99 of the latency", log_x=log, log_y=True, ticks=ticks, durations=True,
        title=f"p99 against {'the agents' if axis == 'agents' else axis.rpartition('.')[2]}",
    )  # fmt: skip
    return analysis.lines_plot(series, chart, ax)


def _series(name: str, rows: Sequence[Row], axis: str, colour: int) -> analysis.Series:
    known = [math.nan if row["p99_latency_ms"] is None else row["p99_latency_ms"] for row in rows]
    places = [row[axis] for row in rows]
    return analysis.Series(name, places, known, colour=colour, markers=True)


def _varies(rows: Sequence[Row], axis: str) -> bool:
    return len({row[axis] for row in rows} - {None}) > 1


def _is_spread(rows: Sequence[Row], axis: str) -> bool:
    """Return whether an axis has several values, all of which are numbers."""
    known = [row[axis] for row in rows if row[axis] is not None]
    numeric = all(isinstance(one, int | float) and not isinstance(one, bool) for one in known)
    return numeric and _varies(rows, axis)


def _curve(
    system: System, rows: Sequence[Row], metrics: Sequence[Row], knee: Knee | None
) -> analysis.Curve:
    rows = sorted(rows, key=lambda row: row["agents"])
    fixed = [row for row in rows if row["system"] == system.name]
    more = [row for row in rows if row["system"] == scaled_out_name(system.name)]
    # A scaled-out system begins as the system itself, at the last level with a single server.
    shared = [row for row in fixed if more and row["agents"] < more[0]["agents"]][-1:]
    calibration = system.calibration
    limits = calibration.agents if calibration else None
    return analysis.Curve(
        name=system.name,
        fixed=_line(fixed, metrics),
        scaled_out=_line([*shared, *more], metrics) if more else None,
        bound=_bound(system, [row["agents"] for row in fixed]),
        knee=_knee(knee),
        calibrated_to=limits[1] if limits and limits[1] > 0 else None,
    )


def _knee(found: Knee | None) -> analysis.KneeMark | None:
    """Return a knee whose bracket has two ends, as it is drawn."""
    if found is None or found.low is None or found.high is None:
        return None
    return analysis.KneeMark(found.low, found.high, found.agents)


def _line(levels: Sequence[Row], metrics: Sequence[Row]) -> analysis.Line:
    names = {name: f"{name}_latency_ms" for name in ("p50", "p99")}
    return analysis.Line(
        agents=[row["agents"] for row in levels],
        quantiles={name: [_seconds(row[key]) for row in levels] for name, key in names.items()},
        bands={name: _band(levels, metrics, key) for name, key in names.items()},
        pending=[bool(row["lower_bounds"]) for row in levels],
        overloaded=[row["overloaded"] for row in levels],
        doubtful={name: [key in row["flags"] for row in levels] for name, key in names.items()},
    )


def _band(
    levels: Sequence[Row], metrics: Sequence[Row], name: str
) -> tuple[list[float], list[float]]:
    by_level = {(row["system"], row["agents"]): row for row in metrics if row["metric"] == name}
    found = [by_level[row["system"], row["agents"]] for row in levels]
    # An interval may reach below 0, which a logarithmic axis cannot show.
    low = [max(_seconds(row["ci_low"]), 1e-9) for row in found]
    return low, [_seconds(row["ci_high"]) for row in found]


def _bound(system: System, agents: list[int]) -> tuple[list[float], list[float]]:
    if len(agents) < 2:
        return [], []
    counts = [round(count) for count in np.geomspace(agents[0], agents[-1], POINTS)]
    values = [(count, lower_bound(system, count)) for count in counts]
    known = [(count, value) for count, value in values if value and math.isfinite(value)]
    return [float(count) for count, _ in known], [value for _, value in known]


def _seconds(milliseconds: float | None) -> float:
    return math.nan if milliseconds is None else milliseconds * SECONDS_PER_MS
