"""What the experiments that are sweeps share: how they run, and what they show and write."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from textwrap import wrap
from typing import Any

from attrs import asdict

from lhsim.analysis.stopping import REACHED
from lhsim.execution import Cell, Runner, Tally
from lhsim.execution.progress import progress
from lhsim.experiments import sweep as sweeps
from lhsim.experiments.ending import say, say_done, say_problems
from lhsim.experiments.finding import Column, Finding, Picture, Table
from lhsim.experiments.levels import Horizon
from lhsim.experiments.options import DONE, FAILED, INTERRUPTED
from lhsim.experiments.output import METRICS, RUNS, formatted, plots, show, write_result
from lhsim.experiments.points import DesignPoint
from lhsim.experiments.precision import precision_of
from lhsim.experiments.provenance import finding_of
from lhsim.experiments.setup import WIDTH, Setup, manifest, settings_column
from lhsim.experiments.specification import MaxEvents
from lhsim.experiments.sweep import OnDone, Plan, Sweep
from lhsim.planning import ScaleOut
from lhsim.report.marks import MARKS
from lhsim.report.text import axis_text, three_digits

FIRST = ("system", "architecture", "agents", "servers", "replications", "p50_latency_ms",
         "p95_latency_ms", "p99_latency_ms", "max_latency_ms", "mean_latency_ms",
         "latency_ci95_ms", "messages_per_second", "delivery_success_rate", "utilization",
         "bottleneck")  # fmt: skip


def planned(
    setup: Setup,
    points: Iterable[DesignPoint],
    horizon: Horizon,
    replications: int,
    limit: MaxEvents,
    scale_out: ScaleOut | None = None,
) -> Plan:
    """Return the runs of some points, in so many replications unless the options ask for others.

    Raises `InputError` when the precision asked for cannot be, or a level cannot have its agents.
    """
    options = setup.options
    precision = precision_of(
        options.precision, options.max_replications, options.replications, cli=True
    )
    number = options.replications or replications
    return sweeps.plan(setup.systems, points, horizon, number, options.seed, options.engine, limit,
                       scale_out, precision)  # fmt: skip


def carry_out(setup: Setup, plan: Plan, runner: Runner, *, title: str) -> Sweep:
    """Run a plan, and show progress under a title."""
    options = setup.options

    def show(name: str, cells: Sequence[Cell]) -> AbstractContextManager[OnDone]:
        whole = f"{title}, {name}" if name else title
        return progress(whole, runner.left(cells), shown=options.show_progress)

    return sweeps.carry_out(plan, runner, fail_fast=options.fail_fast, show=show)


def finish(
    setup: Setup,
    sweep: Sweep,
    tally: Tally,
    table: Callable[[], str],
    *,
    plot: str | None = None,
    axes: Sequence[str] = (),
    finding: Callable[[], Finding] | None = None,
) -> int:
    """Show the results, write them, and return the exit code.

    `table` makes the text for stdout, and `finding` what a report shows. `plot` is the name of the
    plot, None for none. `axes` are columns that say where a level lies, beside those of all sweeps.
    """
    options = setup.options
    rows = [_ordered(row, axes) | settings_column(setup) for row in sweep.level_rows()]
    show(formatted(rows, options.output_format, table))
    say_problems(setup, sweep.failed, sweep.skipped)
    # After what is shown: a disk that has filled up must not hide it.
    more = finding().files() if finding is not None else {}
    files = write_results(options.output_dir, sweep, manifest(setup), plot=plot, more=more)
    if not options.quiet:
        engines = {result.engine: result.engine_reason for result in sweep.results}
        say(*(f"engine {engine}: {reason}" for engine, reason in sorted(engines.items())))
    say_done(setup, tally, files, size=_size(sweep), interrupted=sweep.interrupted)
    if sweep.interrupted:
        return INTERRUPTED
    return FAILED if sweep.failed or tally.unkept else DONE


def replications_of(plan: Plan) -> str:
    """Return how many runs a level has, in words."""
    first = plan.replications
    if plan.rounds is None:
        return f"{first} run" + ("s" if first > 1 else "")
    most = plan.rounds.precision.most
    return f"{most} runs" if first == most else f"{first}-{most} runs"


def precision_lines(sweep: Sweep) -> list[str]:
    """Return what was asked of the intervals, and which levels have it, for people."""
    precision = sweep.precision
    if precision is None:
        return []
    targets = ", ".join(f"{name} to {100 * one:.3g} %" for name, one in precision.targets.items())
    joint = f"; together at least {100 * precision.joint_confidence:.0f} %"
    lines = [f"95 % intervals: {targets}" + (joint if len(precision.targets) > 1 else "")]
    missed: dict[str, list[str]] = {}
    for row in sweep.level_rows():
        if row["precision"] != REACHED:
            level = " ".join([row["system"], *axis_values(sweep, row), f"{row['agents']:,}"])
            missed.setdefault(row["precision"], []).append(level)
    lines += [f"not reached ({reason}): {'; '.join(some)}" for reason, some in missed.items()]
    folded = [part for line in lines for part in wrap(line, WIDTH)]
    return ["", *folded] if missed else ["", *folded, "reached at every level"]


def axis_values(sweep: Sweep, row: Mapping[str, Any]) -> list[str]:
    """Return where the level of a row lies on each axis but for the agents, in words."""
    return [
        f"{axis}={axis_text(row[axis], unit)}"
        for axis, unit in sweep.units.items()
        if row[axis] is not None
    ]


COLUMNS = (
    Column("system", "system"),
    Column("agents", "agents"),
    Column("servers", "servers"),
    Column("replications", "runs"),
    Column("mean_latency_ms", "mean", "ms", "latency_ci95_ms"),
    Column("p50_latency_ms", "p50", "ms", "p50_ci95_ms"),
    Column("p95_latency_ms", "p95", "ms", "p95_ci95_ms"),
    Column("p99_latency_ms", "p99", "ms", "p99_ci95_ms"),
    Column("max_latency_ms", "max", "ms"),
    Column("messages_per_second", "messages", "1/s"),
    Column("delivery_success_rate", "delivered", "share"),
    Column("backlog_growth_per_s", "backlog grows by", "1/s"),
    Column("utilization", "busiest station", "share"),
    Column("bottleneck", "which"),
)


def sweep_finding(
    setup: Setup, sweep: Sweep, *, picture: Picture | None = None, **what: Any
) -> Finding:
    """Return the finding of a sweep: `what` it found, and a table of its levels."""
    failure = sweep.failed[0].failure if sweep.failed else None
    status = "interrupted" if sweep.interrupted else "failed" if sweep.failed else "done"
    axes = tuple(Column(axis, axis, unit) for axis, unit in sweep.units.items())
    columns = (COLUMNS[0], *axes, *COLUMNS[1:])
    rows = tuple(_shown(row, columns) for row in sweep.level_rows())
    return finding_of(
        setup,
        status=status,
        error=None if failure is None else str(failure),
        traceback=None if failure is None else failure.traceback,
        tables=(Table("levels", what["title"], columns, rows),) if rows else (),
        figures=(picture,) if picture is not None and sweep.results else (),
        limits=(*map(str, sweep.skipped), *_extrapolated_lines(sweep)),
        **what,
    )


def _shown(row: Mapping[str, Any], columns: Sequence[Column]) -> dict[str, Any]:
    """Return what a report shows of a level, with its marks; a backlog only where it grows."""
    keys = [key for one in columns for key in (one.key, one.interval) if key]
    growth = row["backlog_growth_per_s"] if row["overloaded"] else None
    return {name: row[name] for name in (*keys, *MARKS)} | {"backlog_growth_per_s": growth}


def _extrapolated_lines(sweep: Sweep) -> tuple[str, ...]:
    names = dict.fromkeys(result.system for result in sweep.results if result.extrapolated)
    return tuple(f"Some levels of {name} are extrapolated." for name in names)


def _ordered(row: Mapping[str, Any], axes: Sequence[str]) -> dict[str, Any]:
    names = (*FIRST[:2], *axes, *FIRST[2:])
    return {name: row[name] for name in names} | dict(row)


def _size(sweep: Sweep) -> str:
    """Return how much was run, in words that go before how long it took."""
    events = sum(result.model_events for result in sweep.results)
    runs = f"{len(sweep.results):,} run" + ("s" if len(sweep.results) != 1 else "")
    amount = f"{events:,}" if events < 1e6 else f"{three_digits(events / 1e6)} million"
    return f"{runs}, {amount} model events in "


def write_results(
    folder: Path,
    sweep: Sweep,
    manifest: Mapping[str, Any],
    *,
    plot: str | None = None,
    more: Mapping[str, Callable[[Path], object]] | None = None,
) -> list[str]:
    """Write what a sweep showed, and return the names of the files.

    To the `manifest`, which says what made it, is added what the sweep itself knows. `plot` is the
    name of the plot without its suffix, None for none; `more` has what writes other files, by name.
    Raises `NotWrittenError` as `write_result` does.
    """
    files: dict[str, Callable[[Path], object]] = {}
    if sweep.results:
        files[RUNS] = lambda path: sweep.to_frame().to_parquet(path, index=False)
        files[METRICS] = lambda path: sweep.metrics().to_parquet(path, index=False)
        if plot is not None:
            files |= plots(sweep.plot(), plot)
    return write_result(folder, {**files, **(more or {})}, {**manifest, **_facts(sweep)})


def _facts(sweep: Sweep) -> dict[str, Any]:
    return {
        "runs": len(sweep.results),
        "axes": dict(sweep.units),
        "interrupted": sweep.interrupted,
        "engines": sorted({result.engine for result in sweep.results}),
        "knees": {
            name: {**asdict(knee), "agents": knee.agents, "sentence": knee.sentence()}
            for name, knee in sweep.knees.items()
        },
        "scale_out": None if sweep.scale_out is None else asdict(sweep.scale_out),
        "extrapolated": _extrapolated(sweep),
        "warnings": {one.name: list(one.caveats) for one in sweep.systems if one.caveats},
        "skipped": [asdict(level) for level in sweep.skipped],
        "failures": [asdict(run) for run in sweep.failed],
    }


def _extrapolated(sweep: Sweep) -> list[dict[str, Any]]:
    reasons = {
        (result.system, result.agents): result.extrapolated_because
        for result in sweep.results
        if result.extrapolated
    }
    return [
        {"system": system, "agents": agents, "because": list(because)}
        for (system, agents), because in reasons.items()
    ]
