"""What the calibration's uncertainty adds to an interval.

A model file may hold joint samples of its parameters (`Calibration.samples`), such as those of a
bootstrap. For each sample the crossing is searched anew, with few runs, under the seeds that the
search for the system itself has: from where its busiest station saturates as the system's does at
its own crossing, along the slope that the system's margin has there. The ratios of these crossings
to that of the system are taken as lognormal: their spread is that of a t distribution of their
logarithms, less the variance that the few runs add to it (`noise_of`). Where the calibration knows
how far runs of one load are apart (`Calibration.moves`), each sample is one of such a run: an
answer is for a day like any other, and no number of runs takes that away. The runs' part and the
parameters' part are independent, and their half-widths on either side add up as the root of the sum
of squares, on a logarithmic scale.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import attrs
import numpy as np
from attrs import frozen
from scipy.special import stdtrit

from lhsim.planning.bounds import mean_load, saturation
from lhsim.planning.crossings import Task, crossings, slope_at
from lhsim.planning.levels import AGENTS
from lhsim.planning.samples import in_runs, samples_of

if TYPE_CHECKING:
    from lhsim.models import System
    from lhsim.planning.levels import OnDone, Question, Runs

MOST_SEARCHES = 20  # samples for each of which a crossing is searched, the first of the file
RUNS = (2,)  # of a level for one sample
LEAST_ELASTICITY = 0.01  # of the load of a server over that of its messages
STAND_IN = 2.0  # by which the closed form's half-width is widened where it stands in for runs
# What the parameters' part of an interval comes from.
RUNS_SAID, CLOSED_FORM, NOT_YET, NO_SAMPLES = "runs", "closed form", "not yet", "no samples"


@frozen
class Spread:
    """How far the samples of the parameters move an answer."""

    half_width: float  # of the logarithm of the answer, at the confidence asked for
    samples: int
    noise: float = 0.0  # variance of a sample's logarithm that came from the runs, taken out
    by: str = RUNS_SAID  # what they were taken from

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
    question: Question, value: float, kept: str, runner: Runs, on_done: OnDone | None = None
) -> Spread:
    """Return how far the samples of the parameters move the crossing at `value`.

    Raises `LhsimError` when a run failed, or a sample has no crossing anywhere near the value.
    """
    system = question.system
    samples = in_runs(samples_of(system)[:MOST_SEARCHES])
    tasks = [_task(question, one, near, kept) for one, near in _nears(question, value, samples)]
    slope = slope_at(tasks[0], runner, on_done)
    names = ["the system", *(f"sample {n} of the parameters" for n in range(1, len(tasks)))]
    sloped = [attrs.evolve(task, slope=slope) for task in tasks]
    found = crossings(dict(zip(names, sloped, strict=True)), runner, on_done)
    base, *sampled = found.values()
    ratios = [place.value / base.value for place in sampled]
    return spread(ratios, question.confidence, noise_of([place.offsets for place in sampled]))


def _task(question: Question, system: System, near: float, kept: str) -> Task:
    """Return the search for the crossing of a system, with few runs."""
    plain = attrs.evolve(system, calibration=None)
    return Task(attrs.evolve(question, system=plain, looks=RUNS), near, kept)


def _nears(
    question: Question, value: float, samples: Sequence[System]
) -> list[tuple[System, float]]:
    """Return the system and its samples, each with a value near which its crossing may be.

    As many agents as saturate a sample are to those that saturate the system what the crossings are
    to each other, about.
    """
    system = question.system
    base = saturation(system) if question.vary == AGENTS else None
    found = [(system, value)]
    for one in samples:
        its = None if base is None else saturation(one)
        ratio = its / base if its is not None and base is not None else 1.0
        found.append((one, value * ratio if math.isfinite(ratio) else value))
    return found


def closed_form_spread(question: Question) -> Spread | None:
    """Return what stands in for `spread_of` where its runs are not done, wider than it.

    None where there are no samples, or no closed form.
    """
    if question.vary != AGENTS:
        return None
    found = knee_spread(question.system, question.confidence)
    if found is None or not math.isfinite(found.half_width):
        return None
    return attrs.evolve(found, half_width=STAND_IN * found.half_width, by=CLOSED_FORM)


def knee_spread(system: System, confidence: float = 0.95) -> Spread | None:
    """Return how far the samples of the parameters move the knee; None without any.

    The knee moves as the number of agents does at which the busiest station
    saturates, by its mean costs (`bounds.saturation`).
    """
    base, sampled = saturation(system), [saturation(one) for one in in_runs(samples_of(system))]
    if base is None or not sampled:
        return None
    return spread([one / base for one in sampled if one is not None], confidence)


def load_spread(slower: System, system: System, agents: int, confidence: float) -> Spread | None:
    """Return how far the samples of the parameters move the load that a system carries.

    The same closed form stands in for runs, and is widened as much. Where agents load a server
    that send nothing, as those that poll do, a share of the costs is a greater one of the load that
    is left; `slower` is the system with a lower load, which says by how much. None where there are
    no samples, or no closed form.
    """
    base, below = mean_load(system, agents), mean_load(slower, agents)
    sampled = [mean_load(one, agents) for one in in_runs(samples_of(system))]
    rates = [one.workload.offered_load(agents) for one in (slower, system)]
    if not base or not below or not sampled or None in rates:
        return None
    elasticity = math.log(base / below) / math.log(rates[1] / rates[0])  # type: ignore[operator]
    found = spread([one / base for one in sampled if one], confidence)
    half_width = STAND_IN * found.half_width / max(elasticity, LEAST_ELASTICITY)
    return attrs.evolve(found, half_width=half_width, by=CLOSED_FORM)


def combined(
    value: float, simulation: tuple[float, float], parameters: tuple[float, float]
) -> tuple[float, float]:
    """Return the interval of both parts, each given as an interval around the value."""
    low = math.hypot(*(math.log(value / max(low, 1e-300)) for low, _ in (simulation, parameters)))
    high = math.hypot(*(math.log(high / value) for _, high in (simulation, parameters)))
    return value * math.exp(-low), value * math.exp(high)
