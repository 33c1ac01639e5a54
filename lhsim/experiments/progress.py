"""How far a set of runs has come, and how long the rest will take: as a bar, or as lines."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from lhsim.execution import Cell, Failure
from lhsim.experiments.levels import work
from lhsim.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lhsim.simulation import Result

Report = Callable[[Cell, "Result | Failure"], None]

SECONDS_BETWEEN_LINES = 10.0


@contextmanager
def progress(title: str, cells: Sequence[Cell], *, shown: bool) -> Iterator[Report]:
    """Yield what to call with each finished run.

    On a terminal a bar shows how far it is, and is gone in the end. Elsewhere, such as in the log
    of a build, a line is printed from time to time.

    Parameters
    ----------
    title
        Stands in front.
    cells
        What will run. Empty when nobody knows how much that is.
    shown
        Show anything at all.
    """
    if not shown:
        yield lambda _cell, _result: None
    elif sys.stderr.isatty():
        with _bar(title, cells) as report:
            yield report
    else:
        yield _lines(title, cells)


@contextmanager
def _bar(title: str, cells: Sequence[Cell]) -> Iterator[Report]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[runs]} runs"),
        TimeRemainingColumn(),
        TextColumn("left"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        total = sum(map(work, cells)) or None
        task = bar.add_task(title, total=total, runs=_count(0, cells))
        runs = count(1)

        def report(cell: Cell, _result: Result | Failure) -> None:
            bar.update(task, advance=work(cell), runs=_count(next(runs), cells))

        yield report


def _lines(title: str, cells: Sequence[Cell]) -> Report:
    runs = count(1)
    next_line = time.monotonic()
    begun = 0.0  # when the first was done: before it something may have been compiled
    left = sum(map(work, cells))
    first = left

    def report(cell: Cell, _result: Result | Failure) -> None:
        nonlocal next_line, begun, left, first
        done, now = next(runs), time.monotonic()
        left -= work(cell)
        if done == 1:
            begun, first = now, left
        if now >= next_line:
            rest = _time_left(now - begun, first - left, left)
            print(f"{title}: {_count(done, cells)} runs{rest}", file=sys.stderr, flush=True)
            next_line = now + SECONDS_BETWEEN_LINES

    return report


def _time_left(elapsed: float, done: int, left: int) -> str:
    """Return how long the rest takes if it goes on like that, where anybody knows."""
    if done <= 0 or left <= 0:
        return ""
    return f", {format_duration(max(1, round(elapsed * left / done)))} left"


def _count(done: int, cells: Sequence[Cell]) -> str:
    return f"{done}/{len(cells)}" if cells else str(done)
