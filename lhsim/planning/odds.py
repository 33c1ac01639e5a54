"""How surely a system keeps its objectives, for every number of agents, from few and short runs.

The objectives are kept up to a *crossing*, which is uncertain: its logarithm is that of the best
estimate plus a t variable plus a shift.

- The t variable has the variance of the runs, and that of the parameters' joint samples, each of
  them as in a run of its own. A full search for each sample would take minutes. A crossing moves
  nearly as the agents do at which the busiest station saturates, which needs no run
  (`lhsim.planning.bounds.saturation`): a few samples are run under the same seeds, a straight line
  through the origin says how nearly, and what is off that line counts as well. Where the objectives
  end in overload, the crossing is the saturation.
- The shifts are those of the model's misfit: a figure that the model missed by a factor where it
  was calibrated (`Calibration.misses`, `Calibration.biases`) reaches its limit at another level.

No probability is beyond `SUREST`: a t distribution knows nothing of what no sample varies.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import attrs
import numpy as np
from attrs import frozen
from scipy.special import ndtri, stdtr, stdtrit

from lhsim.planning.bounds import saturation
from lhsim.planning.crossings import NoCrossingError, Place, Task, crossings, level_of, points_of
from lhsim.planning.horizons import Horizon
from lhsim.planning.levels import run_all
from lhsim.planning.samples import in_runs, samples_of
from lhsim.planning.uncertainty import spread_of

if TYPE_CHECKING:
    from lhsim.execution import Runner
    from lhsim.models import System
    from lhsim.planning.levels import OnDone, Question
    from lhsim.planning.objectives import Objective
    from lhsim.simulation import Result

HORIZON = Horizon(messages=4_000, shortest=10.0)  # of each run
RUNS = 4  # of a level of the system itself
CHECKED = 8  # samples of the parameters that are run
CHECK_RUNS = 2  # of each of them
SUREST = 0.99  # the largest probability, and its complement the smallest
NARROWEST = 0.005  # standard deviation of the logarithm of a crossing
FARTHEST_CHECK = 0.3  # correction of a logarithm that a straight line may make
DRAWS = 200  # of the misfit
MISFIT_SEED = 2
QUANTILES = {"latency_p50": 0.5, "latency_p95": 0.95, "latency_p99": 0.99}  # that it may miss
# Levels at which a figure is looked at, as parts of the crossing, where the misfit needs it.
CURVE = (0.02, 0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 1.05, 1.1, 1.2, 1.4)


@frozen
class Odds:
    """How likely the objectives are kept, by the number of agents."""

    crossing: float  # best estimate [agents]; 0: they are kept by no number; inf: none ends it
    spread: float = NARROWEST  # standard deviation of its logarithm
    freedom: float = 1.0  # degrees of freedom of that
    shifts: tuple[float, ...] = (0.0,)  # of the logarithm, all as likely; -inf: kept by no number

    def keeping(self, agents: float) -> float:
        """Return the probability that so many agents, at least one, keep the objectives."""
        return min(max(self._keeping(agents), 1 - SUREST), SUREST)

    def holding(self, probability: float) -> float:
        """Return the most agents that keep the objectives with a probability in (0, 1).

        0 where no number does.
        """
        if not 0 < self.crossing < math.inf:
            return self.crossing
        middle = math.log(self.crossing)
        if self.shifts == (0.0,):
            return math.exp(middle - self.spread * float(stdtrit(self.freedom, probability)))
        low, high = 0.0, middle + 50 * self.spread + max(self.shifts)
        if self._keeping(1.0) < probability:
            return 0.0
        for _ in range(60):
            level = (low + high) / 2
            low, high = (level, high) if self._keeping(math.exp(level)) >= probability else (
                low, level)  # fmt: skip
        return math.exp(low)

    def _keeping(self, agents: float) -> float:
        if not 0 < self.crossing < math.inf:
            return float(self.crossing > 0)
        distances = math.log(self.crossing / agents) + np.array(self.shifts)
        return float(stdtr(self.freedom, distances / self.spread).mean())


@frozen
class Found:
    """What runs say of a system."""

    odds: Odds
    binding_objective: str | None = None  # None where there is no crossing
    # By which the samples of the parameters move the logarithm of the crossing, in their order.
    moves: tuple[float, ...] = ()


def find_odds(question: Question, runner: Runner, on_done: OnDone | None = None) -> Found:
    """Return how surely a system keeps its objectives; raises as `run_all` does.

    The question's system keeps its calibration; how its levels are run is decided here.
    """
    asked = attrs.evolve(question, horizon=HORIZON, looks=(RUNS,))
    place = _crossing(asked, runner, on_done)
    if place is None:
        least = points_of({"": (_task(asked), 2.0)}, runner, on_done)[""]
        return Found(Odds(math.inf)) if least.good else Found(Odds(0.0), least.objective)
    runs = _variance_of_runs(place)
    moves, parameters = _parameters(asked, place, runner, on_done)
    count = len(samples_of(asked.system))
    variance = max(runs + parameters, NARROWEST**2)
    # Welch (1947), Biometrika 34, 28-35: the freedom of a sum of variances.
    parts = runs**2 / (RUNS - 1) + (parameters**2 / (count - 1) if count > 1 else 0.0)
    freedom = min(variance**2 / parts, 1e6) if parts > 0 else float(RUNS - 1)
    shifts = _shifts(asked, place.value, runner, on_done)
    odds = Odds(place.value, math.sqrt(variance), freedom, shifts)
    return Found(odds, place.binding, moves)


def _task(question: Question, near: float = 1.0) -> Task:
    plain = attrs.evolve(question.system, calibration=None)
    return Task(attrs.evolve(question, system=plain), near)


def _crossing(question: Question, runner: Runner, on_done: OnDone | None) -> Place | None:
    """Return where the objectives cease to be kept: searched from the saturation, then from few."""
    start = saturation(question.system)
    starts = [start] if start is not None and math.isfinite(start) else []
    for near in (*starts, 40.0):
        try:
            found = crossings({"": _task(question, max(near, 2.0))}, runner, on_done)[""]
        except NoCrossingError:
            continue
        return found
    return None


def _variance_of_runs(place: Place) -> float:
    """Return the variance of the logarithm of a crossing that comes from its runs.

    Where a line through its bracket says nothing, it lies anywhere in it.
    """
    if len(place.offsets) < 2:
        return place.width**2 / 12
    return float(np.var(place.offsets, ddof=1)) / len(place.offsets)


def _parameters(
    question: Question, place: Place, runner: Runner, on_done: OnDone | None
) -> tuple[tuple[float, ...], float]:
    """Return how far each sample moves the logarithm of the crossing, and the variance of that."""
    systems = in_runs(samples_of(question.system))
    if len(systems) < 2:
        known = question.system.calibration
        return (), (known.moves.get("cpu", 0.0) if known is not None else 0.0) ** 2
    base, places = saturation(question.system), [saturation(one) for one in systems]
    if base is None or any(one is None for one in places):
        return (), _searched(question, place, runner, on_done)
    by_load = np.array([math.log((one or base) / base) for one in places])
    share, off = 1.0, 0.0
    if place.offsets and float(np.ptp(by_load)) > 0:
        share, off = _line(question, place, systems, by_load, runner, on_done)
    moves = share * by_load
    return tuple(moves.tolist()), float(np.var(moves, ddof=1)) + off


def _searched(
    question: Question, place: Place, runner: Runner, on_done: OnDone | None
) -> float:  # fmt: skip
    """Return the variance that a search for each sample shows, where no saturation is known."""
    found = spread_of(question, place.value, "below", runner, on_done)
    quantile = float(stdtrit(found.samples - 1, (1 + question.confidence) / 2))
    return (found.half_width / quantile) ** 2


def _line(
    question: Question,
    place: Place,
    systems: Sequence[System],
    by_load: np.ndarray,
    runner: Runner,
    on_done: OnDone | None,
) -> tuple[float, float]:
    """Return how far crossings move for each move of the saturation, and the variance off that.

    Each chosen sample has one level, where its crossing is expected. How far it is from there
    follows from its margin and the slope of the system's own; what the seeds do to both goes out.
    """
    ranks = np.linspace(0, len(systems) - 1, min(CHECKED, len(systems))).round().astype(int)
    chosen = np.argsort(by_load, kind="stable")[ranks]
    asked = {}
    for index in chosen.tolist():
        level = level_of(question, max(2.0, place.value * math.exp(by_load[index])))
        one = attrs.evolve(question, system=systems[index], looks=(CHECK_RUNS,))
        asked[f"sample {index + 1}"] = (_task(one), level)
    found = points_of(asked, runner, on_done).values()
    seeds = float(np.mean(place.offsets[:CHECK_RUNS]))
    pairs = [
        (by_load[index], math.log(point.level / place.value) + _correction(point.margin, place)
         - seeds)
        for index, point in zip(chosen.tolist(), found, strict=True)
        if math.isfinite(point.margin)
    ]  # fmt: skip
    if len(pairs) < 3:
        return 1.0, 0.0
    x, y = np.array(pairs).T
    share = float(x @ y / (x @ x))
    return share, float(((y - share * x) ** 2).sum()) / (len(pairs) - 1)


def _correction(margin: float, place: Place) -> float:
    """Return how far a crossing is from a level with this margin, as a logarithm."""
    return min(max(-margin / place.slope, -FARTHEST_CHECK), FARTHEST_CHECK)


def _shifts(
    question: Question, crossing: float, runner: Runner, on_done: OnDone | None
) -> tuple[float, ...]:
    """Return by how much the misfit of the model may move the logarithm of a crossing."""
    errors = {one: misfit(question.system, one) for one in question.objectives}
    errors = {one: error for one, error in errors.items() if error != (0.0, 0.0)}
    if not errors:
        return (0.0,)
    levels = sorted({level_of(question, max(2.0, part * crossing)) for part in CURVE})
    plain = _task(attrs.evolve(question, looks=(CHECK_RUNS,))).question
    cells = [cell for level in levels for cell in plain.cells(level, range(CHECK_RUNS))]
    results = run_all(cells, runner, on_done)
    grouped = [results[i : i + CHECK_RUNS] for i in range(0, len(results), CHECK_RUNS)]
    generator = np.random.Generator(np.random.Philox(MISFIT_SEED))
    even = ndtri((np.arange(DRAWS) + 0.5) / DRAWS)
    found = np.full(DRAWS, math.inf)
    for objective, (mean, deviation) in errors.items():
        figures = [float(np.mean([_figure(objective, one) for one in some])) for some in grouped]
        factors = mean + deviation * generator.permutation(even)
        found = np.minimum(found, _moved(levels, figures, objective.limit, crossing, factors))
    return tuple(found.tolist())


def _figure(objective: Objective, result: Result) -> float:
    """Return what a run says of an objective; infinite where it does not settle."""
    settles = objective.settles(overloaded=result.overloaded)
    return objective.figure(result)[0] if settles else math.inf


def _moved(
    levels: Sequence[float],
    figures: Sequence[float],
    limit: float,
    crossing: float,
    factors: np.ndarray,
) -> np.ndarray:
    """Return by how much a crossing moves when a figure is off by factors, all as logarithms."""
    known = [(math.log(level / crossing), math.log(figure / limit)) for level, figure in
             zip(levels, figures, strict=True) if 0 < figure < math.inf]  # fmt: skip
    below = [(x, min(y, 0.0)) for x, y in known if x < 0]
    above = [(x, max(y, 0.0)) for x, y in known if x > 0]
    places, heights = np.array([*below, (0.0, 0.0), *above]).T
    heights = np.maximum.accumulate(heights)
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
