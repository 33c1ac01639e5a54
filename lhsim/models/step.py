"""What one step of a protocol is: where it passes, and what it costs."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from lhsim.distributions import Distribution


class Place(Enum):
    """Where a step passes."""

    NETWORK = auto()  # between an agent and the server: longer for a slow agent or a lost packet
    AGENT = auto()  # with an agent: longer for a slow one
    TIMER = auto()  # nothing queues for it, and nobody is slow
    OWN_LOOP = auto()  # on the loop that serves the agent, or the message's sender
    TARGETS_LOOP = auto()  # on the loop that serves the message's target
    POOL = auto()  # in the database connections
    WRITER = auto()  # in the writer of the database


@frozen
class Step:
    """One step; one that always costs 0 takes no event."""

    place: Place
    cost: Distribution | None  # [s]; None: 0
    per_byte: float = 0.0  # what a byte of what passes adds [s]
