"""Repetitions of one load are a level: its figures, and how far they move from run to run."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np
from attrs import evolve, field, frozen
from numpy.typing import NDArray

from lhsim.errors import InputError
from lhsim.recording import Machine, Manifest, Recording, check_modelled

SHORT = 0.97  # part of the offered messages: who delivers less is saturated
TINY = 1e-12  # what has no logarithm is as good as that
CHANCE = 3.0  # standard deviations of a number of messages that are taken for chance
PRIOR_DOF = 4  # runs for which what is expected of a spread counts
BUSY = 0.95  # part of a core that is as good as all of it
# Power with which the cost of a message falls as the processor is used more: its caches stay warm.
FALL = 0.3  # measured: 0.3 at low loads, 0.5-1 at high ones


def falls_behind(offered: Sequence[float], delivered: Sequence[float], duration: float) -> bool:
    """Return whether messages pile up.

    What is sent in a window and what is delivered in it differ at its ends by chance as well.

    Parameters
    ----------
    offered, delivered
        Messages per second of each run [1/s].
    duration
        Of the window of a run [s].
    """
    sent = math.fsum(offered) * duration
    missing = sent - math.fsum(delivered) * duration
    return missing > max((1 - SHORT) * sent, CHANCE * math.sqrt(sent))


def is_busy(cpu: Sequence[float]) -> bool:
    """Return whether runs take all of the processor; not where that was not measured (NaN)."""
    return float(np.mean(cpu)) >= BUSY


def figures(run: Recording) -> dict[str, float]:
    """Return the measures of a run, and its ``capacity``: messages for a second of the processor.

    A saturated server delivers so many per second; what it costs shows in it at other loads, too.
    """
    found = run.measures()
    cpu = found["cpu"]
    return found | {"capacity": found["throughput"] / cpu if cpu > 0 else math.nan}


@frozen(eq=False)
class Level:
    """Runs of one load, with different seeds."""

    runs: tuple[Recording, ...] = field(repr=False)

    @property
    def manifest(self) -> Manifest:
        """Of the first run."""
        return self.runs[0].manifest

    @property
    def name(self) -> str:
        """The load in a few words."""
        manifest = self.manifest
        if manifest.closed:
            return f"{manifest.agents} client" + ("s" if manifest.agents > 1 else "")
        way = f", {manifest.way}" if manifest.way else ""
        return f"{manifest.agents} agents, {manifest.offered_load:g} messages/s{way}"

    @property
    def doubtful(self) -> tuple[Recording, ...]:
        """The runs that the driver or the machine may have spoiled."""
        return tuple(run for run in self.runs if run.manifest.doubts)

    def trusted(self) -> Level:
        """Return the level without its doubtful runs; as it is where there are no others."""
        sure = tuple(run for run in self.runs if not run.manifest.doubts)
        return Level(sure) if sure and self.doubtful else self

    @property
    def saturated(self) -> bool:
        """Whether the server could not keep up: its processor was busy, or messages piled up."""
        return self.falls_behind or is_busy(self.values("cpu"))

    @property
    def falls_behind(self) -> bool:
        """Whether messages piled up; clients that wait for answers send no more of them."""
        if self.manifest.closed:
            return False
        duration = self.manifest.duration
        offered = [len(run.cohort) / duration for run in self.runs]
        return falls_behind(offered, self.values("throughput"), duration)

    @cached_property
    def _measures(self) -> list[dict[str, float]]:
        return [figures(run) for run in self.runs]

    def values(self, measure: str) -> list[float]:
        """Return a figure of each run."""
        return [figures[measure] for figures in self._measures]

    def mean(self, measure: str) -> float:
        """Return the mean of a figure over the runs; NaN where it was not measured."""
        return float(np.mean(self.values(measure)))


def timed(level: Level) -> str:
    """Return whose quantiles tell the delay: polling's latency is that of the sleep."""
    return "store" if level.manifest.architecture == "polling" else "latency"


def levels(runs: Iterable[Recording]) -> list[Level]:
    """Return the levels that runs make up, by increasing load.

    Raises
    ------
    InputError
        When the runs are of several architectures, or of one of which there is no model.
    """
    groups: dict[object, list[Recording]] = {}
    for run in runs:
        check_modelled(run.manifest)
        groups.setdefault(_load_of(run.manifest), []).append(run)
    found = [Level(tuple(group)) for group in groups.values()]
    if len({level.manifest.architecture for level in found}) > 1:
        raise InputError("are of several architectures", key="runs", allowed="runs of one")
    return sorted(found, key=_order)


def _load_of(manifest: Manifest) -> str:
    """Return what runs of one load have in common; clients are known by their number."""
    if manifest.closed:
        return f"{manifest.agents} x {manifest.workload.traffic.at_a_time}"
    return repr(evolve(manifest, seed=0, started="", doubts=(), machine=Machine(), duplicates=0))


def _order(level: Level) -> tuple[float, int]:
    manifest = level.manifest
    return (0.0 if manifest.closed else manifest.offered_load, manifest.agents)


def log_paces(runs: Sequence[Manifest], follows: float = 1.0) -> NDArray[np.float64]:
    """Return how much slower a server was in each run than in their mean, as logarithms.

    Zeros where the speed of the processor is not known of all of them.

    Parameters
    ----------
    runs
        Of one load.
    follows
        The power with which the costs of the server follow the pace.
    """
    paces = [run.mean_pace for run in runs]
    if any(pace is None for pace in paces):
        return np.zeros(len(paces))
    logs = np.log(np.array(paces, float))
    return np.asarray(follows * (logs - logs.mean()))


def spread(some: Sequence[Level], measure: str, follows: float = 1.0) -> float:
    """Return the standard deviation of the logarithm of a figure from run to run, pooled.

    The figure grows with the speed of the processor to the power `follows`, which is no part of the
    spread. NaN where no unsaturated level has two runs.
    """
    squares, dof = _squares(some, measure, follows)
    return math.sqrt(squares / dof) if dof else math.nan


def expected_spread(
    some: Sequence[Level], measure: str, usual: float, follows: float = 1.0
) -> float:
    """Return the standard deviation that a run to come has, from few that were seen.

    It is that of Student's distribution, the predictive one of a normal with an unknown variance
    (Gelman et al., Bayesian Data Analysis, 3rd edition, 3.2-3.3): runs that happened to be alike
    would else promise that all are. What is expected beforehand counts like `PRIOR_DOF` runs.

    Parameters
    ----------
    some
        Levels, several of them with repetitions.
    measure
        The figure.
    usual
        The standard deviation of its logarithm that is expected beforehand.
    follows
        As in `spread`.
    """
    squares, dof = _squares(some, measure, follows)
    whole = PRIOR_DOF + dof
    variance = (PRIOR_DOF * usual**2 + squares) / whole
    return math.sqrt(variance * whole / (whole - 2))


def _squares(some: Sequence[Level], measure: str, follows: float) -> tuple[float, int]:
    """Return the sum of squared deviations within unsaturated levels, and their degrees of dof."""
    squares, dof = 0.0, 0
    for level in some:
        paces = log_paces([run.manifest for run in level.runs], follows)
        logs = np.log(np.maximum(level.values(measure), TINY)) - paces
        if len(logs) > 1 and not level.saturated:
            squares += float(((logs - logs.mean()) ** 2).sum())
            dof += len(logs) - 1
    return squares, dof
