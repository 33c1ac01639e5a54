"""A plot of what was found against what was claimed, a line for each claim."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from lhsim.analysis.plots import beside, drawing, figure_of, headline

# Of verdicts, apart for who cannot tell red from green.
COLOURS = {"supported": "#1f6fb4", "refuted": "#c44e25", "undecided": "#8a8a8a"}
MARKERS = {"supported": "o", "refuted": "X", "undecided": "s"}


@frozen
class Dot:
    """What was found, as a part of what was claimed."""

    name: str
    verdict: str
    ratio: float
    low: float
    high: float


def dots_plot(dots: Sequence[Dot], ax: Axes | None = None) -> Figure:
    """Draw ratios of figures to claims with their intervals, and return the figure."""
    with drawing(ax, height=1.2 + 0.24 * len(dots)) as axes:
        axes.set(xscale="log", xlabel="what was found, as a multiple of what is claimed")
        axes.axvline(1, color="#333333", linewidth=1)
        for verdict, colour in COLOURS.items():
            chosen = [(row, dot) for row, dot in enumerate(dots) if dot.verdict == verdict]
            if chosen:
                rows = [row for row, _ in chosen]
                axes.plot([dot.ratio for _, dot in chosen], rows, MARKERS[verdict], color=colour,
                        label=verdict)  # fmt: skip
                axes.hlines(rows, [dot.low for _, dot in chosen], [dot.high for _, dot in chosen],
                          color=colour, linewidth=2)  # fmt: skip
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        axes.set_yticks(range(len(dots)), [dot.name for dot in dots])
        axes.invert_yaxis()
        headline(axes, "What was found, against what is claimed (1)")
        beside(axes)
    return figure_of(axes)
