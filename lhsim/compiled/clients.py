"""Senders that try again to send a message: `lhsim.models.clients`.

What a sender knows of a message, its *original*, has a place, whose request is the sender itself:
it waits for the reply to an attempt, or for the time of the next. Each attempt has a place that
names the original, and keeps it there until the attempt has nothing more to say.
"""

from __future__ import annotations

import numpy as np

from lhsim._jit import inlined
from lhsim.compiled.ledger import close, message_of, new_place, release, request
from lhsim.compiled.outlining import of_failures
from lhsim.compiled.queue import make_ready, schedule
from lhsim.compiled.replies import ask, give, lose_patience
from lhsim.compiled.state import (
    ANSWERED,
    CREATED,
    DONE,
    FAILED,
    GIVES_UP,
    NOBODY,
    OF_ATTEMPT,
    OF_FAILURES,
    OUTAGE,
    REPLIES,
    REPLY_DOWN,
    RETRY,
    SENDS,
    TIMES_OUT,
    State,
)
from lhsim.rules import attempt_index, back_off, jittered
from lhsim.streams import uniform

MOST_CREDIT = 10.0  # attempts that an agent's budget can hold: `lhsim.models.clients`


@inlined
def is_of_failure(phase: int) -> bool:
    """Return whether only a client that waits for a reply, a reply, or a fault has a phase."""
    return phase >= OF_FAILURES or phase in (RETRY, REPLY_DOWN)


@of_failures
def go_on_after_failure(s: State, entity: int, phase: int) -> int:
    """Return the phase that comes after one of those, which is over."""
    place = message_of(s, entity)
    if phase == SENDS:
        _earn(s, s.messages[place].sender)
        _try(s, place)
    elif phase == ANSWERED:
        _give_up(s, place)
    elif phase == FAILED:
        _wait_or_give_up(s, entity, place)
    elif phase == RETRY:
        s.counts[0].retries += 1
        _try(s, place)
    elif phase in (GIVES_UP, TIMES_OUT):
        lose_patience(s, entity)
    elif phase == REPLIES:
        return REPLY_DOWN
    elif phase == REPLY_DOWN:
        give(s, place, FAILED if np.isnan(s.messages[place].stored) else ANSWERED)
        release(s, place)
    elif phase == OUTAGE:
        s.counts[0].outages -= 1
        release(s, place)
    return DONE


@of_failures
def _try(s: State, first: int) -> None:
    """Let the next attempt set out, at a message and all that go with it, and wait for its reply.

    The first of them has the request.
    """
    original, before, lead = first, NOBODY, NOBODY
    while original >= 0:
        place = _attempt(s, original)
        if before < 0:
            lead = place
        else:
            s.messages[before].connection = place
        before, original = place, s.messages[original].connection
    s.messages[lead].alive += 1
    ask(s, lead, s.settings[0].retry_timeout, GIVES_UP)
    make_ready(s, request(s, lead), CREATED)


@inlined
def _attempt(s: State, place: int) -> int:
    """Return the place of a further attempt at a message."""
    new = new_place(s)
    attempt, original = s.messages[new], s.messages[place]
    attempt.sender = original.sender
    attempt.number = original.number
    attempt.target = original.target
    attempt.stored = np.nan
    attempt.connection = NOBODY
    attempt.alive = 1
    attempt.pending = OF_ATTEMPT
    attempt.attempt = original.attempt
    attempt.original = place
    attempt.waits = 0
    attempt.answer = NOBODY
    original.attempt += 1
    original.open += 1
    original.alive += 1
    return new


@inlined
def _wait_or_give_up(s: State, entity: int, place: int) -> None:
    """Let a sender wait for the time of its next attempt, if it makes one."""
    settings, message = s.settings[0], s.messages[place]
    if message.attempt == settings.attempts or not _may_try_again(s, message.sender):
        _give_up(s, place)
        return
    number = message.attempt
    delay = back_off(settings.retry_backoff, settings.retry_factor, settings.retry_longest, number)
    if settings.retry_jitter > 0:
        index = attempt_index(number, message.number)
        u = uniform(settings.seed, RETRY, message.sender, index)
        delay = jittered(delay, settings.retry_jitter, u)
    s.events[entity].phase = RETRY
    schedule(s, entity, delay, s.stages[RETRY].lane)


@of_failures
def _give_up(s: State, first: int) -> None:
    """Note that a message is not tried again, nor any that go with it."""
    place = first
    while place >= 0:
        message = s.messages[place]
        after = message.connection
        message.given_up = 1
        if message.pending and message.open == 0:
            close(s, place, message.last)
        release(s, place)
        place = after


@inlined
def _earn(s: State, agent: int) -> None:
    if len(s.credits) > 0:
        s.credits[agent] = min(s.credits[agent] + s.settings[0].budget, MOST_CREDIT)


@inlined
def _may_try_again(s: State, agent: int) -> bool:
    if len(s.credits) == 0:
        return True
    if s.credits[agent] < 1:
        return False
    s.credits[agent] -= 1
    return True
