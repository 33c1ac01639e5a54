"""Findings of experiments: what they found, with what made it."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping, Sequence
from typing import Any

from lhsim._files import read_text
from lhsim.experiments.finding import Column, Described, Finding, Picture, Table
from lhsim.experiments.output import Source, own_version
from lhsim.experiments.setup import Setup, find_system, own_settings
from lhsim.experiments.sweep import Sweep
from lhsim.models import System
from lhsim.report.marks import MARKS


def finding_of(setup: Setup, **what: Any) -> Finding:
    """Return a finding of an experiment: `what` it found, and what made it.

    What the calibrations of its systems say against them is among its limits.
    """
    what["limits"] = (*what.get("limits", ()), *warning_lines(setup.systems))
    return Finding(
        name=setup.name,
        systems=tuple(map(_described, setup.systems, setup.sources)),
        command=command_line(setup),
        seed=setup.options.seed,
        version=own_version(),
        hash=setup.specification.sha256,
        seconds=round(time.monotonic() - setup.started, 3),
        **what | {"method": _with_settings(setup, what.get("method", ""))},
    )


def _with_settings(setup: Setup, method: str) -> str:
    """Return how it was done, with what the experiment sets in the systems."""
    settings = own_settings(setup)
    said = f"The experiment sets, beyond the files of the systems: {'; '.join(settings)}."
    return f"{method} {said}".strip() if settings else method


def _described(system: System, given: Source) -> Described:
    text = read_text(find_system(given.given))
    changes = "".join(f"# set here: {one}\n" for one in given.settings)
    return Described(system.name, system.architecture, changes + text, tuple(given.settings))


def command_line(setup: Setup) -> str:
    """Return the command that does an experiment again."""
    options = setup.options
    words = ["python", "-m", "lhsim.experiments", setup.name, "--seed", str(options.seed)]
    for name, values in (("--system", options.systems), ("--set", options.settings)):
        words += [word for value in values for word in (name, value)]
    if options.agents is not None:
        words += ["--agents", ",".join(map(str, options.agents))]
    one_each = {"--replications": options.replications, "--duration": options.duration}
    one_each |= {"--agents-per-server": options.agents_per_server}
    words += [
        word for name, one in one_each.items() if one is not None for word in (name, f"{one:g}")
    ]
    words += ["--engine", options.engine] if options.engine != "auto" else []
    return shlex.join(words)


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
    """Return the finding of a sweep over the agents: `what` it found, and a table of its levels."""
    failure = sweep.failed[0].failure if sweep.failed else None
    status = "interrupted" if sweep.interrupted else "failed" if sweep.failed else "done"
    rows = tuple(map(_shown, sweep.level_rows()))
    limits = tuple(
        f"{level.system} with {level.agents:,} agents was skipped: {level.reason}"
        for level in sweep.skipped
    )
    return finding_of(
        setup,
        status=status,
        error=None if failure is None else str(failure),
        traceback=None if failure is None else failure.traceback,
        tables=(Table("levels", what["title"], COLUMNS, rows),) if rows else (),
        figures=(picture,) if picture is not None and sweep.results else (),
        limits=(*limits, *_extrapolated(sweep)),
        **what,
    )


def warning_lines(systems: Sequence[System]) -> tuple[str, ...]:
    """Return what the calibration of each system says against it."""
    return tuple(f"warning: {system.name}: {text}" for system in systems for text in system.caveats)


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a report shows of a level, with its marks; a backlog only where it grows."""
    keys = [*(column.key for column in COLUMNS), *(c.interval for c in COLUMNS if c.interval)]
    growth = row["backlog_growth_per_s"] if row["overloaded"] else None
    return {name: row[name] for name in (*keys, *MARKS)} | {"backlog_growth_per_s": growth}


def _extrapolated(sweep: Sweep) -> tuple[str, ...]:
    names = dict.fromkeys(result.system for result in sweep.results if result.extrapolated)
    return tuple(f"Some levels of {name} lie beyond its calibration." for name in names)
