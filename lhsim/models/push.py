"""The event-push server: a message is stored and at once sent over its target's connection.

An agent connects (WebSocket, SSE or a streamable HTTP response) and keeps its connection, or comes
back after it has ended. A message passes its sender's loop, which validates it against its schema,
the store, and the loop and the outbound queue of its target's connection.
"""

from __future__ import annotations

from collections import deque
from itertools import count
from typing import TYPE_CHECKING, Literal

from attrs import field, frozen

from lhsim.checks import lasting, one_of, whole
from lhsim.distributions import Distribution
from lhsim.errors import InputError
from lhsim.metrics.account import Outcome
from lhsim.models.ledger import Message
from lhsim.models.limits import RateLimit
from lhsim.models.stage import Route
from lhsim.streams import Purpose

if TYPE_CHECKING:
    from simpy.events import Event

    from lhsim.models.bridge import Bridge, Steps

Overflow = Literal["reject", "wait"]


@frozen
class PushServer:
    """How the push server keeps its connections.

    Beyond `connections`, an agent is refused (``reject``) or waits in line for a place (``wait``).
    A message to an agent that is not connected is rejected or waits for it likewise; one to an
    agent that has not come for the first time yet waits, as it would be no fault of the server.
    """

    connections: int | None = field(default=None, validator=whole(1))  # open at a time
    overflow: Overflow = field(default="reject", validator=one_of(("reject", "wait")))
    outbound: int | None = field(default=None, validator=whole(1))  # messages queued a connection
    # How long a connection lasts [s]; None: for ever.
    session: Distribution | None = field(default=None, validator=lasting)
    # From its end or a refusal to the next try [s]; None: the agent does not come back.
    reconnect: Distribution | None = field(default=None, validator=lasting)
    rate_limit: RateLimit | None = None  # of the messages that an agent sends

    def __attrs_post_init__(self) -> None:
        if self.session is not None and self.reconnect is None:
            raise InputError(
                "is missing", key="reconnect", allowed="a distribution where there is a session"
            )

    def serve(self, bridge: Bridge) -> Push:
        """Return this server's processes on a bridge."""
        return Push(self, bridge)


class Connection:
    """One agent's connection and its outbound queue."""

    __slots__ = ("open", "queued")

    def __init__(self) -> None:
        self.open = True
        self.queued = 0  # messages that are not sent yet


class Push:
    """The processes of the push server."""

    def __init__(self, server: PushServer, bridge: Bridge) -> None:
        self.server = server
        self.bridge = bridge
        self.env = bridge.env
        cpu = bridge.system.cpu
        self._validate = bridge.stage(cpu.validate, Purpose.VALIDATE)
        self._connect = bridge.stage(cpu.connect, Purpose.CONNECT)
        self._relay = bridge.stage(cpu.relay, Purpose.RELAY)
        self._send = bridge.stage(cpu.send, Purpose.SEND)
        network = bridge.system.network
        self._push_down = Route(network.down, Purpose.PUSH_DOWN, network, bridge.seed)
        self._session = bridge.stage(server.session, Purpose.SESSION)
        self._reconnect = bridge.stage(server.reconnect, Purpose.RECONNECT)
        self._connections: dict[int, Connection] = {}  # by agent
        self._known: set[int] = set()  # agents that have come, whether they were let in or not
        self._parked: dict[int, list[Message]] = {}  # by agent: stored messages that wait for it
        self._line: deque[Event] = deque()  # agents that wait for a place
        self.created = 0
        self.sent = 0
        self.attempts = 0
        self.refused = 0

    def carry(self, message: Message) -> Steps:
        """Take a message from its sender to its target's connection."""
        bridge, sender, number = self.bridge, message.sender, message.number
        yield from bridge.receive(message)
        if not bridge.admit(message):
            return
        yield from bridge.compute(sender, self._validate, sender, number)
        yield from bridge.compute(sender, bridge.write_cpu, sender, number)
        stored = yield from bridge.write(message, self._stored)
        if stored:
            for copy in message.copies:
                self.env.process(self.hand_over(copy))
            yield from self.hand_over(message)
        yield from bridge.compute(sender, bridge.acknowledge, sender, number)

    def hand_over(self, message: Message) -> Steps:
        """Hand a stored message to its target's loop, which sends it."""
        bridge, sender, target = self.bridge, message.sender, message.target
        if bridge.loop(sender) is not bridge.loop(target):
            yield from bridge.compute(target, self._relay, sender, message.number)
        yield from self.push(message)

    def push(self, message: Message) -> Steps:
        """Send a stored message over its target's connection, or do as the overflow policy says."""
        bridge, agent = self.bridge, message.target
        connection = self._connections.get(agent)
        if connection is None:
            self._miss(message)
        elif connection.queued == self.server.outbound:
            bridge.ledger.end(message, Outcome.DROPPED, self.env.now)
        else:
            connection.queued += 1
            yield from bridge.compute(agent, self._send, message.sender, message.number)
            connection.queued -= 1
            yield from self._sent(message, connection)

    def attend(self, agent: int, start: float) -> Steps:
        """Keep an agent connected: come, stay for a session, and come back."""
        bridge = self.bridge
        yield self.env.timeout(start)
        for attempt in count():
            yield from bridge.travel(agent, bridge.request_up, agent, attempt)
            self.attempts += 1
            if self._full and self.server.overflow == "reject":
                self._refuse(agent)
            else:
                yield from self._enter(agent, attempt)
                if self._session is None:
                    return
                yield self.env.timeout(self._session.draw(agent, attempt))
                self._leave(agent)
            if self.server.reconnect is None:
                return
            yield from bridge.delay(self._reconnect, agent, attempt)

    @property
    def _full(self) -> bool:
        limit = self.server.connections
        return limit is not None and self.bridge.memory.connections >= limit

    def _enter(self, agent: int, attempt: int) -> Steps:
        if self._full:
            place = self.env.event()
            self._line.append(place)
            yield place  # handed on by the agent that leaves
        else:
            self.bridge.memory.connect()
        yield from self.bridge.compute(agent, self._connect, agent, attempt)
        self._known.add(agent)
        self._connections[agent] = Connection()
        for message in self._parked.pop(agent, ()):
            self.env.process(self.push(message))

    def _refuse(self, agent: int) -> None:
        self.refused += 1
        self._known.add(agent)
        for message in self._parked.pop(agent, ()):
            self.bridge.ledger.end(message, Outcome.REJECTED, self.env.now)

    def _leave(self, agent: int) -> None:
        self._connections.pop(agent).open = False
        if self._line:
            self._line.popleft().succeed()
        else:
            self.bridge.memory.disconnect()

    def _sent(self, message: Message, connection: Connection) -> Steps:
        if connection.open:
            self.sent += 1
            self.env.process(self._travel(message))
        elif self.server.overflow == "wait":
            yield from self.push(message)
        else:
            self.bridge.ledger.end(message, Outcome.LOST, self.env.now)

    def _miss(self, message: Message) -> None:
        if self.server.overflow == "wait" or message.target not in self._known:
            self._parked.setdefault(message.target, []).append(message)
        else:
            self.bridge.ledger.end(message, Outcome.REJECTED, self.env.now)

    def _travel(self, message: Message) -> Steps:
        sender, number = message.sender, message.number
        yield from self.bridge.travel(message.target, self._push_down, sender, number)
        self.bridge.ledger.end(message, Outcome.DELIVERED, self.env.now)

    def _stored(self, message: Message) -> None:
        self.created += len(message.together)
        self.bridge.memory.store()
