"""Clients with a timeout: they abandon a request and retry.

A client knows nothing of the server but its answers. It gives a request up after a time, takes a
connection that is cut for a failure, and sends what it has not been answered once more. The server
does not notice: abandoned requests still consume it, and an attempt that came through all the same
is a duplicate. So a server that is too slow gets more to do, which is how an overload outlives its
cause (Bronson, Aghayev, Charapko and Zhu, "Metastable failures in distributed systems", HotOS
2021).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from lhsim.models.replies import Failed
from lhsim.rules import attempt_index, back_off, jittered
from lhsim.streams import Purpose, uniform

if TYPE_CHECKING:
    from lhsim.models.bridge import Bridge, Steps
    from lhsim.models.ledger import Message
    from lhsim.models.replies import Reply
    from lhsim.models.workload import Retry

MOST_CREDIT = 10.0  # attempts that an agent's budget can hold


class Retries:
    """The agents' attempts to send their messages, each of which `carry` takes to the server."""

    def __init__(self, retry: Retry, bridge: Bridge, carry: Callable[[Message], Steps]) -> None:
        self._retry = retry
        self._bridge = bridge
        self._carry = carry
        self._credit: dict[int, float] = {}  # by agent: attempts that its budget allows
        self.count = 0  # of attempts beyond the first of a message

    def send(self, message: Message) -> Steps:
        """Send a message, and all that go with it, until it is answered or abandoned."""
        bridge, retry, sender = self._bridge, self._retry, message.sender
        self._earn(sender)
        for number in range(retry.attempts):
            if number > 0:
                if not self._may_try_again(sender):
                    break
                yield bridge.env.timeout(self._back_off(message, number))
                self.count += 1
            reply = bridge.waiting.ask(sender, retry.timeout)
            bridge.env.process(self._carry(self._attempt(message, number, reply)))
            answer = yield reply.event
            if not isinstance(answer, Failed):
                break
        for one in message.together:
            bridge.ledger.give_up(one, bridge.env.now)

    def _attempt(self, message: Message, number: int, reply: Reply) -> Message:
        attempt, *others = [one.attempt(number) for one in message.together]
        attempt.copies = tuple(others)
        attempt.reply = reply
        return attempt

    def _back_off(self, message: Message, number: int) -> float:
        retry = self._retry
        usual = back_off(retry.backoff, retry.factor, retry.longest, number)
        if retry.jitter == 0:
            return usual
        index = attempt_index(number, message.number)
        u = uniform(self._bridge.seed, int(Purpose.RETRY), message.sender, index)
        return jittered(usual, retry.jitter, u)

    def _earn(self, agent: int) -> None:
        if self._retry.budget is not None:
            credit = self._credit.get(agent, 0.0) + self._retry.budget
            self._credit[agent] = min(credit, MOST_CREDIT)

    def _may_try_again(self, agent: int) -> bool:
        if self._retry.budget is None:
            return True
        if self._credit[agent] < 1:
            return False
        self._credit[agent] -= 1
        return True
