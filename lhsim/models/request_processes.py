"""The processes of the request/response server."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from lhsim.metrics.account import Outcome
from lhsim.models.loop import Loop
from lhsim.models.server import ServerProcesses
from lhsim.models.station import let_go
from lhsim.streams import Purpose

if TYPE_CHECKING:
    from simpy.events import Event

    from lhsim.models.bridge import Bridge, Steps
    from lhsim.models.ledger import Message
    from lhsim.models.requests import RequestServer


class Answering(ServerProcesses):
    """The processes of the request/response server: a message is a request and its answer."""

    answers_sender = True

    def __init__(self, server: RequestServer, bridge: Bridge) -> None:
        super().__init__(bridge)
        self._parse = bridge.step(Purpose.PARSE_REQUEST)
        self._query_cpu = bridge.step(Purpose.QUERY_CPU)
        self._respond = bridge.step(Purpose.RESPOND)
        self._answer_payload = bridge.stage(server.answer_payload, Purpose.ANSWER_PAYLOAD)
        self._workers = server.workers
        self._occupied = [0] * bridge.balancer.count  # workers of each node
        self._waiting: list[deque[Event]] = [deque() for _ in self._occupied]  # for one of them
        self._by_turn = server.by_turn
        for loop in bridge.loops if server.by_turn else ():
            assert isinstance(loop, Loop)
            loop.hold_answers()

    def carry(self, message: Message) -> Steps:
        """Bring a request to the server, and its answer back."""
        bridge, client, number = self.bridge, message.sender, message.number
        yield from bridge.travel(client, bridge.request_up, client, number, message.size)
        size = 0.0
        if not bridge.unreachable and not bridge.exceeds_limit(message):
            size = self._size_of_answer(client, number)
            yield from self._answer(message, client, number)
        elif message.outcome is Outcome.PENDING:
            bridge.refuse(message)
        yield from bridge.travel(client, bridge.answer_down, client, number, size)
        if message.outcome is Outcome.PENDING:  # else it was refused, or its client has given it up
            bridge.ledger.end(message, Outcome.DELIVERED, self.env.now)

    def _size_of_answer(self, client: int, number: int) -> float:
        return 0.0 if self._answer_payload is None else self._answer_payload.draw(client, number)

    def _answer(self, message: Message, client: int, number: int) -> Steps:
        """Work on a request until its answer is ready."""
        bridge = self.bridge
        node = bridge.choose_node(client, Purpose.NODE_OF_MESSAGE, client, number)
        bridge.memory.connect(node)
        if self._workers is not None:
            yield from self._occupy(self._workers, node)
        yield from bridge.compute(client, self._parse, client, number, node, message.size)
        yield from bridge.compute(client, self._query_cpu, client, number, node, message.size)
        yield from bridge.store.query(client, number, _nothing, message.size)
        size = self._size_of_answer(client, number)
        yield from bridge.compute(client, self._respond, client, number, node, size)
        if self._by_turn:
            yield from self._end_of_turn(client, node)
        message.stored = self.env.now
        bridge.memory.disconnect(node)
        if self._workers is not None:
            self._leave(node)

    def _end_of_turn(self, client: int, node: int) -> Steps:
        loop = self.bridge.loop(client, node)
        assert isinstance(loop, Loop)
        if (end := loop.end_of_turn()) is not None:
            yield end

    def _occupy(self, workers: int, node: int) -> Steps:
        if self._occupied[node] < workers:
            self._occupied[node] += 1
            return
        turn = self.env.event()
        self._waiting[node].append(turn)
        yield turn

    def _leave(self, node: int) -> None:
        """Hand a worker over to the request that has waited longest for one of its node."""
        if not self._waiting[node]:
            self._occupied[node] -= 1
            return
        let_go(self._waiting[node].popleft())


def _nothing() -> None:
    """Find what a query of a request finds: nothing that the model knows."""
