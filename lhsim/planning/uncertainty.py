"""What the calibration's uncertainty adds to an interval.

A model file may hold joint samples of its parameters (`Calibration.samples`), such as those of a
bootstrap. For each sample the crossing is searched anew, with few runs, under the seeds that the
search for the system itself has: what is left is the effect of the parameters. The ratios of these
crossings to that of the system are taken as lognormal: their spread is that of a t distribution of
their logarithms. The runs' part and the parameters' part are independent, and their half-widths
on either side add up as the root of the sum of squares, on a logarithmic scale.
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
from lhsim.planning.levels import Question, evaluate

if TYPE_CHECKING:
    from lhsim.models import System

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


def spread_of(question: Question, value: float, executor: Executor | None = None) -> Spread:
    """Return how far the samples of the parameters move the crossing at `value`.

    Raises
    ------
    LhsimError
        When a run failed, or a sample has no crossing within `FARTHEST` times the value.
    """
    systems = [question.system, *samples_of(question.system)]
    tasks = [
        (attrs.evolve(question, system=system, looks=RUNS), value)
        for system in (attrs.evolve(one, calibration=None) for one in systems)
    ]
    found: dict[int, float] = {}
    for index, outcome in execute(_crossing, tasks, executor=executor, fail_fast=True):
        if isinstance(outcome, Failure):
            raise LhsimError(f"sample {index} of the parameters: {outcome}")
        found[index] = outcome
    ratios = [found[index] / found[0] for index in range(1, len(tasks))]
    return spread(ratios, question.confidence)


def combined(
    value: float, simulation: tuple[float, float], parameters: tuple[float, float]
) -> tuple[float, float]:
    """Return the interval of both parts, each given as an interval around the value."""
    low = math.hypot(*(math.log(value / max(low, 1e-300)) for low, _ in (simulation, parameters)))
    high = math.hypot(*(math.log(high / value) for _, high in (simulation, parameters)))
    return value * math.exp(-low), value * math.exp(high)


def _crossing(task: tuple[Question, float]) -> float:
    return crossing_near(*task)


def crossing_near(question: Question, value: float) -> float:
    """Return where the means change sides, near a value; it is no whole number in general.

    Raises
    ------
    LhsimError
        When they do not within `FARTHEST` times the value, either way, or a run failed.
    """
    low, high = _bracket(question, value)
    good = _margin(question, low) > 0
    while high / low > NARROW and (not question.is_whole or high - low > question.unit):
        middle = _level(question, math.sqrt(low * high))
        if not low < middle < high:
            break
        if (_margin(question, middle) > 0) == good:
            low = middle
        else:
            high = middle
    a, b = _margin(question, low), _margin(question, high)
    part = 0.5 if math.isinf(a) or math.isinf(b) else a / (a - b)
    return low + part * (high - low)


def _bracket(question: Question, value: float) -> tuple[float, float]:
    """Return two levels around the nearest change of sides."""
    start = _level(question, value)
    good = _margin(question, start) > 0
    lower, upper, factor = start, start, STEP
    while factor <= FARTHEST:
        below, above = _level(question, value / factor), _level(question, value * factor)
        if (_margin(question, above) > 0) != good:
            return upper, above
        if below < lower and (_margin(question, below) > 0) != good:
            return below, lower
        lower, upper, factor = min(lower, below), max(upper, above), factor**2
    raise LhsimError(f"no crossing between {lower:g} and {upper:g}")


def _level(question: Question, value: float) -> float:
    if not question.is_whole:
        return value
    return float(max(question.unit, question.unit * round(value / question.unit)))


def _margin(question: Question, level: float) -> float:
    """Return the margin of the objective that is worst off."""
    return min(figure.margin for figure in evaluate(question, level).figures)
