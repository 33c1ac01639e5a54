"""What would have to be true for a refuted claim: a search over one parameter.

For each such claim one parameter is varied that could make it true, and all others stay: the sleep
between two polls for a latency, the cost of a query for what saturates. The search brackets the
value at which the claimed figure is reached, by bisection on a logarithmic scale, with one short
run for each step. All searches go on side by side.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from lhsim.analysis.knee import SATURATION
from lhsim.distributions import Deterministic, Uniform
from lhsim.execution import Cell, Failure, Runner
from lhsim.experiments.suites.claim_table import ABOUT, Claim, Figure
from lhsim.experiments.suites.evidence import LATENCIES, MS
from lhsim.models import Closed
from lhsim.report.text import duration, three_digits

if TYPE_CHECKING:
    from lhsim.experiments.sweep import OnDone
    from lhsim.models import System
    from lhsim.simulation import Result

MESSAGES = 2000  # of a pair whose mean latency is searched
# Sleep or query with which a latency is looked at [s]: all stalls of the host are drawn before a
# run, and take memory as long as it lasts.
LONGEST = 100.0
NEAR = 1.02  # ends of the bracket, one over the other, at which a search ends
INTERVAL, QUERY, CONNECTION = "polling.interval", "store.query", "memory.per_connection"
RANGES = {INTERVAL: (1e-3, 1e4), QUERY: (1e-6, 1e2), CONNECTION: (1e0, 1e6)}  # [s], [s], [B]
Search = Generator[Cell, "Result", "float | None"]


@frozen
class World:
    """The systems of the claims, as they are loaded in each of the situations."""

    pair: System  # that polls
    steady: System
    closed: System
    push: System  # steady, that pushes
    seed: int
    engine: str


@frozen
class Condition:
    """A parameter, and whether the claim's figure is reached with a value of it."""

    parameter: str
    cell: Callable[[float], Cell]  # the run with a value
    reached: Callable[[Result], bool]
    upwards: bool = True  # whether it is reached with greater values
    about: bool = False  # whether the claim is about a number, and not about a limit
    most: float = math.inf  # value that is looked at

    @property
    def range(self) -> tuple[float, float]:
        """Between which values it is searched."""
        low, high = RANGES[self.parameter]
        return low, min(high, self.most)

    def text(self, value: float | None) -> str:
        """Return in words with what values the claim would hold."""
        low, high = self.range
        if value is None:
            return f"no {self.parameter} from {_shown(self, low)} to {_shown(self, high)} does it"
        shown = _shown(self, value)
        if self.about:
            return f"{self.parameter} = {shown}"
        return f"{self.parameter} {'>=' if self.upwards else '<='} {shown}"


def _shown(condition: Condition, value: float) -> str:
    if condition.parameter == CONNECTION:
        return f"{three_digits(value / 1e3)} kB"
    return duration(value)


def conditions(
    refuted: Mapping[str, Claim], figures: Mapping[str, Figure], world: World
) -> dict[str, Condition]:
    """Return the condition of each refuted claim for which there is one to search for."""
    found = {}
    for name, claim in refuted.items():
        condition = _condition(name, claim, figures, world)
        if condition is not None:
            found[name] = evolve(condition, about=claim.low == claim.number / ABOUT)
    return found


def search_all(
    asked: Mapping[str, Condition], runner: Runner, on_done: OnDone | None = None
) -> tuple[dict[str, str], bool]:
    """Return in words what each condition comes to, and whether Ctrl-C ended the search."""
    searches = {name: _search(condition) for name, condition in asked.items()}
    cells = {name: next(one) for name, one in searches.items()}
    found: dict[str, str] = {}
    interrupted = False
    while cells and not interrupted:
        names = list(cells)
        outcomes, interrupted = runner.run([cells[name] for name in names], on_done=on_done)
        for index, name in enumerate(names):
            outcome = outcomes.get(index)
            del cells[name]
            if isinstance(outcome, Failure):
                found[name] = f"not known, as a run failed: {outcome}"
            if outcome is None or isinstance(outcome, Failure):
                continue
            try:
                cells[name] = searches[name].send(outcome)
            except StopIteration as stop:
                found[name] = asked[name].text(stop.value)
    return found, interrupted


def _search(condition: Condition) -> Search:
    """Look for the value at which the figure is reached; None where no value of the range does."""
    low, high = condition.range
    if not condition.reached((yield condition.cell(high if condition.upwards else low))):
        return None
    while high / low > NEAR:
        middle = math.sqrt(low * high)
        reached = condition.reached((yield condition.cell(middle)))
        if reached is condition.upwards:
            high = middle
        else:
            low = middle
    return math.sqrt(low * high)


def _condition(
    name: str, claim: Claim, figures: Mapping[str, Figure], world: World
) -> Condition | None:
    group, _, rest = name.partition(".")
    upwards = figures[name].value <= claim.high
    if name == "memory.push":
        return None if upwards else _memory(world)
    if name in {"agents.polling", "scalability.polling"}:
        return None if upwards else _knee(world, round(claim.number))
    if rest.endswith("push"):
        return None  # what push promises and does not keep has many causes
    if group in {"latency", "overall"}:
        which = "avg" if group == "overall" else rest.partition(".")[0]
        return _pair(which, _target(claim, figures, which, upwards) / MS, world, upwards=upwards)
    agents, _, kind = rest.partition(".")
    if group == "latency_at":
        return _steady(int(agents), claim.number, world, upwards=upwards)
    return _throughput(int(agents), kind, claim, figures, world) if group == "throughput" else None


def _target(claim: Claim, figures: Mapping[str, Figure], which: str, upwards: bool) -> float:
    """Return the latency of polling with which a claim is reached [ms].

    It is the claimed one, or so many times that of push.
    """
    if claim.unit != "x":
        return claim.number
    return (claim.low if upwards else claim.high) * figures[f"latency.{which}.push"].value


def _with_interval(system: System, value: float) -> System:
    assert system.polling is not None
    return evolve(system, polling=evolve(system.polling, interval=value))


def _with_query(system: System, value: float) -> System:
    return evolve(system, store=evolve(system.store, query=Deterministic(value)))


def _pair(which: str, target: float, world: World, *, upwards: bool) -> Condition:
    """Return the sleep, or for the least latency the query, with which a pair takes so long."""
    parameter = QUERY if which == "min" else INTERVAL
    change = _with_query if which == "min" else _with_interval
    measure = LATENCIES[which]

    def cell(value: float) -> Cell:
        system = _at_any_phase(change(world.pair, value), value)
        traffic = system.workload.traffic
        assert isinstance(traffic, Closed), "a pair sends one message after the other"
        if which == "avg":  # the mean of a hundred messages would be off by a tenth
            traffic = evolve(traffic, messages=MESSAGES)
            system = evolve(system, workload=evolve(system.workload, traffic=traffic))
        # A pause and a part of a sleep for each message: it ends sooner.
        horizon = (traffic.messages or MESSAGES) * (3 * value + 6)
        return Cell(system, 2, horizon, world.seed, world.engine)

    return Condition(parameter, cell, _beyond(measure, target, upwards), upwards, most=LONGEST)


def _at_any_phase(system: System, cycle: float) -> System:
    """Return a pair whose messages meet the poller at any phase of its cycle, however long."""
    traffic = system.workload.traffic
    if not isinstance(traffic, Closed) or cycle <= 1:
        return system
    longer = evolve(traffic, pause=Uniform(0.0, 2 * cycle))
    return evolve(system, workload=evolve(system.workload, traffic=longer))


def _beyond(
    measure: Callable[[Result], float], target: float, upwards: bool
) -> Callable[[Result], bool]:
    if upwards:
        return lambda result: measure(result) >= target
    return lambda result: measure(result) <= target


def _steady(agents: int, target: float, world: World, *, upwards: bool) -> Condition:
    def cell(value: float) -> Cell:
        system, window = _with_interval(world.steady, value), 20 * max(value, 1.0)
        return Cell(
            system, agents, 3 * value + window + 5, world.seed, world.engine, 2 * value, value + 5
        )

    reached = _beyond(LATENCIES["avg"], target, upwards)
    return Condition(INTERVAL, cell, reached, upwards, most=LONGEST)


def _throughput(
    agents: int, kind: str, claim: Claim, figures: Mapping[str, Figure], world: World
) -> Condition:
    if claim.unit == "s":  # nothing gets through within the timeout

        def saturated(value: float) -> Cell:
            system = _with_query(world.closed, value)
            return _whole(system, agents, 4 * claim.number, world)

        median = claim.number
        return Condition(QUERY, saturated, lambda result: result.latency.quantile(0.5) >= median)
    push = figures[f"throughput.{agents}.push"].value
    target = push / claim.number if kind == "factor" else claim.number

    def cell(value: float) -> Cell:
        system = _with_interval(world.closed, value)
        return _whole(system, agents, 300 + 20 * value, world)

    return Condition(INTERVAL, cell, lambda result: result.metrics.messages_per_second <= target)


def _whole(system: System, agents: int, duration: float, world: World) -> Cell:
    """Return a run of which all counts, as the throughput that is claimed is measured."""
    return Cell(system, agents, duration, world.seed, world.engine, warmup=0.0, drain=0.0)


def _knee(world: World, agents: int) -> Condition:
    def cell(value: float) -> Cell:
        return Cell(_with_query(world.steady, value), agents, 120.0, world.seed, world.engine)

    def saturated(result: Result) -> bool:
        busiest = result.utilization[result.bottleneck]
        return result.overloaded or busiest >= SATURATION

    return Condition(QUERY, cell, saturated)


def _memory(world: World) -> Condition:
    """Return the memory of a connection with which a thousand take hardly more than ten."""
    memory = world.push.memory

    def cell(value: float) -> Cell:
        system = evolve(world.push, memory=evolve(memory, per_connection=value, per_agent=0.0))
        return Cell(system, 1000, 10.0, world.seed, world.engine)

    def constant(result: Result) -> bool:
        metrics = result.metrics
        few = metrics.memory_baseline_mb + 10 * metrics.memory_per_agent_mb
        return metrics.memory_peak_mb <= 1.1 * few

    return Condition(CONNECTION, cell, constant, upwards=False)
