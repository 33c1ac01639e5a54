"""Polling: query, sleep, and again until there is something or the time is over."""

from __future__ import annotations

import asyncio
import socket

import pytest
from bridges import metrics, pair

from lhsim.live.client import BridgeError


def test_messages_come_in_order_once_each(stored_bridge, within):
    url = stored_bridge.start("--interval", "20ms", "--limit", "3")

    async def scenario():
        async with pair(url) as (alice, bob):
            numbers = [await alice.store("bob", {"n": n}) for n in range(7)]
            sizes, got = [], []
            while len(got) < 7:
                page = await bob.wait(1)
                sizes.append(len(page))
                got += page
            assert sizes == [3, 3, 1]
            assert [event["sequence"] for event in got] == numbers == sorted(numbers)
            assert [event["payload"]["n"] for event in got] == list(range(7))
            assert {(event["sender"], event["target"]) for event in got} == {("alice", "bob")}
            assert await bob.wait(0.05) == []
            assert await alice.wait(0.05) == []  # not hers

    within(scenario())


def test_a_message_id_is_stored_once(stored_bridge, within):
    url = stored_bridge.start()

    async def scenario():
        async with pair(url) as (alice, bob):
            body = {"target": "bob", "payload": 1, "message_id": "one"}
            first = await alice.call("POST", "/event/store", body)
            again = await alice.call("POST", "/event/store", body)
            assert (first["duplicate"], again["duplicate"]) == (False, True)
            assert first["sequence"] == again["sequence"]
            # The same text of another sender is another message.
            other = await bob.call("POST", "/event/store", body)
            assert not other["duplicate"]
            assert len(await bob.wait(0)) == 2

    within(scenario())


def test_batches_store_what_comes_alone_would(stored_bridge, within):
    url = stored_bridge.start("--batch-size", "4", "--linger", "50ms")

    async def scenario():
        async with pair(url) as (alice, bob):
            sent = [alice.store("bob", n, message_id=f"m{n % 5}") for n in range(6)]
            numbers = await asyncio.gather(*sent)  # 0 and 5 are one message, in two batches
            assert numbers[5] == numbers[0]
            assert len(set(numbers)) == 5
            assert [event["sequence"] for event in await bob.wait(1)] == sorted(set(numbers))

    within(scenario())


def test_cycles_are_those_of_the_model(running, within, name):
    """Query at 0, 100 ms, ..., 300 ms; the timeout of 250 ms is looked at after the sleep."""

    async def scenario():
        async with pair(running, name) as (_, bob):
            before = await metrics(bob)
            assert await bob.wait(0.25) == []
            after = await metrics(bob)
            grown = {key: after[key] - before[key] for key in after if key.endswith("_total")}
            assert grown["polling_cycles_total"] == grown["wasted_polls_total"] == 3
            assert grown["timeout_events_total"] == 1

    within(scenario())


def test_a_waiter_that_hung_up_stops_polling(running, within, name):
    async def scenario():
        async with pair(running, name) as (alice, bob):
            waiting = asyncio.ensure_future(bob.wait(60))
            while not (await metrics(alice))["active_connections"]:
                await asyncio.sleep(0.01)
            waiting.cancel()
            while (await metrics(alice))["active_connections"]:
                await asyncio.sleep(0.01)
            before = (await metrics(alice))["polling_cycles_total"]
            await asyncio.sleep(0.3)  # three intervals
            assert (await metrics(alice))["polling_cycles_total"] == before

    within(scenario())


def test_more_than_so_many_requests_are_refused(bridge, within):
    url = bridge.start("--connections", "2", "--interval", "50ms")

    async def scenario():
        async with pair(url) as (alice, bob):
            held = [asyncio.ensure_future(bob.wait(30)) for _ in range(2)]
            while (await metrics(alice))["active_connections"] < 2:
                await asyncio.sleep(0.01)
            with pytest.raises(BridgeError, match="503") as refused:
                await bob.wait(30)
            assert refused.value.retry_after >= 1
            await alice.store("bob", 1)
            assert [len(page) for page in await asyncio.gather(*held)] == [1, 1]
            assert await bob.wait(0) == []  # there is a place again

    within(scenario())


def test_the_rate_limit_is_that_of_the_model(bridge, within):
    """By the time t a bucket has given floor(burst + rate t) tokens: 3 at once, and no fourth."""
    url = bridge.start("--rate-limit", "6/h,3")

    async def scenario():
        async with pair(url) as (alice, bob):
            for n in range(3):
                await alice.store("bob", n)
            with pytest.raises(BridgeError, match="429") as refused:
                await alice.store("bob", 3)
            assert 500 < refused.value.retry_after <= 601
            await bob.store("alice", "has a bucket of his own")
            assert len(await bob.wait(0)) == 3
            assert (await metrics(bob))['comm_failures_total{reason="rate_limited"}'] == 1

    within(scenario())


def test_small_answers_do_not_wait_for_an_acknowledgement(running, within, name):
    """Without TCP_NODELAY each answer takes the 40 ms of a delayed acknowledgement."""

    async def scenario():
        async with pair(running, name) as (alice, _):
            loop = asyncio.get_running_loop()
            took = []
            for n in range(20):
                begun = loop.time()
                await alice.store("nobody", n)
                took.append(loop.time() - begun)
            assert min(took) < 0.035  # the delay is a constant of the kernel's

    within(scenario())


def test_a_client_that_does_not_read_keeps_nobody_waiting(running, within, name):
    async def scenario():
        async with pair(running, name) as (alice, bob):
            await alice.store(bob.agent_id, "x" * 3000)
            with socket.create_connection(("127.0.0.1", int(running.rpartition(":")[2]))) as deaf:
                head = bob._head("GET", "/event/wait?timeout_seconds=0")
                deaf.sendall(f"{head}\r\n".encode() * 200)  # in one go, and reads nothing
                assert len(await bob.wait(1)) == 1

    within(scenario())


@pytest.mark.parametrize("store", ["postgresql"], indirect=True)
def test_several_connections_query_at_a_time(stored_bridge, within):
    url = stored_bridge.start("--store-connections", "3", "--interval", "10ms")

    async def scenario():
        async with pair(url) as (alice, bob):
            waiting = [asyncio.ensure_future(bob.wait(20)) for _ in range(20)]
            number = await alice.store("bob", 1)
            pages = await asyncio.gather(*waiting)  # of one cursor: each finds the same
            assert [[event["sequence"] for event in page] for page in pages] == [[number]] * 20

    within(scenario())


def test_a_short_poll_is_answered_at_once(bridge, within):
    url = bridge.start("--short-poll", "--interval", "20s")

    async def scenario():
        async with pair(url) as (alice, bob):
            assert [await bob.wait(60) for _ in range(3)] == [[], [], []]  # none is held for 20 s
            await alice.store("bob", 1)
            assert [event["payload"] for event in await bob.wait(60)] == [1]
            found = await metrics(bob)
            assert (found["polling_cycles_total"], found["wasted_polls_total"]) == (4, 3)
            assert found["timeout_events_total"] == 0
            assert found["polling_hold"] == 0

    within(scenario())
