"""A queue that consumers compete for: whoever asks takes the oldest messages that are visible.

What is taken is out of sight for the visibility timeout, and then there again, at its place by age,
unless it was deleted: at least once. Which messages are deleted is in the store. Who has taken what
is here alone, and forgotten by a restart, after which what was not deleted is visible.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from heapq import heappop, heappush
from threading import Lock

from lhsim.live.store import Event, EventStore

QUEUE = ":queue"  # the target of its messages; no agent has that name


class Queue:
    """The numbers of the messages in a queue, by whether they are visible.

    `take` and `delete` are for the threads of the store, the rest for any.

    Parameters
    ----------
    visibility
        For which a message is out of sight that was taken [s].
    clock
        Any that goes on [s].
    """

    def __init__(self, visibility: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._visibility = visibility
        self._clock = clock
        self._lock = Lock()
        self._known: set[int] = set()  # all that are not deleted
        self._visible: list[int] = []  # a heap; what is not known of it any more is deleted
        # Until when each is out of sight, in this order, as they all are for the same time [s]
        self._taken: OrderedDict[int, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def add(self, sequences: Iterable[int]) -> None:
        """Queue messages by their numbers, unless they are there."""
        with self._lock:
            for sequence in sequences:
                if sequence not in self._known:
                    self._known.add(sequence)
                    heappush(self._visible, sequence)

    def look(self, store: EventStore) -> None:
        """Queue what the store holds for it."""
        self.add(store.pending(QUEUE))

    def take(self, store: EventStore, limit: int) -> list[Event]:
        """Return the oldest messages that are visible, and let them be so no more."""
        sequences = self._next(limit)
        try:
            return store.find(sequences)
        except BaseException:
            self._give_back(sequences)
            raise

    def delete(self, store: EventStore, sequences: list[int]) -> list[int]:
        """Delete messages; return those that were not deleted before."""
        deleted = store.delete(sequences)
        with self._lock:
            for sequence in sequences:
                self._known.discard(sequence)
                self._taken.pop(sequence, None)
        return deleted

    def _next(self, limit: int) -> list[int]:
        found: list[int] = []
        now = self._clock()
        with self._lock:
            while self._taken and next(iter(self._taken.values())) <= now:
                heappush(self._visible, self._taken.popitem(last=False)[0])
            while self._visible and len(found) < limit:
                sequence = heappop(self._visible)
                if sequence in self._known:
                    found.append(sequence)
                    self._taken[sequence] = now + self._visibility
        return found

    def _give_back(self, sequences: Iterable[int]) -> None:
        with self._lock:
            for sequence in sequences:
                if self._taken.pop(sequence, None) is not None:
                    heappush(self._visible, sequence)
