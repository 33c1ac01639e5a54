"""Tables that users give, as CSV or Parquet: each column read as what it is, or refused in a line.

A CSV file may be compressed, in UTF-8, UTF-16 or Latin-1, separated by commas, semicolons, tabs or
bars; decimal commas are read where nothing else can be meant. Comment lines that begin with ``#``
may stand above the names of the columns. Each row has a field for each column, and no name stands
twice. A column of times may have another unit in its name: ``delivered_ms`` for ``delivered_s``.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Sequence
from datetime import date
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from attrs import field, frozen
from numpy.typing import NDArray

from lhsim._files import Named, expanded, opened
from lhsim.errors import InputError
from lhsim.readers import columns, is_table
from lhsim.readers.columns import Column, Refused
from lhsim.readers.text import read_whole

MOST_ROWS = 100_000_000  # of a Parquet file, of which the size does not tell
SEPARATORS = ",;\t|"
_LINE = re.compile(rb"[^\r\n]*(?:\r\n|\r|\n|$)")
_OF_EXCEL = re.compile(rb"\s*sep=(.)\s*", re.IGNORECASE)

Floats = NDArray[np.float64]
T = TypeVar("T")


@frozen
class _Rows:
    """The rows of a CSV file, and how they are written."""

    text: bytes = field(repr=False)  # without what is above them
    above: int  # lines above them
    separator: str
    header: tuple[str, ...]

    def line(self, row: int) -> int:
        """Return the line on which a row ends; blank lines are no rows."""
        lines = csv.reader(io.StringIO(self.text.decode(), newline=""), delimiter=self.separator)
        try:
            next(islice((one for one in lines if one), row, None), None)
        except csv.Error:  # a field of more than 128 KiB
            return self.above + row + 1
        return self.above + lines.line_num


@frozen(eq=False)
class Table:
    """Columns of a file, and where their rows stand in it."""

    path: Path
    columns: dict[str, Column] = field(repr=False)  # by the names that were asked for
    rows: _Rows | None = field(default=None, repr=False)  # of a CSV file

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())).values)

    def times(self, *names: str) -> list[Floats]:
        """Return columns of points in time as seconds from one origin; NaN where a cell is empty.

        Numbers are seconds from any start, unless the name of the column ends in another unit.
        Timestamps, and numbers that count from 1970, are counted from the first one of all.

        Raises
        ------
        InputError
            For a cell that is no time, with its place, and for columns that cannot be compared.
        """
        comma = columns.decimal_comma([self.columns[name] for name in names])
        found = [self._read(name, lambda one: columns.times(one, comma)) for name in names]
        kinds = {name: one.kind for name, one in zip(names, found, strict=True) if one.kind}
        first = next(iter(kinds), "")
        for name, kind in kinds.items():
            if kind != kinds[first]:
                problem = f"holds {kind}, and {first} holds {kinds[first]}"
                raise self.refusal(problem, name, "the same kind in each column of times")
        return columns.from_one_origin(found)

    def durations(self, name: str) -> Floats:
        """Return a column of durations [s]; NaN where a cell is empty.

        Raises
        ------
        InputError
            For a cell that is no duration, with its place.
        """
        comma = columns.decimal_comma([self.columns[name]])
        return self._read(name, lambda one: columns.durations(one, comma)).seconds()

    def whole_numbers(self, name: str) -> NDArray[np.int64]:
        """Return a column of whole numbers >= 0; it raises as `durations` does."""
        return self._read(name, columns.whole_numbers)

    def days(self, name: str) -> list[date]:
        """Return a column of dates; it raises as `durations` does."""
        return self._read(name, columns.days)

    def names(self, name: str) -> tuple[list[str], NDArray[np.int64]]:
        """Return the different names in a column by their first rows, and the index of each row's.

        Every text is a name, ``NA`` and ``007`` as well.

        Raises
        ------
        InputError
            For a cell that is empty or no name, with its place.
        """
        return self._read(name, columns.names)

    def refusal(self, problem: str, name: str, allowed: str, row: int | None = None) -> InputError:
        """Return the error for a column, or with a row from 0 on for a cell."""
        where = "" if row is None else self.place(row)
        column = self.columns[name].name
        return InputError(where + problem, source=str(self.path), key=column, allowed=allowed)

    def refuse_rows(self, wrong: NDArray[np.bool_], problem: str, name: str, allowed: str) -> None:
        """Raise `InputError` for the first row that is `wrong`, if there is one."""
        found = np.flatnonzero(wrong)
        if len(found):
            raise self.refusal(problem, name, allowed, int(found[0]))

    def place(self, row: int) -> str:
        """Return where a row stands, from 0 on, to begin a problem with."""
        return f"row {row}: " if self.rows is None else f"line {self.rows.line(row)}: "

    def _read(self, name: str, read: Callable[[Column], T]) -> T:
        try:
            return read(self.columns[name])
        except Refused as error:
            raise self.refusal(error.problem, name, error.allowed, error.row) from None


def read_table(path: Named, wanted: Sequence[str]) -> Table:
    """Return columns of a CSV or Parquet file, which are checked as they are asked for.

    Raises
    ------
    InputError
        When the file cannot be read, or a column is missing or stands there twice.
    """
    path = expanded(path)
    allowed = f"a CSV or Parquet file with the columns {', '.join(wanted)}"
    if not is_table(path):
        raise InputError("ends in neither .csv nor .parquet", source=str(path), allowed=allowed)
    try:
        if path.name.lower().endswith(".parquet"):
            return _chosen(path, read_parquet(path), wanted)
        rows = _rows(read_whole(path), wanted)
        return _chosen(path, _parsed(path, rows), wanted, rows)
    except InputError as error:
        raise InputError(
            error.problem, source=str(path), key=error.key, allowed=error.allowed or allowed
        ) from None


def read_parquet(path: Path) -> pa.Table:
    """Return what a Parquet file holds.

    Raises
    ------
    InputError
        When it cannot be opened, is no Parquet file or has too many rows.
    """
    with opened(path) as file:
        try:
            whole = pa.parquet.ParquetFile(file)
            rows = whole.metadata.num_rows
            found = whole.read() if rows <= MOST_ROWS else None
            if found is not None:
                found.validate(full=True)  # damaged texts and categories are found only here
        except (pa.ArrowException, OSError, ValueError):
            raise InputError("is no Parquet file", source=str(path)) from None
    if found is None:
        allowed = f"at most {MOST_ROWS:,}"
        raise InputError(f"has {rows:,} rows", source=str(path), allowed=allowed)
    return found


def _chosen(path: Path, found: pa.Table, wanted: Sequence[str], rows: _Rows | None = None) -> Table:
    header = rows.header if rows else tuple(name.strip() for name in found.column_names)
    chosen = {}
    for name in wanted:
        index, per_second = _index(header, name)
        chosen[name] = Column(header[index], columns.plain(found.column(index)), per_second)
    return Table(path, chosen, rows)


def _index(header: Sequence[str], name: str) -> tuple[int, int]:
    """Return where a column stands, and how many of its units are a second."""
    others = columns.spellings(name)
    spelt = [one for one in header if one == name] or [one for one in header if one in others]
    if not spelt:
        raise InputError("is missing", key=name)
    if len(spelt) > 1:
        raise InputError(f"stands there {len(spelt)} times: {', '.join(spelt)}", key=name)
    return header.index(spelt[0]), others.get(spelt[0], 1)


# --- CSV -----------------------------------------------------------------------------------------


def _rows(text: bytes, wanted: Sequence[str]) -> _Rows:
    """Return the rows below the names of the columns, by the separator that gives most of these."""
    above, position, separators = 0, 0, SEPARATORS
    while position < len(text):
        line = _LINE.match(text, position)
        assert line is not None
        above, position = above + 1, line.end()
        if said := _OF_EXCEL.fullmatch(line[0]):
            separators = said[1].decode("latin-1")
        elif line[0].strip() and not line[0].lstrip().startswith(b"#"):
            headers = [(_names(line[0].decode(), one), one) for one in separators]
            header, separator = max(headers, key=lambda one: _known(one[0], wanted))
            return _Rows(text[position:], above, separator, header)
    raise InputError("is empty")


def _names(line: str, separator: str) -> tuple[str, ...]:
    try:
        found = next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])
    except csv.Error:
        return ()
    return tuple(name.strip() for name in found)


def _known(header: Sequence[str], wanted: Sequence[str]) -> tuple[int, int]:
    known = [name for name in wanted if {name, *columns.spellings(name)} & {*header}]
    return len(known), len(header)


def _parsed(path: Path, rows: _Rows) -> pa.Table:
    """Return the rows as texts."""
    fields = [str(index) for index in range(len(rows.header))]
    ragged = []

    def refuse(row: pa.csv.InvalidRow) -> str:
        ragged.append(row)
        return "error"

    if not rows.text or rows.text.isspace():
        return pa.table({name: pa.array([], pa.string()) for name in fields})
    try:
        return pa.csv.read_csv(
            io.BytesIO(rows.text),
            # With threads pyarrow does not count the rows.
            read_options=pa.csv.ReadOptions(column_names=fields, use_threads=False),
            parse_options=pa.csv.ParseOptions(
                delimiter=rows.separator, newlines_in_values=True, invalid_row_handler=refuse
            ),
            convert_options=pa.csv.ConvertOptions(
                column_types=dict.fromkeys(fields, pa.string()), strings_can_be_null=False
            ),
        )
    except (pa.ArrowException, ValueError):
        if not ragged:
            raise InputError("is no CSV file") from None
        has, wants = ragged[0].actual_columns, ragged[0].expected_columns
        line = rows.line(ragged[0].number - 1)
        problem = f"line {line} has {has} fields, but there are {wants} columns"
        raise InputError(problem) from None
