"""What a request does next, and its client: `lhsim.models.request_processes`.

A client's loop goes on where its last request has ended, at the same place. Where a timer may still
come for that, because its client had patience, the loop takes a new one.
"""

from __future__ import annotations

import numpy as np

from lhsim._jit import inlined
from lhsim.compiled.costs import loop_of
from lhsim.compiled.ledger import (
    DELIVERED,
    REJECTED,
    close,
    connect,
    create_at,
    disconnect,
    message_of,
    next_request,
    payload,
    release,
)
from lhsim.compiled.lists import append, take_first
from lhsim.compiled.nodes import OF_MESSAGE, choose, has_nodes, no_node_is_up, own, place_on
from lhsim.compiled.queue import make_ready, schedule
from lhsim.compiled.state import (
    ANSWER_DOWN,
    ASKS,
    CREATED,
    DONE,
    HELD,
    NOBODY,
    PARSE_REQUEST,
    PATIENCE,
    QUERY,
    QUERY_CPU,
    REQUEST_UP,
    RESPOND,
    THINK,
    WORKER,
    State,
)
from lhsim.metrics.account import Outcome
from lhsim.rules import take_token

EXPIRED = int(Outcome.EXPIRED)


@inlined
def attend(s: State, agent: int, phase: int) -> int:
    """Return the phase after one of a client's receiving side: there is none."""
    return DONE


@inlined
def carry(s: State, entity: int, phase: int) -> int:
    """Return the phase of a request that comes after one that is over."""
    if phase == ASKS:
        return _think(s, entity)
    if phase == THINK:
        return _ask(s, entity)
    if phase == CREATED:
        return REQUEST_UP
    if phase == REQUEST_UP:
        return _arrive(s, entity)
    if phase == WORKER:
        return PARSE_REQUEST
    if phase == PARSE_REQUEST:
        return QUERY_CPU
    if phase == QUERY_CPU:
        s.counts[0].queries += 1
        return QUERY
    if phase == QUERY:
        return RESPOND
    if phase == RESPOND:
        return _wait_for_turn(s, entity)
    if phase == HELD:
        return _leave(s, entity)
    if phase == PATIENCE:
        return _lose_patience(s, entity)
    return _receive(s, entity)


@inlined
def _think(s: State, entity: int) -> int:
    """Take the client's next number, and think."""
    place = message_of(s, entity)
    message = s.messages[place]
    client = s.events[2 * s.settings[0].agents + message.sender]
    number = client.phase >> 2
    if 0 <= s.settings[0].messages <= number:
        release(s, place)
        return DONE
    client.phase = (number + 1) << 2
    message.number = number
    return THINK


@inlined
def _ask(s: State, entity: int) -> int:
    """Create the request, and let it set out."""
    place = message_of(s, entity)
    message = s.messages[place]
    create_at(s, place, message.sender, message.number)
    message.connection = 0
    message.alive = 1
    patience = s.settings[0].patience
    if patience >= 0:
        message.alive = 2
        timer = payload(s, place)
        s.events[timer].phase = PATIENCE
        schedule(s, timer, patience, s.stages[PATIENCE].lane)
    return REQUEST_UP


@inlined
def _arrive(s: State, entity: int) -> int:
    """Let a request come to the server, which has a worker for it, or will have."""
    place, workers = message_of(s, entity), s.settings[0].workers
    if not _is_let_in(s, place):
        s.messages[place].stored = np.nan  # it has no answer
        return ANSWER_DOWN
    s.messages[place].stored = 0.0  # until it is
    if len(s.options) > 1 and has_nodes(s):
        client = s.messages[place].sender
        chosen = choose(s, client, OF_MESSAGE, client, s.messages[place].number)
        place_on(s, place, chosen)
    connect(s, own(s, place))
    node = s.nodes[own(s, place)]
    if 0 <= workers <= node.occupied:
        append(s, node.line, entity)
        return DONE
    node.occupied += 1
    return PARSE_REQUEST


@inlined
def _is_let_in(s: State, place: int) -> bool:
    if no_node_is_up(s):
        return _refuse(s, place)
    if len(s.buckets) == 0:
        return True
    settings, client = s.settings[0], s.messages[place].sender
    now, full_at = s.queue[0].now, s.buckets[client]
    full_at = take_token(now, full_at, settings.token_interval, settings.token_burst)
    if full_at < 0:
        s.counts[0].limited += 1
        return _refuse(s, place)
    s.buckets[client] = full_at
    return True


@inlined
def _refuse(s: State, place: int) -> bool:
    if s.messages[place].pending:  # else its client has given it up
        close(s, place, REJECTED)
    return False


@inlined
def _wait_for_turn(s: State, entity: int) -> int:
    """Let the answer leave, perhaps together with others of its turn, as that ends."""
    if not s.settings[0].by_turn:
        return _leave(s, entity)
    place = message_of(s, entity)
    station = s.stations[loop_of(s, s.messages[place].sender, own(s, place))]
    if station.turn_is_over:
        return _leave(s, entity)
    append(s, station.held, entity)
    return DONE


@inlined
def _leave(s: State, entity: int) -> int:
    """Let the answer leave the server, whose worker takes the next request."""
    place = message_of(s, entity)
    message, node = s.messages[place], s.nodes[own(s, place)]
    message.stored = s.queue[0].now
    if s.settings[0].keep:
        s.records[message.row].stored = s.queue[0].now
    disconnect(s, own(s, place))
    if node.line.first >= 0:
        make_ready(s, take_first(s, node.line), WORKER)
    else:
        node.occupied -= 1
    return ANSWER_DOWN


@inlined
def _receive(s: State, entity: int) -> int:
    """Let the answer reach the client, who goes on unless it has given the request up."""
    place = message_of(s, entity)
    message = s.messages[place]
    if message.pending:
        close(s, place, DELIVERED)
    if s.settings[0].in_flight == 0:  # it came at a time of its own
        release(s, place)
        release(s, place)
        return DONE
    if message.connection != 0:
        release(s, place)
        return DONE
    took_no_time = message.created == s.queue[0].now
    following = entity
    if message.alive > 1:
        following = next_request(s, message.sender)
        release(s, place)
    elif not took_no_time:
        return ASKS
    if took_no_time:
        s.events[following].phase = ASKS
        schedule(s, following, 0.0, NOBODY)
    else:
        make_ready(s, following, ASKS)
    return DONE


@inlined
def _lose_patience(s: State, timer: int) -> int:
    """Give a request up that is not answered by now, and let its client go on."""
    place = message_of(s, timer)
    message = s.messages[place]
    if message.pending:
        s.counts[0].given_up += 1
        close(s, place, EXPIRED)
        message.connection = 1
        make_ready(s, next_request(s, message.sender), ASKS)
    release(s, place)
    return DONE
