"""A queue with competing consumers: `lhsim.models.consumers`.

The queue is a mailbox of all agents. A message that is taken leaves it, and who has taken it gets a
*receipt*: a place that names the message, in the consumer's own mailbox, whose request is the timer
of its visibility. The place of a message is free once it has left the queue for good, and no
receipt that names it is held.
"""

from __future__ import annotations

from lhsim._jit import inlined
from lhsim.compiled.ledger import (
    DELIVERED,
    close,
    end,
    first_of,
    line_up_by_age,
    message_of,
    new_place,
    post,
    release,
    request,
    take,
    without_first,
)
from lhsim.compiled.log import forget
from lhsim.compiled.outlining import of_world
from lhsim.compiled.queue import schedule
from lhsim.compiled.state import (
    DELETE,
    DELETE_CPU,
    DELETE_UP,
    DELETED_DOWN,
    NOBODY,
    PARSE_DELETE,
    VISIBLE,
    State,
)
from lhsim.metrics.account import Outcome

EXPIRED = int(Outcome.EXPIRED)


@inlined
def has_queue(s: State) -> bool:
    """Return whether messages wait in one queue for all agents."""
    return len(s.options) > 1 and s.settings[0].consumes > 0


@inlined
def goes_on_to_delete(s: State, phase: int) -> int:
    """Return the phase of a consumer that has worked, or deletes, that comes after this one.

    DELETED_DOWN is the last one.
    """
    if phase == DELETE_UP:
        return PARSE_DELETE
    if phase == PARSE_DELETE:
        return DELETE_CPU
    if phase == DELETE_CPU:
        s.counts[0].writes += 1
        return DELETE
    return DELETED_DOWN if phase == DELETE else DELETE_UP


@of_world
def take_some(s: State, agent: int) -> None:
    """Let a query take the oldest messages of the queue, up to the limit."""
    counts, limit = s.counts[0], s.settings[0].limit
    forget(s, s.queue[0].now)
    found = 0
    while found < limit and has_message(s):
        place = _take_first(s)
        if s.sequence[place] < counts.removed:
            end(s, place, EXPIRED)
        else:
            _hand_out(s, agent, place)
            found += 1
    s.receivers[agent].found = found


@of_world
def has_message(s: State) -> bool:
    """Return whether the queue holds a message that is not done; drop those that are."""
    counts = s.counts[0]
    while counts.shared >= 0 and s.messages[first_of(s, counts.shared)].pending == 0:
        release(s, _take_first(s))
    return counts.shared >= 0


@inlined
def _take_first(s: State) -> int:
    """Take the oldest message out of the queue, which is not empty."""
    counts = s.counts[0]
    first = first_of(s, counts.shared)
    counts.shared = without_first(s, counts.shared)
    counts.lined_up -= 1
    return first


@inlined
def _hand_out(s: State, agent: int, place: int) -> None:
    """Give an agent the receipt of a message, which may be taken again after a time."""
    receipt = new_place(s)
    message = s.messages[receipt]
    message.sender = agent
    message.target = place
    message.number = 0
    message.pending = 0
    message.alive = 1
    post(s, s.receivers[agent], receipt)
    if s.settings[0].visibility >= 0:
        message.alive = 2
        timer = request(s, receipt)
        s.events[timer].phase = VISIBLE
        schedule(s, timer, s.settings[0].visibility, s.stages[VISIBLE].lane)


@inlined
def reappear(s: State, timer: int) -> None:
    """Let others take a message that is not deleted by now."""
    receipt = message_of(s, timer)
    place = s.messages[receipt].target
    if place >= 0 and s.messages[place].pending:
        s.messages[place].alive += 1
        line_up_by_age(s, place)
    release(s, receipt)


@of_world
def delete(s: State, consumer: int) -> None:
    """Let the messages end that a consumer has worked on; the first to delete one delivers it."""
    agent = consumer >> 1
    receiver = s.receivers[agent]
    while receiver.mailbox >= 0:
        receipt = take(s, receiver)
        place = s.messages[receipt].target
        s.messages[receipt].target = NOBODY
        if s.messages[place].pending:
            _name_consumer(s, place, agent)
            close(s, place, DELIVERED)
        else:
            s.counts[0].duplicates += 1
        release(s, place)
        release(s, receipt)
    receiver.found = 0


@inlined
def _name_consumer(s: State, place: int, agent: int) -> None:
    if s.settings[0].keep == 0:
        return
    original = place
    if len(s.options) > 2 and s.messages[place].original >= 0:
        original = s.messages[place].original
    if s.messages[original].pending:
        s.records[s.messages[original].row].target = agent
