"""Errors in the further ways of delivery: short polls, and messages that wake everybody."""

from itertools import count

from planting import around, instead_of

from lhsim.metrics.account import Outcome
from lhsim.models.impatient import ImpatientPolling
from lhsim.models.polling_processes import Polling

# Short polls


@around(Polling, "wait_for_messages", system="short polls")
def the_server_sleeps_before_an_empty_answer(original, self, agent, request, cycles):
    messages = yield from original(self, agent, request, cycles)
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
        if not self._accept():
            yield from bridge.travel(agent, bridge.answer_down, agent, request)
            yield self.env.timeout(self.server.backoff)
            continue
        messages = yield from self.wait_for_messages(agent, request, cycles)
        yield from bridge.compute(agent, self._respond, agent, request)
        bridge.memory.disconnect()
        yield from bridge.travel(agent, bridge.answer_down, agent, request)
        if messages:
            for message in messages:
                bridge.ledger.end(message, Outcome.DELIVERED, self.env.now)
            yield from bridge.think(agent, self._think, agent, request)
        elif not self.server.hold:
            yield self.env.timeout(self._jittered(agent, request, sleep))
            sleep, following = following, self.server.sleep_after(following)


@around(Polling, "wait_for_messages", system="short polls")
def an_empty_answer_to_a_short_poll_is_a_timeout(original, self, agent, request, cycles):
    messages = yield from original(self, agent, request, cycles)
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
