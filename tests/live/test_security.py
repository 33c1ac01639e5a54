"""What the bridge refuses: strangers, other agents' business, and what is too much of anything."""

from __future__ import annotations

import asyncio
import base64
import json
import random
import socket
import time
from contextlib import suppress

import pytest
from bridges import SECRET, metrics, pair
from websockets.exceptions import ConnectionClosed, InvalidStatus

from lhsim.live.client import BridgeClient, BridgeError
from lhsim.live.tokens import Tokens

GUARDED = [
    ("POST", "/event/store", {"target": "x"}),
    ("GET", "/event/wait?timeout_seconds=0", None),
    ("POST", "/elicitation/create", {}),
    ("GET", "/elicitation/pending", None),
    ("POST", "/elicitation/respond", {}),
    ("GET", "/events/stream", None),
]


def tokens() -> dict[str, str]:
    """Tokens that are no good, by what is wrong with them."""
    signed, _ = Tokens(SECRET.encode(), 60, time.time).sign("alice")
    content, _, signature = signed.rpartition(".")
    key, expiry, _ = content.split(".")
    other = base64.urlsafe_b64encode(b"mallory").rstrip(b"=").decode()
    return {
        "none": "",
        "garbage": "x" * 50,
        "enormous": "x" * 5000,
        "of another secret": Tokens(b"another secret of a bridge", 60, time.time).sign("alice")[0],
        "expired": Tokens(SECRET.encode(), -1, time.time).sign("alice")[0],
        "for another agent": f"{key}.{expiry}.{other}.{signature}",
        "of longer life": f"{key}.{int(expiry) + 9999}.{content.split('.')[2]}.{signature}",
        "without signature": f"{content}.",
    }


@pytest.mark.parametrize("wrong", tokens())
@pytest.mark.parametrize(("method", "path", "body"), GUARDED)
def test_without_a_good_token_there_is_nothing(running, within, method, path, body, wrong):
    async def scenario():
        async with BridgeClient(running, "alice", tokens()[wrong]) as client:
            with pytest.raises(BridgeError, match="401: no valid token"):
                await client.call(method, path, body)

    within(scenario())


@pytest.mark.parametrize("wrong", tokens())
def test_without_a_good_token_there_is_no_websocket(running, within, wrong):
    async def scenario():
        with pytest.raises(InvalidStatus, match="401"):
            async with BridgeClient(running, "alice", tokens()[wrong]).open_websocket():
                pass

    within(scenario())


def test_the_good_token_is_good(running, within):
    """The counterpart: what makes the tokens above bad is what is said of them."""

    async def scenario():
        token, _ = Tokens(SECRET.encode(), 60, time.time).sign("carol")
        async with BridgeClient(running, "carol", token) as client:
            assert await client.wait(0) == []

    within(scenario())


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/event/wait?agent_id={alice}&timeout_seconds=0", None),
        ("GET", "/elicitation/pending?agent_id={alice}", None),
        ("GET", "/events/stream?agent_id={alice}", None),
        ("POST", "/event/store", {"target": "x", "sender": "alice"}),
    ],
)
def test_the_business_of_another_agent_is_none_of_ones_own(
    running, within, name, method, path, body
):
    async def scenario():
        async with pair(running, name) as (alice, bob):
            await bob.store(alice.agent_id, "for her alone")
            with pytest.raises(BridgeError, match="403"):
                await bob.call(method, path.format(alice=alice.agent_id), body)
            assert len(await alice.wait(0)) == 1

    within(scenario())


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "the body is not JSON"),
        (b"{", "the body is not JSON"),
        (b"[]", "the body is not a JSON object"),
        (b'{"target":"bob","payload":NaN}', "the body is not JSON"),
        (b'{"target":"bob","payload":' + b"9" * 4000 + b"}", ""),  # parsed or not: an answer
        (b'{"target":"bob\xff"}', "the body is not JSON"),
        (b'{"target":"' + b"b" * 200 + b'"}', "target is no id of an agent"),
        (b'{"target":"a b"}', "target is no id of an agent"),
        (b'{"target":7}', "target is no id of an agent"),
        (b'{"targe":"bob"}', "unknown key 'targe'"),
        (b'{"target":"bob","type":"elicitation"}', "type 'elicitation' is the bridge's own"),
        (b'{"target":"bob","message_id":":told:1"}', "is the bridge's own"),
        (b'{"target":"bob","message_id":""}', "message_id is no text"),
        (b'{"target":"bob","payload":' + b"[" * 33 + b"]" * 33 + b"}", "more than 32 deep"),
        (b'{"target":"bob","payload":' + b"[" * 1900 + b"]" * 1900 + b"}", ""),
    ],
)
def test_a_body_that_is_no_message_is_refused_in_one_line(running, within, name, body, problem):
    async def scenario():
        async with pair(running, name) as (alice, _):
            response = await alice.raw(alice._head("POST", "/event/store"), body)
            assert problem in json.loads(response.body).get("error", "")
            assert response.status == 400 or not problem
            assert await alice.store("bob", {"brackets": "[" * 100}) > 0  # in a text they may be

    within(scenario())


@pytest.mark.parametrize("query", ["since_sequence=-1", "since_sequence=x", "timeout_seconds=301",
                                   "timeout_seconds=nan", "timeout_seconds=-1"])  # fmt: skip
def test_a_query_that_is_none_is_refused(running, within, name, query):
    async def scenario():
        async with pair(running, name) as (alice, _):
            with pytest.raises(BridgeError, match="400"):
                await alice.call("GET", f"/event/wait?{query}")

    within(scenario())


def test_a_body_that_is_too_long_is_not_read(running):
    """The answer comes after the head when that says it, else after as much as is allowed."""
    port = int(running.rpartition(":")[2])
    head = b"POST /session/create HTTP/1.1\r\nhost: x\r\n"
    for rest in (
        b"content-length: 1000000000\r\n\r\n",
        b"transfer-encoding: chunked\r\n\r\n" + (b"400\r\n" + b"x" * 1024 + b"\r\n") * 5,
    ):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            client.sendall(head + rest)
            answer = b"".join(iter(lambda: client.recv(65536), b""))  # until it closes
            assert answer.startswith(b"HTTP/1.1 413 ")
            assert b"longer than 4096 bytes" in answer


def test_a_message_that_is_too_long_closes_a_websocket(running, within, name):
    async def scenario():
        async with pair(running, name) as (alice, _), alice.open_websocket() as socket:
            await socket.send("x" * 5000)
            with pytest.raises(ConnectionClosed, match="1009"):
                await socket.recv()

    within(scenario())


def test_garbage_leaves_it_serving(bridge, within):
    """10,000 requests of noise, of half a request, and of a request for what is not there."""
    url = bridge.start()
    rng = random.Random(7)

    async def throw(count):
        for _ in range(count):
            _, writer = await asyncio.open_connection("127.0.0.1", bridge.port)
            noise = rng.randbytes(rng.randrange(1, 200))
            kinds = (noise, b"GET /" + noise, b"POST /event/store HTTP/1.1\r\n" + noise)
            end = b"\r\n\r\n" if rng.random() < 0.8 else b""
            writer.write(rng.choice(kinds) + end)
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def scenario():
        await asyncio.gather(*(throw(500) for _ in range(20)))
        async with pair(url) as (alice, bob):
            await alice.store("bob", 1)
            assert len(await bob.wait(1)) == 1

    within(scenario())
    assert bridge.end() == 0
    assert "Traceback" not in bridge.log
    assert len(bridge.log) < 10_000  # not a line for each


def test_half_open_connections_are_closed(bridge, within):
    """Silent ones, and those that begin a request and do not end it, head or body."""
    (bridge.folder / "bridge.toml").write_text('patience = "300 ms"\n')
    url = bridge.start("--config", "bridge.toml")
    body = b"POST /session/create HTTP/1.1\r\nhost: x\r\ncontent-length: 50\r\n\r\n{"

    async def end_of(begin):
        reader, writer = await asyncio.open_connection("127.0.0.1", bridge.port)
        writer.write(begin)
        answer = await reader.read()  # until it is closed
        writer.close()
        return answer

    async def scenario():
        answers = await asyncio.gather(*map(end_of, [b"", b"GET / HTTP/1.1\r\nho", body]))
        assert answers[:2] == [b"", b""]
        assert answers[2].startswith(b"HTTP/1.1 408 ")
        async with pair(url) as (alice, _):  # one that is waited for is not half-open
            assert await alice.wait(1) == []

    within(scenario())


def test_the_log_has_no_secret(bridge, within):
    enrolment = "enrolment key of sixteen"
    url = bridge.start(environment={"LHSIM_ENROLMENT_KEY": enrolment})

    async def scenario():
        for key in (None, "wrong"):
            with pytest.raises(BridgeError, match="401: no valid enrolment key"):
                await BridgeClient.connect(url, "alice", enrolment=key)
        for key, status in (("wrong", 401), (enrolment, 200)):
            async with BridgeClient(url, "prometheus", key) as client:
                page = await client.raw(client._head("GET", "/metrics"))
                assert page.status == status
                assert (b"polling_cycles_total" in page.body) == (status == 200)
        async with await BridgeClient.connect(url, "alice", enrolment=enrolment) as alice:
            await alice.store("bob", 1)
            return alice.token

    token = within(scenario())
    assert bridge.end() == 0
    for secret in (SECRET, enrolment, token):
        assert secret not in bridge.log


def test_the_client_sees_no_traceback(bridge, within):
    url = bridge.start()

    async def scenario():
        async with pair(url) as (alice, bob):
            import sqlite3

            with sqlite3.connect(bridge.store) as other:  # the table goes away under the bridge
                other.execute("DROP TABLE events")
            for _ in range(2):
                with pytest.raises(BridgeError) as failure:
                    await alice.store("bob", 1)
                assert failure.value.status == 503
                assert failure.value.problem == "the request could not be served"
            assert (await metrics(bob))['comm_failures_total{reason="store"}'] == 2

    within(scenario())
    assert "no such table" in bridge.log  # who runs it is told
