"""Pollers with a timeout: the handler of an abandoned request runs on, beside the next one's.

What an answer held that nobody got is not lost: an agent asks for what comes after the last message
that it has received (`since_sequence`), so its next request finds the same messages again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import count
from typing import TYPE_CHECKING

from lhsim.metrics.account import Outcome
from lhsim.models.ledger import size_of
from lhsim.models.polling_processes import Found, Polling
from lhsim.models.replies import Failed, Reply

if TYPE_CHECKING:
    from simpy.events import Event

    from lhsim.models.bridge import Bridge, Steps
    from lhsim.models.polling import PollingServer

EVERYBODY = -1  # whom a message wakes that does not wake its target alone


class ImpatientPolling(Polling):
    """The processes of the polling server, each request with one of its own."""

    def __init__(self, server: PollingServer, bridge: Bridge) -> None:
        super().__init__(server, bridge)
        self._writes: dict[int, int] = defaultdict(int)  # by agent: messages stored for it
        self._seen: dict[tuple[int, int], int] = {}  # by agent and cycle: of these, at its start
        # By whom a message wakes, and by agent and cycle.
        self._alarms: dict[int, dict[tuple[int, int], Event]] = defaultdict(dict)

    def attend(self, agent: int, start: float) -> Steps:
        """Receive, for ever: ask for messages, take what comes, think, ask again."""
        env, bridge = self.env, self.bridge
        yield env.timeout(start)
        cycles, (sleep, following) = count(), self._first_sleeps
        for request in count():
            reply = bridge.waiting.ask(agent, self.server.client_timeout)
            env.process(self._handle(agent, request, cycles, reply))
            answer = yield reply.event
            if isinstance(answer, Failed):
                yield env.timeout(self.server.backoff)
            elif answer:
                self._deliver(answer)
                yield from bridge.think(agent, bridge.of(agent, self._think), agent, request)
                sleep, following = self._first_sleeps
            elif not self.server.hold:
                yield env.timeout(self._jittered(agent, request, sleep))
                sleep, following = following, self.server.sleep_after(following)

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
        size = size_of(messages)
        yield from bridge.compute(agent, self._respond, agent, request, node, size)
        reply.node = None
        bridge.memory.disconnect(node)
        yield from bridge.travel(agent, bridge.answer_down, agent, request, size)
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

    def _begin_cycle(self, agent: int, cycle: int) -> None:
        if self.server.wake_on_write:
            self._seen[agent, cycle] = self._writes[self._whom(agent)]

    def _sleep(self, agent: int, cycle: int, time: float) -> Steps:
        if not self.server.wake_on_write:
            yield self.env.timeout(time)
            return
        whom = self._whom(agent)
        if self._writes[whom] == self._seen.pop((agent, cycle)):
            alarms = self._alarms[whom]
            alarm = alarms[agent, cycle] = self.env.timeout(time)
            yield alarm
            alarms.pop((agent, cycle), None)

    def _whom(self, agent: int) -> int:
        """Return by whom the writes are counted that wake an agent: it alone, or everybody."""
        return EVERYBODY if self.server.wake == "all" else agent

    def _wake_all(self) -> None:
        self._wake(EVERYBODY)

    def _wake(self, agent: int) -> None:
        """End the sleeps of all requests of an agent, also of those that it has given up."""
        self._writes[agent] += 1
        for alarm in self._alarms.pop(agent, {}).values():
            self._end_sleep(alarm)
