"""The network between the agents and the server: a delay each way, without a queue.

Jitter is a delay that is random: `up` and `down` are distributions. A lost packet is sent again, as
TCP does: loss costs time, and never a message.
"""

from __future__ import annotations

from attrs import field, frozen

from lhsim.checks import positive, rate, within
from lhsim.distributions import Distribution
from lhsim.distributions.base import ZERO
from lhsim.units import BytesPerSecond, Seconds


@frozen
class Network:
    """One-way delays; independent, so that a later packet may overtake an earlier one."""

    up: Distribution = ZERO  # from an agent to the server [s]
    down: Distribution = ZERO  # from the server to an agent [s]
    loss: float = field(default=0.0, validator=within(0, 0.5))  # probability, of each transmission
    # After which a lost packet is sent again, twice as long each time [s].
    retransmission_timeout: Seconds = field(default=0.2, validator=positive)
    # Of an agent's own link, each way: a message takes its size over this longer [B/s]; None: it is
    # not limited.
    bandwidth: BytesPerSecond | None = field(default=None, validator=rate)

    @property
    def per_byte(self) -> float:
        """What each byte of a message adds to its way [s]."""
        return 0.0 if self.bandwidth is None else 1 / self.bandwidth
