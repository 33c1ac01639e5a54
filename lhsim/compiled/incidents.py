"""Faults that cut connections, as they happen; see `lhsim.models.incidents`."""

from __future__ import annotations

from lhsim._jit import inlined
from lhsim.compiled.ledger import message_of, release
from lhsim.compiled.outlining import of_failures
from lhsim.compiled.queue import schedule
from lhsim.compiled.replies import cut_replies
from lhsim.compiled.state import NOBODY, OUTAGE, State


@of_failures
def happen(s: State, entity: int) -> int:
    """Let a fault begin, which cuts what clients wait for; return its number."""
    fault = s.messages[message_of(s, entity)].number
    if _lasts(s, fault):
        s.counts[0].outages += 1
    cut_replies(s, fault)
    return fault


@of_failures
def end_later(s: State, entity: int) -> None:
    """Let a fault end, now or when its outage is over."""
    place = message_of(s, entity)
    fault = s.messages[place].number
    if _lasts(s, fault):
        s.events[entity].phase = OUTAGE
        schedule(s, entity, s.cuts[1, fault], NOBODY)
    else:
        release(s, place)


@inlined
def _lasts(s: State, fault: int) -> bool:
    return s.cuts[1, fault] >= 0
