"""Errors in the store, its log and the station that serves it."""

import functools
from collections import deque

import numpy as np
from planting import around, instead_of, planted
from simpy.events import NORMAL

from lhsim.metrics.account import Outcome
from lhsim.models import database as store_module
from lhsim.models import log as log_module
from lhsim.models.database import Store
from lhsim.models.log import Log
from lhsim.models.memory import MemoryUse
from lhsim.models.polling_processes import Polling
from lhsim.models.push_processes import Push
from lhsim.models.station import Service, Station

# Batches of writes and retention


@around(store_module, "busy_delay", system="busy database")
def the_sleeps_of_a_locked_out_writer_begin_with_the_second(original, tries, slept, most):
    return original(tries + 1, slept, most)


@around(store_module, "busy_delay", system="busy database")
def a_locked_out_writer_gives_up_too_late(original, tries, slept, most):
    return original(tries, slept, 1.5 * most)


@instead_of(Store, "_wait_for_lock", system="busy database")
def a_locked_out_writer_waits_in_line(self, timeout):
    yield from ()
    return True


@around(Store, "__init__", system="batches of writes, random")
def a_batch_of_writes_holds_one_event_more(original, self, *arguments):
    original(self, *arguments)
    if self._batch_size is not None:
        self._batch_size += 1


@around(Store, "_join", system="batches of writes, random")
def a_batch_of_writes_costs_what_its_last_event_does(original, self, message, commit):
    if self._collected is not None:
        self._collected.first = message
    return original(self, message, commit)


@around(Store, "_cost", system="batches of writes, random")
def the_first_event_of_a_batch_adds_to_its_write_too(original, self, batch):
    usual = original(self, batch)
    return usual if usual is None else usual + self._write_more


@planted(system="batches of writes, random")
def a_batch_of_writes_lingers_from_its_last_event_on(patch):
    def lingered(self, batch, _timeout):
        if self._collected is batch and self.env.now >= batch.latest + self._linger:
            self._flush()

    original = Store._join

    def join(self, message, commit):
        before = self._collected
        written = original(self, message, commit)
        batch = self._collected
        if batch is not None:
            batch.latest = self.env.now
            if before is not None:
                timeout = self.env.timeout(self._linger)
                timeout.callbacks.append(functools.partial(self._lingered, batch))
        return written

    patch.setattr(Store, "_lingered", lingered)
    patch.setattr(Store, "_join", join)


@instead_of(Store, "_lingered", system="batches of writes, random")
def the_linger_of_a_full_batch_of_writes_ends_the_next(self, _batch, _timeout):
    if self._collected is not None:
        self._flush()


@around(Store, "_write_batch", system="batches of writes, random")
def the_last_request_of_a_batch_goes_on_first(original, self, batch):
    yield from original(self, batch)
    batch.written.callbacks.reverse()


@around(store_module, "_commit_all", system="batches of writes, random")
def the_last_event_of_a_batch_is_committed_first(original, commits):
    return original(commits[::-1])


@planted(system="batches of writes, tied")
def the_requests_of_a_batch_go_on_after_other_events(patch):
    patch.setattr(store_module, "URGENT", NORMAL)


@around(Store, "_write_batch", system="batches of writes, all the same")
def a_batch_that_is_full_waits_for_other_events(original, self, batch):
    yield self.env.timeout(0)
    yield from original(self, batch)


@around(Store, "_transact", system="busy database")
def a_batch_that_gives_up_is_stored_all_the_same(original, self, first, cost, commit):
    committed = yield from original(self, first, cost, commit)
    if not committed and self._batch_size is not None:
        commit()
    return True


@around(Store, "_flush", system="batches of writes, random")
def each_event_of_a_batch_counts_as_a_write(original, self):
    self.writes += len(self._collected.commits) - 1
    original(self)


@instead_of(log_module, "is_past", system="retention on a grid")
def an_event_of_the_very_age_is_still_kept(committed, age, now):
    return committed + age < now


@around(Log, "__init__", system="retention, by count")
def one_event_more_is_kept(original, self, *arguments):
    original(self, *arguments)
    if self._count is not None:
        self._count += 1


@around(Log, "__init__", system="retention, by age")
def the_events_at_the_start_have_no_age(original, self, *arguments):
    original(self, *arguments)
    self._times = deque([np.inf] * self._at_start)
    self._at_start = 0


@instead_of(Store, "_scanned", system="retention, by count")
def what_is_removed_is_still_scanned(self, cost):
    return cost + self._scan * self.log._end


@planted(system="retention, by count")
def what_is_removed_still_takes_memory(patch):
    def current(self):
        memory = self._memory
        held = memory.baseline + memory.per_agent * self._agents
        return held + memory.per_connection * self.connections + memory.per_event * self._log._end

    patch.setattr(MemoryUse, "current", property(current))


@planted(system="random")
def memory_falls_only_when_something_is_written(patch):
    def current(self):
        memory, log = self._memory, self._log
        kept = log._end - log._first
        held = memory.baseline + memory.per_agent * self._agents
        return held + memory.per_connection * self.connections + memory.per_event * kept

    patch.setattr(MemoryUse, "current", property(current))
    patch.setattr(MemoryUse, "store", lambda self: self._log.first and None)


@instead_of(Polling, "_expire", system="retention, by count")
def a_query_still_finds_what_is_removed(_self, _mailbox):
    return None


@instead_of(Push, "_unpark", system="retention, wait")
def an_agent_still_gets_what_is_removed(self, agent):
    return self._parked.pop(agent, [])


@instead_of(Polling, "_take", system="retention, by age")
def only_what_an_answer_has_room_for_expires(self, agent):
    found = []
    for box in range(self._levels * agent, self._levels * (agent + 1)):
        mailbox = self._mailboxes.get(box)
        while mailbox and len(found) < self.server.limit:
            self._expire(mailbox)
            if mailbox:
                found.append(mailbox.popleft())
    if not found and self.server.cache is not None:
        self._empty_since[agent] = self.env.now
    return found


@around(Push, "push", system="retention, fallback")
def what_is_removed_expires_on_its_way_to_a_connection(original, self, message):
    if self.bridge.store.forgets and self.bridge.store.is_gone(message):
        self._end(message, Outcome.EXPIRED)
    else:
        yield from original(self, message)


# Queries and commits


@instead_of(Store, "query", system="random")
def an_answer_holds_what_is_stored_when_its_query_ends(self, agent, index, read):
    self.queries += 1
    if self._query is None and not self._scan:
        return read()
    cost = 0.0 if self._query is None else self._query.draw(agent, index)
    yield self.pool.serve(functools.partial(self._scanned, cost) if self._scan else cost)
    return read()


@instead_of(Store, "write", system="random")
def a_message_is_visible_from_the_start_of_its_write(self, message, visible):
    self.writes += 1
    commit = functools.partial(self._commit, message, visible)
    if self._write is None:
        commit()
    else:
        demand = self._write.draw(message.sender, message.number)
        yield self.writer.serve(demand, begin=commit)


@instead_of(Store, "_scanned", system="random")
def the_log_is_as_long_as_at_the_start(self, cost):
    return cost + self._scan


@around(Station, "serve", system="random")
def the_log_is_measured_when_a_query_arrives(original, self, demand, begin=None, effect=None):
    return original(self, demand() if callable(demand) else demand, begin, effect)


# The station


@planted(system="all the same")
def the_owner_goes_on_before_the_next_starts(patch):
    """The docstring of `lhsim.models.station` warns of it."""
    original_init, original_start = Service.__init__, Station._start

    def init(self, *arguments):
        original_init(self, *arguments)
        self.callbacks = []

    def start(self, service):
        service.callbacks.append(self.complete)
        original_start(self, service)

    patch.setattr(Service, "__init__", init)
    patch.setattr(Station, "_start", start)


@instead_of(Station, "complete", system="random")
def the_next_starts_before_the_effect(self, service):
    self.busy -= 1
    if self.waiting:
        self._start(self.waiting.popleft())
    if service.effect is not None:
        service.effect()


@instead_of(Station, "complete", system="random")
def the_last_come_is_first_served(self, service):
    self.busy -= 1
    if service.effect is not None:
        service.effect()
    if self.waiting:
        self._start(self.waiting.pop())


@around(Station, "__init__", system="random")
def a_station_has_one_server_more(original, self, env, servers, *others):
    original(self, env, servers + 1, *others)
