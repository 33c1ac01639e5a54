"""What a message and an agent of the polling server do next; see `lhsim.models.polling`."""

from __future__ import annotations

from lhsim._jit import inlined
from lhsim.compiled.ledger import (
    DELIVERED,
    after_the_limit,
    connect,
    end,
    is_full,
    message_of,
    release,
    take,
)
from lhsim.compiled.state import (
    ACKNOWLEDGE,
    ANSWER_DOWN,
    BACKOFF,
    CREATED,
    DONE,
    MESSAGE_UP,
    PARSE_MESSAGE,
    PARSE_REQUEST,
    QUERY,
    QUERY_CPU,
    REFUSED,
    REQUEST_UP,
    RESPOND,
    SLEEP,
    START,
    THINK,
    WRITE,
    WRITE_CPU,
    State,
)


@inlined
def carry(s: State, entity: int, phase: int) -> int:
    """Return the phase of a message's courier that comes after one that is over."""
    if len(s.options) > 0:
        phase = after_the_limit(s, entity, phase)
    if phase == CREATED:
        return MESSAGE_UP
    if phase == MESSAGE_UP:
        return PARSE_MESSAGE
    if phase == PARSE_MESSAGE:
        return WRITE_CPU
    if phase == WRITE_CPU:
        s.counts[0].writes += 1
        return WRITE
    if phase == WRITE:
        return ACKNOWLEDGE
    release(s, message_of(s, entity))
    return DONE


@inlined
def attend(s: State, agent: int, phase: int) -> int:
    """Return the phase of an agent's receiving side that comes after one that is over."""
    receiver, counts, now = s.receivers[agent], s.counts[0], s.queue[0].now
    if phase == SLEEP:
        if now - receiver.since < s.settings[0].timeout:
            counts.cycles += 1
            return QUERY_CPU
        counts.timeouts += 1
        return RESPOND
    if phase == QUERY_CPU:
        counts.queries += 1
        return QUERY
    if phase == QUERY:
        receiver.query += 1
        if receiver.found > 0:
            return RESPOND
        counts.wasted += 1
        return SLEEP
    if phase == RESPOND:
        counts.connections -= 1
        return ANSWER_DOWN
    if phase == ANSWER_DOWN:
        return _receive(s, agent)
    if phase == PARSE_REQUEST:
        receiver.since = now
        counts.cycles += 1
        return QUERY_CPU
    if phase == REQUEST_UP:
        if is_full(s):
            counts.refused += 1
            return REFUSED
        connect(s)
        return PARSE_REQUEST
    if phase == REFUSED:
        return BACKOFF
    if phase != START:  # THINK or BACKOFF
        receiver.attempt += 1
    return REQUEST_UP


@inlined
def _receive(s: State, agent: int) -> int:
    receiver = s.receivers[agent]
    if receiver.found == 0:
        receiver.attempt += 1
        return REQUEST_UP
    for _ in range(receiver.found):
        end(s, take(s, receiver), DELIVERED)
    receiver.found = 0
    return THINK
