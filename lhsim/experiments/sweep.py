"""Sweeps: systems x numbers of agents x replications, as independent runs.

>>> import lhsim
>>> sweep = lhsim.sweep(["polling", "push"], agents=[10, 100, 1000], replications=3)
>>> sweep.levels()  # doctest: +SKIP

Replication r has the same seed in all systems and at all levels (common random numbers), so that
two systems see the same messages.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import evolve, field, frozen

from lhsim import checks
from lhsim.errors import InputError, LhsimError
from lhsim.execution import Cell, Failure, Runner, running
from lhsim.experiments import levels as levels_of
from lhsim.experiments import precision as rounds
from lhsim.experiments.levels import Horizon, Skipped
from lhsim.experiments.records import pooled_latencies, run_record
from lhsim.experiments.specification import MaxEvents
from lhsim.planning import ScaleOut, scaled_out, scaled_out_name
from lhsim.streams import MAX_SEED

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lhsim.analysis.comparison import Comparison
    from lhsim.analysis.intervals import Estimate
    from lhsim.analysis.knee import Knee, Level
    from lhsim.analysis.stopping import Precision, Verdict
    from lhsim.metrics import Latency
    from lhsim.models import System
    from lhsim.simulation import Result

OnDone = Callable[[Cell, "Result | Failure"], None]
Show = Callable[[str, Sequence[Cell]], AbstractContextManager[OnDone | None]]


EXTRAPOLATED = "; extrapolated"  # of a knee


@frozen
class Plan:
    """What a sweep will run, and what it will not."""

    systems: tuple[System, ...]
    replications: int
    cells: tuple[Cell, ...]  # by system, scaled out or not, number of agents and replication
    skipped: tuple[Skipped, ...]
    scale_out: ScaleOut | None = None


@frozen
class FailedRun:
    """A run that has no result."""

    system: str
    architecture: str
    agents: int
    seed: int
    failure: Failure

    @classmethod
    def of(cls, cell: Cell, failure: Failure, system: str | None = None) -> FailedRun:
        """Return the run of a cell that has failed; its system may have another name."""
        own = cell.system
        return cls(system or own.name, own.architecture, cell.agents, cell.seed, failure)


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
    verdicts: Mapping[tuple[str, int], Verdict] = field(factory=dict)  # by system and agents

    def __attrs_post_init__(self) -> None:
        if not self.knees:
            object.__setattr__(self, "knees", self._knees_of_levels())

    def rows(self) -> list[dict[str, Any]]:
        """Return a flat record per run."""
        return [run_record(result) | {"servers": self._servers(result)} for result in self.results]

    def level_rows(self) -> list[dict[str, Any]]:
        """Return a flat record per system and number of agents."""
        from lhsim.analysis.levels import level_rows  # noqa: PLC0415 - imports scipy

        rows = level_rows(self.rows(), self._pooled)
        return rows if self.precision is None else [row | self._verdict(row) for row in rows]

    def metric_rows(self) -> list[dict[str, Any]]:
        """Return a record per system, number of agents and measure, with its interval."""
        from lhsim.analysis.levels import metric_rows  # noqa: PLC0415 - imports scipy

        return metric_rows(self.rows(), self._pooled)

    def to_frame(self) -> pd.DataFrame:
        """Return a tidy row per run; units are in the names of the columns."""
        import pandas as pd  # noqa: PLC0415 - a late import keeps the command line quick

        return pd.DataFrame(self.rows())

    def levels(self) -> pd.DataFrame:
        """Return a row per system and number of agents: means over the replications."""
        import pandas as pd  # noqa: PLC0415 - a late import keeps the command line quick

        return pd.DataFrame(self.level_rows())

    def metrics(self) -> pd.DataFrame:
        """Return a row per system, number of agents and measure, with its 95 % interval."""
        import pandas as pd  # noqa: PLC0415 - a late import keeps the command line quick

        return pd.DataFrame(self.metric_rows())

    def knee_sentences(self) -> dict[str, str]:
        """Return where the knee of each system lies, in words, and whether that is extrapolated."""
        known = {system.name: system for system in self.systems}
        return {
            name: knee.sentence() + (EXTRAPOLATED if _is_beyond(known.get(name), knee) else "")
            for name, knee in self.knees.items()
        }

    def compare(self, a: str, b: str, *, metric: str = "p99", agents: int) -> Comparison:
        """Compare two systems with so many agents, run by run under common random numbers.

        Parameters
        ----------
        a, b
            Names of systems.
        metric
            Such as ``"p99"``; see `lhsim.analysis.measures`. Latencies are in ms.
        agents
            The level.

        Raises
        ------
        InputError
            When there is no such metric, or no run of such a level.
        """
        from lhsim.analysis.measures import column  # noqa: PLC0415 - as late as the analysis

        name = column(metric, key="metric")
        known = sorted({run.system for run in self.results})
        for key, system in (("a", a), ("b", b)):
            checks.choice(system, key, known, "system")
        count = checks.whole_number(agents, "agents", 1)
        both = [self._runs(system, count) for system in (a, b)]
        if not all(both):
            levels = sorted({run.agents for run in self.results if run.system in {a, b}})
            allowed = ", ".join(map(str, levels))
            raise InputError(f"no run with {count} agents", key="agents", allowed=allowed)
        return _compared(both[0], both[1], name)

    def comparisons(self, metrics: Sequence[str] = ("mean", "p50", "p99")) -> pd.DataFrame:
        """Return a row per pair of systems, number of agents and metric; see `compare`."""
        import pandas as pd  # noqa: PLC0415 - a late import keeps the command line quick

        from lhsim.analysis.measures import COLUMNS  # noqa: PLC0415 - as late as the analysis

        names = checks.texts(metrics, "metrics", ", ".join(COLUMNS))
        levels = {(run.system, run.agents): None for run in self.results}
        pairs = [
            (a, b, agents)
            for (a, agents), (b, others) in combinations(levels, 2)
            if agents == others
        ]
        return pd.DataFrame(
            [
                {"a": a, "b": b, "agents": agents, "metric": metric}
                | _comparison_row(self.compare(a, b, metric=metric, agents=agents))
                for a, b, agents in pairs
                for metric in names
            ]
        )

    def plot(self, ax: Axes | None = None) -> Figure:
        """Draw p50 and p99 of the latency against the agents, and return the figure."""
        from lhsim.experiments.figures import scaling_figure  # noqa: PLC0415 - imports matplotlib

        return scaling_figure(self, ax)

    @cached_property
    def _pooled(self) -> dict[tuple[Any, ...], dict[str, Estimate]]:
        """The quantiles of the messages of all replications of each level [ms]."""
        from lhsim.analysis.levels import level_of  # noqa: PLC0415 - imports scipy

        latencies: dict[tuple[Any, ...], list[Latency]] = {}
        for row, result in zip(self.rows(), self.results, strict=True):
            latencies.setdefault(level_of(row), []).append(result.latency)
        return {level: pooled_latencies(some) for level, some in latencies.items()}

    def _runs(self, system: str, agents: int) -> dict[int, dict[str, Any]]:
        """Return the records of a level by their seeds."""
        level = [run for run in self.results if (run.system, run.agents) == (system, agents)]
        return {run.seed: run_record(run) for run in level}

    def _verdict(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a level's row says of its precision."""
        return verdict_columns(self.verdicts.get((row["system"], row["agents"])))

    def _servers(self, result: Result) -> int:
        if self.scale_out is None or result.system in {system.name for system in self.systems}:
            return 1
        return self.scale_out.servers(result.agents)

    def _knees_of_levels(self) -> dict[str, Knee]:
        from lhsim.analysis.knee import bracket  # noqa: PLC0415 - as late as the analysis

        rows = self.level_rows() if self.results else []
        return {
            system.name: bracket(knee_level(row) for row in rows if row["system"] == system.name)
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
        import pandas as pd  # noqa: PLC0415 - a late import keeps the command line quick

        from lhsim.report.levels import legend, level_table  # noqa: PLC0415
        from lhsim.report.notebook import card  # noqa: PLC0415

        rows = self.level_rows()
        if not rows:
            return "<p>no run</p>"
        titles, lines = level_table(rows, self.units)
        notes = [*legend(rows), *(f"{name}: {one}" for name, one in self.knee_sentences().items())]
        most = max(row["replications"] for row in rows)
        headline = f"{len(rows)} levels, {most} run{'s' if most > 1 else ''} each at most"
        return card(headline, notes, pd.DataFrame(lines, columns=titles))

    @property
    def units(self) -> Mapping[str, str]:
        """The columns of rows that say where a level lies, beside its agents, with their units."""
        return {}


def sweep(
    systems: str | Path | System | Iterable[str | Path | System],
    agents: int | Iterable[int],
    *,
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
) -> Sweep:
    """Run systems with growing numbers of agents.

    Parameters
    ----------
    systems
        Systems, or names or files of some.
    agents
        The levels, each once: a number, or any iterable of some.
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
    counts = checks.levels(agents, "agents")
    horizon = _horizon(messages, min_duration, duration)
    replications = checks.whole_number(replications, "replications", 1, checks.MOST_REPLICATIONS)
    seed = checks.whole_number(seed, "seed", 0, MAX_SEED)
    fail_fast = checks.truth(fail_fast, "fail_fast")
    checks.function(on_done, "on_done")
    limit = MaxEvents().unless(_unless_none(max_events, "max_events"))
    per_server = _unless_none(agents_per_server, "agents_per_server")
    rule = None if per_server is None else ScaleOut(per_server)
    targets = {} if precision is None else precision
    asked = rounds.precision_of(targets, max_replications, replications)
    first = replications if asked is None else asked.first(replications)
    _check_runs(chosen, counts, engine)
    prepared = plan(chosen, counts, horizon, first, seed, engine, limit, rule)
    with running(
        chosen, engine, jobs, executor, folder, scheduler=scheduler, fail_fast=fail_fast
    ) as runner:
        if asked is None:
            return _with_some(carry_out(prepared, runner, on_done=on_done))
        found = carry_out_rounds(
            prepared,
            rounds.Rounds(asked, seed, limit),
            runner,
            fail_fast=fail_fast,
            show=lambda _title, _cells: nullcontext(on_done),
        )
        return _with_some(found)


def _check_runs(systems: Sequence[System], counts: Sequence[int], engine: str) -> None:
    """Refuse numbers of agents that a system cannot have, and an engine that cannot run it."""
    from lhsim.models.workload import check_count  # noqa: PLC0415 - imports the models
    from lhsim.simulation.engines import choose  # noqa: PLC0415

    for system in systems:
        choose(engine, system)
        for count in counts:
            check_count(system.workload, count)


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
    where = f"{first.system}, {first.agents:,} agents, seed {first.seed}"
    failed = "the run failed" if count == 1 else f"all {count:,} runs failed, first"
    raise LhsimError(f"{failed}: {where}: {first.failure}")


def plan(
    systems: Sequence[System],
    agents: Iterable[int],
    horizon: Horizon,
    replications: int,
    seed: int,
    engine: str,
    max_events: MaxEvents,
    scale_out: ScaleOut | None = None,
) -> Plan:
    """Return what a sweep runs, and what is too much for its engine."""
    cells: list[Cell] = []
    skipped: list[Skipped] = []
    seeds = levels_of.seeds(seed, replications)
    counts = sorted(agents)
    for given in systems:
        for system, count in _levels(given, counts, scale_out):
            levels_of.check_agents(system, count)
            level = levels_of.cells(system, count, horizon, seeds, engine)
            reason = levels_of.why_not(level[0], max_events)
            if reason is None:
                cells += level
            else:
                skipped.append(Skipped(system.name, system.architecture, count, reason))
    return Plan(tuple(systems), replications, tuple(cells), tuple(skipped), scale_out)


def _levels(
    system: System, counts: Sequence[int], scale_out: ScaleOut | None
) -> Iterator[tuple[System, int]]:
    """Yield a system with each number of agents, then scaled out where that is not the same."""
    yield from ((system, count) for count in counts)
    if scale_out is not None:
        for count in counts:
            servers = scale_out.servers(count)
            if servers > 1:
                yield scaled_out(system, servers), count


def carry_out(
    prepared: Plan, runner: Runner | None = None, *, on_done: OnDone | None = None
) -> Sweep:
    """Run a plan; after Ctrl-C with what was finished until then."""
    outcomes, interrupted = (runner or Runner()).run(prepared.cells, on_done=on_done)
    runs = [(cell, outcomes.get(index)) for index, cell in enumerate(prepared.cells)]
    return collect(prepared, runs, interrupted=interrupted)


def carry_out_rounds(
    prepared: Plan,
    how: rounds.Rounds,
    runner: Runner,
    *,
    fail_fast: bool = False,
    show: Show,
) -> Sweep:
    """Run a plan, and what it takes to know its levels; after Ctrl-C with what was finished.

    Parameters
    ----------
    prepared
        The runs of the first round.
    how
        How it goes on.
    runner
        Runs them.
    fail_fast
        Run no other round after a run has failed.
    show
        Makes what is called with each finished run of a round, from its title and its runs.
    """

    def run_round(title: str, cells: Sequence[Cell]) -> rounds.Round:
        with show(title, cells) as on_done:
            return runner.run(cells, on_done=on_done)

    levels: dict[tuple[str, int], list[Cell]] = {}
    for cell in prepared.cells:
        levels.setdefault((cell.system.name, cell.agents), []).append(cell)
    done = rounds.carry_out([*levels.values()], how, run_round, fail_fast=fail_fast)
    runs = [run for level in done.runs for run in level]
    found = collect(prepared, runs, interrupted=done.interrupted)
    verdicts = {key: verdict for key, verdict in zip(levels, done.verdicts, strict=True) if verdict}
    return evolve(found, precision=how.precision, verdicts=verdicts)


def collect(
    prepared: Plan, runs: Sequence[tuple[Cell, Result | Failure | None]], *, interrupted: bool
) -> Sweep:
    """Return what the runs of a plan have shown; None stands for one that did not run."""
    return Sweep(
        prepared.systems,
        results=tuple(one for _, one in runs if one is not None and not isinstance(one, Failure)),
        skipped=prepared.skipped,
        failed=tuple(FailedRun.of(cell, one) for cell, one in runs if isinstance(one, Failure)),
        interrupted=interrupted,
        scale_out=prepared.scale_out,
    )


def _is_beyond(system: System | None, knee: Knee) -> bool:
    """Return whether a knee, or the upper end of its bracket, is beyond the calibration."""
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


def knee_level(record: Mapping[str, Any]) -> Level:
    """Return what a level's row, or a run's, says about the knee."""
    from lhsim.analysis.flags import SHORT_WARMUP  # noqa: PLC0415 - as late as the analysis
    from lhsim.analysis.knee import Level  # noqa: PLC0415

    flags = record.get("flags")  # of a level by measure; of a run as a text, beside `short_warmup`
    doubts = {flag for one in flags.values() for flag in one} if isinstance(flags, dict) else set()
    short = SHORT_WARMUP in doubts or bool(record.get("short_warmup"))
    return Level(
        agents=record["agents"],
        utilization=record["utilization"],
        bottleneck=record["bottleneck"],
        overloaded=record["overloaded"],
        short_warmup=short and not record["overloaded"],  # a backlog that grows looks like one
    )


def _compared(
    a: Mapping[int, Mapping[str, Any]], b: Mapping[int, Mapping[str, Any]], name: str
) -> Comparison:
    """Compare the runs of two levels that have a seed in common."""
    from lhsim.analysis.comparison import compare  # noqa: PLC0415 - imports scipy
    from lhsim.analysis.flags import OVERLOADED  # noqa: PLC0415
    from lhsim.analysis.intervals import Estimate  # noqa: PLC0415
    from lhsim.analysis.levels import level_estimates  # noqa: PLC0415

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
    from lhsim.library import as_system  # noqa: PLC0415 - imports the models

    if not checks.is_several(systems):
        return [as_system(systems)]
    loaded = [as_system(one) for one in checks.items(systems, "systems", "at least one system")]
    check_names(loaded)
    return loaded


def check_names(systems: Sequence[System]) -> None:
    """Refuse two systems that results could not tell apart."""
    seen: set[str] = set()
    names = [system.name for system in systems]
    for name in (*names, *map(scaled_out_name, names)):
        if name in seen:
            problem = f"two systems are called {name!r}"
            raise InputError(problem, source="--system", allowed="systems with different names")
        seen.add(name)
