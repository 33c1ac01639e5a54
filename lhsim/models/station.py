"""The FIFO station: c servers, one waiting line, one event per service.

This is the only place where work queues. A service starts at once when a server is free, else when
its turn comes; its completion is the only event. On completion, in this order: the effect of the
service happens (a write becomes visible), the head of the line starts, the owner continues. The
station's own callback is attached when the event is created; attached at the start of the service,
the owner of a queued service would run first.

A trajectory is the same as with `simpy.Resource`, at less than half the events.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from simpy import Environment
from simpy.events import NORMAL, URGENT, Event
from simpy.resources.resource import Resource

from lhsim.rules import first_spell, part_inside, stretched

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# A time [s], or what gives it when the service begins, where it depends on the state by then.
Demand: TypeAlias = float | Callable[[], float]


def let_go(event: Event) -> None:
    """Let who waits for an event go on as a process that starts does.

    That is when this event has been dealt with, and before any other that is due.
    """
    event._ok, event._value = True, None
    event.env.schedule(event, URGENT)


class StallTimes:
    """The stalls of one component, in order and disjoint."""

    def __init__(self, times: NDArray[np.float64]) -> None:
        self.starts, self.ends = times
        self._first = 0  # of those that have not ended

    def from_now(self, now: float) -> int:
        """Return the number of the first stall that has not ended by `now` [s]; never go back."""
        self._first = first_spell(now, self.ends, self._first)
        return self._first

    def stretch(self, now: float, demand: float) -> float:
        """Return how long a service of `demand` [s] takes that begins at `now`; never go back."""
        return stretched(now, demand, self.starts, self.ends, self.from_now(now))


class Service(Event):
    """The completion of one service. Its value is what `begin` returned when the service began."""

    def __init__(
        self,
        station: Station,
        demand: Demand,
        begin: Callable[[], Any] | None,
        effect: Callable[[], None] | None,
    ) -> None:
        # As in simpy's Timeout, without a call of Event.__init__: there is one for each service.
        self.env = station.env
        self.callbacks = [station.complete]
        self.demand = demand
        self.begin = begin
        self.effect = effect


class Station:
    """c servers and a waiting line, first come, first served.

    Parameters
    ----------
    env
        The clock.
    servers
        How many services run at a time.
    measured
        The window [from, to) in which its busy time counts [s].
    stalls
        When it stands still; None: never.
    """

    def __init__(
        self,
        env: Environment,
        servers: int,
        measured: tuple[float, float],
        stalls: StallTimes | None = None,
    ) -> None:
        self.env = env
        self.servers = servers
        self.busy = 0
        self.waiting: deque[Service] = deque()
        self.busy_time = 0.0  # server-seconds inside the measured window
        self._measured_from, self._measured_to = measured
        self._stalls = stalls

    @property
    def queued(self) -> int:
        """How many services wait."""
        return len(self.waiting)

    def serve(
        self,
        demand: Demand,
        begin: Callable[[], Any] | None = None,
        effect: Callable[[], None] | None = None,
    ) -> Service:
        """Return the event of the completion of a service of `demand` [s] that queues from now.

        `begin` is called when the service begins, `effect` when it ends.
        """
        service = Service(self, demand, begin, effect)
        if self.busy < self.servers:
            self._start(service)
        else:
            self.waiting.append(service)
        return service

    def duration(self, demand: float) -> float:
        """Return how long a service of `demand` that begins now keeps its server [s]."""
        return demand if self._stalls is None else self._stalls.stretch(self.env.now, demand)

    def complete(self, service: Service) -> None:
        """End a service: its effect, then the start of the next; its owner continues after."""
        self.busy -= 1
        if service.effect is not None:
            service.effect()
        if self.waiting:
            self._start(self.waiting.popleft())

    def _start(self, service: Service) -> None:
        self.busy += 1
        now = self.env.now
        demand = service.demand
        duration = self.duration(demand() if callable(demand) else demand)
        self._occupy(now, duration)
        service._ok = True
        service._value = service.begin() if service.begin is not None else None
        self.env.schedule(service, NORMAL, duration)

    def _occupy(self, now: float, duration: float) -> None:
        """Count what of a service of `duration` from `now` on is measured [s]."""
        low, high = self._measured_from, self._measured_to
        if now >= low and now + duration <= high:
            self.busy_time += duration
        else:
            self.busy_time += part_inside(now, now + duration, low, high)


class Watched:
    """A `simpy.Resource` of a server of your own, with the busy time that a station has.

    A user of the resource is a server that is busy. The times add up whenever users come or go:
    SimPy's own way to monitor a resource is to wrap what lets them.
    """

    def __init__(self, resource: Resource, measured: tuple[float, float]) -> None:
        self.resource = resource
        self._env = resource._env
        self._measured_from, self._measured_to = measured
        self._since = float(self._env.now)
        self._total = 0.0  # server-seconds inside the measured window, up to `_since`
        for name in ("_do_put", "_do_get"):
            setattr(resource, name, self._counted(getattr(resource, name)))

    @property
    def servers(self) -> int:
        """How many users it has at a time."""
        return int(self.resource.capacity)

    @property
    def queued(self) -> int:
        """How many requests wait for it."""
        return len(self.resource.queue)

    @property
    def busy_time(self) -> float:
        """Server-seconds inside the measured window, up to now."""
        self._count()
        return self._total

    def _counted(self, change: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def counted(event: Any) -> Any:
            self._count()
            return change(event)

        return counted

    def _count(self) -> None:
        now, low, high = float(self._env.now), self._measured_from, self._measured_to
        self._total += self.resource.count * part_inside(self._since, now, low, high)
        self._since = now
