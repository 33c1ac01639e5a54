"""What a reader of durations found: their distribution, and what it leaves open."""

from __future__ import annotations

from attrs import frozen

from lhsim.distributions import Quantiles


@frozen
class Durations:
    """How long requests took."""

    distribution: Quantiles
    requests: float  # how many of them
    notes: tuple[str, ...] = ()  # what the source cannot tell, for people
