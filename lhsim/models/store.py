"""The event store: a pool of database connections, a writer, and a log that grows."""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import field, frozen

from lhsim.checks import non_negative, whole
from lhsim.distributions import Distribution
from lhsim.models.stage import stage
from lhsim.models.station import Demand, Station
from lhsim.models.workload import ZERO
from lhsim.streams import Purpose
from lhsim.units import Seconds

if TYPE_CHECKING:
    from simpy import Environment
    from simpy.events import Event

    from lhsim.models.ledger import Message

T = TypeVar("T")


@frozen
class EventStore:
    """The database: what a query and a write wait for, besides the processor's part of them.

    Queries share `connections` connections. With a `single_writer`, as SQLite has it, writes take
    turns of their own and leave the readers alone; without, they share the connections.
    """

    query: Distribution = ZERO  # service time of a query [s]
    write: Distribution = ZERO  # service time of a write [s]
    connections: int = field(default=10, validator=whole(1))  # queries served at a time
    single_writer: bool = False
    scan: Seconds = field(default=0.0, validator=non_negative)  # more per query and event kept [s]
    events: int = field(default=0, validator=whole(0))  # events in the log at the start


class Store:
    """The running event store."""

    def __init__(
        self, env: Environment, store: EventStore, seed: int, measured: tuple[float, float]
    ) -> None:
        self._env = env
        self._scan = store.scan
        self._query = stage(store.query, Purpose.QUERY, seed)
        self._write = stage(store.write, Purpose.WRITE, seed)
        self.pool = Station(env, store.connections, measured)
        self.writer = Station(env, 1, measured) if store.single_writer else self.pool
        self.events = store.events  # in the log
        self.queries = 0
        self.writes = 0

    @property
    def stations(self) -> dict[str, Station]:
        """The stations by name."""
        if self.writer is self.pool:
            return {"store": self.pool}
        return {"store": self.pool, "writer": self.writer}

    def query(self, agent: int, index: int, read: Callable[[], T]) -> Generator[Event, Any, T]:
        """Serve query `index` of an agent, and return what `read` sees when its service begins.

        A database reads a snapshot: what is stored during the service is not in the answer.
        """
        self.queries += 1
        if self._query is None and not self._scan:
            return read()
        cost = 0.0 if self._query is None else self._query.draw(agent, index)
        demand: Demand = partial(self._scanned, cost) if self._scan else cost
        answer: T = yield self.pool.serve(demand, begin=read)
        return answer

    def write(
        self, message: Message, visible: Callable[[Message], None]
    ) -> Generator[Event, Any, None]:
        """Store a message; at its commit it becomes `visible`."""
        self.writes += 1
        commit = partial(self._commit, message, visible)
        if self._write is None:
            commit()
        else:
            demand = self._write.draw(message.sender, message.number)
            yield self.writer.serve(demand, effect=commit)

    def _scanned(self, cost: float) -> float:
        return cost + self._scan * self.events

    def _commit(self, message: Message, visible: Callable[[Message], None]) -> None:
        for one in message.together:
            one.stored = self._env.now
        self.events += 1
        visible(message)
