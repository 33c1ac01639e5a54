"""E1, latency: 100 messages of a pair of agents that has the server to itself."""

from __future__ import annotations

from lhsim.experiments import sweep as sweeps
from lhsim.experiments.commands import Setup, describe, finish, prepare, running
from lhsim.experiments.levels import Horizon
from lhsim.experiments.options import Options
from lhsim.experiments.progress import progress
from lhsim.experiments.specification import MaxEvents, load_latency
from lhsim.experiments.sweep import Plan, Sweep
from lhsim.report.levels import latency_table

NO_LIMIT = MaxEvents(2**62, 2**62)  # a pair makes few


def run_latency(options: Options) -> int:
    """Run the experiment, write and show its results, and return the exit code."""
    asked = load_latency()
    setup = prepare("latency", options, asked.systems, asked.settings)
    plan = sweeps.plan(
        setup.systems,
        options.agents or asked.agents,
        Horizon(duration=options.duration or asked.duration),
        options.replications or asked.replications,
        options.seed,
        options.engine,
        NO_LIMIT.unless(options.max_events),
    )
    with (
        running(setup) as runner,
        progress("runs", runner.left(plan.cells), shown=options.show_progress) as on_done,
    ):
        sweep = sweeps.carry_out(plan, runner, on_done=on_done)
    return finish(setup, sweep, lambda: report(setup, plan, sweep), tally=runner.tally)


def report(setup: Setup, plan: Plan, sweep: Sweep) -> str:
    """Return the results as a text."""
    workloads = dict.fromkeys(describe(system.workload) for system in setup.systems)
    runs = "run" if plan.replications == 1 else "runs"
    title = f"{'; '.join(workloads)}; {plan.replications} {runs}, seed {setup.options.seed}"
    if not sweep.results:
        return f"{title}\n\nno run was finished"
    return f"{title}\n\n{latency_table(sweep.level_rows())}"
