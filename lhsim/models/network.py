"""The network between the agents and the server: a delay each way, without a queue."""

from __future__ import annotations

from attrs import frozen

from lhsim.distributions import Distribution
from lhsim.models.workload import ZERO


@frozen
class Network:
    """One-way delays; independent, so that a later packet may overtake an earlier one."""

    up: Distribution = ZERO  # from an agent to the server [s]
    down: Distribution = ZERO  # from the server to an agent [s]
