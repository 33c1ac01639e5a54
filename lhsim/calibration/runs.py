"""From recordings to a system: least squares between live runs and their simulations.

What is compared is what can tell the unknowns (`lhsim.calibration.points`): the processor's time
and the median of the store's round trip, or of a push, where the server keeps up; the messages for
a second of the processor where it does not. A template, a system of the same architecture, stands
in for what the runs cannot tell, with a wide prior. Then the delay gets the distribution that is
left over: what the quantiles of the live times have more than those of the simulated ones, where
the server keeps up.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from datetime import UTC, datetime
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from attrs import evolve, frozen

from lhsim import checks
from lhsim.analysis.measures import live_unit
from lhsim.calibration import acceptance
from lhsim.calibration.components import provenance, with_components
from lhsim.calibration.fit import Fit, OnStep, Target, generator_of_samples
from lhsim.calibration.levels import BUSY, Level, expected_spread, levels, spread, timed
from lhsim.calibration.memory import FittedMemory, fitted_memory
from lhsim.calibration.pauses import short_stalls, without_pauses
from lhsim.calibration.points import OF_MESSAGES, OF_REQUESTS, UNTOLD, Point
from lhsim.calibration.slowdowns import follows, slowdowns
from lhsim.distributions import Fit as Fitted
from lhsim.errors import InputError
from lhsim.library import as_system, load_system
from lhsim.models import Calibration, CalibrationWarning, Provenance, System
from lhsim.models.paths import changed, is_whole
from lhsim.recording import Recording
from lhsim.report.calibration import MEANINGS
from lhsim.report.notebook import card

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CPU_ERROR = 0.03  # relative, at least: that of a run's processor time
# The further the load is beyond the capacity, the less the first seconds say about it: a model that
# was right at all other loads missed 1.8 times the capacity by a quarter.
OVERLOAD_ERROR = 0.4
MEDIAN_ERROR = 0.10  # likewise
PACE_ERROR = 0.5  # part of what a processor is off its usual pace that a server may not follow
PARTS = ("messages", "requests", "excess", "gap", "delay", "memory")
OF_PUSH = tuple(name for name in PARTS if name != "requests")
COLLINEAR = 0.95  # correlation from which two unknowns count as such
TOO_MANY = 0.25  # part by which a model gets more messages out of a processor than a full server


@frozen(eq=False, repr=False)
class Calibrated:
    """What a calibration came to."""

    system: System
    point: Point
    targets: tuple[Target, ...]
    simulated: tuple[float, ...]  # of the targets, by the fitted system
    deviation: dict[str, float]  # of the logarithm of each unknown
    collinear: tuple[tuple[str, str, float], ...]  # unknowns that the runs cannot tell apart
    levels: tuple[Level, ...]
    left_out: tuple[Recording, ...] = ()  # as they are doubtful
    memory: FittedMemory | None = None  # where the runs tell it

    @property
    def unexplained(self) -> tuple[str, ...]:
        """What holds up a saturated server and is not in the model, in words."""
        return _unexplained(self._rows)

    @property
    def missed(self) -> tuple[str, ...]:
        """Which figures of its own runs the system misses by more than their errors, in words."""
        return _missed(self._rows)

    @property
    def _rows(self) -> tuple[acceptance.Row, ...]:
        return _compared(self.levels, self.targets, self.simulated)

    def to_dict(self) -> dict[str, Any]:
        """Return the diagnostics as plain data, times in seconds."""
        calibration = self.system.calibration
        assert calibration is not None
        pairs = zip(PARTS, self.point.values, strict=True)
        here = self.system.architecture == "polling"  # else there are no requests for messages
        return {
            "system": self.system.name,
            "architecture": self.system.architecture,
            "runs": sum(len(level.runs) for level in self.levels),
            "agents": calibration.agents,
            "messages_per_second": calibration.messages_per_second,
            "levels": [
                {"level": level.name, "runs": len(level.runs), "saturated": level.saturated}
                for level in self.levels
            ],
            "left_out": [
                {
                    "agents": run.manifest.agents,
                    "seed": run.manifest.seed,
                    "doubts": list(run.manifest.doubts),
                }
                for run in self.left_out
            ],
            "targets": self.to_frame().to_dict("records"),
            "unknowns": [
                {"name": name, "value": value, "deviation": self.deviation[name]}
                for name, value in pairs
                if name != "requests" or here
            ],
            "memory": None if self.memory is None else self.memory.to_dict(),
            "unexplained": list(self.unexplained),
            "warnings": list(self.system.caveats),
            "collinear": [
                {"first": one, "second": other, "correlation": correlation}
                for one, other, correlation in self.collinear
            ],
        }

    def to_frame(self) -> pd.DataFrame:
        """Return a tidy row per level and figure that was fitted; times are in seconds."""
        rows = pd.DataFrame(self._rows).drop(columns="off")
        return rows.assign(unit=rows["metric"].map(live_unit))

    def plot(self, ax: Axes | None = None) -> Figure:
        """Draw by how much the fit misses each figure, beside its error; return the figure."""
        from lhsim.analysis.curves import Interval, difference_plot  # noqa: PLC0415

        rows = [
            Interval(f"{one['level']}: {one['metric']}", one["miss"], one["miss"] - one["error"],
                     one["miss"] + one["error"])
            for one in self._rows
        ]  # fmt: skip
        return difference_plot(rows, "simulated less live, with the error of the live figure", ax)

    def __repr__(self) -> str:
        """Return what was calibrated on what in a line."""
        return f"<Calibrated {self._headline()}>"

    def _repr_html_(self) -> str:
        trade_offs = [
            f"these runs cannot tell apart {one} and {other} (correlation {correlation:+.2f})"
            for one, other, correlation in self.collinear
        ]
        return card(self._headline(), [*self.system.caveats, *trade_offs], self.to_frame())

    def _headline(self) -> str:
        runs = sum(len(level.runs) for level in self.levels)
        return f"{self.system.name}: calibrated on {runs} runs at {len(self.levels)} loads"


def _compared(
    found: Sequence[Level], targets: Sequence[Target], simulated: Sequence[float]
) -> tuple[acceptance.Row, ...]:
    return acceptance.compared([level.name for level in found], targets, simulated)


def _unexplained(rows: Iterable[acceptance.Row]) -> tuple[str, ...]:
    return tuple(
        f"At {one['level']} the server got {one['live']:,.0f} messages out of a second of its "
        f"processor, and the model gets {one['simulated']:,.0f}: something else holds the server "
        "up there, such as its store. Trust no capacity of this model."
        for one in rows
        if one["metric"] == "capacity" and one["simulated"] > (1 + TOO_MANY) * one["live"]
    )


def _missed(rows: Iterable[acceptance.Row]) -> tuple[str, ...]:
    return tuple(
        f"The model misses its own calibration: at {acceptance.sentence(row)}."
        for row in acceptance.missed(rows)
    )


def _warnings(
    found: Sequence[Level], rows: Sequence[acceptance.Row], deviation: Mapping[str, float]
) -> Iterator[CalibrationWarning]:
    """Yield what speaks against the system."""
    for text in _unexplained(rows):
        yield CalibrationWarning("capacity", text)
    for text in _missed(rows):
        yield CalibrationWarning("parameters", text)
    if not any(level.saturated for level in found):
        text = "No run is saturated: the capacity is inferred from loads below it."
        yield CalibrationWarning("capacity", text)
    relevant = PARTS if found[0].manifest.architecture == "polling" else OF_PUSH
    untold = [MEANINGS[name][0] for name in relevant if deviation[name] > UNTOLD]
    if untold:
        text = f"The runs hardly tell: {'; '.join(untold)}. What was assumed beforehand decides."
        yield CalibrationWarning("parameters", text)


def calibrate(
    runs: Iterable[Recording],
    *,
    template: System | str | PathLike[str] | None = None,
    name: str = "calibrated",
    components: Mapping[str, Fitted] | None = None,
    executor: Executor | None = None,
    on_step: OnStep | None = None,
) -> Calibrated:
    """Return the system whose simulated runs are nearest to live ones.

    Parameters
    ----------
    runs
        Of one architecture, at two loads at least, with the processor's time of the server; best
        with one load at which it saturates, and each load more than once. Doubtful runs are left
        out where others have their load.
    template
        A system, or its name or file, for all that the runs cannot tell; None: the default one of
        the architecture.
    name
        Of the new system.
    components
        Costs fitted to samples of single components, in place of the template's.
    executor
        Simulates several runs at a time.
    on_step
        Is called with the simulations of all runs that are done, and the most that there may be.

    Raises
    ------
    InputError
        When the runs are too few, lack the processor's time, or are of an architecture without a
        model.
    """
    if checks.is_several(runs) and not (runs := list(runs)):
        raise InputError("are missing", key="runs", allowed="recordings at two loads or more")
    given = levels(checks.instances(runs, "runs", Recording, "recordings at two loads or more"))
    template = None if template is None else as_system(template)
    name = checks.text(name, "name")
    checks.executor(executor, "executor")
    checks.function(on_step, "on_step")
    found = [level.trusted() for level in given]
    _check(found)
    template = with_components(_template(found, template), components or {})
    known = template.calibration or Calibration()
    targets = tuple(_targets(found, known))
    fit = Fit(template, found, targets, executor, on_step)
    solution = fit.solve()
    point = solution.point
    fit.add_pauses(point)
    system = fit.system(point, fit.left_over(point))
    simulated = tuple(fit.simulated(system))
    draws = fit.draws(solution, generator_of_samples())
    deviations = np.sqrt(np.diag(solution.covariance)).tolist()
    deviation = dict(zip(PARTS, deviations, strict=True))
    trade_offs = tuple(collinear(PARTS, solution.covariance))
    rows = _compared(found, targets, simulated)
    calibration = _calibration(found, known, point, draws, rows)
    parameters = {**calibration.parameters, **provenance(components or {})}
    spells = slowdowns([run.manifest for level in found for run in level.runs], known.follows)
    if spells is not None:
        system = evolve(system, cpu=evolve(system.cpu, slowdowns=spells))
        parameters["cpu.slowdowns"] = Provenance(
            "speed of the core", sum(len(x.runs) for x in found)
        )
    memory = fitted_memory(system.memory, found)
    if memory is not None:
        parameters["memory"] = memory.provenance
        system = evolve(system, memory=memory.memory)
    system = evolve(
        system,
        name=name,
        description=f"A {system.architecture} server, calibrated on live runs.",
        calibration=evolve(
            calibration,
            parameters=parameters,
            misses=fit.misses(system),
            moves=_between_runs(found, known.follows),
            warnings=tuple(_warnings(found, rows, deviation)),
        ),
    )
    return Calibrated(
        system=system,
        point=point,
        targets=targets,
        simulated=simulated,
        deviation=deviation,
        collinear=trade_offs,
        levels=tuple(found),
        left_out=tuple(
            run for level in given if level.trusted() is not level for run in level.doubtful
        ),
        memory=memory,
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
    cpu = evolve(system.cpu, stalls=short_stalls(found), slowdowns=None)
    return evolve(without_pauses(system), cpu=cpu, calibration=_of_pace(found))


def _of_pace(found: Sequence[Level]) -> Calibration:
    """Return the speed of the processor in the runs; nothing where it was not measured."""
    paces = [run.manifest.machine.pace for level in found for run in level.runs]
    known = [pace for pace in paces if pace is not None]
    if len(known) < len(paces):
        return Calibration()
    return Calibration(pace=float(np.mean(known)), follows=follows(found))


def _targets(found: Sequence[Level], known: Calibration) -> Iterable[Target]:
    """Yield what the simulation should have, as far as the speed of the processor is `known`."""
    for number, level in enumerate(found):
        if level.saturated:
            # Not the throughput: as long as a simulation keeps up, its costs do not move that.
            least = {"capacity": CPU_ERROR + OVERLOAD_ERROR * _overload(level)}
        else:
            least = {"cpu": CPU_ERROR, f"{timed(level)}_p50": _median_error(level)}
        for measure, error in least.items():
            seen = spread(found, measure, known.follows)
            own = 0.0 if math.isnan(seen) else seen / math.sqrt(len(level.runs))
            whole = math.hypot(max(error, own), PACE_ERROR * _off_pace(level, known))
            yield Target(number, measure, level.mean(measure), whole)


def _median_error(level: Level) -> float:
    """Return the error of a median: what the processor's time is off shows in the queue.

    That is in proportion to 1 / (1 - u) at a use u.
    """
    used = min(level.mean("cpu"), BUSY)
    return math.hypot(MEDIAN_ERROR, CPU_ERROR * used / (1 - used))


def _overload(level: Level) -> float:
    """Return by how much more is offered than is delivered, as a logarithm."""
    return max(0.0, math.log(level.manifest.offered_load / level.mean("throughput")))


def _off_pace(level: Level, known: Calibration) -> float:
    """Return how far the processor was from its usual pace, as a logarithm; 0 where unknown."""
    paces = [run.manifest.machine.pace for run in level.runs]
    own = known.pace
    if own is None:
        return 0.0
    return abs(float(np.mean([math.log(pace / own) for pace in paces if pace is not None])))


# --- uncertainty ---------------------------------------------------------------------------------


def _between_runs(found: Sequence[Level], follows: float) -> dict[str, float]:
    """Return how far runs of one load are apart (`Calibration.moves`)."""
    cpu = expected_spread(found, "cpu", CPU_ERROR, follows)
    delay = expected_spread(found, f"{timed(found[0])}_p50", MEDIAN_ERROR, follows)
    return {"cpu": float(f"{cpu:.3g}"), "network": float(f"{delay:.3g}")}


def collinear(names: Sequence[str], covariance: np.ndarray) -> Iterable[tuple[str, str, float]]:
    """Yield the pairs of unknowns that trade off, with their correlation."""
    deviation = np.sqrt(np.diag(covariance))
    correlation = covariance / np.outer(deviation, deviation)
    for i, first in enumerate(names):
        for j, second in enumerate(names[:i]):
            if abs(correlation[i, j]) > COLLINEAR:
                yield second, first, float(correlation[i, j])


def _calibration(
    found: Sequence[Level],
    known: Calibration,
    point: Point,
    draws: np.ndarray,
    rows: Sequence[acceptance.Row],
) -> Calibration:
    manifests = [level.manifest for level in found]
    runs = sum(len(level.runs) for level in found)
    architecture = manifests[0].architecture
    return evolve(
        known,
        source=f"{runs} live runs at {len(found)} loads, by lhsim.calibration",
        host=manifests[0].machine.host,
        date=datetime.now(UTC).date().isoformat(),
        agents=(min(m.agents for m in manifests), max(m.agents for m in manifests)),
        messages_per_second=(
            min(m.offered_load for m in manifests),
            max(level.mean("throughput") for level in found),
        ),
        parameters={
            "cpu": Provenance(
                "processor time and saturation of the runs", runs, acceptance.in_words(rows)
            ),
            "cpu.warmth": Provenance(
                "processor time at several loads",
                runs,
                f"{point.excess:.3g} ln(1 + gap / {point.gap * 1e3:.3g} ms)",
            ),
            "network": Provenance("what is left of the live times", runs),
        },
        samples=samples_at(draws, architecture),
    )


def samples_at(draws: np.ndarray, architecture: str) -> dict[str, tuple[float, ...]]:
    """Return joint samples of the parameters, as factors of what they are.

    `draws` are logarithms of the unknowns beside those of the system. A curve over gaps that is g
    times as wide is that of a g times as large.
    """
    messages, requests, excess, gap, delay, memory = np.exp(draws).T
    names = [(name, messages) for name in OF_MESSAGES]
    if architecture == "polling":
        names += [(name, requests) for name in OF_REQUESTS]
    columns = {f"cpu.{name}*": column for name, column in names}
    columns |= {"cpu.warmth.excess*": excess, "cpu.warmth.gaps*": gap}
    columns |= {"cpu.warmth.memory*": memory}
    columns |= {"network.up*": delay, "network.down*": delay}
    return rounded(columns)


def rounded(columns: Mapping[str, np.ndarray]) -> dict[str, tuple[float, ...]]:
    """Return samples with as many digits as a file has of them."""
    return {path: tuple(float(f"{one:.4g}") for one in each) for path, each in columns.items()}
