"""The polling server: `wait_for_messages`, a long-poll that queries, sleeps and queries again.

The handler of the original, as the seed quotes it, is a loop ::

    while time.time() - start < timeout_seconds:
        events = await query_events(agent_id, since_sequence, limit)
        if events:
            return events
        await asyncio.sleep(1)
    return []

and `Polling.wait_for_messages` below is that loop. The timeout is looked at after a sleep only.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from lhsim.checks import positive, whole
from lhsim.metrics.account import Outcome
from lhsim.models.ledger import Message
from lhsim.models.limits import RateLimit
from lhsim.streams import Purpose
from lhsim.units import Seconds

if TYPE_CHECKING:
    from simpy.events import Event

    from lhsim.models.bridge import Bridge, Steps

Found = list[Message]


@frozen
class PollingServer:
    """How the polling server answers a request for messages; defaults as in the original."""

    interval: Seconds = field(default=1.0, validator=positive)  # sleep between two queries [s]
    timeout: Seconds = field(default=60.0, validator=positive)  # then an empty answer goes out [s]
    limit: int = field(default=10, validator=whole(1))  # messages in an answer
    connections: int | None = field(default=None, validator=whole(1))  # requests held at a time
    backoff: Seconds = field(default=0.5, validator=positive)  # of an agent that was refused [s]
    rate_limit: RateLimit | None = None  # of the messages that an agent sends

    def serve(self, bridge: Bridge) -> Polling:
        """Return this server's processes on a bridge."""
        return Polling(self, bridge)


class Polling:
    """The processes of the polling server."""

    def __init__(self, server: PollingServer, bridge: Bridge) -> None:
        self.server = server
        self.bridge = bridge
        self.env = bridge.env
        cpu = bridge.system.cpu
        self._parse_request = bridge.stage(cpu.parse_request, Purpose.PARSE_REQUEST)
        self._query_cpu = bridge.stage(cpu.query, Purpose.QUERY_CPU)
        self._respond = bridge.stage(cpu.respond, Purpose.RESPOND)
        self._think = bridge.stage(bridge.system.workload.think, Purpose.THINK)
        self._mailboxes: dict[int, deque[Message]] = {}
        self.cycles = 0
        self.wasted_cycles = 0
        self.timeouts = 0
        self.refused = 0

    def carry(self, message: Message) -> Steps:
        """Store a message (`POST /event/store`): from its sender to the mailbox of its target."""
        bridge, sender, number = self.bridge, message.sender, message.number
        yield from bridge.receive(message)
        if not bridge.admit(message):
            return
        yield from bridge.compute(sender, bridge.write_cpu, sender, number)
        yield from bridge.store.write(message, self._post)
        yield from bridge.compute(sender, bridge.acknowledge, sender, number)

    def attend(self, agent: int, start: float) -> Steps:
        """Receive, for ever: ask for messages, take what comes, think, ask again."""
        bridge = self.bridge
        yield self.env.timeout(start)
        queries = count()
        for request in count():
            yield from bridge.travel(agent, bridge.request_up, agent, request)
            if not self._accept():
                yield from bridge.travel(agent, bridge.answer_down, agent, request)
                yield self.env.timeout(self.server.backoff)
                continue
            messages = yield from self.wait_for_messages(agent, request, queries)
            yield from bridge.compute(agent, self._respond, agent, request)
            bridge.memory.disconnect()
            yield from bridge.travel(agent, bridge.answer_down, agent, request)
            if messages:
                for message in messages:
                    bridge.ledger.end(message, Outcome.DELIVERED, self.env.now)
                yield from bridge.think(agent, self._think, request)

    def wait_for_messages(
        self, agent: int, request: int, queries: Iterator[int]
    ) -> Generator[Event, Any, Found]:
        """Answer one request (`GET /event/wait`) with messages, or with none after the timeout."""
        env, bridge, server = self.env, self.bridge, self.server
        yield from bridge.compute(agent, self._parse_request, agent, request)
        start = env.now
        while env.now - start < server.timeout:
            self.cycles += 1
            query = next(queries)
            yield from bridge.compute(agent, self._query_cpu, agent, query)
            messages: Found = yield from bridge.store.query(
                agent, query, partial(self._take, agent)
            )
            if messages:
                return messages
            self.wasted_cycles += 1
            yield env.timeout(server.interval)
        self.timeouts += 1
        return []

    def _accept(self) -> bool:
        limit = self.server.connections
        if limit is not None and self.bridge.memory.connections >= limit:
            self.refused += 1
            return False
        self.bridge.memory.connect()
        return True

    def _post(self, message: Message) -> None:
        for one in message.together:
            self._mailboxes.setdefault(one.target, deque()).append(one)
        self.bridge.memory.store()

    def _take(self, agent: int) -> Found:
        mailbox = self._mailboxes.get(agent)
        if not mailbox:
            return []
        return [mailbox.popleft() for _ in range(min(len(mailbox), self.server.limit))]
