"""A push connection under every order of writes, reads and offers that the loop allows."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lhsim.live.push import Connection, Hub
from lhsim.live.store import Event


class Store:
    """Events that are committed at one time and offered, in their order, at a later one."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.events: list[Event] = []
        self.offered = 0
        self.lost: set[int] = set()  # those of which nobody will tell

    def commit(self) -> None:
        self.events.append(Event(len(self.events) + 1, "bob", 0.0, "{}"))

    def lose(self) -> None:
        self.commit()
        self.lost.add(len(self.events))

    def offer(self) -> None:
        while self.offered < len(self.events):
            self.offered += 1
            if self.offered in self.lost:
                continue
            if self.offered - 1 in self.lost:  # the first that is told after one that was not
                self.hub.reread()
            self.hub.stored(self.events[self.offered - 1])
            return

    async def read(self, target: str, since: int, limit: int) -> list[Event]:
        found = [event for event in self.events if event.sequence > since][: min(limit, 3)]
        await asyncio.sleep(0)  # the way back from the thread
        await asyncio.sleep(0)
        return found


async def play(steps, outbound, cls=Connection):
    """Let a client read while `steps` happen; return the numbers that it got."""
    hub = Hub(disconnect=False)
    store, connection, got = Store(hub), cls("bob", outbound), []
    hub.open(connection)

    async def client():
        since = 0
        while not connection.closed:
            async for event in connection.events(since, store.read):
                since = event.sequence
                got.append(since)
                await asyncio.sleep(0)

    reading = asyncio.ensure_future(client())
    for step in steps:
        if step == "run":
            await asyncio.sleep(0)
        else:
            getattr(store, step)()
    if store.lost:
        store.commit()
    while store.offered < len(store.events):
        store.offer()
    for _ in range(20 * len(steps) + 50):
        await asyncio.sleep(0)
    hub.close()
    await reading
    return got, len(store.events)


STEPS = st.lists(st.sampled_from(["commit", "offer", "run"]), max_size=60)


@given(steps=STEPS, outbound=st.integers(1, 4))
def test_each_event_comes_once_and_in_order(steps, outbound):
    got, stored = asyncio.run(play(steps, outbound))
    assert got == list(range(1, stored + 1))


@given(
    steps=st.lists(st.sampled_from(["commit", "offer", "run", "lose"]), max_size=60),
    outbound=st.integers(1, 4),
)
def test_what_was_stored_without_a_word_comes_before_what_is_told_next(steps, outbound):
    got, stored = asyncio.run(play(steps, outbound))
    assert got == list(range(1, stored + 1))


class Trusting(Connection):
    """Does not look again for what it was not told of."""

    def reread(self):
        pass


class Forgetful(Connection):
    """Goes live without looking whether something was stored in between."""

    def offer(self, event):
        fits = super().offer(event)
        self._missed = False
        return fits


class Repeating(Connection):
    """Forgets its cursor when it goes live."""

    def offer(self, event):
        self.cursor = 0
        return super().offer(event)


@pytest.mark.parametrize("wrong", [Forgetful, Repeating])
def test_the_property_finds_planted_errors(wrong):
    found = False
    for before in range(12):
        for after in range(12):
            steps = ["run"] * before + ["commit"] + ["run"] * after + ["offer"]
            got, stored = asyncio.run(play(steps, 4, wrong))
            found = found or got != list(range(1, stored + 1))
    assert found


def test_the_property_finds_one_that_does_not_look_again():
    steps = [*["run"] * 10, "lose", "commit", *["run"] * 10, "offer"]
    got, stored = asyncio.run(play(steps, 4, Trusting))
    assert got != list(range(1, stored + 1))


def test_a_full_queue_counts_the_one_that_is_being_sent():
    async def scenario():
        hub = Hub(disconnect=True)
        store, connection = Store(hub), Connection("bob", 2)
        hub.open(connection)
        events = connection.events(0, store.read)
        first = asyncio.ensure_future(anext(events))
        for _ in range(5):
            await asyncio.sleep(0)
        for _ in range(3):
            store.commit()
        store.offer()
        assert (await first).sequence == 1  # and it is being sent
        store.offer()
        assert not connection.closed
        store.offer()
        assert connection.closed

    asyncio.run(scenario())
