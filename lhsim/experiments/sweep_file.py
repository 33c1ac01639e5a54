"""A sweep over any parameters that a file specifies: ``lhsim run FILE``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from textwrap import wrap
from typing import Any

from lhsim import _resources, parameters
from lhsim.errors import InputError, unknown_name
from lhsim.experiments.axes import AGENTS, Axis, Levels
from lhsim.experiments.finding import Picture
from lhsim.experiments.levels import Horizon
from lhsim.experiments.options import Options
from lhsim.experiments.points import Base, DesignPoint, design_points
from lhsim.experiments.setup import (
    Setup,
    find_system,
    own_settings,
    prepare,
    running,
    settings_lines,
)
from lhsim.experiments.specification import KINDS, ParameterSweep, load
from lhsim.experiments.sweep import Plan, Sweep
from lhsim.experiments.sweeping import (
    axis_values,
    carry_out,
    finish,
    planned,
    precision_lines,
    replications_of,
    sweep_finding,
)
from lhsim.report.points import WIDTH, points_table
from lhsim.report.text import three_digits

PICTURE = Picture(
    "sweep.svg",
    "p99 of the latency against the agents, or the first axis that has several numbers.",
    "A line for each system and each value of the other axes.",
)


def run_file(options: Options, path: str) -> int:
    """Run a specification, write and show its results, and return the exit code."""
    _check_kind(path)
    asked = load(path, ParameterSweep)
    axes = _axes(asked, options)
    setup = prepare(path, options, asked.systems, asked.settings, command=("run", path))
    horizon = Horizon(asked.messages, asked.min_duration, options.duration)
    limit = asked.max_events.unless(options.max_events)
    plan = planned(setup, _points(asked, setup, axes), horizon, asked.replications, limit)
    with running(setup) as runner:
        sweep = carry_out(setup, plan, runner, title="runs")
    return finish(
        setup,
        sweep,
        runner.tally,
        partial(report, setup, plan, sweep, list(axes)),
        plot="sweep",
        axes=list(axes),
        finding=lambda: sweep_finding(
            setup,
            sweep,
            title=f"Sweep {Path(path).stem}",
            question=asked.description or f"What do {', '.join(axes)} change?",
            answer=" ".join(_answers(sweep)),
            method=f"{len(plan.levels):,} points, {replications_of(plan)} each.",
            picture=PICTURE,
        ),
    )


def _answers(sweep: Sweep) -> list[str]:
    """Return the lowest and the highest p99 of each system, and where, in words."""
    said = []
    rows = sweep.level_rows()
    for name in dict.fromkeys(row["system"] for row in rows):
        its = [row for row in rows if row["system"] == name]
        known = sorted(
            (row for row in its if row["p99_latency_ms"] is not None),
            key=lambda row: row["p99_latency_ms"],
        )
        ends = [f"{_p99(row)} ({_point(sweep, row)})" for row in known[:1] + known[1:][-1:]]
        over = sum(row["overloaded"] for row in its)
        parts = [f"p99 {' to '.join(ends)}"] if ends else []
        parts += [f"{over} of {len(its)} points overloaded"] if over else []
        said.append(f"{name}: {'; '.join(parts) or 'no latency is known'}.")
    return said


def _p99(row: Mapping[str, Any]) -> str:
    return f"{three_digits(row['p99_latency_ms'])} ms"


def _point(sweep: Sweep, row: Mapping[str, Any]) -> str:
    return ", ".join([*axis_values(sweep, row), f"{row['agents']:,} agents"])


def report(setup: Setup, plan: Plan, sweep: Sweep, axes: Sequence[str]) -> str:
    """Return the results as a text of at most 80 columns, where names are not too long."""
    runs = replications_of(plan)
    lines = [f"{len(plan.levels):,} points, {runs} each, seed {setup.options.seed}"]
    lines += [*settings_lines(own_settings(setup)), ""]
    lines += [
        points_table(sweep.level_rows(), axes, sweep.units)
        if sweep.results
        else "no run was finished"
    ]
    lines += precision_lines(sweep)
    lines += [part for one in sweep.skipped for part in wrap(str(one), WIDTH)]
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
    axes = asked.parsed_axes
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


def _points(asked: ParameterSweep, setup: Setup, axes: dict[str, Axis]) -> list[DesignPoint]:
    """Return each system at each point of the design."""
    bases = []
    for system, source in zip(setup.systems, setup.sources, strict=True):
        path = find_system(source.given)
        data = parameters.apply_settings(parameters.read_toml(path), source.settings)
        bases.append(Base(system, data, path.name))
    return design_points(bases, axes, asked.design, setup.options.seed, str(Path(setup.name)))
