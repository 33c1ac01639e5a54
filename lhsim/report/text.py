"""Numbers and tables as text, at a fixed width: the same on a terminal, in a pipe and in a file."""

from __future__ import annotations

import math
from collections.abc import Sequence

from attrs import frozen

from lhsim.analysis.measures import base_unit, live_unit
from lhsim.units import format_duration

UNKNOWN = "-"
NO_LOSS = 0.999  # share of the messages that are delivered, from which on none are lost
DAY = 86_400  # [s]
KNEE, CAPACITY = "knee", "capacity"  # metrics that count agents


@frozen
class Column:
    """A column of a table."""

    title: str
    left: bool = False  # flush left, for texts


def table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> str:
    """Return a table; a column is as wide as its longest text, and empty ones are left out."""
    shown = [i for i, column in enumerate(columns) if any(row[i] for row in rows)]
    lines = [[column.title for column in columns], *rows]
    widths = {i: max(len(line[i]) for line in lines) for i in shown}
    return "\n".join(
        "  ".join(_padded(line[i], widths[i], left=columns[i].left) for i in shown).rstrip()
        for line in lines
    )


def latency(milliseconds: float | None, *, at_least: bool = False, doubtful: bool = False) -> str:
    """Return a latency with three digits: ``"512 ms"``, ``">3.40 s"``, ``"512 ms?"``."""
    if milliseconds is None or math.isnan(milliseconds):
        return UNKNOWN
    return (">" if at_least else "") + duration(milliseconds / 1e3) + ("?" if doubtful else "")


def duration(seconds: float) -> str:
    """Return a duration with three digits, in us, ms or s; none at all is "0 s"."""
    if not seconds:
        return "0 s"
    for symbol, factor in (("us", 1e6), ("ms", 1e3)):
        if float(f"{seconds * factor:.3g}") < 1000:
            return f"{three_digits(seconds * factor)} {symbol}"
    return f"{three_digits(seconds)} s"


def quantity(value: float, unit: str) -> str:
    """Return a number in a base unit as people read it.

    >>> quantity(0.0156, "s"), quantity(2.5e6, "B"), quantity(40, "1/s"), quantity(12.5, "")
    ('15.6 ms', '2.50 MB', '40.0/s', '12.5')
    """
    if unit == "s":
        return duration(value)
    if unit == "B":
        return _size(value)
    if unit == "1/s":
        return f"{three_digits(value) if value else 0}/s"
    if unit == "cores":  # in per cent of one, as tools that watch processes have it
        return f"{three_digits(100 * value)} %"
    return f"{value:,.0f}" if value == int(value) else three_digits(value)


def metric_text(metric: str, value: float) -> str:
    """Return the figure of a metric, in its base unit, with its unit.

    >>> metric_text("p99", 0.31), metric_text("delivery", 0.5), metric_text("knee", 3590.0)
    ('310 ms', '50.0 %', '3,590 agents')
    """
    if metric in {KNEE, CAPACITY}:
        return f"{three_digits(value)} agents"
    unit = base_unit(metric)[1]
    return f"{value * 100:.1f} %" if unit == "1" else quantity(value, unit)


def losses(delivered: float | None, objectives: Sequence[str]) -> str:
    """Return that messages are lost, if some are and no objective counts them; else nothing."""
    if delivered is None or delivered >= NO_LOSS or any("delivery" in one for one in objectives):
        return ""
    return (
        f"only {100 * delivered:.3g} % of the messages are delivered, which no objective counts: "
        "add one such as delivery>99%"
    )


def between(low: str, high: str) -> str:
    """Return an interval of two quantities, with their unit once where it is the same.

    >>> between("165 ms", "180 ms"), between("980 ms", "1.10 s"), between("-3", "4")
    ('165-180 ms', '980 ms-1.10 s', '-3 to 4')
    """
    number, _, unit = low.partition(" ")
    same = unit and high.partition(" ")[2] == unit
    if low in {"0 s", "0 B"} and not same:
        number, same = "0", True
    dash = " to " if "-" in (low[:1], high[:1]) else "-"
    return f"{number if same else low}{dash}{high}"


def live_figure(metric: str, value: float | None) -> str:
    """Return a figure of a live run, or of one that is held against it, with its unit."""
    if value is None:
        return UNKNOWN
    unit = live_unit(metric)
    return three_digits(value) if unit == "1" else quantity(value, unit)


def axis_text(value: object, unit: str = "") -> str:
    """Return the value of an axis with its unit."""
    if value is None:
        return UNKNOWN
    if isinstance(value, bool):
        return str(value).lower()
    if unit == "s" and isinstance(value, int | float):
        return format_duration(value)
    if unit and isinstance(value, int | float):
        return quantity(value, unit)
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _size(number: float) -> str:
    if not number:
        return "0 B"
    for symbol, factor in (("B", 1.0), ("kB", 1e3), ("MB", 1e6)):
        if abs(float(f"{number / factor:.3g}")) < 1000:
            return f"{three_digits(number / factor)} {symbol}"
    return f"{three_digits(number / 1e9)} GB"


def three_digits(number: float) -> str:
    """Return a number with three significant digits, or all before the point where these are more.

    >>> three_digits(0.998), three_digits(99.64), three_digits(12345.6)
    ('0.998', '99.6', '12,346')
    """
    if abs(float(f"{number:.3g}")) >= 1000:
        return f"{number:,.0f}"
    return f"{number:#.3g}".rstrip(".")


def clock(seconds: float) -> str:
    """Return a time from the beginning of a load as on a clock, with its day after the first.

    >>> clock(4500), clock(86400), clock(90000)
    ('01:15', '24:00', '1d 01:00')
    """
    days, rest = divmod(round(seconds), DAY)
    if days and (rest or days > 1):
        return f"{days}d {_clock(rest)}"
    return "24:00" if days else _clock(rest)


def _clock(seconds: int) -> str:
    minutes, left = divmod(seconds, 60)
    return f"{minutes // 60:02}:{minutes % 60:02}" + (f":{left:02}" if left else "")


def percent(share: float) -> str:
    """Return a share, 0 to 1, as a percentage; rounded to 100 % only when it is that."""
    if 0.995 <= share < 1:
        return ">99 %"
    return f"{share * 100:.0f} %"


def _padded(text: str, width: int, *, left: bool) -> str:
    return text.ljust(width) if left else text.rjust(width)
