"""What can be compared: the runs of a result, a sweep, or recordings, by their levels."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import pandas as pd
from attrs import evolve, field, frozen

from lhsim._files import expanded
from lhsim.analysis.levels import Record
from lhsim.calibration.levels import falls_behind
from lhsim.errors import InputError, is_real, shortened, shown
from lhsim.experiments.folder import ResultFolder, load
from lhsim.experiments.sweep import Sweep
from lhsim.library import systems
from lhsim.models import System
from lhsim.planning import scaled_out_name
from lhsim.recording import MANIFEST, Recording
from lhsim.simulation import MEANING

ALLOWED = (
    "a folder of lhsim scaling, run, capacity or a suite, a folder of recordings, a Sweep, or a "
    "system"
)
MS, PERCENT = 1e3, 1e2
Given = str | PathLike[str] | ResultFolder | Sweep | System


@frozen
class Level:
    """Where runs are replications of one another."""

    system: str
    agents: int
    servers: int = 1
    point: tuple[tuple[str, Any], ...] = ()  # values of other axes, or the case of a suite


@frozen(eq=False)
class Side:
    """One of two results that are compared."""

    name: str
    levels: Mapping[Level, Sequence[Record]] = field(repr=False)  # the runs of each
    units: Mapping[str, str] = field(factory=dict)  # of other axes
    workloads: Mapping[Level, object] = field(factory=dict, repr=False)  # where they are known
    meaning: int | None = MEANING  # of simulated figures; None for measured ones
    capacity: Mapping[str, Any] | None = field(default=None, repr=False)  # of `lhsim capacity`

    @property
    def only_system(self) -> str | None:
        """The name of its system, where it has only one, which may be scaled out as well."""
        names = {level.system for level in self.levels}
        first = min(names, key=len, default=None)
        alone = first is not None and names <= {first, scaled_out_name(first)}
        return first if alone else None

    def called(self, name: str) -> dict[Level, Level]:
        """Return its levels by what they are when its only system has another name."""
        own = self.only_system or ""
        return {
            evolve(level, system=name + level.system.removeprefix(own)): level
            for level in self.levels
        }


def is_result(given: object) -> bool:
    """Return whether something is a result, or names its folder; a system's name never does."""
    if isinstance(given, ResultFolder | Sweep):
        return True
    if not isinstance(given, str | PathLike) or given in systems():
        return False
    return expanded(given).is_dir()


def side_of(given: object) -> Side:
    """Return the runs of a result, a sweep or recordings.

    Raises `InputError` when there are none, or they are only a part of what was asked for.
    """
    if isinstance(given, Sweep):
        return side_of_sweep(given, repr(given))
    if isinstance(given, ResultFolder):
        return _side_of_result(given)
    if not isinstance(given, str | PathLike):
        raise InputError(f"{shown(given)} cannot be compared", allowed=ALLOWED)
    folder = expanded(given)
    recordings = _recordings(folder)
    return _side_of_recordings(folder, recordings) if recordings else _side_of_result(load(folder))


def side_of_sweep(found: Sweep, name: str) -> Side:
    """Return the runs of a sweep."""
    return Side(name, _by_level(found.to_frame(), tuple(found.units)), found.units)


def _side_of_result(found: ResultFolder) -> Side:
    manifest, name = found.manifest, str(found.path)
    if manifest.interrupted:
        allowed = "a finished result: the same command goes on"
        raise InputError("was interrupted", source=name, allowed=allowed)
    if found.runs is not None:
        missing = [axis for axis in manifest.axes if axis not in found.runs]
        if missing:
            raise InputError("has no such column", source=name, key=missing[0])
        levels = _by_level(found.runs, tuple(manifest.axes))
        return Side(name, levels, manifest.axes, meaning=manifest.meaning)
    if found.experiment != "capacity" or found.details is None:
        raise InputError(f"{found.experiment} keeps no runs", source=name, allowed=ALLOWED)
    return Side(name, {}, meaning=manifest.meaning, capacity=_capacity(found.details, name))


def _capacity(found: Mapping[str, Any], source: str) -> Mapping[str, Any]:
    """Return the answer of a capacity search; refuse one without a value."""
    ends = found.get("interval")
    known = [found.get("value"), *(ends if isinstance(ends, list) else [])]
    if len(known) != 3 or not all(is_real(one) and math.isfinite(one) for one in known):
        allowed = "a capacity with both ends of its interval"
        raise InputError("has no capacity that is known", source=source, allowed=allowed)
    return found


def _by_level(runs: pd.DataFrame, axes: Sequence[str]) -> dict[Level, list[Record]]:
    levels: dict[Level, list[Record]] = {}
    for row in runs.to_dict("records"):
        run = {str(name): value for name, value in row.items()}
        point = tuple((axis, _plain(run[axis])) for axis in axes)
        level = Level(shortened(run["system"]), run["agents"], run.get("servers", 1), point)
        levels.setdefault(level, []).append(run)
    return levels


def _plain(value: Any) -> Any:
    """Return the value of an axis: None for what a table keeps as NaN, a text as it is shown."""
    if isinstance(value, str):
        return shortened(value)
    return None if isinstance(value, float) and math.isnan(value) else value


def _recordings(folder: Path) -> list[Recording]:
    """Return the recording in a folder, or those in the folders in it."""
    try:
        inside = sorted(path for path in folder.iterdir() if path.is_dir())
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", source=str(folder)) from None
    return [Recording.read(home) for home in (folder, *inside) if (home / MANIFEST).is_file()]


def _side_of_recordings(folder: Path, recordings: Iterable[Recording]) -> Side:
    levels: dict[Level, list[Record]] = {}
    workloads: dict[Level, object] = {}
    for one in recordings:
        level = Level(one.manifest.architecture, one.manifest.agents)
        if workloads.setdefault(level, one.manifest.workload) != one.manifest.workload:
            problem = f"has two workloads of {level.agents:,} agents"
            raise InputError(problem, source=str(folder), allowed="one workload of each number")
        levels.setdefault(level, []).append(_live_run(one))
    return Side(str(folder), levels, workloads=workloads, meaning=None)


def _live_run(one: Recording) -> Record:
    """Return a recording as the row of a run, under the names that simulated figures have."""
    manifest, found = one.manifest, one.measures()
    offered = math.nan if manifest.closed else len(one.cohort) / manifest.duration
    behind = falls_behind([offered], [found["throughput"]], manifest.duration)
    return {
        "seed": manifest.seed,
        "overloaded": behind and not manifest.closed,
        "duration_s": manifest.end,
        "warmup_s": manifest.warmup,
        "drain_s": manifest.drain,
        "messages_per_second": found["throughput"],
        "delivery_success_rate": found["delivery"],
        "cpu_utilization_percent": PERCENT * found["cpu"],
        **{f"{q}_latency_ms": MS * found[f"latency_{q}"] for q in ("p50", "p95", "p99")},
    }
