"""The server's processor: event loops whose costs depend on how idle they were, and stalls.

A loop and the database threads of its process share one core and one interpreter lock, so the
processor's part of a query or a write is a demand on the loop; only waiting is served elsewhere.
"""

from __future__ import annotations

import itertools
from typing import Any

from attrs import astuple, evolve, field, fields, frozen

from lhsim.checks import MOST, at_least, non_negative, positive, whole
from lhsim.distributions import Distribution
from lhsim.distributions.base import ZERO
from lhsim.distributions.compounds import scaled
from lhsim.errors import InputError
from lhsim.models.limits import check_sharing
from lhsim.units import Seconds


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
class PerByte:
    """What each byte of a message adds to an operation; the answer to a poll has all its messages.

    Of a request, its own bytes count until it is answered, then those of the answer.
    """

    parse_message: Seconds = field(default=0.0, validator=non_negative)  # [s]
    parse_request: Seconds = field(default=0.0, validator=non_negative)  # of a client's request [s]
    validate: Seconds = field(default=0.0, validator=non_negative)  # [s]
    write: Seconds = field(default=0.0, validator=non_negative)  # [s]
    query: Seconds = field(default=0.0, validator=non_negative)  # of a client's request [s]
    respond: Seconds = field(default=0.0, validator=non_negative)  # [s]
    send: Seconds = field(default=0.0, validator=non_negative)  # [s]
    relay: Seconds = field(default=0.0, validator=non_negative)  # [s]


@frozen
class Cpu:
    """Event loops and what each operation costs them; agent i is served by loop i mod `workers`.

    Where agents share a connection, it is connection i, with all of its agents. An operation that
    costs nothing takes no event.
    """

    workers: int = field(default=1, validator=whole(1))  # loops, one server each
    # Processors that share one waiting line, in place of loops.
    cores: int = field(default=1, validator=whole(1))
    # Longest time that an operation keeps a processor while others wait [s]; None: until it is
    # done; 0: all share the processors equally.
    quantum: Seconds | None = field(default=None, validator=non_negative)
    # What a processor takes to resume an operation [s].
    switch: Seconds = field(default=0.0, validator=non_negative)
    # What a turn of a loop costs besides: all operations that wait as it begins are in it [s].
    turn: Seconds = field(default=0.0, validator=non_negative)
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
    per_byte: PerByte = PerByte()  # what the size of a message adds to these
    warmth: Warmth | None = None
    collection: Collection | None = None
    stalls: Stalls | None = None
    slowdowns: Slowdowns | None = None

    def __attrs_post_init__(self) -> None:
        if self.workers > 1 and (self.cores > 1 or self.quantum is not None):
            allowed = "1 where cores are shared"
            raise InputError(f"{self.workers} have a core each", key="workers", allowed=allowed)
        if self.cores > 1 and self.warmth is not None:
            allowed = "nothing where there are several cores"
            raise InputError("is that of one loop", key="warmth", allowed=allowed)
        if self.turn and (self.cores > 1 or self.quantum is not None):
            allowed = "0 where cores are shared"
            raise InputError("is that of one loop", key="turn", allowed=allowed)
        check_sharing(self.cores, self.quantum, self.switch, "cores")

    @property
    def processors(self) -> int:
        """How many operations run at a time at most."""
        return self.workers * self.cores

    def slower(self, factor: float) -> Cpu:
        """Return a processor that takes `factor` times as long for each operation."""
        costs: dict[str, Any] = {
            each.name: scaled(cost, factor)
            for each in fields(Cpu)
            if isinstance(cost := getattr(self, each.name), Distribution)
        }
        costs["turn"] = self.turn * factor
        costs["per_byte"] = PerByte(*(cost * factor for cost in astuple(self.per_byte)))
        if self.collection is not None:
            cost = scaled(self.collection.cost, factor)
            costs["collection"] = evolve(self.collection, cost=cost)
        if self.warmth is not None:  # it is work that warms, not time
            costs["warmth"] = evolve(self.warmth, memory=self.warmth.memory * factor)
        return evolve(self, **costs)
