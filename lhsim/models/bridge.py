"""The bridge: what the processes of a running system share.

The clock, the loops, the store, the network, the memory and the ledger, and the steps of which
protocols are made. It knows neither a server nor its agents: `lhsim.models.running` starts those.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from simpy.events import Event
from simpy.resources.resource import Resource

from lhsim.metrics.account import Outcome
from lhsim.models.limits import Buckets
from lhsim.models.replies import Failed, Reply, Waiting
from lhsim.models.stage import Route, Stage, stage
from lhsim.models.station import Service, Station, Watched
from lhsim.streams import Purpose

if TYPE_CHECKING:
    from lhsim.distributions import Distribution
    from lhsim.models.balancer import Balancer
    from lhsim.models.database import Store
    from lhsim.models.ledger import Ledger, Message
    from lhsim.models.limits import RateLimit
    from lhsim.models.loop import Processor
    from lhsim.models.memory import MemoryUse
    from lhsim.models.network import Network
    from lhsim.models.step import Step
    from lhsim.models.workload import Workload

Steps: TypeAlias = Generator[Event, Any, None]
Stages: TypeAlias = "tuple[Stage | None, ...]"  # by class of agents
Routes: TypeAlias = "tuple[Route, ...]"  # by class of agents


class Bridge:
    """What the processes of `agents` agents and their server use, under one seed."""

    def __init__(
        self,
        *,
        agents: int,
        seed: int,
        measured: tuple[float, float],
        workload: Workload,
        steps: Sequence[Mapping[Purpose, Step]],
        networks: Sequence[Network],
        loops: list[Processor],
        store: Store,
        memory: MemoryUse,
        balancer: Balancer,
        ledger: Ledger,
        rate_limit: RateLimit | None,
        agents_per_connection: int,
        slowness: Mapping[int, float],
    ) -> None:
        self.env = store.env
        self.agents = agents
        self.seed = seed
        self.measured = measured  # busy times count from, to [s]
        self.workload = workload
        self.loops = loops
        self.store = store
        self.memory = memory
        self.balancer = balancer
        self.ledger = ledger
        self.agents_per_connection = agents_per_connection
        self.slowness = slowness  # by slow agent: by what its delays are multiplied
        self.population = ledger.population
        self._steps = steps  # of the protocol, for each class of agents
        self._networks = networks  # of each class
        self._payloads = [self.stage(one.payload, Purpose.PAYLOAD) for one in workload.kinds]
        self.parse_message = self.step(Purpose.PARSE_MESSAGE)
        self.write_cpu = self.step(Purpose.WRITE_CPU)
        self._acknowledge = self.step(Purpose.ACKNOWLEDGE)
        self.message_up = self.route(Purpose.MESSAGE_UP)
        self.request_up = self.route(Purpose.REQUEST_UP)
        self.answer_down = self.route(Purpose.ANSWER_DOWN)
        self._reply_down = self.route(Purpose.REPLY_DOWN)
        self._buckets = None if rate_limit is None else Buckets(rate_limit)
        self.limited = 0
        self.waiting = Waiting(self.env)
        self.outages = 0  # in progress
        self.own_stations: dict[str, Station | Watched] = {}  # of a server of your own, by name

    @property
    def unreachable(self) -> bool:
        """Whether the server is unreachable now: an outage, or a failure of all nodes."""
        return self.outages > 0 or self.balancer.all_are_down

    def stage(self, distribution: Distribution | None, purpose: Purpose) -> Stage | None:
        """Return a random cost of this run, or None where it is always 0."""
        return stage(distribution, purpose, self.seed)

    def step(self, purpose: Purpose) -> Stage | None:
        """Return the cost of a step of the protocol, or None where it takes no time."""
        return self._step(self._steps[0], purpose)

    def steps(self, purpose: Purpose) -> Stages:
        """Return the cost of a step that depends on the agent, for each class of agents."""
        return tuple(self._step(of_class, purpose) for of_class in self._steps)

    def _step(self, steps: Mapping[Purpose, Step], purpose: Purpose) -> Stage | None:
        step = steps.get(purpose)
        return None if step is None else stage(step.cost, purpose, self.seed, step.per_byte)

    def route(self, purpose: Purpose) -> Routes:
        """Return a way through the network that the protocol has, for each class of agents."""
        return tuple(
            Route(step.cost, purpose, network, self.seed, step.per_byte)
            for step, network in zip(
                (of_class[purpose] for of_class in self._steps), self._networks, strict=True
            )
        )

    def size_of(self, sender: int, sending: int) -> float:
        """Return how many bytes each message has that an agent sends together as its `sending`."""
        payload = self._payloads[self.population.class_of(sender)]
        return 0.0 if payload is None else payload.draw(sender, sending)

    def delay(self, stage: Stage | None, entity: int, index: int) -> Steps:
        """Wait for a time for which nothing queues."""
        if stage is not None:
            yield self.env.timeout(stage.draw(entity, index))

    def of(self, agent: int, stages: Stages) -> Stage | None:
        """Return the cost of a step for an agent, of those of each class."""
        return stages[self.population.class_of(agent)]

    def think(self, agent: int, stage: Stage | None, entity: int, index: int) -> Steps:
        """Wait while an agent thinks."""
        if stage is not None:
            yield self.env.timeout(stage.draw(entity, index) * self.slowness.get(agent, 1.0))

    def travel(
        self, agent: int, routes: Routes, entity: int, index: int, size: float = 0.0
    ) -> Steps:
        """Carry so many bytes over the network between `agent` and the server."""
        route = routes[self.population.class_of(agent)]
        if route.takes_time:
            slowness = self.slowness.get(agent, 1.0)
            yield self.env.timeout(route.delay(entity, index, slowness, size))

    def compute(
        self,
        agent: int,
        stage: Stage | None,
        entity: int,
        index: int,
        node: int = 0,
        size: float = 0.0,
    ) -> Steps:
        """Work on the loop of a node that serves `agent`, with so many bytes."""
        if stage is not None:
            address = stage.purpose, entity, index
            yield self._serve(agent, node, address, stage.cost(entity, index, size))

    def _serve(
        self, agent: int, node: int, _address: tuple[int, int, int], demand: float
    ) -> Service:
        """Return the service of a step on a loop, which its address names."""
        return self.loop(agent, node).serve(demand)

    def receive(self, message: Message) -> Generator[Event, Any, bool]:
        """Bring a message to the server, which parses it; return whether it is let in."""
        sender, number, size = message.sender, message.number, message.size
        yield from self.travel(sender, self.message_up, sender, number, size)
        if self.unreachable:
            self.refuse(message)
            return False
        self._enter(message)
        yield from self.compute(sender, self.parse_message, sender, number, message.node, size)
        return self.admit(message)

    def choose_node(self, agent: int, purpose: Purpose, entity: int, index: int) -> int:
        """Return the node to which the balancer sends what comes from an agent."""
        client = agent // self.agents_per_connection
        return self.balancer.choose(client, purpose, entity, index)

    def _enter(self, message: Message) -> None:
        """Let a message, and all sent with it, come to a node."""
        address = Purpose.NODE_OF_MESSAGE, message.sender, message.number
        node = self.choose_node(message.sender, *address)
        for one in message.together:
            one.node = node
        if message.reply is not None:
            message.reply.node = node
        self.balancer.enter(node)

    def _leave(self, message: Message) -> None:
        """Let a message, and all sent with it, leave its node."""
        if message.reply is not None:
            message.reply.node = None
        self.balancer.leave(message.node)

    def admit(self, message: Message) -> bool:
        """Return whether the rate limit lets a message in; reject it where it does not."""
        if not self.exceeds_limit(message):
            return True
        self._leave(message)
        self.refuse(message)
        return False

    def exceeds_limit(self, message: Message) -> bool:
        """Return whether a message's sender has no token left; take one where there is."""
        if self._buckets is None or self._buckets.take(message.sender, self.env.now):
            return False
        self.limited += len(message.together)
        return True

    def acknowledge(self, message: Message, *, stored: bool) -> Steps:
        """Answer the sender of a message, whether it was stored or not."""
        sender, number = message.sender, message.number
        yield from self.compute(sender, self._acknowledge, sender, number, message.node)
        self._leave(message)
        if stored:
            self.ledger.acknowledge(message, self.env.now)
        self._reply(message, None if stored else Failed.REFUSED)

    def refuse(self, message: Message) -> None:
        """Reject a message and tell its sender, at no cost to the server."""
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
        """End a message, and all sent with it, before it is stored."""
        for one in message.together:
            self.ledger.end(one, Outcome.REJECTED, self.env.now)

    def client(self, agent: int) -> int:
        """Return the client of an agent: the first of those that share its connection."""
        return agent - agent % self.agents_per_connection

    def loop(self, agent: int, node: int = 0) -> Processor:
        """Return the event loop of a node that serves an agent, and all that share its connection.

        By ``hash``, node i mod n has the clients i, i + n, ...: each loop gets its part of those.
        """
        nodes = self.balancer.count
        loops = len(self.loops) // nodes  # of each node
        number = agent // self.agents_per_connection // nodes % loops
        return self.loops[node * loops + number]

    def station(self, name: str, servers: int = 1) -> Station:
        """Return a new station of the user's own server; results report it under `name`.

        Raises
        ------
        ValueError
            When there is one of that name.
        """
        station = Station(self.env, servers, self.measured)
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
        self.own_stations[self._free(name)] = Watched(resource, self.measured)

    def adopt(self, name: str, resource: Station | Resource) -> None:
        """Report a station or resource of a server's processes, unless it is known already."""
        known = self.stations().values()
        if resource in [one.resource if isinstance(one, Watched) else one for one in known]:
            return
        name = f"own {name}" if name in self._taken() else name
        made = resource if isinstance(resource, Station) else Watched(resource, self.measured)
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
