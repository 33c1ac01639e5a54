"""Stations that are shared in slices of time; see `lhsim.models.sharing`.

Each slice's end is the event of a timer, which is out of date where its slice has another one. What
is left of a job stands in the time of its own event, which does not happen meanwhile; NaN: all.
"""

from __future__ import annotations

import numpy as np

from lhsim._jit import inlined
from lhsim.compiled.consumers import delete
from lhsim.compiled.costs import first_in_line, line_up, occupy, read, service_cost
from lhsim.compiled.ledger import message_of, release, timer
from lhsim.compiled.outlining import outlined
from lhsim.compiled.queue import heap_pop, heap_push, schedule
from lhsim.compiled.state import DELETE, NOBODY, QUERY, SLICE_OVER, WRITE, State
from lhsim.compiled.store import commit
from lhsim.rules import first_spell, is_done, pace, part_inside, slices_end, stretched, worked


@outlined
def share(s: State, number: int, entity: int) -> None:
    """Let a job come to a station that is shared."""
    station = s.stations[number]
    if station.quantum == 0:
        _share_equally(s, number, entity)
        return
    s.events[entity].time = np.nan
    if station.busy < station.servers:
        _begin(s, number, entity)
        return
    line_up(s, station, entity)
    if station.waiting == 1:
        _end_slices_early(s, number)


@outlined
def slice_over(s: State, entity: int) -> int:
    """Return the job that goes on, now that the timer of a slice has come, or NOBODY."""
    message = s.messages[message_of(s, entity)]
    number, which = message.number, message.target
    release(s, message_of(s, entity))
    if s.stations[number].quantum == 0:
        return _end_share(s, number, entity)
    if s.slices[which].timer != entity:
        return NOBODY
    return _end(s, number, which)


# Slices of a quantum


@inlined
def _begin(s: State, number: int, entity: int) -> None:
    """Let a job run for the first time."""
    s.events[entity].time = service_cost(s, number, entity)
    if s.events[entity].phase == QUERY:
        read(s, entity)
    _run(s, number, entity, 0.0)


@outlined
def _run(s: State, number: int, entity: int, switch: float) -> None:
    """Let a job have the first processor that is free, after the switch to it [s]."""
    station = s.stations[number]
    station.busy += 1
    which = station.first_slice
    while s.slices[which].job >= 0:
        which += 1
    one = s.slices[which]
    one.job, one.switch, one.began = entity, switch, s.queue[0].now
    one.first_stall = _first_stall(s, number)
    s.events[entity].time += switch
    left = s.events[entity].time
    work = min(left, switch + station.quantum) if station.waiting > 0 else left
    _end_after(s, number, which, work)


@outlined
def _end_after(s: State, number: int, which: int, work: float) -> None:
    """Let a slice end, or its job, once it has worked for so long [s]."""
    now, one = s.queue[0].now, s.slices[which]
    length = _stretched(s, number, one.began, work, one.first_stall)
    delay = length if one.began == now else max(0.0, one.began + length - now)
    one.work, one.until = work, now + delay
    occupy(s, s.stations[number], delay)
    one.timer = _timer(s, number, which, delay)


@inlined
def _end_slices_early(s: State, number: int) -> None:
    """Let the running jobs make way for the first that waits, each when its slice is over."""
    station, now = s.stations[number], s.queue[0].now
    for which in range(station.first_slice, station.first_slice + station.servers):
        one = s.slices[which]
        done = _worked(s, number, one.began, one.first_stall)
        work = one.switch + slices_end(max(0.0, done - one.switch), station.quantum)
        if work < one.work:
            start, end = s.settings[0].start, s.settings[0].end
            station.busy_time -= part_inside(now, one.until, start, end)
            _end_after(s, number, which, work)


@inlined
def _end(s: State, number: int, which: int) -> int:
    """End a slice, or the job that has it, which then goes on."""
    station, one = s.stations[number], s.slices[which]
    entity, work = one.job, one.work
    one.job = one.timer = NOBODY
    station.busy -= 1
    station.idle_since = s.queue[0].now
    if is_done(s.events[entity].time, work, station.quantum):
        _take_effect(s, entity)
        if station.waiting > 0:
            _next(s, number)
        return entity
    s.events[entity].time -= work
    if station.waiting > 0:
        line_up(s, station, entity)
        _next(s, number)
    else:
        _run(s, number, entity, 0.0)
    return NOBODY


@inlined
def _take_effect(s: State, entity: int) -> None:
    """Let what was written be seen."""
    if s.events[entity].phase == WRITE:
        commit(s, entity)
    elif s.events[entity].phase == DELETE:
        delete(s, entity)


@outlined
def _next(s: State, number: int) -> None:
    """Let the head of the line have a processor."""
    station = s.stations[number]
    entity = first_in_line(s, station)
    if np.isnan(s.events[entity].time):
        _begin(s, number, entity)
    else:
        _run(s, number, entity, station.switch)


# Processor sharing


@inlined
def _share_equally(s: State, number: int, entity: int) -> None:
    """Let a job run beside all the others."""
    station = s.stations[number]
    _update(s, number)
    cost = service_cost(s, number, entity)
    if s.events[entity].phase == QUERY:
        read(s, entity)
    s.events[entity].time = station.share + cost
    s.events[entity].order = station.came
    station.came += 1
    heap_push(s, s.sharing[_heap(s, number) :], station.jobs, entity)
    station.jobs += 1
    _reckon(s, number)


@inlined
def _end_share(s: State, number: int, entity: int) -> int:
    """End the job that is done first, which then goes on."""
    station = s.stations[number]
    if station.timer != entity:
        return NOBODY
    job = s.sharing[_heap(s, number)]
    station.share = s.events[job].time
    station.jobs -= 1
    heap_pop(s, s.sharing[_heap(s, number) :], station.jobs)
    station.idle_since = s.queue[0].now
    _take_effect(s, job)
    _reckon(s, number)
    return job


@inlined
def _update(s: State, number: int) -> None:
    """Bring the share up to now."""
    station, now = s.stations[number], s.queue[0].now
    if station.jobs == 0:
        station.share = 0.0
        return
    time = _worked(s, number, station.since, station.first_stall)
    station.share += time * pace(station.jobs, station.servers)
    start, end = s.settings[0].start, s.settings[0].end
    station.busy_time -= station.busy * part_inside(now, station.until, start, end)
    station.idle_since = now


@outlined
def _reckon(s: State, number: int) -> None:
    """Reckon anew when the next job is done."""
    station, now = s.stations[number], s.queue[0].now
    station.busy = min(station.jobs, station.servers)
    station.waiting = station.jobs - station.busy
    station.since, station.first_stall = now, _first_stall(s, number)
    station.timer = NOBODY
    if station.jobs == 0:
        return
    tag = s.events[s.sharing[_heap(s, number)]].time
    work = max(0.0, tag - station.share) / pace(station.jobs, station.servers)
    delay = _stretched(s, number, now, work, station.first_stall)
    station.until = now + delay
    start, end = s.settings[0].start, s.settings[0].end
    station.busy_time += station.busy * part_inside(now, station.until, start, end)
    station.timer = _timer(s, number, 0, delay)


# Both


@inlined
def _timer(s: State, number: int, which: int, delay: float) -> int:
    entity = timer(s, 0)
    message = s.messages[message_of(s, entity)]
    message.number, message.target = number, which
    s.events[entity].phase = SLICE_OVER
    schedule(s, entity, delay, NOBODY)
    return entity


@inlined
def _heap(s: State, number: int) -> int:
    """Return where the heap of the jobs of a station begins: each has room for all entities."""
    which: int = s.stations[number].first_slice
    return which * len(s.events)


@inlined
def _stretched(s: State, number: int, since: float, work: float, first: int) -> float:
    """Return how long a service takes that began at `since`, stalls included [s]."""
    if number < s.settings[0].loops:
        return stretched(since, work, s.cpu_stalls[0], s.cpu_stalls[1], first)
    return stretched(since, work, s.store_stalls[0], s.store_stalls[1], first)


@inlined
def _worked(s: State, number: int, since: float, first: int) -> float:
    """Return for how long a service has run by now that began at `since`, stalls left out [s]."""
    now = s.queue[0].now
    if number < s.settings[0].loops:
        return worked(since, now, s.cpu_stalls[0], s.cpu_stalls[1], first)
    return worked(since, now, s.store_stalls[0], s.store_stalls[1], first)


@inlined
def _first_stall(s: State, number: int) -> int:
    """Return the number of the first stall of a station that has not ended."""
    now, counts = s.queue[0].now, s.counts[0]
    if number < s.settings[0].loops:
        counts.first_cpu_stall = first_spell(now, s.cpu_stalls[1], counts.first_cpu_stall)
        first: int = counts.first_cpu_stall
        return first
    counts.first_store_stall = first_spell(now, s.store_stalls[1], counts.first_store_stall)
    of_store: int = counts.first_store_stall
    return of_store
