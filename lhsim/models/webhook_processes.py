"""Webhooks: the server posts each stored message to its target, and awaits the target's answer.

The server knows a post by its answer alone. One that is not answered in time may have arrived all
the same, so that a further one is a duplicate there; a message of which no post has arrived, and
none will, is a dead letter.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING

from lhsim.metrics.account import Outcome
from lhsim.models.push_processes import Push
from lhsim.rules import back_off, post_index
from lhsim.streams import Purpose, uniform

if TYPE_CHECKING:
    from simpy.events import Event

    from lhsim.models.bridge import Bridge, Steps
    from lhsim.models.ledger import Message
    from lhsim.models.push import PushServer, Webhook


class Posts:
    """The posts of one message."""

    def __init__(self) -> None:
        self.under_way = 0  # to its target
        self.given_up = False  # whether there are no further ones


class Webhooks(Push):
    """The processes of a server that posts messages."""

    def __init__(self, server: PushServer, hook: Webhook, bridge: Bridge) -> None:
        super().__init__(server, bridge)
        self._hook = hook
        self._work = bridge.step(Purpose.ANSWER_THINK)
        self._back = bridge.route(Purpose.ANSWER_UP)
        self._occupied = 0  # places for posts
        self._waiting: deque[Event] = deque()  # for such a place
        self.repeated = 0  # posts beyond the first of a message

    def carry(self, message: Message) -> Steps:
        """Take a message from its sender to the store, from where it is posted."""
        bridge, sender, number = self.bridge, message.sender, message.number
        let_in = yield from bridge.receive(message)
        if not let_in:
            return
        for step in (self._validate, bridge.write_cpu):
            yield from bridge.compute(sender, step, sender, number, size=message.size)
        stored = yield from bridge.write(message, self._stored)
        if stored:
            for one in message.together:
                self.env.process(self._deliver(one))
        yield from bridge.acknowledge(message, stored=stored)

    def attend(self, _agent: int, start: float) -> Steps:
        """Do nothing: a target is there when it is posted to."""
        yield self.env.timeout(start)

    def _deliver(self, message: Message) -> Steps:
        """Post a message until it is answered, or no attempt is left."""
        bridge, hook, posts = self.bridge, self._hook, Posts()
        sender, target = message.sender, message.target
        if bridge.loop(sender) is not bridge.loop(target):
            yield from bridge.compute(
                target, self._relay, sender, message.number, size=message.size
            )
        for number in range(hook.attempts):
            if number > 0:
                yield self.env.timeout(back_off(hook.backoff, hook.factor, hook.longest, number))
                self.repeated += 1
            yield from self._occupy()
            index = post_index(number, message.number)
            yield from bridge.compute(target, self._send, sender, index, size=message.size)
            is_done: bool = yield self._post(message, posts, index)
            self._leave_place()
            if is_done:
                return
        posts.given_up = True
        self._end_if_lost(message, posts)

    def _post(self, message: Message, posts: Posts, index: int) -> Event:
        """Send a post; return the event that it is answered, or not in time."""
        self.sent += 1
        posts.under_way += 1
        answered = self.env.event()
        timer = self.env.timeout(self._hook.timeout)
        timer.callbacks.append(partial(self._give_up_waiting, answered))
        self.env.process(self._reach(message, posts, index, answered))
        return answered

    def _reach(self, message: Message, posts: Posts, index: int, answered: Event) -> Steps:
        """Bring a post to the target, which works on it or refuses it, and its answer back."""
        bridge, sender, target = self.bridge, message.sender, message.target
        yield from bridge.travel(target, self._push_down, sender, index, message.size)
        posts.under_way -= 1
        u = uniform(bridge.seed, int(Purpose.POST_FAILURE), sender, index)
        accepts = u >= self._hook.failure
        if accepts:
            self._arrive(message)
            yield from bridge.think(target, self._work, sender, index)
        else:
            self._end_if_lost(message, posts)
        yield from bridge.travel(target, self._back, sender, index)
        if not bridge.unreachable and not answered.triggered:
            answered.succeed(accepts)

    def _arrive(self, message: Message) -> None:
        if message.outcome is Outcome.PENDING:
            self.bridge.ledger.end(message, Outcome.DELIVERED, self.env.now)
        else:
            self.bridge.ledger.duplicates += 1

    def _end_if_lost(self, message: Message, posts: Posts) -> None:
        lost = posts.given_up and posts.under_way == 0
        if lost and message.outcome is Outcome.PENDING:
            self.bridge.ledger.end(message, Outcome.LOST, self.env.now)

    def _give_up_waiting(self, answered: Event, _timer: Event) -> None:
        if not answered.triggered:
            self.bridge.waiting.given_up += 1
            answered.succeed(False)

    def _occupy(self) -> Steps:
        """Wait for a place for a post."""
        limit = self._hook.in_flight
        if limit is None:
            return
        if self._occupied < limit:
            self._occupied += 1
            return
        place = self.env.event()
        self._waiting.append(place)
        yield place

    def _leave_place(self) -> None:
        """Hand a place over to the post that has waited longest for one."""
        if self._hook.in_flight is None:
            return
        if self._waiting:
            self._waiting.popleft().succeed()
        else:
            self._occupied -= 1
