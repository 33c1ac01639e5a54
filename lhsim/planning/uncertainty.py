"""What the calibration's uncertainty adds to an interval.

A model file may hold joint samples of its parameters (`Calibration.samples`), such as those of a
bootstrap. For each sample the crossing is searched anew, with few runs, under the seeds that the
search for the system itself has: what is left is the effect of the parameters. The ratios of these
crossings to that of the system are taken as lognormal: their spread is that of a t distribution of
their logarithms. It holds the noise of the few runs as well, so that it is too wide rather than too
narrow. The runs' part and the parameters' part are independent, and their half-widths on either
side add up as the root of the sum of squares, on a logarithmic scale.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import Executor
from typing import TYPE_CHECKING

import attrs
from attrs import frozen
from scipy.special import stdtrit

from lhsim.errors import LhsimError
from lhsim.execution import Failure, execute
from lhsim.models import paths
from lhsim.planning.bounds import saturation
from lhsim.planning.levels import Question, evaluate

if TYPE_CHECKING:
    from lhsim.models import System

MOST_SEARCHES = 20  # samples for each of which a crossing is searched, the first of the file
RUNS = (2,)  # of a level for one sample
FARTHEST = 50.0  # ratio of a sample's crossing to that of the system, either way
STEP = 1.1  # ratio of levels by which a crossing is bracketed
NARROW = 1.02  # ratio of its bracket's ends


@frozen
class Spread:
    """How far the samples of the parameters move an answer."""

    half_width: float  # of the logarithm of the answer, at the confidence asked for
    samples: int

    def around(self, value: float) -> tuple[float, float]:
        """Return the interval that the parameters alone leave."""
        factor = math.exp(self.half_width)
        return value / factor, value * factor


def samples_of(system: System) -> list[System]:
    """Return the system with each of its calibration's samples; none where it has none."""
    columns = system.calibration.samples if system.calibration else {}
    found = []
    for row in zip(*columns.values(), strict=True):
        sampled = system
        for path, number in zip(columns, row, strict=True):
            sampled = paths.changed(sampled, path, number)
        found.append(sampled)
    return found


def spread(ratios: Sequence[float], confidence: float) -> Spread:
    """Return the spread of answers that are given as ratios to one of them."""
    logs = [math.log(ratio) for ratio in ratios]
    mean = math.fsum(logs) / len(logs)
    variance = math.fsum((log - mean) ** 2 for log in logs) / (len(logs) - 1)
    quantile = float(stdtrit(len(logs) - 1, (1 + confidence) / 2))
    return Spread(quantile * math.sqrt(variance), len(logs))


def spread_of(
    question: Question, value: float, kept: str, executor: Executor | None = None
) -> Spread:
    """Return how far the samples of the parameters move the crossing at `value`.

    Raises
    ------
    LhsimError
        When a run failed, or a sample has no crossing within `FARTHEST` times the value.
    """
    systems = [question.system, *samples_of(question.system)[:MOST_SEARCHES]]
    tasks = [
        (attrs.evolve(question, system=system, looks=RUNS), value, kept)
        for system in (attrs.evolve(one, calibration=None) for one in systems)
    ]
    found: dict[int, float] = {}
    for index, outcome in execute(_crossing, tasks, executor=executor, fail_fast=True):
        if isinstance(outcome, Failure):
            raise LhsimError(f"sample {index} of the parameters: {outcome}")
        found[index] = outcome
    ratios = [found[index] / found[0] for index in range(1, len(tasks))]
    return spread(ratios, question.confidence)


def knee_spread(system: System, confidence: float = 0.95) -> Spread | None:
    """Return how far the samples of the parameters move the knee; None without any.

    A search for each of them would take longer than all levels. The knee moves as the number of
    agents does at which the busiest station saturates, by its mean costs (`bounds.saturation`).
    """
    base, sampled = saturation(system), [saturation(one) for one in samples_of(system)]
    if base is None or not sampled:
        return None
    return spread([one / base for one in sampled if one is not None], confidence)


def combined(
    value: float, simulation: tuple[float, float], parameters: tuple[float, float]
) -> tuple[float, float]:
    """Return the interval of both parts, each given as an interval around the value."""
    low = math.hypot(*(math.log(value / max(low, 1e-300)) for low, _ in (simulation, parameters)))
    high = math.hypot(*(math.log(high / value) for _, high in (simulation, parameters)))
    return value * math.exp(-low), value * math.exp(high)


def _crossing(task: tuple[Question, float, str]) -> float:
    return crossing_near(*task)


def crossing_near(question: Question, value: float, kept: str = "below") -> float:
    """Return where the means change sides, near a value; it is no whole number in general.

    A bracket is found from the value on, in the direction in which the limit has to lie, and
    halved while one of its ends has no figure; a straight line through the ends gives one more
    level, and another one the crossing.

    Raises
    ------
    LhsimError
        When they do not within `FARTHEST` times the value, or a run failed.
    """
    first = (_level(question, value), _margin(question, _level(question, value)))
    second = _beyond(question, value, first, up=(first[1] > 0) == (kept == "below"))
    while True:
        straight = math.isfinite(first[1] + second[1])
        middle = _level(question, _between(first, second))
        if not min(first[0], second[0]) < middle < max(first[0], second[0]):
            return _between(first, second)
        point = (middle, _margin(question, middle))
        if (point[1] > 0) == (first[1] > 0):
            first = point
        else:
            second = point
        if straight or max(first[0], second[0]) / min(first[0], second[0]) < NARROW:
            return _between(first, second)


def _beyond(
    question: Question, value: float, first: tuple[float, float], *, up: bool
) -> tuple[float, float]:
    """Return the nearest level on the other side of the limit, with its margin."""
    factor = STEP
    while factor <= FARTHEST:
        level = _level(question, value * factor if up else value / factor)
        margin = _margin(question, level)
        if (margin > 0) != (first[1] > 0):
            return level, margin
        factor **= 2
    raise LhsimError(f"no crossing between {first[0]:g} and {level:g}")


def _between(first: tuple[float, float], second: tuple[float, float]) -> float:
    """Return the level at which the margin is 0, by a straight line over the logarithm."""
    (a, room), (b, other) = first, second
    part = room / (room - other) if math.isfinite(room + other) and room != other else 0.5
    return a * math.exp(part * math.log(b / a))


def _level(question: Question, value: float) -> float:
    if not question.is_whole:
        return value
    return float(max(question.unit, question.unit * round(value / question.unit)))


def _margin(question: Question, level: float) -> float:
    """Return the margin of the objective that is worst off."""
    return min(figure.margin for figure in evaluate(question, level).figures)
