"""The event store: a pool of database connections, a writer, and a log that grows."""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import field, frozen

from lhsim.checks import non_negative, positive, whole
from lhsim.distributions import Distribution
from lhsim.errors import InputError
from lhsim.models.stage import stage
from lhsim.models.station import Demand, Station
from lhsim.models.workload import ZERO
from lhsim.rules import busy_delay
from lhsim.streams import Purpose
from lhsim.units import Seconds

if TYPE_CHECKING:
    from simpy import Environment
    from simpy.events import Event

    from lhsim.models.ledger import Message
    from lhsim.models.pauses import Pauses

T = TypeVar("T")


@frozen
class EventStore:
    """The database: what a query and a write wait for, besides the processor's part of them.

    Queries share `connections` connections. With a `single_writer`, as SQLite has it, writes take
    turns of their own and leave the readers alone; without, they share the connections.

    Writers of a `single_writer` wait in line, or with a `busy_timeout` as SQLite has it: who finds
    the database locked sleeps and tries again, each time after a longer sleep, until it gives up.
    There is no line then: who comes at the right moment gets the lock.
    """

    query: Distribution = ZERO  # service time of a query [s]
    write: Distribution = ZERO  # service time of a write [s]
    connections: int = field(default=10, validator=whole(1))  # queries served at a time
    single_writer: bool = False  # whether writes take turns of their own
    # What a writer sleeps in all before it gives up, and its message is rejected [s]; None: a line.
    busy_timeout: Seconds | None = field(default=None, validator=positive)
    scan: Seconds = field(default=0.0, validator=non_negative)  # more per query and event kept [s]
    events: int = field(default=0, validator=whole(0))  # events in the log at the start

    def __attrs_post_init__(self) -> None:
        if self.busy_timeout is not None and not self.single_writer:
            allowed = "single_writer = true, or no busy_timeout"
            raise InputError("has no writer to wait for", key="busy_timeout", allowed=allowed)


class Store:
    """The running event store."""

    def __init__(
        self,
        env: Environment,
        store: EventStore,
        seed: int,
        measured: tuple[float, float],
        stalls: Pauses | None = None,
    ) -> None:
        self._env = env
        self._scan = store.scan
        self._busy_timeout = store.busy_timeout
        self._query = stage(store.query, Purpose.QUERY, seed)
        self._write = stage(store.write, Purpose.WRITE, seed)
        self.pool = Station(env, store.connections, measured, stalls)
        self.writer = Station(env, 1, measured, stalls) if store.single_writer else self.pool
        self.events = store.events  # in the log
        self.queries = 0
        self.writes = 0
        self.locked = 0

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
    ) -> Generator[Event, Any, bool]:
        """Store a message; at its commit it becomes `visible`. Return whether it came to that."""
        self.writes += 1
        commit = partial(self._commit, message, visible)
        if self._write is None:
            commit()
            return True
        if self._busy_timeout is not None:
            unlocked: bool = yield from self._wait_for_lock(self._busy_timeout)
            if not unlocked:
                return False
        demand = self._write.draw(message.sender, message.number)
        yield self.writer.serve(demand, effect=commit)
        return True

    def _wait_for_lock(self, timeout: float) -> Generator[Event, Any, bool]:
        """Sleep until the database is found unlocked; return False where it was given up."""
        tries, slept = 0, 0.0
        while self.writer.busy:
            self.locked += 1
            delay = busy_delay(tries, slept, timeout)
            if delay < 0:
                return False
            yield self._env.timeout(delay)
            tries, slept = tries + 1, slept + delay
        return True

    def _scanned(self, cost: float) -> float:
        return cost + self._scan * self.events

    def _commit(self, message: Message, visible: Callable[[Message], None]) -> None:
        for one in message.together:
            one.stored = self._env.now
        self.events += 1
        visible(message)
