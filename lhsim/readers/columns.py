"""Columns of tables as what they are: times, whole numbers, dates and names.

A column of times holds one kind of cells throughout, of which the first one decides:

=======================  =========================================================================
numbers                  seconds, or the unit that the name of the column ends in
timestamps               of any unit, with a time zone or without one; as text by ISO 8601
durations, times of day  as text ``0 days 00:00:00.000967``, ``09:00:00.5`` or ``967 us``
=======================  =========================================================================

Numbers beyond `LONGEST` are no seconds, but a clock that counts smaller units from 1970: they are
refused, with the unit that they look like. True and false, lists and bytes are neither.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from attrs import frozen
from numpy.typing import NDArray

from lhsim.errors import InputError
from lhsim.readers import cells
from lhsim.readers.cells import Refused
from lhsim.units import SECOND

LONGEST = 1e11  # more are no seconds: 3,000 years since 1970 [s]
EPOCH = 1e8  # as many seconds, and all of them more, count from 1970: three years after it [s]
MISSING = (
    "", "#N/A", "-", "<NA>", "N/A", "NA", "NULL", "NaN", "NaT", "None", "\\N", "n/a", "nan", "null",
)  # fmt: skip
PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
SPELT = {"seconds": "s", "milliseconds": "ms", "microseconds": "us", "nanoseconds": "ns"}
TIMES = (
    "seconds (0.25) without thousands separators, timestamps (2027-01-31T08:00:00.25Z) "
    "or durations (250 ms)"
)
DURATIONS = "seconds (0.25) or durations (250 ms), without thousands separators"
WHOLE = "a whole number >= 0, without separators"
DAYS = "a date such as 2027-01-31"
NAMES = "a name or a whole number"

_EXPONENT = r"([eE][+-]?\d+)?$"
_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)" + _EXPONENT
_WITH_COMMA = r"^[+-]?\d*,\d+" + _EXPONENT
_COMMA_OR_WHOLE = r"^[+-]?(\d+|\d*,\d+)" + _EXPONENT
# A comma before which or after which cannot be a group of three digits.
_SURELY_DECIMAL = r"^[+-]?(0*,\d+|0\d*,\d+|\d*,(\d|\d\d|\d{4,})|\d{4,},\d+)" + _EXPONENT
_STAMP = r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d([.,]\d{1,9})?)?"
_ZONE = r" ?(Z|UTC|GMT|[+-]\d\d(:?\d\d)?)$"
_CLOCK = r"^((\d{1,9}) days?,? )?(\d{1,9}):(\d\d):(\d\d([.,]\d+)?)$"
_WITH_UNIT = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)? ?(ns|us|µs|μs|ms|s|min|h|d)$"
_DAY = r"^\d{4}-\d\d-\d\d([T ]00:00:00(\.0+)?)?$"

Values = NDArray[np.int64] | NDArray[np.float64]


@frozen(eq=False)
class Column:
    """A column of a file."""

    name: str  # in the file
    values: pa.Array  # as `plain` returns them
    per_second: int = 1  # the unit of its numbers


@frozen(eq=False)
class Times:
    """A column of times, all of one kind."""

    kind: str  # for people; none where all cells are empty
    values: Values
    missing: NDArray[np.bool_]
    per_second: int  # the unit of the values

    def seconds(self, origin: int = 0) -> NDArray[np.float64]:
        """Return the times less an origin [s]; NaN where a cell is empty."""
        # Whole numbers lose no digits before the origin is taken away.
        found = (self.values - origin * self.per_second) / self.per_second
        return np.where(self.missing, np.nan, found)

    @property
    def dated(self) -> bool:
        """Whether they are points in time by themselves."""
        return self.kind.startswith("timestamps")


def spellings(name: str) -> dict[str, int]:
    """Return what a column may be called besides its name, with the unit that this says [1/s]."""
    if name in SPELT:
        return {other: PER_SECOND[unit] for other, unit in SPELT.items() if other != name}
    stem, _, unit = name.rpartition("_")
    if unit != "s":
        return {}
    return {f"{stem}_{other}": factor for other, factor in PER_SECOND.items() if other != "s"}


def origin(columns: Sequence[Times]) -> int:
    """Return what columns count from: where they are dated the first time of all, else 0 [s]."""
    least = [np.min(one.seconds(), initial=np.inf, where=~one.missing) for one in columns]
    first = min(least)
    dated = any(one.dated for one in columns) or first > EPOCH
    return int(np.floor(first)) if dated and np.isfinite(first) else 0


def decimal_comma(columns: Sequence[Column]) -> bool | None:
    """Return whether commas are decimal ones, seen over columns together; None where it is unclear.

    ``0,5`` can be nothing else; ``12,345`` alone may be twelve thousand.
    """
    texts = [one.values for one in columns if pa.types.is_string(one.values.type)]
    texts = [text for text in texts if pc.any(pc.match_substring(text, ",")).as_py()]
    if not any(_any_match(text, _WITH_COMMA) for text in texts):
        return False
    return True if any(_any_match(text, _SURELY_DECIMAL) for text in texts) else None


def times(column: Column, comma: bool | None = False) -> Times:
    """Return a column of times; `comma` as `decimal_comma` says.

    Raises
    ------
    Refused
        For a cell that is no time.
    """
    values = column.values
    kind = values.type
    if pa.types.is_string(kind):
        return _of_text(column, comma)
    if pa.types.is_null(kind):
        return Times("", np.zeros(len(values)), np.ones(len(values), bool), 1)
    if pa.types.is_timestamp(kind):
        zone = "with" if kind.tz else "without"
        name = f"timestamps {zone} a time zone"
        return _in_nanoseconds(values, pa.timestamp("ns", kind.tz), name)
    if pa.types.is_duration(kind):
        return _in_nanoseconds(values, pa.duration("ns"), "durations")
    if pa.types.is_time(kind):
        return _in_nanoseconds(values, pa.time64("ns"), "durations")
    return _numbers(values, column.per_second)


def durations(column: Column, comma: bool | None = False) -> Times:
    """Return a column of durations; it raises as `times` does, and for timestamps."""
    try:
        found = times(column, comma)
    except Refused as error:
        raise Refused(error.problem, DURATIONS, error.row) from None
    if found.dated:
        raise Refused(f"holds {found.kind}, no durations", DURATIONS)
    long = np.where(found.missing, 0.0, found.seconds()) > EPOCH
    cells.refuse_rows(column.values, long, "is no duration, but a date since 1970", DURATIONS)
    return found


def whole_numbers(column: Column) -> NDArray[np.int64]:
    """Return a column of whole numbers >= 0.

    Raises
    ------
    Refused
        For a cell that is none; ``8.000`` as text as well, which may be eight thousand.
    """
    values = column.values
    cells.refuse_empty(values, WHOLE)
    if pa.types.is_string(values.type):
        cells.refuse_unlike(values, r"^\d{1,19}(\.0)?$", "is no whole number", WHOLE)
        values = _replaced(values, r"\.0$", "")
    elif not cells.is_number(values.type):
        raise Refused(f"holds {cells.called(values.type)}", WHOLE)
    cast = cells.cast(values, pa.int64(), "is no whole number", WHOLE)
    found: NDArray[np.int64] = cast.to_numpy()
    cells.refuse_rows(values, found < 0, "is negative", WHOLE)
    return found


def days(column: Column) -> list[date]:
    """Return a column of dates.

    Raises
    ------
    Refused
        For a cell that is none, or has a time of day as well.
    """
    values = column.values
    cells.refuse_empty(values, DAYS)
    if pa.types.is_string(values.type):
        cells.refuse_unlike(values, _DAY, "is no date", DAYS)
        values = pc.utf8_slice_codeunits(values, 0, 10)
    elif not (pa.types.is_date(values.type) or cells.is_naive(values.type)):
        raise Refused(f"holds {cells.called(values.type)}, no dates", DAYS)
    found = cells.cast(values, pa.date32(), "is no date", DAYS)
    if cells.is_naive(values.type):
        whole = pc.equal(found.cast(values.type), values).to_numpy(zero_copy_only=False)
        cells.refuse_rows(values, ~whole, "has a time of day", DAYS)
    days: list[date] = found.to_pylist()
    return days


def names(column: Column) -> tuple[list[str], NDArray[np.int64]]:
    """Return the different names of a column by their first rows, and the index of each row's.

    Raises
    ------
    Refused
        For a cell that is empty or no name.
    """
    values = column.values
    kind = values.type
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        values = cells.cast(_without_nan(values), pa.int64(), "is no whole number", NAMES)
    elif not (pa.types.is_string(kind) or pa.types.is_integer(kind) or pa.types.is_null(kind)):
        raise Refused(f"holds {cells.called(kind)}, no names", NAMES)
    cells.refuse_empty(values, NAMES)
    found = pc.dictionary_encode(values)
    return [str(one) for one in found.dictionary.to_pylist()], found.indices.to_numpy().astype(int)


def texts(column: Column) -> tuple[list[str], NDArray[np.int64]]:
    """Return the different texts of a column as `names` does; an empty cell is the text "".

    Raises
    ------
    Refused
        For a column that holds neither texts nor whole numbers.
    """
    values = column.values
    kind = values.type
    if pa.types.is_string(kind) or pa.types.is_null(kind) or pa.types.is_boolean(kind):
        texts = values.cast(pa.string())
    elif cells.is_number(kind):
        whole = cells.cast(_without_nan(values), pa.int64(), "is no whole number", NAMES)
        texts = whole.cast(pa.string())
    else:
        raise Refused(f"holds {cells.called(kind)}, no texts", NAMES)
    found = pc.dictionary_encode(pc.fill_null(texts, ""))
    return [str(one) for one in found.dictionary.to_pylist()], found.indices.to_numpy().astype(int)


# --- text ----------------------------------------------------------------------------------------


def _of_text(column: Column, comma: bool | None) -> Times:
    values = column.values
    values = pc.if_else(pc.is_in(values, pa.array(MISSING)), pa.scalar(None, pa.string()), values)
    first = pc.index_in(pa.scalar(True), pc.is_valid(values)).as_py()  # its row
    if first is None:
        return times(Column(column.name, pa.nulls(len(values))))
    text = values[first].as_py()
    if re.match(_STAMP, text):
        return _stamps(values, zoned=re.search(_ZONE, text[10:]) is not None)
    if re.match(_CLOCK, text):
        return _clocks(values)
    if re.match(_WITH_UNIT, text):
        return _with_units(values)
    if not re.match(_NUMBER, text) and not re.match(_WITH_COMMA, text):
        raise Refused(f"{cells.shown(text)} is no number, and no time either", TIMES, first)
    return _numbers(_decimals(values, comma), column.per_second, values)


def _decimals(values: pa.Array, comma: bool | None) -> pa.Array:
    """Return texts of numbers as numbers."""
    if comma is None:
        rows = pc.fill_null(pc.match_substring(values, ","), False).to_numpy(zero_copy_only=False)
        cells.refuse_rows(values, rows, "may be thousands or a decimal comma", TIMES)
    if comma:
        cells.refuse_unlike(values, _COMMA_OR_WHOLE, "is no number", TIMES)
        values = pc.replace_substring(values, ",", ".")
    return cells.cast(values, pa.float64(), "is no number", TIMES)


def _stamps(values: pa.Array, *, zoned: bool) -> Times:
    kind = f"timestamps {'with' if zoned else 'without'} a time zone"
    problem = f"is not like the first of the {kind}"
    allowed = "2027-01-31T08:00:00.25" + ("Z" if zoned else "")
    cells.refuse_unlike(values, _STAMP + (_ZONE if zoned else "$"), problem, allowed)
    values = _replaced(values, r",(\d)", r".\1")
    values = _replaced(_replaced(values, r" ?(UTC|GMT)$", "Z"), r" ([+-]\S+|Z)$", r"\1")
    stamps = cells.cast(values, pa.timestamp("ns", "UTC" if zoned else None), problem, allowed)
    return _in_nanoseconds(stamps, stamps.type, kind)


def _clocks(values: pa.Array) -> Times:
    problem, allowed = "is no duration", "as in 0 days 00:00:00.000967"
    cells.refuse_unlike(values, _CLOCK, problem, allowed)
    pattern = re.compile(_CLOCK)

    def seconds(text: str) -> float:
        _, days, hours, minutes, rest, _ = pattern.match(text).groups("0")  # type: ignore[union-attr]
        whole = 86400 * int(days) + 3600 * int(hours) + 60 * int(minutes)
        return whole + float(rest.replace(",", "."))

    return _each(values, seconds)


def _with_units(values: pa.Array) -> Times:
    cells.refuse_unlike(values, _WITH_UNIT, "is no duration with a unit", "as in 967 us")
    return _each(values, SECOND.parse)


def _each(values: pa.Array, seconds: Callable[[str], float]) -> Times:
    found = []
    for row, text in enumerate(values.to_pylist()):
        try:
            found.append(None if text is None else seconds(text))
        except InputError as error:
            raise Refused(error.problem, TIMES, row) from None
    return _numbers(pa.array(found, pa.float64()), 1, values, kind="durations")


def _replaced(values: pa.Array, pattern: str, by: str) -> pa.Array:
    return pc.replace_substring_regex(values, pattern, by)


def _any_match(values: pa.Array, pattern: str) -> bool:
    return bool(pc.any(pc.match_substring_regex(values, pattern)).as_py())


# --- numbers -------------------------------------------------------------------------------------


def _numbers(
    values: pa.Array, per_second: int, written: pa.Array | None = None, kind: str = "numbers"
) -> Times:
    """Return numbers of a unit, which may be `written` as something else."""
    written = values if written is None else written
    if not cells.is_number(values.type):
        raise Refused(f"holds {cells.called(values.type)}, neither numbers nor times", TIMES)
    if pa.types.is_integer(values.type):
        found: Values = _filled(cells.cast(values, pa.int64(), "is out of range", TIMES))
    else:
        found = _filled(_without_nan(values))
    missing = cells.missing(_without_nan(values))
    cells.refuse_rows(written, ~np.isfinite(found), "is no number", TIMES)
    size = np.abs(found.astype(float)) / per_second
    cells.refuse_rows(written, size > LONGEST, _too_long(size, per_second), TIMES)
    return Times("" if missing.all() else kind, found, missing, per_second)


def _too_long(size: NDArray[np.float64], per_second: int) -> str:
    """Return what is wrong with numbers that are too large to be seconds."""
    problem = "is more than 3,000 years"
    largest = float(size.max(initial=0.0)) * per_second
    for unit, factor in PER_SECOND.items():
        if EPOCH < largest / factor < LONGEST / 10:
            hint = f"if it counts {unit} from 1970, end the name of the column in _{unit}"
            return f"{problem} ({hint})"
    return problem


def _in_nanoseconds(values: pa.Array, kind: pa.DataType, name: str) -> Times:
    allowed = "times between the years 1678 and 2261"
    counted = cells.cast(values, kind, "is out of range", allowed).cast(pa.int64())
    missing = cells.missing(counted)
    return Times("" if missing.all() else name, _filled(counted), missing, PER_SECOND["ns"])


def _without_nan(values: pa.Array) -> pa.Array:
    """Return numbers as floats, empty where they are NaN; whole ones as they are."""
    if pa.types.is_integer(values.type):
        return values
    found = values.cast(pa.float64())
    return pc.if_else(pc.is_nan(found), pa.scalar(None, pa.float64()), found)


def _filled(values: pa.Array) -> Values:
    found: Values = pc.fill_null(values, 0).to_numpy(zero_copy_only=False)
    return found
