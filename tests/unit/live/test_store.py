"""The store in a file, and the threads that call it."""

from __future__ import annotations

import asyncio
import math
import sqlite3
import threading
import time
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from lhsim.errors import InputError
from lhsim.live.settings import BridgeSettings
from lhsim.live.store import NewEvent, SqliteStore, StoreError
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


class Picky(SqliteStore):
    """A store that refuses one event, and all that is stored together with it."""

    tried = 0

    def append(self, events, now):
        self.tried += 1
        if any(event.message_id == "m3" for event in events):
            raise RuntimeError("not this one")
        return super().append(events, now)


def test_a_batch_that_fails_is_tried_again_one_by_one(tmp_path):
    async def scenario():
        settings = BridgeSettings(batch_size=8, linger=0.5)
        told = []
        threads = StoreThreads(Picky(str(tmp_path / "x.db")), settings, told.append)
        sending = (threads.append(new(n)) for n in range(8))
        done = await asyncio.gather(*sending, return_exceptions=True)
        assert [isinstance(one, RuntimeError) for one in done] == [n == 3 for n in range(8)]
        stored = [one.event.sequence for one in done if not isinstance(one, RuntimeError)]
        assert stored == sorted(set(stored)) == [event.sequence for event in told]
        await threads.close()

    asyncio.run(scenario())


class Stuck(SqliteStore):
    """A store that answers no query until it is released."""

    def __init__(self, path):
        super().__init__(path)
        self.released = threading.Event()

    def read(self, target, since, limit):
        assert self.released.wait(60)
        return super().read(target, since, limit)

    append = SqliteStore.append


def test_who_waits_for_the_store_is_told_in_time_however_long_the_queue_is(tmp_path):
    async def scenario():
        store = Stuck(str(tmp_path / "x.db"))
        threads = StoreThreads(store, BridgeSettings(store_timeout=0.2), lambda _: None)
        begun = time.monotonic()
        reads = [threads.read("bob", 0, 1) for _ in range(50)]
        calls = [*reads, threads.append(new(1))]
        done = await asyncio.gather(*calls, return_exceptions=True)
        assert {str(one) for one in done} == {"the store does not answer in time"}
        assert time.monotonic() - begun < 5  # and not 50 times as long
        assert await threads.check() == "the store does not answer in time"
        store.released.set()
        deadline = time.monotonic() + 20
        while await threads.check() is not None:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.1)
        assert not (await threads.append(new(1))).duplicate  # it was given up before it began
        await threads.close()
        assert not threads.hangs

    asyncio.run(scenario())


def test_a_store_that_holds_up_its_thread_does_not_hold_up_the_end(tmp_path):
    async def scenario():
        store = Stuck(str(tmp_path / "x.db"))
        threads = StoreThreads(store, BridgeSettings(store_timeout=60), lambda _: None)
        reading = asyncio.ensure_future(threads.read("bob", 0, 1))
        await asyncio.sleep(0.1)
        begun = time.monotonic()
        await threads.close()
        assert time.monotonic() - begun < 2.5
        assert threads.hangs
        with pytest.raises(StoreError, match="in time"):
            await reading
        store.released.set()

    asyncio.run(scenario())


class Doubtful(SqliteStore):
    """A store whose first write is done, though it says that it has failed."""

    first = True

    def append(self, events, now):
        stored = super().append(events, now)
        if self.first:
            self.first = False
            raise StoreError("the connection is lost", unknown=True)
        return stored


def test_a_write_of_unknown_end_is_looked_for_before_the_next_is_told(tmp_path):
    seen = []

    async def scenario():
        threads = StoreThreads(
            Doubtful(str(tmp_path / "x.db")),
            BridgeSettings(),
            lambda event: seen.append(event.sequence),
            lambda: seen.append("look"),
        )
        with pytest.raises(StoreError, match="is lost"):
            await threads.append(new(1))
        assert seen == []
        assert (await threads.append(new(1))).duplicate
        await threads.append(new(2))
        await threads.append(new(3))
        await threads.close()

    asyncio.run(scenario())
    assert seen[0] == "look"
    assert len(seen) == 3


@contextmanager
def locked(tmp_path, patience):
    """A store in a file, locked by somebody else inside; after that it is usable again."""
    path = str(tmp_path / "events.db")
    store = SqliteStore(path, patience=patience)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield store
    store.end_by(math.inf)
    store.append([new(1)], 0.0)
    store.check()
    store.close()


def test_a_file_that_is_locked_is_waited_for_and_then_given_up(tmp_path):
    with locked(tmp_path, patience=0.3) as store:
        for call in (lambda: store.append([new(1)], 0.0), store.check,
                     lambda: store.append([new(1), new(2)], 0.0)):  # fmt: skip
            begun = time.monotonic()
            with pytest.raises(StoreError, match="locked"):
                call()
            assert 0.3 <= time.monotonic() - begun < 5


def test_at_the_end_a_file_that_is_locked_is_not_waited_for(tmp_path):
    with locked(tmp_path, patience=600) as store:
        begun = time.monotonic()
        store.end_by(begun)
        with pytest.raises(StoreError, match="locked"):
            store.append([new(1)], 0.0)
        assert time.monotonic() - begun < 0.25


def test_a_store_that_is_read_only_or_damaged_says_so(store):
    store._database.execute("PRAGMA query_only=1")
    for call in (lambda: store.append([new(1)], 0.0), lambda: store.append([new(1)] * 2, 0.0)):
        with pytest.raises(StoreError, match="readonly"):
            call()
    store._database.execute("PRAGMA query_only=0")
    store._database.execute("DROP TABLE events")
    with pytest.raises(StoreError, match="no such table"):
        store.check()
