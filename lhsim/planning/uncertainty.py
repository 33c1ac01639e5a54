"""What the calibration's uncertainty adds to an interval.

A model file may hold joint samples of its parameters (`Calibration.samples`), such as those of a
bootstrap. For each sample the crossing is searched anew, with few runs, under the seeds that the
search for the system itself has. The ratios of these crossings to that of the system are taken as
lognormal: their spread is that of a t distribution of their logarithms, less the variance that the
few runs add to it (`noise_of`). Where the calibration knows how far runs of one load are apart
(`Calibration.moves`), each sample is one of such a run: an answer is for a day like any other, and
no number of runs takes that away. The runs' part and the parameters' part are independent, and
their half-widths on either side add up as the root of the sum of squares, on a logarithmic scale.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import attrs
import numpy as np
from attrs import frozen
from scipy.special import stdtrit

from lhsim.planning.bounds import saturation
from lhsim.planning.crossings import Task, crossings
from lhsim.planning.samples import in_runs, samples_of

if TYPE_CHECKING:
    from lhsim.execution import Runner
    from lhsim.models import System
    from lhsim.planning.levels import OnDone, Question

MOST_SEARCHES = 20  # samples for each of which a crossing is searched, the first of the file
RUNS = (2,)  # of a level for one sample


@frozen
class Spread:
    """How far the samples of the parameters move an answer."""

    half_width: float  # of the logarithm of the answer, at the confidence asked for
    samples: int
    noise: float = 0.0  # variance of a sample's logarithm that came from the runs, taken out

    def interval_at(self, value: float) -> tuple[float, float]:
        """Return the interval that the parameters alone leave."""
        factor = math.exp(self.half_width)
        return value / factor, value * factor


def spread(ratios: Sequence[float], confidence: float, noise: float = 0.0) -> Spread:
    """Return the spread of answers that are given as ratios to one of them, at least two.

    `confidence` in (0, 1) is that of the half-width. `noise` is the part of the variance of the
    logarithm of a ratio that is none of the parameters'; it is subtracted.
    """
    variance = max(0.0, float(np.var(np.log(ratios), ddof=1)) - noise)
    quantile = float(stdtrit(len(ratios) - 1, (1 + confidence) / 2))
    return Spread(quantile * math.sqrt(variance), len(ratios), noise)


def noise_of(offsets: Sequence[Sequence[float]]) -> float:
    """Return the variance that the runs add to the spread of crossings, each a mean over its runs.

    Parameters
    ----------
    offsets
        Of each run from its sample's mean, shape (samples, runs); runs of one column have one
        seed. Where some sample has none the answer is 0.

    Notes
    -----
    What a seed does to all samples alike does not spread them. The rest is the interaction of a
    two-way analysis of variance: its mean square over the runs of a sample is the variance that is
    added, without bias, whatever the covariance between the samples under one seed.
    """
    runs = min(map(len, offsets))
    if runs < 2:
        return 0.0
    table = np.array(offsets)
    rest = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0) + table.mean()
    return float((rest**2).sum()) / ((len(table) - 1) * (runs - 1) * runs)


def spread_of(
    question: Question, value: float, kept: str, runner: Runner, on_done: OnDone | None = None
) -> Spread:
    """Return how far the samples of the parameters move the crossing at `value`.

    Raises `LhsimError` when a run failed, or a sample has no crossing anywhere near the value.
    """
    systems = {"the system": question.system}
    for number, system in enumerate(in_runs(samples_of(question.system)[:MOST_SEARCHES]), 1):
        systems[f"sample {number} of the parameters"] = system
    tasks = {
        name: Task(
            attrs.evolve(question, system=attrs.evolve(system, calibration=None), looks=RUNS),
            value,
            kept,
        )
        for name, system in systems.items()
    }
    base, *sampled = crossings(tasks, runner, on_done).values()
    ratios = [place.value / base.value for place in sampled]
    return spread(ratios, question.confidence, noise_of([place.offsets for place in sampled]))


def knee_spread(system: System, confidence: float = 0.95) -> Spread | None:
    """Return how far the samples of the parameters move the knee; None without any.

    A search for each of them would take longer than all levels. The knee moves as the number of
    agents does at which the busiest station saturates, by its mean costs (`bounds.saturation`).
    """
    base, sampled = saturation(system), [saturation(one) for one in in_runs(samples_of(system))]
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
