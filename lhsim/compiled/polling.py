"""What a message and an agent of the polling server do next; see `lhsim.models.polling`."""

from __future__ import annotations

from lhsim._jit import inlined
from lhsim.compiled.ledger import DELIVERED, connect, end, is_full, message_of, release, take
from lhsim.compiled.queue import schedule
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
from lhsim.rules import grown, jittered
from lhsim.streams import Purpose, uniform

JITTER = int(Purpose.SLEEP)


@inlined
def carry(s: State, entity: int, phase: int) -> int:
    """Return the phase of a message's courier that comes after one that is over."""
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
        return _answer(s, agent)
    if phase == RESPOND:
        counts.connections -= 1
        return ANSWER_DOWN
    if phase == ANSWER_DOWN:
        return _receive(s, agent)
    if phase == PARSE_REQUEST:
        return _begin(s, agent)
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
def _begin(s: State, agent: int) -> int:
    s.receivers[agent].since = s.queue[0].now
    if len(s.options) > 0:
        s.pollers[agent].interval = s.settings[0].interval
    s.counts[0].cycles += 1
    return QUERY_CPU


@inlined
def _answer(s: State, agent: int) -> int:
    receiver = s.receivers[agent]
    receiver.query += 1
    if receiver.found > 0:
        return RESPOND
    s.counts[0].wasted += 1
    if len(s.options) > 0:
        return _sleep(s, agent)
    return SLEEP


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


@inlined
def _sleep(s: State, agent: int) -> int:
    """Let an agent's request sleep after an empty cycle, for a time that is its own."""
    settings, poller = s.settings[0], s.pollers[agent]
    time = poller.interval
    if settings.jitter > 0:
        cycle = s.receivers[agent].query - 1
        time = jittered(time, settings.jitter, uniform(settings.seed, JITTER, agent, cycle))
    poller.interval = grown(poller.interval, settings.growth, settings.longest)
    s.events[2 * agent].phase = SLEEP
    schedule(s, 2 * agent, time, s.stages[SLEEP].lane)
    return DONE
