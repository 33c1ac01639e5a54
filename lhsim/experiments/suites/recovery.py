"""E4, recovery: slow agents among normal ones, and an outage with those who come back after it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import count, islice
from typing import TYPE_CHECKING

import numpy as np
from attrs import evolve
from numpy.typing import NDArray

from lhsim.errors import InputError
from lhsim.experiments.setup import Setup, varied
from lhsim.experiments.specification import Recovery
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
    RECOVERED,
    Trigger,
    kept,
    mean_ms,
    p95_plot,
    recovery_columns,
    recovery_text,
    recovery_words,
)
from lhsim.models import Outage, Slow
from lhsim.report.text import duration
from lhsim.rules import slowness
from lhsim.streams import replication_seed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lhsim.models import System
    from lhsim.simulation import Result

LEAD = 10.0  # before what is measured, for the agents to come [s]
DRAIN = 20.0  # after it: longer than an elicitation, or all attempts of a message, last [s]
MOST_SEEDS = 10_000  # that are looked at for each replication
NORMAL, SLOW, OUTAGE = "normal", "with slow", "outage"
COLUMNS = (
    SuiteColumn("system", "system", left=True),
    SuiteColumn("case", "case", left=True),
    SuiteColumn("avg_latency_ms", "mean", "ms"),
    SuiteColumn("normal_latency_ms", "normal", "ms"),
    SuiteColumn("performance_degradation_percent", "worse", "%"),
    SuiteColumn("timeouts", "timeouts"),
    SuiteColumn("cascade_failures", "cascade"),
    SuiteColumn("recovery_time_seconds", "recovered in", "s", recovery_text, says_why=True),
)


def cases(asked: Recovery, setup: Setup, replications: int) -> list[Case]:
    """Return each system with its normal agents alone, with the slow ones, and with an outage."""
    agents = only_number(setup.options.agents, asked.agents)
    if agents <= asked.slow:
        problem = f"{agents} leave no normal ones beside {asked.slow} slow ones"
        raise InputError(problem, source="--agents", allowed=f"a whole number > {asked.slow}")
    seeds = _seeds(setup.options.seed, replications, agents, asked)
    when = trigger(asked)
    length = when.end + DRAIN
    slow = Slow(asked.slow / agents, asked.slow_factor)
    outage = Outage(at=when.start, duration=asked.outage)
    found = []
    for number in range(len(setup.systems)):
        plain = _with_slow(setup.systems[number], None)
        mixed = _with_slow(plain, slow)
        stormy = _with_slow(varied(setup, number, asked.outage_settings), slow)
        stormy = evolve(stormy, faults=(*stormy.faults, outage))
        few = agents - asked.slow
        for name, system, how_many in (
            (NORMAL, plain, few), (SLOW, mixed, agents), (OUTAGE, stormy, agents),
        ):  # fmt: skip
            found.append(
                Case(name, system, how_many, length, seeds, LEAD, DRAIN, keep_messages=True)
            )
    return found


def _with_slow(system: System, slow: Slow | None) -> System:
    return evolve(system, workload=evolve(system.workload, slow=slow))


def trigger(asked: Recovery) -> Trigger:
    """Return when the outage is, on the clock of a run."""
    start = LEAD + asked.before
    stop = start + asked.outage
    return Trigger(LEAD, start, stop, stop + asked.after, asked.window, asked.hold)


def slow_agents(share: float, agents: int, seed: int) -> NDArray[np.int64]:
    """Return which agents of a run are slow."""
    factors = [slowness(share, 2.0, agent, seed) for agent in range(agents)]
    return np.flatnonzero(np.array(factors) > 1)


def _seeds(seed: int, replications: int, agents: int, asked: Recovery) -> tuple[int, ...]:
    """Return the first replications' seeds under which exactly so many agents are slow.

    Each agent is slow by chance; so are their numbers, and the question is one of exactly so many.
    """
    found = tuple(islice(_fitting(seed, replications, agents, asked), replications))
    if len(found) < replications:
        problem = f"exactly {asked.slow} slow agents of {agents} hardly ever come about"
        raise InputError(problem, source="--agents", allowed="fewer")
    return found


def _fitting(seed: int, replications: int, agents: int, asked: Recovery) -> Iterator[int]:
    share = asked.slow / agents
    for number in islice(count(), MOST_SEEDS * replications):
        one = replication_seed(seed, number)
        if len(slow_agents(share, agents, one)) == asked.slow:
            yield one


def judge(asked: Recovery, case_runs: Sequence[CaseRuns]) -> SuiteFinding:
    """Return what the slow agents do to the others, and how long the outage is felt."""
    when = trigger(asked)
    base = {ran.case.system.name: ran for ran in case_runs if ran.case.name == NORMAL}
    rows = [_row(when, ran, base[ran.case.system.name]) for ran in case_runs]
    return SuiteFinding(
        rows,
        COLUMNS,
        answer=" ".join(_sentence(rows, name) for name in base),
        figure=partial(_figure, when, case_runs),
        caption="p95 of the latency by time of creation, in windows; the band is that of all runs.",
        alt="A line for each system against time, with the outage as a grey span.",
        notes=(
            "normal: mean between two normal agents; worse: mean against that of the normal "
            "agents alone (the original proposal has the other sign); cascade: messages between "
            "two normal agents that failed, in a run; recovered in: from the end of the outage on",
            "",
        ),
    )


def between_normal(result: Result, slow: Slow | None) -> NDArray[np.bool_]:
    """Return which messages of a run go from a normal agent to a normal one."""
    records = kept(result)
    some = slow_agents(slow.share, result.agents, result.seed) if slow else np.array([], int)
    ends = [np.isin(records[name], some) for name in ("sender", "target")]
    return ~(ends[0] | ends[1])


def failed(result: Result, when: Trigger) -> NDArray[np.bool_]:
    """Return which of the messages created in the measured time have ended without delivery."""
    records = kept(result)
    created, outcome = records["created"], records["outcome"]
    inside = (created >= when.begin) & (created < when.end)
    ended: NDArray[np.bool_] = inside & ~np.isin(outcome, ("delivered", "pending"))
    return ended


def _row(when: Trigger, ran: CaseRuns, base: CaseRuns) -> Row:
    slow = ran.case.system.workload.slow
    means = [mean_ms(when.part(result, when.begin, when.end)) for result in ran.results]
    bases = [mean_ms(when.part(result, when.begin, when.end)) for result in base.results]
    normal = [_normal_mean(when, result, slow) for result in ran.results]
    worse = [100 * (one - other) / other for one, other in zip(means, bases, strict=False)]
    cascades = [
        float((failed(result, when) & between_normal(result, slow)).sum()) for result in ran.results
    ]
    outage = ran.case.name == OUTAGE
    recoveries = [when.recovery(when.windows(one)) for one in ran.results] if outage else []
    counters = [result.counters for result in ran.results]
    return ran.row(
        ("performance_degradation_percent",),
        **spread_of("avg_latency_ms", means),
        **spread_of("normal_latency_ms", normal),
        **spread_of("performance_degradation_percent", worse, least=-100.0),
        **spread_of("timeouts", [float(_timeouts(result)) for result in ran.results]),
        **spread_of("cascade_failures", cascades),
        failures=_mean([float(failed(result, when).sum()) for result in ran.results]),
        **recovery_columns(recoveries),
        retries=_mean([one.retries for one in counters]),
        refused=_mean([one.refused for one in counters]),
        connection_attempts=_mean([one.attempts for one in counters]),
    )


def _timeouts(result: Result) -> int:
    """Return the waits that ended empty or were given up, and the elicitations that expired."""
    return result.metrics.timeout_events + result.outcomes["expired"]


def _normal_mean(when: Trigger, result: Result, slow: Slow | None) -> float:
    records = kept(result)
    created = records["created"]
    chosen = between_normal(result, slow) & (created >= when.begin) & (created < when.end)
    chosen &= records["outcome"] == "delivered"
    return mean_ms((records["delivered"] - created)[chosen])


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))


def _sentence(rows: Sequence[Row], system: str) -> str:
    by_case = {row["case"]: row for row in rows if row["system"] == system}
    slow, outage, base = by_case[SLOW], by_case[OUTAGE], by_case[NORMAL]
    found = f"{system}: {_slowed(slow, base)}, and "
    cascade = slow["cascade_failures"]
    found += "no message between two normal ones fails" if cascade == 0 else (
        f"{cascade:.3g} messages between two normal ones fail in a run"
    )  # fmt: skip
    words = recovery_words(outage, "the outage")
    return f"{found}. In the outage {outage['cascade_failures']:.3g} of them fail; {words}."


def _slowed(slow: Row, base: Row) -> str:
    """Return what the slow agents do to the latency, in words."""
    worse = slow["performance_degradation_percent"]
    if slow["overloaded"] or base["overloaded"] or worse is None:
        return "messages pile up, and no latency settles"
    found = f"with slow agents the mean latency is {abs(worse):.3g} % "
    found += "higher" if worse >= 0 else "lower"
    latency, before = (duration(row["normal_latency_ms"] / 1e3) for row in (slow, base))
    return f"{found}, between two normal ones {latency} instead of {before}"


def _figure(when: Trigger, case_runs: Sequence[CaseRuns]) -> Figure:
    outages = [(ran.case.system.name, ran) for ran in case_runs if ran.case.name == OUTAGE]
    return p95_plot(when, outages, "outage")


SUITE = Suite(
    name="recovery",
    title="E4 recovery",
    question="What do slow agents do to the others, and how long is an outage felt after its end?",
    kind=Recovery,
    cases=cases,
    judge=judge,
    method="Three cases with the same seeds: the normal agents alone, with the slow ones, and with "
    "an outage of the server as well, in which what is refused is sent again. A cascade failure is "
    f"a message between two normal agents that was not delivered. {RECOVERED} Degradation is the "
    "mean latency over that of the normal agents alone, less 1: the original proposal's formula "
    "has the other sign, and is negative when things get worse. Intervals are over the runs.",
    limits=(
        "How slow a slow agent is, is assumed: 200 times the delays and think times of the others.",
        "The seeds are the first under which exactly so many agents are slow.",
        "The time to recover is known to a window of 5 s.",
    ),
)
