"""Limits on the rate of messages, a token bucket for each agent, and on processors that are shared.

A bucket is kept as the time at which it will be full again, the theoretical arrival time of the
generic cell rate algorithm (ITU-T I.371, annex A): one number an agent, and no sum of small
refills.
"""

from __future__ import annotations

from attrs import field, frozen

from lhsim.checks import rate, whole
from lhsim.errors import InputError
from lhsim.rules import take_token
from lhsim.units import PerSecond

MOST_SHARED = 1024  # processors of a time-shared station


@frozen
class RateLimit:
    """A token bucket per agent: a message takes a token, or is rejected if there is none.

    By the time t a bucket has given floor(burst + rate t) tokens at most.
    """

    rate: PerSecond = field(validator=rate)  # tokens that a bucket gets [1/s]
    burst: int = field(validator=whole(1))  # tokens that it holds at most, and at first


class Buckets:
    """The buckets of all agents."""

    def __init__(self, limit: RateLimit) -> None:
        self._interval = 1 / limit.rate
        self._burst = float(limit.burst)
        self._full_at: dict[int, float] = {}  # by agent [s]

    def take(self, agent: int, now: float) -> bool:
        """Take a token of an agent; return whether there was one."""
        full_at = take_token(now, self._full_at.get(agent, 0.0), self._interval, self._burst)
        if full_at < 0:
            return False
        self._full_at[agent] = full_at
        return True


def check_sharing(processors: int, quantum: float | None, switch: float, name: str) -> None:
    """Refuse a time-shared station of too many processors, or a switch where there is none."""
    if quantum is not None and processors > MOST_SHARED:
        allowed = f"at most {MOST_SHARED:,} where they are shared in slices of time"
        raise InputError(f"{processors:,} are too many", key=name, allowed=allowed)
    if switch > 0 and not quantum:
        allowed = "0, or a quantum > 0 s"
        raise InputError("has no slices to switch between", key="switch", allowed=allowed)
