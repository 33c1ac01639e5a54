"""The tornado of a sensitivity analysis: a bar for each parameter, the widest on top."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lhsim.analysis.plots import COLOURS, STYLE
from lhsim.checks import axes as check_axes

MOST_BARS = 12
_LATENCIES = ("p", "mean")


def tornado_plot(
    found: Mapping[str, Any], ax: Axes | None = None, metric: str | None = None
) -> Figure:
    """Return a figure with a tornado for each metric, or for one of them.

    Parameters
    ----------
    found
        ``base``, a value for each metric, and ``effects``, each with ``metric``, ``path``,
        ``at_low`` and ``at_high`` in the unit of the metric.
    ax
        Where to draw one metric; a figure of its own when None.
    metric
        The only one; None: all of them, or with `ax` the first.
    """
    check_axes(ax, "ax")
    metrics = list(found["base"]) if metric is None else [metric]
    if ax is not None:
        effects = [one for one in found["effects"] if one["metric"] == metrics[0]]
        _tornado(ax, metrics[0], found["base"][metrics[0]], effects)
        return ax.get_figure(root=True)  # type: ignore[return-value]
    with style.context(STYLE):
        figure = Figure(figsize=(5.5 * len(metrics), 4.8), layout="constrained")
        for position, name in enumerate(metrics, start=1):
            part = figure.add_subplot(1, len(metrics), position)
            effects = [one for one in found["effects"] if one["metric"] == name]
            _tornado(part, name, found["base"][name], effects)
        figure.suptitle(f"{found['system']}, {found['agents']:,} agents: one parameter at a time")
    return figure


def _tornado(ax: Axes, metric: str, base: float, effects: Sequence[Mapping[str, Any]]) -> None:
    widest = sorted(effects, key=lambda one: -_width(one, base))[:MOST_BARS][::-1]
    scale, unit = _unit(metric, max([base, *(one["at_high"] for one in widest)]))
    for row, one in enumerate(widest):
        for end, colour in (("at_low", COLOURS[1]), ("at_high", COLOURS[0])):
            ax.barh(row, (one[end] - base) * scale, left=base * scale, color=colour, height=0.7,
                    alpha=0.8, label=end.replace("_", " ") if row == 0 else None)  # fmt: skip
    ax.axvline(base * scale, color="black", linewidth=0.8)
    ax.set_yticks(range(len(widest)), [one["path"] for one in widest])
    ax.set_xlabel(f"{metric} [{unit}]" if unit else metric)
    ax.legend(loc="lower right")


def _width(one: Mapping[str, Any], base: float) -> float:
    ends = (base, one["at_low"], one["at_high"])
    return float(max(ends) - min(ends))


def _unit(metric: str, most: float) -> tuple[float, str]:
    if metric == "knee":
        return 1.0, "agents"
    if metric == "memory":
        return 1e-6, "MB"
    if metric == "throughput":
        return 1.0, "1/s"
    if metric.startswith(_LATENCIES):
        return (1.0, "s") if most >= 1 else (1e3, "ms")
    return 1e2, "%"
