"""What delays and services cost: drawn by address, so as late as they begin."""

from __future__ import annotations

from typing import Any

import numpy as np

from lhsim._jit import inlined
from lhsim.compiled.consumers import has_queue, take_some
from lhsim.compiled.ledger import client_of, collect, index_of, message_of, payload
from lhsim.compiled.log import forget
from lhsim.compiled.nodes import has_nodes
from lhsim.compiled.outlining import of_failures
from lhsim.compiled.sizes import size_of_message, sized
from lhsim.compiled.state import (
    BY_DELETE,
    COLLECTION,
    CONNECTED,
    DROP_OLDEST,
    DROPPED_IN_QUEUE,
    HEARTBEAT,
    NOBODY,
    PHASES,
    PLACES,
    QUERY,
    SEND,
    WRITE,
    Record,
    State,
)
from lhsim.compiled.store import expire, further_events
from lhsim.rules import (
    attempt_index,
    class_of,
    draw,
    first_spell,
    idle_cost,
    part_inside,
    slowness,
    times_as_long,
)


@inlined
def value(s: State, stage: Record, entity: int, index: int) -> float:
    """Return what a stage costs an agent or a sender [s]."""
    if stage.constant:
        return stage.value
    return draw(s.cells[stage.cells], s.settings[0].seed, stage.purpose, entity, index)


@inlined
def cost_of(s: State, entity: int, stage: Record) -> float:
    """Return what a stage costs an entity [s]."""
    if entity < 2 * s.settings[0].agents:
        return value(s, stage, entity >> 1, receivers_index(s, entity >> 1, stage))
    if stage.constant:
        return stage.value
    message = s.messages[message_of(s, entity)]
    if _draws_late(s) and stage.purpose != HEARTBEAT:
        late = message.cycle if stage.by_query else index_of(s, message)
        return value(s, stage, message.sender, late)
    if len(s.options) > 0 and stage.slot < 0:
        return value(s, stage, message.sender, message.number)
    return message.costs[stage.slot]


@inlined
def _draws_late(s: State) -> bool:
    """Return whether nothing is drawn when a message is created, but HEARTBEAT."""
    return len(s.options) > 2 or (len(s.options) > 1 and len(s.kinds) > 0)


@inlined
def receivers_index(s: State, agent: int, stage: Record) -> int:
    """Return the index of a draw of an agent's receiving side."""
    receiver = s.receivers[agent]
    if len(s.options) > 1 and stage.by_query == BY_DELETE:
        return attempt_index(1, receiver.attempt)
    index: int = receiver.query if stage.by_query else receiver.attempt
    return index


@inlined
def slowed(s: State, agent: int, delay: float) -> float:
    """Return how long something takes an agent that takes others `delay` [s]."""
    settings = s.settings[0]
    if settings.slow_share == 0:
        return delay
    return delay * slowness(settings.slow_share, settings.slow_factor, agent, settings.seed)


@inlined
def stage_of(s: State, phase: int, agent: int) -> Record:
    """Return the stage of a phase as it is for an agent, by its class."""
    row = phase
    if len(s.options) > 1 and len(s.kinds) > 1:
        row += PHASES * class_of(agent, s.kinds.end)
    return s.stages[row]


@inlined
def loop_of(s: State, agent: int, node: int) -> int:
    """Return the loop of a node that serves an agent, and all that share its connection."""
    number: Any = np.uint32(agent)  # faster than 64 bits
    if len(s.options) > 0 and s.settings[0].agents_per_connection > 1:
        number = np.uint32(number // np.uint32(s.settings[0].agents_per_connection))
    loop: Any = 0
    if len(s.options) > 1 and has_nodes(s):
        nodes = np.uint32(s.settings[0].nodes)
        loops = np.uint32(s.settings[0].loops) // nodes  # of each node
        loop = node * np.int64(loops) + np.int64(number // nodes % loops)
    else:
        loop = np.int64(number % np.uint32(s.settings[0].loops))
    return loop


@inlined
def service_cost(s: State, number: int, entity: int) -> float:
    """Return what a service costs that begins now, stalls left out [s]."""
    phase = s.events[entity].phase
    cost = sized(s, entity, s.stages[phase], cost_of(s, entity, s.stages[phase]))
    if phase == QUERY and s.settings[0].scan > 0:
        if len(s.options) > 0:
            forget(s, s.queue[0].now)
        cost += s.settings[0].scan * s.counts[0].events
    if len(s.options) > 0 and phase == WRITE and s.settings[0].write_batch > 0:
        cost += s.settings[0].write_more * further_events(s, entity)
    if len(s.options) > 0 and phase == SEND and _may_be_dropped(s):
        cost = _leave_queue(s, message_of(s, entity), cost)
    return _operation_cost(s, number, cost) if number < s.settings[0].loops else cost


@inlined
def _operation_cost(s: State, number: int, demand: float) -> float:
    """Return what an operation costs a processor that begins it now [s]."""
    settings, now, loop = s.settings[0], s.queue[0].now, s.stations[number]
    if len(s.options) > 0 and settings.turn >= 0:
        demand += _cost_of_turn(loop, settings.turn)
    cost = demand
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
    if settings.start <= now < settings.end:
        loop.work_time += cost
    return cost


@inlined
def _cost_of_turn(loop: Record, turn: float) -> float:
    """Return what an operation pays that begins now: where it begins a turn, all of that [s]."""
    if loop.in_turn > 0:
        loop.in_turn -= 1
        return 0.0
    loop.in_turn = loop.waiting
    return turn


@inlined
def occupy(s: State, station: Record, duration: float) -> None:
    """Count what of a service of `duration` from now on is measured [s]."""
    settings, now = s.settings[0], s.queue[0].now
    if now >= settings.start and now + duration <= settings.end:
        station.busy_time += duration
    else:
        station.busy_time += part_inside(now, now + duration, settings.start, settings.end)


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
def read(s: State, entity: int) -> None:
    """Let a query see what is in the mailbox as its service begins, up to the limit."""
    if len(s.options) > 0 and entity >= 2 * s.settings[0].agents:
        _snapshot(s, entity)
        return  # a request, which reads what it likes
    receiver = s.receivers[entity >> 1]
    if len(s.options) > 1 and has_queue(s):
        take_some(s, entity >> 1)
        return
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


@of_failures
def _snapshot(s: State, entity: int) -> None:
    """Let a request for messages see what its agent's mailboxes hold, which stays there.

    What it finds is of use where its agent still waits for the answer.
    """
    message = s.messages[message_of(s, entity)]
    agent, levels = message.sender, len(s.priorities)
    mark = message.number if message.waits else NOBODY
    expire(s, agent)
    found = 0
    if levels == 0:
        found = _mark(s, message, s.receivers[agent].mailbox, mark, found)
    for box in range(levels * agent, levels * (agent + 1)):
        found = _mark(s, message, s.boxes[box], mark, found)
    message.found = found
    if found == 0 and s.settings[0].ttl >= 0:
        s.pollers[agent].empty_since = s.queue[0].now


@inlined
def _mark(s: State, answer: Record, last: int, mark: int, found: int) -> int:
    """Mark the messages of a mailbox that an answer holds, up to the limit of all; count them."""
    place = last
    while last >= 0 and found < s.settings[0].limit:
        place = s.events[payload(s, place)].next
        found += 1
        if len(s.kinds) > 0:
            answer.size += size_of_message(s, s.messages[place])
        if mark >= 0:
            s.messages[place].answer = mark
        if place == last:
            break
    return found


@inlined
def line_up(s: State, station: Record, entity: int) -> None:
    """Put an entity at the end of the line of a station."""
    s.events[entity].next = NOBODY
    if station.waiting == 0:
        station.head = entity
    else:
        s.events[station.tail].next = entity
    station.tail = entity
    station.waiting += 1


@inlined
def first_in_line(s: State, station: Record) -> int:
    """Take the head of the line of a station, which is not empty."""
    head: int = station.head
    station.head = s.events[head].next
    station.waiting -= 1
    return head
