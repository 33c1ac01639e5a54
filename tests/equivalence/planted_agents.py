"""Errors in what agents do, in the ways of messages, and in the account of them."""

import itertools

import numpy as np
from generators import TICK
from planting import around, instead_of, planted
from simpy import Environment

from lhsim.metrics.account import Outcome
from lhsim.models import (
    Periodic,
    Recorded,
    Workload,
    agent,
    ledger,
    limits,
    running,
    stage,
)
from lhsim.models.agent import Senders
from lhsim.models.bridge import Bridge
from lhsim.models.ledger import Ledger
from lhsim.models.memory import MemoryUse
from lhsim.models.push_processes import Push
from lhsim.models.stage import Route
from lhsim.rules import RAMP

# What agents do


@instead_of(
    Push, "_reply_with_request", system="elicitation by replies to a broadcast, slow agents"
)
def a_request_travels_before_its_reply_is_paid(self, message):
    for one in message.together:
        self.env.process(self._travel(one))
    yield from self.bridge.acknowledge(message, stored=True)
    for copy in message.copies:
        self.env.process(self._expire(copy, self._deadline(copy)))
    yield from self._expire(message, self._deadline(message))


@instead_of(Push, "_asked", system="elicitation by replies to a broadcast, slow agents")
def the_target_answers_what_a_reply_has_asked(self, message):
    return message.target


@instead_of(
    Push, "_reply_with_request", system="elicitation by replies to a broadcast, slow agents"
)
def the_copies_of_a_request_in_a_reply_never_expire(self, message):
    yield from self.bridge.acknowledge(message, stored=True)
    for one in message.together:
        self.env.process(self._travel(one))
    yield from self._expire(message, self._deadline(message))


@around(Recorded, "time_of", system="recorded")
def an_agent_has_the_record_of_its_own_number(right, self, rank, number, seed):
    return right(self, 2 * rank, number, seed)


@around(Recorded, "time_of", system="recorded")
def a_record_does_not_repeat(right, self, rank, number, seed):
    return right(self, rank, number, seed) if number < 2 else 1e9


@around(Recorded, "time_of", system="recorded")
def further_senders_send_with_those_before_them(right, self, rank, number, seed):
    return right(self, rank % 2, number, seed)


@instead_of(Senders, "send_as_recorded", system="recorded")
def recorded_times_count_from_the_start_of_the_agent(self, agent, start):
    env, rank = self._bridge.env, self._ranks.index(agent)
    for number in itertools.count():
        at = start + self._recorded.time_of(rank, number, self._bridge.seed)
        yield env.timeout(max(0.0, at - env.now))
        self._send(agent, number)


@instead_of(Workload, "senders", system="pairs")
def in_pairs_the_odd_agents_send(self, agents):
    return range(1, agents, 2) if self.topology == "pair" else range(agents)


@around(agent, "target_of", system="random")
def a_random_target_is_that_of_the_next_message(original, workload, who, number, agents, seed):
    return original(workload, who, number + 1, agents, seed)


@instead_of(agent, "target_of", system="random")
def a_message_goes_to_the_agent_before(_workload, population, who, _number, _seed):
    return (who - 1) % population.agents


@around(agent, "target_of", system="hub")
def the_centre_of_a_hub_is_the_last_agent(original, workload, population, who, number, seed):
    hub = workload.topology == "hub"
    return population.agents - 1 if hub else original(workload, population, who, number, seed)


@around(agent, "target_of", system="broadcast")
def a_broadcast_goes_to_the_last_agent_first(original, workload, who, number, agents, seed):
    first = original(workload, who, number, agents, seed)
    return agents - first if workload.topology == "broadcast" else first


@around(ledger.Countdown, "__init__", system="broadcast")
def the_next_broadcast_waits_for_the_first_delivery(original, self, _messages, event):
    return original(self, 1, event)


@instead_of(Push, "carry", system="rate limit")
def a_broadcast_leaves_only_when_its_first_message_has_left(self, message):
    bridge, sender, number = self.bridge, message.sender, message.number
    yield from bridge.receive(message)
    yield from bridge.compute(sender, self._validate, sender, number)
    yield from bridge.compute(sender, bridge.write_cpu, sender, number)
    yield from bridge.store.write(message, self._stored)
    yield from self.hand_over(message)
    for copy in message.copies:
        self.env.process(self.hand_over(copy))
    yield from bridge.acknowledge(message, stored=True)


@instead_of(agent.Senders, "send_at_a_rate", system="bursts")
def bursts_begin_with_their_agent(self, who, start):
    env = self._bridge.env
    yield env.timeout(start)
    for number in itertools.count():
        expected = self._expected.draw(who, number)
        yield env.timeout(agent.time_to_next(env.now - start, expected, self._schedule))
        self._send(who, number)


@instead_of(agent, "time_to_next", system="bursts")
def the_rate_stays_what_it_was_at_the_last_message(now, expected, schedule):
    ends = np.cumsum(schedule[0, :-1])
    rate = schedule[1, np.searchsorted(ends, now % ends[-1], side="right")]
    return float(expected / rate) if rate > 0 else 4 * TICK


@instead_of(Bridge, "think", system="slow")
def a_slow_agent_pauses_like_others(self, _who, stage, entity, index):
    if stage is not None:
        yield self.env.timeout(stage.draw(entity, index))


@around(Bridge, "travel", system="slow")
def a_push_to_a_slow_agent_takes_as_long_as_one_from_it(
    original, self, who, route, entity, index, *size
):
    return original(self, entity, route, entity, index, *size)


@around(running, "slow_agents", system="slow")
def the_first_agents_are_slow(original, *arguments):
    return dict(enumerate(original(*arguments).values()))


@around(Route, "delay", system="slow")
def a_slow_agent_takes_longer_for_a_retransmission(original, self, entity, index, slowness, size):
    return original(self, entity, index, 1.0, size) * slowness


@instead_of(stage, "retransmission_delay", system="slow")
def the_timeout_of_a_retransmission_stays_the_same(u, loss, timeout):
    delay = 0.0
    while u < loss:
        u, delay = u / loss, delay + timeout
    return delay


@around(limits, "take_token", system="rate limit")
def a_bucket_holds_one_token_more(original, now, full, every, burst):
    return original(now, full, every, burst + 1)


@around(limits.Buckets, "__init__", system="rate limit")
def a_bucket_is_empty_at_first(original, self, limit):
    original(self, limit)
    self._full_at = dict.fromkeys(range(100), limit.burst / limit.rate)


@instead_of(limits.Buckets, "take", system="rate limit")
def a_rejected_message_takes_a_token_too(self, who, now):
    full_at = max(self._full_at.get(who, 0.0), now)
    self._full_at[who] = full_at + self._interval
    return full_at <= now + (self._burst - 1) * self._interval


@around(limits.Buckets, "take", system="rate limit")
def all_agents_share_a_bucket(original, self, _who, now):
    return original(self, 0, now)


@around(Push, "carry", system="rate limit")
def a_rejected_message_is_acknowledged(original, self, message):
    yield from original(self, message)
    if message.outcome is Outcome.REJECTED and np.isnan(message.stored):
        yield from self.bridge.acknowledge(message, stored=False)


@around(agent, "start_time", system="limits")
def the_last_agent_of_a_ramp_starts_at_its_end(original, how, over, who, agents, seed):
    return original(how, over, who, agents - 1 if how == RAMP else agents, seed)


@around(agent, "start_time", system="random")
def the_start_of_an_agent_is_that_of_the_next(original, how, over, who, agents, seed):
    return original(how, over, who + 1, agents, seed)


@planted(system="pairs")
def the_first_gap_is_like_the_others(patch):
    patch.setattr(Periodic, "first_gap", Periodic.gap)


@around(Environment, "process", system="tied")
def an_agent_sends_before_it_receives(original, self, steps):
    if steps.__name__ == "attend":
        self.held = steps
        return
    original(self, steps)
    if steps.__name__ in {"send_on_schedule", "send_in_turn"}:
        original(self, self.held)


# The account


@around(ledger, "batch", system="random")
def a_message_counts_for_the_batch_after_its_own(original, created, start, end, batches):
    among = original(created, start, end, batches)
    return min(among + 1, batches - 1) if among >= 0 else among


@instead_of(ledger, "batch", system="every tick")
def the_end_of_the_cohort_belongs_to_it(created, start, end, batches):
    if not start <= created <= end:
        return -1
    return min(int((created - start) / (end - start) * batches), batches - 1)


@planted(system="random")
def a_stored_message_takes_no_memory(patch):
    def current(self):
        memory = self._memory
        held = memory.baseline + memory.per_agent * self._agents
        return held + memory.per_connection * self.connections

    patch.setattr(MemoryUse, "current", property(current))


@planted(system="an end")
def the_last_end_of_a_message_is_that_of_the_one_before(patch):
    original = Ledger.end

    def end(self, message, outcome, now):
        before = self.created and self.previous_end
        original(self, message, outcome, now)
        self.previous_end, self.last_end = now, before

    patch.setattr(Ledger, "previous_end", 0.0, raising=False)
    patch.setattr(Ledger, "end", end)
