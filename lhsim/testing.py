"""Contract checks for a server, a distribution or a traffic pattern of your own.

Each raises `ContractError`, an `AssertionError`, at the first rule that does not hold, so that a
test is one line::

    def test_my_server():
        check_server(MyServer(delay=0.02))

What they cannot show is that a model is right: for that it takes theory, or a measurement.
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from attrs import evolve, frozen

from lhsim import checks, parameters
from lhsim.distributions import Distribution
from lhsim.errors import InvariantError, LhsimError
from lhsim.metrics.account import Outcome, Window
from lhsim.models import (
    ArrivalProcess,
    Closed,
    OpenTraffic,
    Poisson,
    Server,
    ServerProcesses,
    SimpyEngine,
    System,
    Workload,
)
from lhsim.models.bridge import Bridge, Steps
from lhsim.models.ledger import Message
from lhsim.models.running import start
from lhsim.models.schedule import schedule
from lhsim.models.workload import TOPOLOGIES, Traffic, check_count
from lhsim.simulation import simulate
from lhsim.streams import MAX_SEED

ROUNDING = 1e-9  # relative, of sums of times
CHANCE = 5.0  # standard errors of a count that is held against a rate: false once in 2 million
QUADRATURE = 1e-3  # relative, of a moment; of the variance of a heavy tail ten times that
HEAVY = 1e4  # squared coefficient of variation, from which on a quadrature misses the tail
LEVELS = np.concatenate([2.0 ** -np.arange(40.0, 10.0, -1.0), np.arange(1, 1000) / 1000])


class ContractError(AssertionError):
    """A model of your own does not keep a rule that lhsim relies on."""


def check_server(
    server: Server | System,
    *,
    agents: int = 6,
    rate: float = 0.5,
    duration: float | str = 60.0,
    seed: int = 1,
    topologies: str | Iterable[str] = TOPOLOGIES,
) -> None:
    """Check a server: by runs with open traffic in each topology, and one with a closed loop.

    - Its description can be written to a model file, read back and sent to another process.
    - Messages are conserved: each ends exactly once or is pending, and some are delivered.
    - Causality: a message ends when it ends, by the clock, and is stored, acknowledged and
      delivered not before it was created.
    - Little's law: the time integral of the messages in the system is the sum of their times in
      it, exactly, over the whole run.
    - One seed means one run, to the bit; another seed another one.
    - Agents that are added change no message that the others send.

    Parameters
    ----------
    server
        The server, or a system that has it, whose costs and network then take part.
    agents, rate
        The load: agents, and messages of each [1/s]. It has to be one that the server can bear.
    duration
        Of each run: a number [s], or a text such as ``"2 min"``.
    seed
        Of the runs.
    topologies
        Who may send to whom; leave out what the server is not made for.

    Raises
    ------
    ContractError
        For the first rule that does not hold.
    """
    checks.instance(server, "server", Server | System, "a Server, or a System that has one")
    agents = checks.whole_number(agents, "agents", 1)
    rate = checks.positive_number(rate, "rate")
    duration = checks.duration(duration, "duration")
    seed = checks.whole_number(seed, "seed", 0, MAX_SEED)
    topologies = checks.texts(topologies, "topologies", ", ".join(TOPOLOGIES))
    system = server if isinstance(server, System) else System("checked", server=server)
    _check_description(evolve(system, calibration=None), System, "the server")
    for topology in topologies:
        workload = Workload(topology=topology, traffic=Poisson(rate))  # type: ignore[arg-type]
        count = check_count(workload, agents + agents % 2)
        where = f"{topology}, {count} agents, seed {seed}"
        case = evolve(system, workload=workload)
        messages = _check_run(case, count, duration, seed, where)
        _check_repeats(case, count, duration, seed, where)
        _need(bool(messages), where, "no message was sent; rate and duration are too small")
    closed = evolve(system, workload=Workload(traffic=Closed(messages=5)))
    _check_run(closed, agents, duration, seed, f"closed loop, {agents} agents, seed {seed}")
    _check_independence(evolve(system, workload=Workload(traffic=Poisson(rate))), agents, seed)
    _run_as_users_do(evolve(system, workload=Workload(traffic=Poisson(rate))), agents, duration)


def check_distribution(distribution: Distribution) -> None:
    """Check a distribution of durations.

    - It can be written to a model file, read back and sent to another process, and is hashable.
    - Its quantiles are finite below the level 1, never negative, and do not decrease.
    - Quantile and distribution function belong together: F(Q(u)) >= u, and F just below Q(u) does
      not exceed u.
    - Mean and variance are those of the quantile function; the mean is finite.
    - The quantile table from which both engines draw does not decrease, and has that mean.

    Raises
    ------
    ContractError
        For the first rule that does not hold.
    """
    checks.instance(distribution, "distribution", Distribution, "a distribution")
    where = str(distribution)
    _check_value(distribution, Distribution, where)
    _need(math.isfinite(distribution.mean), where, "the mean is not finite")
    quantiles = np.asarray(distribution.quantile(LEVELS))
    _need(quantiles.shape == LEVELS.shape, where, "quantile() does not keep the shape")
    _need(bool(np.isfinite(quantiles).all()), where, "a quantile below the level 1 is not finite")
    _need(bool((quantiles >= 0).all()), where, "a quantile is negative")
    _need(bool((np.diff(quantiles) >= 0).all()), where, "the quantiles decrease")
    _check_inverse(distribution, quantiles, where)
    _check_moments(distribution, where)
    _check_table(distribution, where)


def check_traffic(
    traffic: Traffic, *, agents: int = 200, messages: int = 50, seed: int = 1
) -> None:
    """Check a traffic pattern: `OpenTraffic` or an `ArrivalProcess`.

    - It can be written to a model file, read back and sent to another process.
    - The times of an agent do not decrease, and come to an end before any given time.
    - One seed means the same times; what an agent sends does not depend on how many there are.
    - The messages are as many as its rate says, within five standard errors over the agents.
    - A system with it runs, and no message is lost.

    Parameters
    ----------
    traffic
        The traffic.
    agents, messages
        How many agents are looked at, for how many messages each in the mean.
    seed
        Of the times.

    Raises
    ------
    ContractError
        For the first rule that does not hold.
    """
    checks.instance(traffic, "traffic", Traffic, "OpenTraffic or an ArrivalProcess")
    agents = checks.whole_number(agents, "agents", 1)
    messages = checks.whole_number(messages, "messages", 1)
    seed = checks.whole_number(seed, "seed", 0, MAX_SEED)
    where = f"{type(traffic).__name__}, seed {seed}"
    _need(isinstance(traffic, OpenTraffic | ArrivalProcess), where,
          "it is neither OpenTraffic nor an ArrivalProcess")  # fmt: skip
    _check_value(traffic, Traffic, where)
    rate = traffic.rate_per_agent
    _need(rate is not None and 0 < rate < math.inf, where, "the rate is not finite and > 0")
    assert rate is not None
    if isinstance(traffic, OpenTraffic):
        check_distribution(traffic.first_gap)
        check_distribution(traffic.gap)
    else:
        assert isinstance(traffic, ArrivalProcess)
        _check_rule(traffic, messages, seed, where)
    _check_counts(traffic, agents, messages / rate, seed, where)
    system = System("checked", server=_Handover(), workload=Workload(traffic=traffic))
    _check_run(system, 4, messages / rate, seed, where)


# --- what is checked -----------------------------------------------------------------------------


def _need(holds: bool, where: str, otherwise: str) -> None:
    if not holds:
        raise ContractError(f"{where}: {otherwise}")


def _check_description(value: Any, base: type[Any], where: str) -> None:
    _check_same(value, lambda: parameters.structure(parameters.unstructure(value), base, source=""),
                where, "written to a model file and read back")  # fmt: skip
    _check_same(value, lambda: pickle.loads(pickle.dumps(value)), where, "pickled")


def _check_value(value: Any, base: type[Any], where: str) -> None:
    _check_description(value, base, where)
    try:
        hash(value)
    except TypeError as error:
        raise ContractError(f"{where}: it is not hashable: {error}") from error


def _check_same(value: Any, copy: Callable[[], Any], where: str, how: str) -> None:
    try:
        same = bool(copy() == value)
    except (LhsimError, TypeError, AttributeError, pickle.PicklingError) as error:
        raise ContractError(f"{where}: it cannot be {how}: {error}") from error
    _need(same, where, f"it is another one when it is {how}")


@frozen
class _Watched:
    """A run of which the end of each message was seen."""

    messages: list[Message]
    ends: dict[int, float]  # by the place of the message [s]
    area: float  # under the messages in the system over time [s]
    end: float  # of the run [s]


def _check_run(
    system: System, agents: int, duration: float, seed: int, where: str
) -> list[Message]:
    try:
        seen = _watch(system, agents, duration, seed, where)
    except InvariantError as error:
        raise ContractError(f"{where}: {error}") from error
    for place, message in enumerate(seen.messages):
        _check_times(message, seen.ends.get(place, seen.end), where)
    delivered = sum(message.outcome is Outcome.DELIVERED for message in seen.messages)
    _need(delivered > 0 or not seen.messages, where,
          f"none of {len(seen.messages)} messages is delivered")  # fmt: skip
    spent = math.fsum(
        seen.ends.get(place, seen.end) - message.created
        for place, message in enumerate(seen.messages)
    )
    _need(math.isclose(seen.area, spent, rel_tol=ROUNDING, abs_tol=ROUNDING), where,
          f"Little's law does not hold: {seen.area!r} s of messages in the system, and they spent "
          f"{spent!r} s there")  # fmt: skip
    return seen.messages


def _watch(system: System, agents: int, duration: float, seed: int, where: str) -> _Watched:
    """Run a system event by event, and look at its ledger before each of them."""
    window = Window(0.0, duration, duration)
    bridge = start(system, agents, seed, window, keep_messages=True).bridge
    env, ledger = bridge.env, bridge.ledger
    ends: dict[Message, float] = {}
    end_message = ledger.end

    def end(message: Message, outcome: Outcome, now: float) -> None:
        _need(now == env.now, where, f"a message ended at {env.now!r} s, and was told {now!r} s")
        end_message(message, outcome, now)
        ends.setdefault(message, now)

    ledger.end = end  # type: ignore[method-assign]
    area, last = 0.0, 0.0
    while env.peek() < duration:
        _need(env.peek() >= last, where, f"time went back from {last!r} s to {env.peek()!r} s")
        area += ledger.backlog * (env.peek() - last)
        last = env.peek()
        env.step()
    area += ledger.backlog * (duration - last)
    ledger.check_conservation()
    assert ledger.kept is not None
    places = {message: place for place, message in enumerate(ledger.kept)}
    by_place = {places[message]: time for message, time in ends.items() if message in places}
    return _Watched(ledger.kept, by_place, area, duration)


def _check_times(message: Message, end: float, where: str) -> None:
    who = f"{where}: message {message.number} of agent {message.sender}"
    for name in ("stored", "acknowledged", "delivered"):
        time = getattr(message, name)
        _need(np.isnan(time) or time >= message.created, who, f"was {name} before it was created")
    _need(
        np.isnan(message.delivered) or message.delivered <= end, who, "was delivered after its end"
    )
    _need(not message.stored > end, who, "was stored after its end")


def _check_repeats(system: System, agents: int, duration: float, seed: int, where: str) -> None:
    first, again, other = (
        _records(system, agents, duration, one) for one in (seed, seed, seed + 1)
    )
    _need(first == again, where, "the same seed makes another run: is all that is random drawn by "
          "address, and nothing kept from one run to the next?")  # fmt: skip
    _need(first != other, where, "another seed makes the same run")


def _records(system: System, agents: int, duration: float, seed: int) -> bytes:
    window = Window(0.0, duration, duration)
    engine = SimpyEngine(system, agents, seed, window, keep_messages=True)
    engine.advance(duration)
    records = engine.account().records
    assert records is not None
    return pickle.dumps({name: column.tolist() for name, column in records.items()})


def _check_independence(system: System, agents: int, seed: int) -> None:
    def times(count: int) -> set[tuple[int, int, float]]:
        bridge = start(system, count, seed, Window(0.0, 10.0, 10.0), keep_messages=True).bridge
        bridge.env.run(until=10.0)
        assert bridge.ledger.kept is not None
        sent = bridge.ledger.kept
        return {(one.sender, one.number, one.created) for one in sent if one.sender < agents}

    _need(times(agents) == times(agents + 2), f"seed {seed}",
          "agents that are added change what the others send")  # fmt: skip


def _run_as_users_do(system: System, agents: int, duration: float) -> None:
    result = simulate(system, agents=agents, duration=duration, engine="simpy")
    created = sum(result.outcomes.values())
    _need(created == result.counters.created, "simulate", "messages are not conserved")


@frozen
class _Handover(Server):
    """Hands each message over at once: the least that a server can do."""

    def serve(self, bridge: Bridge) -> ServerProcesses:
        """Return its processes."""
        return _HandoverProcesses(bridge)


class _HandoverProcesses(ServerProcesses):
    def carry(self, message: Message) -> Steps:
        yield self.env.timeout(0.0)
        message.stored = self.env.now
        self.bridge.ledger.end(message, Outcome.DELIVERED, self.env.now)


def _check_inverse(distribution: Distribution, quantiles: np.ndarray, where: str) -> None:
    slack = 1e-9
    at = np.asarray(distribution.cdf(quantiles * (1 + slack)))
    below = np.asarray(distribution.cdf(quantiles * (1 - slack)))
    _need(bool((at >= LEVELS - slack).all()), where, "F(Q(u)) is below u")
    inside = quantiles > 0
    _need(bool((below[inside] <= LEVELS[inside] + slack).all()), where, "F is above u before Q(u)")


def _check_moments(distribution: Distribution, where: str) -> None:
    """Hold the moments against the quantile function, by the trapezoidal rule in log-odds.

    The rule ends at the level 1 - 10^-15. Of a heavy tail it leaves something out, so that its
    moments are then lower bounds.
    """
    s = np.linspace(-34, 34, 200_001)
    u = 1 / (1 + np.exp(-s))
    weight = u * u[::-1] * (s[1] - s[0])
    x = np.asarray(distribution.quantile(u))
    mean, variance = distribution.mean, distribution.variance
    _need(variance >= 0, where, "the variance is negative")
    heavy = variance > HEAVY * mean**2
    its = float(np.sum(weight * x))
    near = its < mean if heavy else math.isclose(its, mean, rel_tol=QUADRATURE)
    _need(near, where, f"the mean is {mean!r}, and that of the quantiles {its!r}")
    if heavy:
        return
    its = float(np.sum(weight * (x - its) ** 2))
    slack = (QUADRATURE * mean) ** 2
    near = math.isclose(its, variance, rel_tol=10 * QUADRATURE, abs_tol=slack)
    _need(near, where, f"the variance is {variance!r}, and that of the quantiles {its!r}")


def _check_table(distribution: Distribution, where: str) -> None:
    table = distribution.table()
    starts, widths = table.cells.T
    ends = starts + widths
    slack = ROUNDING * float(ends[-1])
    ascends = bool((widths >= 0).all()) and bool((starts[1:] >= ends[:-1] - slack).all())
    _need(ascends, where, "its table decreases: does `breaks` name the jumps of its quantiles?")
    same = math.isclose(table.mean, distribution.mean, rel_tol=QUADRATURE)
    _need(same, where, f"its mean is {distribution.mean!r}, and that of its table {table.mean!r}")


def _check_rule(traffic: ArrivalProcess, messages: int, seed: int, where: str) -> None:
    """Check the steps of a rule, one by one."""
    now = 0.0
    for number in range(100 * messages):
        step = traffic.time_to_next(0, number, now, seed)
        _need(0 <= step < math.inf, where, f"time_to_next is {step!r} at {now!r} s")
        same = step == traffic.time_to_next(0, number, now, seed)
        _need(same, where, f"time_to_next of message {number} changes when it is asked again")
        now += step
        if now > messages / traffic.rate_per_agent:
            return
    raise ContractError(f"{where}: far more messages than its rate says")


def _check_counts(traffic: Traffic, agents: int, duration: float, seed: int, where: str) -> None:
    workload = Workload(traffic=traffic, start="together")
    sent = schedule(workload, agents, duration, seed)
    again = schedule(workload, agents + 1, duration, seed)
    _need(bool(np.array_equal(sent.time, again.time[again.sender < agents])), where,
          "an agent's times depend on how many agents there are")  # fmt: skip
    counts = np.bincount(sent.sender, minlength=agents)
    rate = traffic.rate_per_agent
    assert rate is not None
    expected = rate * duration
    # A message more or less of each agent is what the beginning of its first gap may be worth.
    error = CHANCE * float(counts.std(ddof=1)) / math.sqrt(agents) + 1
    _need(abs(float(counts.mean()) - expected) <= error, where,
          f"{counts.mean():.4g} messages of an agent where its rate says {expected:.4g}, "
          f"+- {error:.2g}")  # fmt: skip
