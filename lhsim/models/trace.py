"""A trace: each step that a run of SimPy processes takes, with its times.

A step is known by the address of its draw, so what a trace needs is what the bridge and the store
are told anyway. A run that is traced gives the result of one that is not, to the bit.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import nan
from typing import TYPE_CHECKING, Any, NamedTuple

from lhsim.models.bridge import Bridge, Routes, Steps
from lhsim.models.database import Store
from lhsim.models.sharing import Job
from lhsim.streams import Purpose

if TYPE_CHECKING:
    from simpy.events import Event

    from lhsim.models.stage import Stage
    from lhsim.models.station import Demand, Service, Station


class Passed(NamedTuple):
    """One step of a run, once it is over; times in seconds."""

    purpose: int  # with entity and draw the address of what it costs
    entity: int
    draw: int
    agent: int  # whose loop, network or time it takes
    place: str  # "cpu", "store", "writer", "network", "link", "agent" or "delay"
    arrived: float
    began: float  # when it was first served
    ended: float
    drawn: float  # what it costs by its distribution; NaN: all that it cost
    cost: float  # what it cost where cores are shared; NaN: all from `began` on, but for pauses


class Trace:
    """The steps of a run, in the order in which they ended."""

    def __init__(self) -> None:
        self.steps: list[Passed] = []

    def follow(
        self,
        address: tuple[int, int, int],
        agent: int,
        station: tuple[str, Station],
        demand: Demand,
        *,
        begin: Callable[[], Any] | None = None,
        effect: Callable[[], None] | None = None,
    ) -> Service:
        """Return a service whose step is noted when it is over, before its owner goes on."""
        place, served = station
        env, began = served.env, [nan]

        def begins() -> Any:
            began[0] = env.now
            return None if begin is None else begin()

        def ends(arrived: float, over: Event) -> None:
            drawn = nan if callable(demand) else demand
            cost = over.cost if isinstance(over, Job) else nan
            times = arrived, began[0], env.now
            self.steps.append(Passed(*address, agent, place, *times, drawn, cost))

        service = served.serve(demand, begins, effect)
        service.callbacks.append(partial(ends, env.now))
        return service

    def wait(
        self, address: tuple[int, int, int], agent: int, place: str, since: float, now: float
    ) -> None:
        """Note a step for which nothing queues."""
        self.steps.append(Passed(*address, agent, place, since, since, now, nan, nan))


class TracedBridge(Bridge):
    """A bridge that notes the steps of messages and agents."""

    def __init__(self, trace: Trace, **parts: Any) -> None:
        self._trace = trace
        super().__init__(**parts)

    def delay(self, stage: Stage | None, entity: int, index: int) -> Steps:
        """Wait for a time for which nothing queues."""
        since = self.env.now
        yield from super().delay(stage, entity, index)
        if stage is not None:
            address = stage.purpose, entity, index
            place = "link" if stage.purpose == Purpose.LINK else "delay"
            self._trace.wait(address, entity, place, since, self.env.now)

    def think(self, agent: int, stage: Stage | None, entity: int, index: int) -> Steps:
        """Wait while an agent thinks."""
        since = self.env.now
        yield from super().think(agent, stage, entity, index)
        if stage is not None:
            address = stage.purpose, entity, index
            self._trace.wait(address, agent, "agent", since, self.env.now)

    def travel(
        self, agent: int, routes: Routes, entity: int, index: int, size: float = 0.0
    ) -> Steps:
        """Carry so many bytes over the network between `agent` and the server."""
        since, route = self.env.now, routes[self.population.class_of(agent)]
        yield from super().travel(agent, routes, entity, index, size)
        if route.takes_time:
            address = route.purpose, entity, index
            self._trace.wait(address, agent, "network", since, self.env.now)

    def _serve(
        self, agent: int, node: int, address: tuple[int, int, int], demand: float
    ) -> Service:
        return self._trace.follow(address, agent, ("cpu", self.loop(agent, node)), demand)


class TracedStore(Store):
    """A store that notes its queries and its transactions."""

    def __init__(self, trace: Trace, *parts: Any) -> None:
        super().__init__(*parts)
        self._trace = trace
        self._names = {station: name for name, station in self.stations.items()}

    def _serve(
        self,
        station: Station,
        purpose: Purpose,
        entity: int,
        index: int,
        demand: Demand,
        *,
        begin: Callable[[], Any] | None = None,
        effect: Callable[[], None] | None = None,
    ) -> Service:
        place, address = (self._names[station], station), (purpose, entity, index)
        return self._trace.follow(address, entity, place, demand, begin=begin, effect=effect)
