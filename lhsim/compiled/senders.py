"""The sending side of the agents; see `lhsim.models.agent`.

A sender has no record but its event. Its phase holds the number of its message and what it waits
for, one of four things, in the two lowest bits.
"""

from __future__ import annotations

from lhsim._jit import inlined
from lhsim.compiled.costs import slowed, stage_of, value
from lhsim.compiled.ledger import dispatch, next_request, request
from lhsim.compiled.outlining import outlined
from lhsim.compiled.queue import insert, make_ready, schedule
from lhsim.compiled.state import (
    ASKS,
    FIRST_GAP,
    MESSAGE_GAP,
    NOBODY,
    NOWHERE,
    PAUSE,
    START,
    State,
)
from lhsim.rules import class_of, recorded_time, start_time, time_to_next

STARTS, GAP, ENDS, PAUSES = 0, 1, 2, 3  # what a sender waits for
MOST_MESSAGES = 1 << 29  # of a sender, whose number has 29 bits


@inlined
def start(s: State) -> None:
    """Let each agent start: its receiving side, and then its sending side.

    Agents that share a connection have one receiving side, that of the first of them, which starts
    as soon as one of them does. Then the faults that cut connections are scheduled.
    """
    settings, events = s.settings[0], s.events
    for agent in range(settings.agents):
        if agent % settings.agents_per_connection == 0:
            events[2 * agent].phase = START
            _first(s, 2 * agent, _earliest_start(s, agent))
        if _sends(s, agent):
            sender = 2 * settings.agents + agent
            events[sender].phase = GAP if len(s.recorded) > 0 else STARTS
            at = _recorded(s, agent, 0) if len(s.recorded) > 0 else _start(s, agent)
            _first(s, sender, at)
    for fault in range(s.cuts.shape[1]):
        _first(s, request(s, fault), s.cuts[0, fault])


@inlined
def _earliest_start(s: State, client: int) -> float:
    """Return when the first of the agents starts that share a connection [s]."""
    settings, earliest = s.settings[0], _start(s, client)
    for agent in range(client + 1, min(client + settings.agents_per_connection, settings.agents)):
        earliest = min(earliest, _start(s, agent))
    return earliest


@inlined
def _start(s: State, agent: int) -> float:
    settings = s.settings[0]
    return start_time(
        settings.start_kind, settings.start_over, agent, settings.agents, settings.seed
    )


@inlined
def _recorded(s: State, agent: int, number: int) -> float:
    """Return when an agent sends a message, by what was recorded [s]."""
    settings = s.settings[0]
    rank = (agent - settings.first_sender) // settings.sender_step
    period, seed = settings.record_period, settings.seed
    return recorded_time(rank, number, s.recorded, s.recorded_firsts, period, seed)


@inlined
def _sends(s: State, agent: int) -> bool:
    settings = s.settings[0]
    if len(s.kinds) > 0 and s.kinds[class_of(agent, s.kinds.end)].silent:
        return False
    inside = settings.first_sender <= agent < settings.end_of_senders
    return inside and (agent - settings.first_sender) % settings.sender_step == 0


@outlined
def send(s: State, entity: int) -> None:
    """Let a sender go on: send its message, and wait for the time of the next, or for its end."""
    if len(s.options) > 0 and s.settings[0].in_flight > 0:
        _start_requests(s, entity)
    elif s.settings[0].closed:
        _send_in_turn(s, entity)
    else:
        _send_on_schedule(s, entity)


@inlined
def _start_requests(s: State, entity: int) -> None:
    """Start the loops of a client, whose phase holds from now on the number of its next request."""
    s.events[entity].phase = 0
    for _ in range(s.settings[0].in_flight):
        make_ready(s, next_request(s, entity - 2 * s.settings[0].agents), ASKS)


@inlined
def _send_on_schedule(s: State, entity: int) -> None:
    event, sender = s.events[entity], entity - 2 * s.settings[0].agents
    number = event.phase >> 2
    if event.phase & 3 == STARTS:
        stage = stage_of(s, FIRST_GAP, sender)
    else:
        dispatch(s, sender, number)
        number += 1
        stage = stage_of(s, MESSAGE_GAP, sender)
    event.phase = number << 2 | GAP
    if len(s.options) > 0 and len(s.recorded) > 0:
        gap = max(0.0, _recorded(s, sender, number) - s.queue[0].now)
        schedule(s, entity, gap, NOBODY)
        return
    gap = value(s, stage, sender, number)
    if len(s.options) > 0 and s.schedule.shape[1] > 0:
        gap = time_to_next(s.queue[0].now, gap, s.schedule)
    schedule(s, entity, gap, stage.lane)


@inlined
def _send_in_turn(s: State, entity: int) -> None:
    event, sender = s.events[entity], entity - 2 * s.settings[0].agents
    number, waits_for = event.phase >> 2, event.phase & 3
    if waits_for == ENDS:
        stage = s.stages[PAUSE]
        if stage.where != NOWHERE:
            event.phase = number << 2 | PAUSES
            _pause(s, entity, value(s, stage, sender, number), stage.lane)
            return
        waits_for = PAUSES
    if waits_for == PAUSES:
        number += 1
    if number != s.settings[0].messages:
        dispatch(s, sender, number)
        event.phase = number << 2 | ENDS  # no event until `lhsim.compiled.ledger.end`


@inlined
def _pause(s: State, entity: int, usual: float, lane: int) -> None:
    delay = usual
    if len(s.options) > 0:
        delay = slowed(s, entity - 2 * s.settings[0].agents, usual)
    schedule(s, entity, delay, lane if delay == usual else NOBODY)


@inlined
def _first(s: State, entity: int, at: float) -> None:
    event, queue = s.events[entity], s.queue[0]
    event.time = queue.now + at
    event.order = queue.order
    queue.order += 1
    insert(s, entity)
