"""The polling server: a long-poll that queries, sleeps and queries again."""

from __future__ import annotations

from attrs import field, frozen

from lhsim.checks import at_least, non_negative, positive, shares, whole, within
from lhsim.distributions import Distribution
from lhsim.distributions.base import ZERO
from lhsim.errors import InputError
from lhsim.models.limits import RateLimit
from lhsim.units import Seconds


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
    limit: int = field(default=10, validator=whole(1))  # messages in an answer
    connections: int | None = field(default=None, validator=whole(1))  # requests held at a time
    backoff: Seconds = field(default=0.5, validator=positive)  # of an agent that was refused [s]
    jitter: float = field(default=0.0, validator=within(0, 1))  # part of a sleep, either way
    growth: Growth | None = None  # of the sleeps of a request, the first of which is `interval`
    wake_on_write: bool = False  # whether a message for the agent ends its request's sleep
    cache: Cache | None = None
    # Parts of the messages that have each priority, the highest first; none: all have the same.
    priorities: tuple[float, ...] = field(default=(), validator=shares)
    rate_limit: RateLimit | None = None  # of the messages that an agent sends
    # After which an agent gives a request up, and asks again after `backoff` [s]; None: never.
    client_timeout: Seconds | None = field(default=None, validator=positive)

    def __attrs_post_init__(self) -> None:
        if self.growth is not None and self.growth.longest < self.interval:
            problem = f"{self.growth.longest!r} is shorter than the interval"
            raise InputError(problem, key="growth.longest", allowed=f"at least {self.interval!r} s")
