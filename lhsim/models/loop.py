"""The server's processor: its event loops, or the cores that its operations share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lhsim.models.sharing import ProcessorSharing, TimeShared
from lhsim.models.station import Service, Station, let_go
from lhsim.rules import first_spell, idle_cost, slopes, times_as_long

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from simpy import Environment
    from simpy.events import Event

    from lhsim.models.cpu import Cpu
    from lhsim.models.stage import Stage
    from lhsim.models.station import StallTimes


class SlowSpells:
    """The spells in which a processor is slow, in order and disjoint."""

    def __init__(self, spells: NDArray[np.float64]) -> None:
        self._starts, self._ends, self._factors = spells
        self._first = 0  # of those that have not ended

    def times_as_long(self, now: float) -> float:
        """Return how many times as long an operation takes that begins `now`; never go back."""
        self._first = first_spell(now, self._ends, self._first)
        return times_as_long(now, self._starts, self._factors, self._first)

    def factors(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the same for operations that begin at any times [s], of that shape."""
        first = np.minimum(np.searchsorted(self._ends, times, side="right"), len(self._ends) - 1)
        slow = (self._starts[first] <= times) & (times < self._ends[first])
        return np.where(slow, self._factors[first], 1.0)


class Processor(Station):
    """A station whose costs are those of a processor: it cools while idle, collects garbage, slows.

    What kind of station it is, its subclasses say: a `Loop`, or cores that are shared.
    """

    def __init__(
        self,
        env: Environment,
        number: int,
        cpu: Cpu,
        measured: tuple[float, float],
        stalls: StallTimes | None,
        slow: SlowSpells | None,
        collection: Stage | None,
        **sharing: float,
    ) -> None:
        super().__init__(env, cpu.cores, measured, stalls, **sharing)
        self._number = number
        self._every = cpu.collection.every if cpu.collection else 0
        self._collection = collection
        self._slow = slow
        self.has_turns = cpu.turn > 0
        self._turn = cpu.turn
        self._in_turn = 0  # operations that are left of the turn
        self._warmth = cpu.warmth
        if cpu.warmth:
            self._curve = slopes(np.array(cpu.warmth.gaps), np.array(cpu.warmth.excess))
        self._cold_factor = 0.0  # x of `Warmth`
        self._idle_since = -np.inf  # a loop begins as cold as it can be
        self._operations = 0
        self.work_time = 0.0  # busy time less the stalls in it, inside the measured window [s]

    def duration(self, demand: float) -> float:
        """Return how long an operation of base cost `demand` that begins now takes [s]."""
        return super().duration(self.cost(demand))

    def cost(self, demand: float) -> float:
        """Return what an operation of base cost `demand` costs that begins now [s]."""
        cost = self._cost(demand)
        if self._measured_from <= self.env.now < self._measured_to:
            self.work_time += cost
        return cost

    def _cost(self, demand: float) -> float:
        if self.has_turns:
            demand += self._cost_of_turn()
        cost = demand
        if self._warmth is not None:
            gap, memory = self.env.now - self._idle_since, self._warmth.memory
            cost, self._cold_factor = idle_cost(demand, gap, self._cold_factor, self._curve, memory)
        if self._collection is not None:
            self._operations += 1
            if self._operations % self._every == 0:
                cost += self._collection.draw(self._number, self._operations // self._every - 1)
        if self._slow is not None:
            cost *= self._slow.times_as_long(self.env.now)
        return cost

    def _cost_of_turn(self) -> float:
        """Return what an operation pays that begins now: where it begins a turn, all of that."""
        if self._in_turn:
            self._in_turn -= 1
            return 0.0
        self._in_turn = len(self.waiting)
        return self._turn

    def freed(self) -> None:
        """Note that from now on it may be idle."""
        self._idle_since = self.env.now


class Loop(Processor):
    """One event loop, or cores with one waiting line: operations are served in their order."""

    _turn_is_over = True  # with the last operation that was done
    _held: list[Event] | None = None  # what waits for the end of the turn

    def hold_answers(self) -> None:
        """Let answers wait for the ends of turns."""
        self.has_turns, self._held = True, []

    def end_of_turn(self) -> Event | None:
        """Return when the turn ends in which an operation was done just now; None: it has ended."""
        if self._held is None or self._turn_is_over:
            return None
        self._held.append(self.env.event())
        return self._held[-1]

    def complete(self, service: Service) -> None:
        """End an operation."""
        self.freed()
        if self._held is not None:
            self._end_turn(self._held)
        super().complete(service)

    def _end_turn(self, held: list[Event]) -> None:
        """Let what waits for the end of the turn go on, if this was its last operation."""
        self._turn_is_over = self._in_turn == 0
        if self._turn_is_over:
            for event in held:
                let_go(event)
            held.clear()


class SharedCores(Processor, TimeShared):
    """Cores that operations share in slices of time."""


class EqualCores(Processor, ProcessorSharing):
    """Cores that all operations share equally."""


def processor(
    env: Environment,
    number: int,
    cpu: Cpu,
    measured: tuple[float, float],
    stalls: StallTimes | None,
    slow: SlowSpells | None,
    collection: Stage | None,
) -> Processor:
    """Return the loop `number` of a server, or its cores."""
    if cpu.quantum is None:
        return Loop(env, number, cpu, measured, stalls, slow, collection)
    if cpu.quantum == 0:
        return EqualCores(env, number, cpu, measured, stalls, slow, collection)
    sharing = {"quantum": cpu.quantum, "switch": cpu.switch}
    return SharedCores(env, number, cpu, measured, stalls, slow, collection, **sharing)
