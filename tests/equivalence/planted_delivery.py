"""Errors in the further ways of delivery: short polls, wake-up calls, queues, webhooks."""

from heapq import heappush
from itertools import count

import attrs
from planting import around, instead_of, planted

from lhsim.metrics.account import Outcome
from lhsim.models import webhook_processes
from lhsim.models.bridge import Bridge
from lhsim.models.consumers import Consumers
from lhsim.models.database import Store
from lhsim.models.impatient import ImpatientPolling
from lhsim.models.polling_processes import Polling
from lhsim.models.webhook_processes import Webhooks

# Short polls


@around(Polling, "wait_for_messages", system="short polls")
def the_server_sleeps_before_an_empty_answer(original, self, agent, request, cycles, node):
    messages = yield from original(self, agent, request, cycles, node)
    if not messages and not self.server.hold:
        yield self.env.timeout(self.server.interval / 8)
    return messages


@instead_of(Polling, "attend", system="short polls")
def the_sleeps_of_a_client_never_start_over(self, agent, start):
    bridge = self.bridge
    yield self.env.timeout(start)
    cycles, (sleep, following) = count(), self._first_sleeps
    for request in count():
        yield from bridge.travel(agent, bridge.request_up, agent, request)
        if not self._accept(0):
            yield from bridge.travel(agent, bridge.answer_down, agent, request)
            yield self.env.timeout(self.server.backoff)
            continue
        messages = yield from self.wait_for_messages(agent, request, cycles, 0)
        yield from bridge.compute(agent, self._respond, agent, request)
        bridge.memory.disconnect(0)
        yield from bridge.travel(agent, bridge.answer_down, agent, request)
        if messages:
            for message in messages:
                bridge.ledger.end(message, Outcome.DELIVERED, self.env.now)
            yield from bridge.think(agent, bridge.of(agent, self._think), agent, request)
        elif not self.server.hold:
            yield self.env.timeout(self._jittered(agent, request, sleep))
            sleep, following = following, self.server.sleep_after(following)


@around(Polling, "wait_for_messages", system="short polls")
def an_empty_answer_to_a_short_poll_is_a_timeout(original, self, agent, request, cycles, node):
    messages = yield from original(self, agent, request, cycles, node)
    self.timeouts += not messages and not self.server.hold
    return messages


@around(ImpatientPolling, "_jittered", system="short polls that are given up")
def a_client_that_has_given_up_sleeps_twice_as_long(original, self, agent, request, time):
    return original(self, agent, request, time) * (1 + (request % 5 == 0))


# Everybody wakes


@instead_of(Polling, "_wake_all", system="everybody wakes")
def the_last_to_go_to_sleep_wakes_first(self):
    self._news += 1
    for alarm in reversed(self._asleep.values()):
        self._end_sleep(alarm)
    self._asleep.clear()


@instead_of(Polling, "_wake_all", system="everybody wakes")
def one_alone_of_all_wakes(self):
    self._news += 1
    if self._asleep:
        self._end_sleep(self._asleep.pop(next(iter(self._asleep))))


@around(Polling, "_wake_all", system="everybody wakes")
def a_message_wakes_only_those_who_sleep_already(original, self):
    original(self)
    self._news -= 1


@around(Polling, "_wake", system="wake-up calls")
def a_message_for_one_wakes_everybody(original, self, _who):
    for agent in list(self._asleep):
        original(self, agent)


@instead_of(ImpatientPolling, "_whom", system="everybody wakes, or has given up")
def an_agent_wakes_for_its_own_messages_alone(self, agent):
    return agent


@around(ImpatientPolling, "_wake_all", system="everybody wakes, or has given up")
def the_youngest_of_all_requests_wakes_first(original, self):
    for whom, alarms in self._alarms.items():
        self._alarms[whom] = dict(reversed(alarms.items()))
    original(self)


# A queue


@around(Consumers, "_line_up", system="a queue")
def a_message_that_was_not_deleted_comes_back_last(original, self, message):
    if message.event in self.__dict__.setdefault("seen", set()):
        message.event = self.bridge.store.log.append() + len(self.seen)
    self.seen.add(message.event)
    original(self, message)


@instead_of(Consumers, "_reappear", system="a queue")
def a_message_that_was_not_deleted_is_gone(self, message, _timer):
    pass


@instead_of(Consumers, "_reappear", system="a queue that wakes one")
def a_message_that_comes_back_wakes_nobody(self, message, _timer):
    if message.outcome is Outcome.PENDING:
        heappush(self._queue, (message.event, message))


@around(Consumers, "_done", system="a queue")
def a_duplicate_does_not_count(original, self, agent, messages):
    original(self, agent, [one for one in messages if one.outcome is Outcome.PENDING])


@around(Consumers, "_done", system="a queue")
def a_message_is_taken_by_whom_it_was_for(original, self, agent, messages):
    original(self, agent + 1, messages)


@around(Consumers, "_receive", system="a queue")
def a_message_is_done_before_it_is_deleted(original, self, agent, request, messages):
    yield from self.bridge.think(agent, self.bridge.of(agent, self._think), agent, request)
    think, self._think = self._think, (None,)
    self._done(agent, messages)
    yield from original(self, agent, request, [])
    self._think = think


@around(Bridge, "travel", system="a queue of those who send, too")
def a_delete_travels_as_its_request_did(original, self, agent, routes, entity, index, *more):
    yield from original(self, agent, routes, entity, index % 2**32, *more)


@around(Bridge, "compute", system="a queue")
def a_delete_is_parsed_as_its_request_was(original, self, agent, stage, entity, index, *more):
    yield from original(self, agent, stage, entity, index % 2**32, *more)


@around(Store, "delete", system="a queue")
def a_delete_is_no_write(original, self, agent, index, done):
    self.writes -= 1
    yield from original(self, agent, index, done)


@around(Store, "delete", system="a queue")
def what_is_deleted_is_done_when_its_write_begins(original, self, agent, index, done):
    done()
    yield from original(self, agent, index, lambda: None)


@instead_of(Consumers, "_wake_first", system="a queue that wakes one")
def the_last_asleep_wakes_first(self):
    if self._asleep:
        self._end_sleep(self._asleep.popitem()[1])


@around(Consumers, "_sleep", system="a queue with one consumer")
def a_consumer_sleeps_though_there_is_a_message(original, self, agent, cycle, time):
    yield from Polling._sleep(self, agent, cycle, time)


@instead_of(Consumers, "_has_message", system="a queue that wakes one")
def what_is_done_is_a_message_all_the_same(self):
    return bool(self._queue)


@around(Consumers, "_take", system="a queue that is forgotten")
def an_event_that_is_removed_is_taken_all_the_same(original, self, agent):
    store = self.bridge.store
    store.is_gone = lambda _message: False
    found = original(self, agent)
    del store.is_gone
    return found


@around(Consumers, "attend", system="a queue")
def those_who_only_send_consume_as_well(original, self, agent, start):
    yield from super(Consumers, self).attend(agent, start)


# Webhooks


def _hook(patch, **changes):
    """Let the server post by another description than it was given."""
    original = Webhooks.__init__

    def init(self, server, hook, bridge):
        original(self, server, attrs.evolve(hook, **changes), bridge)

    patch.setattr(Webhooks, "__init__", init)


@planted(system="webhooks")
def one_post_more_is_made(patch):
    _hook(patch, attempts=4)


@planted(system="webhooks")
def no_slot_limits_posts(patch):
    _hook(patch, in_flight=None)


@planted(system="webhooks")
def back_offs_do_not_grow(patch):
    _hook(patch, factor=1.0)


@around(webhook_processes, "post_index", system="webhooks")
def all_posts_have_the_draws_of_the_first(original, _post, index):
    return original(0, index)


@around(webhook_processes, "uniform", system="webhooks")
def a_post_is_refused_by_the_draw_of_the_next_message(original, seed, purpose, sender, index):
    return original(seed, purpose, sender, index + 1)


@around(Webhooks, "_post", system="webhooks")
def patience_is_half_as_long_again(original, self, message, posts, index):
    hook, self._hook = self._hook, attrs.evolve(self._hook, timeout=1.5 * self._hook.timeout)
    answered = original(self, message, posts, index)
    self._hook = hook
    return answered


@instead_of(Webhooks, "_leave_place", system="webhooks, all the same")
def a_slot_goes_to_the_post_that_came_last(self):
    if self._waiting:
        self._waiting.pop().succeed()
    else:
        self._occupied -= 1


@instead_of(Webhooks, "_give_up_waiting", system="webhooks")
def a_post_that_is_late_counts_as_answered(self, answered, _timer):
    if not answered.triggered:
        self.bridge.waiting.given_up += 1
        answered.succeed(True)


@instead_of(Webhooks, "_end_if_lost", system="webhooks, dead letters")
def a_dead_letter_is_kept_for_ever(self, message, posts):
    pass


@instead_of(Webhooks, "_end_if_lost", system="webhooks, dead letters")
def a_message_is_lost_while_a_post_is_under_way(self, message, posts):
    if posts.given_up and message.outcome is Outcome.PENDING:
        self.bridge.ledger.end(message, Outcome.LOST, self.env.now)


@instead_of(Webhooks, "_arrive", system="webhooks")
def duplicates_of_posts_do_not_count(self, message):
    if message.outcome is Outcome.PENDING:
        self.bridge.ledger.end(message, Outcome.DELIVERED, self.env.now)


@around(Webhooks, "_deliver", system="webhooks")
def repeated_posts_do_not_count(original, self, message):
    yield from original(self, message)
    self.repeated = 0


@around(Webhooks, "_reach", system="webhooks, an outage")
def answers_pass_an_outage(original, self, message, posts, index, answered):
    yield from original(self, message, posts, index, answered)
    if not answered.triggered:
        answered.succeed(True)


@planted(system="webhooks, retries")
def a_post_of_an_attempt_is_that_of_its_message(patch):
    original = webhook_processes.post_index
    patch.setattr(
        webhook_processes, "post_index", lambda post, index: original(post, index % 2**32)
    )


@around(Webhooks, "carry", system="webhooks")
def a_sender_is_answered_when_its_target_has_answered(original, self, message):
    bridge, sender, number = self.bridge, message.sender, message.number
    let_in = yield from bridge.receive(message)
    if not let_in:
        return
    yield from bridge.compute(sender, self._validate, sender, number)
    yield from bridge.compute(sender, bridge.write_cpu, sender, number)
    stored = yield from bridge.write(message, self._stored)
    if stored:
        yield from self._deliver(message)
    yield from bridge.acknowledge(message, stored=stored)
