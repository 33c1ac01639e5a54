"""Percentiles of an HdrHistogram, as wrk2 --latency and other tools print them.

https://github.com/HdrHistogram/HdrHistogram: the columns are Value, Percentile (a part of 1),
TotalCount and 1/(1-Percentile); a line ``#[Max = ..., TotalCount = ...]`` follows. The file does
not name the unit of the values; wrk2 prints milliseconds. When each request started is lost.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from lhsim.distributions import Quantiles
from lhsim.errors import InputError
from lhsim.readers.columns import PER_SECOND
from lhsim.readers.durations import Durations

_HEADER = ("Value", "Percentile", "TotalCount")
_NUMBER = r"(\d+(?:\.\d+)?)"
_ROW = re.compile(rf"\s*{_NUMBER}\s+{_NUMBER}\s+(\d+)(?:\s+(?:{_NUMBER}|inf))?\s*")
_TOTAL = re.compile(rf"#\[Max\s*=\s*{_NUMBER},\s*Total\s?[Cc]ount\s*=\s*{_NUMBER}\]")
_WRK2 = "Running"


def read_percentiles(lines: Iterable[str], unit: str | None, source: str) -> Durations:
    """Return the distribution that percentiles describe.

    Parameters
    ----------
    unit
        Of the values: s, ms, us or ns. None: as the tool is known to print them.

    Raises
    ------
    InputError
        When the text has no such table, it is cut off, or its unit is not known.
    """
    rows: list[tuple[float, float, int]] = []
    total, begun, known = 0.0, False, unit
    for number, line in enumerate(lines, 1):
        if line.startswith(_WRK2) and "test @" in line:
            known = unit or "ms"
        if all(word in line for word in _HEADER):
            if begun:
                raise InputError(f"line {number} begins another table", source=source)
            begun = True
        elif match := _TOTAL.fullmatch(line.strip()):
            total = float(match[2])
        elif begun and not total and line.strip() and not line.startswith("#"):
            rows.append(_row(line, number, source))
    if not rows or not total:
        allowed = "all that HdrHistogram prints, from Value to #[Max, TotalCount]"
        raise InputError("has no whole table of percentiles", source=source, allowed=allowed)
    if known is None:
        allowed = f"--unit with one of {', '.join(PER_SECOND)}"
        raise InputError("does not name the unit of its values", source=source, allowed=allowed)
    return Durations(_distribution(rows, PER_SECOND[known], source), total)


def _row(line: str, number: int, source: str) -> tuple[float, float, int]:
    match = _ROW.fullmatch(line)
    if match is None or not 0 <= float(match[2]) <= 1:
        problem = f"line {number}: {line.strip()[:60]!r} is no row of percentiles"
        raise InputError(problem, source=source, allowed="Value, Percentile, TotalCount")
    return float(match[1]), float(match[2]), int(match[3])


def _distribution(rows: list[tuple[float, float, int]], per_second: int, source: str) -> Quantiles:
    levels: list[float] = []
    values: list[float] = []
    for value, level, _ in rows:
        if levels and (level < levels[-1] or value < values[-1] * per_second * (1 - 1e-12)):
            problem = f"the value {value:g} at {level:g} is below the one before"
            raise InputError(problem, source=source, allowed="rising percentiles")
        if not levels or level > levels[-1]:
            levels.append(level)
            values.append(value / per_second)
    if levels[0] > 0:
        levels.insert(0, 0.0)
        values.insert(0, values[0])
    if levels[-1] < 1:
        levels.append(1.0)
        values.append(values[-1])
    return Quantiles(tuple(levels), tuple(values))
