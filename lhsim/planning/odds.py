"""How surely a system keeps its objectives, for every number of agents, from few and short runs.

The objectives are kept up to a *crossing*, which is uncertain: its logarithm is that of the best
estimate plus a t variable plus a shift.

- The t variable has the variance of the runs, and that of the parameters' joint samples, each of
  them as in a run of its own (`lhsim.planning.sample_moves`).
- The shifts are those of the model's misfit: a figure that the model missed by a factor where it
  was calibrated reaches its limit at another level (`lhsim.planning.misfits`).

No probability is beyond `SUREST`: a t distribution knows nothing of what no sample varies.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import attrs
import numpy as np
from attrs import frozen
from scipy.special import stdtr, stdtrit

from lhsim.planning.bounds import saturation
from lhsim.planning.crossings import NoCrossingError, Place, crossings, plain_task, points_of
from lhsim.planning.horizons import Horizon
from lhsim.planning.misfits import shifts
from lhsim.planning.sample_moves import sample_moves
from lhsim.planning.samples import count_of

if TYPE_CHECKING:
    from lhsim.execution import Runner
    from lhsim.planning.levels import OnDone, Question

HORIZON = Horizon(messages=10_000, shortest=20.0)  # of each run
RUNS = 4  # of a level of the system itself
SUREST = 0.99  # the largest probability, and its complement the smallest
NARROWEST = 0.005  # standard deviation of the logarithm of a crossing
LEAST = 2.0  # agents, where the system can be made of so few
FEW = 40.0  # agents from which a crossing is searched where the saturation leads to none


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
            kept = self._keeping(math.exp(level)) >= probability
            low, high = (level, high) if kept else (low, level)
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
        level = asked.nearest(LEAST)
        least = points_of({"": (plain_task(asked, level), level)}, runner, on_done)[""]
        return Found(Odds(math.inf)) if least.good else Found(Odds(0.0), least.objective)
    runs = _variance_of_runs(place)
    moves, parameters = sample_moves(asked, place.value, runner, on_done)
    count = count_of(asked.system)
    variance = max(runs + parameters, NARROWEST**2)
    # Welch (1947), Biometrika 34, 28-35: the freedom of a sum of variances.
    parts = runs**2 / (RUNS - 1) + (parameters**2 / (count - 1) if count > 1 else 0.0)
    freedom = min(variance**2 / parts, 1e6) if parts > 0 else float(RUNS - 1)
    moved = shifts(asked, place.value, runner, on_done)
    odds = Odds(place.value, math.sqrt(variance), freedom, moved)
    return Found(odds, place.binding, moves)


def _crossing(question: Question, runner: Runner, on_done: OnDone | None) -> Place | None:
    """Return where the objectives cease to be kept: searched from the saturation, then from few."""
    start = saturation(question.system)
    starts = [start] if start is not None and math.isfinite(start) else []
    for near in (*starts, FEW):
        try:
            found = crossings({"": plain_task(question, max(near, LEAST))}, runner, on_done)[""]
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
