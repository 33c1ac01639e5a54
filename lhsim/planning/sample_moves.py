"""How far the joint samples of the parameters move a crossing, from few runs.

A full search for each sample takes minutes (`lhsim.planning.uncertainty.spread_of`). A crossing
moves nearly as the agents do at which the busiest station saturates, which needs no run
(`lhsim.planning.bounds.saturation`). A few samples are run where this expects their crossing. How
far they are from it follows from their figure and from the system's own figures around its
crossing, under the same seeds, so that what these do to all goes out. A straight line through the
origin then corrects the moves of all samples, and what is off that line adds to their variance.
Where the objectives end in overload or beyond saturation, saturation alone decides.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import attrs
import numpy as np
from scipy.special import stdtrit

from lhsim.planning.bounds import saturation
from lhsim.planning.crossings import plain_task, points_of
from lhsim.planning.samples import in_runs, samples_of
from lhsim.planning.uncertainty import spread_of
from lhsim.simulation import work

if TYPE_CHECKING:
    from lhsim.execution import Runner
    from lhsim.models import System
    from lhsim.planning.levels import OnDone, Question

TINY = 1e-9
CHECKED = 6  # samples that are run
RUNS, FEW = 4, 2  # of each of them, and of the system at each level around its crossing
LONG = 300_000  # model events of a run, from which there are few of them
NEAREST, FARTHEST = 0.03, 0.1  # of the levels around the crossing from it, as logarithms
EXPECTED = 0.4  # share of a move that a correction hardly exceeds: 0.3 at a load of 77 %


def sample_moves(
    question: Question, crossing: float, runner: Runner, on_done: OnDone | None = None
) -> tuple[tuple[float, ...], float]:
    """Return by how much each sample moves the logarithm of a crossing, and the variance of that.

    Each sample is one of a run of its own. There are no moves where no saturation is known, or no
    samples are.
    """
    systems = in_runs(samples_of(question.system))
    if len(systems) < 2:
        known = question.system.calibration
        return (), (known.moves.get("cpu", 0.0) if known is not None else 0.0) ** 2
    base, places = saturation(question.system), [saturation(one) for one in systems]
    if base is None or any(one is None for one in places):
        return (), _searched(question, crossing, runner, on_done)
    by_load = np.array([math.log((one or base) / base) for one in places])
    share, off = 1.0, 0.0
    if crossing < base and float(np.ptp(by_load)) > 0:
        share, off = _line(question, crossing, systems, by_load, runner, on_done)
    moves = share * by_load
    return tuple(moves.tolist()), float(np.var(moves, ddof=1)) + off


def _searched(question: Question, crossing: float, runner: Runner, on_done: OnDone | None) -> float:
    found = spread_of(question, crossing, "below", runner, on_done)
    quantile = float(stdtrit(found.samples - 1, (1 + question.confidence) / 2))
    return (found.half_width / quantile) ** 2


def _line(
    question: Question,
    crossing: float,
    systems: Sequence[System],
    by_load: np.ndarray,
    runner: Runner,
    on_done: OnDone | None,
) -> tuple[float, float]:
    """Return how far crossings move for each move of the saturation, and the variance off that."""
    question = attrs.evolve(question, looks=(_runs(question, crossing),))
    width = min(max(EXPECTED * float(np.abs(by_load).max()), NEAREST), FARTHEST)
    places, heights = [], []
    for step in (width, 0.0, -width):
        level, height = _heights([question.system], [step], question, crossing, runner, on_done)
        if not np.isfinite(height).all():
            return 1.0, 0.0
        places.append(float(level[0]))
        heights.append(float(height[0]))
    curve = np.polynomial.Polynomial.fit(places, heights, 2)
    ranks = np.linspace(0, len(systems) - 1, min(CHECKED, len(systems))).round().astype(int)
    chosen = np.argsort(by_load, kind="stable")[ranks]
    some = [systems[index] for index in chosen]
    levels, found = _heights(some, by_load[chosen], question, crossing, runner, on_done)
    # Where the system itself has the figure of a sample, and so how far the sample is from there.
    grid = np.linspace(-2 * width, 2 * width, 801)
    nearest = np.abs(curve(grid)[:, None] - found).argmin(axis=0)
    known = np.isfinite(found)
    x, y = by_load[chosen][known], (levels - grid[nearest])[known]
    if len(x) < 3:
        return 1.0, 0.0
    share = float(x @ y / (x @ x))
    return share, float(((y - share * x) ** 2).sum()) / (len(x) - 1)


def _runs(question: Question, crossing: float) -> int:
    """Return how many runs of a level there are."""
    cell = question.cells(question.nearest(crossing), range(1))[0]
    events = work.model_events(cell.system, cell.agents, cell.duration)
    return RUNS if events < LONG else FEW


def _heights(
    systems: Sequence[System],
    moves: Sequence[float] | np.ndarray,
    question: Question,
    crossing: float,
    runner: Runner,
    on_done: OnDone | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return levels near a crossing and what is worst off there over its limit, as logarithms."""
    asked = {
        f"{number}": (
            plain_task(attrs.evolve(question, system=system), crossing),
            question.nearest(max(2.0, crossing * math.exp(move))),
        )
        for number, (system, move) in enumerate(zip(systems, moves, strict=True))
    }
    points = points_of(asked, runner, on_done).values()
    levels = np.array([math.log(point.level / crossing) for point in points])
    return levels, np.log(np.maximum([1 - point.margin for point in points], TINY))
