"""Marks: what goes along with a figure wherever it is shown.

A row of a table is a mapping. Beside its figures it may have

==================  =================================================================
``overloaded``      messages pile up: its latencies have no value, and are shown nowhere
``extrapolated``    it lies beyond what the model was calibrated on
``lower_bounds``    names of the figures that are only that
``flags``           by the name of a figure, why it cannot be trusted
==================  =================================================================

All tables, on a terminal, in a notebook and in the report, put the marks by these functions: ``>``
before a lower bound, ``?`` after a figure that cannot be trusted, or after the name of a row in
which none can, and ``*`` after the name of a row that is extrapolated. `legend` says what they
mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from lhsim.analysis import flags
from lhsim.analysis.measures import is_latency

Row = Mapping[str, Any]

EXTRAPOLATED = "* extrapolated: beyond what the model was calibrated on"
BOUND = "> a lower bound: messages were still on their way at the end of a run"
OVERLOADED = "overloaded: messages pile up, and no latency settles"
DOUBT, BEYOND, AT_LEAST = "?", "*", ">"
MARKS = ("overloaded", "extrapolated", "lower_bounds", "flags")  # keys of a row
_NAMES = ("agents", "case")
# What speaks against all figures of a row.
_OF_ROWS = {flags.FEW_REPLICATIONS, flags.SHORT_WARMUP}


def is_shown(row: Row, key: str) -> bool:
    """Return whether a figure has a value: a latency of what is overloaded has none."""
    return not (row.get("overloaded") and is_latency(key))


def marked(
    row: Row, key: str, text: Callable[[], str], unknown: str, *, in_row: bool = True
) -> str:
    """Return a figure of a row with its marks, or `unknown` where it is None or not shown.

    `text` gives the figure without marks; `in_row` says whether the name of the row carries the
    marks of the row.
    """
    if row.get(key) is None or not is_shown(row, key):
        return unknown
    found = doubts(row, key)
    bound = key in row.get("lower_bounds", ()) or flags.LOWER_BOUND in _flags(row, key)
    doubtful = bool(found - _OF_ROWS if in_row else found)
    return (AT_LEAST if bound else "") + text() + (DOUBT if doubtful else "")


def doubts(row: Row, key: str) -> set[str]:
    """Return why a figure cannot be trusted, other than that it is a lower bound."""
    return _flags(row, key) - {flags.LOWER_BOUND}


def row_mark(row: Row) -> str:
    """Return the marks of a whole row, to stand after its name."""
    found = {flag for key in row.get("flags", ()) for flag in _flags(row, key)} & _OF_ROWS
    if row.get("overloaded"):  # a backlog that grows looks like a warm-up without end
        found -= {flags.SHORT_WARMUP}
    return (BEYOND if row.get("extrapolated") else "") + (DOUBT if found else "")


def naming(keys: Sequence[str]) -> str | None:
    """Return which column of a table names its rows, and so carries their marks."""
    return next((key for key in (*_NAMES, *keys[:1]) if key in keys), None)


def legend(rows: Sequence[Row], keys: Iterable[str], overloaded: str = OVERLOADED) -> list[str]:
    """Return what the marks in rows mean that show the figures `keys`, a line each.

    `overloaded` is said where a row is that.
    """
    names = list(keys)
    cells = [
        (row, key) for row in rows for key in names
        if is_shown(row, key) and row.get(key) is not None
    ]  # fmt: skip
    bounds = any(AT_LEAST in marked(row, key, str, "") for row, key in cells)
    used = [
        (EXTRAPOLATED, any(row.get("extrapolated") for row in rows)),
        (BOUND, bounds),
        (overloaded, any(row.get("overloaded") for row in rows)),
    ]
    found = {flag for row, key in cells for flag in doubts(row, key)}
    found |= {flag for row in rows if row_mark(row).endswith(DOUBT) for flag in _row_doubts(row)}
    lines = [f"{DOUBT} {flag}: {text}" for flag, text in flags.MEANINGS.items() if flag in found]
    return [*(text for text, is_used in used if is_used), *lines]


def _row_doubts(row: Row) -> set[str]:
    found = {flag for key in row["flags"] for flag in _flags(row, key)} & _OF_ROWS
    return found - {flags.SHORT_WARMUP} if row.get("overloaded") else found


def _flags(row: Row, key: str) -> set[str]:
    return set(row.get("flags", {}).get(key, ()))
