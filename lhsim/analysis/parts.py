"""The parts of a latency: a bar for its mean and one for the messages around p99."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lhsim.analysis.plots import COLOURS, beside, drawing, figure_of, headline

SHARES = ("share", "tail_share")  # of a part: of the mean, and around p99
REST = "#c9c9c9"
PERCENT = 1e2
HEIGHT = 0.6  # of a bar


def parts_plot(
    parts: Sequence[Mapping[str, Any]],
    bars: tuple[str, str],
    title: str,
    ax: Axes | None = None,
) -> Figure:
    """Return a figure of the shares of the largest parts.

    Parameters
    ----------
    parts
        Each with its ``name``, its ``share`` of the mean latency and its ``tail_share``.
    bars
        What the two bars are called: of all messages, and of those around p99.
    title
        What stands above.
    ax
        Where to draw; a figure of its own when None.
    """
    by_size = sorted(parts, key=lambda one: -max(one[share] for share in SHARES))
    coloured = list(zip(by_size, COLOURS, strict=False))
    with drawing(ax) as axes:
        for row, share in enumerate(SHARES):
            left = 0.0
            for one, colour in coloured:
                _bar(axes, row, left, one[share] * PERCENT, colour, one["name"])
                left += one[share] * PERCENT
            if len(by_size) > len(coloured):
                _bar(axes, row, left, max(0.0, PERCENT - left), REST, "rest")
        axes.set_yticks(range(len(SHARES)), bars)
        axes.invert_yaxis()
        axes.set(xlabel="part of the latency [%]", xlim=(0, PERCENT))
        beside(axes)
        headline(axes, title)
    return figure_of(axes)


def _bar(ax: Axes, row: int, left: float, width: float, colour: str, name: str) -> None:
    label = name if row == 0 else None  # once in the legend
    ax.barh(row, width, HEIGHT, left=left, color=colour, label=label)
