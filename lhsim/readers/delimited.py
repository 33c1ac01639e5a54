"""CSV files as texts: their separator, the names of their columns, and where a row stands.

The separator is the one by which most of the wanted columns are there; ``sep=;``, as spreadsheets
write it, says it as well. Every row has a field for each column, and every quote is closed (RFC
4180): a row is refused that a sloppy reader would fill up or swallow.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Sequence
from itertools import islice
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.csv
from attrs import field, frozen

from lhsim.errors import InputError

if TYPE_CHECKING:
    from _csv import Reader

SEPARATORS = ",;\t|"
_LINE = re.compile(rb"[^\r\n]*(?:\r\n|\r|\n|$)")
_OF_SPREADSHEETS = re.compile(rb"\s*sep=([,;\t|])\s*", re.IGNORECASE)


@frozen
class Delimited:
    """The rows of a CSV file, and how they are written."""

    rows: bytes = field(repr=False)  # without what stands above them
    above: int  # lines above them
    separator: str
    header: tuple[str, ...]

    def line(self, row: int) -> int:
        """Return the line on which a row ends, from 0 on; blank lines are no rows."""
        lines = self._fields()
        try:
            next(islice((one for one in lines if one), row, None), None)
        except csv.Error:  # a field of more than 128 KiB
            return self.above + row + 1
        return self.above + lines.line_num

    def texts(self, chosen: Sequence[int]) -> list[pa.Array]:
        """Return some of the columns.

        Raises
        ------
        InputError
            When a row has more or fewer fields than there are columns, or a quote is not closed.
        """
        if not self.rows or self.rows.isspace():
            return [pa.array([], pa.string()) for _ in chosen]
        self._check_quotes()
        names = [str(index) for index in range(len(self.header))]
        found = self._parsed(names, sorted({names[index] for index in chosen}))
        return [found.column(names[index]) for index in chosen]

    def _parsed(self, names: list[str], included: list[str]) -> pa.Table:
        ragged: list[pa.csv.InvalidRow] = []

        def refuse(row: pa.csv.InvalidRow) -> str:
            ragged.append(row)
            return "error"

        try:
            return pa.csv.read_csv(
                io.BytesIO(self.rows),
                # With threads pyarrow does not count the rows.
                read_options=pa.csv.ReadOptions(column_names=names, use_threads=False),
                parse_options=pa.csv.ParseOptions(
                    delimiter=self.separator, newlines_in_values=True, invalid_row_handler=refuse
                ),
                convert_options=pa.csv.ConvertOptions(
                    column_types=dict.fromkeys(included, pa.string()),
                    include_columns=included,
                    strings_can_be_null=False,
                ),
            )
        except (pa.ArrowException, ValueError):
            if not ragged:
                raise InputError("is no CSV file") from None
            line, row = self.line(ragged[0].number - 1), ragged[0]
            problem = f"line {line} has {row.actual_columns} fields"
            raise InputError(f"{problem}, but there are {row.expected_columns} columns") from None

    def _check_quotes(self) -> None:
        """Refuse a quote that is not closed: all rows after it would be one field."""
        if self.rows.count(b'"') % 2 == 0:
            return
        lines = self._fields(strict=True)
        last = 0
        try:
            for _ in lines:
                last = lines.line_num
        except csv.Error:
            line = self.above + last + 1
            raise InputError(f"line {line} has a quote that is not closed") from None

    def _fields(self, *, strict: bool = False) -> Reader:
        text = io.StringIO(self.rows.decode(), newline="")
        return csv.reader(text, delimiter=self.separator, strict=strict)


def delimited(text: bytes, known: Callable[[Sequence[str]], int]) -> Delimited:
    """Return the rows of a CSV file in UTF-8.

    Parameters
    ----------
    text
        The file, without a byte order mark.
    known
        How many of some names of columns are wanted ones.

    Raises
    ------
    InputError
        When it has no names of columns.
    """
    above, position, separators = 0, 0, SEPARATORS
    while position < len(text):
        line = _LINE.match(text, position)
        assert line is not None
        above, position = above + 1, line.end()
        if said := _OF_SPREADSHEETS.fullmatch(line[0]):
            separators = said[1].decode()
        elif line[0].strip() and not line[0].lstrip().startswith(b"#"):
            headers = {one: _names(line[0].decode(), one) for one in separators}
            best = max(headers, key=lambda one: (known(headers[one]), len(headers[one])))
            return Delimited(text[position:], above, best, headers[best])
    raise InputError("is empty")


def _names(line: str, separator: str) -> tuple[str, ...]:
    try:
        found = next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])
    except csv.Error:
        return ()
    return tuple(name.strip() for name in found)
