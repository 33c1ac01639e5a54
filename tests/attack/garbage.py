"""Garbage for a bridge: requests that no honest client sends, drawn from a seed.

`requests` yields them without end, for every protocol that a bridge speaks, as plain data; `throw`
sends one and returns the status of the answer. Whoever attacks for longer than a test does takes as
many as there is time for::

    for attack in itertools.islice(requests(7, token), 10_000):
        status = await throw(url, attack)
"""

from __future__ import annotations

import asyncio
import json
import random
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import quote, urlsplit

from attrs import frozen

# Of a bridge with all endpoints.
OPTIONS = ("--mcp", "--interval", "50ms", "--timeout", "500ms", "--queue", "--visibility", "200ms",
           "--webhook-allow", "http://127.0.0.1:*")  # fmt: skip
PROTOCOLS = ("http", "raw", "websocket", "sse", "mcp")
POSTS = ("/session/create", "/event/store", "/elicitation/create", "/elicitation/respond",
         "/queue/take", "/queue/delete", "/webhook/register", "/webhook/remove",
         "/mcp")  # fmt: skip
GETS = ("/health", "/metrics", "/event/wait", "/elicitation/pending", "/events/stream", "/ws",
        "/mcp", "/nowhere", "/health/", "/%ed%a0%80", "/..", "//", "/event/wait/")  # fmt: skip
PAUSE = 0.05  # in which a server may answer before the attacker hangs up [s]
ANSWER = 20.0  # in which an answer has to be there where one is waited for [s]


@frozen
class Attack:
    """What is sent on a connection of its own.

    Parts are sent one after the other. Where `answered`, a complete request stands in them, and the
    attacker waits for its answer; else it hangs up after a moment.
    """

    protocol: str
    parts: tuple[bytes, ...]
    answered: bool


# --- values that break readers ------------------------------------------------------------------


def numbers(draw: random.Random) -> str:
    """Return the text of a number that is none, or none that all can hold."""
    return draw.choice(
        ("1e999", "-1e999", "NaN", "Infinity", "-Infinity", "9" * draw.choice((20, 400, 5000)),
         "-9223372036854775809", "1e-999", "0x10", "01", "1.", ".5", "-", "1_0", "+1", "1e5",
         "0." + "3" * draw.choice((30, 2000)), str(2**63), str(2**64), "-0", "1E400")
    )  # fmt: skip


def texts(draw: random.Random) -> str:
    """Return a JSON text that some reader or store cannot hold, quotes included."""
    return draw.choice(
        ('"\\ud800"', '"\\udfff\\ud800"', '"\\u0000"', '"a\\u0000b"', '"\\ud83d"', '"\x01"', '"',
         '"\\x"', '"\\u12"', '"' + "x" * draw.choice((0, 201, 20_000)) + '"', '"\u202e\ufeff"',
         '"(a+)+$"', '"' + "(" * 5000 + '"', '"\\r\\nset-cookie: x"', '"a b"', '"٣"')
    )  # fmt: skip


def values(draw: random.Random, depth: int = 0) -> str:
    """Return JSON of any kind, valid or not."""
    kind = draw.randrange(8 if depth < 4 else 4)
    if kind < 2:
        return (numbers, texts)[kind](draw)
    if kind == 2:
        return draw.choice(("null", "true", "false", "1", '"a"', "{}", "[]", ""))
    if kind == 3:
        count = draw.choice((5, 33, 200, 20_000))
        return "[" * count + draw.choice(("]" * count, ""))
    inside = [values(draw, depth + 1) for _ in range(draw.randrange(4))]
    if kind < 6:
        return f"[{','.join(inside)}]"
    return "{" + ",".join(f"{texts(draw)}:{one}" for one in inside) + "}"


def forms(draw: random.Random) -> str:
    """Return a schema that should not be evaluated, or only just."""
    field: dict[str, Any] = {"type": draw.choice(("string", "number", "integer", "boolean", "x"))}
    evil = draw.choice(
        ({"pattern": "^(a+)+$"}, {"$ref": "http://127.0.0.1:9/"}, {"$ref": "file:///etc/passwd"},
         {"$ref": "#/nope"}, {"$dynamicRef": "#x"}, {"$id": "http://127.0.0.1:9/"},
         {"format": "regex"},
         {"format": "email"}, {"enum": []}, {"enum": [{"a": 1}]}, {"enum": list(range(5000))},
         {"maxLength": -1}, {"maxLength": 10**30}, {"minimum": "x"}, {"default": {"a": []}},
         {"anyOf": [{}]}, {"items": {}}, {"const": 1}, {"title": 7}, {"multipleOf": 1e-300})
    )  # fmt: skip
    field |= draw.choice(({}, evil))
    schema: dict[str, Any] = {"type": "object", "properties": {"a": field}}
    schema |= draw.choice(
        ({}, {"additionalProperties": field}, {"$schema": "http://127.0.0.1:9/"}, {"$ref": "#"},
         {"patternProperties": {"^(a+)+$": {}}}, {"required": [1]}, {"required": "a"},
         {"properties": {str(n): {"type": "string"} for n in range(200)}}, {"allOf": [field]},
         {"propertyNames": {"pattern": "^(a+)+$"}}, {"$defs": {"a": field}}, {"if": {}})
    )  # fmt: skip
    return json.dumps(schema)


def receipts(draw: random.Random) -> str:
    """Return what is no receipt of anybody's."""
    numbers = draw.choice(("1", "1-2", "", "-", "-1", "²", "1e9", "9" * 5000, "1-" * 9000))
    return numbers + draw.choice((".", "", "..", "." + "A" * 43, ".é", ".\ud800", ".\0"))


def addresses(draw: random.Random) -> str:
    """Return the address of a webhook: one to which nobody may post, or where nobody answers."""
    host = draw.choice(
        ("127.0.0.1", "127.0.0.1", "127.0.0.1:9", "127.0.0.1:1", "127.1", "2130706433", "0x7f.1",
         "localhost", "[::1]", "[::ffff:127.0.0.1]", "0", "169.254.169.254", "a@127.0.0.1",
         "127.0.0.1:9@x", "127.0.0.1\\@x", "x" * 254, ".", "a..b", "-", "\u2488", "é", "[::1%lo]",
         "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:0", "127.0.0.1:*", "")
    )  # fmt: skip
    scheme = draw.choice(("http",) * 6 + ("https", "HTTP", "file", "gopher", "unix", "javascript"))
    path = draw.choice(
        ("", "/", "/a?b", "/#", "/\r\nx: y", "/ ", "/%0d%0a", "/" + "x" * 2000, "\\")
    )
    return f"{scheme}://{host}{path}"


def bodies(draw: random.Random, path: str) -> bytes:
    """Return the body of a request to a path: nearly right, or not at all."""
    fields = {
        "/session/create": ("agent_id",),
        "/event/store": ("target", "payload", "message_id", "type", "sender"),
        "/elicitation/create": ("target", "message", "schema", "timeout_seconds"),
        "/elicitation/respond": ("elicitation_id", "nonce", "action", "content"),
        "/queue/take": (),
        "/webhook/remove": (),
        "/queue/delete": ("receipt",),
        "/webhook/register": ("url",),
    }.get(path, ("jsonrpc", "id", "method", "params"))
    given = {name: draw.choice((values(draw), '"bob"')) for name in fields}
    if "schema" in given:
        given |= {
            "schema": forms(draw),
            "target": '"bob"',
            "message": '"?"',
            "timeout_seconds": "1",
        }
    if "target" in given and draw.random() < 0.7:
        given["target"] = draw.choice(('"bob"', '"bob"', '":queue"'))
    given |= {
        name: json.dumps(make(draw))
        for name, make in (("receipt", receipts), ("url", addresses))
        if name in given and draw.random() < 0.9
    }
    pairs = [f'"{name}":{value}' for name, value in given.items() if draw.random() < 0.9]
    text = "{" + ",".join(pairs) + "}"
    return draw.choice((
        text.encode("utf-8", "surrogatepass"), text.encode("utf-16"),
        b"\xef\xbb\xbf" + text.encode(), values(draw).encode(), draw.randbytes(draw.randrange(200)),
        text[:-1].encode(), text.encode(), text.encode(), text.encode(),
    ))  # fmt: skip


def calls(draw: random.Random) -> bytes:
    """Return a message of MCP that is nearly one."""
    arguments = {
        "target": '"bob"',
        "message": '"?"',
        "schema": forms(draw),
        "timeout_seconds": "0.05",
    }
    if draw.random() < 0.5:
        arguments[draw.choice(list(arguments))] = values(draw)
    inner = "{" + ",".join(f'"{key}":{value}' for key, value in arguments.items()) + "}"
    name = draw.choice(('"ask"', '"listen"', '"nothing"', values(draw)))
    meta = draw.choice(
        ("{}", values(draw), '{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}')
    )
    params = draw.choice((f'{{"name":{name},"arguments":{inner},"_meta":{meta}}}', values(draw)))
    method = draw.choice((
        '"tools/call"', '"tools/list"', '"initialize"', '"ping"', '"notifications/initialized"',
        '"notifications/cancelled"', '"resources/read"', '"x"', values(draw),
    ))  # fmt: skip
    number = draw.choice(("1", "null", '"a"', "1.5", values(draw)))
    version = draw.choice(('"2.0"', '"2.0"', '"2.0"', '"1.0"', values(draw)))
    text = f'{{"jsonrpc":{version},"id":{number},"method":{method},"params":{params}}}'
    return draw.choice((text, text, text, f"[{text},{text}]", values(draw))).encode()


# --- requests ------------------------------------------------------------------------------------


def _head(method: str, path: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    length = {"content-length": str(len(body))} if body else {}
    lines = [f"{name}: {value}" for name, value in {"host": "x", **headers, **length}.items()]
    return (
        "\r\n".join([f"{method} {path} HTTP/1.1", *lines, "", ""]).encode("latin-1", "replace")
        + body
    )


def _queries(draw: random.Random) -> str:
    def value() -> str:
        return quote(
            draw.choice((numbers(draw), "0", "-1", "٣", "nan", "\0", "%", "x" * 5000))[:9000]
        )

    keys = ("since_sequence", "timeout_seconds", "agent_id", "x")
    return "&".join(f"{draw.choice(keys)}={value()}" for _ in range(draw.randrange(4)))


def _headers(draw: random.Random, token: str) -> dict[str, str]:
    return {
        "authorization": draw.choice(
            (f"Bearer {token}",) * 8 + ("Bearer x", "é", "Bearer " + "x" * 9000)
        ),
        **draw.choice(({}, {}, {"last-event-id": draw.choice(("x", "1e999", "٣", "-1"))},
                       {"content-type": draw.choice(("text/plain", "application/json", "x"))},
                       {"mcp-session-id": "x" * 500}, {"origin": "http://example.org"},
                       {"expect": "100-continue"}, {"upgrade": "h2c", "connection": "upgrade"})),
    }  # fmt: skip


def http(draw: random.Random, token: str) -> Attack:
    """Return a complete request with something wrong in it."""
    headers = _headers(draw, token)
    if draw.random() < 0.7:
        path = draw.choice(POSTS[:-1])
        return Attack("http", (_head("POST", path, headers, bodies(draw, path)),), answered=True)
    method = draw.choice(("GET", "GET", "GET", "HEAD", "DELETE", "PUT", "OPTIONS"))
    path = f"{draw.choice(GETS[:4] + GETS[5:])}?timeout_seconds=0&{_queries(draw)}"
    return Attack("http", (_head(method, path, headers),), answered=True)


def raw(draw: random.Random, token: str) -> Attack:
    """Return what is hardly HTTP: broken heads, two lengths, chunks that are none, halves."""
    good = _head("GET", "/health", {})
    noise = draw.randbytes(draw.randrange(1, 300))
    post = f"POST /event/store HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n".encode()
    parts = draw.choice((
        (noise,), (noise, b"\r\n\r\n"), (b"GET /" + noise + b" HTTP/1.1\r\n\r\n",),
        (b"\r\n" * 500,),
        (post + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n" + good,),
        (post + b"content-length: 5\r\ncontent-length: 6\r\n\r\n{}    ",),
        (post + b"transfer-encoding: chunked\r\n\r\n" + draw.choice(
            (b"zz\r\n", b"-1\r\n", b"f" * 20 + b"\r\n", b"5;" + b"x" * 9000 + b"\r\n{}   \r\n")),),
        (post + b"transfer-encoding: xchunked\r\n\r\n",),
        (post + b"content-length: \xb2\r\n\r\n",),
        (post + b"content-length: 100\r\n\r\n", b"{", b'"a"'), (post[:-2] + b"\x00\r\n\r\n",),
        (b"GET /health HTTP/9.9\r\n\r\n",), (b"GET /health\r\n\r\n",),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",),
        (b"CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\n",), (b"OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n",),
        (b"GET http://example.org/health HTTP/1.1\r\nhost: \r\n\r\n",),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + noise,), (good * 200,),
        (b"GET /health HTTP/1.1\r\n" + b"x: y\r\n" * 500 + b"\r\n",),
        (b"GET /health HTTP/1.1\r\nx: " + b"y" * 200_000,), (b"GET /" + b"y" * 200_000,),
        (b"GET /health HTTP/1.1\r\n folded: x\r\n\r\n",),
        (b"GET /health HTTP/1.1\r\nx : y\r\n\r\n",),
        (_head("GET", "/health", {}, b"x" * 50)[:-40],),
    ))  # fmt: skip
    return Attack("raw", parts, answered=False)


def frame(opcode: int, payload: bytes, *, fin: bool = True, masked: bool = True) -> bytes:
    """Return a frame of a WebSocket (RFC 6455, 5.2), masked with zeros."""
    first = (0x80 if fin else 0) | opcode
    mask = 0x80 if masked else 0
    size = len(payload)
    if size < 126:
        length = struct.pack("!BB", first, mask | size)
    elif size < 2**16:
        length = struct.pack("!BBH", first, mask | 126, size)
    else:
        length = struct.pack("!BBQ", first, mask | 127, size)
    return length + (b"\0\0\0\0" if masked else b"") + payload


def _frames(draw: random.Random) -> bytes:
    noise = draw.randbytes(draw.randrange(1, 300))
    return draw.choice((
        frame(1, b"\xff\xfe"), frame(1, b"\xff\xfe") * 3, frame(1, b"\xed\xa0\x80"),
        frame(2, noise),
        frame(1, b"x" * 100_000), frame(1, b"{", fin=False) + frame(0, b"\xff"), frame(0, b"x"),
        frame(1, b"", fin=False) + frame(0, b"", fin=False) * 2000, frame(9, b"x" * 100) * 500,
        frame(9, b"x" * 200), frame(10, b"x") * 100, frame(8, b"\x03"), frame(8, b"\x00\x01"),
        frame(8, b"\x03\xe8\xff"), frame(3, b""), frame(0xB, b""), noise,
        frame(1, b"{}", masked=False),
        b"\xf1\x80\0\0\0\0", b"\x81\xff" + b"\xff" * 8 + b"\0" * 4, b"\x81\xfe",
        frame(9, b"", fin=False),
        frame(1, ('{"since_sequence":' + numbers(draw) + "}").encode()) * draw.choice((1, 50)),
        frame(1, values(draw).encode("utf-8", "surrogatepass")[:1000]),
        frame(1, b"{}", fin=False) + frame(1, b"{}"), frame(1, b"{}") * 5000,
    ))  # fmt: skip


def websocket(draw: random.Random, token: str) -> Attack:
    """Return a handshake with frames that are none, or a handshake that is none."""
    headers = {
        "authorization": f"Bearer {token}", "upgrade": "websocket", "connection": "Upgrade",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==", "sec-websocket-version": "13",
    }  # fmt: skip
    if draw.random() < 0.3:
        headers |= draw.choice((
            {"sec-websocket-key": "x"}, {"sec-websocket-version": "99"}, {"authorization": "x"},
            {"sec-websocket-extensions": "permessage-deflate; x=\xff"}, {"x" * 50: "y" * 9000},
            {"sec-websocket-protocol": ",,\x0b"}, {f"x-{n}": "y" for n in range(150)}, {"é": "é"},
        ))  # fmt: skip
    path = draw.choice(("/ws", "/ws", "/ws", "/health", "/mcp", "/ws?" + _queries(draw), "/ws/é"))
    return Attack("websocket", (_head("GET", path, headers), _frames(draw)), answered=False)


def sse(draw: random.Random, token: str) -> Attack:
    """Return a stream that nobody reads for long."""
    path = "/events/stream?" + _queries(draw)
    return Attack("sse", (_head("GET", path, _headers(draw, token)),), answered=False)


def mcp(draw: random.Random, token: str) -> Attack:
    """Return a call of the MCP server that is nearly one."""
    headers = {
        "authorization": f"Bearer {token}", "content-type": "application/json", "host": "127.0.0.1",
        "accept": draw.choice(("application/json, text/event-stream", "*/*", "text/html")),
        **draw.choice(({}, {"mcp-protocol-version": draw.choice(("2026-07-28", "2025-06-18", "x"))},
                       {"mcp-session-id": draw.choice(("x", "\x7f", "x" * 500))},
                       {"mcp-protocol-version": "2026-07-28", "mcp-method": "tools/call",
                        "mcp-name": draw.choice(("ask", "x"))})),
    }  # fmt: skip
    method = draw.choice(("POST",) * 8 + ("GET", "DELETE", "PUT"))
    body = calls(draw) if method == "POST" else b""
    return Attack("mcp", (_head(method, "/mcp", headers, body),), answered=method == "POST")


KINDS: dict[str, Callable[[random.Random, str], Attack]] = {
    "http": http, "raw": raw, "websocket": websocket, "sse": sse, "mcp": mcp,
}  # fmt: skip


def requests(
    seed: int, token: str = "", protocols: tuple[str, ...] = PROTOCOLS
) -> Iterator[Attack]:
    """Yield garbage without end, the same for the same seed."""
    draw = random.Random(seed)
    while True:
        yield KINDS[draw.choice(protocols)](draw, token)


# --- sending -------------------------------------------------------------------------------------


async def throw(url: str, attack: Attack) -> int | None:
    """Send an attack; return the status of the first answer, None where there is none."""
    parts = urlsplit(url)
    try:
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    except OSError:
        return None
    try:
        for part in attack.parts:
            writer.write(part)
            await asyncio.sleep(0)
        wait = ANSWER if attack.answered else PAUSE
        line = await asyncio.wait_for(reader.readline(), wait)
        words = line.split()
        return int(words[1]) if len(words) > 1 and words[1].isdigit() else None
    except (OSError, ValueError):  # TimeoutError is an OSError
        return None
    finally:
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()
