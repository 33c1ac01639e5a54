"""The table of a sweep over parameters: a line for each of its points."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from lhsim.report.levels import LEVELS, legend, level_line, named
from lhsim.report.text import Column, axis_text, table

Row = Mapping[str, Any]

WIDTH = 80  # of the text, in columns
# What is left out first where all of it is too wide: the last.
_BY_WORTH = ("p50", "p99", "busiest", "backlog", "msg/s", "req/s", "arrived", "p95")
_NARROWER = "more of each point is in the tables of the output folder, and in --format csv"


def points_table(
    rows: Sequence[Row], axes: Sequence[str], units: Mapping[str, str] | None = None
) -> str:
    """Return a table per system, a line per point, with as many columns as fit.

    `units` are those of the axes; an axis that is not there has none.
    """
    by_system: dict[str, list[Row]] = {}
    for row in rows:
        by_system.setdefault(row["system"], []).append(row)
    tables, complete = [], True
    for name, its_rows in by_system.items():
        text, all_shown = _table(its_rows, [axis for axis in axes if axis != "agents"], units or {})
        complete = complete and all_shown
        tables.append(f"{name}\n{text}\n")
    notes = [*legend(rows), *([] if complete else [_NARROWER])]
    return "\n".join([*tables, *notes]).rstrip("\n")


def _table(rows: Sequence[Row], axes: Sequence[str], units: Mapping[str, str]) -> tuple[str, bool]:
    """Return a table, and whether all its columns fit."""
    shown = [axis for axis in axes if any(row[axis] is not None for row in rows)]
    titles = _short(shown)
    columns = [*(Column(titles[axis]) for axis in shown), *named(LEVELS, rows)]
    lines = [
        [*(axis_text(row[axis], units.get(axis, "")) for axis in shown), *level_line(row)]
        for row in rows
    ]
    for count in range(len(_BY_WORTH), 0, -1):
        kept = {*titles.values(), "agents", "clients", "servers", *_BY_WORTH[:count]}
        chosen = [i for i, column in enumerate(columns) if column.title in kept]
        text = table([columns[i] for i in chosen], [[line[i] for i in chosen] for line in lines])
        if max(map(len, text.splitlines())) <= WIDTH:
            break
    return text, count == len(_BY_WORTH)


def _short(axes: Sequence[str]) -> dict[str, str]:
    """Return the last parts of paths, or more of them where these are the same."""
    last = {axis: axis.rpartition(".")[2] for axis in axes}
    often = Counter([*last.values(), *(column.title for column in LEVELS)])
    return {axis: name if often[name] == 1 else axis for axis, name in last.items()}
