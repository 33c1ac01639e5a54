"""Tables of a page: what each cell shows, and by what a reader's browser sorts it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import evolve, frozen

from lhsim.report.marks import is_shown, legend, marked, naming, row_mark
from lhsim.report.text import duration, three_digits

UNKNOWN = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
SHARE, PERCENT, PER_SECOND = "share", "%", "1/s"  # units
TIMES = {"ms": 1e-3, "s": 1.0}  # units of times, which are shown with a unit of their own [s]


@frozen
class Cell:
    """What stands in a table."""

    text: str
    key: str = ""  # a number, or a text, by which rows are sorted; empty for what is unknown
    kind: str = ""  # how it is marked, such as a verdict


@frozen
class Heading:
    """A column of a table."""

    title: str
    unit: str = ""
    numeric: bool = False


@frozen
class Grid:
    """A table of a page."""

    name: str  # unique in the page, for its id
    title: str
    headings: tuple[Heading, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()  # what its marks mean


def grid(
    name: str,
    title: str,
    columns: Sequence[Mapping[str, str]],
    rows: Sequence[Mapping[str, Any]],
    *,
    marked: str | None = None,
) -> Grid:
    """Return rows as a table, with the marks of `lhsim.report.marks` and what they mean.

    A column has a ``key`` in the rows, a ``title`` and perhaps a ``unit``; `SHARE` is shown in per
    cent. Its ``interval`` is the key of the two ends, which are those of ``KEY_low`` and
    ``KEY_high`` where the rows have these. What a row lacks is unknown. `marked` is the key of the
    column whose cells are marked by what they say.
    """
    keys = [column["key"] for column in columns]
    headings = tuple(
        Heading(_title(column), _unit(column), _numeric([row.get(column["key"]) for row in rows]))
        for column in columns
    )
    named = naming(keys)
    cells = tuple(
        tuple(
            _named(row, _figure(row, column, marked)) if column["key"] == named
            else _figure(row, column, marked)
            for column in columns
        )
        for row in rows
    )  # fmt: skip
    return Grid(name, title, headings, cells, tuple(legend(rows, keys)))


def _title(column: Mapping[str, str]) -> str:
    return column.get("title", column["key"])


def _unit(column: Mapping[str, str]) -> str:
    """Return the unit of a column, where neither its title nor its cells name it."""
    unit, title = column.get("unit") or "", _title(column)
    if unit in TIMES:
        return ""
    unit = PERCENT if unit == SHARE else unit
    said = unit in title.split() or (unit == PER_SECOND and title.endswith("/s"))
    return "" if said else unit


def _named(row: Mapping[str, Any], found: Cell) -> Cell:
    """Return the cell that names a row, with the marks of all of it."""
    return evolve(found, text=found.text + row_mark(row))


def _figure(row: Mapping[str, Any], column: Mapping[str, str], marked_by: str | None) -> Cell:
    """Return what stands in a row of a column, with its marks and its interval."""
    unit = column.get("unit", "")
    key, scale = column["key"], 100 if unit == SHARE else 1
    found = cell(_scaled(row.get(key), scale), unit, marked=key == marked_by)
    if not found.key or not is_shown(row, key):
        return Cell(UNKNOWN) if not is_shown(row, key) else found
    ends = [_scaled(end, scale) for end in _ends(row, column)]
    around = f" ({_several(ends, unit).text})" if any(end is not None for end in ends) else ""
    text = marked(row, key, lambda: found.text + around, UNKNOWN)
    return evolve(found, text=text)


def _ends(row: Mapping[str, Any], column: Mapping[str, str]) -> Sequence[Any]:
    key = column["key"]
    given = row.get(column.get("interval") or "")
    ends = given if given is not None else (row.get(f"{key}_low"), row.get(f"{key}_high"))
    same = ends[0] == ends[1] == row.get(key)
    return (None, None) if same else ends


def _scaled(value: Any, scale: int) -> Any:
    return value * scale if scale != 1 and _is_number(value) and value is not None else value


def cell(value: object, unit: str = "", *, marked: bool = False) -> Cell:
    """Return a value as people read it, with three digits, and as rows are sorted by it.

    A time has its unit with it: 10 s and not 10,000 ms.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return Cell(UNKNOWN)
    if isinstance(value, bool):
        return Cell("yes" if value else "no", str(int(value)))
    if isinstance(value, int | float):
        return Cell(_time(value, unit) if unit in TIMES else number(value), repr(value))
    if isinstance(value, list | tuple):
        return _several(value, unit)
    return Cell(str(value), str(value), kind=str(value) if marked else "")


def _time(value: float, unit: str) -> str:
    """Return a time of a unit as people read it."""
    if value == 0 or math.isinf(value):
        return f"{number(value)} s"
    return (MINUS if value < 0 else "") + duration(abs(value) * TIMES[unit])


def number(value: float) -> str:
    """Return a number with three digits; a whole one with all of them, up to a million millions."""
    if math.isinf(value):
        return "\N{INFINITY}" if value > 0 else f"{MINUS}\N{INFINITY}"
    whole = value == int(value) and abs(value) < 1e12
    text = f"{int(value):,}" if whole else three_digits(value)
    return text.replace("-", MINUS) if text.startswith("-") else text


def _several(values: Sequence[object], unit: str = "") -> Cell:
    """Return an interval, whose ends may be open, or a list."""
    parts = [cell(value, unit) for value in values]
    if len(parts) == 2 and all(map(_is_number, values)):
        low, high = parts
        if not low.key or not high.key:
            return _open(low, high)
        (first, *own), (_, *its) = low.text.split(), high.text.split()
        dash = " to " if MINUS in (low.text[0], high.text[0]) else UNKNOWN
        return Cell(f"{first if own == its else low.text}{dash}{high.text}", low.key)
    text = ", ".join(part.text for part in parts)
    return Cell(text, text)


def _open(low: Cell, high: Cell) -> Cell:
    """Return an interval of which at most one end is known."""
    if low.key:
        return Cell(f"\N{GREATER-THAN OR EQUAL TO} {low.text}", low.key)
    return Cell(f"\N{LESS-THAN OR EQUAL TO} {high.text}", high.key) if high.key else Cell(UNKNOWN)


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _numeric(values: Sequence[object]) -> bool:
    """Return whether a column is one of numbers, or of intervals."""
    known = [value for value in values if value is not None]
    return bool(known) and all(
        _is_number(value)
        or (isinstance(value, list | tuple) and len(value) == 2 and all(map(_is_number, value)))
        for value in known
    )
