"""Errors in the polling server and its options."""

import functools
import itertools
import math

from planting import around, instead_of, planted
from simpy.events import URGENT

from lhsim.metrics.account import Outcome
from lhsim.models import polling, polling_processes
from lhsim.models.database import Store
from lhsim.models.polling import PollingServer
from lhsim.models.polling_processes import Polling

# Requests


@instead_of(Polling, "_take", system="limits")
def an_answer_holds_one_message_more(self, agent):
    mailbox = self._mailboxes.get(agent) or ()
    return [mailbox.popleft() for _ in range(min(len(mailbox), self.server.limit + 1))]


@instead_of(Polling, "_take", system="random")
def the_newest_message_is_taken_first(self, agent):
    mailbox = self._mailboxes.get(agent) or ()
    return [mailbox.pop() for _ in range(min(len(mailbox), self.server.limit))]


@instead_of(Polling, "_accept", system="limits")
def one_request_more_is_held(self, node):
    limit = self.server.connections
    if limit is not None and self.bridge.memory.by_node[node] > limit:
        self.refused += 1
        return False
    self.bridge.memory.connect(node)
    return True


def waiting(passed, *, from_the_parsing=False):
    """Return the loop of a request that ends when `passed` says so of its age and timeout."""

    def wait_for_messages(self, agent, request, queries, _node):
        env, bridge, server = self.env, self.bridge, self.server
        before = env.now
        yield from bridge.compute(agent, self._parse_request, agent, request)
        start = before if from_the_parsing else env.now
        while not passed(env.now - start, server.timeout):
            self.cycles += 1
            query = next(queries)
            yield from bridge.compute(agent, self._query_cpu, agent, query)
            take = functools.partial(self._take, agent)
            messages = yield from bridge.store.query(agent, query, take)
            if messages:
                return messages
            self.wasted_cycles += 1
            yield env.timeout(server.interval)
        self.timeouts += 1
        return []

    return wait_for_messages


@planted(system="tied")
def the_timeout_itself_is_still_in_time(patch):
    patch.setattr(Polling, "wait_for_messages", waiting(lambda age, timeout: age > timeout))


@planted(system="tied")
def the_timeout_counts_from_before_the_parsing(patch):
    passed = waiting(lambda age, timeout: age >= timeout, from_the_parsing=True)
    patch.setattr(Polling, "wait_for_messages", passed)


@around(Polling, "wait_for_messages", system="random")
def the_queries_of_each_request_are_numbered_anew(original, self, agent, request, _queries, node):
    return (yield from original(self, agent, request, itertools.count(), node))


@instead_of(Polling, "attend", system="random")
def a_connection_is_held_until_the_answer_is_there(self, agent, start):
    bridge = self.bridge
    yield self.env.timeout(start)
    queries = itertools.count()
    for request in itertools.count():
        yield from bridge.travel(agent, bridge.request_up, agent, request)
        if not self._accept(0):
            yield from bridge.travel(agent, bridge.answer_down, agent, request)
            yield self.env.timeout(self.server.backoff)
            continue
        messages = yield from self.wait_for_messages(agent, request, queries, 0)
        yield from bridge.compute(agent, self._respond, agent, request)
        yield from bridge.travel(agent, bridge.answer_down, agent, request)
        bridge.memory.disconnect()
        if messages:
            for message in messages:
                bridge.ledger.end(message, Outcome.DELIVERED, self.env.now)
            yield from bridge.think(agent, bridge.of(agent, self._think), agent, request)


# Options


@around(Polling, "_jittered", system="sleeps")
def the_jitter_of_a_sleep_is_that_of_the_next(original, self, who, cycle, time):
    return original(self, who, cycle + 1, time)


@instead_of(polling, "grown", system="sleeps")
def a_sleep_grows_beyond_the_longest(interval, factor, _longest):
    return interval * factor


@planted(system="sleeps")
def a_request_goes_on_with_the_sleep_of_the_one_before(patch):
    original, intervals = Polling._jittered, {}

    def sleep(self, who, cycle, _interval):
        interval = intervals.get(who, self.server.interval)
        intervals[who] = self.server.sleep_after(interval)
        return original(self, who, cycle, interval)

    patch.setattr(Polling, "_jittered", sleep)


def _first_sleeps(patch, wrong):
    patch.setattr(PollingServer, "first_sleeps", property(wrong))


@planted(system="first sleeps")
def the_first_sleep_is_like_the_others(patch):
    _first_sleeps(patch, lambda server: (server.interval, server.sleep_after(server.interval)))


@planted(system="first sleeps")
def the_second_sleep_is_like_the_first(patch):
    _first_sleeps(patch, lambda server: (server.first_sleep or server.interval, server.first_sleep))


@planted(system="first sleeps")
def growth_begins_with_the_first_sleep(patch):
    first = PollingServer.first_sleeps.fget

    def wrong(server):
        sleep, second = first(server)
        return sleep, server.sleep_after(second if server.first_sleep else sleep)

    _first_sleeps(patch, wrong)


@around(Polling, "_wake", system="wake-up calls")
def a_write_wakes_only_who_sleeps_already(original, self, who):
    original(self, who)
    self._written.discard(who)


@instead_of(Polling, "_wake", system="wake-up calls")
def a_woken_request_goes_on_before_other_events(self, who):
    self._written.add(who)
    alarm = self._asleep.pop(who, None)
    if alarm is not None:
        awake = self.env.event()
        awake.callbacks, alarm.callbacks = alarm.callbacks, []
        awake._ok, awake._value = True, None
        self.env.schedule(awake, URGENT)


@instead_of(Polling, "_wake", system="wake-up calls")
def an_alarm_in_vain_ends_the_next_sleep(self, who):
    self._written.add(who)
    alarm = self._asleep.get(who)
    if alarm is not None and alarm.callbacks:
        resume = alarm.callbacks[0]
        awake = self.env.event()
        awake.callbacks, alarm.callbacks = alarm.callbacks, []
        awake.succeed()

        def late(event):
            later = self._asleep.get(who)
            if later is not None and resume in (later.callbacks or ()):
                later.callbacks.remove(resume)
                resume(event)

        alarm.callbacks.append(late)


@instead_of(Polling, "_is_known_to_be_empty", system="cache on a grid")
def a_cache_entry_of_the_age_of_its_ttl_is_too_old(self, who):
    cache, since = self.server.cache, self._empty_since.get(who, -math.inf)
    return cache is not None and self.env.now - since < cache.ttl


@around(Store, "query", system="cache")
def a_cache_entry_is_as_old_as_the_answer(original, self, who, index, read):
    answer = yield from original(self, who, index, read)
    since = read.func.__self__._empty_since
    if who in since:
        since[who] = self.env.now
    return answer


@around(Polling, "_post", system="cache")
def no_write_removes_a_cache_entry(original, self, message):
    since = self._empty_since.get(message.target)
    original(self, message)
    if since is not None:
        self._empty_since[message.target] = since


@around(Polling, "_level", system="priorities")
def the_lowest_priority_comes_first(original, self, message):
    return self._levels - 1 - original(self, message)


@around(polling_processes, "priority", system="priorities")
def the_priority_of_a_message_is_that_of_the_next(original, seed, sender, number, upper):
    return original(seed, sender, number + 1, upper)
