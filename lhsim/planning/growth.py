"""How many agents there will be on each day: steady growth, or somebody's forecast.

>>> from datetime import date
>>> from lhsim.planning.growth import forecast
>>> ahead = forecast(1000, "10%/month", date(2027, 1, 1), 12)
>>> ahead.on(date(2027, 7, 2)), ahead.first_beyond(2000)
(1769, datetime.date(2027, 8, 11))

A growth in per cent is compound, one in agents is linear. The months up to a horizon are taken as
equally long, so that twelve of 1 % are 12.68 % on the same day of the next year. The days between
those of a forecast file are on straight lines.
"""

from __future__ import annotations

import math
import re
from calendar import monthrange
from datetime import date, datetime, timedelta
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from attrs import field, frozen
from numpy.typing import NDArray

from lhsim import checks
from lhsim.errors import InputError, shown
from lhsim.readers import is_table
from lhsim.readers.tables import read_table

if TYPE_CHECKING:
    from lhsim._files import Named

MONTH = 365.25 / 12  # [d]
DAYS = {"day": 1.0, "week": 7.0, "month": MONTH, "year": 365.25}
MOST_MONTHS = 600
MOST = 10**12  # agents; no forecast of more means anything
STEEPEST = -36.0, 700.0  # decline and growth in a month, as logarithms that doubles can undo
ALLOWED = "8%/month, 500/month (or a day, week, year), or a CSV file with columns date and agents"
_RATE = re.compile(r"\s*([-+]?\d+(?:\.\d+)?)\s*(%?)\s*/\s*(day|week|month|year)\s*")


@frozen
class Rate:
    """A steady growth."""

    per_month: float  # a share of the agents, or a number of them
    compound: bool  # whether it is a share

    def after(self, agents: float, months: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the agents after so many months each, of `agents` at first."""
        if self.compound:
            return np.exp(math.log(agents) + months * math.log1p(self.per_month))
        return np.maximum(agents + months * self.per_month, 0.0)

    def reaching(self, agents: float, target: float, months: float) -> Rate:
        """Return the rate of this kind at which `agents` become `target` in so many months."""
        if self.compound:
            return Rate(math.expm1(math.log(target / agents) / months), compound=True)
        return Rate((target - agents) / months, compound=False)

    @property
    def text(self) -> str:
        """The rate as people write it."""
        if self.compound:
            return f"{100 * self.per_month:.3g} %/month"
        return f"{self.per_month:,.3g} agents/month"


@frozen(eq=False)
class Forecast:
    """The agents of each day."""

    start: date
    agents: NDArray[np.int64] = field(repr=False)  # on the start, on the day after, ...
    months: float  # from the first day to the last
    rate: Rate | None = None  # None for a forecast file

    @property
    def end(self) -> date:
        """The last day."""
        return self.start + timedelta(len(self.agents) - 1)

    @property
    def most(self) -> int:
        """The most agents of a day."""
        return int(self.agents.max())

    def on(self, day: date) -> int:
        """Return the agents on one of the days."""
        return int(self.agents[(day - self.start).days])

    def first_beyond(self, agents: float) -> date | None:
        """Return the first day with more than so many agents; None where there is none."""
        beyond = np.flatnonzero(self.agents > agents)
        return self.start + timedelta(int(beyond[0])) if len(beyond) else None

    def servers(self, per_server: int) -> NDArray[np.int64]:
        """Return how many servers each day takes, of which each holds so many agents."""
        return np.maximum(-(-self.agents // per_server), 1)

    def dates(self, count: int) -> tuple[date, ...]:
        """Return so many days from the first to the last, evenly spaced."""
        steps = np.linspace(0, len(self.agents) - 1, count).round()
        return tuple(dict.fromkeys(self.start + timedelta(int(step)) for step in steps))


def forecast(
    agents: int | None, growth: str | PathLike[str] | None, start: date, months: int
) -> Forecast:
    """Return the agents of each day from `start` on, for so many months.

    Parameters
    ----------
    agents
        On the first day; None where a file says it.
    growth
        ``"8%/month"``, ``"500/month"``, or the name of a CSV or Parquet file with the columns
        ``date`` and ``agents``, which may end sooner. None: the agents stay as many.
    start, months
        The first day, and how far ahead.

    Raises
    ------
    InputError
        When the growth is none of these, a file cannot be read or says nothing of these days, or
        `agents` is missing, or is there beside a file.
    """
    days = (_later(start, months) - start).days
    if isinstance(growth, str | PathLike) and is_table(Path(growth)):
        if agents is not None:
            problem = "the forecast file says how many agents there are"
            raise InputError(problem, source="--agents", allowed="one of both")
        return _of_file(growth, start, days)
    rate = _rate(growth)
    if agents is None:
        allowed = "a number, or a forecast file as --growth"
        raise InputError("is missing", source="--agents", allowed=allowed)
    count = checks.whole_number(agents, "agents", 1, MOST)
    with np.errstate(over="ignore"):  # what is infinite is refused below
        found = rate.after(float(count), np.linspace(0, months, days + 1))
    if found.max() > MOST:
        problem = f"{shown(growth)} comes to more than {MOST:,} agents"
        raise InputError(problem, source="--growth", allowed="a slower growth or a nearer horizon")
    return Forecast(start, np.rint(found).astype(np.int64), float(months), rate)


def parse_day(start: object) -> date:
    """Return the day that a date, a text such as ``2027-01-31``, or None for today, means."""
    if start is None:
        return date.today()
    if isinstance(start, str):
        try:
            return date.fromisoformat(start)
        except ValueError:
            pass
    elif isinstance(start, date) and not pd.isna(start):
        return start.date() if isinstance(start, datetime) else start
    allowed = "a date such as 2027-01-31"
    raise InputError(f"{shown(start)} is no date", source="--start", allowed=allowed)


def _later(start: date, months: int) -> date:
    """Return the same day so many months later, or the last one of a shorter month."""
    years, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    if years > date.max.year:
        raise InputError(f"{start} is too late", source="--start", allowed="an earlier date")
    return date(years, month + 1, min(start.day, monthrange(years, month + 1)[1]))


def _rate(growth: object) -> Rate:
    if growth is None:
        return Rate(0.0, compound=True)
    match = _RATE.fullmatch(growth) if isinstance(growth, str) else None
    if match is None:
        raise InputError(f"{shown(growth)} is no growth", source="--growth", allowed=ALLOWED)
    number, percent, unit = float(match[1]), bool(match[2]), DAYS[match[3]]
    if not percent and abs(number) <= MOST:
        return Rate(number * MONTH / unit, compound=False)
    if percent and number <= -100:
        problem = f"{shown(growth)} leaves no agents"
        raise InputError(problem, source="--growth", allowed="more than -100%")
    power = math.log1p(number / 100) * MONTH / unit if percent else math.inf
    if not STEEPEST[0] <= power <= STEEPEST[1]:
        allowed = "a slower one" if number > 0 else "a slower decline"
        raise InputError(f"{shown(growth)} is out of range", source="--growth", allowed=allowed)
    return Rate(math.expm1(power), compound=True)


def agents_by_day(path: Named) -> dict[date, int]:
    """Return how many agents a forecast has on each of its days.

    Parameters
    ----------
    path
        Of a CSV or Parquet file with the columns ``date`` and ``agents``.

    Raises
    ------
    InputError
        When the file cannot be read, or has a day twice.
    """
    table = read_table(path, ("date", "agents"))
    rows: dict[date, int] = {}
    found = zip(table.days("date"), table.whole_numbers("agents"), strict=True)
    for row, (day, agents) in enumerate(found):
        if day in rows:
            raise table.refusal(f"{day} stands there twice", "date", "a row for each day", row)
        if agents > MOST:
            raise table.refusal("is out of range", "agents", f"at most {MOST:,}", row)
        rows[day] = int(agents)
    return rows


def _of_file(path: Named, start: date, most: int) -> Forecast:
    """Return the forecast of a file from `start` on, for at most so many days more."""
    rows = agents_by_day(path)
    if not rows or not min(rows) <= start <= max(rows):
        span = f"from {min(rows)} to {max(rows)}" if rows else "with a row for each day"
        problem = f"says nothing of {start}, the first day"
        raise InputError(problem, source=str(path), key="date", allowed=f"a day {span} as --start")
    known = sorted(rows)
    last = min((known[-1] - start).days, most)
    at = [(day - start).days for day in known]
    counts = np.interp(np.arange(last + 1), at, [rows[day] for day in known])
    return Forecast(start, np.rint(counts).astype(np.int64), last / MONTH)
