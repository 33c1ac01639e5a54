"""What the agents do: who sends to whom, when, and how the agents start.

Descriptions only; the processes are in `lhsim.models.agent`.
"""

from __future__ import annotations

import abc
import math
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
from attrs import Factory, evolve, field, frozen
from attrs.validators import optional
from numpy.typing import NDArray

from lhsim.checks import (
    MOST,
    as_tuple,
    at_least,
    non_negative,
    one_of,
    positive,
    rate,
    whole,
    within,
)
from lhsim.distributions import Deterministic, Distribution, Exponential, Uniform
from lhsim.distributions.base import ZERO, Sizes, each, floats, one_for_each
from lhsim.errors import InputError, shown
from lhsim.models.classes import AgentClass, Population, check_classes, fewest_agents
from lhsim.rules import RAMP, RANDOM, TOGETHER, other_of, rate_schedule, recorded_time
from lhsim.streams import Purpose, uniform
from lhsim.units import PerSecond, Seconds

MOST_AGENTS = 10**12  # of which no run fits into the memory of a machine
TOPOLOGIES = ("ring", "pair", "random", "hub", "broadcast")  # in which a message has a target
MOST_RECORDED = 200_000  # times in a model
ONE_QUEUE = "queue"
NOBODY_YET = -1  # the target of a message in a queue, until somebody has done what it asks for
Topology = Literal["ring", "pair", "random", "hub", "broadcast", "queue"]
Start = Literal["random", "together", "ramp"]
START_KINDS = {"together": TOGETHER, "ramp": RAMP, "random": RANDOM}


class Traffic(abc.ABC):
    """When an agent sends its messages."""

    tag: ClassVar[str] = "kind"
    entry_points: ClassVar[str] = "lhsim.traffic"
    name: ClassVar[str]

    @property
    @abc.abstractmethod
    def rate_per_agent(self) -> float | None:
        """Messages that an agent offers [1/s]; None where the answers set the pace."""

    @property
    def closed(self) -> bool:
        """Whether it is a closed loop: the answers set the pace."""
        return self.rate_per_agent is None

    @property
    def at_a_time(self) -> int:
        """Messages that a sender in a closed loop has on their way at most."""
        return 1

    @property
    def wait(self) -> float:
        """The mean time from the end of a message in a closed loop to the next one [s]."""
        return 0.0

    @property
    def messages_of_a_sender(self) -> float:
        """Messages that a sender creates before it stops; infinite where it never does."""
        return math.inf

    @property
    def period(self) -> float:
        """After which a load that changes repeats; infinite where it goes on as it is [s]."""
        return math.inf


class OpenTraffic(Traffic):
    """Messages at times that do not depend on the server: renewals from the agent's start on."""

    @property
    @abc.abstractmethod
    def first_gap(self) -> Distribution:
        """From the start of the agent to its first message [s]."""

    @property
    @abc.abstractmethod
    def gap(self) -> Distribution:
        """From one message to the next [s]."""


class ArrivalProcess(Traffic):
    """Messages at the times of a rule of your own, which do not depend on the server.

    A subclass is an attrs class. Gaps that are independent of each other are `OpenTraffic`.
    """

    @property
    @abc.abstractmethod
    def rate_per_agent(self) -> float:
        """Messages that an agent offers in the mean, in the long run [1/s]."""

    @property
    def steady(self) -> bool:
        """Whether the load goes on as it is: it neither ends nor comes in bursts."""
        return True

    @abc.abstractmethod
    def time_to_next(self, agent: int, number: int, now: float, seed: int) -> float:
        """Return how long it takes from `now` until an agent sends a message [s].

        Parameters
        ----------
        agent, number
            Whose message it is, and its index among those of this agent, from 0 on. Draws are
            ``uniform(seed, Purpose.MESSAGE_GAP, agent, number)`` of `lhsim.streams`.
        now
            When the one before it was sent, or the agent started [s].
        seed
            Of the run.
        """


@frozen(slots=False)
class Poisson(OpenTraffic):
    """Messages at exponential gaps."""

    name: ClassVar[str] = "poisson"

    rate: PerSecond = field(default=0.1, validator=rate)  # messages of an agent [1/s]

    @property
    def rate_per_agent(self) -> float:
        """The rate [1/s]."""
        return self.rate

    @property
    def first_gap(self) -> Distribution:
        """Like any other gap: the process has no memory."""
        return self.gap

    @property
    def gap(self) -> Distribution:
        """Exponential [s]."""
        return Exponential(1 / self.rate)


@frozen(slots=False)
class Periodic(OpenTraffic):
    """Messages at equal gaps from a random phase on, each gap uniformly jittered."""

    name: ClassVar[str] = "periodic"

    rate: PerSecond = field(default=0.1, validator=rate)  # messages of an agent [1/s]
    jitter: float = field(default=0.0, validator=within(0, 1))  # half-width, as a part of the gap

    @property
    def rate_per_agent(self) -> float:
        """The rate [1/s]."""
        return self.rate

    @property
    def first_gap(self) -> Distribution:
        """A random phase of the period [s]."""
        return Uniform(0.0, 1 / self.rate)

    @property
    def gap(self) -> Distribution:
        """The period, jittered [s]."""
        period = 1 / self.rate
        low, high = period * (1 - self.jitter), period * (1 + self.jitter)
        return Uniform(low, high) if low < high else Deterministic(period)


@frozen
class Piece:
    """A time in which messages come at one rate."""

    duration: Seconds = field(validator=positive)  # [s]
    rate: PerSecond = field(validator=non_negative)  # messages of an agent [1/s]


@frozen(slots=False)
class Piecewise(Traffic):
    """Bursts: a Poisson process whose rate is constant in pieces of time, the same for all agents.

    The pieces begin at time 0, whenever an agent starts, and repeat for ever.
    """

    name: ClassVar[str] = "piecewise"

    pieces: tuple[Piece, ...]

    def __attrs_post_init__(self) -> None:
        if not 0 < sum(piece.duration * piece.rate for piece in self.pieces) < math.inf:
            allowed = "at least one piece, and one with a rate > 0"
            raise InputError("has no finite mean rate > 0", key="pieces", allowed=allowed)

    @property
    def rate_per_agent(self) -> float:
        """The mean rate [1/s]."""
        expected = math.fsum(piece.duration * piece.rate for piece in self.pieces)
        return expected / self.period

    @property
    def period(self) -> float:
        """The length of all pieces [s]."""
        return math.fsum(piece.duration for piece in self.pieces)

    @property
    def schedule(self) -> NDArray[np.float64]:
        """The pieces as `lhsim.rules.time_to_next` has them."""
        durations, rates = zip(*((p.duration, p.rate) for p in self.pieces), strict=True)
        return rate_schedule(np.array(durations, float), np.array(rates, float))

    @property
    def expected(self) -> Distribution:
        """Messages that are expected from one to the next; the schedule makes a time of them."""
        return Exponential(1.0)


@frozen(slots=False)
class Recorded(Traffic):
    """Messages at the times that were recorded of clients, whatever the server does.

    The senders are the clients, in their order, and each repeats its record after `length`. More
    senders than clients have the same records once more, from a random time of them on. The times
    count from the start of the run, whenever an agent starts.
    """

    name: ClassVar[str] = "recorded"

    # Of the messages, ascending, from 0 on [s].
    times: tuple[Seconds, ...] = field(converter=floats, validator=each(non_negative))
    length: Seconds = field(validator=positive)  # of the record, which then repeats [s]
    # Who sent each, numbered from 0 on without a gap; None: they are all of one client.
    clients: tuple[int, ...] | None = field(
        default=None, converter=as_tuple, validator=optional(each(whole(0, MOST_RECORDED)))
    )

    def __attrs_post_init__(self) -> None:
        self._check_times()
        if self.clients is not None:
            self._check_clients(self.clients)

    def _check_times(self) -> None:
        if len(self.times) > MOST_RECORDED:
            problem, allowed = f"are {len(self.times):,}", f"at most {MOST_RECORDED:,}"
            raise InputError(problem, key="times", allowed=allowed)
        if any(np.diff(self.times) < 0) or self.times[-1] >= self.length:
            allowed = f"ascending times from 0 to less than the length, {self.length:g} s"
            raise InputError("are out of order or range", key="times", allowed=allowed)

    def _check_clients(self, clients: tuple[int, ...]) -> None:
        one_for_each("clients", clients, "time", self.times)
        if max(clients) >= len(set(clients)):
            allowed = "all numbers from 0 on, up to the highest"
            raise InputError("leave numbers out", key="clients", allowed=allowed)

    @property
    def rate_per_agent(self) -> float:
        """The mean rate [1/s]."""
        return len(self.times) / (len(self.record[1]) - 1) / self.length

    @property
    def period(self) -> float:
        """The length of the record [s]."""
        return self.length

    @cached_property
    def record(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """The times by client, and the index of the first of each, as `recorded_time` has them."""
        clients = np.array(self.clients or [0] * len(self.times), np.int64)
        order = np.argsort(clients, kind="stable")
        firsts = np.append(0, np.cumsum(np.bincount(clients)))
        return np.array(self.times, float)[order], firsts.astype(np.int64)

    def time_of(self, rank: int, number: int, seed: int) -> float:
        """Return when the sender of a rank, from 0 on, sends a message [s]."""
        return recorded_time(rank, number, *self.record, self.length, seed)


@frozen(slots=False)
class Closed(Traffic):
    """A closed loop: each message is created a pause after the one before it has ended."""

    name: ClassVar[str] = "closed"

    messages: int | None = field(default=10, validator=whole(1))  # of an agent; None: no end
    pause: Distribution = ZERO  # from the end of a message to the next one [s]

    @property
    def rate_per_agent(self) -> None:
        """None: the answers set the pace."""
        return None

    @property
    def wait(self) -> float:
        """The mean pause [s]."""
        return self.pause.mean

    @property
    def messages_of_a_sender(self) -> float:
        """Messages of an agent; infinite where there is no end."""
        return math.inf if self.messages is None else self.messages


@frozen(slots=False)
class Requests(Traffic):
    """Clients of a request/response server: each thinks, sends a request, and waits for the answer.

    A client has up to `in_flight` requests under way, each in a loop of its own. One that is not
    answered within its `patience` is given up: the message expires, the client goes on, and the
    abandoned request still consumes the server.
    """

    name: ClassVar[str] = "requests"

    # From an answer to the client's next request, and before its first [s].
    think: Distribution = ZERO
    in_flight: int = field(default=1, validator=whole(1))  # requests of a client at a time
    # After which a client gives a request up [s]; None: never.
    patience: Seconds | None = field(default=None, validator=positive)
    # Requests of a client before it stops; None: no end.
    requests: int | None = field(default=None, validator=whole(1))

    @property
    def rate_per_agent(self) -> None:
        """None: the answers set the pace."""
        return None

    @property
    def at_a_time(self) -> int:
        """Requests of a client that are under way at a time."""
        return self.in_flight

    @property
    def wait(self) -> float:
        """The mean think time [s]."""
        return self.think.mean

    @property
    def messages_of_a_sender(self) -> float:
        """Requests of a client; infinite where there is no end."""
        return math.inf if self.requests is None else self.requests


@frozen
class Slow:
    """Slow agents: some, at random, take longer than the others."""

    share: float = field(validator=within(0, 1))  # of the agents, each with this probability
    factor: float = field(validator=at_least(1))  # times their think time, pause, network delays


@frozen
class Retry:
    """How an agent tries again to send a message.

    An attempt has failed `timeout` after it was sent, when the server refuses it, or when its
    connection is cut. After the k-th failure the agent waits for `backoff` factor^(k-1), at most
    `longest`, jittered, and sends the message again, up to so many `attempts`.
    """

    timeout: Seconds = field(default=10.0, validator=positive)  # of an attempt [s]
    attempts: int = field(default=4, validator=whole(1))  # at a message, the first included
    backoff: Seconds = field(default=0.5, validator=non_negative)  # after the first failure [s]
    factor: float = field(default=1.0, validator=at_least(1))  # of a back-off to the one before it
    longest: Seconds = field(default=60.0, validator=non_negative)  # back-off, unjittered [s]
    jitter: float = field(default=0.0, validator=within(0, 1))  # part of a back-off, either way
    # Further attempts that each message of an agent pays for, saved up to 10; None: all there are.
    budget: float | None = field(default=None, validator=non_negative)


@frozen
class Workload:
    """N agents, their traffic and how they begin.

    ``ring``: agent i sends to agent i + 1. ``pair``: agent 2i sends to agent 2i + 1, which only
    receives. ``random``: each message goes to one of the other agents, all equally likely. ``hub``:
    all others send to agent 0, which only receives. ``broadcast``: agent 0 sends to all others at
    once, which only receive: one request to the server, and a message for each of them. ``queue``:
    whoever asks first takes a message; all agents send and consume, or the first `producers` of
    them only send, and the others only consume.

    Constant sleeps that start together stay clumped, so it matters how agents start: ``random``
    at independent uniform times in [0, `start_over`), ``ramp`` evenly over it, ``together`` at 0.
    """

    topology: Topology = field(default="ring", validator=one_of((*TOPOLOGIES, ONE_QUEUE)))
    traffic: Traffic = Factory(Poisson)  # when an agent sends
    think: Distribution = ZERO  # from the receipt of messages to the next request for some [s]
    start: Start = field(default="random", validator=one_of(("random", "together", "ramp")))
    start_over: Seconds = field(default=1.0, validator=non_negative)  # time in which they start [s]
    slow: Slow | None = None
    retry: Retry | None = None  # of what an agent sends; None: it is sent once
    payload: Sizes = ZERO  # of a message, or a request [B]
    # Agents that differ from each other; none: all are alike.
    classes: tuple[AgentClass, ...] = ()
    # Agents that only send, where there is a queue; None: all send and consume.
    producers: int | None = field(default=None, validator=whole(1))

    def __attrs_post_init__(self) -> None:
        check_classes(self.classes)
        for number, one in enumerate(self.classes):
            self._check_class(f"classes[{number}]", one)
        if self.classes and all(one.rate == 0 or one.share == 0 for one in self.classes):
            allowed = "one of them with agents, and a rate > 0"
            raise InputError("send nothing", key="classes", allowed=allowed)
        if self.producers is not None and self.topology != ONE_QUEUE:
            problem, allowed = f"is of no use to a {self.topology}", "nothing, or topology = queue"
            raise InputError(problem, key="producers", allowed=allowed)

    def _check_class(self, key: str, one: AgentClass) -> None:
        if one.rate is not None and not isinstance(self.traffic, Poisson | Periodic):
            problem, allowed = "is none of this traffic", "none, or poisson or periodic traffic"
            raise InputError(problem, key=f"{key}.rate", allowed=allowed)
        if one.rate and one.rate < 1 / MOST:
            problem, allowed = f"{one.rate!r} is out of range", f"0, or at least {1 / MOST:g}"
            raise InputError(problem, key=f"{key}.rate", allowed=allowed)
        if one.target is not None and self.topology != "random":
            problem = f"is said by the topology {self.topology!r}"
            allowed = "none, or the topology random"
            raise InputError(problem, key=f"{key}.target", allowed=allowed)

    def offered_load(self, agents: int) -> float | None:
        """Return the messages that `agents` agents offer [1/s]; None for a closed loop."""
        if self.traffic.rate_per_agent is None:
            return None
        rates = self._rates(agents)
        return math.fsum(rate * some for rate, some in rates) * self.copies(agents)

    def _rates(self, agents: int) -> list[tuple[float, int]]:
        """Return the rate of each class [1/s], and how many of its agents send."""
        population, senders = Population(self.classes, agents), self.senders(agents)
        usual = self.traffic.rate_per_agent or 0.0
        rates = [usual if one.rate is None else one.rate for one in self.classes] or [usual]
        return [
            (rate, _inside(senders, *ends))
            for rate, ends in zip(rates, population.ranges, strict=True)
        ]

    def of_class(self, number: int) -> Workload:
        """Return the workload as it is for the agents of one class; all of it where none are told.

        The traffic of a class that sends nothing is that of the others.
        """
        if not self.classes:
            return self
        one = self.classes[number]
        traffic: Any = self.traffic
        if one.rate:
            traffic = evolve(traffic, rate=one.rate)
        if one.think is not None and isinstance(traffic, Requests):
            traffic = evolve(traffic, think=one.think)
        return evolve(
            self,
            traffic=traffic,
            think=self.think if one.think is None else one.think,
            payload=self.payload if one.payload is None else one.payload,
            classes=(),
        )

    @property
    def kinds(self) -> tuple[Workload, ...]:
        """The workload of each class, in their order."""
        return tuple(self.of_class(number) for number in range(max(1, len(self.classes))))

    @property
    def silent(self) -> frozenset[int]:
        """The classes whose agents send nothing, by their numbers."""
        return frozenset(number for number, one in enumerate(self.classes) if one.rate == 0)

    @property
    def fewest(self) -> int:
        """The fewest agents that the topology, and what the classes need, can be made of."""
        if self.topology == ONE_QUEUE:
            of_topology = 1 + (self.producers or 0)
        else:
            of_topology = 1 if self.topology == "ring" else 2
        fewest = max(of_topology, fewest_agents(self.classes))
        return fewest + fewest % 2 if self.topology == "pair" else fewest

    def senders(self, agents: int) -> range:
        """Return the agents that send."""
        if self.topology == "pair":
            return range(0, agents, 2)
        if self.topology == "hub":
            return range(1, agents)
        if self.producers is not None:
            return range(self.producers)
        return range(1) if self.topology == "broadcast" else range(agents)

    def consumers(self, agents: int) -> range:
        """Return the agents that take messages from a queue."""
        return range(self.producers or 0, agents)

    def copies(self, agents: int) -> int:
        """Return how many messages an agent creates at a time, one for each of its targets."""
        return agents - 1 if self.topology == "broadcast" else 1

    @property
    def started_by(self) -> float:
        """When the last agent has started [s]."""
        return 0.0 if self.start == "together" else self.start_over


def _inside(numbers: range, first: int, end: int) -> int:
    """Return how many of ascending numbers lie from `first` up to `end`."""
    low, high = (max(0, -(-(one - numbers.start) // numbers.step)) for one in (first, end))
    return len(numbers[low:high])


def check_count(workload: Workload, agents: object) -> int:
    """Return the number of agents when the topology can have so many, else raise InputError."""
    if isinstance(agents, bool) or not isinstance(agents, int) or agents < 1:
        raise InputError(f"{agents!r} is out of range", key="agents", allowed="a whole number >= 1")
    if agents > MOST_AGENTS:
        allowed = f"a whole number >= 1, at most {MOST_AGENTS:,}"
        raise InputError(f"{shown(agents)} is out of range", key="agents", allowed=allowed)
    if workload.topology == "pair" and agents % 2:
        raise InputError(f"{agents} do not pair up", key="agents", allowed="an even number")
    if workload.topology in {"random", "hub", "broadcast"} and agents == 1:
        raise InputError("1 has no other to send to", key="agents", allowed="a whole number >= 2")
    if workload.topology == "random":
        Population(workload.classes, agents).check_targets()
    if workload.offered_load(agents) == 0:
        raise InputError(f"{agents:,} leave nobody who sends", key="agents", allowed="more of them")
    if not workload.consumers(agents):
        allowed = f"more than the {workload.producers:,} that only send"
        raise InputError(f"{agents:,} have no consumer", key="agents", allowed=allowed)
    return agents


def target_of(
    workload: Workload, population: Population, agent: int, number: int, seed: int
) -> int:
    """Return to whom message `number` of an agent goes."""
    agents = population.agents
    if workload.topology == "hub":
        return 0
    if workload.topology == ONE_QUEUE:
        return NOBODY_YET
    if workload.topology == "broadcast":
        return 1 + number % (agents - 1)
    if workload.topology == "random":
        u = uniform(seed, int(Purpose.TARGET), agent, number)
        return other_of(u, agent, *population.targets_of(agent))
    return (agent + 1) % agents  # ring; and pair, where only even agents send
