"""Competing consumers: messages wait in one queue, and whoever asks takes the oldest of them.

Delivery is at least once. A consumer works on what an answer holds, then deletes it by a request of
its own; a message that is not deleted within the visibility time-out of when it was taken is in the
queue again, at its place by age, and another consumer may take it. The first to delete it has
delivered it, and any other that does so has worked for a duplicate.
"""

from __future__ import annotations

from functools import partial
from heapq import heappop, heappush
from typing import TYPE_CHECKING

from lhsim.metrics.account import Outcome
from lhsim.models.polling_processes import Found, Polling
from lhsim.rules import attempt_index
from lhsim.streams import Purpose

if TYPE_CHECKING:
    from simpy.events import Event

    from lhsim.models.bridge import Bridge, Steps
    from lhsim.models.ledger import Message
    from lhsim.models.polling import PollingServer


class Consumers(Polling):
    """The processes of a polling server with one queue, and of the consumers."""

    def __init__(self, server: PollingServer, bridge: Bridge) -> None:
        super().__init__(server, bridge)
        self._delete_cpu = bridge.step(Purpose.DELETE_CPU)
        self._queue: list[tuple[int, Message]] = []  # a heap, by their numbers in the log

    def attend(self, agent: int, start: float) -> Steps:
        """Consume, for ever, unless the agent only sends."""
        if agent in self.bridge.workload.consumers(self.bridge.agents):
            yield from super().attend(agent, start)
        else:
            yield self.env.timeout(start)

    def _receive(self, agent: int, request: int, messages: Found) -> Steps:
        """Work on messages, and delete them, by a request whose answer the consumer awaits."""
        bridge, delete = self.bridge, attempt_index(1, request)
        yield from bridge.think(agent, bridge.of(agent, self._think), agent, request)
        yield from bridge.travel(agent, bridge.request_up, agent, delete)
        yield from bridge.compute(agent, self._parse_request, agent, delete)
        yield from bridge.compute(agent, self._delete_cpu, agent, request)
        yield from bridge.store.delete(agent, request, partial(self._done, agent, messages))
        yield from bridge.travel(agent, bridge.answer_down, agent, delete)

    def _done(self, agent: int, messages: Found) -> None:
        for message in messages:
            if message.outcome is not Outcome.PENDING:
                self.bridge.ledger.duplicates += 1
                continue
            original = message.original or message
            if original.outcome is Outcome.PENDING:
                original.target = agent
            self.bridge.ledger.end(message, Outcome.DELIVERED, self.env.now)

    def _post(self, message: Message) -> None:
        self._line_up(message)
        self.bridge.memory.store()

    def _line_up(self, message: Message) -> None:
        """Put a message at its place by age, and wake whoever it wakes."""
        heappush(self._queue, (message.event, message))
        if self.server.wake == "all":
            self._wake_all()
        elif self.server.wake_on_write:
            self._wake_first()

    def _wake_first(self) -> None:
        """End the sleep of the request that has been asleep longest."""
        if self._asleep:
            first = next(iter(self._asleep))
            self._end_sleep(self._asleep.pop(first))

    def _sleep(self, agent: int, cycle: int, time: float) -> Steps:
        # A message for which nobody was asleep is for whoever would go to sleep now.
        wakes_one = self.server.wake_on_write and self.server.wake == "one"
        if not (wakes_one and self._has_message()):
            yield from super()._sleep(agent, cycle, time)

    def _has_message(self) -> bool:
        """Return whether the queue holds a message that is not done; drop those that are."""
        while self._queue and self._queue[0][1].outcome is not Outcome.PENDING:
            heappop(self._queue)
        return bool(self._queue)

    def _take(self, _agent: int) -> Found:
        found: Found = []
        while len(found) < self.server.limit and self._has_message():
            _, message = heappop(self._queue)
            if self.bridge.store.is_gone(message):
                self.bridge.ledger.end(message, Outcome.EXPIRED, self.env.now)
                continue
            found.append(message)
            if self.server.visibility is not None:
                timer = self.env.timeout(self.server.visibility)
                timer.callbacks.append(partial(self._reappear, message))
        return found

    def _reappear(self, message: Message, _timer: Event) -> None:
        """Let others take a message that is not deleted by now."""
        if message.outcome is Outcome.PENDING:
            self._line_up(message)
