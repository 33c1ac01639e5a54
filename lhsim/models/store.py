"""The event store: a pool of database connections, a writer, and a log of events.

A write is a transaction of its own, or that of a batch: a courier whose message is ready to be
written joins the batch that is being collected, and goes on when it is committed.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import field, frozen
from simpy.events import URGENT

from lhsim.checks import non_negative, positive, whole
from lhsim.distributions import Distribution
from lhsim.errors import InputError
from lhsim.models.log import Log, Retention
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
Commit = Callable[[], None]


@frozen
class EventStore:
    """The database: what a query and a write wait for, besides the processor's part of them.

    Queries share `connections` connections. With a `single_writer`, as SQLite has it, writes take
    turns of their own and leave the readers alone; without, they share the connections.

    Writers of a `single_writer` wait in line, or with a `busy_timeout` as SQLite has it: who finds
    the database locked sleeps and tries again, each time after a longer sleep, until it gives up.
    There is no line then: who comes at the right moment gets the lock.

    With a `batch_size` and a `linger`, several events are written in one transaction, as in a group
    commit. A batch is one writer then, that waits and gives up as a whole.
    """

    query: Distribution = ZERO  # service time of a query [s]
    write: Distribution = ZERO  # service time of a write [s]
    connections: int = field(default=10, validator=whole(1))  # queries served at a time
    single_writer: bool = False  # whether writes take turns of their own
    # What a writer sleeps in all before it gives up, and its message is rejected [s]; None: a line.
    busy_timeout: Seconds | None = field(default=None, validator=positive)
    # Events that are written in one transaction, once there are so many, or `linger` after the
    # first of them [s]. None: each is written on its own.
    batch_size: int | None = field(default=None, validator=whole(1))
    # How long the first event of a batch waits for more [s].
    linger: Seconds | None = field(default=None, validator=positive)
    # What each further event of a batch adds to the write of its first [s].
    write_more: Seconds = field(default=0.0, validator=non_negative)
    scan: Seconds = field(default=0.0, validator=non_negative)  # more per query and event kept [s]
    events: int = field(default=0, validator=whole(0))  # events in the log at the start
    retention: Retention | None = None  # which events are kept; None: all

    def __attrs_post_init__(self) -> None:
        if self.busy_timeout is not None and not self.single_writer:
            allowed = "single_writer = true, or no busy_timeout"
            raise InputError("has no writer to wait for", key="busy_timeout", allowed=allowed)
        for key, other in (("batch_size", "linger"), ("linger", "batch_size")):
            if getattr(self, key) is None and getattr(self, other) is not None:
                raise InputError("is missing", key=key, allowed=f"a number where {other} is given")
        if self.write_more > 0 and self.batch_size is None:
            allowed = "0, or a batch_size and a linger"
            raise InputError("has no batch to add to", key="write_more", allowed=allowed)


class Batch:
    """Events that are written in one transaction."""

    def __init__(self, first: Message, written: Event) -> None:
        self.first = first  # whose write is that of the batch
        self.commits: list[Commit] = []  # of its events, in their order
        # Its couriers wait for this; its value is whether it was committed.
        self.written = written


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
        self._batch_size = store.batch_size
        self._linger = store.linger
        self._write_more = store.write_more
        self._collected: Batch | None = None  # the batch that is being collected
        self.pool = Station(env, store.connections, measured, stalls)
        self.writer = Station(env, 1, measured, stalls) if store.single_writer else self.pool
        self.log = Log(env, store.events, store.retention)
        self.forgets = store.retention is not None  # whether events may be removed
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
        commit = partial(self._commit, message, visible)
        if self._batch_size is not None:
            committed: bool = yield self._join(message, commit)
            return committed
        cost = None if self._write is None else self._write.draw(message.sender, message.number)
        return (yield from self._transact(cost, commit))

    def is_gone(self, message: Message) -> bool:
        """Return whether the event of a stored message is not kept any more."""
        return message.event < self.log.first

    def _transact(self, cost: float | None, commit: Commit) -> Generator[Event, Any, bool]:
        """Commit what takes `cost` [s] to write, or no time; return whether it came to that."""
        self.writes += 1
        if cost is None:
            commit()
            return True
        if self._busy_timeout is not None:
            unlocked: bool = yield from self._wait_for_lock(self._busy_timeout)
            if not unlocked:
                return False
        yield self.writer.serve(cost, effect=commit)
        return True

    def _join(self, message: Message, commit: Commit) -> Event:
        """Let an event join the batch that is being collected; return the end of its write."""
        if self._collected is None:
            assert self._linger is not None
            batch = self._collected = Batch(message, self._env.event())
            timeout = self._env.timeout(self._linger)
            timeout.callbacks.append(partial(self._lingered, batch))
        batch = self._collected
        batch.commits.append(commit)
        if len(batch.commits) == self._batch_size:
            self._flush()
        return batch.written

    def _lingered(self, batch: Batch, _timeout: Event) -> None:
        if self._collected is batch:  # else it was full before
            self._flush()

    def _flush(self) -> None:
        batch, self._collected = self._collected, None
        assert batch is not None
        self._env.process(self._write_batch(batch))

    def _write_batch(self, batch: Batch) -> Generator[Event, Any, None]:
        """Write a batch in one transaction, and let all of its couriers go on at once."""
        commit = partial(_commit_all, batch.commits)
        committed = yield from self._transact(self._cost(batch), commit)
        # As a process that starts: when this one is done, and before any event that is due.
        batch.written._ok, batch.written._value = True, committed
        self._env.schedule(batch.written, URGENT)

    def _cost(self, batch: Batch) -> float | None:
        first, more = batch.first, self._write_more
        if self._write is None and not more:
            return None
        cost = 0.0 if self._write is None else self._write.draw(first.sender, first.number)
        return cost + more * (len(batch.commits) - 1)

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
        return cost + self._scan * self.log.kept

    def _commit(self, message: Message, visible: Callable[[Message], None]) -> None:
        event = self.log.append()
        for one in message.together:
            one.stored = self._env.now
            one.event = event
        visible(message)


def _commit_all(commits: list[Commit]) -> None:
    for commit in commits:
        commit()
