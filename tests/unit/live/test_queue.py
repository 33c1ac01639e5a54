"""A queue over a store, by its own clock."""

from __future__ import annotations

import pytest

from lhsim.live.queue import QUEUE, Queue
from lhsim.live.store import NewEvent, SqliteStore, StoreError
from lhsim.live.tokens import Receipts


@pytest.fixture
def store(tmp_path):
    store = SqliteStore(str(tmp_path / "events.db"))
    store.append([NewEvent("a", QUEUE, f"m{n}", f'{{"n":{n}}}') for n in range(4)], 0.0)
    yield store
    store.close()


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def queue(store, clock):
    queue = Queue(10.0, clock)
    queue.look(store)
    return queue


def taken(queue, store, limit=1):
    return [event.sequence for event in queue.take(store, limit)]


def test_what_was_taken_comes_back_at_its_place_by_age(queue, store, clock):
    assert taken(queue, store, 2) == [1, 2]
    clock.now = 5.0
    assert taken(queue, store) == [3]
    clock.now = 10.0  # at that very instant
    assert taken(queue, store, 9) == [1, 2, 4]
    clock.now = 14.9
    assert taken(queue, store, 9) == []
    clock.now = 15.0
    assert taken(queue, store, 9) == [3]
    assert len(queue) == 4


def test_the_first_delete_counts_whoever_has_it(queue, store, clock):
    taken(queue, store)
    clock.now = 10.0
    assert taken(queue, store, 2) == [1, 2]
    assert queue.delete(store, [1]) == [1]
    assert queue.delete(store, [1, 2]) == [2]
    clock.now = 30.0
    assert taken(queue, store, 9) == [3, 4]


def test_what_is_deleted_when_it_is_there_again_is_not_taken(queue, store, clock):
    taken(queue, store)
    clock.now = 10.0
    assert taken(queue, store, 0) == []  # a look puts it back
    assert queue.delete(store, [1]) == [1]
    assert taken(queue, store, 9) == [2, 3, 4]


def test_what_cannot_be_read_is_not_taken(queue, store):
    class Broken:
        def find(self, _sequences):
            raise StoreError("away")

    with pytest.raises(StoreError):
        queue.take(Broken(), 2)
    assert taken(queue, store, 2) == [1, 2]


def test_a_second_look_at_the_store_adds_nothing_twice(queue, store):
    taken(queue, store, 2)
    queue.delete(store, [1])
    queue.look(store)
    queue.add([3])
    assert taken(queue, store, 9) == [3, 4]
    assert len(queue) == 3


def test_after_a_restart_what_is_not_deleted_is_visible(queue, store, clock):
    taken(queue, store, 3)
    queue.delete(store, [2])
    again = Queue(10.0, clock)
    again.look(store)
    assert taken(again, store, 9) == [1, 3, 4]


def test_deleted_events_are_still_known(queue, store):
    queue.delete(store, [1])
    (stored,) = store.append([NewEvent("a", QUEUE, "m0", "{}")], 1.0)
    assert stored.duplicate
    assert store.find([1, 3])[0].body == '{"n":0}'
    assert store.find([]) == []


def test_receipts_are_of_an_agent_and_a_secret():
    receipts = Receipts(b"a secret of sixteen")
    receipt = receipts.sign("bob", [1, 20, 300])
    assert receipts.check("bob", receipt) == [1, 20, 300]
    assert receipts.check("bo", receipt) is None
    assert Receipts(b"another secret of it").check("bob", receipt) is None
    assert receipts.check("bob", receipt.replace("20", "21")) is None
