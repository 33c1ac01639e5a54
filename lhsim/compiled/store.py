"""The event store: writes, alone or in batches, and what is kept; see `lhsim.models.database`.

A batch is a list of requests. Its first is the writer: what a transaction has to wait for, it waits
for, and the others for it. A request that waits for another has an event without use, which holds
the `next` of its batch; the first may have to line up itself, so that its payload holds it.
"""

from __future__ import annotations

from lhsim._jit import inlined
from lhsim.compiled.ledger import (
    end,
    first_of,
    memory_in_use,
    message_of,
    payload,
    post,
    reject,
    release,
    show,
    take,
    timer,
    without_first,
)
from lhsim.compiled.log import append, forget
from lhsim.compiled.outlining import outlined
from lhsim.compiled.queue import make_ready, schedule
from lhsim.compiled.state import (
    ACKNOWLEDGE,
    COLLECTED,
    COMMITTED,
    DONE,
    GIVEN_UP,
    LOCKED,
    NOBODY,
    NOWHERE,
    WRITE,
    WRITE_CPU,
    WRITE_LINGER,
    State,
)
from lhsim.metrics.account import Outcome
from lhsim.rules import busy_delay

EXPIRED = int(Outcome.EXPIRED)


@outlined
def write(s: State, entity: int, phase: int) -> int:
    """Return the phase of a request that is to write now, or has found the database locked."""
    if len(s.options) > 0 and s.settings[0].write_batch > 0 and phase == WRITE_CPU:
        _join(s, entity)
        return DONE
    if phase != LOCKED:
        s.counts[0].writes += 1
    if len(s.options) == 0 or s.settings[0].busy_timeout < 0 or s.stages[WRITE].where == NOWHERE:
        return WRITE
    if s.stations[s.settings[0].loops + 1].busy == 0:
        return WRITE
    s.counts[0].locked += 1
    place = message_of(s, entity)
    # The event of its payload, which does not happen before it is stored, has room for both.
    so_far = s.events[payload(s, place)]
    if phase != LOCKED:
        so_far.time, so_far.order = 0.0, 0
    delay = busy_delay(so_far.order, so_far.time, s.settings[0].busy_timeout)
    if delay < 0:
        return _give_up(s, entity)
    so_far.time += delay
    so_far.order += 1
    s.events[entity].phase = LOCKED
    schedule(s, entity, delay, NOBODY)
    return DONE


@outlined
def commit(s: State, entity: int) -> None:
    """Make what a request brings visible, or, in its order, all that its batch does."""
    if len(s.options) > 0 and s.settings[0].write_batch > 0:
        _line_up_behind(s, entity)
        while entity >= 0:
            _commit_one(s, message_of(s, entity))
            entity = s.events[entity].next
    else:
        _commit_one(s, message_of(s, entity))


@inlined
def _commit_one(s: State, place: int) -> None:
    counts = s.counts[0]
    show(s, place)
    if len(s.options) > 0:
        place = s.messages[place].connection
        while place >= 0:
            show(s, place)
            place = s.messages[place].connection
    append(s)
    counts.peak_memory = max(counts.peak_memory, memory_in_use(s))


# Batches


@inlined
def is_of_batch(s: State, phase: int) -> bool:
    """Return whether a phase that is over is one that only requests of a batch have."""
    if s.settings[0].write_batch == 0:
        return False
    return phase in (WRITE, GIVEN_UP, WRITE_LINGER)


@outlined
def go_on_with_batch(s: State, entity: int, phase: int) -> int:
    """Return the phase of a request, or the timer, of a batch that comes after one that is over."""
    if phase == WRITE:
        _let_go(s, entity, COMMITTED)
        return DONE
    if phase == GIVEN_UP:
        reject(s, message_of(s, entity))
        return ACKNOWLEDGE
    if s.counts[0].lingers == entity:  # else the batch was full before
        _flush(s)
    release(s, message_of(s, entity))
    return DONE


@inlined
def further_events(s: State, entity: int) -> int:
    """Return the size of a batch minus one, given its first request."""
    further, entity = 0, s.events[_payload_of(s, entity)].next
    while entity >= 0:
        further, entity = further + 1, s.events[entity].next
    return further


@inlined
def _join(s: State, entity: int) -> None:
    """Let a request join the batch that is being collected, which is written when it is full."""
    counts = s.counts[0]
    s.events[entity].next = NOBODY
    if counts.collected == 0:
        _wait_for_more(s)
        counts.batch = entity
        s.events[_payload_of(s, entity)].next = NOBODY
    elif counts.collected == 1:
        s.events[_payload_of(s, counts.batch)].next = entity
    else:
        s.events[counts.batch_tail].next = entity
    counts.batch_tail = entity
    counts.collected += 1
    if counts.collected == s.settings[0].write_batch:
        _flush(s)


@inlined
def _wait_for_more(s: State) -> None:
    alarm = timer(s, 0)
    s.counts[0].lingers = alarm
    s.events[alarm].phase = WRITE_LINGER
    schedule(s, alarm, s.settings[0].write_linger, s.stages[WRITE_LINGER].lane)


@inlined
def _flush(s: State) -> None:
    counts = s.counts[0]
    counts.collected = 0
    counts.lingers = NOBODY
    make_ready(s, counts.batch, COLLECTED)


@inlined
def _give_up(s: State, entity: int) -> int:
    """Return the phase of a request that the lock has kept waiting for too long."""
    if s.settings[0].write_batch > 0:
        _line_up_behind(s, entity)
        _let_go(s, entity, GIVEN_UP)
        return DONE
    reject(s, message_of(s, entity))
    return ACKNOWLEDGE


@inlined
def _line_up_behind(s: State, entity: int) -> None:
    """Let the others of a batch follow on its first request, which waits for nothing any more."""
    s.events[entity].next = s.events[_payload_of(s, entity)].next


@inlined
def _let_go(s: State, entity: int, phase: int) -> None:
    """Let the requests of a batch go on, from one of them to the last."""
    while entity >= 0:
        after = s.events[entity].next
        make_ready(s, entity, phase)
        entity = after


@inlined
def _payload_of(s: State, entity: int) -> int:
    return payload(s, message_of(s, entity))


# Retention


@inlined
def expire(s: State, agent: int) -> None:
    """Let the messages end that wait for an agent, and whose events are not kept any more."""
    if len(s.sequence) > 0:
        _expire(s, agent)


@outlined
def _expire(s: State, agent: int) -> None:
    forget(s, s.queue[0].now)
    if s.settings[0].polls == 0:
        _sift(s, agent)
        return
    if len(s.priorities) == 0:
        s.receivers[agent].mailbox = _without_expired(s, s.receivers[agent].mailbox)
    for box in range(len(s.priorities) * agent, len(s.priorities) * (agent + 1)):
        s.boxes[box] = _without_expired(s, s.boxes[box])


@inlined
def _is_gone(s: State, place: int) -> bool:
    return s.sequence[place] < s.counts[0].removed


@inlined
def _without_expired(s: State, last: int) -> int:
    """Remove the expired messages from a mailbox in the order of commits; return its last one."""
    while last >= 0 and _is_gone(s, first_of(s, last)):
        first = first_of(s, last)
        last = without_first(s, last)
        end(s, first, EXPIRED)
    return last


@inlined
def _sift(s: State, agent: int) -> None:
    """Remove the expired messages from those that are parked, in whatever order they came."""
    receiver, place = s.receivers[agent], NOBODY
    last = receiver.mailbox
    while place != last:
        place = take(s, receiver)
        if _is_gone(s, place):
            end(s, place, EXPIRED)
        else:
            post(s, receiver, place)
