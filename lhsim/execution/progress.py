"""How far a set of runs has come, and how long the rest will take: as a bar, or as lines."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from lhsim import simulation
from lhsim.execution.cells import Cell, Failure
from lhsim.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lhsim.simulation import Result

Report = Callable[[Cell, "Result | Failure"], None]

SECONDS_BETWEEN_LINES = 10.0
PATIENCE = 5.0  # before a function of Python says how far it is [s]


def work(cell: Cell) -> int:
    """Return roughly how much work a run is at most, in model events."""
    return simulation.work.work(cell.system, cell.agents, cell.duration)


@contextmanager
def progress(
    title: str, cells: Sequence[Cell], *, shown: bool, after: float = 0.0
) -> Iterator[Report]:
    """Yield what to call with each finished run of `cells`, which are empty when nobody knows them.

    On a terminal a bar with a title shows how far it is, and is gone in the end. Elsewhere, such as
    in a notebook or the log of a build, a line is printed from time to time, the first one `after`
    so many seconds. Without `shown` there is neither.
    """
    if not shown:
        yield lambda _cell, _result: None
    elif sys.stderr.isatty():
        with _bar(title, cells) as report:
            yield report
    else:
        runs, left, say = count(1), sum(map(work, cells)), lines(title, after)

        def report(cell: Cell, _result: Result | Failure) -> None:
            nonlocal left
            left -= work(cell)
            say(f"{_count(next(runs), cells)} runs", left)

        yield report


@contextmanager
def _bar(title: str, cells: Sequence[Cell]) -> Iterator[Report]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[runs]} runs"),
        TimeRemainingColumn(),
        TextColumn("left"),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        total = sum(map(work, cells)) or None
        task = bar.add_task(title, total=total, runs=_count(0, cells))
        runs = count(1)

        def report(cell: Cell, _result: Result | Failure) -> None:
            bar.update(task, advance=work(cell), runs=_count(next(runs), cells))

        yield report


class Progress:
    """How far a search is, whose runs nobody knows beforehand: their number, and what is known."""

    def __init__(self, title: str, show: Callable[[str], None]) -> None:
        self._title = title
        self._show = show
        self._runs = 0
        self._known = ""

    def ran(self, _cell: Cell, _result: Result | Failure) -> None:
        """Count a finished run."""
        self._runs += 1
        self._say()

    def known(self, text: str) -> None:
        """Show what is known by now."""
        self._known = text
        self._say()

    def _say(self) -> None:
        known = f"{self._known}; " if self._known else ""
        self._show(f"{known}{self._runs} run{'s' if self._runs != 1 else ''}")


@contextmanager
def search_progress(title: str, *, shown: bool, after: float = 0.0) -> Iterator[Progress]:
    """Yield what to tell of a search; it shows that as `progress` does."""
    if not shown:
        yield Progress(title, lambda _text: None)
    elif sys.stderr.isatty():
        columns = (TextColumn("{task.description}"), BarColumn())
        with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(title, total=None)
            yield Progress(title, lambda text: bar.update(task, description=f"{title}: {text}"))
    else:
        say = lines(title, after)
        yield Progress(title, lambda text: say(text, 0.0))


@contextmanager
def told(title: str, on_done: Report | None, *, shown: bool) -> Iterator[Report | None]:
    """Yield what to tell of a search that was asked for in Python: `on_done`, or its progress."""
    if on_done is not None or not shown:
        yield on_done
    else:
        with search_progress(title, shown=True, after=PATIENCE) as found:
            yield found.ran


def _count(done: int, cells: Sequence[Cell]) -> str:
    return f"{done}/{len(cells)}" if cells else str(done)


def steps(title: str, what: str, *, shown: bool) -> Callable[[float, float], None]:
    """Return what to call with the steps that are done, and how many there may be."""
    say = lines(title)

    def report(done: float, most: float) -> None:
        if shown:
            say(f"{done:.0f} of at most {most:.0f} {what}", most - done)

    return report


def lines(title: str, after: float = 0.0) -> Callable[[str, float], None]:
    """Return what prints how far something is, from time to time, and how long the rest takes.

    It is called with the one in words, and with how much is left, in any unit. The first line
    comes `after` so many seconds.
    """
    begun, first = 0.0, math.nan
    next_line = time.monotonic() + after

    def say(text: str, left: float) -> None:
        nonlocal begun, first, next_line
        now = time.monotonic()
        if math.isnan(first):  # before it something may have been compiled
            begun, first = now, left
        if now >= next_line:
            done, rest = first - left, ""
            if done > 0 and left > 0:
                rest = f", {format_duration(max(1, round((now - begun) * left / done)))} left"
            print(f"{title}: {text}{rest}", file=sys.stderr, flush=True)
            next_line = now + SECONDS_BETWEEN_LINES

    return say
