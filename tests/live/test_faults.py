"""The end of the bridge, regular or not: what it has acknowledged is there afterwards."""

from __future__ import annotations

import asyncio
import signal
from contextlib import aclosing
from itertools import count

import pandas as pd
import pytest
from bridges import metrics, pair
from websockets.exceptions import ConnectionClosed

from lhsim.live.client import BridgeClient, BridgeError

GONE = (OSError, ConnectionClosed, BridgeError)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_the_end_answers_all_who_wait(bridge, within, how):
    url = bridge.start("--interval", "10s")

    async def scenario():
        async with pair(url) as (alice, bob):
            waiting = asyncio.ensure_future(bob.wait(60))
            pushed = asyncio.ensure_future(anext(alice.websocket(), None))
            streamed = asyncio.ensure_future(
                anext((await BridgeClient.connect(url, "carol")).sent_events(), None)
            )
            while (await metrics(alice))["active_connections"] < 3:
                await asyncio.sleep(0.01)
            # Not its interval, nor its grace, of 10 s.
            code = await asyncio.to_thread(bridge.end_in_time, how)
            assert await waiting == []
            assert await streamed is None
            assert await asyncio.gather(pushed, return_exceptions=True)
            assert code == 0

    within(scenario())
    assert "Traceback" not in bridge.log


def test_the_end_under_load_loses_nothing(stored_bridge, within):
    """What was acknowledged before SIGTERM, or while it ended, is there after a restart."""
    acknowledged = within(_storm(stored_bridge, signal.SIGTERM, "--batch-size", "8",
                                 "--linger", "20ms"))  # fmt: skip
    assert "Traceback" not in stored_bridge.log
    within(_all_there(stored_bridge, acknowledged))


def test_sudden_death_loses_nothing_that_was_acknowledged(stored_bridge, within):
    acknowledged = within(_storm(stored_bridge, signal.SIGKILL))
    within(_all_there(stored_bridge, acknowledged))


async def _storm(bridge, how, *options):
    """End the bridge while eight agents send; return the numbers that they were told."""
    url = bridge.start(*options)
    told = {}

    async def send(sender):
        async with await BridgeClient.connect(url, f"s{sender}") as client:
            for n in count():
                try:
                    told[f"s{sender}", n] = await client.store("bob", n)
                except GONE:
                    return

    sending = [asyncio.ensure_future(send(sender)) for sender in range(8)]
    while len(told) < 100:
        await asyncio.sleep(0.005)
    await asyncio.to_thread(bridge.end, how)
    await asyncio.gather(*sending)
    return told


async def _all_there(bridge, told):
    async with await BridgeClient.connect(bridge.start(), "bob") as bob:
        got, page = [], [None]
        while page:
            page = await bob.wait(0)
            got += page
        stored = {(event["sender"], event["payload"]): event["sequence"] for event in got}
        assert len(stored) == len(got)  # none twice
        assert told.items() <= stored.items()


WANTED = 120


@pytest.mark.parametrize("kind", ["polling", "websocket", "sent_events"])
def test_across_sudden_deaths_each_message_comes_once(stored_bridge, within, kind):
    """A sender that tries again with its message_id, and a reader that keeps its cursor."""
    bridge = stored_bridge
    url = bridge.start("--interval", "20ms")
    port = bridge.port
    got: list[int] = []

    async def scenario():
        async with pair(url) as (alice, bob):
            tasks = [
                asyncio.ensure_future(_send(alice)),
                asyncio.ensure_future(_read(bob, kind, got)),
            ]
            for death in (1, 2):
                while len(got) < death * WANTED // 3:
                    await asyncio.sleep(0.005)
                await asyncio.to_thread(bridge.end, signal.SIGKILL)
                await asyncio.to_thread(bridge.start, "--interval", "20ms", port=port)
            await asyncio.gather(*tasks)
            assert got == list(range(WANTED))
            assert await bob.wait(0) == []

    within(scenario())


async def _send(client):
    n = 0
    while n < WANTED:
        try:
            await client.store("bob", n, message_id=f"n{n}")
            n += 1
        except GONE:
            await asyncio.sleep(0.02)


async def _read(client, kind, got):
    while len(got) < WANTED:
        try:
            if kind == "polling":
                got.extend(event["payload"] for event in await client.wait(1))
                continue
            async with aclosing(getattr(client, kind)()) as stream:
                async for event in stream:
                    got.append(event["payload"])
                    if len(got) == WANTED:
                        return
        except GONE:
            await asyncio.sleep(0.02)


def test_there_is_one_bridge_for_a_store(stored_bridge, bridge):
    stored_bridge.start()
    bridge.store = stored_bridge.store
    with pytest.raises(AssertionError, match="is used by another bridge"):
        bridge.start()
    bridge.process.wait(30)
    assert bridge.process.returncode == 2
    bridge.process.stdout.close()
    bridge.process = None


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_stage_times_are_written_at_the_end(bridge, within, kind):
    url = bridge.start("--stage-times", f"times.{kind}")

    async def scenario():
        async with pair(url) as (alice, bob):
            for n in range(5):
                await alice.store("bob", n)
            assert len(await bob.wait(0)) == 5
            await alice.elicit("bob", "?", {"type": "object", "properties": {}})
            await bob.respond((await bob.pending())[0], "accept", {})

    within(scenario())
    assert bridge.end() == 0
    path = bridge.folder / f"times.{kind}"
    times = pd.read_csv(path) if kind == "csv" else pd.read_parquet(path)
    assert list(times.columns) == ["component", "seconds"]
    counts = times.groupby("component").size().to_dict()
    # 2 sessions, 5 messages, a wait, a question, a look at it and an answer
    assert counts == {"loop_wait": 11, "parse": 11, "send": 11, "query": 1, "write": 7,
                      "thread_hop": 8, "validate": 1}  # fmt: skip
    assert (times["seconds"] >= 0).all()
    assert (times["seconds"] < 10).all()


def test_without_being_asked_it_keeps_no_times(bridge, within):
    url = bridge.start()

    async def scenario():
        async with pair(url) as (alice, _):
            await alice.store("bob", 1)

    within(scenario())
    assert bridge.end() == 0
    assert {path.name for path in bridge.folder.iterdir()} <= {
        "events.db", "events.db-wal", "events.db-shm", "events.db.lock", "log"}  # fmt: skip
