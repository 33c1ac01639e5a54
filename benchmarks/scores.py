"""Whether prediction intervals hold further runs of servers of known truth: scores, and tables."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from attrs import frozen

from lhsim.execution.cells import run as run_cell
from lhsim.models import System
from lhsim.planning.predictions import Intervals, intervals, prediction_cells
from lhsim.report.text import Column, table

COLUMNS = (Column("figure", left=True), Column("values"), Column("inside"), Column("width"),
           Column("over the spread"), Column("median miss"))  # fmt: skip


@frozen
class Scored:
    """A figure of a level, live and predicted."""

    kind: str  # of server
    figure: str
    load: float
    inside: bool
    width: float  # of the interval, as a logarithm
    spread: float  # of the truth: 90 % of a normal distribution, as a logarithm
    miss: float  # of the middle of the interval, as a logarithm


def predicted(system: System, agents: int, seed: int) -> Intervals:
    """Return the prediction intervals of one further run."""
    cells = prediction_cells(system, agents, seed, "auto")
    return intervals(system, [run_cell(cell) for cell in cells])


def scored(
    kind: str, load: float, found: Intervals, live: Sequence[Mapping[str, float]]
) -> Iterator[Scored]:
    """Yield the figures of one level; the first of the `live` runs is the further run."""
    for figure, (low, high) in found.items():
        value = live[0].get(figure, math.nan)
        if not math.isfinite(value):
            continue
        logs = np.log([max(run[figure], 1e-12) for run in live if math.isfinite(run[figure])])
        spread = 2 * 1.645 * float(logs.std(ddof=1)) if len(logs) > 1 else 0.0
        inside = low <= value <= high
        yield Scored(kind, figure, load, inside, math.log(max(high, 1e-12) / max(low, 1e-12)),
                     spread, math.log(max(low, 1e-12) * max(high, 1e-12)) / 2
                     - math.log(max(value, 1e-12)))  # fmt: skip


def score_table(rows: Sequence[Scored]) -> str:
    """Return how many values lie inside: by figure, by load, by kind, and of all."""
    lines = []
    for of in ("figure", "load", "kind"):
        for one in dict.fromkeys(getattr(row, of) for row in rows):
            name = f"at {one:g}" if of == "load" else str(one)
            lines.append(_line(name, [row for row in rows if getattr(row, of) == one]))
    return table(COLUMNS, [*lines, _line("all", rows)])


def _line(name: str, rows: Sequence[Scored]) -> list[str]:
    if not rows:
        return [name, "0", "", "", "", ""]
    ratios = [row.width / row.spread for row in rows if row.spread > 1e-6]
    return [
        name,
        f"{len(rows)}",
        f"{np.mean([row.inside for row in rows]):.1%}",
        f"x{math.exp(float(np.median([row.width for row in rows]))):.2f}",
        f"{np.median(ratios):.1f}" if ratios else "",
        f"{np.median([abs(row.miss) for row in rows]):.1%}",
    ]
