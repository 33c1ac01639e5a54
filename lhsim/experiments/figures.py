"""The plot of a sweep: what of it is drawn."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lhsim.analysis.plots import Curve, scaling_plot
from lhsim.experiments.bounds import lower_bound

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lhsim.experiments.sweep import Sweep
    from lhsim.models import System

MS = 1e-3
POINTS = 200  # of a closed form

Row = Mapping[str, Any]


def scaling_figure(sweep: Sweep, ax: Axes | None = None) -> Figure:
    """Return the latencies of a sweep against the number of agents, as a figure."""
    rows, metrics = sweep.level_rows(), sweep.metric_rows()
    return scaling_plot([_curve(sweep, system, rows, metrics) for system in sweep.systems], ax)


def _curve(sweep: Sweep, system: System, rows: Sequence[Row], metrics: Sequence[Row]) -> Curve:
    levels = [row for row in rows if row["system"] == system.name]
    agents = [row["agents"] for row in levels]
    of_system = [row for row in metrics if row["system"] == system.name]
    calibration = system.calibration
    limits = calibration.agents if calibration else None
    return Curve(
        name=system.name,
        agents=agents,
        quantiles={
            name: [_seconds(row[f"{name}_latency_ms"]) for row in levels] for name in ("p50", "p99")
        },
        bands={name: _band(of_system, f"{name}_latency_ms") for name in ("p50", "p99")},
        uncertain=[row["overloaded"] or bool(row["lower_bounds"]) for row in levels],
        bound=_bound(system, agents),
        knee=sweep.knees[system.name].agents if system.name in sweep.knees else None,
        calibrated_to=limits[1] if limits else None,
    )


def _band(metrics: Sequence[Row], name: str) -> tuple[list[float], list[float]]:
    found = [row for row in metrics if row["metric"] == name]
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
    return math.nan if milliseconds is None else milliseconds * MS
