"""Sweeps: systems x numbers of agents x replications, as independent runs.

>>> import lhsim
>>> sweep = lhsim.sweep(["polling", "push"], agents=[10, 100, 1000], replications=3)
>>> sweep.levels()  # doctest: +SKIP

Replication r has the same seed in all systems and at all levels (common random numbers), so that
two systems see the same messages.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from itertools import combinations
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from attrs import evolve, field, frozen

from lhsim import checks
from lhsim.analysis.comparison import Comparison, compare
from lhsim.analysis.flags import OVERLOADED
from lhsim.analysis.intervals import Estimate
from lhsim.analysis.knee import Knee, Level, bracket
from lhsim.analysis.levels import Pooled, level_estimates, level_of, level_rows, metric_rows
from lhsim.analysis.measures import COLUMNS, column
from lhsim.analysis.stopping import Precision, Verdict
from lhsim.errors import InputError, LhsimError, shown
from lhsim.execution import Cell, Failure, Runner, running
from lhsim.execution.progress import PATIENCE
from lhsim.execution.progress import progress as progress_of
from lhsim.experiments import levels as levels_of
from lhsim.experiments import precision as rounds
from lhsim.experiments.axes import AGENTS, Design, Levels, Point, parse_axes
from lhsim.experiments.excel import write_excel
from lhsim.experiments.figures import axes_figure, scaling_figure
from lhsim.experiments.levels import (
    FailedRun,
    Horizon,
    Skipped,
    class_figures,
    pooled_latencies,
    window_figures,
)
from lhsim.experiments.points import Base, DesignPoint, check_names, design_points, levels
from lhsim.experiments.specification import MaxEvents
from lhsim.library import as_system
from lhsim.models import System
from lhsim.models.workload import check_count
from lhsim.planning import ScaleOut, scaled_out_name
from lhsim.planning.predictions import Intervals
from lhsim.report.levels import legend, level_table
from lhsim.report.notebook import card
from lhsim.simulation import Result
from lhsim.simulation.engines import choose
from lhsim.simulation.result import ClassResult
from lhsim.streams import MAX_SEED

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

OnDone = Callable[[Cell, Result | Failure], None]
Show = Callable[[str, Sequence[Cell]], AbstractContextManager[OnDone | None]]

EXTRAPOLATED = "; extrapolated"  # of a knee


@frozen
class Plan:
    """What a sweep will run first, what it will not, and how it goes on."""

    systems: tuple[System, ...]
    replications: int
    levels: tuple[tuple[DesignPoint, tuple[Cell, ...]], ...]  # with the replications of each
    skipped: tuple[Skipped, ...]
    scale_out: ScaleOut | None = None
    rounds: rounds.Rounds | None = None  # how it goes on from the first; None: not at all

    @property
    def cells(self) -> tuple[Cell, ...]:
        """All runs, by level and replication."""
        return tuple(cell for _, level in self.levels for cell in level)


@frozen(eq=False, repr=False)
class Sweep:
    """What a sweep showed."""

    systems: tuple[System, ...]
    results: tuple[Result, ...]  # in the order of the plan, whatever ran first
    skipped: tuple[Skipped, ...] = ()
    failed: tuple[FailedRun, ...] = ()
    interrupted: bool = False  # by Ctrl-C: only a part of the runs is there
    knees: Mapping[str, Knee] = field(factory=dict)  # by system; found, if there was a search
    scale_out: ScaleOut | None = None  # results of "NAME, scaled out" are with so many servers
    precision: Precision | None = None  # that was asked for
    # By system and agents, and the value of each other axis where there are some.
    verdicts: Mapping[tuple[Any, ...], Verdict] = field(factory=dict)
    values: tuple[Point, ...] = ()  # of each result, by axis but for the agents; (): no other axis
    units: Mapping[str, str] = field(factory=dict)  # of these axes; empty for a text
    # 90 % intervals of what one further run would show, by system and agents, then by column.
    predictions: Mapping[tuple[str, int], Intervals] = field(factory=dict)
    # Single runs by which the knees were found, by system: for the plot alone.
    approach: Mapping[str, Sequence[Result]] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        if not self.knees:
            object.__setattr__(self, "knees", self._knees_of_levels())

    def rows(self) -> list[dict[str, Any]]:
        """Return a flat record per run."""
        return [row | values for row, values in zip(self._records, self._values, strict=True)]

    def level_rows(self) -> list[dict[str, Any]]:
        """Return a flat record per system, number of agents and point of the other axes."""
        return [
            row
            | values
            | self._verdict(row, values)
            | self._predicted(row)
            | self._of_classes(row, values)
            | self._of_windows(row, values)
            for values, runs, pooled in self._levels
            for row in level_rows(runs, pooled)
        ]

    def metric_rows(self) -> list[dict[str, Any]]:
        """Return a record per level and measure, with its interval."""
        return [
            row | values
            for values, runs, pooled in self._levels
            for row in metric_rows(runs, pooled)
        ]

    def to_frame(self) -> pd.DataFrame:
        """Return a tidy row per run; units are in the names of the columns."""
        return pd.DataFrame(self.rows())

    def levels(self) -> pd.DataFrame:
        """Return a row per system and number of agents: means over the replications."""
        return pd.DataFrame(self.level_rows())

    def metrics(self) -> pd.DataFrame:
        """Return a row per system, number of agents and measure, with its 95 % interval."""
        return pd.DataFrame(self.metric_rows())

    def to_excel(self, path: str | PathLike[str]) -> None:
        """Write the levels, their measures and the runs as sheets of a workbook.

        Needs openpyxl, of the extra ``lhsim[excel]``; raises `InputError` without it, or when the
        file cannot be written.
        """
        sheets = {"levels": self.levels(), "metrics": self.metrics(), "runs": self.to_frame()}
        write_excel(path, sheets)

    def knee_sentences(self) -> dict[str, str]:
        """Return where the knee of each system lies, in words, and whether that is extrapolated."""
        known = {system.name: system for system in self.systems}
        return {
            name: knee.sentence() + (EXTRAPOLATED if _is_beyond(known.get(name), knee) else "")
            for name, knee in self.knees.items()
        }

    def compare(
        self,
        a: str,
        b: str,
        *,
        metric: str = "p99",
        agents: int,
        at: Mapping[str, Any] | None = None,
    ) -> Comparison:
        """Compare two systems with so many agents, run by run under common random numbers.

        Parameters
        ----------
        a, b
            Names of systems.
        metric
            Such as ``"p99"``; see `lhsim.analysis.measures`. Latencies are in ms.
        agents
            The level.
        at
            Values of other axes, as the rows have them; an axis of one system says nothing of the
            other. None: there is only one level with so many agents.

        Raises
        ------
        InputError
            When there is no such metric, no run of such a level, or more than one level.
        """
        name = column(metric, key="metric")
        known = sorted({run.system for run in self.results})
        for key, system in (("a", a), ("b", b)):
            checks.choice(system, key, known, "system")
        count = checks.whole_number(agents, "agents", 1)
        found = [self._level_of(system, count, at or {}) for system in (a, b)]
        if not all(found):
            counts = sorted({run.agents for run in self.results if run.system in {a, b}})
            allowed = ", ".join(map(str, counts))
            raise InputError(f"no run with {count} agents", key="agents", allowed=allowed)
        return _compared(found[0], found[1], name)

    def comparisons(self, metrics: Sequence[str] = ("mean", "p50", "p99")) -> pd.DataFrame:
        """Return a row per pair of systems at the same level, and metric; see `compare`."""
        names = checks.texts(metrics, "metrics", ", ".join(COLUMNS))
        level_pairs = [
            ((values, runs), (others, more))
            for (values, runs, _), (others, more, _) in combinations(self._levels, 2)
            if runs[0]["agents"] == more[0]["agents"]
            and runs[0]["system"] != more[0]["system"]
            and _agree(values, others)
        ]
        return pd.DataFrame(
            [
                {"a": runs[0]["system"], "b": more[0]["system"], "agents": runs[0]["agents"]}
                | {axis: others[axis] if one is None else one for axis, one in values.items()}
                | {"metric": metric}
                | _comparison_row(_compared(_by_seed(runs), _by_seed(more), column(metric)))
                for (values, runs), (others, more) in level_pairs
                for metric in names
            ]
        )

    def followed_by(
        self,
        knees: Mapping[str, Knee],
        predictions: Mapping[tuple[str, int], Intervals],
        approach: Mapping[str, Sequence[Result]],
        *,
        interrupted: bool,
    ) -> Sweep:
        """Return the sweep with what was searched after its runs, which are not digested anew."""
        found = evolve(
            self, knees=knees, predictions=predictions, approach=approach, interrupted=interrupted
        )
        for name in ("_records", "_levels"):
            object.__setattr__(found, name, getattr(self, name))
        return found

    def plot(self, ax: Axes | None = None) -> Figure:
        """Draw the latency of each level against the agents, or the first axis, as a figure."""
        if self.units:
            return axes_figure(self.level_rows(), self.units, ax)
        near = [
            run.row() | {"servers": 1}
            for name, runs in self.approach.items()
            for run in runs
            if _is_sustained(run) and run.agents not in self._counts(name)
        ]
        rows = [*self.level_rows(), *level_rows(near)]
        metrics = [*self.metric_rows(), *metric_rows(near)]
        return scaling_figure(self.systems, rows, metrics, self.knees, self.scale_out, ax)

    def _counts(self, system: str) -> set[int]:
        """Return the levels of a system."""
        return {run.agents for run in self.results if run.system == system}

    @property
    def _values(self) -> Sequence[Point]:
        return self.values or [{}] * len(self.results)

    @cached_property
    def _records(self) -> list[dict[str, Any]]:
        return [result.row() | {"servers": self._servers(result)} for result in self.results]

    @cached_property
    def _levels(self) -> list[tuple[Point, list[dict[str, Any]], Pooled]]:
        """The levels: values of the axes, the runs, and quantiles of all their messages [ms]."""
        groups: dict[tuple[Any, ...], list[int]] = {}
        for index, (row, values) in enumerate(zip(self._records, self._values, strict=True)):
            groups.setdefault((level_of(row), *values.values()), []).append(index)
        found: list[tuple[Point, list[dict[str, Any]], Pooled]] = []
        for (level, *_), chosen in groups.items():
            pooled = {level: pooled_latencies([self.results[index].latency for index in chosen])}
            found.append((self._values[chosen[0]], [self._records[i] for i in chosen], pooled))
        return found

    def _level_of(self, system: str, agents: int, at: Mapping[str, Any]) -> dict[int, Any]:
        """Return the runs of a level by their seeds; none where there is no such level."""
        for axis in at:
            checks.choice(axis, "at", self.units, "axis")
        found = [
            (values, runs)
            for values, runs, _ in self._levels
            if (runs[0]["system"], runs[0]["agents"]) == (system, agents) and _agree(values, at)
        ]
        if len(found) > 1:
            allowed = "a value of each axis, such as " + str(found[0][0])
            raise InputError(f"{len(found)} levels of {system} are so", key="at", allowed=allowed)
        return _by_seed(found[0][1]) if found else {}

    def _verdict(self, row: Mapping[str, Any], values: Point) -> dict[str, Any]:
        """Return what a level's row says of its precision, if one was asked for."""
        if self.precision is None:
            return {}
        key = (row["system"], row["agents"], *values.values())
        return verdict_columns(self.verdicts.get(key))

    def _predicted(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a level's row says of a further run, and of the knee, where that is known."""
        found = self.predictions.get((row["system"], row["agents"]))
        if found is None:
            return {}
        knee = self.knees.get(row["system"])
        return {
            "prediction90": {name: list(ends) for name, ends in found.items()},
            "knee_agents": None if knee is None else knee.agents,
        }

    def _of_classes(self, row: Mapping[str, Any], values: Point) -> dict[str, Any]:
        """Return the figures of a level by the class of the sender, where agents differ."""
        found = self._classes.get((row["system"], row["agents"], *values.values()))
        return {} if found is None or row["overloaded"] else {"classes": found}

    @cached_property
    def _classes(self) -> dict[tuple[Any, ...], dict[str, dict[str, Any]]]:
        """The figures by class of the levels that have some, by system, agents and other axes."""
        groups: dict[tuple[Any, ...], list[Mapping[str, ClassResult]]] = {}
        for result, values in zip(self.results, self._values, strict=True):
            if result.classes:
                at = result.system, result.agents, *values.values()
                groups.setdefault(at, []).append(result.classes)
        return {at: class_figures(runs) for at, runs in groups.items()}

    def _of_windows(self, row: Mapping[str, Any], values: Point) -> dict[str, Any]:
        """Return the figures of a level over its runs, where the load changes over time."""
        found = self._windows.get((row["system"], row["agents"], *values.values()))
        return {"windows": found} if found else {}

    @cached_property
    def _windows(self) -> dict[tuple[Any, ...], list[dict[str, Any]]]:
        """The figures over time of the levels whose runs are as long as half their load or more."""
        groups: dict[tuple[Any, ...], list[Result]] = {}
        for result, values in zip(self.results, self._values, strict=True):
            if result.horizon - result.drain - result.warmup >= self._half_load(result.system):
                at = result.system, result.agents, *values.values()
                groups.setdefault(at, []).append(result)
        return {at: window_figures(runs) for at, runs in groups.items()}

    def _half_load(self, name: str) -> float:
        """Return half the length of the load of a system [s]; infinite where it is one rate."""
        for system in self.systems:
            if name in {system.name, scaled_out_name(system.name)}:
                return system.workload.traffic.period / 2
        return math.inf

    def _servers(self, result: Result) -> int:
        if self.scale_out is None or result.system in {system.name for system in self.systems}:
            return 1
        return self.scale_out.servers(result.agents)

    def _knees_of_levels(self) -> dict[str, Knee]:
        if self.units:  # levels that differ in more than their agents
            return {}
        rows = self.level_rows()
        return {
            system.name: bracket(Level.of(row) for row in rows if row["system"] == system.name)
            for system in self.systems
        }

    def __repr__(self) -> str:
        """Return what was swept in a line; `levels` has the figures."""
        names = ", ".join(system.name for system in self.systems)
        parts = {"skipped": len(self.skipped), "failed": len(self.failed)}
        rest = "".join(f", {count:,} {what}" for what, count in parts.items() if count)
        interrupted = ", interrupted" if self.interrupted else ""
        return f"<{type(self).__name__} of {names}: {len(self.results):,} runs{rest}{interrupted}>"

    def _repr_html_(self) -> str:
        rows = self.level_rows()
        if not rows:
            return "<p>no run</p>"
        titles, lines = level_table(rows, self.units)
        notes = [*legend(rows), *(f"{name}: {one}" for name, one in self.knee_sentences().items())]
        most = max(row["replications"] for row in rows)
        headline = f"{len(rows)} levels, {most} run{'s' if most > 1 else ''} each at most"
        return card(headline, notes, pd.DataFrame(lines, columns=titles))


def sweep(
    systems: str | Path | System | Iterable[str | Path | System],
    agents: int | Iterable[int] | None = None,
    *,
    axes: Mapping[str, Any] | None = None,
    design: str | Design = "factorial",
    replications: int = 5,
    seed: int = 1,
    duration: float | str | None = None,
    messages: int = 20_000,
    min_duration: float | str = 20.0,
    max_events: int | None = None,
    precision: Mapping[str, float] | None = None,
    max_replications: int | None = None,
    agents_per_server: int | None = None,
    jobs: int = 1,
    executor: Executor | str | None = None,
    scheduler: str | None = None,
    folder: str | Path | None = None,
    engine: str = "auto",
    fail_fast: bool = False,
    on_done: OnDone | None = None,
    progress: bool = True,
) -> Sweep:
    """Run systems with growing numbers of agents, and values of any other parameters.

    >>> lhsim.sweep(
    ...     "polling", axes={"polling.interval": ["250 ms", "1 s"], "agents": [100, 1000]}
    ... )  # doctest: +SKIP

    Parameters
    ----------
    systems
        Systems, or names or files of some.
    agents
        The levels, each once: a number, or any iterable of some. None: they are among the `axes`.
    axes
        Values of parameters, by their paths, and of ``"agents"``: lists, or ranges such as
        ``"log 100..10000 x 5"``, as in a file (`lhsim init`). What begins with ``polling`` or
        ``push`` is an axis of the systems of that kind.
    design
        Which points of the axes' space are run: ``"factorial"``, ``"zip"``, or one of
        `lhsim.experiments.axes`.
    replications
        Runs of each level.
    seed
        From 0 to 2**63 - 1; all runs follow from it.
    duration
        Of each run, warm-up included: a number [s], or a text such as ``"2 min"``. None: as long
        as it takes for `messages` messages and for `min_duration`.
    messages, min_duration
        How many messages are created in the measured window, and how long that is [s], at least;
        the latter may be a text, too.
    max_events
        A run that may take more model events than these is skipped; see `Sweep.skipped`. None: what
        the engine does in roughly 100 seconds (`lhsim.experiments.specification.MaxEvents`).
    precision
        Replicate each level until the half-width of the 95 % interval of each named measure is at
        most so large a part of its value, as ``{"p99": 0.05}`` (`lhsim.analysis.measures`), with
        `replications`, and 10 at least, in the first round. `Sweep.verdicts` says how far each
        level has come. The runs of a level together are held to `max_events`, too.
    max_replications
        Of a level, with `precision`. None: 50.
    agents_per_server
        Run each system scaled out as well, with a server for every so many agents, wherever that is
        more than one (`lhsim.planning.scaled_out`). None: do not.
    jobs
        Runs at a time.
    executor
        ``"serial"``, ``"threads"``, ``"processes"``, ``"dask"``, or any executor of
        `concurrent.futures`. None: threads, for the SimPy engine processes. Processes and a
        cluster on this machine need ``if __name__ == "__main__"`` in a script.
    scheduler
        Address of a Dask scheduler. None: with ``"dask"``, a cluster on this machine.
    folder
        Each run is kept in its file ``cells.store`` as soon as it is finished, and runs that are
        there are not run again. None: nothing is kept.
    engine
        As in `lhsim.simulate`.
    fail_fast
        Run nothing more after a run has failed.
    on_done
        Is called with each run that is finished now, and its result.
    progress
        Say on stderr how far it is, once that takes more than some seconds; not with `on_done`.

    Returns
    -------
    Sweep
        After Ctrl-C what was finished until then.

    Raises
    ------
    InputError
        Before anything runs, when an argument cannot be used.
    LhsimError
        When every run failed, with the first failure.
    """
    chosen = _load(systems)
    counts = None if agents is None else checks.levels(agents, "agents")
    horizon = _horizon(messages, min_duration, duration)
    replications = checks.whole_number(replications, "replications", 1, checks.MOST_REPLICATIONS)
    seed = checks.whole_number(seed, "seed", 0, MAX_SEED)
    fail_fast = checks.truth(fail_fast, "fail_fast")
    shown = checks.truth(progress, "progress") and on_done is None
    checks.function(on_done, "on_done")
    limit = MaxEvents().unless(_unless_none(max_events, "max_events"))
    per_server = _unless_none(agents_per_server, "agents_per_server")
    rule = None if per_server is None else ScaleOut(per_server)
    targets = {} if precision is None else precision
    asked = rounds.precision_of(targets, max_replications, replications)
    points = _points(chosen, counts, axes, design, seed, rule)
    for point in points:
        choose(engine, point.system)
        check_count(point.system.workload, point.agents)
    prepared = plan(chosen, points, horizon, replications, seed, engine, limit, rule, asked)
    with running(
        chosen, engine, jobs, executor, folder, scheduler=scheduler, fail_fast=fail_fast
    ) as runner:
        found = carry_out(
            prepared,
            runner,
            fail_fast=fail_fast,
            show=lambda title, cells: (
                _progress(title, runner.left(cells)) if shown else nullcontext(on_done)
            ),
        )
    return _with_some(found)


def _progress(title: str, cells: Sequence[Cell]) -> AbstractContextManager[OnDone]:
    """Return what shows how far a round is, once it takes long."""
    whole = f"sweep, {title}" if title else "sweep"
    return progress_of(whole, cells, shown=True, after=PATIENCE)


def _points(
    systems: Sequence[System],
    counts: Sequence[int] | None,
    axes: Mapping[str, Any] | None,
    design: str | Design,
    seed: int,
    rule: ScaleOut | None,
) -> list[DesignPoint]:
    """Return what is asked for in Python: levels of agents, or points of a design."""
    if axes is None:
        if counts is None:
            raise InputError("is missing", key="agents", allowed="numbers of agents, or axes")
        return list(levels(systems, counts, rule))
    if not isinstance(axes, Mapping) or not axes:
        allowed = 'a table such as {"polling.interval": ["250 ms", "1 s"]}'
        problem = "is empty" if isinstance(axes, Mapping) else f"{shown(axes)} is no table"
        raise InputError(problem, key="axes", allowed=allowed)
    parsed = parse_axes(axes)
    if rule is not None:
        allowed = "together with agents, and without axes"
        raise InputError("is of no use here", key="agents_per_server", allowed=allowed)
    if (AGENTS in parsed) == (counts is not None):
        problem = "is missing" if counts is None else "is an axis, too"
        raise InputError(problem, key=AGENTS, allowed="either agents or an axis of them")
    if counts is not None:
        parsed[AGENTS] = Levels(tuple(counts))
    how = design if isinstance(design, Design) else Design.from_scalar(design)
    return design_points(
        [Base(system, None, system.name) for system in systems], parsed, how, seed, None
    )


def _horizon(messages: object, min_duration: object, duration: object) -> Horizon:
    return Horizon(
        checks.whole_number(messages, "messages", 1),
        checks.duration(min_duration, "min_duration"),
        None if duration is None else checks.duration(duration, "duration"),
    )


def _unless_none(value: object, key: str) -> int | None:
    return None if value is None else checks.whole_number(value, key, 1)


def _with_some(found: Sweep) -> Sweep:
    """Return a sweep that has a result, unless nothing has failed: what failed wholly is no answer.

    Raises
    ------
    LhsimError
        With the first failure.
    """
    if found.results or not found.failed or found.interrupted:
        return found
    count, first = len(found.failed), found.failed[0]
    failed = "the run failed" if count == 1 else f"all {count:,} runs failed, first"
    raise LhsimError(f"{failed}: {first}")


def plan(
    systems: Sequence[System],
    points: Iterable[DesignPoint],
    horizon: Horizon,
    replications: int,
    seed: int,
    engine: str,
    max_events: MaxEvents,
    scale_out: ScaleOut | None = None,
    precision: Precision | None = None,
) -> Plan:
    """Return what a sweep over points runs, and what is too much for its engine."""
    first = replications if precision is None else precision.first(replications)
    more = None if precision is None else rounds.Rounds(precision, seed, max_events)
    planned: list[tuple[DesignPoint, tuple[Cell, ...]]] = []
    skipped: list[Skipped] = []
    seeds = levels_of.seeds(seed, first)
    for point in points:
        levels_of.check_agents(point.system, point.agents)
        cells = levels_of.cells(point.system, point.agents, horizon, seeds, engine)
        reason = levels_of.why_not(cells[0], max_events)
        if reason is None:
            planned.append((point, tuple(cells)))
        else:
            architecture = point.system.architecture
            skipped.append(Skipped(point.label, architecture, point.agents, reason))
    return Plan(tuple(systems), first, tuple(planned), tuple(skipped), scale_out, more)


def carry_out(prepared: Plan, runner: Runner, *, fail_fast: bool = False, show: Show) -> Sweep:
    """Run a plan, round by round; after Ctrl-C with what was finished.

    `show` makes what is called with each finished run of a round, from its title and its runs. With
    `fail_fast` no other round is run after a run has failed.
    """

    def run_round(title: str, cells: Sequence[Cell]) -> rounds.Round:
        with show(title, cells) as on_done:
            return runner.run(cells, on_done=on_done)

    points = [point for point, _ in prepared.levels]
    first, how = [cells for _, cells in prepared.levels], prepared.rounds
    done = rounds.carry_out(first, how, run_round, fail_fast=fail_fast)
    runs = [
        (point, cell, one)
        for point, level in zip(points, done.runs, strict=True)
        for cell, one in level
    ]
    finished = [(point, one) for point, _, one in runs if isinstance(one, Result)]
    units = _units(points)
    return Sweep(
        prepared.systems,
        results=tuple(result for _, result in finished),
        skipped=prepared.skipped,
        failed=tuple(
            FailedRun.of(cell, one, point.label)
            for point, cell, one in runs
            if isinstance(one, Failure)
        ),
        interrupted=done.interrupted,
        scale_out=prepared.scale_out,
        precision=None if how is None else how.precision,
        verdicts={
            (point.system.name, point.agents, *point.values.values()): verdict
            for point, verdict in zip(points, done.verdicts, strict=True)
            if verdict is not None
        },
        values=tuple(point.values for point, _ in finished) if units else (),
        units=units,
    )


def _units(points: Sequence[DesignPoint]) -> dict[str, str]:
    """Return the axes but for the agents, with their units; no unit for a text."""
    known: dict[str, str] = {}
    for point in points:
        known |= {path: known.get(path) or point.unit(path) for path in point.values}
    return known


def _agree(values: Mapping[str, Any], others: Mapping[str, Any]) -> bool:
    """Return whether no axis has two values; a system that does not have it has None."""
    return all(
        others.get(axis) is None or one is None or others[axis] == one
        for axis, one in values.items()
    )


def _is_sustained(run: Result) -> bool:
    return Level.of(run.row()).sustained


def _by_seed(runs: Sequence[Mapping[str, Any]]) -> dict[int, Mapping[str, Any]]:
    return {run["seed"]: run for run in runs}


def _is_beyond(system: System | None, knee: Knee) -> bool:
    """Return whether a knee, or the upper end of its bracket, is extrapolated."""
    calibration = None if system is None else system.calibration
    agents = knee.high if knee.agents is None else knee.agents
    if system is None or calibration is None or agents is None or knee.bottleneck is None:
        return False
    return bool(calibration.beyond(agents, system.offered_load(agents)))


def verdict_columns(verdict: Verdict | None) -> dict[str, Any]:
    """Return what a level's row says of its precision; None: it was interrupted before."""
    reason = verdict.reason if verdict is not None else ""
    widths = dict(verdict.widths) if verdict is not None else {}
    return {"precision": reason or "interrupted", "relative_half_widths": widths}


def _compared(
    a: Mapping[int, Mapping[str, Any]], b: Mapping[int, Mapping[str, Any]], name: str
) -> Comparison:
    """Compare the runs of two levels that have a seed in common."""
    seeds = [seed for seed in a if seed in b]
    runs = [[level[seed] for seed in seeds] for level in (a, b)]
    found = compare([run[name] for run in runs[0]], [run[name] for run in runs[1]])
    own = [level_estimates(level, {}, [name])[name] for level in ([*a.values()], [*b.values()])]
    flags = [level_estimates(level, {}, [name])[name].flags if level else () for level in runs]
    both = (*flags[0], *flags[1])
    if OVERLOADED in both and not found.n:  # one of them has no such latency: nothing to compare
        unknown = Estimate(math.nan, math.nan, math.nan, 0).flagged(*both)
        return evolve(found, a=own[0], b=own[1], difference=unknown, ratio=unknown)
    return evolve(
        found,
        a=found.a.flagged(*flags[0]),
        b=found.b.flagged(*flags[1]),
        difference=found.difference.flagged(*both),
        ratio=found.ratio.flagged(*both),
    )


def _comparison_row(found: Comparison) -> dict[str, Any]:
    return {
        "a_value": found.a.value,
        "b_value": found.b.value,
        "difference": found.difference.value,
        "difference_low": found.difference.low,
        "difference_high": found.difference.high,
        "ratio": found.ratio.value,
        "ratio_low": found.ratio.low,
        "ratio_high": found.ratio.high,
        "variance_reduction": found.variance_reduction,
        "n": found.n,
        "reliable": found.ratio.reliable,
        "flags": ", ".join(found.ratio.flags),
    }


def _load(systems: str | Path | System | Iterable[str | Path | System]) -> list[System]:
    if not checks.is_several(systems):
        return [as_system(systems)]
    loaded = [as_system(one) for one in checks.items(systems, "systems", "at least one system")]
    check_names(loaded)
    return loaded
