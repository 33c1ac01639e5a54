"""Delays and services: how a phase begins, and how a service ends.

The mirror image of `lhsim.models.station` and `lhsim.models.loop`. What a service costs is drawn by
address, so it can be drawn as late as it begins.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lhsim._jit import inlined
from lhsim.compiled.ledger import client_of, collect, message_of
from lhsim.compiled.log import forget
from lhsim.compiled.outlining import outlined
from lhsim.compiled.queue import schedule
from lhsim.compiled.state import (
    ANSWER_THINK,
    ANSWER_UP,
    BY_REPLY,
    COLLECTION,
    CONNECTED,
    DROP_OLDEST,
    DROPPED_IN_QUEUE,
    NOBODY,
    NOWHERE,
    ON_THE_WAY,
    OWN_LOOP,
    PLACES,
    POOL,
    PUSH_DOWN,
    QUERY,
    RECONNECT,
    SEND,
    TARGETS_LOOP,
    VALIDATE_ANSWER,
    WRITE,
    Record,
    State,
)
from lhsim.compiled.store import commit, expire, further_events
from lhsim.rules import (
    draw,
    first_spell,
    idle_cost,
    part_inside,
    retransmission_delay,
    slowness,
    stretched,
    times_as_long,
)
from lhsim.streams import uniform


@outlined
def begin(s: State, entity: int, phase: int) -> bool:
    """Let a phase begin; return whether it takes an event, else it is over at once."""
    stage = s.stages[phase]
    if stage.where == NOWHERE:
        if phase == QUERY:
            _read(s, entity)
        elif phase == WRITE:
            commit(s, entity)
        return False
    s.events[entity].phase = phase
    if stage.where == ON_THE_WAY:
        delay = _value(s, entity, stage)
        if len(s.options) > 0 and phase == RECONNECT and s.settings[0].backoff > 0:
            schedule(s, entity, delay * s.clients[entity >> 1].multiple, NOBODY)
        elif len(s.options) > 0:
            _set_out(s, entity, stage, delay)
        else:
            schedule(s, entity, delay, stage.lane)
        return True
    number = _station(s, entity, stage.where)
    station = s.stations[number]
    if station.busy < station.servers:
        _start(s, number, entity)
    else:
        _line_up(s, station, entity)
    return True


@inlined
def complete(s: State, entity: int) -> None:
    """End what an entity has waited for: a service has its effect, then the next one starts."""
    phase = s.events[entity].phase
    where = s.stages[phase].where
    if where < OWN_LOOP:
        return
    number = _station(s, entity, where)
    station = s.stations[number]
    station.busy -= 1
    if number < s.settings[0].loops:
        station.idle_since = s.queue[0].now
    if phase == WRITE:
        commit(s, entity)
    if station.waiting > 0:
        head = station.head
        station.head = s.events[head].next
        station.waiting -= 1
        _start(s, number, head)


@inlined
def _set_out(s: State, entity: int, stage: Record, delay: float) -> None:
    """Let an entity be on its way, for longer where its agent is slow or a packet is lost."""
    if entity < 2 * s.settings[0].agents:
        agent, index = entity >> 1, s.receivers[entity >> 1].attempt
        whose = agent
    else:
        message = s.messages[message_of(s, entity)]
        agent, index = message.sender, message.number
        of_asked = stage.purpose in (PUSH_DOWN, ANSWER_THINK, ANSWER_UP)
        by_reply = s.settings[0].elicits == BY_REPLY
        whose = message.target if of_asked and not by_reply else agent
    usual = delay
    if stage.slows:
        delay = slowed(s, whose, delay)
    if stage.losses > 0:
        settings = s.settings[0]
        u = uniform(settings.seed, stage.losses, agent, index)
        delay += retransmission_delay(u, settings.loss, settings.retransmission_timeout)
    # In a lane, all have the same delay.
    schedule(s, entity, delay, stage.lane if delay == usual else NOBODY)


@inlined
def slowed(s: State, agent: int, delay: float) -> float:
    """Return how long something takes an agent that takes others `delay` [s]."""
    settings = s.settings[0]
    if settings.slow_share == 0:
        return delay
    return delay * slowness(settings.slow_share, settings.slow_factor, agent, settings.seed)


@inlined
def value(s: State, stage: Record, entity: int, index: int) -> float:
    """Return what a stage costs an agent or a sender [s]."""
    if stage.constant:
        return stage.value
    return draw(s.cells[stage.cells], s.settings[0].seed, stage.purpose, entity, index)


@inlined
def _value(s: State, entity: int, stage: Record) -> float:
    if entity < 2 * s.settings[0].agents:
        receiver = s.receivers[entity >> 1]
        index = receiver.query if stage.by_query else receiver.attempt
        return value(s, stage, entity >> 1, index)
    if stage.constant:
        return stage.value
    message = s.messages[message_of(s, entity)]
    if len(s.options) > 0 and ANSWER_THINK <= stage.purpose <= VALIDATE_ANSWER:
        return value(s, stage, message.sender, message.number)
    return message.costs[stage.slot]


@inlined
def loop_of(s: State, agent: int) -> int:
    """Return the loop that serves an agent, and all that share its connection."""
    number: Any = np.uint32(agent)  # faster than 64 bits
    if len(s.options) > 0 and s.settings[0].agents_per_connection > 1:
        number = np.uint32(number // np.uint32(s.settings[0].agents_per_connection))
    loop: Any = np.int64(number % np.uint32(s.settings[0].loops))
    return loop


@inlined
def _station(s: State, entity: int, where: int) -> int:
    loops = s.settings[0].loops
    if where == POOL:
        return loops
    if where > POOL:
        return loops + 1
    if loops == 1:
        return 0
    if entity < 2 * s.settings[0].agents:
        return loop_of(s, entity >> 1)
    message = s.messages[message_of(s, entity)]
    return loop_of(s, message.target if where == TARGETS_LOOP else message.sender)


@inlined
def _line_up(s: State, station: Record, entity: int) -> None:
    s.events[entity].next = NOBODY
    if station.waiting == 0:
        station.head = entity
    else:
        s.events[station.tail].next = entity
    station.tail = entity
    station.waiting += 1


@outlined
def _start(s: State, number: int, entity: int) -> None:
    station, settings, now = s.stations[number], s.settings[0], s.queue[0].now
    station.busy += 1
    phase = s.events[entity].phase
    duration = _value(s, entity, s.stages[phase])
    if phase == QUERY and settings.scan > 0:
        if len(s.options) > 0:
            forget(s, now)
        duration += settings.scan * s.counts[0].events
    if len(s.options) > 0 and phase == WRITE and settings.write_batch > 0:
        duration += settings.write_more * further_events(s, entity)
    if len(s.options) > 0 and phase == SEND and _may_be_dropped(s):
        duration = _leave_queue(s, message_of(s, entity), duration)
    if number < settings.loops:
        duration = _work(s, station, number, duration)
    elif len(s.options) > 0 and s.store_stalls.shape[1] > 0:
        s.counts[0].first_store_stall = first_spell(
            now, s.store_stalls[1], s.counts[0].first_store_stall
        )
        duration = stretched(
            now, duration, s.store_stalls[0], s.store_stalls[1], s.counts[0].first_store_stall
        )
    if now >= settings.start and now + duration <= settings.end:
        station.busy_time += duration
    else:
        station.busy_time += part_inside(now, now + duration, settings.start, settings.end)
    if phase == QUERY:
        _read(s, entity)
    schedule(s, entity, duration, station.lane)


@inlined
def _may_be_dropped(s: State) -> bool:
    """Return whether a message may be dropped while it waits for its turn on the loop."""
    return s.settings[0].outbound_policy == DROP_OLDEST and s.settings[0].batch == 0


@inlined
def _leave_queue(s: State, place: int, cost: float) -> float:
    """Let a queued message be sent now, as the oldest of its queue, and return what it costs."""
    if s.links[place] == DROPPED_IN_QUEUE:
        return 0.0
    message = s.messages[place]
    if is_open(s, message):
        s.clients[client_of(s, message.target)].oldest = s.links[place]
    return cost


@inlined
def is_open(s: State, message: Record) -> bool:
    """Return whether the connection is still there over which a message is being sent."""
    target = s.receivers[client_of(s, message.target)]
    return target.status == CONNECTED and target.attempt == message.connection


@inlined
def _work(s: State, loop: Record, number: int, demand: float) -> float:
    """Return how long an operation takes a loop that begins it now [s]."""
    settings, now, cost = s.settings[0], s.queue[0].now, demand
    if s.warmth.shape[1] > 0:
        gap = now - loop.idle_since
        cost, loop.cold_factor = idle_cost(
            demand, gap, loop.cold_factor, s.warmth, settings.warmth_memory
        )
    if settings.collect_every > 0:
        loop.operations += 1
        if loop.operations % settings.collect_every == 0:
            which = loop.operations // settings.collect_every - 1
            cost += value(s, s.stages[COLLECTION], number, which)
    if s.slowdowns.shape[1] > 0:
        first = first_spell(now, s.slowdowns[1], s.counts[0].first_slowdown)
        s.counts[0].first_slowdown = first
        cost *= times_as_long(now, s.slowdowns[0], s.slowdowns[2], first)
    taken = cost
    if s.cpu_stalls.shape[1] > 0:
        s.counts[0].first_cpu_stall = first_spell(now, s.cpu_stalls[1], s.counts[0].first_cpu_stall)
        taken = stretched(now, cost, s.cpu_stalls[0], s.cpu_stalls[1], s.counts[0].first_cpu_stall)
    if settings.start <= now < settings.end:
        loop.work_time += cost
    return taken


@inlined
def _read(s: State, entity: int) -> None:
    """Let a query see what is in the mailbox as its service begins, up to the limit."""
    receiver = s.receivers[entity >> 1]
    if len(s.options) > 0:
        expire(s, entity >> 1)
    if len(s.options) > 0 and s.settings[0].polls == 0:
        s.clients[entity >> 1].found = receiver.mailbox
        return
    if len(s.options) > 0 and len(s.priorities) > 0:
        collect(s, entity >> 1)
    found, last = 0, receiver.mailbox
    if last >= 0:
        base = 3 * s.settings[0].agents + 1
        found, message = 1, s.events[base + PLACES * last].next
        while found < s.settings[0].limit and message != last:
            found, message = found + 1, s.events[base + PLACES * message].next
    receiver.found = found
    if len(s.options) > 0 and found == 0 and s.settings[0].ttl >= 0:
        s.pollers[entity >> 1].empty_since = s.queue[0].now
