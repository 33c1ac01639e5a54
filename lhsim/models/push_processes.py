"""The processes of the push server.

A message passes its sender's loop, which validates it against its schema, the store, and the loop
and the outbound queue of its target's connection.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Generator, Iterator
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

from lhsim.metrics.account import Outcome
from lhsim.models.ledger import size_of
from lhsim.models.server import ServerProcesses
from lhsim.rules import (
    ACCEPT,
    FIRST_TIMEOUT,
    NO_ANSWER,
    answer,
    attempt_index,
    grown,
    next_timeout,
)
from lhsim.streams import Purpose, uniform

if TYPE_CHECKING:
    from simpy.events import Event

    from lhsim.models.bridge import Bridge, Steps
    from lhsim.models.ledger import Message
    from lhsim.models.push import Elicitation, PushServer


class Connection:
    """The connection of one client and its outbound queue."""

    __slots__ = ("attempt", "beating", "blocked", "node", "open", "queued", "unsent")

    def __init__(self, attempt: int = 0, node: int = 0) -> None:
        self.attempt = attempt  # of its client
        self.node = node
        self.open = True
        self.queued = 0  # messages that are not sent yet
        # Both from the first on: a deque takes more memory than all the rest of a connection.
        # To drop the oldest: the messages that are not being sent. With batches: the one that is
        # being collected.
        self.unsent: deque[Message] | None = None
        self.blocked: deque[Event] | None = None  # requests that wait for a slot in the queue
        self.beating = False  # whether a heartbeat is not over yet


class Push(ServerProcesses):
    """The processes of the push server.

    A client is known by the first of its agents: that is who comes, polls and leaves below, and
    whose draws these steps take.
    """

    def __init__(self, server: PushServer, bridge: Bridge) -> None:
        super().__init__(bridge)
        self.server = server
        self._validate = bridge.step(Purpose.VALIDATE)
        self._connect = bridge.step(Purpose.CONNECT)
        self._link = bridge.step(Purpose.LINK)
        self._relay = bridge.step(Purpose.RELAY)
        self._send = bridge.step(Purpose.SEND)
        self._push_down = bridge.route(Purpose.PUSH_DOWN)
        self._session = bridge.step(Purpose.SESSION)
        self._reconnect = bridge.step(Purpose.RECONNECT)
        self._heartbeat = bridge.step(Purpose.HEARTBEAT)
        self._parse_request = bridge.step(Purpose.PARSE_REQUEST)
        self._query_cpu = bridge.step(Purpose.QUERY_CPU)
        self._respond = bridge.step(Purpose.RESPOND)
        if server.elicitation is not None:
            self._answer_think = bridge.step(Purpose.ANSWER_THINK)
            self._answer_up = bridge.route(Purpose.ANSWER_UP)
            self._parse_answer = bridge.step(Purpose.PARSE_ANSWER)
            self._validate_answer = bridge.step(Purpose.VALIDATE_ANSWER)
        self._connections: dict[int, Connection] = {}  # by client
        self._known: set[int] = set()  # clients that have come, whether they were let in or not
        self._parked: dict[int, list[Message]] = {}  # by client: stored messages that wait for it
        # Clients that wait for a connection slot of each node.
        self._lines: list[deque[Event]] = [deque() for _ in range(bridge.balancer.count)]
        self._accepting = [0] * bridge.balancer.count  # attempts, by node
        self.created = 0
        self.sent = 0
        self.attempts = 0
        self.dropped = 0  # attempts, by a full backlog
        self.answered = 0

    def carry(self, message: Message) -> Steps:
        """Take a message from its sender to its target's connection."""
        bridge, address = self.bridge, (message.sender, message.number)
        let_in = yield from bridge.receive(message)
        if not let_in:
            return
        for step in (self._validate, bridge.write_cpu):
            where, size = message.node, message.size
            yield from bridge.compute(message.sender, step, *address, where, size)
        stored = yield from bridge.write(message, self._stored)
        if stored and self.server.asks_by_reply:
            yield from self._reply_with_request(message)
            return
        if stored:
            for copy in message.copies:
                self.env.process(self.hand_over(copy))
                if self.server.elicitation is not None:
                    self.env.process(self._expire(copy, self._deadline(copy)))
            yield from self.hand_over(message)
        yield from bridge.acknowledge(message, stored=stored)
        if self.server.elicitation is not None:
            yield from self._expire(message, self._deadline(message))

    def _reply_with_request(self, message: Message) -> Steps:
        """Let the reply to a sender carry the request, which its client answers by a new call."""
        yield from self.bridge.acknowledge(message, stored=True)
        for one in message.together:
            self.env.process(self._travel(one))
        for copy in message.copies:
            self.env.process(self._expire(copy, self._deadline(copy)))
        yield from self._expire(message, self._deadline(message))

    def _asked(self, message: Message) -> int:
        """Return the agent that a message goes to."""
        return message.sender if self.server.asks_by_reply else message.target

    def hand_over(self, message: Message) -> Steps:
        """Hand a stored message to its target's loop, which sends it.

        That is on the node of the target's connection; without one, on that of the message.
        """
        bridge, sender, target = self.bridge, message.sender, message.target
        address = sender, message.number
        connection = self._connections.get(bridge.client(target))
        node = message.node if connection is None else connection.node
        if node != message.node:
            yield from bridge.delay(self._link, *address)
        if bridge.loop(sender, message.node) is not bridge.loop(target, node):
            yield from bridge.compute(target, self._relay, *address, node, message.size)
        yield from self.push(message)

    def push(self, message: Message) -> Steps:
        """Send a stored message over its target's connection, or apply the overflow policy."""
        connection = self._connections.get(self.bridge.client(message.target))
        if connection is None:
            self._miss(message)
        elif connection.queued == self.server.outbound:
            yield from self._overflow(message, connection)
        else:
            connection.queued += 1
            yield from self._send_queued(message, connection)

    def attend(self, agent: int, start: float) -> Steps:
        """Keep a client connected: come, stay for a session, and come back."""
        yield self.env.timeout(start)
        if not self.server.asks_by_reply:
            yield from self._come(agent, 0)

    def _come(self, agent: int, first: int) -> Steps:
        """Connect, from attempt `first` on, until the agent does not come back."""
        bridge, server, multiple = self.bridge, self.server, 1.0
        numbers = count(first)
        for attempt in numbers:
            yield from bridge.travel(agent, bridge.request_up, agent, attempt)
            self.attempts += 1
            node = yield from self._knock(agent, attempt)
            if let_in := node is not None:
                let_in = yield from self._enter(agent, attempt, node)
            if not let_in:
                self._refuse(agent)
                if server.backoff is not None:
                    multiple = grown(multiple, server.backoff, server.backoff_cap)
                if server.overflow == "fallback":
                    yield from self._fall_back(agent, attempt, multiple, numbers)
                    continue
            else:
                multiple = 1.0
                if self._session is None:
                    return
                connection = self._connections[agent]
                yield self.env.timeout(self._session.draw(agent, attempt))
                if not connection.open:
                    return  # the server has closed it, and `_come_back` goes on
                self._leave(agent)
            if self._reconnect is None:
                return
            yield self.env.timeout(self._reconnect.draw(agent, attempt) * multiple)

    def _fall_back(
        self, agent: int, attempt: int, multiple: float, numbers: Iterator[int]
    ) -> Steps:
        """Poll, until it is time to try to connect again."""
        assert self.server.fallback_interval is not None
        until = math.inf
        if self._reconnect is not None:
            until = self.env.now + self._reconnect.draw(agent, attempt) * multiple
        while True:
            yield self.env.timeout(self.server.fallback_interval)
            if self.env.now >= until:
                return
            yield from self._poll(agent, next(numbers))

    def _poll(self, agent: int, request: int) -> Steps:
        """Ask once for the messages that wait for an agent, and receive all of them."""
        bridge = self.bridge
        yield from bridge.travel(agent, bridge.request_up, agent, request)
        if bridge.unreachable:
            yield from bridge.travel(agent, bridge.answer_down, agent, request)
            return
        node = bridge.choose_node(agent, Purpose.NODE_OF_REQUEST, agent, request)
        bridge.balancer.enter(node)
        yield from bridge.compute(agent, self._parse_request, agent, request, node)
        self.cycles += 1
        yield from bridge.compute(agent, self._query_cpu, agent, request, node)
        take = partial(self._unpark, agent)
        messages: list[Message] = yield from bridge.store.query(agent, request, take)
        if not messages:
            self.wasted_cycles += 1
        size = size_of(messages)
        yield from bridge.compute(agent, self._respond, agent, request, node, size)
        bridge.balancer.leave(node)
        yield from bridge.travel(agent, bridge.answer_down, agent, request, size)
        for message in messages:
            if self.server.elicitation is None:
                bridge.ledger.end(message, Outcome.DELIVERED, self.env.now)
            else:
                self.env.process(self._answer(message, self.server.elicitation))

    def cut(self, is_hit: Callable[[int], bool]) -> None:
        """Cut the connections of the agents that are hit, who try again after `reconnect`.

        While nobody reaches the server, those that wait in line for a place are refused, too.
        """
        for line in self._lines:
            if self.bridge.unreachable:
                _turn_away(line)
        self._close([one for one in self._connections if is_hit(one)])

    def fail(self, node: int) -> None:
        """Cut the connections to a node, and refuse those that wait in its line for a place."""
        _turn_away(self._lines[node])
        self._close([one for one, at in self._connections.items() if at.node == node])

    def _close(self, agents: list[int]) -> None:
        """Close connections of agents, who try again after `reconnect`."""
        for agent in agents:
            connection = self._connections[agent]
            self._leave(agent)
            self.env.process(self._come_back(agent, connection.attempt))

    def _come_back(self, agent: int, attempt: int) -> Steps:
        """Connect again after the server has closed the connection that an attempt had made."""
        yield from self.bridge.delay(self._reconnect, agent, attempt)
        yield from self._come(agent, attempt + 1)

    def _knock(self, agent: int, attempt: int) -> Generator[Event, Any, int | None]:
        """Return the node that lets an agent in, or where it may wait; None: it is refused."""
        if self.bridge.unreachable:
            return None
        node = self.bridge.choose_node(agent, Purpose.NODE_OF_REQUEST, agent, attempt)
        timeout = FIRST_TIMEOUT
        while self._drops(node):
            self.dropped += 1
            yield self.env.timeout(timeout)
            timeout = next_timeout(timeout)
            if self.bridge.unreachable:
                return None
        return None if self._is_full(node) and self.server.overflow != "wait" else node

    def _drops(self, node: int) -> bool:
        """Return whether a node has no place for one more attempt that it has to accept."""
        backlog = self.server.backlog
        return backlog is not None and self._accepting[node] >= backlog

    def _is_full(self, node: int) -> bool:
        limit = self.server.connections
        return limit is not None and bool(self.bridge.memory.by_node[node] >= limit)

    def _enter(self, agent: int, attempt: int, node: int) -> Generator[Event, Any, bool]:
        """Admit an agent once a node has a connection slot; return whether it was."""
        if self._is_full(node):
            place = self.env.event()
            self._lines[node].append(place)
            self.bridge.balancer.enter(node)
            got_it: bool = yield place  # handed on by the agent that leaves
            self.bridge.balancer.leave(node)
            if not got_it:
                return False
        else:
            self.bridge.memory.connect(node)
        self._accepting[node] += 1
        yield from self.bridge.compute(agent, self._connect, agent, attempt, node)
        self._accepting[node] -= 1
        if self.bridge.balancer.is_down(node):
            self.bridge.memory.disconnect(node)
            return False
        self._known.add(agent)
        connection = self._connections[agent] = Connection(attempt, node)
        if self._heartbeat is not None:
            self.env.process(self._keep_alive(agent, connection))
        for message in self._unpark(agent):
            self.env.process(self.push(message))
        return True

    def _keep_alive(self, agent: int, connection: Connection) -> Steps:
        """Send heartbeats at equal intervals; skip one that is due during another."""
        assert self.server.heartbeat is not None
        for number in count():
            yield self.env.timeout(self.server.heartbeat)
            if not connection.open:
                return
            if not connection.beating:
                connection.beating = True
                self.env.process(self._beat(agent, connection, number))

    def _beat(self, agent: int, connection: Connection, number: int) -> Steps:
        index = attempt_index(connection.attempt, number)
        yield from self.bridge.compute(agent, self._heartbeat, agent, index, connection.node)
        connection.beating = False

    def _refuse(self, agent: int) -> None:
        self.refused += 1
        self._known.add(agent)
        if self.server.overflow == "reject":
            for message in self._parked.pop(agent, ()):
                self._end(message, Outcome.REJECTED)

    def _leave(self, agent: int) -> None:
        connection = self._connections.pop(agent)
        connection.open = False
        while connection.blocked:
            connection.blocked.popleft().succeed()
        if self.server.batch_size is not None:
            self._give_back(connection)
        line = self._lines[connection.node]
        if line:
            line.popleft().succeed(True)
        else:
            self.bridge.memory.disconnect(connection.node)

    def _overflow(self, message: Message, connection: Connection) -> Steps:
        """Apply the outbound policy to a message for which there is no slot."""
        policy = self.server.outbound_policy
        if policy == "block":
            place = self.env.event()
            connection.blocked = connection.blocked or deque()
            connection.blocked.append(place)
            yield place  # handed on by the message that was sent, or the connection has closed
            if connection.open:
                yield from self._send_queued(message, connection)
            else:
                yield from self.push(message)
        elif policy == "disconnect":
            client = self.bridge.client(message.target)
            self._leave(client)
            self.env.process(self._come_back(client, connection.attempt))
            self._miss(message)
        elif policy == "drop_oldest" and connection.unsent:
            self._end(connection.unsent.popleft(), Outcome.DROPPED)
            yield from self._send_queued(message, connection)
        else:
            self._end(message, Outcome.DROPPED)

    def _send_queued(self, message: Message, connection: Connection) -> Steps:
        """Send a message that has a slot in the outbound queue."""
        if self.server.batch_size is not None:
            self._collect(message, connection)
            return
        if self.server.outbound_policy == "drop_oldest" and self._send is not None:
            connection.unsent = connection.unsent or deque()
            connection.unsent.append(message)
            cost = partial(self._cost, message, connection)
            begin = partial(self._begin_to_send, message, connection)
            loop = self.bridge.loop(message.target, connection.node)
            may_be_sent: bool = yield loop.serve(cost, begin)
            if not may_be_sent:
                return
        else:
            whose = message.sender, message.number, connection.node, message.size
            yield from self.bridge.compute(message.target, self._send, *whose)
        self._free_slot(connection)
        yield from self._sent(message, connection)

    def _free_slot(self, connection: Connection) -> None:
        """Hand the slot of a message that was sent to the request that has waited longest."""
        if connection.blocked:
            connection.blocked.popleft().succeed()
        else:
            connection.queued -= 1

    def _collect(self, message: Message, connection: Connection) -> None:
        """Add a message to the batch of its connection, which is sent when full."""
        if connection.unsent is None:
            assert self.server.linger is not None
            batch = connection.unsent = deque()
            timeout = self.env.timeout(self.server.linger)
            timeout.callbacks.append(partial(self._lingered, connection, batch))
        connection.unsent.append(message)
        if len(connection.unsent) == self.server.batch_size:
            self._flush(connection)

    def _lingered(self, connection: Connection, batch: deque[Message], _timeout: Event) -> None:
        if connection.unsent is batch:  # else it was full before, or its connection has closed
            self._flush(connection)

    def _flush(self, connection: Connection) -> None:
        batch, connection.unsent = connection.unsent, None
        assert batch is not None
        self.env.process(self._send_batch(batch, connection))

    def _send_batch(self, batch: deque[Message], connection: Connection) -> Steps:
        """Send a batch, at the cost of its first message."""
        first = batch[0]
        whose = first.sender, first.number, connection.node, size_of(batch)
        yield from self.bridge.compute(first.target, self._send, *whose)
        for message in batch:
            self._free_slot(connection)
            if connection.open:
                yield from self._sent(message, connection)
            else:
                self._give_up(message)

    def _give_back(self, connection: Connection) -> None:
        """Give up the batch that is being collected for a connection that closes."""
        batch, connection.unsent = connection.unsent, None
        for message in batch or ():
            self._give_up(message)

    def _give_up(self, message: Message) -> None:
        if self.server.overflow == "reject":
            self._end(message, Outcome.LOST)
        else:
            self.env.process(self.push(message))

    def _cost(self, message: Message, connection: Connection) -> float:
        """Return what the loop pays for a message whose turn it is: nothing if it was dropped."""
        assert self._send is not None
        dropped = not connection.unsent or connection.unsent[0] is not message
        return 0.0 if dropped else self._send.cost(message.sender, message.number, message.size)

    def _begin_to_send(self, message: Message, connection: Connection) -> bool:
        """Return whether a message whose turn it is may be sent: it was not dropped before."""
        # The services of one connection begin in the order of its queue.
        if not connection.unsent or connection.unsent[0] is not message:
            return False
        connection.unsent.popleft()
        return True

    def _sent(self, message: Message, connection: Connection) -> Steps:
        if connection.open:
            self.sent += 1
            self.env.process(self._travel(message))
        elif self.server.overflow == "reject":
            self._end(message, Outcome.LOST)
        else:
            yield from self.push(message)

    def _miss(self, message: Message) -> None:
        client = self.bridge.client(message.target)
        if self.server.overflow != "reject" or client not in self._known:
            self._parked.setdefault(client, []).append(message)
        else:
            self._end(message, Outcome.REJECTED)

    def _unpark(self, agent: int) -> list[Message]:
        """Return what waits for an agent; what the store does not keep any more has expired."""
        kept = []
        for message in self._parked.pop(agent, ()):
            if self.bridge.store.is_gone(message):
                self._end(message, Outcome.EXPIRED)
            else:
                kept.append(message)
        return kept

    def _travel(self, message: Message) -> Steps:
        address, size = (message.sender, message.number), message.size
        yield from self.bridge.travel(self._asked(message), self._push_down, *address, size)
        if self.server.elicitation is None:
            self.bridge.ledger.end(message, Outcome.DELIVERED, self.env.now)
        else:
            yield from self._answer(message, self.server.elicitation)

    def _answer(self, message: Message, elicitation: Elicitation) -> Steps:
        """Let the target of a message answer, whether that has expired by now or not."""
        bridge, target = self.bridge, self._asked(message)
        sender, number = message.sender, message.number
        message.reached = self.env.now
        u = uniform(bridge.seed, int(Purpose.ANSWER), sender, number)
        how = answer(u, elicitation.accept, elicitation.decline, elicitation.cancel)
        if how == NO_ANSWER:
            return
        yield from bridge.think(target, self._answer_think, sender, number)
        yield from bridge.travel(target, self._answer_up, sender, number)
        if bridge.unreachable:
            return
        node = bridge.choose_node(target, Purpose.NODE_OF_ANSWER, sender, number)
        bridge.balancer.enter(node)
        yield from bridge.compute(target, self._parse_answer, sender, number, node)
        if how == ACCEPT:
            yield from bridge.compute(target, self._validate_answer, sender, number, node)
        bridge.balancer.leave(node)
        if message.outcome is Outcome.PENDING:
            self.answered += 1
            self._end(message, Outcome.DELIVERED)

    def _deadline(self, message: Message) -> float:
        assert self.server.elicitation is not None
        return message.stored + self.server.elicitation.timeout

    def _expire(self, message: Message, deadline: float) -> Steps:
        """Let a message end at its deadline, unless it has ended before."""
        if message.outcome is Outcome.PENDING and self.env.now < deadline:
            yield self.env.timeout(deadline - self.env.now)
        self._end(message, Outcome.EXPIRED)

    def _end(self, message: Message, outcome: Outcome) -> None:
        # An expired message still passes the remaining steps, but ends once.
        if self.server.elicitation is None or message.outcome is Outcome.PENDING:
            self.bridge.ledger.end(message, outcome, self.env.now)

    def _stored(self, message: Message) -> None:
        self.created += len(message.together)
        self.bridge.memory.store()


def _turn_away(line: deque[Event]) -> None:
    """Refuse all that wait in a line."""
    while line:
        line.popleft().succeed(False)
