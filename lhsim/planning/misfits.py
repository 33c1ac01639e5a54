"""By how much the error of the model itself may move a crossing.

A calibration keeps by which factor its system missed a figure at the loads that it was calibrated
on (`Calibration.misses`, `Calibration.biases`). A figure that is off by a factor reaches its limit
where the model's own is off the limit by as much: its curve over the level says where.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtri

from lhsim.planning.crossings import plain_task
from lhsim.planning.levels import run_all

if TYPE_CHECKING:
    from lhsim.execution import Runner
    from lhsim.models import System
    from lhsim.planning.levels import OnDone, Question
    from lhsim.planning.objectives import Objective
    from lhsim.simulation import Result

RUNS = 4  # of a level
DRAWS = 200
SEED = 2  # of how the draws for several objectives are paired
QUANTILES = {"latency_p50": 0.5, "latency_p95": 0.95, "latency_p99": 0.99}  # that it may miss
# Levels at which a figure is looked at, as parts of the crossing.
CURVE = (0.02, 0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0, 1.05, 1.1, 1.2, 1.4)


def shifts(
    question: Question, crossing: float, runner: Runner, on_done: OnDone | None = None
) -> tuple[float, ...]:
    """Return by how much the model's error moves the logarithm of a crossing; all are as likely.

    One is -inf where the figure would be beyond its limit at any level.
    """
    errors = {one: misfit(question.system, one) for one in question.objectives}
    errors = {one: error for one, error in errors.items() if error != (0.0, 0.0)}
    if not errors:
        return (0.0,)
    levels = sorted({question.nearest(max(2.0, part * crossing)) for part in CURVE})
    plain = plain_task(question, crossing).question
    cells = [cell for level in levels for cell in plain.cells(level, range(RUNS))]
    results = run_all(cells, runner, on_done)
    grouped = [results[i : i + RUNS] for i in range(0, len(results), RUNS)]
    generator = np.random.Generator(np.random.Philox(SEED))
    even = ndtri((np.arange(DRAWS) + 0.5) / DRAWS)
    found = np.full(DRAWS, math.inf)
    for objective, (mean, deviation) in errors.items():
        figures = [float(np.mean([_figure(objective, one) for one in some])) for some in grouped]
        factors = mean + deviation * generator.permutation(even)
        found = np.minimum(found, _moved(levels, figures, crossing, factors))
    return tuple(found.tolist())


def _figure(objective: Objective, result: Result) -> float:
    """Return what a run says of an objective; infinite where it does not settle."""
    settles = objective.settles(overloaded=result.overloaded)
    return objective.figure(result)[0] if settles else math.inf


def _moved(
    levels: Sequence[float], figures: Sequence[float], crossing: float, factors: np.ndarray
) -> np.ndarray:
    """Return by how much a crossing moves when a figure is off by factors, all as logarithms.

    Heights are over the figure at the crossing, under the same seeds, and do not fall.
    """
    known = [
        (math.log(level / crossing), math.log(figure))
        for level, figure in zip(levels, figures, strict=True)
        if 0 < figure < math.inf
    ]
    places, heights = np.array(known).T
    heights = np.maximum.accumulate(heights)
    heights = heights - np.interp(0.0, places, heights)
    moved = np.interp(-factors, heights, places)
    return np.where(-factors < heights[0], -math.inf, moved)


def misfit(system: System, objective: Objective) -> tuple[float, float]:
    """Return the mean and the standard deviation of the logarithm by which a figure is off.

    That is what was measured over what the model said, at the loads of the calibration: above 0
    where the model was too low. Both are 0 where the calibration says nothing of the figure.
    """
    known = system.calibration
    name = _missed(objective)
    if known is None or name is None:
        return 0.0, 0.0
    miss, bias = known.misses.get(name, 0.0), known.biases.get(name, 0.0)
    return 0.0 - bias, math.sqrt(max(miss**2 - bias**2, 0.0))


def _missed(objective: Objective) -> str | None:
    """Return the name under which a calibration keeps what it missed of a figure."""
    if objective.metric in {"cpu", "utilization"}:
        return "cpu"
    if objective.metric == "mean":
        return "latency_p50"
    level = objective.quantile
    if level is None:
        return None
    return min(QUANTILES, key=lambda name: abs(QUANTILES[name] - level))
