"""The agents: each sends by its traffic model and receives by its server's protocol."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

from lhsim.metrics.account import Outcome
from lhsim.models.clients import Retries
from lhsim.models.ledger import Countdown
from lhsim.models.workload import (
    START_KINDS,
    ArrivalProcess,
    Closed,
    OpenTraffic,
    Piecewise,
    Recorded,
    Requests,
    target_of,
)
from lhsim.rules import start_time, time_to_next
from lhsim.streams import Purpose

if TYPE_CHECKING:
    from simpy.events import Event

    from lhsim.distributions import Distribution
    from lhsim.models.bridge import Bridge, Steps
    from lhsim.models.ledger import Message
    from lhsim.models.server import ServerProcesses
    from lhsim.models.stage import Stage


def start(bridge: Bridge, server: ServerProcesses) -> Senders:
    """Start each agent: its receiving side, then its sending side; return the latter of all.

    Agents that share a connection have one receiving side, that of the first of them, which starts
    as soon as one of them does.
    """
    workload = bridge.workload
    senders = set(workload.senders(bridge.agents))
    class_of = bridge.population.class_of
    send = Senders(bridge, server)
    how = START_KINDS[workload.start]
    starts = [
        start_time(how, workload.start_over, agent, bridge.agents, bridge.seed)
        for agent in range(bridge.agents)
    ]
    for agent, at in enumerate(starts):
        if bridge.client(agent) == agent:
            earliest = min(starts[agent : agent + bridge.agents_per_connection])
            bridge.env.process(server.attend(agent, earliest))
        if agent in senders and class_of(agent) not in workload.silent:
            bridge.env.process(send.life(agent, at))
    return send


class Senders:
    """The sending side of the agents."""

    def __init__(self, bridge: Bridge, server: ServerProcesses) -> None:
        self._bridge = bridge
        retry = bridge.workload.retry
        self.retries = None if retry is None else Retries(retry, bridge, server.carry)
        self._carry = server.carry if self.retries is None else self.retries.send
        traffic = bridge.workload.traffic
        if isinstance(traffic, Closed):
            self.life = self.send_in_turn
            self._messages = traffic.messages
            self._pause = bridge.stage(traffic.pause, Purpose.PAUSE)
        elif isinstance(traffic, OpenTraffic):
            self.life = self.send_on_schedule
            kinds: Any = [kind.traffic for kind in bridge.workload.kinds]
            self._first_gaps = [_gap(bridge, kind.first_gap) for kind in kinds]
            self._gaps = [_gap(bridge, kind.gap) for kind in kinds]
        elif isinstance(traffic, Piecewise):
            self.life = self.send_at_a_rate
            self._schedule = traffic.schedule
            self._expected = _gap(bridge, traffic.expected)
        elif isinstance(traffic, Recorded):
            self.life = self.send_as_recorded
            self._recorded = traffic
            self._ranks = bridge.workload.senders(bridge.agents)
        elif isinstance(traffic, ArrivalProcess):
            self.life = self.send_by_a_rule
            self._arrivals = traffic
        elif isinstance(traffic, Requests):
            self.life = self.request
            self._requests = traffic
            self._think = bridge.steps(Purpose.THINK)
            self._numbers: defaultdict[int, Iterator[int]] = defaultdict(count)  # by client
        self._answers_sender = server.answers_sender

    def send_on_schedule(self, agent: int, start: float) -> Steps:
        """Send at the traffic's times, regardless of earlier messages: an open workload."""
        env, of_class = self._bridge.env, self._bridge.population.class_of(agent)
        gap = self._gaps[of_class]
        yield env.timeout(start)
        yield env.timeout(self._first_gaps[of_class].draw(agent, 0))
        number = 0
        while True:
            self._send(agent, number)
            number += 1
            yield env.timeout(gap.draw(agent, number))

    def send_at_a_rate(self, agent: int, start: float) -> Steps:
        """Send at a time-varying rate, regardless of earlier messages."""
        env = self._bridge.env
        yield env.timeout(start)
        for number in count():
            expected = self._expected.draw(agent, number)
            yield env.timeout(time_to_next(env.now, expected, self._schedule))
            self._send(agent, number)

    def send_as_recorded(self, agent: int, start: float) -> Steps:
        """Send at recorded times, which count from the start of the run, not of the agent."""
        del start
        env, seed, rank = self._bridge.env, self._bridge.seed, self._ranks.index(agent)
        for number in count():
            at = self._recorded.time_of(rank, number, seed)
            yield env.timeout(max(0.0, at - env.now))
            self._send(agent, number)

    def send_by_a_rule(self, agent: int, start: float) -> Steps:
        """Send at the times of the user's own arrival process, regardless of earlier messages."""
        env, seed = self._bridge.env, self._bridge.seed
        yield env.timeout(start)
        for number in count():
            yield env.timeout(self._arrivals.time_to_next(agent, number, env.now, seed))
            self._send(agent, number)

    def send_in_turn(self, agent: int, start: float) -> Steps:
        """Send a message, wait for its end, pause, and send the next."""
        env = self._bridge.env
        yield env.timeout(start)
        number = 0
        while number != self._messages:
            message = self._send(agent, number)
            yield self._end_of(message)
            yield from self._bridge.think(agent, self._pause, agent, number)
            number += 1

    def request(self, agent: int, start: float) -> Steps:
        """Start the client's loops, one for each request that it has under way at a time."""
        env = self._bridge.env
        yield env.timeout(start)
        for _ in range(self._requests.in_flight):
            env.process(self._request_in_turn(agent))

    def _request_in_turn(self, client: int) -> Steps:
        """Think, send a request and wait for its answer, again and again."""
        bridge, traffic = self._bridge, self._requests
        numbers, end = self._numbers[client], traffic.messages_of_a_sender
        think = bridge.of(client, self._think)
        while (number := next(numbers)) < end:
            yield from bridge.think(client, think, client, number)
            message = self._create(client, number)
            if traffic.patience is not None:
                timer = bridge.env.timeout(traffic.patience)
                timer.callbacks.append(partial(self._lose_patience, message))
            yield from self._carry(message)
            if message.outcome is Outcome.EXPIRED:
                return  # the client has gone on
            if message.created == bridge.env.now:
                yield bridge.env.timeout(0.0)  # else all of its requests would be one event

    def _lose_patience(self, message: Message, _timer: Event) -> None:
        """Give a request up that is not answered by now, and let its client go on."""
        bridge = self._bridge
        if message.outcome is Outcome.PENDING:
            bridge.waiting.given_up += 1
            bridge.ledger.end(message, Outcome.EXPIRED, bridge.env.now)
            bridge.env.process(self._request_in_turn(message.sender))

    def _send(self, agent: int, number: int) -> Message:
        bridge = self._bridge
        copies = bridge.workload.copies(bridge.agents)
        message, *others = [self._create(agent, number * copies + copy) for copy in range(copies)]
        message.copies = tuple(others)
        bridge.env.process(self._carry(message))
        return message

    def _create(self, agent: int, number: int) -> Message:
        bridge = self._bridge
        target = agent
        if not self._answers_sender:
            target = target_of(bridge.workload, bridge.population, agent, number, bridge.seed)
        message = bridge.ledger.create(agent, number, target, bridge.env.now)
        message.size = bridge.size_of(agent, number // bridge.workload.copies(bridge.agents))
        return message

    def _end_of(self, message: Message) -> Event:
        """Return the event that a message, and all sent together with it, have ended."""
        end = self._bridge.env.event()
        last = Countdown(len(message.together), end)
        for one in message.together:
            one.ended = last
        return end


def _gap(bridge: Bridge, distribution: Distribution) -> Stage:
    gap = bridge.stage(distribution, Purpose.MESSAGE_GAP)
    assert gap is not None, "a rate is positive and finite"
    return gap
