"""A run reduced to what is compared, live or simulated; and the simulated runs of a level."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from itertools import cycle, islice

import numpy as np
from attrs import evolve, field, frozen
from numpy.typing import NDArray

from lhsim.calibration.levels import log_paces
from lhsim.crosscheck.metrics import QUANTILES, RATES, TIMES
from lhsim.models import Calibration, System
from lhsim.planning.samples import in_runs, samples_of
from lhsim.recording import Manifest, Recording
from lhsim.replay import replay

Floats = NDArray[np.float64]
MOST_TIMES = 2000  # of a run that are kept, evenly spaced by rank
DIGITS = 9  # of times [s]: what differs by less than a nanosecond is equal
BATCHES = 10  # of a window, where one run alone has to tell its spread


@frozen(eq=False)
class Figures:
    """What is compared of one run."""

    measures: dict[str, float]  # as in `Recording.measures`
    offered: float  # messages that were to be sent in the window [1/s]; 1 in a closed loop
    times: dict[str, Floats] = field(repr=False)  # sorted [s], by `TIMES`
    slower: float = 0.0  # the processor, than in the mean of the level's live runs, as a logarithm

    def logarithm(self, metric: str) -> float:
        """Return the logarithm of a figure; NaN where it was not measured or is 0."""
        value = self.measures[metric]
        return math.log(value) if value > 0 else math.nan


@frozen(eq=False)
class Simulated:
    """The simulated runs of a level."""

    nominal: tuple[Figures, ...]  # by the system as it is, each under a seed of its own
    sampled: tuple[Figures, ...]  # by samples of its parameters, the k-th under the k-th seed


def figures(run: Recording, slower: float = 0.0) -> Figures:
    """Return what is compared of a run, on a processor that was so much slower (a logarithm)."""
    cohort = run.cohort
    found = run.measures()
    times = {name: _thinned(run.times(name)) for name in TIMES}
    kept = {name: found[name] for name in (*RATES, *QUANTILES)}
    # What clients send follows from the answers: it is no input, whose chance could be taken out.
    offered = 1.0 if run.manifest.closed else len(cohort) / run.manifest.duration
    return Figures(kept, offered if len(cohort) else 0.0, times, slower)


def simulated(
    system: System,
    manifests: Sequence[Manifest],
    runs: int,
    seed: int,
    executor: Executor | None = None,
    on_run: Callable[[], None] = lambda: None,
) -> Simulated:
    """Simulate the workload of a level.

    The first runs have the live runs' own seeds, hence the same messages at the same times. All
    draws of a simulation follow from one seed, so that others are needed to see its noise: they
    stand for further live runs, each moved like one (`lhsim.planning.uncertainty.in_runs`). Samples
    of the parameters run under the same seeds as the system itself, so that the ratio within a pair
    shows what the parameters do, and little of the noise. All run on the processors of the live
    runs, in turn. `on_run` is called after each run.
    """
    known = system.calibration or Calibration()
    bare = Calibration(pace=known.pace, follows=known.follows)
    samples = samples_of(system)
    chosen = [samples[k * len(samples) // runs] for k in range(runs)] if samples else []
    nominal, sampled = (
        [evolve(one, calibration=bare) for one in in_runs(some)]
        for some in ([system] * runs, chosen)
    )
    there = list(zip(manifests, log_paces(manifests, known.follows).tolist(), strict=True))
    under = list(zip(islice(cycle(there), runs), _seeds(manifests, runs, seed), strict=True))
    tasks = [(one, *where, s) for one, (where, s) in zip(nominal, under, strict=True)]
    tasks += [(one, *where, s) for one, (where, s) in zip(sampled, under, strict=False)]
    found = []
    for one in _each(_simulate, tasks, executor):
        found.append(one)
        on_run()
    return Simulated(tuple(found[:runs]), tuple(found[runs:]))


def jackknife(run: Recording, metric: str) -> float:
    """Return the variance of the logarithm of a figure of one run, from batches of its window.

    With each of `BATCHES` batches left out in turn (Efron 1982, The jackknife, the bootstrap and
    other resampling plans, chapter 3, for groups). NaN where it cannot be told: counters are too
    few to be cut, and what is 0 has no logarithm.
    """
    if metric not in QUANTILES:
        return math.nan
    name, _, q = metric.rpartition("_")
    cohort, manifest = run.cohort, run.manifest
    times = run.times(name).to_numpy()
    place = (cohort["intended_s"].to_numpy() - manifest.warmup) / manifest.duration * BATCHES
    known = ~np.isnan(times)
    level = int(q[1:]) / 100
    without = [times[known & (place.astype(int) != batch)] for batch in range(BATCHES)]
    if not all(len(some) for some in without):
        return math.nan
    figures = [float(np.quantile(some, level)) for some in without]
    if min(figures) <= 0:
        return math.nan
    logs = np.log(figures)
    return float((BATCHES - 1) / BATCHES * ((logs - logs.mean()) ** 2).sum())


def _simulate(system: System, manifest: Manifest, slower: float, seed: int) -> Figures:
    return figures(replay(system, manifest, seed), slower)


def _each(
    call: Callable[..., Figures], tasks: Sequence[tuple[object, ...]], executor: Executor | None
) -> Iterable[Figures]:
    columns = list(zip(*tasks, strict=True))
    return executor.map(call, *columns) if executor else map(call, *columns)


def _seeds(manifests: Sequence[Manifest], runs: int, seed: int) -> list[int]:
    own = [manifest.seed for manifest in manifests][:runs]
    generator = np.random.Generator(np.random.Philox(seed))
    return own + [int(s) for s in generator.integers(2**62, size=runs - len(own))]


def _thinned(times: Iterable[float]) -> Floats:
    known: Floats = np.sort(np.round(np.asarray(list(times), float), DIGITS))
    known = np.asarray(known[~np.isnan(known)])
    if len(known) <= MOST_TIMES:
        return known
    ranks = (np.arange(MOST_TIMES) + 0.5) / MOST_TIMES * len(known)
    thinned: Floats = known[ranks.astype(int)]
    return thinned
