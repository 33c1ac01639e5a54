"""A database that hangs, is locked or full: an answer in time, said at /health, and a clean end."""

from __future__ import annotations

import asyncio
import resource
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import aclosing, suppress
from urllib.parse import urlsplit, urlunsplit

import pytest
from bridges import Bridge, pair
from websockets.exceptions import ConnectionClosed

from lhsim.live.client import BridgeClient, BridgeError

TIMEOUT = 1.0  # of the store [s]
CONFIG = f'store_timeout = "{TIMEOUT} s"\ninterval = "100 ms"\npatience = "2 s"\n'
FORM = {"type": "object", "properties": {}}
GONE = (OSError, BridgeError, ConnectionClosed)
# From the time limit of the store to an answer. All is over in a moment but on a busy machine.
SLACK = 4.0  # [s]


class Freezer:
    """A TCP proxy before a database, which can be frozen: it takes all, and passes on nothing."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname or "127.0.0.1", parts.port or 5432)
        self._listener = socket.create_server(("127.0.0.1", 0))
        user = parts.netloc.rpartition("@")[0]
        place = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.url = urlunsplit(parts._replace(netloc=f"{user}@{place}" if user else place))
        self._moving = threading.Event()
        self._moving.set()
        self._ends: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def freeze(self) -> None:
        self._moving.clear()

    def thaw(self) -> None:
        self._moving.set()

    def close(self) -> None:
        self._listener.close()
        self._moving.set()
        for end in self._ends:
            end.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                ours, _ = self._listener.accept()
                theirs = socket.create_connection(self._target)
                self._ends += [ours, theirs]
                for pair_ in ((ours, theirs), (theirs, ours)):
                    threading.Thread(target=self._pass_on, args=pair_, daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                self._moving.wait()
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)


class Locker:
    """Somebody else who locks the file of a store."""

    def __init__(self, path: str) -> None:
        self.url = path
        self._other: sqlite3.Connection | None = None

    def freeze(self) -> None:
        self._other = sqlite3.connect(self.url, isolation_level=None, check_same_thread=False)
        self._other.execute("BEGIN IMMEDIATE")

    def thaw(self) -> None:
        if self._other is not None:
            self._other.close()
            self._other = None

    close = thaw


@pytest.fixture
def database(store: str) -> Iterator[Freezer | Locker]:
    """What stands between a bridge and its store, and can hold it up."""
    found = Freezer(store) if store.startswith("postgres") else Locker(store)
    yield found
    found.close()


@pytest.fixture
def held_up(tmp_path, database) -> Iterator[Bridge]:
    """A bridge with a store that can be held up, started."""
    (tmp_path / "bridge.toml").write_text(CONFIG)
    bridge = Bridge(tmp_path, database.url)
    bridge.start("--config", "bridge.toml")
    yield bridge
    if bridge.process is not None:
        bridge.process.kill()
        bridge.end()


async def refused_in_time(call) -> None:
    begun = time.monotonic()
    with pytest.raises(BridgeError, match="503"):
        await call
    assert time.monotonic() - begun < TIMEOUT + SLACK


async def health(client: BridgeClient) -> tuple[int, bytes]:
    response = await client.get("/health")
    return response.status, response.body


async def in_the_end(look) -> None:
    deadline = time.monotonic() + 20
    while not await look():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)


def has(got: list[int], count: int):
    async def look():
        return len(got) >= count

    return look


async def read(client: BridgeClient, got: list[int]) -> None:
    """Read what is pushed, and connect again when the connection is cut."""
    while True:
        with suppress(*GONE):
            async with aclosing(client.websocket()) as events:
                async for event in events:
                    got.append(event["payload"])
        await asyncio.sleep(0.05)


def test_a_store_that_is_held_up_is_503_in_time_and_then_goes_on(held_up, database, within):
    """Nothing that was acknowledged is lost, doubled or out of order, whatever the reader."""

    got: list[int] = []

    async def scenario():
        async with pair(held_up.url) as (alice, bob):
            reading = asyncio.ensure_future(read(bob, got))
            await alice.store("bob", 0, message_id="n0")
            await in_the_end(has(got, 1))
            database.freeze()
            await asyncio.gather(
                *(refused_in_time(alice.store("bob", 1, message_id="n1")) for _ in range(3)),
            )
            if isinstance(database, Freezer):  # a lock of SQLite lets others read
                await refused_in_time(alice.wait(1))
            status, body = await health(alice)
            assert (status, b"degraded" in body) == (503, True)
            database.thaw()

            async def stored():
                with suppress(BridgeError):
                    return await alice.store("bob", 1, message_id="n1") > 0

            await in_the_end(stored)
            await alice.store("bob", 2, message_id="n2")
            await in_the_end(has(got, 3))

            async def healthy():
                return (await health(alice))[0] == 200

            await in_the_end(healthy)
            bob.cursor = 0
            assert [event["payload"] for event in await bob.wait(1)] == [0, 1, 2] == got
            reading.cancel()
            await asyncio.wait([reading])

    within(scenario())
    assert held_up.end() == 0
    assert "Traceback" not in held_up.log
    assert "store" in held_up.log  # who runs it is told


# Where the server has hung up, nobody closes the sockets of the test once more.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_end_comes_in_5_s_while_the_store_is_held_up(held_up, database, within):
    """With requests held, connections that are not read from, a question open and writes queued."""

    async def scenario():
        async with pair(held_up.url) as (alice, bob):
            unread = await bob.open_websocket()
            unread.transport.pause_reading()
            raw = [await asyncio.open_connection("127.0.0.1", held_up.port) for _ in range(3)]
            for _, writer in raw:
                head = f"authorization: Bearer {bob.token}\r\nhost: x\r\n\r\n"
                writer.write(f"GET /events/stream HTTP/1.1\r\n{head}".encode())
            for _ in range(20):
                await alice.store("bob", "x" * 200_000)
            await alice.elicit("bob", "?", FORM, timeout=60)
            calls = [bob.wait(60) for _ in range(50)]
            tasks = [asyncio.ensure_future(call) for call in calls]
            await asyncio.sleep(0.3)
            database.freeze()
            tasks += [asyncio.ensure_future(alice.store("bob", n)) for n in range(50)]
            await asyncio.sleep(0.3)
            code = await asyncio.to_thread(held_up.end_in_time)
            await asyncio.gather(*tasks, return_exceptions=True)
            for _, writer in raw:
                writer.close()
            unread.transport.abort()
            assert code == 0

    within(scenario())
    assert "Traceback" not in held_up.log


def test_a_full_disk_is_503_and_said_and_nothing_is_lost(bridge, within):
    (bridge.folder / "bridge.toml").write_text(CONFIG)
    bridge.start("--config", "bridge.toml")
    pid = bridge.process.pid

    async def scenario():
        async with pair(bridge.url) as (alice, bob):
            first = await alice.store("bob", 1)
            free = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (200_000, free[1]))
            with pytest.raises(BridgeError, match="503"):
                await alice.store("bob", "x" * 500_000)
            assert (await health(alice))[0] == 503
            resource.prlimit(pid, resource.RLIMIT_FSIZE, free)
            assert await alice.store("bob", 2) > first
            assert (await health(alice))[0] == 200
            assert [event["payload"] for event in await bob.wait(1)] == [1, 2]

    within(scenario())
    assert bridge.end() == 0
    assert "Traceback" not in bridge.log


def test_thousands_that_wait_are_let_go_in_5_s(bridge, within):
    url = bridge.start("--interval", "10s", "--connections", "1000")

    async def scenario():
        async with pair(url) as (alice, _):
            clients = [BridgeClient(url, "alice", alice.token) for _ in range(600)]
            waiting = [asyncio.ensure_future(client.wait(60)) for client in clients]
            await asyncio.sleep(5)
            code = await asyncio.to_thread(bridge.end_in_time)
            answers = await asyncio.gather(*waiting, return_exceptions=True)
            for client in clients:
                client.close()
            await asyncio.sleep(0)
            assert code == 0
            assert all(answer == [] or isinstance(answer, GONE) for answer in answers)
            assert sum(answer == [] for answer in answers) > 500

    within(scenario())
    assert "Traceback" not in bridge.log


def test_a_signal_that_comes_at_once_is_not_lost(bridge):
    bridge.start()
    assert bridge.end() == 0
