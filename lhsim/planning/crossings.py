"""Where means over few runs cross a limit: searches for many systems, side by side.

A search asks for one level after the other and is told what the runs of it said. In a round the
levels that all searches ask for next are run together: workers have enough to do, each run can be
kept, and no answer depends on who runs what.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING

import attrs
from attrs import frozen

from lhsim.errors import LhsimError
from lhsim.planning.levels import Question, judge, run_all

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lhsim.planning.levels import OnDone, Runs
    from lhsim.simulation import Result

FARTHEST = 50.0  # ratio of a crossing to the value near which it is looked for, either way
STEP = 1.1  # ratio of levels by which a crossing is bracketed
WIDE = 1.22  # ratio of a bracket's ends beyond which a straight line says nothing
NARROW = 1.02  # the same, from which on no further level is needed
BESIDE = 1.04  # ratio of levels to a value at which the slope of the margin is taken
CLOSE = 0.02  # logarithm of a ratio, up to which a slope that is known leads to a crossing


class NoCrossingError(LhsimError):
    """The objectives are kept, or are not, at all levels within `FARTHEST` times a value."""


@frozen
class Task:
    """A crossing to be searched."""

    question: Question  # with one look: that many runs a level
    near: float
    kept: str = "below"  # or "above": on which side the objectives are kept
    slope: float | None = None  # of the margin over the logarithm of the level, where it is known


def plain_task(question: Question, near: float) -> Task:
    """Return the task of a question, whose runs are the same whatever the system's calibration."""
    system = attrs.evolve(question.system, calibration=None)
    return Task(attrs.evolve(question, system=system), near)


@frozen
class Place:
    """Where the means change sides; it is no whole number in general."""

    value: float
    # Where each run alone does, as the logarithm of its ratio to the value: in the first order,
    # that run's margin at the value over the slope of the means. Empty where that is not known.
    offsets: tuple[float, ...] = ()
    width: float = 0.0  # of the bracket around it, as a logarithm
    binding: str = ""  # the objective that is not kept on the far side


@frozen
class Point:
    """What the runs of a level said about the objective that is worst off there."""

    level: float
    margin: float  # of the mean, as a part of the limit; negative where it is not kept
    margins: tuple[float, ...]  # of the runs
    objective: str = ""  # the one that is worst off

    @property
    def good(self) -> bool:
        """Whether the mean keeps the objective."""
        return self.margin > 0


Search = Generator[float, Point, Place]


def crossings(
    tasks: Mapping[str, Task], runner: Runs, on_done: OnDone | None = None
) -> dict[str, Place]:
    """Return where the means cross, for each task by its name.

    Raises as `run_all` does, and `NoCrossingError` where there is none within `FARTHEST` times a
    task's value.
    """
    searches = {name: _search(task) for name, task in tasks.items()}
    asked = {name: next(search) for name, search in searches.items()}
    found: dict[str, Place] = {}
    while asked:
        points = points_of({name: (tasks[name], level) for name, level in asked.items()}, runner,
                         on_done)  # fmt: skip
        for name, point in points.items():
            try:
                asked[name] = searches[name].send(point)
            except StopIteration as stop:
                found[name] = stop.value
                del asked[name]
            except NoCrossingError as error:
                raise NoCrossingError(f"{name}: {error}") from None
    return {name: found[name] for name in tasks}


def slope_at(task: Task, runner: Runs, on_done: OnDone | None = None) -> float | None:
    """Return the slope of the margin over the logarithm of the level, around a task's value.

    None where no straight line says anything. Raises as `run_all` does.
    """
    low, high = (task.question.nearest(task.near * ratio) for ratio in (1 / BESIDE, BESIDE))
    points = points_of({"low": (task, low), "high": (task, high)}, runner, on_done)
    below, above = points["low"], points["high"]
    if low == high or not _is_straight(below, above):
        return None
    slope = (above.margin - below.margin) / math.log(high / low)
    return slope if (slope < 0) == (task.kept == "below") else None


def points_of(
    asked: Mapping[str, tuple[Task, float]], runner: Runs, on_done: OnDone | None
) -> dict[str, Point]:
    """Run the levels that are asked for, and return what their runs say; raises as `run_all`."""
    cells = {
        name: task.question.cells(level, range(task.question.looks[0]))
        for name, (task, level) in asked.items()
    }
    results = iter(run_all([cell for some in cells.values() for cell in some], runner, on_done))
    return {
        name: _point(task.question, level, [next(results) for _ in cells[name]])
        for name, (task, level) in asked.items()
    }


def _point(question: Question, level: float, results: Sequence[Result]) -> Point:
    judged = judge(question.objectives, level, results, question.confidence)
    margin, worst = min((one.margin, index) for index, one in enumerate(judged.figures))
    objective = question.objectives[worst]
    margins = tuple(objective.margin(objective.figure(result)[0]) for result in results)
    return Point(level, margin, margins, objective.text)


def _search(task: Task) -> Search:
    """Search one crossing.

    A slope that is known leads to the crossing, from a level close to it or by way of one. Without
    it, levels farther and farther from the value bracket the crossing, in the direction in which
    the limit has to lie. The bracket is halved while it is too wide for a straight line, or one of
    its ends has no figure; then a line through the ends gives one more level, and another one the
    crossing.
    """
    question = task.question
    first = yield question.nearest(task.near)
    if task.slope is not None:
        found = yield from _along(question, first, task.slope)
        if found is not None:
            return found
    first, second = yield from _bracket(task, first, up=first.good == (task.kept == "below"))
    while True:
        straight = _is_straight(first, second) and _width(first, second) <= WIDE
        middle = question.nearest(
            _between(first, second) if straight else math.sqrt(first.level * second.level),
        )
        if not min(first.level, second.level) < middle < max(first.level, second.level):
            return _place(first, second)
        point = yield middle
        if point.good == first.good:
            first = point
        else:
            second = point
        if straight or _width(first, second) < NARROW:
            return _place(first, second)


def _bracket(task: Task, first: Point, *, up: bool) -> Generator[float, Point, tuple[Point, Point]]:
    """Return two neighbours of the levels that were looked at, on either side of the limit."""
    factor, near = STEP, first
    while factor <= FARTHEST:
        level = task.question.nearest(task.near * factor if up else task.near / factor)
        point = yield level
        if point.good != near.good:
            return near, point
        near = point
        factor **= 2
    raise NoCrossingError(f"no crossing between {first.level:g} and {near.level:g}")


def _along(question: Question, point: Point, slope: float) -> Generator[float, Point, Place | None]:
    """Follow a slope to the crossing, by one more level; None where it does not lead there."""
    for last in (False, True):
        shift = -point.margin / slope
        if abs(shift) <= CLOSE:
            offsets = ((point.margin - margin) / slope for margin in point.margins)
            return Place(point.level * math.exp(shift), tuple(offsets))
        if last or abs(shift) > math.log(WIDE):
            return None
        point = yield question.nearest(point.level * math.exp(shift))
    return None


def _width(first: Point, second: Point) -> float:
    """Return the ratio of the ends of a bracket."""
    return max(first.level, second.level) / min(first.level, second.level)


def _place(first: Point, second: Point) -> Place:
    value = _between(first, second)
    width = math.log(second.level / first.level)
    binding = second.objective if first.good else first.objective
    if not _is_straight(first, second):
        return Place(value, width=abs(width), binding=binding)
    part = math.log(value / first.level) / width
    slope = (second.margin - first.margin) / width
    at_value = (a + part * (b - a) for a, b in zip(first.margins, second.margins, strict=True))
    return Place(value, tuple(-margin / slope for margin in at_value), abs(width), binding)


def _is_straight(first: Point, second: Point) -> bool:
    return math.isfinite(first.margin + second.margin) and first.margin != second.margin


def _between(first: Point, second: Point) -> float:
    """Return the level at which the margin is 0, by a straight line over the logarithm."""
    part = 0.5
    if _is_straight(first, second):
        part = first.margin / (first.margin - second.margin)
    return first.level * math.exp(part * math.log(second.level / first.level))
