"""Events in PostgreSQL, through psycopg 3.

The synchronous interface on threads of its own, as with SQLite: the hand-over to a thread is then a
stage of both, and the loop is left to the agents.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from lhsim.errors import InputError
from lhsim.live.settings import shown
from lhsim.live.store import (
    COLUMNS,
    DELETED,
    INSERT,
    KNOWN,
    PENDING,
    READ,
    Event,
    NewEvent,
    Stored,
    StoreError,
)

_LINGERING = 5.0  # for the server to notice that the bridge before this one has died [s]
_RETRY = 0.1  # [s]
_SERVER_FIRST = 0.8  # part of our own patience
_LOCK = 0x6C6873696D  # "lhsim"
_TABLE = """
CREATE TABLE IF NOT EXISTS events (
  sequence BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  sender TEXT NOT NULL,
  target TEXT NOT NULL,
  message_id TEXT NOT NULL,
  stored_at DOUBLE PRECISION NOT NULL,
  body TEXT NOT NULL,
  UNIQUE (sender, message_id)
);
CREATE INDEX IF NOT EXISTS events_by_target ON events (target, sequence);
"""
# The statements of both stores, with the marks of values that psycopg has.
_INSERT = f"{INSERT.replace('?', '%s')} RETURNING sequence"
_KNOWN, _READ = KNOWN.replace("?", "%s"), READ.replace("?", "%s")
_PENDING = PENDING.replace("?", "%s")
_FIND = f"SELECT {COLUMNS} FROM events WHERE sequence = ANY(%s) ORDER BY sequence"
_DELETE = (
    "INSERT INTO deleted SELECT unnest(%s::bigint[]) ON CONFLICT DO NOTHING RETURNING sequence"
)
_LIMITS = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
_SET = "SELECT set_config(%s, %s, false)"
_CHECK = (
    "SELECT current_setting('transaction_read_only'), (SELECT count(*) FROM events WHERE false)"
)


class _SilentError(psycopg.OperationalError):
    """The database does not answer in time."""


class _Connection(psycopg.Connection[Any]):
    """A connection on which no call takes longer than it may.

    The server's own limits are of no help when it is frozen or the network is gone, and those of
    TCP are none while something on the way, a proxy, still acknowledges what is sent.
    """

    patience: float = math.inf  # of a call [s]
    end: Callable[[], float] = staticmethod(lambda: math.inf)  # of all calls, monotonic [s]

    def wait(self, gen: Any, *args: Any, **kwargs: Any) -> Any:
        """Wait for an answer, and close the connection when none comes in time."""
        return super().wait(self._in_time(gen), *args, **kwargs)

    def _in_time(self, gen: Any) -> Generator[Any, Any, Any]:
        """Be the generator of a call; psycopg looks into it every tenth of a second."""
        until = time.monotonic() + self.patience
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if time.monotonic() >= min(until, self.end()):
                    self.close()
                    raise _SilentError
                wanted = gen.send(ready)
        except StopIteration as end:
            return end.value


class PostgresStore:
    """Events in the table ``events`` of the schema that the URL leads to.

    All writes go through one connection, so that events become visible in the order of their
    numbers: a reader that has seen number 6 will never meet a number 5. Reads have a connection for
    each thread that reads. A connection that was lost is made anew by the next call. The lock that
    keeps other bridges away is taken anew as well, and the server gives it only when it has ended
    the session before, and so decided what became of the last write.

    Parameters
    ----------
    url
        Of the database.
    patience
        For which a call waits for the database [s].

    Raises
    ------
    InputError
        When the database cannot be used, or another bridge uses it.
    """

    def __init__(self, url: str, patience: float = 3.0) -> None:
        self._url = url
        self._patience = patience
        self._end = math.inf
        self._readers: list[_Connection] = []
        self._of_thread = threading.local()
        try:
            self._writer = self._connect()
            self._take(_LINGERING)
            self._writer.execute(_TABLE)
        except psycopg.Error as error:
            # Its own words may hold the whole URL; the kind of error holds none of it.
            problem = f"cannot be used: {_words(error)}"
            raise InputError(problem, source=shown(url), key="store") from None

    def append(self, events: Sequence[NewEvent], now: float) -> list[Stored]:
        """Store `events` in one transaction, in this order; `now` is the time of day [s]."""
        with _told():
            self._hold()
        with _told(self._writer):
            if len(events) == 1:  # a statement alone is a transaction
                return [self._append(events[0], now)]
            with self._writer.transaction():
                return [self._append(event, now) for event in events]

    def _append(self, new: NewEvent, now: float) -> Stored:
        row = (new.sender, new.target, new.message_id, now, new.body)
        sequence = self._writer.execute(_INSERT, row).fetchone()
        if sequence is not None:
            return Stored(Event(sequence[0], new.target, now, new.body), duplicate=False)
        known = self._writer.execute(_KNOWN, (new.sender, new.message_id)).fetchone()
        if known is None:
            raise psycopg.OperationalError("an event went away")
        return Stored(Event(*known), duplicate=True)

    def read(self, target: str, since: int, limit: int) -> list[Event]:
        """Return the events for an agent whose number is above `since`, oldest first."""
        with _told():
            rows = self._reader().execute(_READ, (target, since, limit)).fetchall()
        return [Event(*row) for row in rows]

    def find(self, sequences: Sequence[int]) -> list[Event]:
        """Return the events of these numbers, oldest first."""
        with _told():
            rows = self._reader().execute(_FIND, (list(sequences),)).fetchall()
        return [Event(*row) for row in rows]

    def pending(self, target: str) -> list[int]:
        """Return the numbers of the events for a queue that are not deleted, ascending."""
        with _told():
            self._hold()
            self._writer.execute(DELETED)
            return [row[0] for row in self._writer.execute(_PENDING, (target,)).fetchall()]

    def delete(self, sequences: Sequence[int]) -> list[int]:
        """Note that events of a queue are done with; return those that were not before."""
        with _told():
            self._hold()
        with _told(self._writer):
            rows = self._writer.execute(_DELETE, (list(sequences),)).fetchall()
        return sorted(row[0] for row in rows)

    def check(self) -> None:
        """Raise a `StoreError` when events could not be stored or read now, but for their size."""
        with _told():
            self._hold()
            read_only = self._writer.execute(_CHECK).fetchone()
        if read_only is None or read_only[0] == "on":
            raise StoreError("the database is read-only")

    def end_by(self, moment: float) -> None:
        """Let all calls end by `moment`, on the monotonic clock [s]; from any thread."""
        self._end = moment

    def close(self) -> None:
        """Let go of the database."""
        for connection in (self._writer, *self._readers):
            connection.close()

    def _reader(self) -> _Connection:
        connection: _Connection | None = getattr(self._of_thread, "reader", None)
        if connection is None or connection.closed:
            connection = self._of_thread.reader = self._connect()
            self._readers = [one for one in self._readers if not one.closed] + [connection]
        return connection

    def _hold(self) -> None:
        """Have a connection that writes, and the lock."""
        if self._writer.closed:
            self._writer = self._connect()
            self._take(self._patience)

    def _connect(self) -> _Connection:
        connection = _Connection.connect(_bounded(self._url, self._patience), autocommit=True)
        connection.patience, connection.end = self._patience, lambda: self._end
        # Not as an option of the connection: poolers refuse those.
        # Shorter than ours, so that a slow statement ends without the end of its connection.
        longest = f"{math.ceil(1e3 * _SERVER_FIRST * self._patience)}ms"
        for limit in _LIMITS:
            connection.execute(_SET, (limit, longest))
        return connection

    def _take(self, patience: float) -> None:
        """Keep other bridges away for as long as the writer is connected."""
        until = min(time.monotonic() + patience, self._end)
        while True:
            lock = "SELECT pg_try_advisory_lock(%s, hashtext(current_schema()))"
            taken = self._writer.execute(lock, (_LOCK & 0x7FFFFFFF,)).fetchone()
            if taken is not None and taken[0]:
                return
            if time.monotonic() >= until:
                with suppress(psycopg.Error):
                    self._writer.close()
                raise InputError("is used by another bridge", source=shown(self._url), key="store")
            time.sleep(_RETRY)


def _bounded(url: str, patience: float) -> str:
    """Return how to connect, with the limits of TCP that the URL does not set itself."""
    seconds = math.ceil(patience)
    limits: dict[str, Any] = {
        "connect_timeout": max(2, seconds),  # libpq knows no less
        "keepalives": 1,
        "keepalives_idle": seconds,
        "keepalives_interval": 1,
        "keepalives_count": seconds,
        "tcp_user_timeout": math.ceil(1e3 * patience),
    }
    return make_conninfo(**(limits | conninfo_to_dict(url)))


@contextmanager
def _told(writer: _Connection | None = None) -> Iterator[None]:
    """Turn what goes wrong with the database into a `StoreError`."""
    try:
        yield
    except psycopg.Error as error:
        # Where the connection is lost, nobody knows whether the last commit got there.
        raise StoreError(_words(error), unknown=writer is not None and writer.closed) from None
    except InputError as error:
        raise StoreError(error.problem) from None


def _words(error: psycopg.Error) -> str:
    if isinstance(error, _SilentError):
        return "the database does not answer in time"
    return error.diag.message_primary or type(error).__name__
