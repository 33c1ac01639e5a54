"""The future events, in the order of their time, and then of their scheduling.

Three structures share them:

- A *lane* holds events that leave in the order in which they came: those that were scheduled with
  one constant delay, such as the sleeps of all pollers, or the completions of a single server.
- The *calendar* holds all others, unsorted, by the day on which they fall. A day is so short that
  it has about one event (`retune`). The days of the current year have a list each; later years
  have one each, which is dealt out to the days when its year begins.
- The *heap* holds the events of the day that has come, and whatever is scheduled up to its end.

Where far more days than events have passed, the kernel stops for the days to be made longer
(`TOO_SHORT`): it neither walks through empty days for long nor keeps Ctrl-C waiting meanwhile.

So an event costs the same however many there are, and no pile of events in one place costs more
than the logarithm of its size.
"""

from __future__ import annotations

from typing import Any

from lhsim._jit import inlined, prefetch
from lhsim.compiled.outlining import outlined
from lhsim.compiled.state import NOBODY, PLACE_SIZE, Record, State

YEAR_BITS = 14
DAYS = 1 << YEAR_BITS  # of a year
YEARS = 1 << 14  # in the calendar; a list holds every YEARS-th year
LAST_DAY = 1 << 62
MOST_LANES = 8  # each is looked at for each event
LOOK_AHEAD = 4  # events, or days
TOO_SHORT = -2  # in place of an entity: days are so short that nearly all of them are empty
MOST_EMPTY = 1 << 16  # days that may be empty at once, and for each event some more
EMPTY_PER_EVENT = 16
MOST_SAVED = 1 << 24  # days that may be empty after a burst of events, which has earned them


@outlined
def schedule(s: State, entity: int, delay: float, lane: int) -> None:
    """Let an entity's event happen after `delay` [s]; `lane` is -1 for the calendar."""
    queue, event = s.queue[0], s.events[entity]
    time, order = queue.now + delay, queue.order
    event.time = time
    event.order = order
    queue.order = order + 1
    if lane < 0:
        insert(s, entity)
        return
    event.next = NOBODY
    line = s.lanes[lane]
    if line.head < 0:
        line.head = entity
        line.time = time
        line.order = order
        line.ahead = entity
        line.lead = 0
    else:
        s.events[line.tail].next = entity
    line.tail = entity


@inlined
def next_event(s: State, until: float) -> int:
    """Take the next event before `until` [s] out of the queue; return its entity.

    It is NOBODY where there is none, and TOO_SHORT where the days should be longer first.
    """
    queue = s.queue[0]
    if queue.in_heap == 0 and queue.in_fine + queue.in_coarse > 0:
        _advance_day(s, until)
        if queue.empty > MOST_EMPTY:
            return TOO_SHORT
    time, order, best = until, -1, NOBODY
    for lane in range(len(s.lanes)):
        line = s.lanes[lane]
        if line.time < time or (line.time == time and line.order < order):
            time, order, best = line.time, line.order, lane
    if queue.in_heap > 0:
        entity = s.heap[0]
        event = s.events[entity]
        if event.time < time or (event.time == time and event.order < order):
            queue.now = event.time
            queue.taken += 1
            queue.empty -= EMPTY_PER_EVENT
            queue.in_heap -= 1
            heap_pop(s, s.heap, queue.in_heap)
            return entity
    if best < 0:
        return NOBODY
    queue.now = time
    return _leave(s, best)


@inlined
def make_ready(s: State, entity: int, phase: int) -> None:
    """Let an entity go on as soon as this event is done, before any other event."""
    queue, event = s.queue[0], s.events[entity]
    event.phase = phase
    event.next = NOBODY
    if queue.ready < 0:
        queue.ready = entity
    else:
        s.events[queue.ready_tail].next = entity
    queue.ready_tail = entity


@inlined
def next_ready(s: State) -> int:
    """Return the entity that goes on at once, or NOBODY."""
    entity = s.queue[0].ready
    if entity >= 0:
        s.queue[0].ready = s.events[entity].next
    return entity


@inlined
def insert(s: State, entity: int) -> None:
    """Put an event, whose time is set, into the calendar."""
    queue = s.queue[0]
    event = s.events[entity]
    day = day_of(s, event.time)
    if day <= queue.day:
        _push(s, entity)
    elif day >> YEAR_BITS == queue.day >> YEAR_BITS:
        event.next = s.fine[day & (DAYS - 1)]
        s.fine[day & (DAYS - 1)] = entity
        queue.in_fine += 1
    else:
        year = (day >> YEAR_BITS) & (YEARS - 1)
        event.next = s.coarse[year]
        s.coarse[year] = entity
        queue.in_coarse += 1


@inlined
def fetch(s: State, entity: int) -> None:
    """Let the processor fetch an entity's record from memory, both lines that it may lie in."""
    at = s.address + entity * PLACE_SIZE
    prefetch(at)
    prefetch(at + 2 * PLACE_SIZE - 8)


@inlined
def day_of(s: State, time: float) -> int:
    """Return the day of a time [s]; never earlier for a later time."""
    day = time * s.queue[0].days_per_second
    return int(day) if day < LAST_DAY else LAST_DAY


@inlined
def _leave(s: State, lane: int) -> int:
    line = s.lanes[lane]
    entity = line.head
    head = s.events[entity].next
    line.head = head
    if head < 0:
        line.time = float("inf")
    else:
        line.time = s.events[head].time
        line.order = s.events[head].order
        _look_ahead(s, line)
    return entity


@inlined
def _look_ahead(s: State, line: Record) -> None:
    """Fetch the events that come next in a lane, so that none is waited for when it is due."""
    if line.lead == 0:
        line.ahead = line.head
    else:
        line.lead -= 1
    while line.lead < LOOK_AHEAD:
        after = s.events[line.ahead].next
        if after < 0:
            break
        fetch(s, after)
        line.ahead = after
        line.lead += 1


@inlined
def _advance_day(s: State, until: float) -> None:
    """Go on to the next day that has events, but not beyond that of `until`.

    A year without events counts as one day: so much work it is.
    """
    queue, last = s.queue[0], day_of(s, until)
    queue.empty = max(queue.empty, -MOST_SAVED)
    while queue.in_heap == 0 and queue.in_fine + queue.in_coarse > 0 and queue.day < last:
        queue.empty += 1
        if queue.empty > MOST_EMPTY:
            return
        if queue.in_fine == 0:
            queue.day = min(queue.day | (DAYS - 1), last - 1)  # nothing more this year
        queue.day += 1
        if queue.day & (DAYS - 1) == 0:
            _deal_out_year(s)
        if queue.in_fine > 0:
            _take_day(s)


@inlined
def _take_day(s: State) -> None:
    queue, slot = s.queue[0], s.queue[0].day & (DAYS - 1)
    later = s.fine[(slot + LOOK_AHEAD) & (DAYS - 1)]
    if later >= 0:
        fetch(s, later)
    entity = s.fine[slot]
    s.fine[slot] = NOBODY
    while entity >= 0:
        after = s.events[entity].next
        _push(s, entity)
        queue.in_fine -= 1
        entity = after


@inlined
def _deal_out_year(s: State) -> None:
    queue = s.queue[0]
    year = queue.day >> YEAR_BITS
    entity = s.coarse[year & (YEARS - 1)]
    s.coarse[year & (YEARS - 1)] = NOBODY
    while entity >= 0:
        event = s.events[entity]
        after = event.next
        day = day_of(s, event.time)
        # The list may hold later years, too.
        if day >> YEAR_BITS == year:
            event.next = s.fine[day & (DAYS - 1)]
            s.fine[day & (DAYS - 1)] = entity
            queue.in_fine += 1
            queue.in_coarse -= 1
        else:
            event.next = s.coarse[year & (YEARS - 1)]
            s.coarse[year & (YEARS - 1)] = entity
        entity = after


@inlined
def _before(s: State, one: int, other: int) -> bool:
    a, b = s.events[one], s.events[other]
    return a.time < b.time or (a.time == b.time and a.order < b.order)


@inlined
def _push(s: State, entity: int) -> None:
    heap_push(s, s.heap, s.queue[0].in_heap, entity)
    s.queue[0].in_heap += 1


@inlined
def heap_push(s: State, heap: Any, size: int, entity: int) -> None:
    """Put an entity into a heap of so many, by the time and the order of their events."""
    place = size
    while place > 0:
        parent = (place - 1) >> 1
        if not _before(s, entity, heap[parent]):
            break
        heap[place] = heap[parent]
        place = parent
    heap[place] = entity


@inlined
def heap_pop(s: State, heap: Any, size: int) -> None:
    """Take the first entity out of a heap, of which so many are left."""
    entity, place = heap[size], 0
    while True:
        child = 2 * place + 1
        if child >= size:
            break
        if child + 1 < size and _before(s, heap[child + 1], heap[child]):
            child += 1
        if not _before(s, heap[child], entity):
            break
        heap[place] = heap[child]
        place = child
    heap[place] = entity


@inlined
def retune(s: State, days_per_second: float) -> None:
    """Give the calendar days of another length, and put all its events in anew."""
    queue = s.queue[0]
    everybody = NOBODY
    for slot in range(DAYS):
        everybody = _chain(s, s.fine[slot], everybody)
        s.fine[slot] = NOBODY
    for slot in range(YEARS):
        everybody = _chain(s, s.coarse[slot], everybody)
        s.coarse[slot] = NOBODY
    for place in range(queue.in_heap):
        s.events[s.heap[place]].next = everybody
        everybody = s.heap[place]
    queue.in_heap, queue.in_fine, queue.in_coarse, queue.empty = 0, 0, 0, 0
    queue.days_per_second = days_per_second
    queue.day = day_of(s, queue.now)
    while everybody >= 0:
        after = s.events[everybody].next
        insert(s, everybody)
        everybody = after


@inlined
def _chain(s: State, head: int, before: int) -> int:
    """Put the list from `head` on before another list, and return the head of both."""
    while head >= 0:
        after = s.events[head].next
        s.events[head].next = before
        before, head = head, after
    return before
