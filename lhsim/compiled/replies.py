"""What clients wait for: the reply to what they have sent; see `lhsim.models.replies`.

It is known by the place of an attempt, or of a request for messages, whose client goes on once:
with an answer, without one, or when its patience ends. Faults that cut connections find those that
wait in a list, in the order in which they have asked.
"""

from __future__ import annotations

from lhsim._jit import inlined
from lhsim.compiled.ledger import message_of, patience_of, release, request
from lhsim.compiled.lists import join, leave
from lhsim.compiled.nodes import failing, has_nodes
from lhsim.compiled.outlining import of_failures
from lhsim.compiled.queue import schedule
from lhsim.compiled.state import FAILED, State
from lhsim.rules import is_hit


@of_failures
def ask(s: State, place: int, patience: float, phase: int) -> None:
    """Let a client wait for a reply, for so long [s]; below 0: for ever.

    `phase` is that of the end of its patience.
    """
    message = s.messages[place]
    message.waits = 1
    if s.cuts.shape[1] > 0:
        join(s.counts[0].asking, s.messages.older, s.messages.younger, place)
    if patience >= 0:
        message.alive += 1
        timer = patience_of(s, place)
        s.events[timer].phase = phase
        schedule(s, timer, patience, s.stages[phase].lane)


@of_failures
def give(s: State, place: int, phase: int) -> None:
    """Let a client go on with `ANSWERED` or `FAILED`, unless it has gone on before."""
    message = s.messages[place]
    if not message.waits:
        return
    message.waits = 0
    if s.cuts.shape[1] > 0:
        leave(s.counts[0].asking, s.messages.older, s.messages.younger, place)
    client = 2 * message.sender
    if message.original >= 0:
        client = request(s, message.original)
    else:
        s.receivers[message.sender].found = message.found
    s.events[client].phase = phase
    schedule(s, client, 0.0, 0)


@inlined
def lose_patience(s: State, timer: int) -> None:
    """End the patience of a client."""
    place = message_of(s, timer)
    if s.messages[place].waits:
        s.counts[0].given_up += 1
        give(s, place, FAILED)
    release(s, place)


@inlined
def cut_replies(s: State, fault: int) -> None:
    """Let those go on without a reply whose connection is cut."""
    place = s.counts[0].asking.first
    while place >= 0:
        younger = s.messages[place].younger
        if _is_cut(s, place, fault):
            give(s, place, FAILED)
        place = younger


@inlined
def _is_cut(s: State, place: int, fault: int) -> bool:
    """Return whether a fault cuts the connection over which a reply is to come."""
    node = failing(s, fault)
    if len(s.options) > 1 and has_nodes(s) and node >= 0:
        site = s.sites[place]
        return site.held == 1 and site.own == node
    return is_hit(s.settings[0].seed, s.messages[place].sender, fault, s.cuts[2, fault])
