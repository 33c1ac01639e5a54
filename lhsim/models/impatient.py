"""Pollers with a timeout: the handler of an abandoned request runs on, beside the next one's.

What an answer held that nobody got is not lost: an agent asks for what comes after the last message
that it has received (`since_sequence`), so its next request finds the same messages again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator, Iterator
from itertools import count
from typing import TYPE_CHECKING, Any

from lhsim.metrics.account import Outcome
from lhsim.models.polling_processes import Found, Polling
from lhsim.models.replies import Failed, Reply

if TYPE_CHECKING:
    from simpy.events import Event

    from lhsim.models.bridge import Bridge, Steps
    from lhsim.models.polling import PollingServer


class ImpatientPolling(Polling):
    """The processes of the polling server, each request with one of its own."""

    def __init__(self, server: PollingServer, bridge: Bridge) -> None:
        super().__init__(server, bridge)
        self._writes: dict[int, int] = defaultdict(int)  # by agent: messages stored for it
        self._seen: dict[tuple[int, int], int] = {}  # by agent and cycle: of these, at its start
        self._alarms: dict[int, dict[int, Event]] = defaultdict(dict)  # by agent and cycle

    def attend(self, agent: int, start: float) -> Steps:
        """Receive, for ever: ask for messages, take what comes, think, ask again."""
        env, bridge = self.env, self.bridge
        yield env.timeout(start)
        cycles = count()
        for request in count():
            reply = bridge.waiting.ask(agent, self.server.client_timeout)
            env.process(self._handle(agent, request, cycles, reply))
            answer = yield reply.event
            if isinstance(answer, Failed):
                yield env.timeout(self.server.backoff)
            elif answer:
                self._deliver(answer)
                yield from bridge.think(agent, self._think, agent, request)

    def _handle(self, agent: int, request: int, cycles: Iterator[int], reply: Reply) -> Steps:
        """Answer a request, whether its client still waits or not."""
        bridge = self.bridge
        yield from bridge.travel(agent, bridge.request_up, agent, request)
        node = self._admit(agent, request)
        if node is None:
            yield from bridge.travel(agent, bridge.answer_down, agent, request)
            reply.give(Failed.REFUSED)
            return
        reply.node = node
        messages = yield from self.wait_for_messages(agent, request, cycles, node)
        yield from bridge.compute(agent, self._respond, agent, request, node)
        reply.node = None
        bridge.memory.disconnect(node)
        yield from bridge.travel(agent, bridge.answer_down, agent, request)
        reply.give(messages)

    def _admit(self, agent: int, request: int) -> int | None:
        """Return the node that accepts a request, or None: it is refused."""
        if self.bridge.unreachable:
            self.refused += 1
            return None
        node = self._node_of(agent, request)
        return node if self._accept(node) else None

    def _take(self, agent: int) -> Found:
        """Return what an answer holds; it stays in the mailbox until the agent has it."""
        found = super()._take(agent)
        for message in reversed(found):
            self._mailbox(message).appendleft(message)
        return found

    def _deliver(self, messages: Found) -> None:
        for message in messages:
            if message.outcome is Outcome.PENDING:  # else a query has found it gone meanwhile
                self._mailbox(message).remove(message)
                self.bridge.ledger.end(message, Outcome.DELIVERED, self.env.now)

    def _look(self, agent: int, cycle: int, node: int) -> Generator[Event, Any, Found]:
        self._seen[agent, cycle] = self._writes[agent]
        return super()._look(agent, cycle, node)

    def _sleep(self, agent: int, cycle: int, time: float) -> Steps:
        written = self._writes[agent] > self._seen.pop((agent, cycle))
        if not self.server.wake_on_write:
            yield self.env.timeout(time)
        elif not written:
            alarms = self._alarms[agent]
            alarm = alarms[cycle] = self.env.timeout(time)
            yield alarm
            alarms.pop(cycle, None)

    def _wake(self, agent: int) -> None:
        """End the sleeps of all requests of an agent, also of those that it has given up."""
        self._writes[agent] += 1
        for alarm in self._alarms.pop(agent, {}).values():
            self._end_sleep(alarm)
