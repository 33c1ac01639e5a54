"""The memory of the server: a base, and so much per agent, connection and stored event."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from attrs import field, frozen

from lhsim.checks import non_negative
from lhsim.units import Bytes

if TYPE_CHECKING:
    from lhsim.models.log import Log


@frozen
class Memory:
    """What the server holds in memory."""

    baseline: Bytes = field(default=0.0, validator=non_negative)  # with no agent [B]
    per_agent: Bytes = field(default=0.0, validator=non_negative)  # for each agent known [B]
    per_connection: Bytes = field(default=0.0, validator=non_negative)  # held or push [B]
    per_event: Bytes = field(default=0.0, validator=non_negative)  # kept in memory [B]


class MemoryUse:
    """The memory in use, and its peak, as connections and events come and go."""

    def __init__(self, memory: Memory, agents: int, log: Log, nodes: int = 1) -> None:
        self._memory = memory
        self._agents = agents
        self.connections = 0
        self.by_node = np.zeros(nodes, np.int64)  # of these
        self.peak_connections = 0
        self._log = log
        self.peak = self.current

    @property
    def current(self) -> float:
        """The memory in use now [B]."""
        memory = self._memory
        return (
            memory.baseline
            + memory.per_agent * self._agents
            + memory.per_connection * self.connections
            + memory.per_event * self._log.kept
        )

    def connect(self, node: int = 0) -> None:
        """Count one more connection."""
        self.connections += 1
        self.by_node[node] += 1
        self.peak_connections = max(self.peak_connections, self.connections)
        self.peak = max(self.peak, self.current)

    def disconnect(self, node: int = 0) -> None:
        """Count one connection fewer."""
        self.connections -= 1
        self.by_node[node] -= 1

    def store(self) -> None:
        """Record that an event was stored."""
        self.peak = max(self.peak, self.current)
