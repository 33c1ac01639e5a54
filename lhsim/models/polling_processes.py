"""The processes of the polling server.

`wait_for_messages` is a long-poll that queries, sleeps and queries again. The handler of the
original proposal is a loop ::

    while time.time() - start < timeout_seconds:
        events = await query_events(agent_id, since_sequence, limit)
        if events:
            return events
        await asyncio.sleep(1)
    return []

and `Polling.wait_for_messages` below is that loop. The timeout is looked at after a sleep only. A
short poll has one cycle, and its client sleeps.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from functools import partial
from itertools import count
from math import inf
from typing import TYPE_CHECKING, Any, TypeAlias

from lhsim.metrics.account import Outcome
from lhsim.models.ledger import Message, size_of
from lhsim.models.server import ServerProcesses
from lhsim.rules import bounds, jittered, priority
from lhsim.streams import Purpose, uniform

if TYPE_CHECKING:
    from simpy.events import Event

    from lhsim.models.bridge import Bridge, Steps
    from lhsim.models.polling import PollingServer

Found: TypeAlias = list[Message]


class Polling(ServerProcesses):
    """The processes of the polling server."""

    def __init__(self, server: PollingServer, bridge: Bridge) -> None:
        super().__init__(bridge)
        self.server = server
        self._parse_request = bridge.step(Purpose.PARSE_REQUEST)
        self._query_cpu = bridge.step(Purpose.QUERY_CPU)
        self._respond = bridge.step(Purpose.RESPOND)
        self._look_up = bridge.step(Purpose.LOOK_UP)
        self._think = bridge.steps(Purpose.THINK)
        self._first_sleeps = server.first_sleeps
        self._priorities = bounds(server.priorities)
        self._levels = len(server.priorities) or 1
        # By agent and priority: `_levels` numbers for each agent.
        self._mailboxes: dict[int, deque[Message]] = {}
        self._asleep: dict[int, Event] = {}  # by agent: the end of its request's sleep
        self._empty_since: dict[int, float] = {}  # by agent: a snapshot that held nothing [s]
        self._written: set[int] = set()  # agents with a new message since their cycle began
        # Where a write wakes everybody:
        self._news = 0  # messages for which they woke
        self._knows: dict[int, int] = {}  # by agent: how many there were when its cycle began
        self.cache_hits = 0
        self.timeouts = 0

    def carry(self, message: Message) -> Steps:
        """Store a message (`POST /event/store`): from its sender to the mailbox of its target."""
        bridge, sender, number = self.bridge, message.sender, message.number
        let_in = yield from bridge.receive(message)
        if not let_in:
            return
        where, size = message.node, message.size
        yield from bridge.compute(sender, bridge.write_cpu, sender, number, where, size)
        stored = yield from bridge.write(message, self._post)
        yield from bridge.acknowledge(message, stored=stored)

    def attend(self, agent: int, start: float) -> Steps:
        """Receive, for ever: ask for messages, take what comes, think, ask again."""
        bridge = self.bridge
        yield self.env.timeout(start)
        cycles, (sleep, following) = count(), self._first_sleeps
        for request in count():
            yield from bridge.travel(agent, bridge.request_up, agent, request)
            node = self._node_of(agent, request)
            if not self._accept(node):
                yield from bridge.travel(agent, bridge.answer_down, agent, request)
                yield self.env.timeout(self.server.backoff)
                continue
            messages = yield from self.wait_for_messages(agent, request, cycles, node)
            size = size_of(messages)
            yield from bridge.compute(agent, self._respond, agent, request, node, size)
            bridge.memory.disconnect(node)
            yield from bridge.travel(agent, bridge.answer_down, agent, request, size)
            if messages:
                yield from self._receive(agent, request, messages)
                sleep, following = self._first_sleeps
            elif not self.server.hold:
                yield self.env.timeout(self._jittered(agent, request, sleep))
                sleep, following = following, self.server.sleep_after(following)

    def _receive(self, agent: int, request: int, messages: Found) -> Steps:
        """Receive what an answer holds, and think about it."""
        for message in messages:
            self.bridge.ledger.end(message, Outcome.DELIVERED, self.env.now)
        think = self.bridge.of(agent, self._think)
        yield from self.bridge.think(agent, think, agent, request)

    def cut(self, _is_hit: Callable[[int], bool]) -> None:
        """Cut connections: those of an agent are its requests, whose handlers do not notice."""

    def wait_for_messages(
        self, agent: int, request: int, cycles: Iterator[int], node: int
    ) -> Generator[Event, Any, Found]:
        """Answer one request (`GET /event/wait`) with messages, or with none after the timeout."""
        env, bridge, server = self.env, self.bridge, self.server
        yield from bridge.compute(agent, self._parse_request, agent, request, node)
        start, (sleep, following) = env.now, self._first_sleeps
        while env.now - start < server.timeout:
            cycle = next(cycles)
            messages = yield from self._look(agent, cycle, node)
            if messages:
                return messages
            self.wasted_cycles += 1
            if not server.hold:
                return []
            yield from self._sleep(agent, cycle, self._jittered(agent, cycle, sleep))
            sleep, following = following, server.sleep_after(following)
        self.timeouts += 1
        return []

    def _look(self, agent: int, cycle: int, node: int) -> Generator[Event, Any, Found]:
        bridge = self.bridge
        self.cycles += 1
        self._begin_cycle(agent, cycle)
        if self._is_known_to_be_empty(agent):
            self.cache_hits += 1
            yield from bridge.compute(agent, self._look_up, agent, cycle, node)
            return []
        yield from bridge.compute(agent, self._query_cpu, agent, cycle, node)
        found: Found = yield from bridge.store.query(agent, cycle, partial(self._take, agent))
        return found

    def _begin_cycle(self, agent: int, _cycle: int) -> None:
        self._written.discard(agent)
        self._knows[agent] = self._news

    def _is_known_to_be_empty(self, agent: int) -> bool:
        cache = self.server.cache
        return cache is not None and self.env.now - self._empty_since.get(agent, -inf) <= cache.ttl

    def _sleep(self, agent: int, _cycle: int, time: float) -> Steps:
        if not self.server.wake_on_write:
            yield self.env.timeout(time)
        elif agent not in self._written and self._knows[agent] == self._news:
            alarm = self._asleep[agent] = self.env.timeout(time)
            yield alarm
            self._asleep.pop(agent, None)

    def _wake(self, agent: int) -> None:
        """End the sleep of an agent's request; one that is about to sleep does not begin to."""
        self._written.add(agent)
        alarm = self._asleep.pop(agent, None)
        if alarm is not None:
            self._end_sleep(alarm)

    def _wake_all(self) -> None:
        """End the sleeps of all requests, in the order in which they went to sleep."""
        self._news += 1
        alarms = list(self._asleep.values())
        self._asleep.clear()
        for alarm in alarms:
            self._end_sleep(alarm)

    def _end_sleep(self, alarm: Event) -> None:
        # SimPy cannot cancel an event: the alarm still goes off, with nobody waiting for it.
        awake = self.env.event()
        awake.callbacks, alarm.callbacks = alarm.callbacks, []
        awake.succeed()

    def _jittered(self, agent: int, cycle: int, interval: float) -> float:
        jitter = self.server.jitter
        if jitter == 0:
            return interval
        return jittered(
            interval, jitter, uniform(self.bridge.seed, int(Purpose.SLEEP), agent, cycle)
        )

    def _node_of(self, agent: int, request: int) -> int:
        return self.bridge.choose_node(agent, Purpose.NODE_OF_REQUEST, agent, request)

    def _accept(self, node: int) -> bool:
        limit = self.server.connections
        if limit is not None and self.bridge.memory.by_node[node] >= limit:
            self.refused += 1
            return False
        self.bridge.memory.connect(node)
        return True

    def _post(self, message: Message) -> None:
        for one in message.together:
            self._mailbox(one).append(one)
            if self.server.wake == "all":
                self._wake_all()
            elif self.server.wake_on_write:
                self._wake(one.target)
            if self.server.cache is not None and self.server.cache.invalidate:
                self._empty_since.pop(one.target, None)
        self.bridge.memory.store()

    def _mailbox(self, message: Message) -> deque[Message]:
        box = self._levels * message.target + self._level(message)
        return self._mailboxes.setdefault(box, deque())

    def _take(self, agent: int) -> Found:
        found: Found = []
        for box in range(self._levels * agent, self._levels * (agent + 1)):
            mailbox = self._mailboxes.get(box)
            if mailbox and self.bridge.store.forgets:
                self._expire(mailbox)
            while mailbox and len(found) < self.server.limit:
                found.append(mailbox.popleft())
        if not found and self.server.cache is not None:
            self._empty_since[agent] = self.env.now
        return found

    def _expire(self, mailbox: deque[Message]) -> None:
        """Expire the messages at the head of a mailbox whose events the store has removed."""
        while mailbox and self.bridge.store.is_gone(mailbox[0]):
            self.bridge.ledger.end(mailbox.popleft(), Outcome.EXPIRED, self.env.now)

    def _level(self, message: Message) -> int:
        if self._levels == 1:
            return 0
        number = (message.original or message).number
        return priority(self.bridge.seed, message.sender, number, self._priorities)
