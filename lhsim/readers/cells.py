"""Cells of columns in Arrow's types: what people call them, and the refusal of one of them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray


class Refused(Exception):  # noqa: N818 - as the caller says it, before it is an InputError
    """A column is not what it should be; `row` counts from 0 on."""

    def __init__(self, problem: str, allowed: str, row: int | None = None) -> None:
        super().__init__(problem)
        self.problem, self.allowed, self.row = problem, allowed, row


def plain(values: pa.ChunkedArray | pa.Array) -> pa.Array:
    """Return a column without the ways in which a file stores it; texts are stripped."""
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if isinstance(values.type, pa.BaseExtensionType):
        values = values.storage
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if pa.types.is_run_end_encoded(values.type):
        values = pc.run_end_decode(values)
    if pa.types.is_large_string(values.type) or pa.types.is_string_view(values.type):
        values = values.cast(pa.string())
    return pc.utf8_trim_whitespace(values) if pa.types.is_string(values.type) else values


def is_number(kind: pa.DataType) -> bool:
    """Return whether cells are numbers; true and false are none."""
    return bool(
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    )


def is_naive(kind: pa.DataType) -> bool:
    """Return whether cells are timestamps without a time zone."""
    return pa.types.is_timestamp(kind) and kind.tz is None


def called(kind: pa.DataType) -> str:
    """Return what people call the cells of a column."""
    known = (
        (pa.types.is_boolean, "true and false"),
        (pa.types.is_nested, "lists or records"),
        (pa.types.is_binary, "bytes"),
        (pa.types.is_date, "dates without a time of day"),
        (pa.types.is_timestamp, "timestamps"),
        (pa.types.is_null, "empty cells"),
        (is_number, "numbers"),
    )
    return next((name for matches, name in known if matches(kind)), f"values of type {kind}")


def missing(values: pa.Array) -> NDArray[np.bool_]:
    """Return which cells are empty."""
    found: NDArray[np.bool_] = values.is_null().to_numpy(zero_copy_only=False)
    return found


def cast(values: pa.Array, kind: pa.DataType, problem: str, allowed: str) -> pa.Array:
    """Return cells as another type, or raise `Refused` for the first that is none."""
    try:
        return values.cast(kind)
    except pa.ArrowException:
        row = _first_failing(values, kind)
        raise Refused(f"{_cell(values, row)} {problem}", allowed, row) from None


def _first_failing(values: pa.Array, kind: pa.DataType) -> int:
    """Return the first row that cannot be cast, by bisection: pyarrow does not say it."""
    low, high = 0, len(values)  # the first `low` rows can be, the first `high` cannot
    while high - low > 1:
        middle = (low + high) // 2
        try:
            values[low:middle].cast(kind)
            low = middle
        except pa.ArrowException:
            high = middle
    return low


def refuse_empty(values: pa.Array, allowed: str) -> None:
    """Refuse the first cell that is empty, or an empty text."""
    empty = missing(values)
    if pa.types.is_string(values.type):
        empty = empty | pc.fill_null(pc.equal(values, ""), True).to_numpy(zero_copy_only=False)
    refuse_rows(None, empty, "is empty", allowed)


def refuse_unlike(values: pa.Array, pattern: str, problem: str, allowed: str) -> None:
    """Refuse the first text that is there and is not written so."""
    like = pc.fill_null(pc.match_substring_regex(values, pattern), True)
    refuse_rows(values, ~like.to_numpy(zero_copy_only=False), problem, allowed)


def refuse_rows(
    values: pa.Array | None, wrong: NDArray[np.bool_], problem: str, allowed: str
) -> None:
    """Refuse the first row that is `wrong`, with its cell where there are `values`."""
    rows = np.flatnonzero(wrong)
    if len(rows):
        row = int(rows[0])
        cell = "" if values is None else f"{_cell(values, row)} "
        raise Refused(cell + problem, allowed, row)


def _cell(values: pa.Array, row: int) -> str:
    try:
        return shown(values[row].as_py())
    except (OverflowError, ValueError):  # a date that Python does not know
        return shown(values[row].value)


def shown(value: object) -> str:
    """Return a value as a refusal shows it."""
    return repr(str(value)[:40])
