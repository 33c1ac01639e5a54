"""The plot of a sweep: what of it is drawn."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lhsim.analysis.plots import Curve, KneeMark, Line, scaling_plot
from lhsim.planning import ScaleOut, scaled_out_name
from lhsim.planning.bounds import lower_bound

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lhsim.analysis.knee import Knee
    from lhsim.models import System

SECONDS_PER_MS = 1e-3
POINTS = 200  # of a closed form

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

    Parameters
    ----------
    systems
        In the order of their curves.
    rows, metrics
        Of a sweep: its levels, and their measures with intervals.
    knees
        By the names of systems.
    rule
        By which some of the levels are scaled out; None for none.
    ax
        Where to draw; None for a figure of its own.
    """
    curves = [_curve(system, rows, metrics, knees.get(system.name)) for system in systems]
    return scaling_plot(curves, ax, agents_per_server=rule.agents_per_server if rule else None)


def _curve(system: System, rows: Sequence[Row], metrics: Sequence[Row], knee: Knee | None) -> Curve:
    fixed = [row for row in rows if row["system"] == system.name]
    more = [row for row in rows if row["system"] == scaled_out_name(system.name)]
    # A scaled-out system begins as the system itself, at the last level with a single server.
    shared = [row for row in fixed if more and row["agents"] < more[0]["agents"]][-1:]
    calibration = system.calibration
    limits = calibration.agents if calibration else None
    return Curve(
        name=system.name,
        fixed=_line(fixed, metrics),
        scaled_out=_line([*shared, *more], metrics) if more else None,
        bound=_bound(system, [row["agents"] for row in fixed]),
        knee=_knee(knee),
        calibrated_to=limits[1] if limits and limits[1] > 0 else None,
    )


def _knee(found: Knee | None) -> KneeMark | None:
    """Return a knee whose bracket has two ends, as it is drawn."""
    if found is None or found.low is None or found.high is None:
        return None
    return KneeMark(found.low, found.high, found.agents)


def _line(levels: Sequence[Row], metrics: Sequence[Row]) -> Line:
    names = {name: f"{name}_latency_ms" for name in ("p50", "p99")}
    return Line(
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
