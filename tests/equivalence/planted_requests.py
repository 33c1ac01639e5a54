"""Errors in the clients of a request/response server, and in what it does with their requests."""

import numpy as np
from planting import around, instead_of
from simpy.events import NORMAL

from lhsim.metrics.account import Outcome
from lhsim.models.agent import Senders
from lhsim.models.loop import Loop
from lhsim.models.request_processes import Answering

# Clients


@instead_of(Senders, "_lose_patience", system="requests in a hurry")
def patience_does_not_expire(self, message, timer):
    pass


@instead_of(Senders, "_lose_patience", system="requests in a hurry")
def a_client_that_gives_up_sends_nothing_more(self, message, timer):
    bridge = self._bridge
    if message.outcome is Outcome.PENDING:
        bridge.waiting.given_up += 1
        bridge.ledger.end(message, Outcome.EXPIRED, bridge.env.now)


@instead_of(Senders, "_lose_patience", system="requests in a hurry")
def a_request_that_is_given_up_is_lost(self, message, timer):
    bridge = self._bridge
    if message.outcome is Outcome.PENDING:
        bridge.waiting.given_up += 1
        bridge.ledger.end(message, Outcome.LOST, bridge.env.now)
        bridge.env.process(self._request_in_turn(message.sender))


@around(Senders, "request", system="requests, several of a client")
def a_client_has_one_request_less_under_way(original, self, agent, start):
    yield self._bridge.env.timeout(start)
    for _ in range(max(1, self._requests.in_flight - 1)):
        self._bridge.env.process(self._request_in_turn(agent))


@around(Senders, "_create", system="requests, several of a client")
def a_request_is_asked_in_the_name_of_the_next_client(original, self, agent, number):
    message = original(self, agent, number)
    message.target = (agent + 1) % self._bridge.agents
    return message


def _in_turn(self, client, next_number):
    """Do what `Senders._request_in_turn` does, with numbers of another kind."""
    bridge, traffic = self._bridge, self._requests
    number = next_number()
    while number < traffic.messages_of_a_sender:
        yield from bridge.think(client, bridge.of(client, self._think), client, number)
        yield from self._carry(self._create(client, number))
        number = next_number()


@instead_of(Senders, "_request_in_turn", system="requests, several of a client")
def the_loops_of_a_client_draw_their_numbers_when_they_send(self, client):
    bridge, traffic = self._bridge, self._requests
    numbers, shown = self._numbers[client], 0
    while True:
        yield from bridge.think(client, bridge.of(client, self._think), client, shown)
        shown = next(numbers)
        if shown >= traffic.messages_of_a_sender:
            return
        yield from self._carry(self._create(client, shown))


@instead_of(Senders, "_request_in_turn", system="requests, several of a client")
def a_client_sends_one_request_more(self, client):
    numbers = self._numbers[client]
    return _in_turn(self, client, lambda: next(numbers) - 1)


@instead_of(Senders, "_request_in_turn", system="requests, several of a client")
def a_client_thinks_after_its_request_for_the_first_time(self, client):
    bridge, traffic = self._bridge, self._requests
    while (number := next(self._numbers[client])) < traffic.messages_of_a_sender:
        yield from self._carry(self._create(client, number))
        yield from bridge.think(client, bridge.of(client, self._think), client, number)


# The server


@instead_of(Answering, "_leave", system="requests, workers")
def a_worker_is_handed_to_the_last_that_came(self, node):
    if not self._waiting[node]:
        self._occupied[node] -= 1
        return
    self._waiting[node].pop().succeed()


@instead_of(Answering, "_leave", system="requests, workers, all the same")
def a_worker_is_handed_over_after_what_is_due(self, node):
    if not self._waiting[node]:
        self._occupied[node] -= 1
        return
    turn = self._waiting[node].popleft()
    turn._ok, turn._value = True, None
    self.env.schedule(turn, NORMAL)


@instead_of(Answering, "_occupy", system="requests, workers")
def a_request_finds_one_worker_more(self, workers, node):
    if self._occupied[node] <= workers:
        self._occupied[node] += 1
        return
    turn = self.env.event()
    self._waiting[node].append(turn)
    yield turn


@instead_of(Loop, "end_of_turn", system="requests, answers by turn")
def an_answer_leaves_before_its_turn_ends(self):
    return None


@around(Loop, "_end_turn", system="requests, answers by turn")
def answers_of_a_turn_leave_in_the_order_of_a_stack(original, self, held):
    held.reverse()
    original(self, held)


@around(Loop, "complete", system="requests, answers by turn")
def answers_leave_when_the_next_turn_has_begun(original, self, service):
    held, self._held = self._held, None
    original(self, service)
    self._held = held
    self._end_turn(held)


@around(Loop, "_cost_of_turn", system="requests, answers by turn, all the same")
def a_turn_takes_in_what_comes_while_it_lasts(original, self):
    cost = original(self)
    self._in_turn = len(self.waiting)
    return cost


@around(Answering, "_answer", system="requests in a hurry")
def a_request_that_was_given_up_is_not_answered(original, self, message, client, number):
    if message.outcome is Outcome.PENDING:
        yield from original(self, message, client, number)


@around(Answering, "_answer", system="requests, workers")
def a_worker_is_free_before_it_has_answered(original, self, message, client, number):
    respond, self._respond = self._respond, None
    yield from original(self, message, client, number)
    self._respond = respond
    yield from self.bridge.compute(client, respond, client, number)


@around(Answering, "_answer", system="requests, workers")
def an_answer_is_ready_when_its_request_comes(original, self, message, client, number):
    message.stored = self.env.now
    came = message.stored
    yield from original(self, message, client, number)
    message.stored = came


@around(Answering, "_answer", system="requests, workers")
def a_request_is_connected_while_it_is_served_alone(original, self, message, client, number):
    memory = self.bridge.memory
    yield from original(self, message, client, number)
    memory.peak_connections = min(memory.peak_connections, self._workers or np.inf)


@instead_of(Answering, "carry", system="requests, a limit of their rate")
def a_request_over_the_limit_is_answered_at_once(self, message):
    bridge, client, number = self.bridge, message.sender, message.number
    yield from bridge.travel(client, bridge.request_up, client, number)
    if not bridge.admit(message):
        return
    yield from self._answer(message, client, number)
    yield from bridge.travel(client, bridge.answer_down, client, number)
    if message.outcome is Outcome.PENDING:
        bridge.ledger.end(message, Outcome.DELIVERED, self.env.now)
