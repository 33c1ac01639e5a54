"""E5, burst: ten times as many messages for half a minute, and how long they are felt."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from attrs import evolve

from lhsim.errors import InputError
from lhsim.experiments import levels as levels_of
from lhsim.experiments.setup import Setup
from lhsim.experiments.specification import Burst
from lhsim.experiments.suites.suite import (
    Case,
    CaseRuns,
    Row,
    Suite,
    SuiteColumn,
    SuiteFinding,
    refuse_traffic,
    spread_of,
)
from lhsim.experiments.suites.timelines import (
    RECOVERED,
    Trigger,
    mean_ms,
    p95_plot,
    recovery_columns,
    recovery_text,
    recovery_words,
)
from lhsim.models import Piece, Piecewise, Poisson
from lhsim.report.text import duration, three_digits

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lhsim.models import System

LEAD = 10.0  # before what is measured, for the agents to come [s]
DRAIN = 5.0  # after it, for its messages to be delivered [s]
COLUMNS = (
    SuiteColumn("system", "system", left=True),
    SuiteColumn("case", "case", left=True),
    SuiteColumn("normal_latency_ms", "normal", "ms"),
    SuiteColumn("burst_latency_ms", "burst", "ms"),
    SuiteColumn("recovery_latency_ms", "after", "ms"),
    SuiteColumn("burst_degradation_factor", "factor"),
    SuiteColumn("recovery_time_seconds", "recovered in", "s", recovery_text, says_why=True),
)


def cases(asked: Burst, setup: Setup, replications: int) -> list[Case]:
    """Return each system with the burst, and with its few agents alone."""
    refuse_traffic(setup, "is what the burst itself sets")
    few, many = _agents(asked, setup)
    seeds = levels_of.seeds(setup.options.seed, replications)
    length = LEAD + asked.before + asked.burst + asked.after + DRAIN
    found = []
    for system in setup.systems:
        loads = {
            _burst_name(few, many): (_bursting(asked, system, few, many), many),
            _alone_name(few): (_steady(asked, system), few),
        }
        for name, (loaded, agents) in loads.items():
            found.append(Case(name, loaded, agents, length, seeds, LEAD, DRAIN, keep_messages=True))
    return found


def _burst_name(few: int, many: int) -> str:
    return f"{few}, {many}, {few} send"


def _alone_name(few: int) -> str:
    return f"{few} alone"


def _agents(asked: Burst, setup: Setup) -> tuple[int, int]:
    given = setup.options.agents
    if given is None:
        return asked.agents, asked.burst_agents
    if len(given) != 2 or given[0] >= given[1]:
        problem = f"{','.join(map(str, given))} is no burst"
        allowed = "two numbers, such as 20,200: before and after, and in the burst"
        raise InputError(problem, source="--agents", allowed=allowed)
    return given[0], given[1]


def _bursting(asked: Burst, system: System, few: int, many: int) -> System:
    """Return a system whose `many` agents send as much as `few` do, but for the burst."""
    less = asked.rate * few / many
    pieces = (
        Piece(LEAD + asked.before, less),
        Piece(asked.burst, asked.rate),
        Piece(asked.after + DRAIN, less),
    )
    return evolve(system, workload=evolve(system.workload, traffic=Piecewise(pieces)))


def _steady(asked: Burst, system: System) -> System:
    return evolve(system, workload=evolve(system.workload, traffic=Poisson(asked.rate)))


def trigger(asked: Burst) -> Trigger:
    """Return when the burst is, on the clock of a run."""
    start = LEAD + asked.before
    stop = start + asked.burst
    return Trigger(LEAD, start, stop, stop + asked.after, asked.window, asked.hold)


def judge(asked: Burst, case_runs: Sequence[CaseRuns]) -> SuiteFinding:
    """Return the latencies before, in and after the burst, and how long it is felt."""
    when = trigger(asked)
    rows = [_row(when, ran) for ran in case_runs]
    bursts = [row for row in rows if row["case"].endswith("send")]
    return SuiteFinding(
        rows,
        COLUMNS,
        answer=" ".join(map(_sentence, bursts)),
        figure=partial(_figure, when, case_runs),
        caption="p95 of the latency by time of creation, in windows; the band is that of all runs.",
        alt="A line for each system against time, with the burst as a grey span.",
        notes=(
            "factor: latency in the burst over that before; recovered in: from the end of the "
            "burst until the p95 of 5 s windows stays in the 95 % band that it had before, for "
            "10 s",
            "",
        ),
    )


def _row(when: Trigger, ran: CaseRuns) -> Row:
    phases = {
        "normal": (when.begin, when.start),
        "burst": (when.start, when.stop),
        "recovery": (when.stop, when.end),
    }
    means = {
        name: [mean_ms(when.part(result, *times)) for result in ran.results]
        for name, times in phases.items()
    }
    factors = [
        burst / normal for burst, normal in zip(means["burst"], means["normal"], strict=True)
    ]
    steady = ran.case.name.endswith("alone")
    recoveries = [] if steady else [when.recovery(when.windows(one)) for one in ran.results]
    return ran.row(
        ("burst_degradation_factor",),
        **{key: value for name, one in means.items() for key, value in _latency(name, one).items()},
        **spread_of("burst_degradation_factor", factors),
        **recovery_columns(recoveries),
    )


def _latency(name: str, values: Sequence[float]) -> Row:
    columns = spread_of("mean", values)
    return {key.replace("mean", f"{name}_latency_ms", 1): value for key, value in columns.items()}


def _sentence(row: Row) -> str:
    if row["overloaded"]:
        return f"{row['system']} is overloaded: messages pile up, and no latency settles."
    latency = duration(row["burst_latency_ms"] / 1e3)
    factor = three_digits(row["burst_degradation_factor"])
    found = f"{row['system']}: in the burst the mean latency is {latency}, "
    return f"{found}{factor} times that before; {recovery_words(row, 'the burst')}."


def _figure(when: Trigger, case_runs: Sequence[CaseRuns]) -> Figure:
    bursts = [(ran.case.system.name, ran) for ran in case_runs if ran.case.name.endswith("send")]
    return p95_plot(when, bursts, "burst")


SUITE = Suite(
    name="burst",
    title="E5 burst",
    question="What does a burst of ten times as many messages do to the latency, and how long "
    "does it take to be over?",
    kind=Burst,
    cases=cases,
    judge=judge,
    method="One run goes through all three phases. Each message counts to the phase in which it "
    f"was created. {RECOVERED} Intervals are over the runs.",
    limits=(
        "All 200 agents are connected, or poll, all the time; before and after the burst they "
        "send as much as 20 of them do in it. The rows of the 20 agents alone show what that "
        "changes.",
        "The time to recover is known to a window of 5 s.",
    ),
)
