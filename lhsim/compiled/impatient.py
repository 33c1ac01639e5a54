"""Pollers that may give a request up, which runs on beside the next: `lhsim.models.impatient`.

Each request for messages has a place; its request is the handler. The agent waits for the reply.
An agent receives what the answer to its last request alone holds, so that a message names one
request: the one whose answer has it.
"""

from __future__ import annotations

from lhsim._jit import inlined
from lhsim.compiled.cycles import look, next_sleep, sleep_as_client, start_over
from lhsim.compiled.ledger import (
    DELIVERED,
    connect,
    disconnect,
    end,
    first_of,
    is_full,
    message_of,
    new_place,
    release,
    request,
    timer,
    without_first,
)
from lhsim.compiled.lists import join, leave
from lhsim.compiled.nodes import (
    OF_REQUEST,
    choose,
    has_nodes,
    is_unreachable,
    own,
    place_on,
    set_held,
)
from lhsim.compiled.outlining import of_failures
from lhsim.compiled.queue import make_ready, schedule
from lhsim.compiled.replies import ask, give
from lhsim.compiled.state import (
    ALARM,
    ANSWER_DOWN,
    ANSWERED,
    ASKED,
    BACKOFF,
    DONE,
    FAILED,
    LOOK_UP,
    NOBODY,
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
    WAIT_REQUEST,
    WAKES_ALL,
    State,
)


@of_failures
def attend_impatiently(s: State, agent: int, phase: int) -> int:
    """Return the phase of an agent that comes after one that is over: it asks and waits."""
    receiver = s.receivers[agent]
    if phase == FAILED:
        return BACKOFF
    if phase == ANSWERED and receiver.found > 0:
        _deliver(s, agent)
        start_over(s, s.pollers[agent])
        return THINK
    if phase == ANSWERED and s.settings[0].holds == 0:
        sleep_as_client(s, agent)
        return DONE
    if phase != START:
        receiver.attempt += 1
    _ask(s, agent)
    return DONE


@of_failures
def handle(s: State, entity: int, phase: int) -> int:
    """Return the phase of a handler that comes after one that is over."""
    counts, place = s.counts[0], message_of(s, entity)
    if phase == ASKED:
        return REQUEST_UP
    if phase == REQUEST_UP:
        return _admit(s, place)
    if phase == PARSE_REQUEST:
        return _begin(s, place)
    if phase == QUERY_CPU:
        counts.queries += 1
        return QUERY
    if phase in (QUERY, LOOK_UP):
        return _sleep_or_answer(s, entity, place)
    if phase == SLEEP:
        return _wake_up(s, place)
    if phase == RESPOND:
        disconnect(s, own(s, place))
        set_held(s, place, 0)
        return ANSWER_DOWN
    give(s, place, ANSWERED if phase == ANSWER_DOWN else FAILED)
    release(s, place)
    return DONE


@of_failures
def ring(s: State, alarm: int) -> None:
    """End the sleep of a request, unless a write has done so before."""
    place = s.messages[message_of(s, alarm)].target
    if s.messages[place].alarm == alarm:
        s.messages[place].alarm = NOBODY
        _wake_alone(s, place)
        make_ready(s, request(s, place), SLEEP)
    release(s, place)


@inlined
def _admit(s: State, place: int) -> int:
    """Let a node accept a request, or refuse it."""
    message, counts = s.messages[place], s.counts[0]
    if not is_unreachable(s):
        if len(s.options) > 1 and has_nodes(s):
            node = choose(s, message.sender, OF_REQUEST, message.sender, message.number)
            place_on(s, place, node)
        if not is_full(s, own(s, place)):
            connect(s, own(s, place))
            set_held(s, place, 1)
            return PARSE_REQUEST
    counts.refused += 1
    return REFUSED


@inlined
def _wake_alone(s: State, place: int) -> None:
    """Take a request out of the list of those that sleep."""
    if s.settings[0].wakes == WAKES_ALL:
        leave(s.counts[0].asleep, s.messages.before, s.messages.after, place)
    else:
        asleep = s.pollers[s.messages[place].sender].asleep
        leave(asleep, s.messages.before, s.messages.after, place)


@inlined
def _ask(s: State, agent: int) -> None:
    """Let an agent's next request set out, and wait for its answer."""
    place = new_place(s)
    message = s.messages[place]
    message.sender = message.target = agent
    message.number = s.receivers[agent].attempt
    message.alive = 1
    message.pending = 0
    message.original = WAIT_REQUEST
    message.attempt = 0
    message.alarm = NOBODY
    message.found = 0
    ask(s, place, s.settings[0].client_timeout, TIMES_OUT)
    make_ready(s, request(s, place), ASKED)


@inlined
def _begin(s: State, place: int) -> int:
    message = s.messages[place]
    message.since = s.queue[0].now
    start_over(s, message)
    return _look(s, place)


@of_failures
def _look(s: State, place: int) -> int:
    """Begin a cycle."""
    message = s.messages[place]
    receiver = s.receivers[message.sender]
    message.cycle = receiver.query
    receiver.query += 1
    s.counts[0].cycles += 1
    message.found = 0
    message.size = 0.0
    message.seen = _written(s, message.sender)
    return look(s, message.sender)


@inlined
def _written(s: State, agent: int) -> int:
    """Return how many messages were stored for which an agent wakes."""
    wakes_all = s.settings[0].wakes == WAKES_ALL
    written: int = s.counts[0].news if wakes_all else s.pollers[agent].written
    return written


@inlined
def _wake_up(s: State, place: int) -> int:
    if s.queue[0].now - s.messages[place].since < s.settings[0].timeout:
        return _look(s, place)
    s.counts[0].timeouts += 1
    return RESPOND


@inlined
def _sleep_or_answer(s: State, entity: int, place: int) -> int:
    message, settings = s.messages[place], s.settings[0]
    if message.found > 0:
        return RESPOND
    s.counts[0].wasted += 1
    if settings.holds == 0:
        return RESPOND
    time = next_sleep(s, message, message.sender, message.cycle)
    if settings.wakes and _written(s, message.sender) != message.seen:
        return _wake_up(s, place)
    if settings.wakes:
        _set_alarm(s, place, time)
    else:
        s.events[entity].phase = SLEEP
        schedule(s, entity, time, s.stages[SLEEP].lane)
    return DONE


@inlined
def _set_alarm(s: State, place: int, time: float) -> None:
    """Let an alarm end the sleep of a request, unless a write does it before."""
    message = s.messages[place]
    alarm = timer(s, message.sender)
    s.messages[message_of(s, alarm)].target = place
    message.alarm = alarm
    message.alive += 1
    s.events[alarm].phase = ALARM
    schedule(s, alarm, time, s.stages[SLEEP].lane)
    if s.settings[0].wakes == WAKES_ALL:
        join(s.counts[0].asleep, s.messages.before, s.messages.after, place)
        return
    asleep = s.pollers[message.sender].asleep
    join(asleep, s.messages.before, s.messages.after, place)


@inlined
def _deliver(s: State, agent: int) -> None:
    """Deliver what the answer to an agent's request holds, and what has not expired since."""
    levels = len(s.priorities)
    if levels == 0:
        s.receivers[agent].mailbox = _taken(s, agent, s.receivers[agent].mailbox)
    for box in range(levels * agent, levels * (agent + 1)):
        s.boxes[box] = _taken(s, agent, s.boxes[box])


@inlined
def _taken(s: State, agent: int, last: int) -> int:
    """Deliver the first messages of a mailbox that an answer holds; return the last one left."""
    while last >= 0 and s.messages[first_of(s, last)].answer == s.receivers[agent].attempt:
        first = first_of(s, last)
        last = without_first(s, last)
        end(s, first, DELIVERED)
    return last
