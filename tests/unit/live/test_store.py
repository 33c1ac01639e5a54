"""The store in a file, and the threads that call it."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from lhsim.errors import InputError
from lhsim.live.settings import BridgeSettings
from lhsim.live.store import NewEvent, SqliteStore
from lhsim.live.threads import StoreThreads


def new(n, target="bob"):
    return NewEvent("alice", target, f"m{n}", f'{{"payload":{n}}}')


@pytest.fixture
def store(tmp_path):
    store = SqliteStore(str(tmp_path / "events.db"))
    yield store
    store.close()


def test_a_batch_is_stored_whole_or_not_at_all(store):
    with pytest.raises(sqlite3.Error):
        store.append([new(1), NewEvent("alice", None, "m2", "{}")], 0.0)
    assert store.read("bob", 0, 10) == []
    stored = store.append([new(1), new(2), new(1)], 5.0)
    assert [one.duplicate for one in stored] == [False, False, True]
    assert stored[2].event == stored[0].event
    assert [event.body for event in store.read("bob", 0, 10)] == [new(1).body, new(2).body]


def test_a_read_takes_the_oldest_after_the_cursor(store):
    numbers = [one.event.sequence for one in store.append([new(n) for n in range(5)], 0.0)]
    store.append([new(9, "carol")], 0.0)
    assert [event.sequence for event in store.read("bob", numbers[0], 3)] == numbers[1:4]


def test_its_queries_use_the_indexes(store):
    """Without one a query would read the whole log, and the figures be those of that."""
    for query in (
        "SELECT * FROM events WHERE target = 'bob' AND sequence > 1 ORDER BY sequence LIMIT 10",
        "SELECT * FROM events WHERE sender = 'alice' AND message_id = 'm1'",
    ):
        (plan,) = store._database.execute(f"EXPLAIN QUERY PLAN {query}").fetchall()
        assert "USING INDEX" in plan[-1]


def test_an_event_is_told_without_its_body_being_parsed(store):
    (stored,) = store.append([new(1)], 1.5)
    assert stored.event.to_json() == '{"sequence":1,"stored_at":1.500000,"payload":1}'


def text(path):
    path.write_text("not a database, but long enough to be looked at" * 9)


def table_of_another(path):
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE events (other TEXT)")


@pytest.mark.parametrize("make", [text, table_of_another, Path.mkdir])
def test_what_is_no_store_is_refused_and_left_alone(tmp_path, make):
    path = tmp_path / "events.db"
    make(path)
    before = path.read_bytes() if path.is_file() else b""
    for _ in range(2):  # the lock is let go
        with pytest.raises(InputError, match=r"events.db: store: cannot be used"):
            SqliteStore(str(path))
    assert (path.read_bytes() if path.is_file() else b"") == before


def test_a_store_has_one_user(tmp_path, store):
    with pytest.raises(InputError, match="is used by another bridge"):
        SqliteStore(str(tmp_path / "events.db"))


class Broken:
    def append(self, events, now):
        raise RuntimeError("broken")

    def read(self, target, since, limit):
        raise RuntimeError("broken")

    def end_by(self, moment):
        pass

    def close(self):
        pass


def test_who_waits_hears_of_a_failure(tmp_path):
    async def scenario():
        threads = StoreThreads(Broken(), BridgeSettings(), pytest.fail)
        with pytest.raises(RuntimeError, match="broken"):
            await threads.append(new(1))
        with pytest.raises(RuntimeError, match="broken"):
            await threads.read("bob", 0, 1)
        await threads.close()

    asyncio.run(scenario())


def test_batches_go_out_when_full_or_after_the_linger(tmp_path):
    sizes, told = [], []

    class Counting(SqliteStore):
        def append(self, events, now):
            sizes.append(len(events))
            return super().append(events, now)

    async def scenario():
        settings = BridgeSettings(batch_size=3, linger=0.02)
        threads = StoreThreads(Counting(str(tmp_path / "x.db")), settings, told.append)
        done = await asyncio.gather(*(threads.append(new(n % 4)) for n in range(5)))
        assert [one.duplicate for one in done] == [False, False, False, False, True]
        assert sizes == [3, 2]
        last = asyncio.ensure_future(threads.append(new(7)))
        await asyncio.sleep(0)
        await threads.close()  # what is being collected is stored
        assert not (await last).duplicate

    asyncio.run(scenario())
    assert sizes == [3, 2, 1]
    assert [event.sequence for event in told] == sorted(event.sequence for event in told)
    assert len(told) == 5  # nothing is pushed for a duplicate
