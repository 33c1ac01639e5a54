"""What a message and an agent of the push server do next; see `lhsim.models.push`.

A connection is known by the attempt that its agent made it with. When a message was sent over one
that its agent has left, or has come back from, that connection is closed.
"""

from __future__ import annotations

from lhsim._jit import inlined
from lhsim.compiled.ledger import (
    DELIVERED,
    REJECTED,
    after_the_limit,
    connect,
    content,
    courier,
    end,
    is_full,
    message_of,
    post,
    release,
    take,
)
from lhsim.compiled.queue import schedule, soon
from lhsim.compiled.state import (
    A_PLACE,
    ACKNOWLEDGE,
    CONNECT,
    CONNECTED,
    CREATED,
    DONE,
    KNOWN,
    LOCKED,
    MESSAGE_UP,
    NOBODY,
    NOWHERE,
    PARSE_MESSAGE,
    PUSH_DOWN,
    RECONNECT,
    REJECT,
    RELAY,
    REQUEST_UP,
    SEND,
    SENT,
    SESSION,
    START,
    STORED,
    STRANGER,
    UNPARKED,
    VALIDATE,
    WAIT,
    WRITE,
    WRITE_CPU,
    State,
)
from lhsim.compiled.stations import loop_of, write
from lhsim.metrics.account import Outcome

DROPPED = int(Outcome.DROPPED)
LOST = int(Outcome.LOST)


@inlined
def carry(s: State, entity: int, phase: int) -> int:
    """Return the phase of a message's courier, or content, that comes after one that is over."""
    if len(s.options) > 0:
        phase = _with_options(s, entity, phase)
    if phase == CREATED:
        return MESSAGE_UP
    if phase == MESSAGE_UP:
        return PARSE_MESSAGE
    if phase == PARSE_MESSAGE:
        return VALIDATE
    if phase == VALIDATE:
        return WRITE_CPU
    if phase in (WRITE_CPU, LOCKED):
        return write(s, entity, phase)
    place = message_of(s, entity)
    if phase == WRITE and _crosses(s, place):
        return RELAY
    if phase in (WRITE, RELAY, UNPARKED):
        return _push(s, entity, place)
    if phase == SEND:
        return _sent(s, entity, place)
    if phase == SENT:
        return PUSH_DOWN
    if phase == PUSH_DOWN:
        end(s, place, DELIVERED)
    else:  # ACKNOWLEDGE
        release(s, place)
    return DONE


@inlined
def attend(s: State, agent: int, phase: int) -> int:
    """Return the phase of an agent's connection that comes after one that is over."""
    receiver, settings = s.receivers[agent], s.settings[0]
    if phase == START:
        return REQUEST_UP
    if phase == REQUEST_UP:
        return _come(s, agent)
    if phase == A_PLACE:
        return CONNECT
    if phase == CONNECT:
        _open(s, agent)
        return SESSION if s.stages[SESSION].where != NOWHERE else DONE
    if phase == SESSION:
        _leave(s, agent)
        return RECONNECT if settings.reconnects else DONE
    receiver.attempt += 1  # RECONNECT
    return REQUEST_UP


@inlined
def _with_options(s: State, entity: int, phase: int) -> int:
    """Do what options add to the end of a phase; return the phase that is over then."""
    if phase == WRITE:
        _hand_over_copies(s, message_of(s, entity))
    return WRITE if phase == STORED else after_the_limit(s, entity, phase)


@inlined
def _hand_over_copies(s: State, place: int) -> None:
    """Let the other messages of a broadcast go on by themselves, now that they are stored."""
    copy = s.messages[place].connection
    while copy >= 0:
        soon(s, content(s, copy), STORED)
        copy = s.messages[copy].connection


@inlined
def _crosses(s: State, place: int) -> bool:
    message = s.messages[place]
    return loop_of(s, message.sender) != loop_of(s, message.target)


@inlined
def _push(s: State, entity: int, place: int) -> int:
    """Send a stored message over its target's connection, or do as the overflow policy says."""
    message, settings = s.messages[place], s.settings[0]
    target = s.receivers[message.target]
    if target.status != CONNECTED:
        if settings.overflow == WAIT or target.status == STRANGER:
            post(s, target, place)
        else:
            end(s, place, REJECTED)
        return _after_push(s, entity, place)
    if target.queued == settings.outbound:
        end(s, place, DROPPED)
        return _after_push(s, entity, place)
    target.queued += 1
    message.connection = target.attempt
    return SEND


@inlined
def _sent(s: State, entity: int, place: int) -> int:
    message = s.messages[place]
    target = s.receivers[message.target]
    if target.status == CONNECTED and target.attempt == message.connection:
        target.queued -= 1
        s.counts[0].sent += 1
        soon(s, content(s, place), SENT)
    elif s.settings[0].overflow == WAIT:
        return _push(s, entity, place)
    else:
        end(s, place, LOST)
    return _after_push(s, entity, place)


@inlined
def _after_push(s: State, entity: int, place: int) -> int:
    """Return what comes next: its sender is answered, where it was not by another entity."""
    return ACKNOWLEDGE if entity == courier(s, place) else DONE


@inlined
def _come(s: State, agent: int) -> int:
    """Let an agent in, refuse it, or let it wait for a place."""
    counts, settings = s.counts[0], s.settings[0]
    counts.attempts += 1
    if not is_full(s):
        connect(s)
        return CONNECT
    if settings.overflow == REJECT:
        _refuse(s, agent)
        return RECONNECT if settings.reconnects else DONE
    entity = 2 * agent
    s.events[entity].phase = A_PLACE
    s.events[entity].next = NOBODY
    if counts.line < 0:
        counts.line = entity
    else:
        s.events[counts.line_tail].next = entity
    counts.line_tail = entity
    return DONE


@inlined
def _refuse(s: State, agent: int) -> None:
    receiver = s.receivers[agent]
    s.counts[0].refused += 1
    receiver.status = KNOWN
    while receiver.mailbox >= 0:
        end(s, take(s, receiver), REJECTED)


@inlined
def _open(s: State, agent: int) -> None:
    receiver = s.receivers[agent]
    receiver.status = CONNECTED
    receiver.queued = 0
    while receiver.mailbox >= 0:
        soon(s, content(s, take(s, receiver)), UNPARKED)


@inlined
def _leave(s: State, agent: int) -> None:
    counts = s.counts[0]
    s.receivers[agent].status = KNOWN
    if counts.line < 0:
        counts.connections -= 1
        return
    entity = counts.line
    counts.line = s.events[entity].next
    schedule(s, entity, 0.0, 0)
