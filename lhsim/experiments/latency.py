"""E1, latency: 100 messages of a pair of agents that has the server to itself."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

from lhsim.experiments.levels import Horizon
from lhsim.experiments.options import Options
from lhsim.experiments.points import levels
from lhsim.experiments.setup import Setup, described, own_settings, prepare, running, settings_lines
from lhsim.experiments.specification import Latency, load
from lhsim.experiments.sweep import Plan, Sweep
from lhsim.experiments.sweeping import (
    carry_out,
    finish,
    planned,
    precision_lines,
    replications_of,
    sweep_finding,
)
from lhsim.report import marks
from lhsim.report.levels import latency_table
from lhsim.report.text import UNKNOWN, duration, three_digits

MS = 1e3
QUESTION = "How long does a message take between two agents that have the server to themselves?"
METHOD = (
    "A closed loop of 100 messages with a random pause between them, so that they meet the poller "
    "at every phase of its sleep. Quantiles are those of the messages of all runs; intervals are "
    "over the runs."
)


def run_latency(options: Options) -> int:
    """Run the experiment, write and show its results, and return the exit code."""
    asked = load("latency", Latency)
    setup = prepare("latency", options, asked.systems, asked.settings)
    points = levels(setup.systems, options.agents or asked.agents)
    horizon = Horizon(duration=options.duration or asked.duration)
    limit = asked.max_events.unless(options.max_events)
    plan = planned(setup, points, horizon, asked.replications, limit)
    with running(setup) as runner:
        sweep = carry_out(setup, plan, runner, title="runs")
    return finish(
        setup,
        sweep,
        runner.tally,
        lambda: report(setup, plan, sweep),
        finding=lambda: sweep_finding(
            setup, sweep, title="E1 latency", question=QUESTION, answer=answer(sweep), method=METHOD
        ),
    )


def answer(sweep: Sweep) -> str:
    """Return the latencies of all systems, and their ratio where there are two, in a sentence."""
    rows = sweep.level_rows()
    known = [row for row in rows if row["mean_latency_ms"] is not None]
    means = [f"{_mean(row)} with {row['system']}" for row in known]
    found = "A message takes " + ", ".join(means) + " in the mean." if means else ""
    over = [row["system"] for row in rows if row["overloaded"]]
    found += f" {' and '.join(over)}: {marks.OVERLOADED}." if over else ""
    if len(known) != 2 or known[0]["agents"] != known[1]["agents"]:
        return found
    slow, quick = sorted(known, key=lambda row: -row["mean_latency_ms"])
    ratio = sweep.compare(
        slow["system"], quick["system"], metric="mean", agents=slow["agents"]
    ).ratio
    ends = f" ({three_digits(ratio.low)}-{three_digits(ratio.high)})" if ratio.reliable else ""
    if math.isnan(ratio.value):
        return found
    return f"{found} {slow['system']} takes {three_digits(ratio.value)}{ends} times as long."


def _mean(row: Mapping[str, Any]) -> str:
    name = "mean_latency_ms"
    text = partial(duration, row[name] / MS)
    return marks.marked(row, name, text, UNKNOWN, in_row=False)


def report(setup: Setup, plan: Plan, sweep: Sweep) -> str:
    """Return the results as a text."""
    workloads = dict.fromkeys(described(one) for one in setup.systems)
    title = f"{'; '.join(workloads)}; {replications_of(plan)}, seed {setup.options.seed}"
    if not sweep.results:
        return f"{title}\n\nno run was finished"
    parts = [latency_table(sweep.level_rows()), *precision_lines(sweep)]
    return "\n".join([title, "", *parts, "", *settings_lines(own_settings(setup))])
