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
from collections.abc import Callable, Generator, Iterator
from functools import partial
from itertools import count
from math import inf
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from lhsim.checks import at_least, non_negative, positive, shares, whole, within
from lhsim.distributions import Distribution
from lhsim.errors import InputError
from lhsim.metrics.account import Outcome
from lhsim.models.ledger import Message
from lhsim.models.limits import RateLimit
from lhsim.models.workload import ZERO
from lhsim.rules import bounds, grown, jittered, priority
from lhsim.streams import Purpose, uniform
from lhsim.units import Seconds

if TYPE_CHECKING:
    from simpy.events import Event

    from lhsim.models.bridge import Bridge, Steps

Found = list[Message]
SLEEP = int(Purpose.SLEEP)


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
        look_up = server.cache.look_up if server.cache is not None else None
        self._look_up = bridge.stage(look_up, Purpose.LOOK_UP)
        self._think = bridge.stage(bridge.system.workload.think, Purpose.THINK)
        self._priorities = bounds(server.priorities)
        self._levels = len(server.priorities) or 1
        # By agent and priority: `_levels` numbers for each agent.
        self._mailboxes: dict[int, deque[Message]] = {}
        self._asleep: dict[int, Event] = {}  # by agent: the end of its request's sleep
        self._empty_since: dict[int, float] = {}  # by agent: a snapshot that held nothing [s]
        self._written: set[int] = set()  # agents with a new message since their cycle began
        self.cycles = 0
        self.wasted_cycles = 0
        self.cache_hits = 0
        self.timeouts = 0
        self.refused = 0

    def carry(self, message: Message) -> Steps:
        """Store a message (`POST /event/store`): from its sender to the mailbox of its target."""
        bridge, sender, number = self.bridge, message.sender, message.number
        let_in = yield from bridge.receive(message)
        if not let_in:
            return
        yield from bridge.compute(sender, bridge.write_cpu, sender, number)
        stored = yield from bridge.write(message, self._post)
        yield from bridge.acknowledge(message, stored=stored)

    def attend(self, agent: int, start: float) -> Steps:
        """Receive, for ever: ask for messages, take what comes, think, ask again."""
        bridge = self.bridge
        yield self.env.timeout(start)
        cycles = count()
        for request in count():
            yield from bridge.travel(agent, bridge.request_up, agent, request)
            if not self._accept():
                yield from bridge.travel(agent, bridge.answer_down, agent, request)
                yield self.env.timeout(self.server.backoff)
                continue
            messages = yield from self.wait_for_messages(agent, request, cycles)
            yield from bridge.compute(agent, self._respond, agent, request)
            bridge.memory.disconnect()
            yield from bridge.travel(agent, bridge.answer_down, agent, request)
            if messages:
                for message in messages:
                    bridge.ledger.end(message, Outcome.DELIVERED, self.env.now)
                yield from bridge.think(agent, self._think, agent, request)

    def cut(self, _is_hit: Callable[[int], bool]) -> None:
        """Cut connections: those of an agent are its requests, whose handlers do not notice."""

    def wait_for_messages(
        self, agent: int, request: int, cycles: Iterator[int]
    ) -> Generator[Event, Any, Found]:
        """Answer one request (`GET /event/wait`) with messages, or with none after the timeout."""
        env, bridge, server = self.env, self.bridge, self.server
        yield from bridge.compute(agent, self._parse_request, agent, request)
        start, interval, growth = env.now, server.interval, server.growth
        while env.now - start < server.timeout:
            cycle = next(cycles)
            messages = yield from self._look(agent, cycle)
            if messages:
                return messages
            self.wasted_cycles += 1
            yield from self._sleep(agent, cycle, self._jittered(agent, cycle, interval))
            if growth is not None:
                interval = grown(interval, growth.factor, growth.longest)
        self.timeouts += 1
        return []

    def _look(self, agent: int, cycle: int) -> Generator[Event, Any, Found]:
        bridge = self.bridge
        self.cycles += 1
        self._written.discard(agent)
        if self._is_known_to_be_empty(agent):
            self.cache_hits += 1
            yield from bridge.compute(agent, self._look_up, agent, cycle)
            return []
        yield from bridge.compute(agent, self._query_cpu, agent, cycle)
        found: Found = yield from bridge.store.query(agent, cycle, partial(self._take, agent))
        return found

    def _is_known_to_be_empty(self, agent: int) -> bool:
        cache = self.server.cache
        return cache is not None and self.env.now - self._empty_since.get(agent, -inf) <= cache.ttl

    def _sleep(self, agent: int, _cycle: int, time: float) -> Steps:
        if not self.server.wake_on_write:
            yield self.env.timeout(time)
        elif agent not in self._written:
            alarm = self._asleep[agent] = self.env.timeout(time)
            yield alarm
            self._asleep.pop(agent, None)

    def _wake(self, agent: int) -> None:
        """End the sleep of an agent's request; one that is about to sleep does not begin to."""
        self._written.add(agent)
        alarm = self._asleep.pop(agent, None)
        if alarm is not None:
            self._end_sleep(alarm)

    def _end_sleep(self, alarm: Event) -> None:
        # No event can be taken back: the alarm goes off in vain, with nobody waiting for it.
        awake = self.env.event()
        awake.callbacks, alarm.callbacks = alarm.callbacks, []
        awake.succeed()

    def _jittered(self, agent: int, cycle: int, interval: float) -> float:
        jitter = self.server.jitter
        if jitter == 0:
            return interval
        return jittered(interval, jitter, uniform(self.bridge.seed, SLEEP, agent, cycle))

    def _accept(self) -> bool:
        limit = self.server.connections
        if limit is not None and self.bridge.memory.connections >= limit:
            self.refused += 1
            return False
        self.bridge.memory.connect()
        return True

    def _post(self, message: Message) -> None:
        for one in message.together:
            self._mailbox(one).append(one)
            if self.server.wake_on_write:
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
        """Let the messages end whose events are not kept any more: the oldest of a mailbox."""
        while mailbox and self.bridge.store.is_gone(mailbox[0]):
            self.bridge.ledger.end(mailbox.popleft(), Outcome.EXPIRED, self.env.now)

    def _level(self, message: Message) -> int:
        if self._levels == 1:
            return 0
        number = (message.original or message).number
        return priority(self.bridge.seed, message.sender, number, self._priorities)
