"""What all sweeps show and write when they have run, as text and as files."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any

from attrs import asdict

from lhsim.analysis.stopping import REACHED
from lhsim.execution import Tally
from lhsim.experiments.finding import Finding
from lhsim.experiments.options import DONE, FAILED, INTERRUPTED
from lhsim.experiments.output import formatted, plots, show, write_files
from lhsim.experiments.setup import Setup, manifest, own_settings
from lhsim.experiments.sweep import Plan, Sweep
from lhsim.models import Workload
from lhsim.models.workload import Closed, Periodic, Piecewise, Poisson
from lhsim.report.text import axis_text, duration, three_digits

WIDTH = 80  # of the text, in columns
FIRST = ("system", "architecture", "agents", "servers", "replications", "p50_latency_ms",
         "p95_latency_ms", "p99_latency_ms", "max_latency_ms", "mean_latency_ms",
         "latency_ci95_ms", "messages_per_second", "delivery_success_rate", "utilization",
         "bottleneck")  # fmt: skip


def finish(
    setup: Setup,
    sweep: Sweep,
    table: Callable[[], str],
    *,
    plot: str | None = None,
    tally: Tally | None = None,
    axes: Sequence[str] = (),
    finding: Callable[[], Finding] | None = None,
) -> int:
    """Show the results, write them, and return the exit code.

    Parameters
    ----------
    setup
        What was prepared.
    sweep
        What was run.
    table
        Makes the text for stdout when a table is asked for.
    plot
        Name of the plot, None for none.
    tally
        What became of the cells.
    axes
        Columns of the rows that say where a level lies, beside those that all sweeps have.
    finding
        Makes what a report shows of the experiment.
    """
    options = setup.options
    rows = [_ordered(row, axes) | settings_column(setup) for row in sweep.level_rows()]
    show(formatted(rows, options.output_format, table))
    for run in sweep.failed:
        where = f"{run.system}, {run.agents:,} agents, seed {run.seed}"
        print(f"lhsim: a run failed: {where}: {run.failure}", file=sys.stderr)
    if options.output_format != "table":  # where the data has no place for it
        _say_what_was_skipped(sweep)
    # After what is shown: a disk that has filled up must not hide it.
    more = finding().files() if finding is not None else {}
    files = write_results(options.output_dir, sweep, manifest(setup), plot=plot, more=more)
    if not options.quiet:
        _say_what_happened(setup, sweep, files, tally)
    if sweep.interrupted:
        return INTERRUPTED
    return FAILED if sweep.failed or (tally is not None and tally.unkept) else DONE


def settings_lines(settings: Sequence[str], source: str = "the experiment") -> list[str]:
    """Return what `source` sets in the systems, for the head of a table; nothing for nothing."""
    if not settings:
        return []
    return wrap(f"set by {source}: {'; '.join(settings)}", WIDTH, break_on_hyphens=False)


def settings_column(setup: Setup, more: Sequence[str] = ()) -> dict[str, Any]:
    """Return what a row says of the settings of its experiment, and `more` of them."""
    return {"settings": [*own_settings(setup), *more]}


def replications_of(plan: Plan, sweep: Sweep) -> str:
    """Return how many runs a level has, in words."""
    first = plan.replications
    if sweep.precision is None:
        return f"{first} run" + ("s" if first > 1 else "")
    most = sweep.precision.most
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
            values = [
                f"{axis}={axis_text(row[axis], unit)}"
                for axis, unit in sweep.units.items()
                if row[axis] is not None
            ]
            level = " ".join([row["system"], *values, f"{row['agents']:,}"])
            missed.setdefault(row["precision"], []).append(level)
    lines += [f"not reached ({reason}): {'; '.join(some)}" for reason, some in missed.items()]
    folded = [part for line in lines for part in wrap(line, WIDTH)]
    return ["", *folded] if missed else ["", *folded, "reached at every level"]


def describe(workload: Workload) -> str:
    """Return a workload in a few words."""
    traffic = workload.traffic
    if isinstance(traffic, Poisson | Periodic):
        pace = f"{traffic.name.capitalize()} {traffic.rate:g} msg/s an agent"
    elif isinstance(traffic, Closed):
        count = (
            "messages without end" if traffic.messages is None else f"{traffic.messages} messages"
        )
        pace = f"closed loop of {count}"
    elif isinstance(traffic, Piecewise):
        pace = f"bursts around {traffic.rate_per_agent:g} msg/s an agent"
    else:
        pace = traffic.name
    return f"{workload.topology}, {pace}"


def _ordered(row: Mapping[str, Any], axes: Sequence[str]) -> dict[str, Any]:
    names = (*FIRST[:2], *axes, *FIRST[2:])
    return {name: row[name] for name in names} | dict(row)


def skipped_lines(sweep: Sweep) -> list[str]:
    """Return which levels were left out and why, a line each."""
    return [
        f"skipped: {level.system} with {level.agents:,} agents: {level.reason}"
        for level in sweep.skipped
    ]


def _say_what_was_skipped(sweep: Sweep) -> None:
    for line in skipped_lines(sweep):
        print(f"lhsim: {line}", file=sys.stderr)


def _say_what_happened(
    setup: Setup, sweep: Sweep, files: Sequence[str], tally: Tally | None
) -> None:
    engines = {result.engine: result.engine_reason for result in sweep.results}
    for engine, reason in sorted(engines.items()):
        print(f"engine {engine}: {reason}", file=sys.stderr)
    took = duration(time.monotonic() - setup.started)
    events = sum(result.model_events for result in sweep.results)
    runs = f"{len(sweep.results):,} run" + ("s" if len(sweep.results) != 1 else "")
    amount = f"{events:,}" if events < 1e6 else f"{three_digits(events / 1e6)} million"
    size = f"{runs}, {amount} model events"
    print(f"{size} in {took} with --jobs {setup.options.jobs}", file=sys.stderr)
    if tally is not None:
        print(f"runs: {tally.sentence()}", file=sys.stderr)
    print(f"{', '.join(files)} in {setup.options.output_dir}", file=sys.stderr)
    if sweep.interrupted:
        print("lhsim: interrupted; this is what was finished", file=sys.stderr)


def write_results(
    folder: Path,
    sweep: Sweep,
    manifest: Mapping[str, Any],
    *,
    plot: str | None = None,
    more: Mapping[str, Callable[[Path], object]] | None = None,
) -> list[str]:
    """Write what a sweep showed; return the names of the files.

    Parameters
    ----------
    folder
        Is created when it is not there; files of an earlier run are replaced.
    sweep
        What was run.
    manifest
        What made it; what the sweep itself knows is added.
    plot
        Name of the plot without its suffix; None for no plot.
    more
        What writes other files, by their names.

    Raises
    ------
    NotWrittenError
        As `write_files` does.
    """
    files: dict[str, Callable[[Path], object]] = {}
    if sweep.results:
        files["runs.parquet"] = lambda path: sweep.to_frame().to_parquet(path, index=False)
        files["metrics.parquet"] = lambda path: sweep.metrics().to_parquet(path, index=False)
        if plot is not None:
            files |= plots(sweep.plot(), plot)
    files["manifest.json"] = lambda path: path.write_text(
        json.dumps({**manifest, **_facts(sweep)}, indent=2, allow_nan=False) + "\n",
        encoding="utf-8",
    )
    return write_files(folder, {**files, **(more or {})})


def _facts(sweep: Sweep) -> dict[str, Any]:
    return {
        "runs": len(sweep.results),
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
