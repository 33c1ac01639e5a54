"""Lists of what waits, held together by what is in them.

Entities in line are linked by the event of each to the next. Where some may leave from the middle,
each also knows the one before it: two fields of its record, given as arrays.
"""

from __future__ import annotations

from typing import Any

from lhsim._jit import inlined
from lhsim.compiled.state import NOBODY, Record, State


@inlined
def append(s: State, ends: Record, entity: int) -> None:
    """Put an entity at the end of a line."""
    s.events[entity].next = NOBODY
    if ends.first < 0:
        ends.first = entity
    else:
        s.events[ends.last].next = entity
    ends.last = entity


@inlined
def take_first(s: State, ends: Record) -> int:
    """Take the first entity of a line, which is not empty."""
    first: int = ends.first
    ends.first = s.events[first].next
    return first


@inlined
def join(ends: Record, older: Any, younger: Any, one: int) -> None:
    """Put one at the end of a list that it may leave at any time."""
    older[one] = ends.last
    younger[one] = NOBODY
    if ends.first < 0:
        ends.first = one
    else:
        younger[ends.last] = one
    ends.last = one


@inlined
def leave(ends: Record, older: Any, younger: Any, one: int) -> None:
    """Take one out of such a list."""
    if older[one] < 0:
        ends.first = younger[one]
    else:
        younger[older[one]] = younger[one]
    if younger[one] < 0:
        ends.last = older[one]
    else:
        older[younger[one]] = older[one]
