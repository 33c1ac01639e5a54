"""Sweeps over any parameters: systems at the points of a design, as independent runs.

A parameter that begins with ``polling`` or ``push`` belongs to the systems of that kind. The
others do not have it: for them points that differ in nothing else are one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from textwrap import wrap
from typing import Any, get_args

import attrs
from attrs import field, frozen

from lhsim import _resources, parameters
from lhsim.analysis.knee import Knee
from lhsim.analysis.levels import Pooled, level_of, level_rows, metric_rows
from lhsim.analysis.stopping import Precision, Verdict
from lhsim.checks import is_manageable
from lhsim.errors import InputError, unknown_name
from lhsim.execution import Cell, Failure, Runner
from lhsim.experiments import levels as levels_of
from lhsim.experiments.axes import AGENTS, Axis, Levels, Point
from lhsim.experiments.commands import (
    Setup,
    asked_precision,
    find_system,
    finish,
    own_settings,
    precision_lines,
    prepare,
    running,
    runs_of,
    server_of,
    settings_lines,
    skipped_lines,
)
from lhsim.experiments.levels import Horizon, Skipped
from lhsim.experiments.options import Options
from lhsim.experiments.precision import Round, Rounds, carry_out
from lhsim.experiments.progress import progress
from lhsim.experiments.records import pooled_latencies, run_record
from lhsim.experiments.specification import KINDS, ParameterSweep, load_sweep
from lhsim.experiments.sweep import FailedRun, Sweep, verdict_columns
from lhsim.models import System, paths
from lhsim.report.points import WIDTH, points_table
from lhsim.report.text import axis_text
from lhsim.simulation import Result
from lhsim.streams import check_seed


@frozen
class Place:
    """A system at a point: what one level of the sweep is."""

    system: System
    agents: int
    values: Point  # of each axis but the agents; None where the system does not have it

    @property
    def label(self) -> str:
        """What messages call it: the system and its values."""
        values = [
            f"{path}={axis_text(value, self.unit(path))}"
            for path, value in self.values.items()
            if value is not None
        ]
        return f"{self.system.name} ({', '.join(values)})" if values else self.system.name

    def unit(self, path: str) -> str:
        """Return the unit of an axis; empty where it has none, or its value is no number."""
        value = self.values.get(path)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return ""
        try:
            return paths.symbol(self.system, path)
        except InputError:  # a part of a distribution, which is no number of the system
            return ""


@frozen(eq=False, repr=False)
class PointSweep(Sweep):
    """What a sweep over parameters showed: its rows have the axes as columns."""

    places: tuple[Place, ...] = ()  # of each result
    place_verdicts: Mapping[int, Verdict | None] = field(factory=dict)  # by `id` of the place

    def rows(self) -> list[dict[str, Any]]:
        """Return a flat record per run."""
        return [
            run_record(result) | {"servers": 1} | place.values
            for result, place in zip(self.results, self.places, strict=True)
        ]

    def level_rows(self) -> list[dict[str, Any]]:
        """Return a flat record per system and point."""
        return [
            row | place.values | self._precision(place)
            for place, runs in self._levels()
            for row in level_rows(*runs)
        ]

    def metric_rows(self) -> list[dict[str, Any]]:
        """Return a record per system, point and measure, with its interval."""
        return [row | place.values for place, runs in self._levels() for row in metric_rows(*runs)]

    @cached_property
    def units(self) -> dict[str, str]:
        """The axes, with their units; no unit for a text."""
        known: dict[str, str] = {}
        for place in {id(place): place for place in self.places}.values():
            known |= {path: known.get(path) or place.unit(path) for path in place.values}
        return known

    def _precision(self, place: Place) -> dict[str, Any]:
        """Return what the row of a place says of its precision, if one was asked for."""
        if self.precision is None:
            return {}
        return verdict_columns(self.place_verdicts.get(id(place)))

    def _levels(self) -> Iterator[tuple[Place, tuple[list[dict[str, Any]], Pooled]]]:
        """Yield each place with its runs, and the quantiles of all their messages."""
        groups: dict[int, list[Result]] = {}
        places = {id(place): place for place in self.places}
        for result, place in zip(self.results, self.places, strict=True):
            groups.setdefault(id(place), []).append(result)
        for number, results in groups.items():
            runs = [run_record(one) | {"servers": 1} for one in results]
            pooled = pooled_latencies([one.latency for one in results])
            yield places[number], (runs, {level_of(runs[0]): pooled})

    def _knees_of_levels(self) -> dict[str, Knee]:
        return {}  # the levels differ in more than their agents


@frozen
class PointPlan:
    """What a sweep over parameters will run, and what it will not."""

    cells: tuple[Cell, ...]
    places: tuple[Place, ...]  # of each cell
    skipped: tuple[Skipped, ...]
    replications: int


def run_file(options: Options, path: str) -> int:
    """Run a specification, write and show its results, and return the exit code."""
    _check_kind(path)
    asked = load_sweep(path)
    axes = _axes(asked, options)
    setup = prepare(path, options, asked.systems, asked.settings)
    precision = asked_precision(options)
    plan = _plan(asked, setup, axes, precision)
    with running(setup) as runner:
        if precision is None:
            sweep = _carry_out(setup, plan, runner)
        else:
            limit = asked.max_events.unless(options.max_events)
            how = Rounds(precision, options.seed, limit)
            sweep = _carry_out_rounds(setup, plan, how, runner)
    text = partial(report, setup, plan, sweep, list(axes))
    return finish(setup, sweep, text, tally=runner.tally, axes=list(axes))


def report(setup: Setup, plan: PointPlan, sweep: PointSweep, axes: Sequence[str]) -> str:
    """Return the results as a text of at most 80 columns, where names are not too long."""
    points = len({id(place) for place in plan.places})
    runs = runs_of(plan.replications, sweep)
    lines = [f"{points:,} points, {runs} each, seed {setup.options.seed}"]
    lines += [*settings_lines(own_settings(setup)), ""]
    lines += [
        points_table(sweep.level_rows(), axes, sweep.units)
        if sweep.results
        else "no run was finished"
    ]
    lines += precision_lines(sweep)
    lines += [part for line in skipped_lines(sweep) for part in wrap(line, WIDTH)]
    return "\n".join(lines)


def _check_kind(path: str) -> None:
    """Refuse a file that is no specification of a sweep, before its keys are looked at."""
    kind = parameters.read_toml(_resources.find("experiments", path)).get("kind")
    name = str(Path(path))
    if kind is None:
        others = ", ".join(sorted({*KINDS} - {"sweep"}))
        allowed = f'"sweep"; the other experiments are commands: {others}'
        raise InputError("is missing", source=name, key="kind", allowed=allowed)
    if kind != "sweep":
        raise unknown_name("kind", str(kind), ["sweep"], source=name, key="kind")


def _axes(asked: ParameterSweep, options: Options) -> dict[str, Axis]:
    """Return the axes; what the command line says of the agents is one of them."""
    axes = {path: _fitting(path, axis) for path, axis in asked.parsed_axes.items()}
    for setting in options.settings:
        key = setting.partition("=")[0].strip()
        for path in axes:
            if f"{path}.".startswith(f"{key}.") or f"{key}.".startswith(f"{path}."):
                problem = f"{path} is an axis of the sweep"
                raise InputError(problem, source="--set", key=key, allowed="what is no axis")
    if options.agents is not None:
        axes[AGENTS] = Levels(options.agents)
    elif asked.agents is not None:
        axes[AGENTS] = Levels((asked.agents,))
    return axes


def _fitting(path: str, axis: Axis) -> Axis:
    """Return an axis in whole numbers where its parameter takes no others."""
    if path == AGENTS or _type_at(path) in (int, int | None):
        return axis.rounded()
    return axis


def _type_at(path: str) -> object:
    """Return the type of a parameter; None where that depends on the variant that is chosen."""
    kind: Any = System
    for step in path.split("."):
        inner = [one for one in (kind, *get_args(kind)) if isinstance(one, type) and attrs.has(one)]
        if not inner:
            return None
        fields = parameters.fields_of(inner[0])
        if step not in fields:
            return None  # which is refused when a system is made of it
        kind = fields[step].type
    return kind


def _plan(
    asked: ParameterSweep, setup: Setup, axes: Mapping[str, Axis], precision: Precision | None
) -> PointPlan:
    options = setup.options
    horizon = Horizon(asked.messages, asked.min_duration, options.duration)
    replications = options.replications or asked.replications
    if precision is not None:
        replications = precision.first(replications)
    seeds = levels_of.seeds(options.seed, replications)
    limit = asked.max_events.unless(options.max_events)
    cells: list[Cell] = []
    places: list[Place] = []
    skipped: list[Skipped] = []
    for place in _places(asked, setup, axes):
        level = levels_of.cells(place.system, place.agents, horizon, seeds, options.engine)
        reason = levels_of.why_not(level[0], limit)
        if reason is None:
            cells += level
            places += [place] * len(level)
        else:
            architecture = place.system.architecture
            skipped.append(Skipped(place.label, architecture, place.agents, reason))
    return PointPlan(tuple(cells), tuple(places), tuple(skipped), replications)


def _places(asked: ParameterSweep, setup: Setup, axes: Mapping[str, Axis]) -> list[Place]:
    """Return each system at each point, in order."""
    name = str(Path(setup.specification.given))
    architectures = {system.architecture for system in setup.systems}
    for path in axes:
        if server_of(path) not in {None, *architectures}:
            problem = f"no chosen system is one of {server_of(path)}"
            raise InputError(problem, source=name, key=f'axes."{path}"')
    try:
        points = asked.design.choose(axes, check_seed(setup.options.seed))
    except InputError as error:
        key = "design" if error.key is None else f'axes."{error.key}"'
        raise InputError(error.problem, source=name, key=key, allowed=error.allowed) from None
    found = []
    for number, system in enumerate(setup.systems):
        own = [path for path in axes if server_of(path) in {None, system.architecture}]
        seen: set[str] = set()
        for point in points:
            its = {path: point[path] for path in own}
            if (text := json.dumps(its, default=str)) not in seen:
                seen.add(text)
                found.append(_place(setup, number, its, axes))
    return found


def _place(setup: Setup, number: int, point: Point, axes: Mapping[str, Axis]) -> Place:
    """Return one of the systems with the values of a point."""
    source, name = setup.sources[number], str(Path(setup.specification.given))
    path = find_system(source.given)
    data = parameters.apply_settings(parameters.read_toml(path), source.settings)
    changes = {axis: value for axis, value in point.items() if axis != AGENTS}
    try:
        for axis, value in changes.items():
            data = parameters.with_value(data, axis, axes[axis].typed(value))
        system = parameters.structure(data, System, source=path.name)
    except InputError as error:
        mine = [axis for axis in changes if f"{error.key}.".startswith(f"{axis}.")]
        key = f'axes."{mine[0]}"' if mine else error.key
        raise InputError(error.problem, source=name, key=key, allowed=error.allowed) from None
    values = {
        axis: _shown(system, axis, point[axis]) if axis in point else None
        for axis in axes
        if axis != AGENTS
    }
    agents = _count(point[AGENTS], name)
    levels_of.check_agents(system, agents)
    return Place(system, agents, values)


def _count(value: Any, name: str) -> int:
    numeric = isinstance(value, int | float) and not isinstance(value, bool)
    if numeric and is_manageable(value) and value == int(value):
        return int(value)
    problem, allowed = f"{value!r} is no number of agents", "whole numbers >= 1"
    raise InputError(problem, source=name, key='axes."agents"', allowed=allowed)


def _shown(system: System, path: str, given: object) -> object:
    """Return the value of a parameter as a column has it: a number in its base unit, or a text."""
    value: object = system
    for step in path.split("."):
        value = getattr(value, step, None)
    if isinstance(value, bool | int | float | str):
        return value
    return given if isinstance(given, str | int | float) else json.dumps(given, default=str)


def _carry_out(setup: Setup, plan: PointPlan, runner: Runner) -> PointSweep:
    """Run a plan."""
    left = runner.left(plan.cells)
    with progress("runs", left, shown=setup.options.show_progress) as on_done:
        outcomes, interrupted = runner.run(plan.cells, on_done=on_done)
    runs = [
        (place, cell, outcomes.get(index))
        for index, (place, cell) in enumerate(zip(plan.places, plan.cells, strict=True))
    ]
    return _sweep(setup, plan, runs, interrupted=interrupted)


def _carry_out_rounds(setup: Setup, plan: PointPlan, how: Rounds, runner: Runner) -> PointSweep:
    """Run a plan, and what it takes to know each of its points."""
    options = setup.options

    def run_round(title: str, cells: Sequence[Cell]) -> Round:
        left = runner.left(cells)
        with progress(f"runs, {title}", left, shown=options.show_progress) as on_done:
            return runner.run(cells, on_done=on_done)

    places = {id(place): place for place in plan.places}
    levels: dict[int, list[Cell]] = {number: [] for number in places}
    for place, cell in zip(plan.places, plan.cells, strict=True):
        levels[id(place)].append(cell)
    done = carry_out([*levels.values()], how, run_round, fail_fast=options.fail_fast)
    runs = [
        (place, cell, outcome)
        for place, level in zip(places.values(), done.runs, strict=True)
        for cell, outcome in level
    ]
    found = _sweep(setup, plan, runs, interrupted=done.interrupted)
    verdicts = dict(zip(places, done.verdicts, strict=True))
    return attrs.evolve(found, precision=how.precision, place_verdicts=verdicts)


def _sweep(
    setup: Setup,
    plan: PointPlan,
    runs: Sequence[tuple[Place, Cell, Result | Failure | None]],
    *,
    interrupted: bool,
) -> PointSweep:
    """Return what runs have shown; None stands for one that did not run."""
    finished = [(place, one) for place, _, one in runs if isinstance(one, Result)]
    return PointSweep(
        setup.systems,
        results=tuple(result for _, result in finished),
        skipped=plan.skipped,
        failed=tuple(
            FailedRun.of(cell, one, place.label)
            for place, cell, one in runs
            if isinstance(one, Failure)
        ),
        interrupted=interrupted,
        places=tuple(place for place, _ in finished),
    )
