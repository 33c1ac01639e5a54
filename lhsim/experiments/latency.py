"""E1, latency: 100 messages of a pair of agents that has the server to itself."""

from __future__ import annotations

from lhsim.experiments import sweep as sweeps
from lhsim.experiments.commands import (
    Setup,
    asked_precision,
    carry_out,
    describe,
    finish,
    precision_lines,
    prepare,
    replications_of,
    running,
)
from lhsim.experiments.levels import Horizon
from lhsim.experiments.options import Options
from lhsim.experiments.specification import MaxEvents, load_latency
from lhsim.experiments.sweep import Plan, Sweep
from lhsim.report.levels import latency_table

NO_LIMIT = MaxEvents(2**62, 2**62)  # a pair makes few


def run_latency(options: Options) -> int:
    """Run the experiment, write and show its results, and return the exit code."""
    asked = load_latency()
    precision = asked_precision(options)
    setup = prepare("latency", options, asked.systems, asked.settings)
    replications = options.replications or asked.replications
    limit = NO_LIMIT.unless(options.max_events)
    plan = sweeps.plan(
        setup.systems,
        options.agents or asked.agents,
        Horizon(duration=options.duration or asked.duration),
        replications if precision is None else precision.first(replications),
        options.seed,
        options.engine,
        limit,
    )
    with running(setup) as runner:
        sweep = carry_out(setup, plan, precision, limit, runner, title="runs")
    return finish(setup, sweep, lambda: report(setup, plan, sweep), tally=runner.tally)


def report(setup: Setup, plan: Plan, sweep: Sweep) -> str:
    """Return the results as a text."""
    workloads = dict.fromkeys(describe(system.workload) for system in setup.systems)
    title = f"{'; '.join(workloads)}; {replications_of(plan, sweep)}, seed {setup.options.seed}"
    if not sweep.results:
        return f"{title}\n\nno run was finished"
    parts = [latency_table(sweep.level_rows()), *precision_lines(sweep)]
    return "\n".join([title, "", *parts])
