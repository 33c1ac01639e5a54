"""Errors in the loops of the processor, its stalls and its spells."""

import attrs
import numpy as np
from planting import around, instead_of, planted

from lhsim import rules
from lhsim.models import (
    loop,
    stalls,
)
from lhsim.models.bridge import Bridge
from lhsim.models.database import Store
from lhsim.models.loop import Loop
from lhsim.models.station import StallTimes, Station


@around(Loop, "__init__", system="random")
def a_collection_is_one_operation_early(original, self, *arguments):
    original(self, *arguments)
    self._operations = 1


@instead_of(StallTimes, "stretch", system="tied")
def a_stall_stretches_a_service_that_is_due_when_it_begins(self, now, demand):
    duration = demand
    for start, end in zip(self.starts, self.ends, strict=True):
        if end > now and start <= now + duration:
            duration += end - max(start, now)
    return float(duration)


@instead_of(StallTimes, "stretch", system="random")
def a_stall_that_has_begun_counts_in_full(self, now, demand):
    duration = demand
    for start, end in zip(self.starts, self.ends, strict=True):
        if end > now and start < now + duration:
            duration += end - start
    return float(duration)


@instead_of(stalls, "with_stalls", system="stalls at set times")
def stalls_that_overlap_count_twice(starts, ends, stalls):
    return np.column_stack([np.array([starts, ends]), stalls])


@around(Store, "__init__", system="stalls at set times")
def a_stall_of_the_store_does_not_stop_its_writer(
    original, self, env, store, seed, measured, stalls=None
):
    original(self, env, store, seed, measured, stalls)
    if store.single_writer:
        self.writer = Station(env, 1, measured)


@instead_of(Loop, "_cost_of_turn", system="in turns")
def each_operation_is_a_turn(self):
    return self._turn


@around(Loop, "_cost_of_turn", system="in turns")
def a_turn_is_one_operation_longer(original, self):
    cost = original(self)
    if cost:
        self._in_turn += 1
    return cost


@instead_of(Loop, "_cost_of_turn", system="in turns")
def what_comes_in_a_turn_is_in_it(self):
    begins, self._in_turn = not self._in_turn, len(self.waiting)
    return self._turn if begins else 0.0


@around(Loop, "__init__", system="random")
def a_loop_begins_warm(original, self, *arguments):
    original(self, *arguments)
    self._idle_since = 0.0


@planted(system="random")
def a_loop_is_idle_since_the_start_of_its_last_operation(patch):
    original = Loop.duration

    def duration(self, demand):
        taken = original(self, demand)
        self._idle_since = self.env.now
        return taken

    patch.setattr(Loop, "duration", duration)
    patch.setattr(Loop, "complete", Station.complete)


@around(Loop, "__init__", system="random")
def a_loop_warms_up_twice_as_fast(original, self, env, number, cpu, *others):
    if cpu.warmth:
        half = attrs.evolve(cpu.warmth, memory=cpu.warmth.memory / 2)
        cpu = attrs.evolve(cpu, warmth=half)
    original(self, env, number, cpu, *others)


@around(Loop, "duration", system="random")
def stalls_count_as_work(original, self, demand):
    before = self.work_time
    taken = original(self, demand)
    self.work_time = before + (taken if self.work_time > before else 0.0)
    return taken


@instead_of(loop, "times_as_long", system="slow at times")
def a_slowdown_begins_after_its_first_instant(now, starts, factors, first):
    return factors[first] if first < len(starts) and starts[first] < now else 1.0


@instead_of(stalls, "with_slowdowns", system="slow at set times")
def the_fastest_of_the_slowdowns_that_overlap_counts(starts, ends, factor, others):
    return rules.with_slowdowns(starts, ends, factor, np.minimum(others, 2.0))


@planted(system="slow at times")
def a_slowdown_is_no_work(patch):
    original = Loop._cost

    def duration(self, demand):
        slow, self._slow = self._slow, None
        cost = original(self, demand)
        self._slow = slow
        if self._measured_from <= self.env.now < self._measured_to:
            self.work_time += cost
        if slow is not None:
            cost *= slow.times_as_long(self.env.now)
        return Station.duration(self, cost)

    patch.setattr(Loop, "duration", duration)


@around(Loop, "_cost", system="slow at random")
def a_slow_loop_warms_up_more(original, self, demand):
    factor = 1.0 if self._slow is None else self._slow.times_as_long(self.env.now)
    slow, self._slow = self._slow, None
    found = original(self, factor * demand)
    self._slow = slow
    return found


@instead_of(Bridge, "loop", system="random")
def an_agent_is_on_the_next_loop(self, agent, node=0):
    return self.loops[(agent + 1) % len(self.loops)]
