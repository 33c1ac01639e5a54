"""The event store at work.

A write is a transaction of its own, or that of a batch: a message that is ready to be written joins
the batch that is being collected, and its process goes on when that is committed.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from simpy.events import URGENT

from lhsim.models.log import Log
from lhsim.models.sharing import station_of
from lhsim.models.stage import stage
from lhsim.models.station import Demand, Service, Station
from lhsim.rules import busy_delay
from lhsim.streams import Purpose

if TYPE_CHECKING:
    from simpy import Environment
    from simpy.events import Event

    from lhsim.models.ledger import Message
    from lhsim.models.station import StallTimes
    from lhsim.models.store import EventStore

T = TypeVar("T")
Commit: TypeAlias = Callable[[], None]


class Batch:
    """Events that are written in one transaction."""

    def __init__(self, first: Message, written: Event) -> None:
        self.first = first  # whose write is that of the batch
        self.further = 0.0  # size of the others [B]
        self.commits: list[Commit] = []  # of its events, in their order
        # Its requests wait for this; its value is whether it was committed.
        self.written = written


class Store:
    """The running event store."""

    def __init__(
        self,
        env: Environment,
        store: EventStore,
        seed: int,
        measured: tuple[float, float],
        stalls: StallTimes | None = None,
    ) -> None:
        self.env = env
        self._scan = store.scan
        self._busy_timeout = store.busy_timeout
        self._query = stage(store.query, Purpose.QUERY, seed, store.query_per_byte)
        self._write = stage(store.write, Purpose.WRITE, seed, store.write_per_byte)
        self._delete = stage(store.write, Purpose.DELETE, seed)
        self._batch_size = store.batch_size
        self._linger = store.linger
        self._write_more = store.write_more
        self._collected: Batch | None = None  # the batch that is being collected
        self.pool = station_of(env, store.connections, measured, stalls, store.quantum)
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

    def query(
        self, agent: int, index: int, read: Callable[[], T], size: float = 0.0
    ) -> Generator[Event, Any, T]:
        """Serve query `index` of an agent, and return what `read` sees when its service begins.

        `size` is that of the request whose query it is [B].

        A database reads a snapshot: what is stored during the service is not in the answer.
        """
        self.queries += 1
        if self._query is None and not self._scan:
            return read()
        cost = 0.0 if self._query is None else self._query.cost(agent, index, size)
        demand: Demand = partial(self._scanned, cost) if self._scan else cost
        answer: T = yield self._serve(self.pool, Purpose.QUERY, agent, index, demand, begin=read)
        return answer

    def write(
        self, message: Message, visible: Callable[[Message], None]
    ) -> Generator[Event, Any, bool]:
        """Store a message; at its commit it becomes `visible`. Return whether it was committed."""
        commit = partial(self._commit, message, visible)
        if self._batch_size is not None:
            committed: bool = yield self._join(message, commit)
            return committed
        return (yield from self._transact(message, self._cost_of_write(message, 0.0), commit))

    def delete(
        self, agent: int, index: int, done: Callable[[], None]
    ) -> Generator[Event, Any, None]:
        """Write once, in line, for all that an agent deletes; at the commit it is `done`."""
        self.writes += 1
        if self._delete is None:
            done()
            return
        cost = self._delete.draw(agent, index)
        yield self._serve(self.writer, Purpose.DELETE, agent, index, cost, effect=done)

    def is_gone(self, message: Message) -> bool:
        """Return whether the event of a stored message is not kept any more."""
        return message.event < self.log.first

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
        """Return the service of a step, which its address names."""
        return station.serve(demand, begin, effect)

    def _transact(
        self, first: Message, cost: float | None, commit: Commit
    ) -> Generator[Event, Any, bool]:
        """Commit what takes `cost` [s] to write, or no time; return whether it did."""
        self.writes += 1
        if cost is None:
            commit()
            return True
        if self._busy_timeout is not None:
            unlocked: bool = yield from self._wait_for_lock(self._busy_timeout)
            if not unlocked:
                return False
        address = Purpose.WRITE, first.sender, first.number
        yield self._serve(self.writer, *address, cost, effect=commit)
        return True

    def _join(self, message: Message, commit: Commit) -> Event:
        """Let an event join the batch that is being collected; return the end of its write."""
        if self._collected is None:
            assert self._linger is not None
            batch = self._collected = Batch(message, self.env.event())
            timeout = self.env.timeout(self._linger)
            timeout.callbacks.append(partial(self._lingered, batch))
        batch = self._collected
        batch.further += message.size if batch.commits else 0.0
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
        self.env.process(self._write_batch(batch))

    def _write_batch(self, batch: Batch) -> Generator[Event, Any, None]:
        """Write a batch in one transaction, and let all of its requests go on at once."""
        commit = partial(_commit_all, batch.commits)
        committed = yield from self._transact(batch.first, self._cost(batch), commit)
        # As a process that starts: when this one is done, and before any event that is due.
        batch.written._ok, batch.written._value = True, committed
        self.env.schedule(batch.written, URGENT)

    def _cost(self, batch: Batch) -> float | None:
        cost, more = self._cost_of_write(batch.first, batch.further), self._write_more
        if cost is None and not more:
            return None
        return (cost or 0.0) + more * (len(batch.commits) - 1)

    def _cost_of_write(self, first: Message, further: float) -> float | None:
        """Return what a write costs [s], its message and `further` bytes; None: no time, ever."""
        if self._write is None:
            return None
        return self._write.cost(first.sender, first.number, first.size + further)

    def _wait_for_lock(self, timeout: float) -> Generator[Event, Any, bool]:
        """Sleep and retry until the database is unlocked; return False on a timeout."""
        tries, slept = 0, 0.0
        while self.writer.busy:
            self.locked += 1
            delay = busy_delay(tries, slept, timeout)
            if delay < 0:
                return False
            yield self.env.timeout(delay)
            tries, slept = tries + 1, slept + delay
        return True

    def _scanned(self, cost: float) -> float:
        return cost + self._scan * self.log.kept

    def _commit(self, message: Message, visible: Callable[[Message], None]) -> None:
        event = self.log.append()
        for one in message.together:
            one.stored = self.env.now
            one.event = event
        visible(message)


def _commit_all(commits: list[Commit]) -> None:
    for commit in commits:
        commit()
