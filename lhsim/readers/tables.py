"""Tables that users give, as CSV or Parquet: each column read as what it is, or refused in a line.

A CSV file may be compressed, in UTF-8, UTF-16 or Latin-1, separated by commas, semicolons, tabs or
bars; decimal commas are read where nothing else can be meant. Comment lines that begin with ``#``
may stand above the names of the columns. Each row has a field for each column, and no name stands
twice. A column of times may have another unit in its name: ``delivered_ms`` for ``delivered_s``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet
from attrs import field, frozen
from numpy.typing import NDArray

from lhsim._files import Named, expanded, opened
from lhsim._machine import size
from lhsim.errors import InputError
from lhsim.readers import columns, is_table
from lhsim.readers.cells import Refused, plain
from lhsim.readers.columns import Column
from lhsim.readers.delimited import Delimited, delimited
from lhsim.readers.text import read_whole

MOST_ROWS = 100_000_000  # of a Parquet file, of which the size does not tell
MOST_TEXT = 1e9  # of a column of it [B]
Floats = NDArray[np.float64]
T = TypeVar("T")


@frozen(eq=False)
class Table:
    """Columns of a file, and where their rows stand in it."""

    path: Path
    columns: dict[str, Column] = field(repr=False)  # by the names that were asked for
    rows: Delimited | None = field(default=None, repr=False)  # of a CSV file

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
        return self.points(*names)[0]

    def points(self, *names: str) -> tuple[list[Floats], int]:
        """Return what `times` does, and the origin by the clock of the file [s]."""
        comma = columns.decimal_comma([self.columns[name] for name in names])
        found = [self._read(name, lambda one: columns.times(one, comma)) for name in names]
        kinds = {name: one.kind for name, one in zip(names, found, strict=True) if one.kind}
        first = next(iter(kinds), "")
        for name, kind in kinds.items():
            if kind != kinds[first]:
                problem = f"holds {kind}, and {first} holds {kinds[first]}"
                raise self.refusal(problem, name, "the same kind in each column of times")
        origin = columns.origin(found)
        return [one.seconds(origin) for one in found], origin

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

    def texts(self, name: str) -> tuple[list[str], NDArray[np.int64]]:
        """Return the different texts in a column as `names` does; empty cells are "" ."""
        return self._read(name, columns.texts)

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


def read_table(path: Named, wanted: Sequence[str], optional: Sequence[str] = ()) -> Table:
    """Return columns of a CSV or Parquet file, which are checked as they are asked for.

    Those that are `optional` may be missing.

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
        read = _of_parquet if _is_parquet(path) else _of_csv
        return read(path, wanted, optional)
    except InputError as error:
        raise InputError(
            error.problem, source=str(path), key=error.key, allowed=error.allowed or allowed
        ) from None


def read_csv(path: Named, wanted: Sequence[str], optional: Sequence[str] = ()) -> Table:
    """Return columns of a CSV file, whatever it is called; it raises as `read_table` does."""
    path = expanded(path)
    try:
        return _of_csv(path, wanted, optional)
    except InputError as error:
        allowed = error.allowed or f"a file with the columns {', '.join(wanted)}"
        raise InputError(error.problem, source=str(path), key=error.key, allowed=allowed) from None


def read_parquet(path: Path, chosen: Callable[[list[str]], list[str]] = list) -> pa.Table:
    """Return what a Parquet file holds, or the columns that are `chosen` of their names.

    Raises
    ------
    InputError
        When it cannot be opened, is no Parquet file or has too many rows.
    """
    with opened(path) as file:
        try:
            whole = pa.parquet.ParquetFile(file)
            if whole.metadata.num_rows > MOST_ROWS:
                problem = f"has {whole.metadata.num_rows:,} rows"
                raise InputError(problem, source=str(path), allowed=f"at most {MOST_ROWS:,}")
            names = chosen(whole.schema_arrow.names)
            # A text that repeats takes its place in the file once: kept so until its size is known.
            texts = [one.name for one in whole.schema_arrow if _is_text(one.type)]
            kept = pa.parquet.ParquetFile(file, read_dictionary=texts).read(names)
            kept.validate(full=True)  # damaged texts and categories are found only here
            _refuse_long_texts(kept, str(path))
            found = kept.cast(_as_described(kept.schema, whole.schema_arrow))
            # What pandas notes of types and of an index may be damaged, or contradict the columns.
            found = found.replace_schema_metadata()
        except InputError:
            raise
        except MemoryError:
            problem = "holds more than fits into the memory"
            raise InputError(problem, source=str(path)) from None
        except (pa.ArrowException, OSError, ValueError):
            raise InputError("is no Parquet file", source=str(path)) from None
    return found


def _as_described(read: pa.Schema, described: pa.Schema) -> pa.Schema:
    """Return what was read as the file describes it: a text as a text."""
    fields = {one.name: one for one in described if _is_text(one.type)}
    return pa.schema([fields.get(one.name, one) for one in read], read.metadata)


def _refuse_long_texts(table: pa.Table, source: str) -> None:
    """Refuse texts that would fill the memory, one each row."""
    for name, column in zip(table.column_names, table.columns, strict=True):
        if not pa.types.is_dictionary(column.type) or not _is_text(column.type.value_type):
            continue
        lengths = (pc.binary_length(one.dictionary).take(one.indices) for one in column.chunks)
        total = sum(pc.sum(one.cast(pa.int64())).as_py() or 0 for one in lengths)
        if total > MOST_TEXT:
            problem = f"holds {size(total)} of text"
            raise InputError(problem, source=source, key=name, allowed=f"at most {size(MOST_TEXT)}")


def _is_text(kind: pa.DataType) -> bool:
    kinds = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary)
    return any(matches(kind) for matches in (*kinds, pa.types.is_large_binary))


def _is_parquet(path: Path) -> bool:
    return path.name.lower().endswith(".parquet")


def _of_parquet(path: Path, wanted: Sequence[str], optional: Sequence[str]) -> Table:
    known = (*wanted, *optional)
    found = read_parquet(path, lambda names: [name for name in names if _known([name], known)])
    header = [name.strip() for name in found.column_names]
    wanted = _there(header, wanted, optional)
    return _table(path, wanted, header, lambda chosen: [found.column(index) for index in chosen])


def _of_csv(path: Path, wanted: Sequence[str], optional: Sequence[str]) -> Table:
    rows = delimited(read_whole(path), lambda header: _known(header, wanted))
    wanted = _there(rows.header, wanted, optional)
    return _table(path, wanted, rows.header, rows.texts, rows)


def _there(header: Sequence[str], wanted: Sequence[str], optional: Sequence[str]) -> list[str]:
    """Return the columns to read: those that are wanted, and the optional ones that are there."""
    return [*wanted, *(name for name in optional if _known(header, [name]))]


def _table(
    path: Path,
    wanted: Sequence[str],
    header: Sequence[str],
    values: Callable[[Sequence[int]], Sequence[pa.Array]],
    rows: Delimited | None = None,
) -> Table:
    """Return the wanted columns of a file, of which `values` returns those by their indices."""
    found = [_index(header, name) for name in wanted]
    chosen = {
        name: Column(header[index], plain(one), per_second)
        for name, (index, per_second), one in zip(
            wanted, found, values([index for index, _ in found]), strict=True
        )
    }
    return Table(path, chosen, rows)


def _known(header: Sequence[str], wanted: Sequence[str]) -> int:
    """Return how many wanted columns are there."""
    header = [name.strip() for name in header]
    return sum(not {name, *columns.spellings(name)}.isdisjoint(header) for name in wanted)


def _index(header: Sequence[str], name: str) -> tuple[int, int]:
    """Return where a column stands, and how many of its units are a second."""
    others = columns.spellings(name)
    spelt = [one for one in header if one == name] or [one for one in header if one in others]
    if not spelt:
        raise InputError("is missing", key=name)
    if len(spelt) > 1:
        raise InputError(f"stands there {len(spelt)} times: {', '.join(spelt)}", key=name)
    return header.index(spelt[0]), others.get(spelt[0], 1)
