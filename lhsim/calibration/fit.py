"""The least-squares fit of a system to live figures, and the simulations that it needs.

All runs of a level are simulated, each under its own seed, and their figures averaged as those of
the live runs are: what a seed does to the number of messages is then the same on both sides.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from itertools import repeat

import numpy as np
from attrs import define, field, frozen
from scipy.optimize import least_squares

from lhsim.calibration.levels import TINY, Level, figures, timed
from lhsim.calibration.pauses import pauses, with_pauses
from lhsim.calibration.points import LEVELS, START, Point, system_at
from lhsim.models import System
from lhsim.recording import Recording
from lhsim.replay import replay

ROUNDS = 3  # in which the left-over delay is found
MOST_STEPS = 15  # of Gauss and Newton
SAMPLES = 40  # of the unknowns, for their uncertainty
SAMPLES_SEED = 1
STEP = 0.05  # of a logarithm, for derivatives
# How far, as a factor, the template may be off: standard deviations of the logarithms of messages,
# requests, excess, gap, delay and memory.
PRIOR = (0.7, 0.7, 1.0, 1.5, 1.5, 1.0)

OnStep = Callable[[int, int], None]  # simulations of all runs: done, and at most


@frozen
class Target:
    """A live figure that the simulation should have."""

    level: int
    measure: str
    live: float
    error: float  # relative


@frozen(eq=False)
class Solution:
    """Where a fit ends."""

    point: Point
    covariance: np.ndarray  # of the logarithms of the unknowns, (J'J)^-1
    slopes: np.ndarray  # of the misses over the logarithms, of shape (targets, unknowns)


@define(eq=False)
class Fit:
    """Finds the unknowns."""

    _template: System  # gives all that is not fitted
    _levels: Sequence[Level]  # what was measured
    _targets: Sequence[Target]  # what the simulation should have
    _executor: Executor | None = None  # simulates several runs at a time
    _on_step: OnStep | None = None  # is called after each simulation of all runs
    # Of a logarithm, for derivatives. A smaller one would see how events change places, and not
    # what the server costs
    _step: float = STEP
    _start: Point = START  # around which the unknowns are expected
    _done: int = field(default=0, init=False)  # simulations of all runs

    def system(self, point: Point, left_over: Sequence[float] | None = None) -> System:
        """Return the system at a point."""
        return system_at(self._template, point, left_over)

    def solve(self) -> Solution:
        """Return the point at which the live figures are missed least, by Gauss and Newton."""
        start = np.array(self._start.logs)

        def missed(logs: np.ndarray) -> np.ndarray:
            return np.array([*self._missed(logs), *((logs - start) / PRIOR)])

        def slopes(logs: np.ndarray) -> np.ndarray:
            here = missed(logs)
            steps = self._step * np.eye(len(start))
            return np.column_stack([(missed(logs + step) - here) / self._step for step in steps])

        solved = least_squares(
            missed, start, slopes, x_scale=PRIOR, xtol=3e-3, ftol=3e-3, max_nfev=MOST_STEPS
        )
        jacobian = np.asarray(solved.jac)
        covariance = np.linalg.inv(jacobian.T @ jacobian)
        return Solution(Point.of(solved.x), covariance, jacobian[: len(self._targets)])

    def draws(self, solution: Solution, generator: np.random.Generator) -> np.ndarray:
        """Return `SAMPLES` points that the figures leave open, as logarithms beside the solution's.

        Correlated parameters trade off along a curve, and a normal distribution lies
        along its tangent. Each draw is simulated, and moved by what the figures are off the
        tangent: one step of Gauss and Newton, no farther than twice the deviation.

        Returns
        -------
        Of shape (SAMPLES, unknowns).
        """
        place, covariance = np.array(solution.point.logs), solution.covariance
        normal = generator.multivariate_normal(np.zeros(len(place)), covariance, SAMPLES)
        gain = covariance @ solution.slopes.T
        most = 2 * np.sqrt(np.diag(covariance))
        here = self._missed(place)
        off = [self._missed(place + draw) - here - solution.slopes @ draw for draw in normal]
        return np.asarray(normal - np.clip(np.array(off) @ gain.T, -most, most))

    def _missed(self, logs: np.ndarray) -> np.ndarray:
        """Return by how much the simulated figures at a point miss the live ones, over errors."""
        simulated = self.simulated(self.system(Point.of(logs)))
        pairs = zip(simulated, self._targets, strict=True)
        return np.array([math.log(max(one, 1e-9) / of.live) / of.error for one, of in pairs])

    def simulated(self, system: System) -> list[float]:
        """Return what a system has for each target, as a mean over the runs of its level."""
        needed = sorted({target.level for target in self._targets})
        runs = self._replayed(system, [self._levels[number] for number in needed])
        measures = {
            number: [figures(run) for run in some]
            for number, some in zip(needed, runs, strict=True)
        }
        return [
            float(np.mean([run[target.measure] for run in measures[target.level]]))
            for target in self._targets
        ]

    def misses(self, system: System) -> dict[str, float]:
        """Return by which factor a system misses figures of the runs, as a logarithm.

        Root mean square over the loads at which the server keeps up. What was not fitted, as the
        tail of a busy server, may be missed by more than the parameters' uncertainty explains.
        """
        some = self._kept_up
        squares: dict[str, list[float]] = {}
        for level, runs in zip(some, self._replayed(system, some), strict=True):
            simulated = Level(tuple(runs))
            for name in runs[0].measures():
                live, value = level.mean(name), simulated.mean(name)
                if live > 0 and value > 0:  # else it is not known of both
                    squares.setdefault(name, []).append(math.log(value / live) ** 2)
        means = {name: math.sqrt(np.mean(values)) for name, values in squares.items()}
        return {name: float(f"{mean:.3g}") for name, mean in means.items()}

    def add_pauses(self, point: Point) -> None:
        """Give the template the pauses that the runs show and a system at `point` has not."""
        without = self._replayed(self.system(point), self._kept_up)
        self._template = with_pauses(self._template, pauses(self._kept_up, without))

    def left_over(self, point: Point) -> list[float]:
        """Return the quantiles of the delay at `LEVELS` [s].

        In rounds, each of which adds to them what the live quantiles have more than the simulated
        ones, as a mean over the levels at which the server keeps up. The error of a quantile is in
        proportion to it, so the tail of a high load, which is that of its queue, counts little.
        """
        delay = np.full(len(LEVELS), point.delay)
        some = self._kept_up
        live = np.array([_quantiles(level.runs, timed(level)) for level in some])
        weights = np.maximum(live, TINY) ** -2
        for _ in range(ROUNDS):
            system = self.system(point, delay.tolist())
            simulated = [
                _quantiles(runs, timed(level))
                for level, runs in zip(some, self._replayed(system, some), strict=True)
            ]
            missing = np.average(live - np.array(simulated), axis=0, weights=weights)
            delay = np.maximum.accumulate(np.maximum(delay + missing, 0.0))
        return [float(value) for value in delay]

    @property
    def _kept_up(self) -> list[Level]:
        """The levels at which the server keeps up."""
        return [level for level in self._levels if not level.saturated]

    def _replayed(self, system: System, levels: Sequence[Level]) -> list[list[Recording]]:
        """Return the runs of levels as the system has them, each on a processor of its pace."""
        manifests = [run.manifest for level in levels for run in level.runs]
        simulate = map if self._executor is None else self._executor.map
        runs = iter(list(simulate(replay, repeat(system), manifests)))
        self._done += 1
        if self._on_step is not None:
            most = MOST_STEPS * (len(START.values) + 2) + ROUNDS + 3 + SAMPLES + 1
            self._on_step(self._done, max(most, self._done))
        return [[next(runs) for _ in level.runs] for level in levels]


def generator_of_samples() -> np.random.Generator:
    """Return what draws samples of the unknowns: the same for the same runs."""
    return np.random.Generator(np.random.Philox(SAMPLES_SEED))


def _quantiles(runs: Sequence[Recording], what: str) -> np.ndarray:
    # The ends of the range of a sample say more about its size than about the server.
    levels = np.clip(LEVELS, 0.001, 0.999)
    quantiles = [np.quantile(run.times(what).dropna(), levels) for run in runs]
    return np.asarray(np.mean(quantiles, axis=0))
