"""What a message and an agent of the polling server do next: `lhsim.models.polling_processes`."""

from __future__ import annotations

from lhsim._jit import inlined
from lhsim.compiled.clients import go_on_after_failure, is_of_failure
from lhsim.compiled.consumers import goes_on_to_delete, has_message, has_queue, reappear
from lhsim.compiled.cycles import look, next_sleep, sleep_as_client, start_over
from lhsim.compiled.impatient import attend_impatiently, handle, ring
from lhsim.compiled.incidents import end_later, happen
from lhsim.compiled.ledger import (
    DELIVERED,
    acknowledge,
    after_the_limit,
    connect,
    disconnect,
    end,
    is_full,
    message_of,
    release,
    take,
    timer,
)
from lhsim.compiled.lists import join, leave
from lhsim.compiled.nodes import home, receive
from lhsim.compiled.outlining import outlined
from lhsim.compiled.queue import make_ready, schedule
from lhsim.compiled.state import (
    ACKNOWLEDGE,
    ALARM,
    ANSWER_DOWN,
    BACKOFF,
    COLLECTED,
    COMMITTED,
    CREATED,
    DELETE,
    DELETE_CPU,
    DELETE_UP,
    DONE,
    FAULT,
    LOCKED,
    LOOK_UP,
    MESSAGE_UP,
    NOBODY,
    PARSE_DELETE,
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
    TIMES_OUT,
    VISIBLE,
    WAIT_REQUEST,
    WAKES_ALL,
    WAKES_FIRST,
    WRITE,
    WRITE_CPU,
    Record,
    State,
)
from lhsim.compiled.store import go_on_with_batch, is_of_batch, write


@inlined
def carry(s: State, entity: int, phase: int) -> int:
    """Return the phase of a message's request that comes after one that is over."""
    if len(s.options) > 2:
        if phase == FAULT:
            happen(s, entity)
            end_later(s, entity)
            return DONE
        if s.messages[message_of(s, entity)].original == WAIT_REQUEST and phase != TIMES_OUT:
            return handle(s, entity, phase)
        if is_of_failure(phase):
            return go_on_after_failure(s, entity, phase)
    if len(s.options) > 0:
        if is_of_batch(s, phase):
            return go_on_with_batch(s, entity, phase)
        if phase == VISIBLE:
            reappear(s, entity)
            return DONE
        phase = after_the_limit(s, entity, phase)
    if phase == CREATED:
        return MESSAGE_UP
    if phase == MESSAGE_UP:
        return PARSE_MESSAGE
    if phase == PARSE_MESSAGE:
        return WRITE_CPU
    if phase == WRITE_CPU or (len(s.options) > 0 and phase in (LOCKED, COLLECTED)):
        return write(s, entity, phase)
    if phase == WRITE or (len(s.options) > 0 and phase == COMMITTED):
        return ACKNOWLEDGE
    if len(s.options) > 0 and phase == ALARM:
        _ring(s, entity)
    if phase == ACKNOWLEDGE:
        acknowledge(s, message_of(s, entity))
    release(s, message_of(s, entity))
    return DONE


@inlined
def attend(s: State, agent: int, phase: int) -> int:
    """Return the phase of an agent's receiving side that comes after one that is over."""
    receiver, counts = s.receivers[agent], s.counts[0]
    if len(s.options) > 2 and s.settings[0].impatient:
        return attend_impatiently(s, agent, phase)
    if phase == SLEEP and (len(s.options) == 0 or not _polls_shortly(s)):
        return _wake_up(s, agent)
    if phase == QUERY_CPU:
        counts.queries += 1
        return QUERY
    if phase == QUERY or (len(s.options) > 0 and phase == LOOK_UP):
        return _answer(s, agent)
    if phase == RESPOND:
        disconnect(s, home(s, agent))
        return ANSWER_DOWN
    if phase == ANSWER_DOWN:
        return _receive(s, agent)
    if phase == PARSE_REQUEST:
        return _begin(s, agent)
    if phase == REQUEST_UP:
        receive(s, agent, receiver.attempt)
        if is_full(s, home(s, agent)):
            counts.refused += 1
            return REFUSED
        connect(s, home(s, agent))
        return PARSE_REQUEST
    if phase == REFUSED:
        return BACKOFF
    if len(s.options) > 1 and has_queue(s):
        if phase in (THINK, DELETE_UP, PARSE_DELETE, DELETE_CPU, DELETE):
            return goes_on_to_delete(s, phase)
        if phase == START and agent < s.settings[0].first_consumer:
            return DONE
    if phase != START:  # THINK or BACKOFF, the sleep of a client, or DELETED_DOWN
        receiver.attempt += 1
    return REQUEST_UP


@inlined
def _begin(s: State, agent: int) -> int:
    s.receivers[agent].since = s.queue[0].now
    if len(s.options) > 0 and s.settings[0].holds:
        start_over(s, s.pollers[agent])
    return _ask(s, agent)


@inlined
def _polls_shortly(s: State) -> bool:
    """Return whether requests are answered at once, and clients sleep."""
    return len(s.options) > 0 and s.settings[0].holds == 0


@inlined
def _ask(s: State, agent: int) -> int:
    s.counts[0].cycles += 1
    if len(s.options) > 0:
        wakes_all = s.settings[0].wakes == WAKES_ALL
        s.pollers[agent].written = s.counts[0].news if wakes_all else 0
        return look(s, agent)
    return QUERY_CPU


@inlined
def _wake_up(s: State, agent: int) -> int:
    if s.queue[0].now - s.receivers[agent].since < s.settings[0].timeout:
        return _ask(s, agent)
    s.counts[0].timeouts += 1
    return RESPOND


@inlined
def _answer(s: State, agent: int) -> int:
    receiver = s.receivers[agent]
    receiver.query += 1
    if receiver.found > 0:
        return RESPOND
    s.counts[0].wasted += 1
    if len(s.options) > 0 and _polls_shortly(s):
        return RESPOND
    if len(s.options) > 0:
        return _sleep(s, agent)
    return SLEEP


@outlined
def _receive(s: State, agent: int) -> int:
    receiver = s.receivers[agent]
    if len(s.options) > 0 and receiver.found == 0 and _polls_shortly(s):
        sleep_as_client(s, agent)
        return DONE
    if receiver.found == 0:
        receiver.attempt += 1
        return REQUEST_UP
    if len(s.options) <= 1 or not has_queue(s):
        for _ in range(receiver.found):
            end(s, take(s, receiver), DELIVERED)
        receiver.found = 0
    if len(s.options) > 0 and _polls_shortly(s):
        start_over(s, s.pollers[agent])
    return THINK


@outlined
def _sleep(s: State, agent: int) -> int:
    """Let an agent's request sleep after an empty cycle, for a time that is its own."""
    settings, poller = s.settings[0], s.pollers[agent]
    time = next_sleep(s, poller, agent, s.receivers[agent].query - 1)
    if settings.wakes and _was_written(s, poller):
        return _wake_up(s, agent)
    if settings.wakes:
        _set_alarm(s, agent, time)
    else:
        s.events[2 * agent].phase = SLEEP
        schedule(s, 2 * agent, time, s.stages[SLEEP].lane)
    return DONE


@inlined
def _was_written(s: State, poller: Record) -> bool:
    """Return whether a message for which an agent wakes was stored since its cycle began.

    Or whether there is one for which nobody was asleep.
    """
    if s.settings[0].wakes == WAKES_FIRST:
        return has_message(s)
    if s.settings[0].wakes == WAKES_ALL:
        return poller.written != s.counts[0].news
    return poller.written != 0


@inlined
def _set_alarm(s: State, agent: int, time: float) -> None:
    """Let an alarm end the sleep of an agent's request, unless a write does it before."""
    alarm = timer(s, agent)
    s.pollers[agent].alarm = alarm
    s.events[alarm].phase = ALARM
    schedule(s, alarm, time, s.stages[SLEEP].lane)
    if s.settings[0].wakes >= WAKES_ALL:
        join(s.counts[0].asleep, s.pollers.before, s.pollers.after, agent)


@inlined
def _ring(s: State, alarm: int) -> None:
    if len(s.options) > 2 and s.settings[0].impatient:
        ring(s, alarm)
        return
    agent = s.messages[message_of(s, alarm)].sender
    if s.pollers[agent].alarm == alarm:
        s.pollers[agent].alarm = NOBODY
        if s.settings[0].wakes >= WAKES_ALL:
            leave(s.counts[0].asleep, s.pollers.before, s.pollers.after, agent)
        make_ready(s, 2 * agent, SLEEP)
