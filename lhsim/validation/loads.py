"""How large a load is that uses so much of the server, guessed from the runs before.

A message costs less the busier the server is: its caches stay warm. Runs of a few seconds scatter
too much to tell how fast the cost falls, so that is taken from other runs, and each load is guessed
from the nearest one.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from lhsim.calibration.levels import FALL


@frozen
class Cost:
    """What a message costs at a load."""

    used: float  # part of a core
    seconds: float  # of the core, for a message [s]


def load_that_uses(part: float, costs: Sequence[Cost]) -> float:
    """Return the load [messages/s] that uses so much of a core."""
    nearest = min(costs, key=lambda cost: abs(cost.used - part))
    return float(part / (nearest.seconds * (part / nearest.used) ** -FALL))
