"""The log of the event store: which of its events are still kept.

Events are numbered in the order of their commits, those that are there at the start first. What is
kept are always the latest, so the number of the oldest of them says which ones are.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from attrs import field, frozen

from lhsim.checks import positive, whole
from lhsim.errors import InputError
from lhsim.rules import is_past
from lhsim.units import Seconds

if TYPE_CHECKING:
    from simpy import Environment


@frozen
class Retention:
    """Which events the store keeps; others are removed at no cost, and no longer found.

    With both limits an event has to be within both of them.
    """

    count: int | None = field(default=None, validator=whole(1))  # the newest so many; None: all
    # Those that are younger [s]; None: all.
    age: Seconds | None = field(default=None, validator=positive)

    def __attrs_post_init__(self) -> None:
        if self.count is None and self.age is None:
            raise InputError("is missing", key="count", allowed="a whole number, or an age")


class Log:
    """The events that have been committed, and which of them are kept.

    Nothing happens when an event gets too old: it is removed when somebody looks.
    """

    def __init__(self, env: Environment, events: int, retention: Retention | None) -> None:
        self._env = env
        self._count = None if retention is None else retention.count
        self._age = None if retention is None else retention.age
        # Of a log that begins longer than it may be, the rest does not count at all.
        self._at_start = events if self._count is None else min(events, self._count)
        self._first = 0
        self._end = self._at_start  # the number of the next event
        self._times: deque[float] = deque()  # of the commits that are kept [s], if ages matter

    @property
    def first(self) -> int:
        """The number of the oldest event that is kept now; of the next to come where none is."""
        if self._count is not None:
            self._remove(self._end - self._count)
        if self._age is not None:
            self._remove_older_than(self._age)
        return self._first

    @property
    def kept(self) -> int:
        """The events that are kept now."""
        return self._end - self.first

    def append(self) -> int:
        """Commit an event, and return its number."""
        if self._age is not None:
            self._times.append(self._env.now)
        self._end += 1
        return self._end - 1

    def _remove(self, end: int) -> None:
        """Remove the events before one."""
        while self._first < end:
            if self._times and self._first >= self._at_start:
                self._times.popleft()
            self._first += 1

    def _remove_older_than(self, age: float) -> None:
        now = self._env.now
        if self._first < self._at_start and is_past(0.0, age, now):
            self._first = self._at_start
        while self._times and self._first >= self._at_start and is_past(self._times[0], age, now):
            self._remove(self._first + 1)
