"""E2, scaling: both architectures as the agents grow, and where each has its knee.

Each system is run as it is, past its knee, and scaled out in proportion to the agents.
"""

from __future__ import annotations

from functools import partial
from textwrap import wrap

from attrs import evolve

from lhsim.execution import Runner
from lhsim.experiments import sweep as sweeps
from lhsim.experiments.commands import (
    Setup,
    describe,
    finish,
    prepare,
    running,
    skipped_lines,
)
from lhsim.experiments.knees import find_knees
from lhsim.experiments.levels import Horizon
from lhsim.experiments.options import Options
from lhsim.experiments.progress import progress
from lhsim.experiments.specification import Scaling, load_scaling
from lhsim.experiments.sweep import Plan, Sweep
from lhsim.planning import ScaleOut
from lhsim.report.levels import scaling_table

WIDTH = 80  # of the text, in columns


def run_scaling(options: Options) -> int:
    """Run the experiment, write and show its results, and return the exit code."""
    asked = load_scaling()
    setup = prepare("scaling", options, asked.systems, asked.settings)
    plan = sweeps.plan(
        setup.systems,
        options.agents or asked.agents,
        Horizon(asked.messages, asked.min_duration, options.duration),
        options.replications or asked.replications,
        options.seed,
        options.engine,
        _max_events(asked, options),
        ScaleOut(options.agents_per_server) if options.agents_per_server else asked.scale_out,
    )
    with running(setup) as runner:
        sweep = _run(asked, setup, plan, runner)
    text = partial(report, setup, plan, sweep)
    return finish(setup, sweep, text, plot="scaling", tally=runner.tally)


def _max_events(asked: Scaling, options: Options) -> int:
    return options.max_events or asked.max_events.of(options.engine)


def _run(asked: Scaling, setup: Setup, plan: Plan, runner: Runner) -> Sweep:
    options = setup.options
    with progress("levels", runner.left(plan.cells), shown=options.show_progress) as on_done:
        sweep = sweeps.carry_out(plan, runner, on_done=on_done)
    if sweep.interrupted or not sweep.results or (sweep.failed and options.fail_fast):
        return sweep
    with progress("knees", (), shown=options.show_progress) as on_done:
        knees, interrupted = find_knees(
            sweep,
            asked.knee,
            seed=options.seed,
            duration=options.duration,
            engine=options.engine,
            max_events=_max_events(asked, options),
            runner=runner,
            on_done=on_done,
        )
    return evolve(sweep, knees=knees, interrupted=interrupted)


def report(setup: Setup, plan: Plan, sweep: Sweep) -> str:
    """Return the results as a text of at most 80 columns, where names are not too long."""
    workloads = dict.fromkeys(describe(system.workload) for system in setup.systems)
    runs = "run" if plan.replications == 1 else "runs"
    lines = [
        f"{'; '.join(workloads)}; {plan.replications} {runs} a level, seed {setup.options.seed}",
        *_rule(sweep),
        "",
        scaling_table(sweep.level_rows()) if sweep.results else "no run was finished",
    ]
    if sweep.results:
        lines += ["", *(f"{name}: {knee.sentence()}" for name, knee in sweep.knees.items())]
    lines += [part for line in skipped_lines(sweep) for part in wrap(line, WIDTH)]
    return "\n".join(lines)


def _rule(sweep: Sweep) -> list[str]:
    """Return what "scaled out" means, where something was."""
    if sweep.scale_out is None or all(row["servers"] == 1 for row in sweep.rows()):
        return []
    return [f"scaled out: a server for every {sweep.scale_out.agents_per_server:,} agents"]
