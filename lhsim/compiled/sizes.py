"""What the bytes of messages add to delays and services: `lhsim.models.steps.Step.per_byte`.

A size is drawn by address whenever it is asked for, so that a message needs no room for it.
"""

from __future__ import annotations

import numpy as np

from lhsim._jit import inlined
from lhsim.compiled.ledger import message_of, payload, sending_of
from lhsim.compiled.outlining import of_world
from lhsim.compiled.state import (
    ANSWER_PAYLOAD,
    OF_ANSWER,
    OF_FOUND,
    PAYLOAD,
    SEND,
    WRITE,
    Record,
    State,
)
from lhsim.rules import class_of, draw


@inlined
def sized(s: State, entity: int, stage: Record, cost: float) -> float:
    """Return what a stage costs an entity with its bytes, of what it costs it without [s]."""
    if len(s.options) > 1 and stage.sized > 0:
        return cost + stage.per_byte * _size(s, entity, stage)
    return cost


@inlined
def size_of_message(s: State, message: Record) -> float:
    """Return the size of a message [B]."""
    kind = s.kinds[class_of(message.sender, s.kinds.end)]
    if kind.payload < 0:
        return 0.0
    seed, sending = s.settings[0].seed, sending_of(s, message)
    return draw(s.cells[kind.payload], seed, PAYLOAD, message.sender, sending)


@of_world
def _size(s: State, entity: int, stage: Record) -> float:
    """Return how many bytes of an entity a stage costs."""
    if stage.sized == OF_FOUND:
        return _size_of_found(s, entity)
    place = message_of(s, entity)
    message = s.messages[place]
    if stage.sized == OF_ANSWER:
        return _size_of_answer(s, message)
    if stage.purpose == SEND and s.settings[0].batch > 0:
        return _size_of_batch(s, place)
    if stage.purpose == WRITE and s.settings[0].write_batch > 0:
        return size_of_message(s, message) + _size_of_further(s, place)
    return size_of_message(s, message)


@inlined
def _size_of_found(s: State, entity: int) -> float:
    """Return the size of the messages that the answer to a poll holds [B]."""
    if entity >= 3 * s.settings[0].agents:
        return s.messages[message_of(s, entity)].size
    agent, size, place = entity >> 1, 0.0, -1
    last = s.receivers[agent].mailbox
    if s.settings[0].polls == 0:
        last = s.clients[agent].found
        while place != last:
            before = s.receivers[agent].mailbox if place < 0 else place
            place = s.events[payload(s, before)].next
            size += size_of_message(s, s.messages[place])
        return size
    place = last
    for _ in range(s.receivers[agent].found):
        place = s.events[payload(s, place)].next
        # A consumer of a queue has receipts, which name the messages.
        message = s.messages[place].target if s.settings[0].consumes else place
        size += size_of_message(s, s.messages[message])
    return size


@inlined
def _size_of_answer(s: State, message: Record) -> float:
    """Return the size of the answer to a request [B]; of a refusal: none."""
    cells, seed = s.settings[0].answer_payload, s.settings[0].seed
    if cells < 0 or np.isnan(message.stored):
        return 0.0
    return draw(s.cells[cells], seed, ANSWER_PAYLOAD, message.sender, message.number)


@inlined
def _size_of_batch(s: State, place: int) -> float:
    """Return the size of the messages that are sent in one batch, by the first of them [B]."""
    size = 0.0
    while place >= 0:
        size += size_of_message(s, s.messages[place])
        place = s.links[place]
    return size


@inlined
def _size_of_further(s: State, place: int) -> float:
    """Return the size of all but the first of the messages that are written in one batch [B]."""
    size, entity = 0.0, s.events[payload(s, place)].next
    while entity >= 0:
        size += size_of_message(s, s.messages[message_of(s, entity)])
        entity = s.events[entity].next
    return size
