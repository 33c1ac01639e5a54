"""Limits that the bridge keeps: of the rate of an agent, and of connections."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from attrs import define, field

from lhsim.live.refusals import Refusal
from lhsim.live.settings import RateLimit

_MANY = 10_000  # buckets; beyond, those that are full again are forgotten


class Buckets:
    """The token buckets of all agents. One that is not here is full."""

    def __init__(self, limit: RateLimit) -> None:
        self._limit = limit
        self._buckets: dict[str, tuple[float, float]] = {}  # tokens, and when there were so many
        self._look_again = _MANY

    def take(self, agent: str, now: float) -> float:
        """Take a token; return 0, or the time until there is one [s]."""
        tokens = self._level(agent, now)
        if tokens < 1:
            return (1 - tokens) / self._limit.rate
        self._buckets[agent] = tokens - 1, now
        if len(self._buckets) > self._look_again:
            self._forget(now)
        return 0.0

    def _level(self, agent: str, now: float) -> float:
        tokens, then = self._buckets.get(agent, (self._limit.burst, now))
        return min(self._limit.burst, tokens + (now - then) * self._limit.rate)

    def _forget(self, now: float) -> None:
        some, full = self._buckets.items(), self._limit.burst
        self._buckets = {agent: one for agent, one in some if self._level(agent, now) < full}
        self._look_again = max(_MANY, 2 * len(self._buckets))


@define(eq=False)
class Places:
    """So many of something at a time, of all clients together: connections, or bytes."""

    _most: int
    _problem: str  # what a client is told when there are none left
    taken: int = field(default=0, init=False)

    @contextmanager
    def some(self, first: int = 1) -> Iterator[Callable[[int], None]]:
        """Hold some, and yield what takes more of them; all are given back at the end.

        Raise a `Refusal`: 503, when there are none left.
        """
        own = 0

        def take(count: int) -> None:
            nonlocal own
            if self.taken + count > self._most:
                raise Refusal(503, self._problem, retry_after=1.0)
            self.taken += count
            own += count

        try:
            take(first)
            yield take
        finally:
            self.taken -= own
