"""The polling server: a long-poll that queries, sleeps and queries again, or a short poll.

A short poll (`hold` is false) is answered at once, with messages or without: it is the client that
sleeps before it asks again.
"""

from __future__ import annotations

import math
from typing import Literal

from attrs import field, fields, frozen

from lhsim.checks import at_least, non_negative, one_of, positive, shares, whole, within
from lhsim.distributions import Distribution
from lhsim.distributions.base import ZERO
from lhsim.errors import InputError
from lhsim.models.limits import RateLimit
from lhsim.rules import grown
from lhsim.units import Seconds

Wake = Literal["one", "all"]
WAKES = ("one", "all")


@frozen
class Growth:
    """A request that finds nothing backs off: each empty cycle lets its next sleep be longer."""

    factor: float = field(default=2.0, validator=at_least(1))  # of a sleep to the one before it
    longest: Seconds = field(default=8.0, validator=positive)  # sleep, before its jitter [s]


@frozen
class Cache:
    """What the server remembers of a query that found nothing: the agent's mailbox was empty."""

    ttl: Seconds = field(default=5.0, validator=non_negative)  # age up to which it is believed [s]
    invalidate: bool = True  # whether a message for the agent makes the server forget it
    look_up: Distribution = ZERO  # of the loop, instead of the query [s]


@frozen
class PollingServer:
    """How the polling server answers a request for messages; defaults as in the original."""

    interval: Seconds = field(default=1.0, validator=positive)  # sleep between two queries [s]
    timeout: Seconds = field(default=60.0, validator=positive)  # then an empty answer goes out [s]
    # Whether the server holds a request that finds nothing; if not, it answers at once, and the
    # client sleeps: a short poll.
    hold: bool = True
    limit: int = field(default=10, validator=whole(1))  # messages in an answer
    connections: int | None = field(default=None, validator=whole(1))  # requests held at a time
    backoff: Seconds = field(default=0.5, validator=positive)  # of an agent that was refused [s]
    jitter: float = field(default=0.0, validator=within(0, 1))  # part of a sleep, either way
    # Sleep after the first query of a request that finds nothing [s]; None: `interval`.
    first_sleep: Seconds | None = field(default=None, validator=positive)
    growth: Growth | None = None  # of the sleeps of a request, from that of `interval` on
    wake_on_write: bool = False  # whether a message for the agent ends its request's sleep
    # Whose sleep a message ends: that of its target alone (with a queue: of the request that has
    # slept longest), or of all requests, which then query.
    wake: Wake = field(default="one", validator=one_of(WAKES))
    cache: Cache | None = None
    # Parts of the messages that have each priority, the highest first; none: all have the same.
    priorities: tuple[float, ...] = field(default=(), validator=shares)
    rate_limit: RateLimit | None = None  # of the messages that an agent sends
    # Of a queue: after which a message that was taken and is not deleted may be taken again [s];
    # None: never.
    visibility: Seconds | None = field(default=None, validator=positive)
    # After which an agent gives a request up, and asks again after `backoff` [s]; None: never.
    client_timeout: Seconds | None = field(default=None, validator=positive)

    def __attrs_post_init__(self) -> None:
        if self.growth is not None and self.growth.longest < self.interval:
            problem = f"{self.growth.longest!r} is shorter than the interval"
            raise InputError(problem, key="growth.longest", allowed=f"at least {self.interval!r} s")
        if self.wake == "all" and not self.wake_on_write:
            problem, allowed = "wakes nobody", "one, or wake_on_write = true"
            raise InputError(problem, key="wake", allowed=allowed)
        if not self.hold:
            self._refuse_options_of_held_requests()

    def _refuse_options_of_held_requests(self) -> None:
        for key in ("timeout", "wake_on_write"):
            if getattr(self, key) != getattr(fields(PollingServer), key).default:
                problem, allowed = "is of no use to a short poll", "to leave it out, or hold = true"
                raise InputError(problem, key=key, allowed=allowed)

    @property
    def sleeps_alike(self) -> bool:
        """Whether all sleeps take the same time, unless a write ends one."""
        return self.jitter == 0 and self.first_sleep is None and self.growth is None

    @property
    def first_sleeps(self) -> tuple[float, float]:
        """The first two sleeps of a request, before their jitter [s]."""
        if self.first_sleep is not None:
            return self.first_sleep, self.interval
        return self.interval, self.sleep_after(self.interval)

    def sleep_after(self, sleep: float) -> float:
        """Return the sleep that follows one of `interval` or longer, before their jitter [s]."""
        growth = self.growth
        return sleep if growth is None else grown(sleep, growth.factor, growth.longest)

    @property
    def shortest_sleep(self) -> float:
        """The shortest sleep of a request, before its jitter [s]."""
        return min(self.first_sleeps[0], self.interval)

    @property
    def mean_sleep(self) -> float:
        """The mean sleep after a query that finds nothing, its growth left out [s].

        The first sleep of a short poll comes once after messages.
        """
        if self.first_sleep is None or not self.hold:
            return self.interval
        others = max(0, math.ceil((self.timeout - self.first_sleep) / self.interval))
        return (self.first_sleep + others * self.interval) / (1 + others)
