"""Push: what is stored is sent at once, by WebSocket and as server-sent events."""

from __future__ import annotations

import asyncio
import socket

import pytest
from bridges import metrics, pair
from websockets.exceptions import ConnectionClosed, InvalidStatus

from lhsim.live.client import BridgeError

KINDS = ["websocket", "sent_events"]


async def take(stream, count):
    """Return so many events of a stream, and close it."""
    got = []
    async for event in stream:
        got.append(event)
        if len(got) == count:
            break
    await stream.aclose()
    return got


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_missed_comes_first_and_then_what_is_stored(stored_bridge, within, kind):
    url = stored_bridge.start()

    async def scenario():
        async with pair(url) as (alice, bob):
            early = [await alice.store("bob", n) for n in range(250)]  # more than a page
            stream = getattr(bob, kind)()
            got = [await anext(stream) for _ in range(250)]
            late = [await alice.store("bob", n) for n in range(20)]
            got += await take(stream, 20)
            assert [event["sequence"] for event in got] == early + late

    within(scenario())


@pytest.mark.parametrize("kind", KINDS)
def test_connecting_in_a_storm_loses_nothing(stored_bridge, within, kind):
    """Catching up and going live overlap with writes, again and again."""
    url = stored_bridge.start()

    async def scenario():
        async with pair(url) as (alice, bob):

            async def send():
                return [await alice.store("bob", n) for n in range(300)]

            sending = asyncio.ensure_future(send())
            got = []
            while len(got) < 300:  # 13 events, and the connection is made anew
                got += await take(getattr(bob, kind)(), min(13, 300 - len(got)))
            assert [event["sequence"] for event in got] == await sending

    within(scenario())


@pytest.mark.parametrize("kind", KINDS)
def test_there_is_a_limit_of_connections_of_both_kinds(bridge, within, kind):
    url = bridge.start("--connections", "1")

    async def scenario():
        async with pair(url) as (alice, bob):
            held = asyncio.ensure_future(take(bob.websocket(), 1))
            while not (await metrics(alice))["active_connections"]:
                await asyncio.sleep(0.01)
            with pytest.raises((InvalidStatus, BridgeError), match="503"):
                await anext(getattr(alice, kind)())
            await alice.store("bob", 1)
            assert len(await held) == 1

    within(scenario())


@pytest.mark.parametrize("policy", ["drop_new", "disconnect"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_slow_reader_misses_nothing_in_the_end(bridge, within, kind, policy):
    """Nothing is read until more is sent than the kernel's buffers and the queue can hold."""
    url = bridge.start("--outbound", "4", "--outbound-policy", policy)

    async def scenario():
        async with pair(url) as (alice, bob):
            stream = getattr(bob, kind)()
            await alice.store("bob", "first")
            got = [await anext(stream)]
            big = "x" * 500_000
            sent = [await alice.store("bob", big) for _ in range(40)]
            while len(got) < 41:
                try:
                    async for event in stream:
                        got.append(event)
                        if len(got) == 41:
                            break
                except (ConnectionClosed, OSError):
                    pass
                await stream.aclose()
                stream = getattr(bob, kind)()  # from the cursor
            await stream.aclose()
            assert [event["sequence"] for event in got[1:]] == sent

    within(scenario())


def test_a_reader_that_takes_nothing_is_cut(bridge, within):
    (bridge.folder / "bridge.toml").write_text('patience = "500 ms"\n')
    url = bridge.start("--config", "bridge.toml")

    async def scenario():
        async with pair(url) as (alice, bob):
            with socket.socket() as deaf:
                deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                deaf.connect(("127.0.0.1", bridge.port))
                deaf.sendall(f"{bob._head('GET', '/events/stream')}\r\n".encode())
                while not (await metrics(alice))["active_connections"]:
                    await asyncio.sleep(0.01)
                for _ in range(20):
                    await alice.store("bob", "x" * 500_000)
                while (await metrics(alice))["active_connections"]:
                    await asyncio.sleep(0.05)

    within(scenario())


def test_the_latest_connection_of_an_agent_is_its_connection(running, within, name):
    async def scenario():
        async with (
            pair(running, name) as (alice, bob),
            bob.open_websocket() as first,
            bob.open_websocket() as second,
        ):
            with pytest.raises(ConnectionClosed):
                await first.recv()
            await alice.store(bob.agent_id, 1)
            assert '"payload":1' in await second.recv()

    within(scenario())


@pytest.mark.parametrize("said", ["{}", "nonsense", '{"since_sequence":-1}', '{"payload":1}'])
def test_whoever_says_anything_else_is_cut(running, within, name, said):
    async def scenario():
        async with pair(running, name) as (_, bob), bob.open_websocket() as socket:
            await socket.send(said)
            with pytest.raises(ConnectionClosed, match="1008"):
                await socket.recv()

    within(scenario())


def test_push_is_counted(running, within, name):
    async def scenario():
        async with pair(running, name) as (alice, bob):
            before = await metrics(alice)
            stream = bob.websocket()
            await alice.store(bob.agent_id, 1)
            await anext(stream)
            await stream.aclose()
            after = await metrics(alice)
            key = 'message_deliveries_total{architecture="push"}'
            assert after[key] - before.get(key, 0) == 1
            events = "websocket_events_total"
            assert after[events] - before[events] == 1
            count = 'agent_comm_latency_ms_count{architecture="push"}'
            assert after[count] - before.get(count, 0) == 1

    within(scenario())
