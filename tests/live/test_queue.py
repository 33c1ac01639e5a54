"""A queue with competing consumers: taken, worked on and deleted; at least once."""

from __future__ import annotations

import asyncio
import time

import attrs
import pytest
from bridges import SECRET, metrics, pair

import lhsim
from lhsim.distributions import Deterministic
from lhsim.errors import InputError
from lhsim.live.client import BridgeClient, BridgeError
from lhsim.live.driver import Load, measure
from lhsim.live.queue import QUEUE
from lhsim.live.tokens import Tokens
from lhsim.models import Poisson, Workload
from lhsim.recording import Recording
from lhsim.replay import replay


def numbers(events):
    return [event["payload"] for event in events]


def test_each_message_is_taken_once_the_oldest_first(stored_bridge, within):
    url = stored_bridge.start("--queue", "--interval", "20ms", "--limit", "2")

    async def scenario():
        async with pair(url) as (alice, bob):
            for n in range(5):
                await alice.store(QUEUE, n)
            first, receipt = await bob.take(1)
            second, other = await alice.take(1)
            third, last = await bob.take(1)
            assert [numbers(some) for some in (first, second, third)] == [[0, 1], [2, 3], [4]]
            assert await alice.take(0) == ([], None)  # all are taken
            taken = ((bob, receipt, first), (alice, other, second), (bob, last, third))
            for who, what, events in taken:
                assert await who.delete(what) == [event["sequence"] for event in events]
            assert await alice.wait(0) == await bob.wait(0) == []  # in nobody's mailbox
            found = await metrics(bob)
            assert found['message_deliveries_total{architecture="polling"}'] == 5
            assert found["queue_duplicates_total"] == 0

    within(scenario())


def test_after_the_visibility_timeout_another_gets_it(stored_bridge, within):
    url = stored_bridge.start(
        "--queue", "--interval", "20ms", "--limit", "1", "--visibility", "300ms"
    )

    async def scenario():
        async with pair(url) as (alice, bob):
            for n in range(2):
                await alice.store(QUEUE, n)
            begun = time.monotonic()
            events, slow = await bob.take(1)
            assert numbers(events) == [0]
            assert numbers((await alice.take(1))[0]) == [1]
            again, fast = await alice.take(5)  # waits for it
            assert time.monotonic() - begun >= 0.3
            assert numbers(again) == [0]  # at its place by age: 1 is there again as well
            # Who was first has worked all the same; the first to delete it has delivered it.
            assert await bob.delete(slow) == [events[0]["sequence"]]
            assert await alice.delete(fast) == []
            assert numbers((await alice.take(5))[0]) == [1]  # and not 0
            found = await metrics(bob)
            assert found['message_deliveries_total{architecture="polling"}'] == 1
            assert found["queue_duplicates_total"] == 1

    within(scenario())


def test_what_is_deleted_stays_so_after_a_restart(stored_bridge, within):
    url = stored_bridge.start("--queue", "--limit", "1")

    async def before():
        async with pair(url) as (alice, bob):
            for n in range(3):
                await alice.store(QUEUE, n, message_id=f"m{n}")
            _, receipt = await bob.take(1)
            await bob.delete(receipt)
            return (await bob.take(1))[1]

    held = within(before())
    stored_bridge.end()
    again = stored_bridge.start("--queue", "--limit", "5")

    async def after():
        async with pair(again) as (alice, bob):
            await alice.store(QUEUE, 0, message_id="m0")  # sent again: it was stored before
            events, _ = await alice.take(1)
            assert numbers(events) == [1, 2]
            assert await bob.delete(held) == [events[0]["sequence"]]  # a receipt outlives it

    within(after())


def test_a_receipt_is_of_one_agent_and_cannot_be_made_up(bridge, within):
    url = bridge.start("--queue")

    async def scenario():
        async with pair(url) as (alice, bob):
            await alice.store(QUEUE, 1)
            _, receipt = await bob.take(1)
            signed, _, signature = receipt.rpartition(".")
            for wrong in (f"{signed}-2.{signature}", f"2.{signature}", f"{signed}.", "x", "1.é",
                          f"{receipt}x", bob.token):  # fmt: skip
                with pytest.raises(BridgeError, match="403: receipt is none of this agent's"):
                    await bob.delete(wrong)
            with pytest.raises(BridgeError, match="403"):
                await alice.delete(receipt)
            for wrong in ({}, {"receipt": 7}, {"receipt": ""}, {"receipt": receipt, "more": 1}):
                with pytest.raises(BridgeError, match="400"):
                    await bob.call("POST", "/queue/delete", wrong)
            for query in ("timeout_seconds=-1", "timeout_seconds=301", "timeout_seconds=nan"):
                with pytest.raises(BridgeError, match="400"):
                    await bob.call("POST", f"/queue/take?{query}")
            assert len(await bob.delete(receipt)) == 1
            bob.token = receipt  # nor is it a token
            for path in ("/queue/take", "/queue/delete"):
                with pytest.raises(BridgeError, match="401: no valid token"):
                    await bob.call("POST", path, {})

    within(scenario())


def test_nobody_is_the_queue(bridge, within):
    url = bridge.start("--queue")

    async def scenario():
        async with pair(url) as (alice, _):
            with pytest.raises(BridgeError, match="400: agent_id ':queue' is the bridge's own"):
                await BridgeClient.connect(url, QUEUE)
            with pytest.raises(BridgeError, match="400: target is a queue"):
                await alice.elicit(QUEUE, "?", {"type": "object", "properties": {}})
            alice.token = Tokens(SECRET.encode(), 60, time.time).sign(QUEUE)[0]
            with pytest.raises(BridgeError, match="401"):
                await alice.wait(0)

    within(scenario())


def test_without_a_queue_there_is_none(running, within, name):
    async def scenario():
        async with pair(running, name) as (alice, _):
            with pytest.raises(BridgeError, match="400: this bridge has no queue"):
                await alice.store(QUEUE, 1)
            with pytest.raises(BridgeError, match="404"):
                await alice.take(0)

    within(scenario())


def test_many_consumers_get_each_message_once(bridge, within):
    url = bridge.start("--queue", "--interval", "10ms", "--limit", "3")

    async def consume(name, found):
        async with await BridgeClient.connect(url, name) as client:
            while len(found) < 300:
                events, receipt = await client.take(0.05)
                if receipt is not None:
                    assert len(await client.delete(receipt)) == len(events)
                    found += numbers(events)

    async def scenario():
        found: list[int] = []
        async with pair(url) as (alice, _):
            consumers = [asyncio.ensure_future(consume(f"c{n}", found)) for n in range(10)]
            await asyncio.gather(*(alice.store(QUEUE, n) for n in range(300)))
            await asyncio.gather(*consumers)
        assert sorted(found) == list(range(300))

    within(scenario())


# --- the driver ----------------------------------------------------------------------------------


def load(url, **workload) -> Load:
    plain = Workload("queue", Poisson(4.0), think=Deterministic(0.05), producers=2)
    return Load(
        url=url,
        architecture="polling",
        agents=6,
        workload=attrs.evolve(plain, **workload),
        duration=2.0,
        warmup=1.0,
        drain=1.5,
        seed=3,
        spin=0.1,
    )


def test_a_run_over_a_queue_is_recorded_as_any_other(bridge, tmp_path):
    url = bridge.start("--queue", "--interval", "100ms", "--visibility", "20s")
    found = measure(load(url))
    assert found.manifest.way == "queue"
    assert found.manifest.server["polling.visibility"] == 20.0
    assert found.manifest.duplicates == 0
    cohort = found.cohort
    assert cohort["delivered_s"].notna().all()
    assert set(cohort["sender"]) == {0, 1}
    assert set(cohort["target"]) <= {2, 3, 4, 5}
    assert cohort["target"].nunique() > 1
    assert found.times("latency").min() >= 0.05  # delivered when deleted, after the work
    found.write(tmp_path / "run")
    assert Recording.read(tmp_path / "run").manifest == found.manifest
    replayed = replay(lhsim.load_system("polling"), found.manifest).measures()
    assert replayed["delivery"] == found.measures()["delivery"] == 1.0


def test_what_was_left_in_the_queue_is_no_message_of_a_run(bridge, within):
    url = bridge.start("--queue", "--interval", "100ms")

    async def leave():
        async with pair(url) as (alice, _):
            for number in range(20):
                await alice.store(QUEUE, {"sender": 0, "number": number, "text": ""})

    within(leave())
    found = measure(load(url))
    delivered = found.messages["delivered_s"]
    assert (delivered.isna() | (delivered >= found.messages["sent_s"] + 0.05)).all()
    assert found.manifest.duplicates == 0


def test_work_that_takes_longer_than_the_visibility_is_done_twice(bridge):
    url = bridge.start("--queue", "--interval", "50ms", "--visibility", "100ms", "--short-poll")
    found = measure(load(url, traffic=Poisson(1.0), think=Deterministic(0.3)))
    assert found.manifest.way == "queue, short poll"
    assert found.manifest.duplicates > 0
    assert not any("more than once" in doubt for doubt in found.manifest.doubts)


def test_a_server_without_a_queue_is_refused(bridge):
    with pytest.raises(InputError, match="has no queue; allowed: a bridge with one"):
        measure(load(bridge.start()))


def test_push_has_no_queue():
    with pytest.raises(InputError, match=r"workload\.topology: push has no queue"):
        attrs.evolve(load("http://127.0.0.1:9"), architecture="push")
