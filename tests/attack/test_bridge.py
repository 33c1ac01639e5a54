"""Garbage over every protocol of a bridge, while honest agents use it."""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
import time
from collections import Counter
from contextlib import suppress

import psutil
import pytest
from bridges import Bridge
from garbage import OPTIONS, PROTOCOLS, requests, throw

from lhsim.live.client import BridgeClient

ATTACKS = 600
AT_ONCE = 6
MESSAGES = 60
# What waits for the collector of cycles (decision 52), and not what stays: 25 kB for each attack.
GROWTH = 40_000_000  # [B]


@pytest.fixture
def bridge(tmp_path):
    bridge = Bridge(tmp_path, str(tmp_path / "events.db"))
    bridge.start(*OPTIONS)
    yield bridge
    bridge.end(signal.SIGKILL)


def test_the_same_seed_gives_the_same_garbage_of_every_kind():
    some = list(itertools.islice(requests(1, "token"), 200))
    assert some == list(itertools.islice(requests(1, "token"), 200))
    assert {attack.protocol for attack in some} == set(PROTOCOLS)
    assert all(isinstance(part, bytes) for attack in some for part in attack.parts)


async def send(client, told):
    for n in range(MESSAGES):
        told.append(await client.store("victim", n, message_id=f"n{n}"))
        await asyncio.sleep(0.02)


async def poll(client, got):
    while len(got) < MESSAGES:
        got += [event["payload"] for event in await client.wait(1)]


async def push(client, got):
    async with client.open_websocket() as events:
        while len(got) < MESSAGES:
            got.append(json.loads(await events.recv())["payload"])


async def under_attack(url, found):
    """Let garbage and honest agents use a bridge at the same time; count the answers."""

    async def attack(attacks):
        for one in attacks:
            found[one.protocol, await throw(url, one)] += 1

    async with (
        await BridgeClient.connect(url, "mallory") as mallory,
        await BridgeClient.connect(url, "alice") as alice,
        await BridgeClient.connect(url, "victim") as victim,
        BridgeClient(url, "victim", victim.token) as polling,
    ):
        attacks = itertools.islice(requests(1, mallory.token), ATTACKS)
        told, polled, pushed = [], [], []
        await asyncio.gather(
            *(attack(attacks) for _ in range(AT_ONCE)),
            send(alice, told), poll(polling, polled), push(victim, pushed),
        )  # fmt: skip
        assert polled == pushed == list(range(MESSAGES))
        assert told == sorted(set(told))
        assert (await alice.get("/health")).status == 200


def test_garbage_breaks_nothing_and_costs_honest_agents_nothing(bridge):
    server = psutil.Process(bridge.process.pid)
    before, files = server.memory_info().rss, server.num_fds()
    found: Counter[tuple[str, int | None]] = Counter()
    asyncio.run(asyncio.wait_for(under_attack(bridge.url, found), 120))
    assert sum(found.values()) == ATTACKS
    assert {protocol for protocol, _ in found} == set(PROTOCOLS)
    assert not [key for key in found if key[1] is not None and key[1] >= 500]
    assert found["http", 400] > 20
    assert found["http", None] == 0  # all of them are answered
    assert server.memory_info().rss - before < GROWTH
    deadline = time.monotonic() + 20
    while server.num_fds() > files + 5:  # connections that are kept for a while
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert bridge.end_in_time() == 0
    assert bridge.log.count("\n") <= 2  # where its store is


def test_what_was_acknowledged_outlives_garbage_and_a_sudden_death(bridge):
    told = {}

    async def scenario():
        async with (
            await BridgeClient.connect(bridge.url, "mallory") as mallory,
            await BridgeClient.connect(bridge.url, "alice") as alice,
        ):
            attacks = itertools.islice(requests(2, mallory.token, ("http", "raw", "mcp")), 200)

            async def attack():
                for one in attacks:
                    await throw(bridge.url, one)

            async def send():
                with suppress(OSError):
                    for n in itertools.count():
                        told[n] = await alice.store("victim", n)

            sending = asyncio.ensure_future(send())
            await asyncio.gather(*(attack() for _ in range(AT_ONCE)))
            await asyncio.to_thread(bridge.end, signal.SIGKILL)
            await sending
        bridge.start(*OPTIONS)
        async with await BridgeClient.connect(bridge.url, "victim") as victim:
            got = []
            while page := await victim.wait(0):
                got += [event for event in page if event["sender"] == "alice"]
            numbers = [event["payload"] for event in got]
            assert numbers == list(range(len(numbers)))  # none twice, and in order
            stored = {event["payload"]: event["sequence"] for event in got}
            assert told.items() <= stored.items()

    asyncio.run(asyncio.wait_for(scenario(), 120))
    assert len(told) > 20
    assert bridge.end() == 0
    assert "Traceback" not in bridge.log
