"""Events in PostgreSQL, through psycopg 3.

The synchronous interface on threads of its own, as with SQLite: the hand-over to a thread is then a
stage of both, and the loop is left to the agents.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import psycopg

from lhsim.errors import InputError
from lhsim.live.settings import shown
from lhsim.live.store import Event, NewEvent, Stored

_PATIENCE = 5.0  # for the server to notice that the bridge before this one has died [s]
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
_INSERT = (
    "INSERT INTO events (sender, target, message_id, stored_at, body) "
    "VALUES (%s, %s, %s, %s, %s) ON CONFLICT (sender, message_id) DO NOTHING RETURNING sequence"
)
_COLUMNS = "sequence, target, stored_at, body"
_KNOWN = f"SELECT {_COLUMNS} FROM events WHERE sender = %s AND message_id = %s"
_READ = (
    f"SELECT {_COLUMNS} FROM events WHERE target = %s AND sequence > %s ORDER BY sequence LIMIT %s"
)


class PostgresStore:
    """Events in the table ``events`` of the schema that the URL leads to.

    All writes go through one connection, so that events become visible in the order of their
    numbers: a reader that has seen number 6 will never meet a number 5. Reads have a connection for
    each thread that reads.

    Raises
    ------
    InputError
        When the database cannot be used, or another bridge uses it.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._readers: list[psycopg.Connection[Any]] = []
        self._of_thread = threading.local()
        try:
            self._writer = self._connect()
            self._take()
            self._writer.execute(_TABLE)
        except psycopg.Error as error:
            # Its own words may hold the whole URL; the kind of error holds none of it.
            problem = f"cannot be used: {_words(error)}"
            raise InputError(problem, source=shown(url), key="store") from None

    def append(self, events: Sequence[NewEvent], now: float) -> list[Stored]:
        """Store `events` in one transaction, in this order; `now` is the time of day [s]."""
        if self._writer.closed:
            self._writer = self._connect()
            self._take()
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
        rows = self._reader().execute(_READ, (target, since, limit)).fetchall()
        return [Event(*row) for row in rows]

    def close(self) -> None:
        """Let go of the database."""
        for connection in (self._writer, *self._readers):
            connection.close()

    def _reader(self) -> psycopg.Connection[Any]:
        connection: psycopg.Connection[Any] | None = getattr(self._of_thread, "reader", None)
        if connection is None or connection.closed:
            connection = self._of_thread.reader = self._connect()
            self._readers.append(connection)
        return connection

    def _connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self._url, autocommit=True, connect_timeout=10)

    def _take(self) -> None:
        """Keep other bridges away for as long as the writer is connected."""
        until = time.monotonic() + _PATIENCE
        while True:
            lock = "SELECT pg_try_advisory_lock(%s, hashtext(current_schema()))"
            taken = self._writer.execute(lock, (_LOCK & 0x7FFFFFFF,)).fetchone()
            if taken is not None and taken[0]:
                return
            if time.monotonic() >= until:
                with suppress(psycopg.Error):
                    self._writer.close()
                raise InputError("is used by another bridge", source=shown(self._url), key="store")
            time.sleep(0.1)


def _words(error: psycopg.Error) -> str:
    return error.diag.message_primary or type(error).__name__
