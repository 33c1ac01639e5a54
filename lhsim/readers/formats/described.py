"""What describes a format of logs, and what its readers share.

A reader says where its format is described, what it stamps, in which unit, and what it cannot know.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from attrs import field, frozen
from numpy.typing import NDArray

from lhsim.errors import InputError, shown
from lhsim.readers import columns
from lhsim.readers.cells import plain
from lhsim.readers.columns import Column
from lhsim.readers.delimited import Delimited
from lhsim.readers.formats.hints import Hints
from lhsim.readers.request_log import Labels, RequestLog, request_log
from lhsim.readers.tables import Table
from lhsim.readers.text import read_lines, read_whole

HEAD = 40  # lines by which a format is recognised
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@frozen
class Head:
    """The beginning of a text file."""

    name: str  # of the file
    lines: tuple[str, ...]  # at most `HEAD`, without blank ones

    @property
    def first(self) -> str:
        """Its first line that is not blank."""
        return self.lines[0] if self.lines else ""

    @property
    def fields(self) -> frozenset[str]:
        """The names of the columns, if it is a table."""
        separator = max(",;\t|", key=self.first.count)
        return frozenset(name.strip().strip('"') for name in self.first.split(separator))

    def json(self) -> dict[str, Any]:
        """Return the object on the first line, or an empty one."""
        try:
            found = json.loads(self.first)
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}


Read = Callable[[Sequence[Path], Hints], RequestLog]


@frozen
class Format:
    """A format of request logs."""

    name: str  # by which it is asked for
    title: str  # what writes it
    source: str  # where it is described
    stamps: str  # "start", "end" or "both"
    unit: str
    unknown: tuple[str, ...]  # what the format cannot tell
    read: Read = field(repr=False)
    recognises: Callable[[Head], bool] = field(repr=False)
    hints: frozenset[str] = frozenset()  # what of `Hints` may be said
    several: bool = False  # whether files of one run may be read together
    loop: str = ""  # "open" where it sends whatever is answered

    def facts(self, *notes: str, **more: object) -> dict[str, object]:
        """Return the facts of a log in this format."""
        known = {"loop": self.loop} if self.loop else {}
        return {
            "stamps": self.stamps, "unknown": self.unknown, "notes": notes, **known, **more
        }  # fmt: skip


@frozen
class NoLog:
    """A format of something that is no request log, which is refused."""

    name: str
    title: str
    reason: str  # what it is instead
    allowed: str  # what to do
    recognises: Callable[[Head], bool] = field(repr=False)


def head_of(path: Path) -> Head:
    """Return the beginning of a file; it raises as `read_lines` does."""
    found: list[str] = []
    for number, line in enumerate(read_lines(path)):
        if line.strip():
            found.append(line)
        if number >= HEAD:
            break
    return Head(path.name, tuple(found))


# --- tables --------------------------------------------------------------------------------------


def whole_text(path: Path) -> bytes:
    """Return the text of a file whose writer ends every line.

    Raises
    ------
    InputError
        As `read_whole` does, and when the last line is cut off.
    """
    text = read_whole(path)
    if text and not text.endswith(b"\n"):
        number = text.count(b"\n") + 1
        problem = f"line {number}, the last one, is cut off: no line end follows it"
        raise InputError(problem, source=str(path), allowed="a file that was written to its end")
    return text


def without_header(path: Path, names: Sequence[str], separator: str) -> Table:
    """Return the columns of a file that does not name them."""
    rows = Delimited(whole_text(path), 0, separator, tuple(names))
    try:
        values = rows.texts(range(len(names)))
    except InputError as error:
        raise InputError(error.problem, source=str(path), allowed=error.allowed) from None
    chosen = {name: Column(name, plain(one)) for name, one in zip(names, values, strict=True)}
    return Table(path, chosen, rows)


@frozen
class _ChosenRows(Delimited):
    """Some of the rows of a file, which know where they stand in it."""

    chosen: tuple[int, ...] = field(default=(), repr=False)

    def line(self, row: int) -> int:
        """Return the line on which a row ends."""
        return Delimited.line(self, self.chosen[row])


def chosen_rows(table: Table, kept: NDArray[np.bool_]) -> Table:
    """Return the rows of a CSV file that are kept."""
    rows, chosen = table.rows, tuple(np.flatnonzero(kept).tolist())
    found = {
        name: Column(one.name, one.values.filter(pa.array(kept)), one.per_second)
        for name, one in table.columns.items()
    }
    if rows is None:
        return Table(table.path, found)
    places = _ChosenRows(rows.rows, rows.above, rows.separator, rows.header, chosen)
    return Table(table.path, found, places)


def with_zeros(table: Table, name: str, rows: NDArray[np.bool_]) -> Table:
    """Return a table with "0" in some cells of a column of texts, which hold a word instead."""
    column = table.columns[name]
    values = pc.if_else(pa.array(rows), "0", column.values)
    changed = {**table.columns, name: Column(column.name, values, column.per_second)}
    return Table(table.path, changed, table.rows)


def is_text(table: Table, name: str, *texts: str) -> NDArray[np.bool_]:
    """Return which cells of a column of texts are one of these."""
    found = pc.is_in(table.columns[name].values, pa.array(texts, pa.string()))
    cells: NDArray[np.bool_] = found.to_numpy(zero_copy_only=False)
    return cells


def labels(table: Table, name: str) -> Labels:
    """Return a column as labels; an empty cell is the text ""."""
    names, codes = table.texts(name)
    return Labels(codes, tuple(names))


# --- times ---------------------------------------------------------------------------------------


def unit_since_1970(times: Integers, hint: str | None, source: str) -> int:
    """Return how many of the units in which times count from 1970 are a second.

    Seconds since 1970 are beyond 1e8 and below 1e11, and so on: only one unit is possible.

    Raises
    ------
    InputError
        When no unit makes times of them.
    """
    if hint:
        return columns.PER_SECOND[hint]
    least, most = int(times.min(initial=2**62)), int(times.max(initial=0))
    for factor in columns.PER_SECOND.values():
        if columns.EPOCH * factor < least and most < columns.LONGEST / 10 * factor:
            return factor
    problem = f"{least} is no time since 1970 in any unit"
    raise InputError(problem, source=source, allowed="--unit s, ms, us or ns")


def from_first(times: Sequence[Integers], per_second: int) -> tuple[list[Floats], int]:
    """Return arrays of whole numbers of a unit as seconds from a whole second, and that second.

    What is not later than another stays so.
    """
    least = min((int(one.min()) for one in times if len(one)), default=0)
    origin = least // per_second
    return [(one - origin * per_second) / per_second for one in times], origin


def refuse_backwards(
    codes: Integers, times: Floats, where: Callable[[int], str], source: str
) -> None:
    """Refuse a client whose next row, in the order of the file, is stamped earlier.

    `where` returns the place of a row, to begin the problem with.
    """
    order = np.argsort(codes, kind="stable")
    same = np.diff(codes[order], prepend=-1) == 0
    back = same & (np.diff(times[order], prepend=-np.inf) < 0)
    rows = np.sort(order[back])
    if len(rows):
        problem = f"{where(int(rows[0]))}the clock jumps back within a client"
        allowed = "the log of one run, by a clock that runs forward"
        raise InputError(problem, source=source, allowed=allowed)


# --- rows ----------------------------------------------------------------------------------------


@frozen
class Row:
    """A request of a file that is read row by row."""

    stamp: int  # [ns]
    duration: int  # [ns]
    client: str | None = None
    status: str = ""
    operation: str = ""


def of_rows(
    format: Format,  # noqa: A002 - what else
    paths: Sequence[Path],
    rows: Sequence[Row],
    *,
    stamps: str = "",
    resolution: float = 0.0,
    notes: Sequence[str] = (),
) -> RequestLog:
    """Return the log that rows are, whose stamps are those of starts or of ends."""
    at_end = (stamps or format.stamps) == "end"
    stamped = np.array([one.stamp for one in rows], np.int64)
    lasting = np.array([one.duration for one in rows], np.int64)
    (start, end), origin = from_first(
        (stamped - lasting, stamped) if at_end else (stamped, stamped + lasting), 10**9
    )
    clients = [one.client for one in rows if one.client is not None]
    if clients and len(clients) < len(rows):
        row = next(index for index, one in enumerate(rows) if one.client is None)
        problem = f"request {row + 1} names no client, others do"
        raise InputError(problem, source=names_of(paths), allowed="a client for all, or for none")
    return request_log(
        client=Labels.of(clients) if clients else None,
        start=start,
        end=end,
        source=names_of(paths),
        format=format.name,
        origin=origin,
        resolution=resolution,
        status=Labels.of([one.status for one in rows]),
        operation=Labels.of([one.operation for one in rows]),
        facts={**format.facts(*notes), "stamps": "end" if at_end else "start"},
    )


def names_of(paths: Sequence[Path]) -> str:
    """Return what a log of several files is called."""
    first = str(paths[0])
    return first if len(paths) == 1 else f"{first} and {len(paths) - 1} more"


def json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the objects of a file with one on each line, by their line numbers.

    Raises
    ------
    InputError
        For a line that is none.
    """
    for number, line in enumerate(read_lines(path), 1):
        if not line.strip():
            continue
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            problem = f"line {number}: {shown(line[:60])} is no JSON object"
            raise InputError(problem, source=str(path), allowed="one object on each line")
        yield number, found


def in_nanoseconds(text: object) -> int | None:
    """Return an RFC 3339 time in nanoseconds since 1970, or None for anything else."""
    if not isinstance(text, str) or len(text) > 40:
        return None
    try:
        found = columns.times(Column("", pa.array([text])))
    except Exception:
        return None
    return int(found.values[0]) if found.dated and found.per_second == 10**9 else None
