"""From recordings to a system: least squares between live runs and their simulations.

What is compared is what can tell the unknowns (`lhsim.calibration.points`): the processor's time
and the median of the store's round trip, or of a push, where the server keeps up; the throughput
where it does not. A template, a system of the same architecture, stands in for what the runs cannot
tell, with a wide prior. Then the delay gets the distribution that is left over: what the quantiles
of the live times have more than those of the simulated ones, where the server keeps up.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import numpy as np
from attrs import evolve, field, frozen
from scipy.optimize import least_squares

from lhsim.calibration.levels import Level, levels, spread
from lhsim.calibration.pauses import pauses, short_stalls, with_pauses
from lhsim.calibration.points import (
    LEVELS,
    OF_MESSAGES,
    OF_REQUESTS,
    START,
    Point,
    system_at,
)
from lhsim.errors import InputError
from lhsim.library import load_system
from lhsim.models.paths import changed, is_whole
from lhsim.models.system import Calibration, Provenance, System
from lhsim.recording import Recording
from lhsim.replay import at_pace, replay

SAMPLES = 40  # of the parameters, for their uncertainty
SAMPLES_SEED = 1
ROUNDS = 3  # in which the left-over delay is found
CPU_ERROR = 0.03  # relative, at least: that of a run's processor time
THROUGHPUT_ERROR = 0.02  # likewise
MEDIAN_ERROR = 0.10  # likewise
# How far, as a factor, the template may be off: standard deviations of the logarithms of messages,
# requests, excess, gap and delay.
PRIOR = (0.7, 0.7, 1.0, 1.5, 1.5)
STEP = 0.05  # of a logarithm, for derivatives
PARTS = ("messages", "requests", "excess", "gap", "delay")
ALIKE = 0.95  # correlation beyond which two unknowns cannot be told apart


@frozen
class Target:
    """A live figure that the simulation should have."""

    level: int
    measure: str
    live: float
    error: float  # relative


@frozen(eq=False)
class Calibrated:
    """What a calibration came to."""

    system: System
    point: Point
    targets: tuple[Target, ...]
    simulated: tuple[float, ...]  # of the targets, by the fitted system
    deviation: dict[str, float]  # of the logarithm of each unknown
    alike: tuple[tuple[str, str, float], ...]  # unknowns that the runs cannot tell apart
    levels: tuple[Level, ...] = field(repr=False)


def calibrate(
    runs: Iterable[Recording], *, template: System | None = None, name: str = "calibrated"
) -> Calibrated:
    """Return the system whose simulated runs are nearest to live ones.

    Parameters
    ----------
    runs
        Of one architecture, at two loads at least, with the processor's time of the server; best
        with one load at which it saturates, and each load more than once.
    template
        A system for all that the runs cannot tell; None: the default one of the architecture.
    name
        Of the new system.

    Raises
    ------
    InputError
        When the runs are too few or lack the processor's time.
    """
    found = levels(runs)
    _check(found)
    targets = tuple(_targets(found))
    fit = _Fit(_template(found, template), found, targets)
    point, covariance = fit.solve()
    fit.add_pauses(point)
    system = fit.system(point, fit.left_over(point))
    simulated = tuple(fit.simulated(system))
    alike = tuple(_alike(covariance))  # of the fit: what moves between runs is no part of that
    covariance = covariance + _between_runs(found)
    system = evolve(
        system,
        name=name,
        description=f"A {system.architecture} server, calibrated on live runs.",
        calibration=_calibration(found, point, covariance, targets, simulated),
    )
    deviation = np.sqrt(np.diag(covariance))
    return Calibrated(
        system=system,
        point=point,
        targets=targets,
        simulated=simulated,
        deviation=dict(zip(PARTS, deviation.tolist(), strict=True)),
        alike=alike,
        levels=tuple(found),
    )


def _check(found: Sequence[Level]) -> None:
    if len(found) < 2:
        allowed = "runs at two loads or more"
        raise InputError(f"{len(found)} load", key="runs", allowed=allowed)
    for level in found:
        if not math.isfinite(level.mean("cpu")):
            problem = f"{level.name}: the server's processor time was not read"
            allowed = "runs of a server with process_cpu_seconds_total at /metrics"
            raise InputError(problem, key="runs", allowed=allowed)
        needed = "throughput" if level.saturated else f"{timed(level)}_p50"
        if not level.mean(needed) > 0:
            problem = f"{level.name}: has no {needed}"
            allowed = "runs in which messages are acknowledged and delivered"
            raise InputError(problem, key="runs", allowed=allowed)
    if all(level.saturated for level in found):
        raise InputError("are all saturated", key="runs", allowed="a load that the server keeps")


def _template(found: Sequence[Level], template: System | None) -> System:
    manifest = found[0].manifest
    system = template if template is not None else load_system(manifest.architecture)
    if system.architecture != manifest.architecture:
        problem = f"is a {system.architecture} system"
        raise InputError(problem, source=system.name, allowed=f"a {manifest.architecture} system")
    if system.polling is not None and manifest.server:
        # Not the timeout: the driver has its own, which is the model's default.
        for path in ("polling.interval", "polling.limit"):
            if path in manifest.server:
                value = manifest.server[path]
                system = changed(system, path, int(value) if is_whole(system, path) else value)
    cpu = evolve(system.cpu, stalls=short_stalls(found))
    return evolve(system, cpu=cpu, calibration=Calibration(pace=_pace(found)))


def _pace(found: Sequence[Level]) -> float | None:
    """Return the mean pace of the processor over the runs [s]; None where it was not measured."""
    paces = [run.manifest.machine.pace for level in found for run in level.runs]
    known = [pace for pace in paces if pace is not None]
    return float(np.mean(known)) if len(known) == len(paces) else None


def timed(level: Level) -> str:
    """Return whose quantiles tell the delay: polling's latency is that of the sleep."""
    return "store" if level.manifest.architecture == "polling" else "latency"


def _targets(found: Sequence[Level]) -> Iterable[Target]:
    for number, level in enumerate(found):
        if level.saturated:
            yield _target(found, number, "throughput", THROUGHPUT_ERROR)
        else:
            yield _target(found, number, "cpu", CPU_ERROR)
            yield _target(found, number, f"{timed(level)}_p50", MEDIAN_ERROR)


def _target(found: Sequence[Level], number: int, measure: str, least: float) -> Target:
    level, seen = found[number], spread(found, measure)
    own = 0.0 if math.isnan(seen) else seen / math.sqrt(len(level.runs))
    return Target(number, measure, level.mean(measure), max(least, own))


class _Fit:
    """The least-squares fit, and the simulations that it needs."""

    def __init__(
        self,
        template: System,
        found: Sequence[Level],
        targets: Sequence[Target],
    ) -> None:
        self._template = template
        self._levels = found
        self._targets = targets

    def system(self, point: Point, left_over: Sequence[float] | None = None) -> System:
        """Return the system at a point."""
        return system_at(self._template, point, left_over)

    def solve(self) -> tuple[Point, np.ndarray]:
        """Return the point, and the covariance of its logarithms: (J'J)^-1, by Gauss and Newton."""
        start = np.array(START.logs)

        def missed(logs: np.ndarray) -> np.ndarray:
            simulated = self.simulated(self.system(Point.of(logs)))
            misses = [
                math.log(max(value, 1e-9) / target.live) / target.error
                for value, target in zip(simulated, self._targets, strict=True)
            ]
            return np.array([*misses, *((logs - start) / PRIOR)])

        def slopes(logs: np.ndarray) -> np.ndarray:
            # A smaller step would see how events change places, and not what the server costs.
            here = missed(logs)
            steps = STEP * np.eye(len(start))
            return np.column_stack([(missed(logs + step) - here) / STEP for step in steps])

        solved = least_squares(
            missed,
            start,
            slopes,
            x_scale=PRIOR,
            xtol=3e-3,
            ftol=3e-3,
            max_nfev=15,
        )
        jacobian = np.asarray(solved.jac)
        return Point.of(solved.x), np.linalg.inv(jacobian.T @ jacobian)

    def simulated(self, system: System) -> list[float]:
        """Return what a system has for each target."""
        needed = {target.level for target in self._targets}
        measures = {
            number: [run.measures() for run in replayed(system, self._levels[number])]
            for number in needed
        }
        return [
            float(np.mean([run[target.measure] for run in measures[target.level]]))
            for target in self._targets
        ]

    def add_pauses(self, point: Point) -> None:
        """Give the template the pauses that the runs show and a system at `point` has not."""
        some = [level for level in self._levels if not level.saturated]
        without = [replayed(self.system(point), level) for level in some]
        self._template = with_pauses(self._template, pauses(some, without))

    def left_over(self, point: Point) -> list[float]:
        """Return the quantiles of the delay at `LEVELS` [s].

        In rounds, each of which adds to them what the live quantiles have more than the simulated
        ones, as a mean over the levels at which the server keeps up.
        """
        delay = np.full(len(LEVELS), point.delay)
        some = [level for level in self._levels if not level.saturated]
        for _ in range(ROUNDS):
            system = self.system(point, delay.tolist())
            missing = [
                _quantiles(level.runs, timed(level))
                - _quantiles(replayed(system, level), timed(level))
                for level in some
            ]
            delay = np.maximum.accumulate(np.maximum(delay + np.mean(missing, axis=0), 0.0))
        return [float(value) for value in delay]


def replayed(system: System, level: Level) -> list[Recording]:
    """Return each run of a level as a system has it, on a processor of the level's pace."""
    manifests = [run.manifest for run in level.runs]
    there = at_pace(system, manifests)
    return [replay(there, manifest) for manifest in manifests]


def _quantiles(runs: Sequence[Recording], what: str) -> np.ndarray:
    # The ends of the range of a sample say more about its size than about the server.
    inside = np.clip(LEVELS, 0.001, 0.999)
    found: np.ndarray = np.mean([np.quantile(run.times(what).dropna(), inside) for run in runs], 0)
    return found


# --- uncertainty ---------------------------------------------------------------------------------


def _between_runs(found: Sequence[Level]) -> np.ndarray:
    """Return what the unknowns move from run to run, as variances of their logarithms.

    A prediction is of one run, on a day like any other: how far the processor's time moves between
    runs is a part of its uncertainty that no number of runs takes away.
    """
    cpu, delay = spread(found, "cpu"), spread(found, f"{timed(found[0])}_p50")
    cpu = CPU_ERROR if math.isnan(cpu) else cpu
    delay = MEDIAN_ERROR if math.isnan(delay) else delay
    moved = np.zeros((len(PARTS), len(PARTS)))
    moved[:2, :2] = cpu**2  # all costs move together
    moved[4, 4] = delay**2
    return moved


def _alike(covariance: np.ndarray) -> Iterable[tuple[str, str, float]]:
    deviation = np.sqrt(np.diag(covariance))
    correlation = covariance / np.outer(deviation, deviation)
    for i, first in enumerate(PARTS):
        for j, second in enumerate(PARTS[:i]):
            if abs(correlation[i, j]) > ALIKE:
                yield second, first, float(correlation[i, j])


def _calibration(
    found: Sequence[Level],
    point: Point,
    covariance: np.ndarray,
    targets: Sequence[Target],
    simulated: Sequence[float],
) -> Calibration:
    manifests = [level.manifest for level in found]
    runs = sum(len(level.runs) for level in found)
    misses = [
        abs(value / target.live - 1) for value, target in zip(simulated, targets, strict=True)
    ]
    fit = f"least squares; the {len(targets)} targets are missed by at most {max(misses):.0%}"
    architecture = manifests[0].architecture
    return Calibration(
        source=f"{runs} live runs at {len(found)} loads, by lhsim.calibration",
        host=manifests[0].machine.host,
        pace=_pace(found),
        date=datetime.now(UTC).date().isoformat(),
        agents=(min(m.agents for m in manifests), max(m.agents for m in manifests)),
        messages_per_second=(
            min(m.offered_load for m in manifests),
            max(level.mean("throughput") for level in found),
        ),
        parameters={
            "cpu": Provenance("processor time and saturation of the runs", runs, fit),
            "cpu.warmth": Provenance(
                "processor time at several loads",
                runs,
                f"{point.excess:.3g} ln(1 + gap / {point.gap * 1e3:.3g} ms)",
            ),
            "network": Provenance("what is left of the live times", runs),
        },
        samples=_samples(point, covariance, architecture),
    )


def _samples(
    point: Point, covariance: np.ndarray, architecture: str
) -> dict[str, tuple[float, ...]]:
    """Return joint samples of the parameters, as factors of what they are."""
    generator = np.random.Generator(np.random.Philox(SAMPLES_SEED))
    draws = np.exp(generator.multivariate_normal(np.zeros(len(PARTS)), covariance, SAMPLES))
    messages, requests, excess, gap, delay = draws.T
    steeper = np.log1p(1e-3 / (point.gap * gap)) / math.log1p(1e-3 / point.gap)
    names = [(name, messages) for name in OF_MESSAGES]
    if architecture == "polling":
        names += [(name, requests) for name in OF_REQUESTS]
    columns = {f"cpu.{name}*": column for name, column in names}
    columns |= {"cpu.warmth.excess*": excess * steeper}
    columns |= {"network.up*": delay, "network.down*": delay}
    return {
        path: tuple(float(f"{value:.4g}") for value in column) for path, column in columns.items()
    }
