"""The bridge: one system brought to life in a SimPy environment.

It holds what both architectures share - the clock, the loops, the store, the network, the memory
and the ledger - and gives the steps of their protocols a name.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, TypeAlias

from simpy import Environment
from simpy.events import Event
from simpy.resources.resource import Resource

from lhsim.metrics.account import Outcome, Window
from lhsim.models import agent as agents_of
from lhsim.models import pauses
from lhsim.models.clients import Failed, Reply
from lhsim.models.cpu import Loop
from lhsim.models.faults import cuts
from lhsim.models.impatient import ImpatientPolling
from lhsim.models.incidents import happen
from lhsim.models.ledger import Ledger, Message
from lhsim.models.limits import Buckets
from lhsim.models.memory import MemoryUse
from lhsim.models.server import resources_of
from lhsim.models.stage import Route, Stage, stage
from lhsim.models.station import Station, Watched
from lhsim.models.store import Store
from lhsim.rules import slowness
from lhsim.streams import Purpose

if TYPE_CHECKING:
    from lhsim.distributions import Distribution
    from lhsim.models.polling import Polling
    from lhsim.models.push import Push
    from lhsim.models.server import ServerProcesses
    from lhsim.models.system import System

Steps: TypeAlias = Generator[Event, Any, None]


class Bridge:
    """A running system of `agents` agents under one seed."""

    def __init__(
        self, system: System, agents: int, seed: int, window: Window, *, keep_messages: bool = False
    ) -> None:
        self.env = Environment()
        self.system = system
        self.agents = agents
        self.seed = seed
        self.agents_per_connection = system.push.agents_per_connection if system.push else 1
        self.ledger = Ledger(window, keep_messages=keep_messages)
        measured = (window.start, window.end)
        stalls = pauses.of_component(system, "store", seed, window.end)
        self.store = Store(self.env, system.store, seed, measured, stalls)
        self.loops = self._start_loops(window, measured)
        self.memory = MemoryUse(system.memory, agents, self.store.log)
        self.parse_message = self.stage(system.cpu.parse_message, Purpose.PARSE_MESSAGE)
        self.write_cpu = self.stage(system.cpu.write, Purpose.WRITE_CPU)
        self._acknowledge = self.stage(system.cpu.acknowledge, Purpose.ACKNOWLEDGE)
        self.message_up = Route(system.network.up, Purpose.MESSAGE_UP, system.network, seed)
        self.request_up = Route(system.network.up, Purpose.REQUEST_UP, system.network, seed)
        self.answer_down = Route(system.network.down, Purpose.ANSWER_DOWN, system.network, seed)
        self._reply_down = Route(system.network.down, Purpose.REPLY_DOWN, system.network, seed)
        self.slowness = self._slowness()
        limit = system.server.rate_limit
        self._buckets = None if limit is None else Buckets(limit)
        self.limited = 0
        self.waiting: dict[Reply, None] = {}  # what clients wait for who may give up, oldest first
        self.given_up = 0
        self.outages = 0  # that last
        self._measured = measured
        self.own_stations: dict[str, Station | Watched] = {}  # of a server of one's own, by name
        self.server = self._serve()
        for name, resource in resources_of(self.server):
            self._found(name, resource)
        self.senders = agents_of.start(self)
        for number, fault in enumerate(cuts(system.faults)):
            self.env.process(happen(self, number, fault))

    @property
    def unreachable(self) -> bool:
        """Whether nobody reaches the server now."""
        return self.outages > 0

    def stage(self, distribution: Distribution | None, purpose: Purpose) -> Stage | None:
        """Return a random cost of this run, or None where it is always 0."""
        return stage(distribution, purpose, self.seed)

    def delay(self, stage: Stage | None, entity: int, index: int) -> Steps:
        """Let a time pass that nothing queues for."""
        if stage is not None:
            yield self.env.timeout(stage.draw(entity, index))

    def think(self, agent: int, stage: Stage | None, entity: int, index: int) -> Steps:
        """Let an agent take its time."""
        if stage is not None:
            yield self.env.timeout(stage.draw(entity, index) * self.slowness.get(agent, 1.0))

    def travel(self, agent: int, route: Route, entity: int, index: int) -> Steps:
        """Let a packet pass the network between `agent` and the server."""
        if route.takes_time:
            yield self.env.timeout(route.delay(entity, index, self.slowness.get(agent, 1.0)))

    def compute(self, agent: int, stage: Stage | None, entity: int, index: int) -> Steps:
        """Work on the loop that serves `agent`."""
        if stage is not None:
            yield self.loop(agent).serve(stage.draw(entity, index))

    def receive(self, message: Message) -> Generator[Event, Any, bool]:
        """Bring a message to the server, which parses it; return whether it is let in."""
        sender, number = message.sender, message.number
        yield from self.travel(sender, self.message_up, sender, number)
        if self.unreachable:
            self.refuse(message)
            return False
        yield from self.compute(sender, self.parse_message, sender, number)
        return self.admit(message)

    def admit(self, message: Message) -> bool:
        """Return whether the rate limit lets a message in; reject it where it does not."""
        if self._buckets is None or self._buckets.take(message.sender, self.env.now):
            return True
        self.limited += len(message.together)
        self.refuse(message)
        return False

    def acknowledge(self, message: Message, *, stored: bool) -> Steps:
        """Answer the sender of a message, which is stored or not."""
        sender, number = message.sender, message.number
        yield from self.compute(sender, self._acknowledge, sender, number)
        if stored:
            self.ledger.acknowledge(message, self.env.now)
        self._reply(message, None if stored else Failed.REFUSED)

    def refuse(self, message: Message) -> None:
        """Reject a message, and let its sender know, at no cost to the server."""
        self.reject(message)
        self._reply(message, Failed.REFUSED)

    def _reply(self, message: Message, answer: Failed | None) -> None:
        if message.reply is not None:
            self.env.process(self._bring_reply(message, message.reply, answer))

    def _bring_reply(self, message: Message, reply: Reply, answer: Failed | None) -> Steps:
        yield from self.travel(message.sender, self._reply_down, message.sender, message.number)
        reply.give(answer)

    def write(
        self, message: Message, visible: Callable[[Message], None]
    ) -> Generator[Event, Any, bool]:
        """Store a message, or reject it; return whether it is stored."""
        stored = yield from self.store.write(message, visible)
        if not stored:
            self.reject(message)
        return stored

    def reject(self, message: Message) -> None:
        """Let a message end, and all that were sent with it, before it is stored."""
        for one in message.together:
            self.ledger.end(one, Outcome.REJECTED, self.env.now)

    def client(self, agent: int) -> int:
        """Return the client of an agent: the first of those that share its connection."""
        return agent - agent % self.agents_per_connection

    def loop(self, agent: int) -> Loop:
        """Return the event loop that serves an agent, and all that share its connection."""
        return self.loops[agent // self.agents_per_connection % len(self.loops)]

    def station(self, name: str, servers: int = 1) -> Station:
        """Return a new station of a server of one's own, which results report under a name.

        Raises
        ------
        ValueError
            When there is one of that name.
        """
        station = Station(self.env, servers, self._measured)
        self.own_stations[self._free(name)] = station
        return station

    def watch(self, name: str, resource: Resource) -> None:
        """Let results report a `simpy.Resource` under a name, as they do a station.

        Those that are attributes of a server's processes once it serves are watched by themselves.

        Raises
        ------
        ValueError
            When there is one of that name.
        """
        self.own_stations[self._free(name)] = Watched(resource, self._measured)

    def _found(self, name: str, resource: Station | Resource) -> None:
        """Report what a server's processes hold, unless that is done already."""
        known = self.stations().values()
        if resource in [one.resource if isinstance(one, Watched) else one for one in known]:
            return
        name = f"own {name}" if name in self._taken() else name
        made = resource if isinstance(resource, Station) else Watched(resource, self._measured)
        self.own_stations[self._free(name)] = made

    def _taken(self) -> set[str]:
        return {"cpu", "connections", *self.stations()}

    def _free(self, name: str) -> str:
        if name in self._taken():
            raise ValueError(f"two stations are called {name!r}")
        return name

    def stations(self) -> dict[str, Station | Watched]:
        """Return the stations by name, all loops as ``cpu 0``, ``cpu 1``, ..."""
        loops = {f"cpu {number}": loop for number, loop in enumerate(self.loops)}
        return {**loops, **self.store.stations, **self.own_stations}

    def _serve(self) -> Polling | Push | ServerProcesses:
        polling, faults = self.system.polling, self.system.faults
        if polling is not None and (polling.client_timeout is not None or cuts(faults)):
            return ImpatientPolling(polling, self)
        return self.system.server.serve(self)

    def _slowness(self) -> dict[int, float]:
        """Return by what the delays of the slow agents are multiplied."""
        slow = self.system.workload.slow
        if slow is None:
            return {}
        return {
            agent: slow.factor
            for agent in range(self.agents)
            if slowness(slow.share, slow.factor, agent, self.seed) != 1.0
        }

    def _start_loops(self, window: Window, measured: tuple[float, float]) -> list[Loop]:
        cpu = self.system.cpu
        stalls = pauses.of_component(self.system, "cpu", self.seed, window.end)
        slow = pauses.slow(self.system, self.seed, window.end)
        cost = cpu.collection.cost if cpu.collection else None
        collection = self.stage(cost, Purpose.COLLECTION)
        return [
            Loop(self.env, number, cpu, measured, stalls, slow, collection)
            for number in range(cpu.workers)
        ]
