"""What the commands of all experiments have in common: systems in, results out."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from textwrap import wrap
from typing import Any

from attrs import asdict, frozen

from lhsim import _resources, execution, parameters
from lhsim.analysis.stopping import REACHED, Precision
from lhsim.errors import InputError
from lhsim.execution import Cell, Runner, Tally
from lhsim.experiments import sweep as sweeps
from lhsim.experiments.finding import Finding
from lhsim.experiments.options import DONE, FAILED, INTERRUPTED, Options
from lhsim.experiments.output import Source, check_folder, source, versions, write_results
from lhsim.experiments.precision import Rounds, precision_of
from lhsim.experiments.progress import progress
from lhsim.experiments.specification import MaxEvents
from lhsim.experiments.sweep import OnDone, Plan, Sweep, check_names
from lhsim.library import configured, load_system
from lhsim.models import System, Workload
from lhsim.models.workload import Closed, Periodic, Piecewise, Poisson
from lhsim.report.text import axis_text, duration, three_digits

WIDTH = 80  # of the text, in columns
FIRST = ("system", "architecture", "agents", "servers", "replications", "p50_latency_ms",
         "p95_latency_ms", "p99_latency_ms", "max_latency_ms", "mean_latency_ms",
         "latency_ci95_ms", "messages_per_second", "delivery_success_rate", "utilization",
         "bottleneck")  # fmt: skip


@frozen
class Setup:
    """An experiment before it runs: everything is checked."""

    name: str
    options: Options
    systems: tuple[System, ...]
    sources: tuple[Source, ...]  # of the systems
    specification: Source
    started: float  # [s], on the monotonic clock
    settings: tuple[str, ...] = ()  # what the experiment's file says


def prepare(name: str, options: Options, systems: Sequence[str], settings: Sequence[str]) -> Setup:
    """Load the systems that were asked for, else those of the experiment, and check the output.

    Parameters
    ----------
    name
        Of the experiment.
    options
        What was asked for.
    systems, settings
        What the experiment's file says.
    """
    started = time.monotonic()
    chosen = options.systems or tuple(systems)
    parameters.each_once(settings, source=f"{name}: settings")
    for setting in parameters.each_once(options.settings, source="--set"):
        _check_target(setting, chosen)
    loaded, sources = [], []
    for given in chosen:
        system, its_settings = _load(given, settings, options.settings)
        loaded.append(system)
        sources.append(source(given, find_system(given), its_settings))
    check_names(loaded)
    check_folder(options.output_dir)
    specification = source(name, _resources.find("experiments", name))
    return Setup(
        name, options, tuple(loaded), tuple(sources), specification, started, tuple(settings)
    )


def own_settings(setup: Setup) -> tuple[str, ...]:
    """Return what the experiment's own file sets in the systems, beyond their files."""
    kinds = {None, *(system.architecture for system in setup.systems)}
    return tuple(one for one in setup.settings if server_of(one) in kinds)


def settings_lines(settings: Sequence[str], source: str = "the experiment") -> list[str]:
    """Return what `source` sets in the systems, for the head of a table; nothing for nothing."""
    if not settings:
        return []
    return wrap(f"set by {source}: {'; '.join(settings)}", WIDTH, break_on_hyphens=False)


def varied(setup: Setup, number: int, settings: Sequence[str]) -> System:
    """Return a system of an experiment with more settings, below those of the command line."""
    system, given = setup.systems[number], setup.sources[number].given
    own = [one for one in settings if server_of(one) in {None, system.architecture}]
    return _load(given, (*setup.settings, *own), setup.options.settings)[0]


@contextmanager
def running(setup: Setup, systems: Sequence[System] = ()) -> Iterator[Runner]:
    """Yield what runs cells as the options say, and keeps them in the output folder.

    What will run, where it is more than the systems of the experiment, are `systems`.
    """
    options = setup.options
    with execution.running(
        systems or setup.systems,
        options.engine,
        options.jobs,
        options.executor,
        options.output_dir,
        scheduler=options.scheduler,
        fresh=options.fresh,
        fail_fast=options.fail_fast,
    ) as runner:
        say_notices(runner)
        yield runner


def say_notices(runner: Runner) -> None:
    """Say what was wrong with the store of a runner."""
    for notice in runner.notices:
        print(f"lhsim: {notice}", file=sys.stderr)


def asked_precision(options: Options) -> Precision | None:
    """Return the precision that was asked for on the command line, or None.

    Raises
    ------
    InputError
        When it cannot be.
    """
    return precision_of(options.precision, options.max_replications, options.replications, cli=True)


def carry_out(
    setup: Setup,
    plan: Plan,
    precision: Precision | None,
    max_events: MaxEvents,
    runner: Runner,
    *,
    title: str,
) -> Sweep:
    """Run a plan, or as many rounds as a precision takes, and show progress under a title."""
    options = setup.options
    if precision is None:
        with progress(title, runner.left(plan.cells), shown=options.show_progress) as on_done:
            return sweeps.carry_out(plan, runner, on_done=on_done)

    def show(name: str, cells: Sequence[Cell]) -> AbstractContextManager[OnDone]:
        left = runner.left(cells)
        return progress(f"{title}, {name}", left, shown=options.show_progress)

    how = Rounds(precision, options.seed, max_events)
    return sweeps.carry_out_rounds(plan, how, runner, fail_fast=options.fail_fast, show=show)


def replications_of(plan: Plan, sweep: Sweep) -> str:
    """Return how many runs a level has, in words."""
    return runs_of(plan.replications, sweep)


def runs_of(replications: int, sweep: Sweep) -> str:
    """Return how many runs a level has, in words, where the first round has `replications`."""
    if sweep.precision is None:
        return f"{replications} run" + ("s" if replications > 1 else "")
    most = sweep.precision.most
    return f"{most} runs" if replications == most else f"{replications}-{most} runs"


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


def show(text: str) -> None:
    """Print to stdout; a reader that has gone, such as ``head``, is no error."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # Python would try again, and complain, when it flushes stdout at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


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


def find_system(given: str) -> Path:
    """Return the file of a system that was asked for, by name or as a path."""
    try:
        return _resources.find("models", given)
    except InputError as error:
        if error.source is None:  # an unknown name; a file stands for itself
            error = InputError(error.problem, source="--system", allowed=error.allowed)
        raise error from None


def _load(
    given: str, settings: Sequence[str], own: Sequence[str]
) -> tuple[System, tuple[str, ...]]:
    """Return a system as its file, the experiment and then the user have it, and the settings."""
    path = find_system(given)
    system = load_system(path)  # its architecture says which settings are for it
    all_settings = (
        *(one for one in settings if server_of(one) in {None, system.architecture}),
        *(one for one in own if server_of(one) in {None, system.architecture}),
    )
    return configured(path, all_settings, source="--set"), all_settings


def _check_target(setting: str, chosen: Sequence[str]) -> None:
    """Refuse a setting of a server that none of the chosen systems has."""
    server = server_of(setting)
    if server is not None and all(
        load_system(find_system(one)).architecture != server for one in chosen
    ):
        problem = f"no chosen system is one of {server}"
        raise InputError(problem, source="--set", key=setting.partition("=")[0].strip())


def server_of(setting: str) -> str | None:
    """Return the architecture whose server a setting changes, None for what all systems have."""
    step = setting.partition("=")[0].partition(".")[0].strip()
    return {"polling": "polling", "push": "push", "server": "own"}.get(step)


def _ordered(row: Mapping[str, Any], axes: Sequence[str]) -> dict[str, Any]:
    names = (*FIRST[:2], *axes, *FIRST[2:])
    return {name: row[name] for name in names} | dict(row)


def settings_column(setup: Setup, more: Sequence[str] = ()) -> dict[str, Any]:
    """Return what a row says of the settings of its experiment, and `more` of them."""
    return {"settings": [*own_settings(setup), *more]}


def formatted(rows: list[dict[str, Any]], how: str, table: Callable[[], str]) -> str:
    """Return rows as JSON or CSV, or the table."""
    if how == "json":
        return json.dumps(rows, indent=2, allow_nan=False)
    if how == "csv":
        return _csv(rows)
    return table()


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    flat = [_flat(row) for row in rows]
    names = list(dict.fromkeys(name for row in flat for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return text.getvalue().rstrip("\n")


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if name.endswith("_ci95_ms"):
            low, high = value or (None, None)
            what = name.removesuffix("_ms")
            flat |= {f"{what}_low_ms": low, f"{what}_high_ms": high}
        elif name == "flags":
            flat[name] = "; ".join(f"{key}: {', '.join(why)}" for key, why in value.items())
        elif name == "settings":
            flat[name] = "; ".join(value)
        elif name == "relative_half_widths":
            flat |= {f"{measure}_relative_half_width": width for measure, width in value.items()}
        else:
            flat[name] = " ".join(value) if name == "lower_bounds" else value
    return flat


def manifest(setup: Setup) -> dict[str, Any]:
    """Return what made the results of an experiment."""
    options = asdict(setup.options)
    options["output_dir"] = str(options["output_dir"])
    return {
        "experiment": setup.name,
        "options": options,
        "seed": setup.options.seed,
        "versions": versions(),
        "specification": asdict(setup.specification),
        "systems": [
            {"name": system.name, "architecture": system.architecture, **asdict(one)}
            for system, one in zip(setup.systems, setup.sources, strict=True)
        ],
    }


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
