"""Failure: what hits a server, and what the retries of its agents make of it.

With an attempt limit of k, agents that are never answered in time offer k times their load. Where
k times the utilisation is more than 1, an overload that has once begun keeps itself up: the server
works on attempts that were given up, so that further ones time out. It is *metastable*: it stays
when what began it is gone (Bronson et al. 2021, Metastable Failures in Distributed Systems). A
retry budget of b bounds the load by 1 + b. Back-off does not change the load: it helps where it is
longer than the time in which the server works off what the trigger has left.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from attrs import evolve

from lhsim.experiments import levels as levels_of
from lhsim.experiments.setup import Setup, varied
from lhsim.experiments.specification import Failures, Situation
from lhsim.experiments.suites.suite import (
    Case,
    CaseRuns,
    Row,
    Suite,
    SuiteColumn,
    SuiteFinding,
    only_number,
    spread_of,
)
from lhsim.experiments.suites.timelines import (
    Trigger,
    p95_plot,
    recovery_columns,
    recovery_text,
)
from lhsim.models import Outage, Stall
from lhsim.report.text import UNKNOWN, percent, three_digits

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lhsim.models import System
    from lhsim.simulation import Result

LEAD = 10.0  # before what is measured, for the agents to come [s]
FEW_LOST = 0.95  # delivered, from which on nothing is said of it
DRAIN = 10.0  # after it: longer than all attempts of a message last [s]
COLUMNS = (
    SuiteColumn("system", "system", left=True),
    SuiteColumn("case", "case", left=True),
    SuiteColumn("delivered", "delivered", "share"),
    SuiteColumn("attempts_per_message", "attempts"),
    SuiteColumn("p95_before_ms", "p95 before", "ms", page_only=True),
    SuiteColumn("p95_last_ms", "p95 at end", "ms"),
    SuiteColumn("recovery_time_seconds", "recovered in", "s", recovery_text, says_why=True),
)


def cases(asked: Failures, setup: Setup, replications: int) -> list[Case]:
    """Return each system in each situation, with the same seeds."""
    agents = only_number(setup.options.agents, asked.agents)
    seeds = levels_of.seeds(setup.options.seed, replications)
    found = []
    for number in range(len(setup.systems)):
        for one in asked.cases:
            system = _hit(varied(setup, number, one.settings), asked, one)
            length = trigger(asked, one).end + DRAIN
            found.append(
                Case(one.name, system, agents, length, seeds, LEAD, DRAIN, keep_messages=True)
            )
    return found


def trigger(asked: Failures, one: Situation) -> Trigger:
    """Return when what hits a system does so, on the clock of a run."""
    start = LEAD + asked.before
    lasts = {"stall": asked.stall, "outage": asked.outage, "none": 0.0}[one.trigger]
    stop = start + lasts
    return Trigger(LEAD, start, stop, stop + asked.after, asked.window, asked.hold)


def _hit(system: System, asked: Failures, one: Situation) -> System:
    at = LEAD + asked.before
    if one.trigger == "none":
        return system
    fault = (
        Stall(component="store", at=at, duration=asked.stall)
        if one.trigger == "stall"
        else Outage(at=at, duration=asked.outage)
    )
    return evolve(system, faults=(*system.faults, fault))


def judge(asked: Failures, case_runs: Sequence[CaseRuns]) -> SuiteFinding:
    """Return how long each situation is felt, and what of the load its retries are."""
    by_name = {one.name: one for one in asked.cases}
    rows = [_row(asked, by_name[ran.case.name], ran) for ran in case_runs]
    names = dict.fromkeys(row["system"] for row in rows)
    return SuiteFinding(
        rows,
        COLUMNS,
        answer=" ".join(_sentence(asked, rows, name) for name in names),
        figure=partial(_figure, asked, case_runs),
        caption="p95 of the latency by time of creation, in windows, around a stall of the "
        f"database; {case_runs[-1].case.system.name}. A line ends where nothing arrives any more.",
        alt="With eager retries and with back-off the p95 goes on to rise after the stall; without "
        "retries and with a budget it comes back.",
        notes=(
            "attempts: to send a message, in the mean; p95 at end: of the last windows; "
            "recovered in: from the end of the trigger on",
            "",
        ),
    )


def _row(asked: Failures, one: Situation, ran: CaseRuns) -> Row:
    when = trigger(asked, one)
    timelines = [when.windows(result) for result in ran.results]
    before = [_mean_ms(line.between(when.begin, when.start)) for line in timelines]
    last = [_mean_ms(line.between(when.end - 2 * asked.hold, when.end)) for line in timelines]
    hit = one.trigger != "none"
    recoveries = [when.recovery(line) for line in timelines] if hit else []
    counters = [result.counters for result in ran.results]
    return ran.row(
        trigger=one.trigger,
        **spread_of("delivered", [_delivered(result) for result in ran.results], most=1.0),
        **spread_of("attempts_per_message", [1 + each.retries / each.created for each in counters]),
        **spread_of("duplicates", [float(each.duplicates) for each in counters]),
        **spread_of("p95_before_ms", before),
        **spread_of("p95_last_ms", last),
        **recovery_columns(recoveries),
    )


def _delivered(result: Result) -> float:
    return result.metrics.delivery_success_rate


def _mean_ms(values: np.ndarray) -> float:
    """Return the mean of windows [ms]; NaN where one of them delivered nothing."""
    return float(values.mean()) * 1e3 if len(values) else math.nan


def _sentence(asked: Failures, rows: Sequence[Row], system: str) -> str:
    own = [row for row in rows if row["system"] == system]
    hit = [row for row in own if row["recovered_runs"] is not None]
    back = [row for row in hit if row["recovered_runs"] == row["replications"]]
    times = [f"{row['recovery_time_seconds']:.3g} s ({row['case']})" for row in back]
    parts = [f"as before in {', '.join(times)}"] if times else []
    stays = [_staying(row) for row in hit if row not in back]
    if stays:
        parts.append(f"not within {asked.after:g} s after {' and '.join(stays)}")
    slow = [f"{_arrive(row)} ({row['case']})" for row in own if row not in hit and _loses(row)]
    if slow:
        parts.append(f"no more than {', '.join(slow)} of all messages arrive")
    return f"{system}: {'; '.join(parts)}."


def _staying(row: Row) -> str:
    """Return of a situation that stays in how many runs, and what its retries are."""
    runs = row["replications"] - row["recovered_runs"]
    sent = three_digits(row["attempts_per_message"])
    where = f"{runs} of {row['replications']} runs"
    return f"{row['case']} ({where}: {sent} attempts a message, {_arrive(row)} arrive)"


def _loses(row: Row) -> bool:
    """Return whether more than a few messages do not arrive."""
    return row["delivered"] is not None and row["delivered"] < FEW_LOST


def _arrive(row: Row) -> str:
    return UNKNOWN if row["delivered"] is None else percent(row["delivered"])


def _figure(asked: Failures, case_runs: Sequence[CaseRuns]) -> Figure:
    """Draw the situations with a stall, of the last system."""
    system = case_runs[-1].case.system.name
    by_name = {one.name: one for one in asked.cases}
    stalled = [
        ran
        for ran in case_runs
        if ran.case.system.name == system and by_name[ran.case.name].trigger == "stall"
    ]
    when = trigger(asked, by_name[stalled[0].case.name]) if stalled else None
    return p95_plot(when, [(ran.case.name, ran) for ran in stalled], "database stalls")


SUITE = Suite(
    name="failure",
    title="Failure",
    question="How long does a server feel what hits it, and what do retries make of it?",
    kind=Failures,
    cases=cases,
    judge=judge,
    method="All situations have the same seeds, and so the same messages. Eager retries come 0.1 s "
    "after a timeout of 1 s, up to 4 attempts; back-off doubles from 0.5 s, or is 60 s long, with "
    "half of it as jitter; a budget lets each message pay for a tenth of a further attempt, and "
    "who is careful has both. The system has recovered when the p95 of its 5 s windows stays below "
    "the upper end of the 95 % band of the windows up to 10 s before the trigger, for 10 s; the "
    "time counts from the end of the trigger. Messages that were not delivered have no latency. "
    "Intervals are over the runs.",
    limits=(
        "The database is slow by assumption, so that few agents load it: what retries do depends "
        "on the load, the attempts and the timeout, and not on how fast the server is.",
        "A slow agent's network takes 200 times as long: which of the agents are slow is drawn.",
        "The time to recover is known to a window of 5 s.",
    ),
)
