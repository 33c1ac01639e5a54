"""What E8 runs: options, pairs and an overload at once, and two searches run by run.

A case says in front of its name what it is for. The searches ask after each round which run comes
next: the knee under each option, and the interval with which a fix uses as much of the processor.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from attrs import evolve

from lhsim.analysis.intervals import estimate
from lhsim.analysis.knee import Level, bracket, search
from lhsim.distributions import Deterministic, Exponential
from lhsim.experiments import levels as levels_of
from lhsim.experiments.levels import Horizon
from lhsim.experiments.points import server_of
from lhsim.experiments.setup import Setup, varied
from lhsim.experiments.specification import Optimisations, Variant
from lhsim.experiments.suites.suite import Case, CaseRuns, only_number
from lhsim.models import Closed

if TYPE_CHECKING:
    from lhsim.models import System

AS_IS, TOGETHER = "as it is", "all together"
OPTION, KNEE, EQUAL, PAIR, OVERLOAD = "option: ", "knee: ", "equal: ", "pair: ", "overload: "
MOST_ROUNDS = 12  # of the search for an interval
KNEE_MESSAGES = 5000  # in a run of the search for a knee
KNEE_TOLERANCE = 0.05  # width of a knee, as a part of it
MOST_AGENTS = 200_000  # up to which a knee is searched for
PAUSES_MEASURED = 200  # rounds of a pair


def cases(asked: Optimisations, setup: Setup, replications: int) -> list[Case]:
    """Return what is known to be run beforehand: all but the searches."""
    return [
        *_option_cases(asked, setup, replications),
        *_pair_cases(asked, setup, replications),
        *_overload_cases(asked, setup, replications),
    ]


def _option_cases(asked: Optimisations, setup: Setup, replications: int) -> Iterator[Case]:
    agents = only_number(setup.options.agents, asked.agents)
    for name, system in _variants(asked.options, setup):
        yield _case(asked, setup, replications, OPTION + name, system, agents)


def _case(
    asked: Optimisations, setup: Setup, replications: int, name: str, system: System, agents: int
) -> Case:
    length = setup.options.duration or asked.duration
    seeds = levels_of.seeds(setup.options.seed, replications)
    return Case(name, system, agents, length, seeds)


def _variants(
    options: Sequence[Variant], setup: Setup, also: Sequence[str] = ()
) -> Iterator[tuple[str, System]]:
    """Yield each system as it is, and with each option that is for its kind of server."""
    for number, system in enumerate(setup.systems):
        yield AS_IS, varied(setup, number, also)
        for one in options:
            kinds = {server_of(setting) for setting in one.settings} - {None}
            if not kinds or system.architecture in kinds:
                yield one.name, varied(setup, number, (*also, *one.settings))


def _pair_cases(asked: Optimisations, setup: Setup, replications: int) -> Iterator[Case]:
    seeds = levels_of.seeds(setup.options.seed, replications)
    for number in range(len(setup.systems)):
        for trip in asked.factor.round_trips:
            for pause in asked.factor.pauses:
                system = varied(
                    setup, number, (f"network.up={trip / 2}s", f"network.down={trip / 2}s")
                )
                system = _paired(system, pause)
                round_at_most = pause + trip + 1.0
                lead = 5 + 2 * round_at_most
                length = lead + PAUSES_MEASURED * round_at_most
                name = f"{PAIR}{trip:g} {pause:g}"
                yield Case(name, system, 2, length, seeds, lead, 0.0)


def _paired(system: System, pause: float) -> System:
    """Return a system of a pair that sends one message after the other, for ever."""
    distribution = Deterministic(pause) if pause == 0 else Exponential(pause)
    traffic = Closed(messages=None, pause=distribution)
    return evolve(system, workload=evolve(system.workload, topology="pair", traffic=traffic))


def _overload_cases(asked: Optimisations, setup: Setup, replications: int) -> Iterator[Case]:
    over = asked.overload
    for name, system in _variants(over.options, setup, over.settings):
        yield _case(asked, setup, replications, OVERLOAD + name, system, over.agents)


def further(asked: Optimisations, setup: Setup, case_runs: Sequence[CaseRuns]) -> list[Case]:
    """Return the next run of each search that is not at its end."""
    return [*_knee_cases(setup, case_runs), *_equal_cases(asked, setup, case_runs)]


def _knee_cases(setup: Setup, case_runs: Sequence[CaseRuns]) -> Iterator[Case]:
    for ran in of_kind(case_runs, OPTION):
        system, name = ran.case.system, without_kind(ran)
        agents = _next_level(levels_known(case_runs, system.name, name))
        if agents is None:
            continue
        one_seed = levels_of.seeds(setup.options.seed, 1)
        horizon = Horizon(KNEE_MESSAGES)
        cell = levels_of.cells(system, agents, horizon, one_seed, setup.options.engine)[0]
        lead, drain = cell.warmup or 0.0, cell.drain or 0.0
        yield Case(KNEE + name, system, agents, cell.duration, one_seed, lead, drain, searched=True)


def levels_known(case_runs: Sequence[CaseRuns], system: str, name: str) -> list[Level]:
    """Return how an option did at each level that has run, that of its table included."""
    known = {}
    for ran in case_runs:
        if ran.case.system.name == system and ran.case.name in {OPTION + name, KNEE + name}:
            known[ran.case.agents] = Level.of(ran.results[0].row())
    return list(known.values())


def _next_level(levels: Sequence[Level]) -> int | None:
    """Return the level to look at next: outwards until there is a bracket, then inside of it."""
    knee = bracket(levels)
    if knee.low is None:
        assert knee.high is not None
        return knee.high // 2 or None
    if knee.high is None:
        return 2 * knee.low if knee.low < MOST_AGENTS else None
    return next(search(levels, KNEE_TOLERANCE), None)


def _equal_cases(
    asked: Optimisations, setup: Setup, case_runs: Sequence[CaseRuns]
) -> Iterator[Case]:
    """Yield for each fix the next interval: the use of the processor is to be that of the base."""
    for base in of_kind(case_runs, OPTION):
        if base.case.system.polling is None or without_kind(base) != AS_IS:
            continue
        number = [one.name for one in setup.systems].index(base.case.system.name)
        for name in asked.equal_cpu.options:
            tried = tried_intervals(case_runs, base, name)
            interval = _next_interval(tried, cpu_of(base), asked.equal_cpu.tolerance)
            if interval is None or len(tried) > MOST_ROUNDS:
                continue
            system = varied(setup, number, asked.option(name).settings)
            system = _with_interval(system, interval)
            yield evolve(base.case, name=EQUAL + name, system=system, searched=True)


def _with_interval(system: System, interval: float) -> System:
    """Return a system with another interval; one that backs off does so up to as many of them."""
    polling = system.polling
    assert polling is not None, "only polling has fixes"
    growth = polling.growth
    if growth is not None:
        growth = evolve(growth, longest=growth.longest / polling.interval * interval)
    return evolve(system, polling=evolve(polling, interval=interval, growth=growth))


def tried_intervals(
    case_runs: Sequence[CaseRuns], base: CaseRuns, name: str
) -> dict[float, CaseRuns]:
    """Return the runs of a fix by the interval, its first ones included."""
    found = {}
    for ran in case_runs:
        same = ran.case.system.name == base.case.system.name
        if same and ran.case.name in {OPTION + name, EQUAL + name}:
            assert ran.case.system.polling is not None
            found[ran.case.system.polling.interval] = ran
    return found


def _next_interval(tried: dict[float, CaseRuns], target: float, tolerance: float) -> float | None:
    """Return the interval to try next, None where one of them is good enough.

    The use of the processor falls as the interval grows: roughly in proportion, which is the first
    guess; then its logarithm is interpolated over the two nearest ones.
    """
    known = sorted((interval, cpu_of(ran)) for interval, ran in tried.items())
    if target == 0 or any(abs(cpu / target - 1) <= tolerance for _, cpu in known):
        return None
    more = [one for one in known if one[1] > target]
    less = [one for one in known if one[1] < target]
    if not more or not less:
        interval, cpu = less[0] if less else more[-1]
        return interval * min(max(cpu / target, 0.25), 4.0)
    (short, high), (long, low) = more[-1], less[0]
    part = math.log(high / target) / math.log(high / low)
    step: float = (long / short) ** min(max(part, 0.05), 0.95)
    return short * step


def cpu_of(ran: CaseRuns) -> float:
    """Return the use of the server's processor [%]."""
    return estimate([one.metrics.cpu_utilization_percent for one in ran.results]).value


def of_kind(case_runs: Sequence[CaseRuns], kind: str) -> list[CaseRuns]:
    """Return the cases of a kind, such as `OPTION`."""
    return [ran for ran in case_runs if ran.case.name.startswith(kind)]


def without_kind(ran: CaseRuns) -> str:
    """Return the name of a case without its kind."""
    return ran.case.name.partition(": ")[2]
