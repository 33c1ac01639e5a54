"""A balancer, as it sends arrivals to nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lhsim.models.nodes import RULES
from lhsim.rules import choose_node, is_down

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from simpy import Environment

    from lhsim.models.memory import MemoryUse
    from lhsim.models.nodes import Nodes
    from lhsim.streams import Purpose


class Balancer:
    """Chooses a node for each arrival, and knows what each of them holds."""

    def __init__(
        self,
        env: Environment,
        nodes: Nodes | None,
        memory: MemoryUse,
        seed: int,
        downtimes: NDArray[np.float64],  # starts, ends [s] and nodes, of shape (3, failures)
    ) -> None:
        self._env = env
        self._downtimes = downtimes
        self.count = 1 if nodes is None else nodes.count
        self._rule = 0 if nodes is None else RULES.index(nodes.rule)
        self._seed = seed
        self._connections = memory.by_node
        self._working = np.zeros(self.count, np.int64)  # what nodes hold beside connections
        self._all_up = np.ones(self.count, np.int64)
        self._turn = 0  # the node after the one chosen last
        has_affinity = nodes is not None and nodes.affinity
        self._homes: dict[int, int] | None = {} if has_affinity else None  # by client

    def choose(self, client: int, purpose: Purpose, entity: int, index: int) -> int:
        """Return the node of an arrival that comes from a client, by the number of the latter."""
        if self.count == 1:
            return 0
        if self._homes is None:
            return self._choose(client, purpose, entity, index)
        if client not in self._homes or self.is_down(self._homes[client]):
            self._homes[client] = self._choose(client, purpose, entity, index)
        return self._homes[client]

    def _choose(self, client: int, purpose: Purpose, entity: int, index: int) -> int:
        loads, up = self._connections + self._working, self._up()
        address = self._seed, int(purpose), entity, index
        node = choose_node(self._rule, client, self._turn, loads, up, up.sum(), *address)
        self._turn = (node + 1) % self.count
        return node

    def _up(self) -> NDArray[np.int64]:
        """Return of each node whether it is up: 1."""
        if self._downtimes.size == 0:
            return self._all_up
        return np.array([not self.is_down(node) for node in range(self.count)], np.int64)

    @property
    def all_are_down(self) -> bool:
        """Whether no node is up."""
        return self._downtimes.size > 0 and not self._up().any()

    def is_down(self, node: int) -> bool:
        """Return whether a node is down now."""
        return self._downtimes.size > 0 and is_down(node, self._env.now, self._downtimes)

    def enter(self, node: int) -> None:
        """Let a node hold one more arrival that takes no place among its connections."""
        self._working[node] += 1

    def leave(self, node: int) -> None:
        """Let a node be done with one of those."""
        self._working[node] -= 1
