"""A random quantity of the model, drawn by address."""

from __future__ import annotations

from array import array

import numpy as np

from lhsim.distributions import Distribution
from lhsim.models.network import Network
from lhsim.rules import LOSSES, draw_block, retransmission_delay
from lhsim.streams import Purpose, uniform

BLOCK = 16  # draws of an entity that are made at a time: a call from Python costs more than a draw


class Stage:
    """What one step costs: a quantile table, and the purpose and seed that address its draws."""

    __slots__ = ("_blocks", "_cells", "_seed", "per_byte", "purpose")

    def __init__(
        self, distribution: Distribution, purpose: Purpose, seed: int, per_byte: float = 0.0
    ) -> None:
        self._cells = distribution.table().cells
        self.per_byte = per_byte  # what a byte adds [s]
        self.purpose = int(purpose)  # a plain number: Numba takes 100 times longer over an enum
        self._seed = seed
        self._blocks: dict[int, tuple[int, array[float]]] = {}  # by entity: first index, values

    def cost(self, entity: int, index: int, size: float) -> float:
        """Return what the step costs [s] for an entity and an index, of so many bytes."""
        drawn = self.draw(entity, index)
        return drawn + self.per_byte * size if self.per_byte else drawn

    def draw(self, entity: int, index: int) -> float:
        """Return the value [s] for an entity and an index; see `Purpose` for what they are."""
        block = self._blocks.get(entity)
        if block is not None:
            first, values = block
            if first <= index < first + BLOCK:
                return values[index - first]
        values = self._draw_block(entity, index)
        self._blocks[entity] = (index, values)
        return values[0]

    def _draw_block(self, entity: int, first: int) -> array[float]:
        values = array("d", bytes(8 * BLOCK))  # gives plain floats, in a tenth of a list's memory
        out = np.frombuffer(values)
        draw_block(self._cells, self._seed, self.purpose, entity, first, out)
        return values


def stage(
    distribution: Distribution | None, purpose: Purpose, seed: int, per_byte: float = 0.0
) -> Stage | None:
    """Return the stage, or None where it does not exist: a cost that is always 0 takes no event."""
    if distribution is None or (distribution.table().is_zero and not per_byte):
        return None
    return Stage(distribution, purpose, seed, per_byte)


class Route:
    """A way through the network: a random delay, and perhaps losses."""

    def __init__(
        self,
        distribution: Distribution | None,
        purpose: Purpose,
        network: Network,
        seed: int,
        per_byte: float = 0.0,
    ) -> None:
        self._stage = stage(distribution, purpose, seed, per_byte)
        self._loss = network.loss
        self._timeout = network.retransmission_timeout
        self._losses = LOSSES[purpose]
        self.purpose = purpose
        self._seed = seed

    @property
    def takes_time(self) -> bool:
        """Whether a packet may have a delay."""
        return self._stage is not None or self._loss > 0

    def delay(self, entity: int, index: int, slowness: float, size: float) -> float:
        """Return the delay of what has so many bytes, retransmissions included [s]."""
        stage = self._stage
        delay = 0.0 if stage is None else stage.cost(entity, index, size) * slowness
        if self._loss > 0:
            u = uniform(self._seed, self._losses, entity, index)
            delay += retransmission_delay(u, self._loss, self._timeout)
        return delay
