"""Errors in classes of agents, and in what the sizes of messages add."""

import numpy as np
from planting import around, instead_of, planted

from lhsim.models import database, impatient, polling_processes, push_processes, workload
from lhsim.models.bridge import Bridge
from lhsim.models.classes import Population
from lhsim.models.database import Store
from lhsim.models.ledger import Ledger, Message
from lhsim.models.request_processes import Answering
from lhsim.models.stage import Route
from lhsim.models.workload import Workload
from lhsim.streams import Purpose


@instead_of(Population, "class_of", system="classes, pushed")
def agents_take_their_classes_in_turn(self, agent):
    return agent % len(self.names)


@planted(system="classes, pushed")
def the_last_agent_of_a_class_is_of_the_next(patch):
    original = Population.__init__

    def init(self, classes, agents):
        original(self, classes, agents)
        self.ends = np.maximum(self.ends - (np.arange(len(self.ends)) == 0), 1)

    patch.setattr(Population, "__init__", init)


@instead_of(workload, "other_of", system="classes, pushed")
def an_agent_may_send_to_itself(u, _agent, first, end):
    return first + int(u * (end - first))


@instead_of(Population, "targets_of", system="classes, pushed")
def messages_go_to_any_class(self, _agent):
    return 0, self.agents


@around(Bridge, "travel", system="classes, pushed")
def a_push_takes_the_way_of_its_sender(original, self, agent, routes, entity, index, *size):
    pushed = routes[0].purpose is Purpose.PUSH_DOWN
    yield from original(self, entity if pushed else agent, routes, entity, index, *size)


@planted(system="classes, pushed")
def a_class_without_a_rate_sends_as_others(patch):
    patch.setattr(Workload, "silent", frozenset())


@around(Ledger, "end", system="classes, pushed")
def figures_are_those_of_who_receives(original, self, message, outcome, now):
    sender, message.sender = message.sender, message.target
    original(self, message, outcome, now)
    message.sender = sender


@instead_of(Bridge, "of", system="classes, polled")
def all_think_as_the_first_class(_self, _agent, stages):
    return stages[0]


@around(Bridge, "size_of", system="sizes, broadcast in batches")
def each_message_of_a_broadcast_has_its_size(original, self, sender, sending):
    self.sizes = getattr(self, "sizes", 0) + 1
    return original(self, sender, sending + self.sizes % 2)


@planted(system="classes, polled")
def an_answer_is_as_small_as_none(patch):
    for module in (polling_processes, impatient):
        patch.setattr(module, "size_of", lambda _messages: 0.0)


@planted(system="classes, polled")
def an_answer_is_as_large_as_its_first_message(patch):
    for module in (polling_processes, impatient):
        patch.setattr(module, "size_of", lambda messages: messages[0].size if messages else 0.0)


@instead_of(push_processes, "size_of", system="sizes, broadcast in batches")
def a_batch_is_as_large_as_its_first_message(messages):
    return messages[0].size if messages else 0.0


@around(Store, "_cost_of_write", system="sizes, broadcast in batches")
def the_bytes_of_a_batch_are_those_of_its_first(original, self, first, _further):
    return original(self, first, 0.0)


@instead_of(Route, "delay", system="sizes, slow agents")
def bytes_travel_as_fast_to_a_slow_agent(self, entity, index, slowness, size):
    drawn = 0.0 if self._stage is None else self._stage.draw(entity, index) * slowness
    return drawn + (0.0 if self._stage is None else self._stage.per_byte * size)


@around(Message, "attempt", system="sizes, retries")
def a_further_attempt_is_empty(original, self, number):
    attempt = original(self, number)
    attempt.size = 0.0 if number else self.size
    return attempt


@instead_of(Answering, "_size_of_answer", system="sizes, requests")
def answers_are_all_alike(self, client, _number):
    return 0.0 if self._answer_payload is None else self._answer_payload.draw(client, 0)


@around(Answering, "__init__", system="sizes, requests and a limit of their rate")
def a_query_costs_no_bytes(original, self, server, bridge):
    original(self, server, bridge)
    if bridge.store._query is not None:
        bridge.store._query.per_byte = 0.0


@around(database.Store, "query", system="sizes, requests")
def a_query_pays_its_bytes_twice(original, self, agent, index, read, size=0.0):
    return (yield from original(self, agent, index, read, 2 * size))
