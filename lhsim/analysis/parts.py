"""The parts of a latency: a bar for its mean and one for the messages around p99."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lhsim.analysis.plots import COLOURS, beside, drawing, figure_of

BARS = (("share", "all messages"), ("tail_share", "around p99"))
SMALLEST = 0.01  # share of either that has a colour of its own
REST = "#c9c9c9"
PERCENT = 1e2


def parts_plot(parts: Sequence[Mapping[str, Any]], ax: Axes | None = None) -> Figure:
    """Return a figure of the shares of each part.

    Parameters
    ----------
    parts
        Each with its ``name``, its ``share`` of the mean latency and its ``tail_share``.
    ax
        Where to draw; a figure of its own when None.
    """
    large = [one for one in parts if max(one["share"], one["tail_share"]) >= SMALLEST]
    named = large[: len(COLOURS)]
    with drawing(ax) as axes:
        for row, (key, _) in enumerate(BARS):
            left = 0.0
            for one, colour in zip(named, COLOURS, strict=False):
                label = one["name"] if row == 0 else None
                axes.barh(row, one[key] * PERCENT, left=left, color=colour, label=label)
                left += one[key] * PERCENT
            rest = max(0.0, PERCENT - left)
            axes.barh(row, rest, left=left, color=REST, label="rest" if row == 0 else None)
        axes.set_yticks(range(len(BARS)), [title for _, title in BARS])
        axes.invert_yaxis()
        axes.set(xlabel="part of the latency [%]", xlim=(0, 100))
        beside(axes)
    return figure_of(axes)
