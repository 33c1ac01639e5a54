"""Errors in clients that give up and try again, and in faults that cut connections."""

import itertools

from planting import around, instead_of, planted
from simpy.events import URGENT

from lhsim.metrics.account import Outcome
from lhsim.models import clients, incidents, running
from lhsim.models.bridge import Bridge
from lhsim.models.clients import Retries
from lhsim.models.impatient import ImpatientPolling
from lhsim.models.ledger import Ledger, Message
from lhsim.models.polling_processes import Polling
from lhsim.models.push_processes import Push
from lhsim.models.replies import Failed, Reply, Waiting

# Senders that try again


@around(clients, "back_off", system="retries")
def the_first_back_off_is_that_of_the_second(original, first, factor, longest, failures):
    return original(first, factor, longest, failures + 1)


@around(clients, "uniform", system="retries")
def the_jitter_of_a_back_off_is_that_of_the_next_message(original, seed, purpose, entity, index):
    return original(seed, purpose, entity, index + 1)


@around(clients, "jittered", system="retries")
def a_jitter_makes_a_back_off_shorter_alone(original, interval, jitter, u):
    return original(interval, jitter, u / 2)


@around(Message, "attempt", system="retries")
def each_attempt_has_the_draws_of_the_first(original, self, number):
    attempt = original(self, number)
    attempt.number = self.number
    return attempt


@around(Retries, "_earn", system="retries on a budget")
def a_message_pays_for_twice_as_many_attempts(original, self, agent):
    original(self, agent)
    original(self, agent)


@planted(system="retries on a budget")
def a_budget_holds_one_attempt(patch):
    patch.setattr(clients, "MOST_CREDIT", 1.0)


@planted(system="retries on a budget")
def a_budget_is_checked_once_it_is_paid(patch):
    def may_try_again(self, agent):
        if self._retry.budget is None:
            return True
        self._credit[agent] -= 1
        return self._credit[agent] >= 0

    patch.setattr(Retries, "_may_try_again", may_try_again)


@around(Waiting, "ask", system="retries")
def a_sender_has_a_little_less_patience(original, self, agent, patience):
    return original(self, agent, None if patience is None else 0.9 * patience)


@instead_of(Waiting, "_time_out", system="retries")
def a_sender_that_has_an_answer_gives_up_as_well(self, reply):
    self.given_up += 1
    reply.give(Failed.TIMED_OUT)


@instead_of(Reply, "give", system="retries, all the same")
def a_client_goes_on_before_what_is_due(self, value):
    if not self.event.triggered:
        del self._waiting.replies[self]
        self.event._ok, self.event._value = True, value
        self.event.env.schedule(self.event, URGENT)


@instead_of(Bridge, "_bring_reply", system="retries")
def a_reply_takes_no_time(self, message, reply, answer):
    reply.give(answer)
    yield from ()


@around(Bridge, "_reply", system="retries, a limit of their rate")
def a_refusal_is_taken_for_an_answer(original, self, message, answer):
    original(self, message, None)


@instead_of(Ledger, "give_up", system="retries")
def a_message_fails_as_soon_as_its_sender_gives_up(self, message, now):
    message.attempts.given_up = True
    if message.outcome is Outcome.PENDING:
        self.end(message, Outcome.LOST, now)


@around(Ledger, "_end_attempt", system="retries, a limit of their rate")
def a_message_ends_as_its_first_attempt_does(original, self, attempt, message, now):
    message.attempts.given_up = True
    message.attempts.open = 1
    original(self, attempt, message, now)


@around(Ledger, "_end_attempt", system="retries")
def a_second_delivery_is_no_duplicate(original, self, attempt, message, now):
    before = self.duplicates
    original(self, attempt, message, now)
    self.duplicates = before


@instead_of(Ledger, "acknowledge", system="retries")
def the_last_answer_counts(self, message, now):
    (message.original or message).acknowledged = now


@around(Retries, "_attempt", system="retries of broadcasts")
def the_first_message_of_a_broadcast_is_tried_again_alone(original, self, message, number, reply):
    attempt = original(self, message, number, reply)
    attempt.copies = attempt.copies if number == 0 else ()
    return attempt


# Pollers that give up


@planted(system="requests that are given up")
def an_answer_takes_its_messages_out_of_the_mailbox(patch):
    def deliver(self, messages):
        for message in messages:
            if message.outcome is Outcome.PENDING:
                self.bridge.ledger.end(message, Outcome.DELIVERED, self.env.now)

    patch.setattr(ImpatientPolling, "_take", Polling._take)
    patch.setattr(ImpatientPolling, "_deliver", deliver)


@around(ImpatientPolling, "wait_for_messages", system="requests that are given up")
def each_request_counts_its_own_cycles(original, self, agent, request, cycles, node):
    return original(self, agent, request, itertools.count(1000 * request), node)


@around(ImpatientPolling, "_look", system="requests that are given up, and woken")
def a_cycle_forgets_what_was_written_before_it_ends(original, self, agent, cycle, node):
    found = yield from original(self, agent, cycle, node)
    self._seen[agent, cycle] = self._writes[agent]
    return found


@instead_of(ImpatientPolling, "_wake", system="requests that are given up, and woken")
def a_write_ends_the_sleep_of_the_last_request_alone(self, agent):
    self._writes[agent] += 1
    alarms = self._alarms.get(agent)
    if alarms:
        self._end_sleep(alarms.pop(max(alarms)))


@instead_of(ImpatientPolling, "_wake", system="requests that are given up, and woken")
def a_write_wakes_the_youngest_request_first(self, agent):
    self._writes[agent] += 1
    for alarm in reversed(self._alarms.pop(agent, {}).values()):
        self._end_sleep(alarm)


@instead_of(ImpatientPolling, "_handle", system="requests that are given up")
def a_request_that_is_given_up_on_its_way_is_not_held(self, agent, request, cycles, reply):
    bridge = self.bridge
    yield from bridge.travel(agent, bridge.request_up, agent, request)
    if reply.event.triggered or not self._accept(0):
        return
    messages = yield from self.wait_for_messages(agent, request, cycles, 0)
    yield from bridge.compute(agent, self._respond, agent, request)
    bridge.memory.disconnect()
    yield from bridge.travel(agent, bridge.answer_down, agent, request)
    reply.give(messages)


@instead_of(ImpatientPolling, "_admit", system="an outage, polled")
def a_request_is_held_in_an_outage(self, _agent, _request):
    return 0 if self._accept(0) else None


# Faults


@instead_of(incidents, "is_hit", system="cut connections")
def a_cut_hits_others(seed, agent, number, share):
    return (agent + number) % 2 < 2 * share


@around(Push, "cut", system="cut connections, all the same")
def connections_are_cut_from_the_youngest_on(original, self, hits):
    self._connections = dict(reversed(self._connections.items()))
    original(self, hits)


@instead_of(incidents, "_cut", system="retries, an outage")
def a_cut_spares_who_waits_for_a_reply(bridge, server, hits):
    server.cut(hits)


@instead_of(incidents, "_cut", system="retries, an outage, all the same")
def who_has_asked_last_is_cut_first(bridge, server, hits):
    for reply in reversed([one for one in bridge.waiting.replies if hits(one.agent)]):
        reply.give(Failed.CUT)
    server.cut(hits)


@planted(system="an outage, a line")
def an_outage_lets_who_waits_in_line_wait(patch):
    right = Push.cut

    def cut(self, hits):
        lines, self._lines = self._lines, [type(line)() for line in self._lines]
        right(self, hits)
        for line, before in zip(self._lines, lines, strict=True):
            line.extend(before)

    patch.setattr(Push, "cut", cut)


@planted(system="an outage, elicitations")
def an_answer_comes_through_in_an_outage(patch):
    right = Push._answer

    def answer(self, message, elicitation):
        outages, self.bridge.outages = self.bridge.outages, 0
        yield from right(self, message, elicitation)
        self.bridge.outages = outages

    patch.setattr(Push, "_answer", answer)


@instead_of(Push, "_poll", system="an outage, fallback")
def a_poll_comes_through_in_an_outage(self, agent, request):
    bridge = self.bridge
    yield from bridge.travel(agent, bridge.request_up, agent, request)
    yield from bridge.travel(agent, bridge.answer_down, agent, request)
    for message in self._unpark(agent):
        bridge.ledger.end(message, Outcome.DELIVERED, self.env.now)


@around(Bridge, "receive", system="retries, an outage")
def a_message_comes_through_in_an_outage(original, self, message):
    outages, self.outages = self.outages, 0
    let_in = yield from original(self, message)
    self.outages += outages
    return let_in


@around(running, "happen", system="an outage, overlapping another")
def an_outage_ends_with_the_first_of_two(original, bridge, server, number, fault):
    yield from original(bridge, server, number, fault)
    bridge.outages = 0


@around(Push, "_come_back", system="cut connections")
def who_is_cut_comes_back_at_once(original, self, agent, attempt):
    yield from self._come(agent, attempt + 1)


@around(running, "happen", system="cut connections")
def a_fault_is_left_out(original, bridge, server, number, fault):
    if number > 0:
        yield from original(bridge, server, number, fault)
