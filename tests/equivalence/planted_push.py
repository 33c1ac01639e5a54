"""Errors in the push server, its connections and its options."""

import functools
import itertools
from collections import deque

from planting import around, instead_of, planted

from lhsim import rules
from lhsim.metrics.account import Outcome
from lhsim.models import push_processes as push_models
from lhsim.models.bridge import Bridge
from lhsim.models.push_processes import Connection, Push
from lhsim.models.workload import START_KINDS
from lhsim.rules import ACCEPT, NO_ANSWER, start_time
from lhsim.streams import Purpose

# Connections


def pushing(full, *, newest=False):
    def push(self, message):
        bridge, agent = self.bridge, message.target
        connection = self._connections.get(agent)
        if connection is None:
            self._miss(message)
        elif full(connection.queued, self.server.outbound):
            bridge.ledger.end(message, Outcome.DROPPED, self.env.now)
        else:
            connection.queued += 1
            yield from bridge.compute(agent, self._send, message.sender, message.number)
            if newest:
                connection = self._connections.get(agent, connection)
            connection.queued -= 1
            yield from self._sent(message, connection)

    return push


@planted(system="reject")
def one_message_more_fits_an_outbound_queue(patch):
    patch.setattr(Push, "push", pushing(lambda queued, most: most is not None and queued > most))


@planted(system="reject")
def a_message_finds_the_next_connection_open(patch):
    """It is sent over the connection that there is at the end of its sending."""
    patch.setattr(Push, "push", pushing(lambda queued, most: queued == most, newest=True))


@planted(system="reject")
def one_connection_more(patch):
    def is_full(self, node):
        limit = self.server.connections
        return limit is not None and self.bridge.memory.by_node[node] > limit

    patch.setattr(Push, "_is_full", is_full)


@instead_of(Push, "_leave", system="wait")
def the_last_in_line_enters_first(self, agent):
    self._connections.pop(agent).open = False
    if self._lines[0]:
        self._lines[0].pop().succeed(True)
    else:
        self.bridge.memory.disconnect()


@instead_of(Push, "_miss", system="slow at random")
def parked_messages_go_out_newest_first(self, message):
    if self.server.overflow == "wait" or message.target not in self._known:
        self._parked.setdefault(message.target, []).insert(0, message)
    else:
        self.bridge.ledger.end(message, Outcome.REJECTED, self.env.now)


@instead_of(Push, "_miss", system="random")
def an_agent_that_has_not_come_yet_misses_its_messages(self, message):
    if self.server.overflow == "wait":
        self._parked.setdefault(message.target, []).append(message)
    else:
        self.bridge.ledger.end(message, Outcome.REJECTED, self.env.now)


@instead_of(Push, "_sent", system="random")
def a_closed_connection_still_delivers(self, message, _connection):
    self.sent += 1
    self.env.process(self._travel(message))
    return iter(())


@around(Push, "_enter", system="random")
def an_agent_is_connected_before_its_accept(original, self, agent, attempt, node):
    if not self._is_full(node):
        self._connections[agent] = Connection()
    return (yield from original(self, agent, attempt, node))


def carrying(order):
    def carry(self, message):
        bridge, sender, number = self.bridge, message.sender, message.number
        yield from bridge.receive(message)
        yield from bridge.compute(sender, self._validate, sender, number)
        yield from bridge.compute(sender, bridge.write_cpu, sender, number)
        yield from bridge.store.write(message, self._stored)
        if bridge.loop(sender) is not bridge.loop(message.target):
            on = sender if order == "relay by the sender" else message.target
            yield from bridge.compute(on, self._relay, sender, number)
        if order == "acknowledge first":
            yield from bridge.acknowledge(message, stored=True)
            yield from self.push(message)
        else:
            yield from self.push(message)
            yield from bridge.acknowledge(message, stored=True)

    return carry


@planted(system="random")
def the_loop_of_the_sender_pays_the_relay(patch):
    patch.setattr(Push, "carry", carrying("relay by the sender"))


@planted(system="random")
def a_message_is_acknowledged_before_it_is_pushed(patch):
    patch.setattr(Push, "carry", carrying("acknowledge first"))


# Connections that agents share


@planted(system="shared connections, fallback and batches")
def a_client_comes_when_its_first_agent_starts(patch):
    coming(patch, lambda starts: starts[0])


@planted(system="shared connections")
def a_client_comes_when_its_last_agent_starts(patch):
    coming(patch, max)


def coming(patch, earliest):
    """Let a client come at a time out of those at which its agents start."""
    original = Push.attend

    def attend(self, client, _start):
        bridge, workload = self.bridge, self.bridge.workload
        how, end = START_KINDS[workload.start], client + bridge.agents_per_connection
        starts = [
            start_time(how, workload.start_over, who, bridge.agents, bridge.seed)
            for who in range(client, min(end, bridge.agents))
        ]
        yield from original(self, client, earliest(starts))

    patch.setattr(Push, "attend", attend)


@instead_of(Bridge, "loop", system="shared connections")
def the_agents_of_a_client_are_on_different_loops(self, agent, node=0):
    return self.loops[agent % len(self.loops)]


@instead_of(Bridge, "loop", system="shared connections")
def a_client_is_on_the_loop_of_its_first_agent(self, agent, node=0):
    return self.loops[self.client(agent) % len(self.loops)]


@instead_of(Bridge, "client", system="shared connections")
def the_last_client_has_as_many_agents_as_the_others(self, agent):
    """The agents that are too few join the client before them."""
    several = self.agents_per_connection
    whole = max(1, self.agents // several)
    return min(agent // several, whole - 1) * several


@around(Bridge, "compute", system="shared connections")
def a_client_draws_by_its_own_number(original, self, agent, stage, entity, index, *more):
    if stage is not None and stage.purpose == Purpose.CONNECT:
        entity //= self.agents_per_connection
    yield from original(self, agent, stage, entity, index, *more)


@around(Bridge, "travel", system="shared connections, fallback and batches")
def a_client_is_as_slow_as_its_last_agent(original, self, who, route, entity, index, *size):
    if route in (self.request_up, self.answer_down):
        who = min(who + self.agents_per_connection, self.agents) - 1
    yield from original(self, who, route, entity, index, *size)


@around(Bridge, "travel", system="shared connections, fallback and batches")
def a_message_is_as_late_as_the_client_is_slow(original, self, who, route, entity, index, *size):
    if route[0]._losses == rules.LOSSES[Purpose.PUSH_DOWN]:
        who = self.client(who)
    yield from original(self, who, route, entity, index, *size)


@around(Push, "_poll", system="shared connections, fallback and batches")
def a_poll_brings_the_messages_of_the_first_agent(original, self, client, request):
    parked = self._parked.get(client, [])
    self._parked[client] = [message for message in parked if message.target == client]
    yield from original(self, client, request)
    others = [message for message in parked if message.target != client]
    self._parked.setdefault(client, []).extend(others)


@around(Push, "_collect", system="shared connections, fallback and batches")
def each_agent_has_a_batch_of_its_own(original, self, message, connection):
    """A message to another agent than the last one's lets the batch go out before."""
    if connection.unsent and connection.unsent[-1].target != message.target:
        self._flush(connection)
    original(self, message, connection)


@instead_of(Push, "push", system="shared connections, fallback and batches")
def a_shared_queue_has_places_for_each_agent(self, message):
    most, several = self.server.outbound, self.bridge.agents_per_connection
    connection = self._connections.get(self.bridge.client(message.target))
    if connection is None:
        self._miss(message)
    elif most is not None and connection.queued == most * several:
        yield from self._overflow(message, connection)
    else:
        connection.queued += 1
        yield from self._send_queued(message, connection)


@instead_of(Push, "_miss", system="shared connections")
def an_agent_of_a_client_that_has_come_may_be_a_stranger(self, message):
    client = self.bridge.client(message.target)
    if self.server.overflow != "reject" or message.target not in self._known:
        self._parked.setdefault(client, []).append(message)
    else:
        self.bridge.ledger.end(message, Outcome.REJECTED, self.env.now)


@around(Push, "_enter", system="random")
def each_agent_of_a_client_is_a_connection(original, self, client, attempt, node):
    yield from original(self, client, attempt, node)
    memory, several = self.bridge.memory, self.bridge.agents_per_connection
    memory.peak_connections = max(memory.peak_connections, memory.connections * several)


# Options


@around(Push, "_overflow", system="full, drop_oldest")
def the_newest_that_waits_is_dropped(original, self, message, connection):
    if connection.unsent:
        connection.unsent.rotate(1)
    return original(self, message, connection)


@instead_of(Push, "_cost", system="full, drop_oldest")
def a_dropped_message_is_sent_all_the_same(self, message, _connection):
    return self._send.draw(message.sender, message.number)


@around(Push, "_overflow", system="full, drop_oldest")
def the_last_that_is_blocked_goes_on_first(original, self, message, connection):
    steps = original(self, message, connection)
    for event in steps:
        if connection.blocked:
            connection.blocked.rotate(1)
        yield event


@around(Push, "_send_queued", system="full, block")
def who_is_blocked_takes_no_place_over(original, self, message, connection):
    if connection.blocked:
        connection.queued -= 1
    return original(self, message, connection)


@instead_of(Push, "_leave", system="full, block")
def who_is_blocked_waits_for_the_next_message_when_the_connection_closes(self, agent):
    self._connections.pop(agent).open = False
    if self._lines[0]:
        self._lines[0].popleft().succeed(True)
    else:
        self.bridge.memory.disconnect()


@around(Push, "_overflow", system="full, disconnect")
def the_message_that_closes_a_connection_is_dropped(original, self, message, connection):
    if self.server.outbound_policy != "disconnect":
        yield from original(self, message, connection)
        return
    self._leave(message.target)
    self.env.process(self._come_back(message.target, connection.attempt))
    self.bridge.ledger.end(message, Outcome.DROPPED, self.env.now)


@instead_of(Push, "_come_back", system="full, disconnect")
def an_agent_whose_connection_was_closed_does_not_come_back(self, *_):
    return self.bridge.delay(None, 0, 0)


@around(push_models, "grown", system="backoff and heartbeats")
def the_first_refusal_changes_nothing(original, multiple, factor, cap):
    return original(multiple, factor, cap) / factor


@instead_of(push_models, "grown", system="backoff and heartbeats")
def there_is_no_end_to_the_backoff(multiple, factor, _cap):
    return multiple * factor


@around(Push, "_leave", system="backoff and heartbeats")
def heartbeats_go_on_when_the_connection_has_closed(original, self, agent):
    connection = self._connections[agent]
    original(self, agent)
    if self._heartbeat is not None:
        self.env.process(self._keep_alive(agent, Connection(connection.attempt)))


@around(Push, "_beat", system="backoff and heartbeats")
def no_heartbeat_is_left_out(original, self, agent, connection, number):
    connection.beating = False
    yield from original(self, agent, connection, number)


def falling_back(*, until=None, numbered_anew=False):
    def fall_back(self, agent, attempt, multiple, numbers):
        wait = until if until is not None else self._reconnect.draw(agent, attempt) * multiple
        end = self.env.now + wait
        polls = itertools.count(attempt + 1) if numbered_anew else numbers
        while True:
            yield self.env.timeout(self.server.fallback_interval)
            if self.env.now >= end:
                return
            yield from self._poll(agent, next(polls))

    return fall_back


@planted(system="fallback")
def an_agent_that_polls_never_tries_to_connect_again(patch):
    patch.setattr(Push, "_fall_back", falling_back(until=1e9))


@planted(system="fallback")
def polls_and_attempts_are_numbered_apart(patch):
    patch.setattr(Push, "_fall_back", falling_back(numbered_anew=True))


@instead_of(Push, "_refuse", system="fallback")
def what_waits_for_an_agent_that_polls_is_rejected(self, agent):
    self.refused += 1
    self._known.add(agent)
    for message in self._parked.pop(agent, ()):
        self.bridge.ledger.end(message, Outcome.REJECTED, self.env.now)


@around(Push, "_poll", system="fallback")
def a_poll_takes_one_connection(original, self, agent, request):
    self.bridge.memory.connect()
    yield from original(self, agent, request)
    self.bridge.memory.disconnect()


@instead_of(Push, "_send_batch", system="batches, drop_new, reject")
def a_batch_costs_what_its_last_message_does(self, batch, connection):
    batch.rotate(1)
    last = batch[0]
    batch.rotate(-1)
    yield from self.bridge.compute(last.target, self._send, last.sender, last.number)
    for message in batch:
        self._free_slot(connection)
        yield from self._sent(message, connection)


@around(Push, "_collect", system="batches, drop_new, reject")
def a_batch_lingers_from_its_last_message_on(original, self, message, connection):
    batch = connection.unsent
    if batch is not None and len(batch) < self.server.batch_size - 1:
        connection.unsent = None
        original(self, message, connection)
        connection.unsent.extendleft(reversed(batch))
    else:
        original(self, message, connection)


@instead_of(Push, "_lingered", system="batches, drop_new, reject")
def the_linger_of_a_full_batch_ends_the_next(self, connection, _batch, _timeout):
    if connection.unsent:
        self._flush(connection)


@instead_of(Push, "_give_back", system="batches, drop_new, reject")
def the_batch_of_a_connection_that_closes_is_sent_in_vain(self, connection):
    if connection.unsent is not None:
        self._flush(connection)


@instead_of(Push, "_collect", system="batches, drop_new, reject")
def a_batch_holds_one_message_more(self, message, connection):
    if connection.unsent is not None and len(connection.unsent) == self.server.batch_size:
        connection.unsent.append(message)
        self._flush(connection)
    elif connection.unsent is not None:
        connection.unsent.append(message)
    else:
        batch = connection.unsent = deque([message])
        timeout = self.env.timeout(self.server.linger)
        timeout.callbacks.append(functools.partial(self._lingered, connection, batch))


@around(Push, "_expire", system="elicitation")
def the_timeout_of_an_elicitation_counts_from_the_creation(original, self, message, deadline):
    return original(self, message, deadline - message.stored + message.created)


@around(Push, "_expire", system="elicitation")
def only_the_first_of_a_broadcast_expires(original, self, message, deadline):
    if message.copies:
        yield from original(self, message, deadline)


@around(Bridge, "travel", system="elicitation by broadcast, slow agents and losses")
def an_answer_takes_a_slow_target_no_longer(original, self, who, route, entity, index, *size):
    answers = route[0]._losses == rules.LOSSES[Purpose.ANSWER_UP]
    return original(self, entity if answers else who, route, entity, index, *size)


@planted(system="broadcast, batches and fallback, slow agents and losses")
def the_answer_to_a_slow_agent_takes_as_long_as_others(patch):
    original, init = Bridge.travel, Push.__init__

    def init_push(self, server, bridge):
        init(self, server, bridge)
        bridge.is_of_push = True

    def travel(self, who, route, entity, index, *size):
        if route is self.answer_down and hasattr(self, "is_of_push"):
            yield self.env.timeout(route[0].delay(entity, index, 1.0, 0.0))
        else:
            yield from original(self, who, route, entity, index, *size)

    patch.setattr(Push, "__init__", init_push)
    patch.setattr(Bridge, "travel", travel)


@around(Push, "_end", system="elicitation")
def a_message_is_delivered_when_its_answer_is(original, self, message, outcome):
    message.reached = None
    original(self, message, outcome)


@around(push_models, "answer", system="elicitation")
def who_declines_does_not_answer(original, u, accept, decline, cancel):
    how = original(u, accept, decline, cancel)
    return how if how == ACCEPT else NO_ANSWER


@instead_of(push_models, "answer", system="elicitation")
def an_answer_that_declines_is_validated(u, accept, decline, cancel):
    return ACCEPT if u < accept + decline + cancel else NO_ANSWER


@around(Push, "_answer", system="elicitation")
def what_has_expired_is_not_answered(original, self, message, elicitation):
    if message.outcome is Outcome.PENDING:
        yield from original(self, message, elicitation)


# The backlog


@instead_of(Push, "_drops", system="backlog")
def there_is_no_end_to_the_backlog(self, node):
    return False


@instead_of(Push, "_drops", system="backlog")
def a_backlog_holds_one_more(self, node):
    backlog = self.server.backlog
    return backlog is not None and self._accepting[node] > backlog


@instead_of(push_models, "next_timeout", system="backlog")
def a_host_repeats_at_equal_intervals(timeout):
    return timeout


@around(Push, "_leave", system="backlog")
def a_connection_is_in_the_backlog_for_as_long_as_it_is_open(original, self, agent):
    self._accepting[self._connections[agent].node] -= 1
    original(self, agent)


@around(Push, "_knock", system="backlog")
def an_attempt_that_is_dropped_counts_again(original, self, agent, attempt):
    before = self.dropped
    node = yield from original(self, agent, attempt)
    self.attempts += self.dropped - before
    return node
