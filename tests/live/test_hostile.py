"""What comes from outside breaks nothing: no answer of 5xx, no traceback, nothing kept for ever."""

from __future__ import annotations

import asyncio
import json
import socket
import sqlite3
import time
from collections.abc import Iterator
from contextlib import aclosing, closing, suppress

import psutil
import pytest
from bridges import Bridge, pair

from lhsim.live.client import BridgeClient, BridgeError

DEAD = "http://127.0.0.1:9"  # nobody listens there
PROXIES = {
    name: DEAD for one in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "WS_PROXY", "WSS_PROXY")
    for name in (one, one.lower())
}  # fmt: skip
EVIL = [
    {"additionalProperties": {"type": "string", "pattern": "^(a+)+$"}},
    {"additionalProperties": {"$ref": "http://127.0.0.1:9/"}},
    {"additionalProperties": {"$ref": "file:///etc/hostname"}},
    {"additionalProperties": {"$ref": "#/nope"}},
    {"properties": {"a": {"type": "string", "format": "regex"}}},
]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bridge]:
    """A bridge that the tests of this module share; little is in its log at the end."""
    folder = tmp_path_factory.mktemp("hostile")
    bridge = Bridge(folder, str(folder / "events.db"))
    (folder / "bridge.toml").write_text('patience = "2 s"\n')
    bridge.start("--config", "bridge.toml", "--interval", "100ms")
    yield bridge
    assert bridge.end() == 0
    assert bridge.log.count("\n") <= 2  # where its store is, and one line at most


def connect(bridge) -> socket.socket:
    return socket.create_connection(("127.0.0.1", bridge.port), timeout=20)


def handshake(bridge, token: str) -> socket.socket:
    """Open a WebSocket by hand."""
    client = connect(bridge)
    client.sendall(
        f"GET /ws HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\nupgrade: websocket\r\n"
        "connection: upgrade\r\nsec-websocket-version: 13\r\n"
        "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
    )
    assert client.recv(4096).startswith(b"HTTP/1.1 101 ")
    return client


def cut_within(seconds: float, client: socket.socket, drop: bytes) -> bool:
    """Return whether the server hangs up while it is sent something again and again."""
    begun = time.monotonic()
    while time.monotonic() - begun < seconds:
        try:
            client.sendall(drop)
            if not client.recv(65536):
                return True
        except TimeoutError:
            continue
        except OSError:
            return True
    return False


def everything(client: socket.socket) -> bytes:
    """Return what comes until the server hangs up."""
    answer = b""
    with suppress(ConnectionResetError):
        while part := client.recv(65536):
            answer += part
    return answer


def token_of(bridge, name: str = "mallory") -> str:
    async def ask():
        async with await BridgeClient.connect(bridge.url, name) as client:
            return client.token

    return asyncio.run(ask())


def closed_with(client: socket.socket) -> int:
    """Return the code of the close frame that ends a WebSocket (RFC 6455, 5.5.1)."""
    rest = everything(client)
    place = rest.rindex(b"\x88")
    return int.from_bytes(rest[place + 2 : place + 4], "big")


@pytest.mark.parametrize("evil", EVIL)
def test_a_form_that_would_be_resolved_or_hang_is_refused_and_nothing_stands_still(
    shared, within, name, evil
):
    form = {"type": "object", "properties": {"b": {"type": "string"}}, **evil}

    async def scenario():
        async with pair(shared.url, name) as (alice, bob):
            with pytest.raises(BridgeError, match="400: schema"):
                await alice.elicit(bob.agent_id, "?", form)
            assert await bob.pending() == []

    within(scenario())


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        (b'"payload":1e999', "beyond 64 bits"),
        (b'"payload":{"a":[-1e999]}', "beyond 64 bits"),
        (b'"payload":18446744073709551616', "beyond 64 bits"),
        (b'"payload":"\\ud800"', "text that is none"),
        (b'"payload":{"\\u0000":1}', "text that is none"),
        (b'"message_id":"\\ud800"', "text that is none"),
        (b'"message_id":"\\u0000"', "text that is none"),
        (b'"type":"a\\u0000b"', "text that is none"),
    ],
)
def test_one_bad_message_is_refused_and_the_seven_of_others_are_stored(
    stored_bridge, within, wrong, problem
):
    url = stored_bridge.start("--batch-size", "8", "--linger", "100ms")

    async def scenario():
        async with pair(url) as (alice, bob):
            body = b'{"target":"bob",' + wrong + b"}"
            bad = alice.raw(alice._head("POST", "/event/store"), body)
            good = [alice.store("bob", n) for n in range(7)]
            refused, *numbers = await asyncio.gather(bad, *good)
            assert refused.status == 400
            assert problem in json.loads(refused.body)["error"]
            assert len(set(numbers)) == 7
            page = (await bob.get("/event/wait?timeout_seconds=0")).body
            events = json.loads(page, parse_constant=pytest.fail)["events"]
            assert {event["payload"] for event in events} == set(range(7))

    within(scenario())
    assert "ERROR" not in stored_bridge.log


@pytest.mark.parametrize(
    "query", ["since_sequence=1e999", f"since_sequence={10**30}", "since_sequence=-1",
              "since_sequence=%D9%A3", "timeout_seconds=inf", "timeout_seconds=nan",
              "timeout_seconds=%D9%A3", "timeout_seconds=1e999", "timeout_seconds=1_0",
              "since_sequence=1&since_sequence=2", "agent_id=x%00&agent_id=x"],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/event/wait", "/events/stream", "/ws"])
def test_a_query_that_no_store_can_hold_is_refused(running, within, name, path, query):
    if path != "/event/wait" and "timeout" in query:
        pytest.skip("it has no timeout")

    async def scenario():
        async with pair(running, name) as (alice, _):
            upgrade = (
                "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"
                "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n" if path == "/ws" else ""
            )  # fmt: skip
            head = alice._head("GET", f"{path}?{query}") + upgrade
            assert (await alice.raw(head)).status == 400

    within(scenario())


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        (b"\x81\x82\0\0\0\0\xff\xfe", 1007),
        (b"\x81\x82\0\0\0\0\xff\xfe" * 3, 1007),
        (b"\x81\x83\0\0\0\0\xed\xa0\x80", 1007),
        (b"\x01\x81\0\0\0\0{\x80\x81\0\0\0\0\xff", 1007),  # in two fragments
        (b"\x82\x82\0\0\0\0{}", 1008),  # binary
        (b"\x81\x82\0\0\0\0{}", 1008),
        (b"\x81\xfe\xff\xff\0\0\0\0" + b"x" * 65535, 1009),
        (b"\x01\x80\0\0\0\0" + b"\x00\x80\0\0\0\0" * 1000, 1009),  # fragments with nothing in them
        (b"\x83\x80\0\0\0\0", 1002),  # an opcode that is none
        (b"\x81\x02{}", 1002),  # not masked
        (b"\x89\xfe\x00\xc8\0\0\0\0" + b"x" * 200, 1002),  # a ping that is too long
    ],
)
def test_a_frame_that_is_none_closes_its_connection_with_its_code(shared, frames, code):
    with handshake(shared, token_of(shared)) as client:
        client.sendall(frames)
        assert closed_with(client) == code


def test_pings_of_a_client_that_reads_nothing_do_not_fill_the_memory(bridge):
    (bridge.folder / "bridge.toml").write_text('patience = "20 s"\n')
    bridge.start("--config", "bridge.toml")
    server = psutil.Process(bridge.process.pid)
    ping = b"\x89\xfd\0\0\0\0" + b"x" * 125
    with handshake(bridge, token_of(bridge)) as client:
        before = server.memory_info().rss
        client.settimeout(2)
        sent = 0
        with suppress(OSError):
            while sent < 20_000_000:
                sent += client.send(ping * 1000)
        assert server.memory_info().rss - before < 15_000_000
        assert sent > 1_000_000


@pytest.mark.parametrize(
    "head",
    [
        b"GET /health HTTP/1.1\r\n" + b"x: y\r\n" * 200,
        b"GET /health HTTP/1.1\r\nx: " + b"y" * 100_000,
        b"GET /" + b"y" * 100_000,
        b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n" * 3000,
    ],
)
def test_a_head_with_too_much_of_anything_is_refused(shared, head):
    with connect(shared) as client:
        with suppress(OSError):
            client.sendall(head)
        answer = everything(client)
        assert b"HTTP/1.1 400 " in answer
        assert answer.count(b"HTTP/1.1 200 ") <= 11  # of requests one after the other


def test_a_request_has_one_length(shared):
    """Else two servers in a row take its end to be in different places."""
    for lengths in (b"content-length: 5\r\ntransfer-encoding: chunked\r\n",
                    b"content-length: 2\r\ncontent-length: 40\r\n",
                    b"transfer-encoding: xchunked\r\n"):  # fmt: skip
        with connect(shared) as client:
            hidden = b"0\r\n\r\nGET /metrics HTTP/1.1\r\nhost: x\r\n\r\n"
            client.sendall(
                b"POST /session/create HTTP/1.1\r\nhost: x\r\n" + lengths + b"\r\n" + hidden
            )
            answer = everything(client)
            assert answer.startswith(b"HTTP/1.1 400 ")
            assert answer.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize(
    "drip",
    [
        (b"GET /health HTTP/1.1\r\n", b"x: y\r\n"),
        (b"POST /session/create HTTP/1.1\r\ncontent-length: 999\r\n\r\n", b"x"),
        (b"GET /health HTTP/1.1\r\ncontent-length: 999\r\n\r\n", b"x"),  # a body that nobody wants
        (b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n", b"\r\n"),  # between two requests
        (b"", b"\r\n"),
    ],
)
def test_who_sends_drop_by_drop_is_cut(shared, drip):
    begin, drop = drip
    with connect(shared) as client:
        client.sendall(begin)
        client.settimeout(0.05)
        assert cut_within(20, client, drop)


def test_many_bodies_at_a_time_are_not_all_kept(bridge):
    """70 MB of bodies that do not end, of 64 MB that are taken."""
    bridge.start()
    clients = [connect(bridge) for _ in range(75)]
    head = b"POST /session/create HTTP/1.1\r\ncontent-length: 1000000\r\n\r\n"
    answers = []
    for client in clients:
        with suppress(OSError):
            client.sendall(head + b"x" * 999_000)
    deadline = time.monotonic() + 9
    while time.monotonic() < deadline and not answers:
        for client in clients:
            client.settimeout(0.01)
            with suppress(OSError):
                answers.append(client.recv(100))
    for client in clients:
        client.close()
    assert answers
    assert answers[0].startswith(b"HTTP/1.1 503 ")
    assert bridge.end() == 0


def test_what_is_written_in_the_log_by_clients_has_an_end(bridge, within):
    url = bridge.start()

    async def scenario():
        async with pair(url) as (alice, _):
            with closing(sqlite3.connect(bridge.store)) as other, other:
                other.execute("DROP TABLE events")
            for _ in range(300):
                with pytest.raises(BridgeError, match="503"):
                    await alice.store("bob", 1)

    within(scenario())
    assert bridge.end() == 0
    assert bridge.log.count("no such table") <= 11
    assert "and 290 more like the last one" in bridge.log
    assert "Traceback" not in bridge.log


def test_an_event_as_long_as_any_comes_through_to_every_kind_of_reader(bridge, within):
    """In ASCII a text can be three times as long as it was in UTF-8."""
    url = bridge.start()
    text = "é" * 490_000

    async def scenario():
        async with pair(url) as (alice, bob):
            body = json.dumps({"target": "bob", "payload": text}, ensure_ascii=False).encode()
            assert (await alice.raw(alice._head("POST", "/event/store"), body)).status == 200
            async with bob.open_websocket() as events:
                assert json.loads(await events.recv())["payload"] == text
            (event,) = await bob.wait(1)
            assert event["payload"] == text

    within(scenario())


def test_no_proxy_comes_between(bridge, within, monkeypatch):
    for name, value in PROXIES.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    url = bridge.start("--mcp")

    async def scenario():
        from lhsim.live.mcp.client import Answer, McpAgent

        async with pair(url) as (alice, bob), bob.open_websocket() as events:
            await alice.store("bob", 1)
            assert json.loads(await events.recv())["payload"] == 1
        for era in ("legacy", "modern"):
            async with (
                await McpAgent.connect(url, "carol", era=era) as carol,
                await McpAgent.connect(
                    url, "dave", era=era, respond=lambda _: Answer("decline")
                ) as dave,
            ):
                form = {"type": "object", "properties": {}}
                assert (await carol.ask(dave.agent_id, "?", form)).action == "decline"

    within(scenario())


def test_who_asks_and_declines_for_ever_does_not_fill_the_memory(bridge, within):
    (bridge.folder / "bridge.toml").write_text("elicitations = 20\n")
    url = bridge.start("--config", "bridge.toml")
    form = {"type": "object", "properties": {}}

    async def scenario():
        async with pair(url) as (alice, bob):
            first = None
            for _ in range(30):
                await alice.elicit("bob", "?", form)
                (question,) = await bob.pending()
                first = first or question
                await bob.respond(question, "decline")
                with pytest.raises(BridgeError, match="409"):
                    await bob.respond(question, "decline")
            with pytest.raises(BridgeError, match="404"):  # long since forgotten
                await bob.respond(first, "decline")
            with pytest.raises(BridgeError, match="400: message is no text of 1-10000"):
                await alice.elicit("bob", "x" * 10_001, form)

    within(scenario())


def test_a_reader_that_takes_nothing_is_cut(bridge):
    (bridge.folder / "bridge.toml").write_text('patience = "500 ms"\nlimit = 20\n')
    bridge.start("--config", "bridge.toml")

    async def fill():
        async with pair(bridge.url) as (alice, _):
            for _ in range(12):
                await alice.store("bob", "x" * 900_000)

    asyncio.run(fill())
    token = token_of(bridge, "bob")
    server = psutil.Process(bridge.process.pid)
    clients = []
    for path in ("/event/wait", "/events/stream"):
        client = connect(bridge)
        client.sendall(
            f"GET {path}?since_sequence=0 HTTP/1.1\r\nhost: x\r\n"
            f"authorization: Bearer {token}\r\n\r\n".encode()
        )
        clients.append(client)
    deadline = time.monotonic() + 20
    while any(one.status == "ESTABLISHED" for one in server.net_connections("tcp")):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    for client in clients:
        client.close()
    assert bridge.end() == 0
    assert "Traceback" not in bridge.log


@pytest.mark.parametrize("kind", ["websocket", "sent_events"])
def test_who_only_listens_is_not_cut(shared, within, name, kind):
    """For longer than what is begun may take, which is 2 s there."""

    async def scenario():
        async with (
            pair(shared.url, name) as (alice, bob),
            aclosing(getattr(bob, kind)()) as events,
        ):
            await alice.store(bob.agent_id, 1)
            assert (await anext(events))["payload"] == 1
            await asyncio.sleep(3.5)
            await alice.store(bob.agent_id, 2)
            assert (await anext(events))["payload"] == 2

    within(scenario())
