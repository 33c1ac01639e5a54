"""The server's processor: event loops whose costs depend on how idle they were, and pauses.

A loop and the database threads of its process share one core and one interpreter lock, so the
processor's part of a query or a write is a demand on the loop; only waiting is served elsewhere.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import evolve, field, fields, frozen

from lhsim.checks import MOST, at_least, positive, whole
from lhsim.distributions import Distribution
from lhsim.distributions.compounds import scaled
from lhsim.errors import InputError
from lhsim.models.station import Service, Station
from lhsim.models.workload import ZERO
from lhsim.rules import idle_cost, slopes
from lhsim.units import Seconds

if TYPE_CHECKING:
    from simpy import Environment

    from lhsim.models.pauses import Pauses, Slow
    from lhsim.models.stage import Stage


@frozen
class Warmth:
    """How much an idle loop costs more, and how fast work warms it up.

    After an idle gap g the cost of an operation is its base cost times 1 + x, where
    x = max(x, f(g)) and f is piecewise linear through (`gaps`, `excess`), flat beyond them. Each
    operation then warms the loop: x := x / (1 + cost / `memory`).
    """

    gaps: tuple[Seconds, ...]  # idle times, ascending [s]
    excess: tuple[float, ...]  # x at these, ascending
    memory: Seconds = field(default=1.5e-3, validator=positive)  # work that halves x [s]

    def __attrs_post_init__(self) -> None:
        allowed = "as many ascending numbers >= 0 as the other list, at least two"
        for key in ("gaps", "excess"):
            numbers = getattr(self, key)
            ascending = all(a < b for a, b in itertools.pairwise(numbers))
            if len(numbers) < 2 or not ascending or numbers[0] < 0:
                raise InputError("is no ascending list", key=key, allowed=allowed)
        if len(self.gaps) != len(self.excess):
            raise InputError("differs in length from gaps", key="excess", allowed=allowed)
        steepest = max(map(_slope, itertools.pairwise(self.gaps), itertools.pairwise(self.excess)))
        if max(steepest, self.excess[-1]) > MOST:
            allowed = f"numbers up to {MOST:g}, that rise by no more than that in a second"
            raise InputError("rises too far", key="excess", allowed=allowed)


def _slope(gaps: tuple[float, float], excesses: tuple[float, float]) -> float:
    return (excesses[1] - excesses[0]) / (gaps[1] - gaps[0])


@frozen
class Collection:
    """Garbage collection: driven by allocation, so every `every`-th operation of a loop pays."""

    every: int = field(validator=whole(1))  # operations of a loop
    cost: Distribution = field()  # what that operation costs more [s]


@frozen
class Stalls:
    """Stalls of the host: alternating renewals in which nothing on it runs."""

    gap: Distribution  # from the end of a stall to the next [s]
    length: Distribution  # [s]

    def __attrs_post_init__(self) -> None:
        if not self.gap.mean + self.length.mean > 0:
            raise InputError("is always 0, as is gap", key="length", allowed="a mean > 0 s")


@frozen
class Slowdowns:
    """Spells in which the host is slow, as a neighbour on its cores makes it: alternating renewals.

    A property of the moment at which an operation begins.
    """

    gap: Distribution  # from the end of a spell to the next [s]
    length: Distribution  # [s]
    factor: float = field(validator=at_least(1))  # times as long in a spell

    def __attrs_post_init__(self) -> None:
        if not self.gap.mean + self.length.mean > 0:
            raise InputError("is always 0, as is gap", key="length", allowed="a mean > 0 s")


@frozen
class Cpu:
    """Event loops and what each operation costs them; agent i is served by loop i mod `workers`.

    Where agents share a connection, it is connection i, with all of its agents. An operation that
    costs nothing takes no event.
    """

    workers: int = field(default=1, validator=whole(1))  # loops, one server each
    parse_message: Distribution = ZERO  # accept, parse and authenticate a message [s]
    parse_request: Distribution = ZERO  # accept, parse and authenticate a request for messages [s]
    validate: Distribution = ZERO  # check a pushed message against its schema [s]
    write: Distribution = ZERO  # the processor's part of a write [s]
    query: Distribution = ZERO  # the processor's part of a query [s]
    respond: Distribution = ZERO  # serialise and send the answer to a request [s]
    acknowledge: Distribution = ZERO  # answer the sender of a stored message [s]
    connect: Distribution = ZERO  # accept a push connection [s]
    send: Distribution = ZERO  # serialise and send a pushed message [s]
    relay: Distribution = ZERO  # take over a message from the loop of its sender [s]
    heartbeat: Distribution = ZERO  # keep a push connection alive, once a `push.heartbeat` [s]
    warmth: Warmth | None = None
    collection: Collection | None = None
    stalls: Stalls | None = None
    slowdowns: Slowdowns | None = None

    def slower(self, factor: float) -> Cpu:
        """Return a processor that takes `factor` times as long for each operation."""
        costs: dict[str, Any] = {
            each.name: scaled(cost, factor)
            for each in fields(Cpu)
            if isinstance(cost := getattr(self, each.name), Distribution)
        }
        if self.collection is not None:
            cost = scaled(self.collection.cost, factor)
            costs["collection"] = evolve(self.collection, cost=cost)
        if self.warmth is not None:  # it is work that warms, not time
            costs["warmth"] = evolve(self.warmth, memory=self.warmth.memory * factor)
        return evolve(self, **costs)


class Loop(Station):
    """One event loop: a station of one server that cools while idle and pauses with its host."""

    def __init__(
        self,
        env: Environment,
        number: int,
        cpu: Cpu,
        measured: tuple[float, float],
        stalls: Pauses | None,
        slow: Slow | None,
        collection: Stage | None,
    ) -> None:
        super().__init__(env, 1, measured, stalls)
        self._number = number
        self._every = cpu.collection.every if cpu.collection else 0
        self._collection = collection
        self._slow = slow
        self._warmth = cpu.warmth
        if cpu.warmth:
            self._curve = slopes(np.array(cpu.warmth.gaps), np.array(cpu.warmth.excess))
        self._chill = 0.0  # x of `Warmth`
        self._idle_since = -np.inf  # a loop begins as cold as it can be
        self._operations = 0
        self.work_time = 0.0  # busy time less the pauses in it, inside the measured window [s]

    def duration(self, demand: float) -> float:
        """Return how long an operation of base cost `demand` that begins now takes [s]."""
        cost = self._cost(demand)
        if self._measured_from <= self.env.now < self._measured_to:
            self.work_time += cost
        return super().duration(cost)

    def _cost(self, demand: float) -> float:
        cost = demand
        if self._warmth is not None:
            gap, memory = self.env.now - self._idle_since, self._warmth.memory
            cost, self._chill = idle_cost(demand, gap, self._chill, self._curve, memory)
        if self._collection is not None:
            self._operations += 1
            if self._operations % self._every == 0:
                cost += self._collection.draw(self._number, self._operations // self._every - 1)
        if self._slow is not None:
            cost *= self._slow.times_as_long(self.env.now)
        return cost

    def complete(self, service: Service) -> None:
        """End an operation; from now on the loop may be idle."""
        self._idle_since = self.env.now
        super().complete(service)
