"""The event store: what an agent was sent stays there, numbered, until it is asked for.

One small protocol with two implementations, SQLite here and PostgreSQL in `lhsim.live.postgres`.
Both are called from threads of their own (`lhsim.live.threads`); there is no layer between them and
the database, since it would become what is measured.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol, TypeVar

from attrs import frozen

from lhsim.errors import InputError

T = TypeVar("T")


@frozen
class NewEvent:
    """An event that is to be stored."""

    sender: str
    target: str
    message_id: str  # of the sender's choice: a second event with it is the first one again
    body: str  # a JSON object: what the target gets, but for what the store adds


@frozen
class Event:
    """An event in the store."""

    sequence: int  # its place in the order of all events, from 1 on
    target: str
    stored_at: float  # time of day [s]
    body: str

    def to_json(self) -> str:
        """Return the event as its target gets it; the body is not parsed for that."""
        return f'{{"sequence":{self.sequence},"stored_at":{self.stored_at:.6f},{self.body[1:]}'


@frozen
class Stored:
    """What became of an event that was to be stored."""

    event: Event
    duplicate: bool  # whether it had been stored before


class StoreError(Exception):
    """The database is away, locked, full or damaged, or does not answer: a line for the log.

    Parameters
    ----------
    problem
        The line. It holds nothing of a URL.
    unknown
        Whether an event may have been stored all the same.
    """

    def __init__(self, problem: str, *, unknown: bool = False) -> None:
        super().__init__(problem)
        self.unknown = unknown


class EventStore(Protocol):
    """Where events are kept. A call ends when what it does is done, or with a `StoreError`."""

    def append(self, events: Sequence[NewEvent], now: float) -> list[Stored]:
        """Store `events` in one transaction, in this order; `now` is the time of day [s]."""

    def read(self, target: str, since: int, limit: int) -> list[Event]:
        """Return the events for an agent whose number is above `since`, oldest first."""

    def find(self, sequences: Sequence[int]) -> list[Event]:
        """Return the events of these numbers, oldest first."""

    def pending(self, target: str) -> list[int]:
        """Return the numbers of the events for a queue that are not deleted, ascending.

        It comes before all calls of `delete`.
        """

    def delete(self, sequences: Sequence[int]) -> list[int]:
        """Note that events of a queue are done with; return those that were not before.

        The events stay, so that a `message_id` is stored once.
        """

    def check(self) -> None:
        """Raise a `StoreError` when events could not be stored or read now, but for their size."""

    def end_by(self, moment: float) -> None:
        """Let all calls end by `moment`, on the monotonic clock [s]; from any thread."""

    def close(self) -> None:
        """Let go of the database."""


COLUMNS = "sequence, target, stored_at, body"
_TABLE = """
CREATE TABLE IF NOT EXISTS events (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT,
  sender TEXT NOT NULL,
  target TEXT NOT NULL,
  message_id TEXT NOT NULL,
  stored_at REAL NOT NULL,
  body TEXT NOT NULL
)
"""
_SETUP = (
    "SELECT count(*) FROM sqlite_master",  # nothing is changed in what is no database
    _TABLE,
    f"SELECT {COLUMNS}, sender, message_id FROM events LIMIT 0",  # of our own, not another's
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=NORMAL",
    "CREATE INDEX IF NOT EXISTS events_by_target ON events (target, sequence)",
    "CREATE UNIQUE INDEX IF NOT EXISTS events_by_message ON events (sender, message_id)",
)
INSERT = (
    "INSERT INTO events (sender, target, message_id, stored_at, body) VALUES (?, ?, ?, ?, ?) "
    "ON CONFLICT (sender, message_id) DO NOTHING"
)
KNOWN = f"SELECT {COLUMNS} FROM events WHERE sender = ? AND message_id = ?"
DELETED = "CREATE TABLE IF NOT EXISTS deleted (sequence BIGINT PRIMARY KEY)"
PENDING = (
    "SELECT sequence FROM events WHERE target = ? AND sequence NOT IN "
    "(SELECT sequence FROM deleted) ORDER BY sequence"
)
_FIND = (
    f"SELECT {COLUMNS} FROM events WHERE sequence IN (SELECT value FROM json_each(?)) "
    "ORDER BY sequence"
)
_DELETE = (
    "INSERT INTO deleted SELECT value FROM json_each(?) WHERE true "
    "ON CONFLICT DO NOTHING RETURNING sequence"
)
_SLICE = 50  # for which SQLite waits for others by itself [ms]
_OF_THE_FILE = (sqlite3.OperationalError, sqlite3.DatabaseError)  # and not a class below them
READ = f"SELECT {COLUMNS} FROM events WHERE target = ? AND sequence > ? ORDER BY sequence LIMIT ?"


class SqliteStore:
    """Events in a file, in WAL mode: a commit survives the end of the process.

    With ``synchronous=NORMAL`` the latest commits may be lost when the machine loses power
    (https://www.sqlite.org/pragma.html#pragma_synchronous).

    Parameters
    ----------
    path
        Of the file.
    patience
        For which a call waits while others have locked the file [s].

    Raises
    ------
    InputError
        When the file cannot be used, or another bridge uses it.
    """

    def __init__(self, path: str, patience: float = 3.0) -> None:
        self._patience = patience
        self._end = math.inf
        with ExitStack() as opened:
            self._lock = _lock(Path(path))
            opened.callback(os.close, self._lock)
            try:
                # The thread that calls is always the same, but not the one that opens.
                database = sqlite3.connect(
                    path, timeout=patience, isolation_level=None, check_same_thread=False
                )
                opened.callback(database.close)
                for statement in (*_SETUP, f"PRAGMA busy_timeout={_SLICE}"):
                    database.execute(statement)
            except sqlite3.Error as error:
                raise InputError(f"cannot be used: {error}", source=path, key="store") from None
            opened.pop_all()
        self._database = database

    def append(self, events: Sequence[NewEvent], now: float) -> list[Stored]:
        """Store `events` in one transaction, in this order; `now` is the time of day [s]."""
        if len(events) == 1:  # a statement alone is a transaction
            return self._in_time(lambda: [self._append(events[0], now)])
        return self._in_time(lambda: self._append_all(events, now))

    def _append_all(self, events: Sequence[NewEvent], now: float) -> list[Stored]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            stored = [self._append(event, now) for event in events]
            self._database.execute("COMMIT")
        except BaseException:
            if self._database.in_transaction:  # a full disk ends it
                self._database.execute("ROLLBACK")
            raise
        return stored

    def _append(self, new: NewEvent, now: float) -> Stored:
        row = (new.sender, new.target, new.message_id, now, new.body)
        done = self._database.execute(INSERT, row)
        if done.rowcount and done.lastrowid:
            return Stored(Event(done.lastrowid, new.target, now, new.body), duplicate=False)
        known = self._database.execute(KNOWN, (new.sender, new.message_id)).fetchone()
        return Stored(Event(*known), duplicate=True)

    def read(self, target: str, since: int, limit: int) -> list[Event]:
        """Return the events for an agent whose number is above `since`, oldest first."""
        return self._in_time(lambda: self._read(target, since, limit))

    def _read(self, target: str, since: int, limit: int) -> list[Event]:
        rows = self._database.execute(READ, (target, since, limit)).fetchall()
        return [Event(*row) for row in rows]

    def find(self, sequences: Sequence[int]) -> list[Event]:
        """Return the events of these numbers, oldest first."""
        return self._in_time(lambda: [Event(*row) for row in self._rows(_FIND, sequences)])

    def pending(self, target: str) -> list[int]:
        """Return the numbers of the events for a queue that are not deleted, ascending."""

        def look() -> list[int]:
            self._database.execute(DELETED)
            return [row[0] for row in self._database.execute(PENDING, (target,)).fetchall()]

        return self._in_time(look)

    def delete(self, sequences: Sequence[int]) -> list[int]:
        """Note that events of a queue are done with; return those that were not before."""
        return self._in_time(lambda: sorted(row[0] for row in self._rows(_DELETE, sequences)))

    def _rows(self, statement: str, sequences: Sequence[int]) -> list[tuple[Any, ...]]:
        numbers = json.dumps(list(sequences))
        return self._database.execute(statement, (numbers,)).fetchall()

    def check(self) -> None:
        """Raise a `StoreError` when events could not be stored or read now, but for their size."""
        self._in_time(self._lock_and_read)

    def _lock_and_read(self) -> None:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            self._read("", 0, 1)
        finally:
            self._database.execute("ROLLBACK")

    def end_by(self, moment: float) -> None:
        """Let all calls end by `moment`, on the monotonic clock [s]; from any thread."""
        self._end = moment

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()
        os.close(self._lock)

    def _in_time(self, work: Callable[[], T]) -> T:
        """Do `work`, again and again while the file is locked: SQLite's own wait has no way out."""
        until = time.monotonic() + self._patience
        while True:
            try:
                return work()
            except sqlite3.DatabaseError as error:
                if type(error) not in _OF_THE_FILE:  # what is wrong with the event, or with us
                    raise
                locked = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
                if not locked or time.monotonic() >= min(until, self._end):
                    raise StoreError(str(error)) from None


def _lock(path: Path) -> int:
    """Keep others from `path` until this process ends, however it does; return the descriptor.

    Two bridges on one store would not push each other's messages.
    """
    if path.exists() and not path.is_file():
        raise InputError("cannot be used: not a regular file", source=str(path), key="store")
    try:
        lock = os.open(path.with_name(f"{path.name}.lock"), os.O_CREAT | os.O_RDWR, 0o600)
    except OSError as error:
        problem = f"cannot be used: {error.strerror}"
        raise InputError(problem, source=str(path), key="store") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise InputError("is used by another bridge", source=str(path), key="store") from None
    return lock
