"""E6, contention: how fast the event store takes what more and more agents write at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from lhsim.analysis.lines import Chart, Series, lines_plot
from lhsim.experiments import levels as levels_of
from lhsim.experiments.setup import Setup
from lhsim.experiments.specification import Contention
from lhsim.experiments.suites.suite import (
    Case,
    CaseRuns,
    Row,
    Suite,
    SuiteColumn,
    SuiteFinding,
    spread_of,
)
from lhsim.experiments.suites.timelines import kept, mean_ms
from lhsim.report.text import duration, percent, three_digits

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lhsim.simulation import Result

LEAD = 5.0  # before what is measured, for the agents to come [s]
FEW = 0.01  # of the events: so many that were not written leave the mean as it is
ENDS = ("", "_low", "_high")  # of a value with its interval
ALONE = 1  # writer, to which the others are compared
COLUMNS = (
    SuiteColumn("system", "system", left=True),
    SuiteColumn("agents", "writers"),
    SuiteColumn("offered_per_second", "offered/s", "1/s"),
    SuiteColumn("events_per_second", "events/s", "1/s"),
    SuiteColumn("avg_write_latency_ms", "write", "ms"),
    SuiteColumn("database_contention_factor", "factor"),
    SuiteColumn(
        "bottleneck",
        "busiest",
        "",
        lambda row: f"{row['bottleneck']} {percent(row['utilization'])}",
    ),
    SuiteColumn("utilization", "busy", "share", page_only=True),
    SuiteColumn("unwritten", "unwritten"),
)


def cases(asked: Contention, setup: Setup, replications: int) -> list[Case]:
    """Return each system with each number of writers, one of them included."""
    options = setup.options
    seeds = levels_of.seeds(options.seed, replications)
    length = options.duration or asked.duration
    levels = sorted({ALONE, *(options.agents or asked.agents)})
    return [
        Case(
            f"{agents:,} writer{'' if agents == 1 else 's'}",
            system,
            agents,
            LEAD + length,
            seeds,
            warmup=LEAD,
            drain=0.0,
            keep_messages=True,
        )
        for system in setup.systems
        for agents in levels
    ]


def judge(_asked: Contention, case_runs: Sequence[CaseRuns]) -> SuiteFinding:
    """Return how fast the writes of each case are, and that of one writer."""
    alone = {ran.case.system.name: ran for ran in case_runs if ran.case.agents == ALONE}
    rows = [_row(ran, alone[ran.case.system.name]) for ran in case_runs]
    return SuiteFinding(
        rows,
        COLUMNS,
        answer=" ".join(_sentence(rows, name) for name in alone),
        figure=partial(_figure, rows),
        caption="Mean write latency against the number of writers, with its 95 % interval.",
        alt="A line for each system; it rises steeply where the server is overloaded.",
        notes=(
            "factor: the mean write latency over that of one writer; unwritten: events of a run "
            "that were not written at its end",
            "",
        ),
    )


def writes(result: Result) -> tuple[float, float, int]:
    """Return the events written in a second, their mean latency [ms], and how many were not.

    The latency is that of the events created in the window, from then until they are stored. Those
    that have not been by the end count with their age, so that the mean is a lower bound.
    """
    records, end = kept(result), result.horizon
    created, stored = records["created"], records["stored"]
    written = (stored > 0) & (stored <= end)
    inside = created >= result.warmup
    ended = np.isin(records["outcome"], ("rejected", "dropped")) & ~written
    waiting = inside & ~written & ~ended
    latency = np.where(written, stored - created, end - created)[inside & ~ended]
    in_window = written & (stored >= result.warmup)
    rate = float(in_window.sum()) / (end - result.warmup)
    return rate, mean_ms(latency), int(waiting.sum())


def _row(ran: CaseRuns, alone: CaseRuns) -> Row:
    found = [writes(result) for result in ran.results]
    latencies = [latency for _, latency, _ in found]
    bases = [writes(result)[1] for result in alone.results]
    factors = [latency / base for latency, base in zip(latencies, bases, strict=False)]
    busiest = ran.results[0].bottleneck
    system = ran.case.system
    unwritten = round(float(np.mean([left for _, _, left in found])))
    written = float(np.mean([rate for rate, _, _ in found])) * (ran.case.duration - LEAD)
    return ran.row(
        ("database_contention_factor",),
        offered_per_second=system.offered_load(ran.case.agents),
        **spread_of("events_per_second", [rate for rate, _, _ in found]),
        **spread_of("avg_write_latency_ms", latencies),
        **spread_of("database_contention_factor", factors),
        bottleneck=busiest,
        utilization=float(np.mean([result.utilization[busiest] for result in ran.results])),
        unwritten=unwritten,
        lower_bounds=["avg_write_latency_ms"] if unwritten > FEW * written else [],
    )


def _sentence(rows: Sequence[Row], system: str) -> str:
    own = [row for row in rows if row["system"] == system]
    fine = [row for row in own if not row["overloaded"]]
    most = max(own, key=lambda row: row["events_per_second"])
    found = f"{system}: at most {three_digits(most['events_per_second'])} events/s"
    if fine:
        last = fine[-1]
        latency = duration(last["avg_write_latency_ms"] / 1e3)
        found += f"; with {last['agents']} writers a write takes {latency}"
    over = [row for row in own if row["overloaded"]]
    if over:
        first = over[0]
        found += f"; with {first['agents']} it is overloaded, and what is busy is the "
        found += f"{first['bottleneck']}"
    return found + "."


def _figure(rows: Sequence[Row]) -> Figure:
    series = []
    for number, name in enumerate(dict.fromkeys(row["system"] for row in rows)):
        own = [row for row in rows if row["system"] == name]
        x = [float(row["agents"]) for row in own]
        mean, low, high = (
            [_drawn(row[f"avg_write_latency_ms{end}"]) for row in own] for end in ENDS
        )
        series.append(Series(name, x, mean, low, high, number, markers=True))
    chart = Chart("writers", "mean write latency", log_x=True, log_y=True, ticks=x, durations=True,
                  title="The mean time of a write, by how many agents write at once")  # fmt: skip
    return lines_plot(series, chart)


def _drawn(value: float | None) -> float:
    """Return a latency as a logarithmic axis can show it."""
    return math.nan if value is None else max(value, 1e-6)


SUITE = Suite(
    name="contention",
    title="E6 contention",
    question="How fast does the event store take what more and more agents write at once?",
    kind=Contention,
    cases=cases,
    judge=judge,
    method="A write lasts from the creation of an event until it is stored, and so passes the "
    "network and the server's loop on its way. The mean is over the events created in the window; "
    "those that were not written by its end count with their age. Intervals are over the runs, "
    "which have the same seeds at all levels.",
    limits=(
        "The writers receive what the others write, as agents do: the loop that serves them is "
        "the one that writes.",
        "A server with one writer is mostly idle, and an idle server is slower (warmth): a factor "
        "below 1 is that.",
    ),
)
