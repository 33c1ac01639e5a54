"""Delays and services: how a phase begins, and how a service ends.

The mirror image of `lhsim.models.station` and `lhsim.models.loop`.
"""

from __future__ import annotations

from lhsim._jit import inlined
from lhsim.compiled.consumers import delete
from lhsim.compiled.costs import (
    cost_of,
    first_in_line,
    line_up,
    loop_of,
    occupy,
    read,
    receivers_index,
    service_cost,
    slowed,
    stage_of,
)
from lhsim.compiled.ledger import index_of, message_of
from lhsim.compiled.lists import take_first
from lhsim.compiled.nodes import home, own, targets
from lhsim.compiled.outlining import outlined
from lhsim.compiled.queue import make_ready, schedule
from lhsim.compiled.sharing import share
from lhsim.compiled.sizes import sized
from lhsim.compiled.state import (
    ANSWER_THINK,
    ANSWER_UP,
    BY_REPLY,
    DELETE,
    HELD,
    NOBODY,
    NOWHERE,
    ON_THE_WAY,
    OWN_LOOP,
    POOL,
    PUSH_DOWN,
    QUERY,
    RECONNECT,
    TARGETS_LOOP,
    WRITE,
    Record,
    State,
)
from lhsim.compiled.store import commit
from lhsim.rules import first_spell, retransmission_delay, stretched
from lhsim.streams import uniform


@outlined
def begin(s: State, entity: int, phase: int) -> bool:
    """Let a phase begin; return whether it takes an event, else it is over at once."""
    stage = _stage(s, entity, phase)
    if stage.where == NOWHERE:
        if phase == QUERY:
            read(s, entity)
        elif phase == WRITE:
            commit(s, entity)
        elif len(s.options) > 1 and phase == DELETE:
            delete(s, entity)
        return False
    s.events[entity].phase = phase
    if stage.where == ON_THE_WAY:
        delay = sized(s, entity, stage, cost_of(s, entity, stage))
        if len(s.options) > 0 and phase == RECONNECT and s.settings[0].backoff > 0:
            schedule(s, entity, delay * s.clients[entity >> 1].multiple, NOBODY)
        elif len(s.options) > 0:
            _set_out(s, entity, stage, delay)
        else:
            schedule(s, entity, delay, stage.lane)
        return True
    number = _station(s, entity, stage.where)
    station = s.stations[number]
    if len(s.options) > 0 and station.quantum >= 0:
        share(s, number, entity)
    elif station.busy < station.servers:
        _start(s, number, entity)
    else:
        line_up(s, station, entity)
    return True


@inlined
def _stage(s: State, entity: int, phase: int) -> Record:
    """Return the stage that begins, as it is for the agent whose time or network it takes."""
    if len(s.options) > 1 and len(s.kinds) > 1:
        return stage_of(s, phase, _whose(s, entity, s.stages[phase].purpose))
    return s.stages[phase]


@inlined
def _whose(s: State, entity: int, purpose: int) -> int:
    """Return the agent whose time, or way through the network, a stage takes."""
    if entity < 2 * s.settings[0].agents:
        return entity >> 1
    message = s.messages[message_of(s, entity)]
    of_asked = purpose in (PUSH_DOWN, ANSWER_THINK, ANSWER_UP)
    by_reply = s.settings[0].elicits == BY_REPLY
    agent: int = message.target if of_asked and not by_reply else message.sender
    return agent


@inlined
def complete(s: State, entity: int) -> None:
    """End what an entity has waited for: a service has its effect, then the next one starts."""
    phase = s.events[entity].phase
    where = s.stages[phase].where
    if where < OWN_LOOP:
        return
    number = _station(s, entity, where)
    station = s.stations[number]
    station.busy -= 1
    if number < s.settings[0].loops:
        station.idle_since = s.queue[0].now
        if len(s.options) > 0 and s.settings[0].by_turn:
            _end_turn(s, station)
    if phase == WRITE:
        commit(s, entity)
    if len(s.options) > 1 and phase == DELETE:
        delete(s, entity)
    if station.waiting > 0:
        _start(s, number, first_in_line(s, station))


@inlined
def _end_turn(s: State, station: Record) -> None:
    """Let what waits for the end of the turn go on, if this was its last operation."""
    station.turn_is_over = station.in_turn == 0
    if station.turn_is_over:
        while station.held.first >= 0:
            make_ready(s, take_first(s, station.held), HELD)


@inlined
def _set_out(s: State, entity: int, stage: Record, delay: float) -> None:
    """Let an entity be on its way, for longer where its agent is slow or a packet is lost."""
    if not stage.slows and stage.losses == 0:
        schedule(s, entity, delay, stage.lane)
        return
    if entity < 2 * s.settings[0].agents:
        agent = entity >> 1
        index = receivers_index(s, agent, stage)
    else:
        message = s.messages[message_of(s, entity)]
        agent, index = message.sender, index_of(s, message)
    usual = delay
    if stage.slows:
        delay = slowed(s, _whose(s, entity, stage.purpose), delay)
    if stage.losses > 0:
        u = uniform(s.settings[0].seed, stage.losses, agent, index)
        delay += retransmission_delay(u, stage.loss, stage.retransmission_timeout)
    # In a lane, all have the same delay.
    schedule(s, entity, delay, stage.lane if delay == usual else NOBODY)


@inlined
def _station(s: State, entity: int, where: int) -> int:
    loops = s.settings[0].loops
    if where == POOL:
        return loops
    if where > POOL:
        return loops + 1
    if loops == 1:
        return 0
    if entity < 2 * s.settings[0].agents:
        return loop_of(s, entity >> 1, home(s, entity >> 1))
    place = message_of(s, entity)
    if where == TARGETS_LOOP:
        return loop_of(s, s.messages[place].target, targets(s, place))
    return loop_of(s, s.messages[place].sender, own(s, place))


@outlined
def _start(s: State, number: int, entity: int) -> None:
    station = s.stations[number]
    station.busy += 1
    duration = _stretched(s, number, service_cost(s, number, entity))
    occupy(s, station, duration)
    if s.events[entity].phase == QUERY:
        read(s, entity)
    schedule(s, entity, duration, station.lane)


@inlined
def _stretched(s: State, number: int, cost: float) -> float:
    """Return how long a service of `cost` takes that begins now, stalls included [s]."""
    now, counts = s.queue[0].now, s.counts[0]
    if number < s.settings[0].loops:
        if s.cpu_stalls.shape[1] > 0:
            first = first_spell(now, s.cpu_stalls[1], counts.first_cpu_stall)
            counts.first_cpu_stall = first
            return stretched(now, cost, s.cpu_stalls[0], s.cpu_stalls[1], first)
    elif len(s.options) > 0 and s.store_stalls.shape[1] > 0:
        first = first_spell(now, s.store_stalls[1], counts.first_store_stall)
        counts.first_store_stall = first
        return stretched(now, cost, s.store_stalls[0], s.store_stalls[1], first)
    return cost
