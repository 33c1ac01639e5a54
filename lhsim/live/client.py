"""A client of a bridge, on asyncio and httptools alone: a load driver has to cost little itself.

::

    async with await BridgeClient.connect("http://127.0.0.1:8765", "alice") as alice:
        await alice.store("bob", {"text": "hello"})
        for event in await alice.wait(timeout=10):
            ...

A client keeps its `cursor`, the highest number it has seen, and asks for what comes after it: no
event is missed, and none comes twice, also when the bridge has been away in between.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any, Self
from urllib.parse import urlencode, urlsplit

import httptools
from attrs import define, field, frozen
from websockets.asyncio import client as websockets

# What a parser raises; the second where the other end would speak another protocol from here on.
NO_HTTP = (httptools.HttpParserError, httptools.HttpParserUpgrade)
LONGEST_EVENT = 100_000_000  # that a bridge may send: six times its longest body [B]


class BridgeError(Exception):
    """The bridge answered with something other than 200.

    Parameters
    ----------
    status
        Of HTTP.
    problem
        What the bridge says.
    retry_after
        When to try again, where it says so [s].
    """

    def __init__(self, status: int, problem: str, retry_after: float | None = None) -> None:
        super().__init__(f"{status}: {problem}")
        self.status = status
        self.problem = problem
        self.retry_after = retry_after


@frozen
class Response:
    """An answer of the server."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class HttpConnection(asyncio.Protocol):
    """One HTTP/1.1 connection, kept open, with one request at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._parser: Any = None
        self._parts: list[bytes] = []
        self._headers: dict[str, str] = {}
        self._answer: asyncio.Future[Response] | None = None
        self._stream: asyncio.Queue[bytes] | None = None
        self.open = False

    @classmethod
    async def to(cls, host: str, port: int, *, tls: bool = False) -> HttpConnection:
        """Return a connection to a server."""
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(cls, host, port, ssl=tls or None)
        return connection

    async def request(self, head: str, body: bytes = b"") -> Response:
        """Send a request, given by its head without the end of it, and return the answer.

        Raise `ConnectionError` when the connection closes before the answer is complete.
        """
        if self._transport is None or not self.open:
            raise ConnectionResetError("the connection is closed")
        self._parser = httptools.HttpResponseParser(self)
        self._parts, self._headers = [], {}
        self._answer = asyncio.get_running_loop().create_future()
        length = f"content-length: {len(body)}\r\n" if body else ""
        self._transport.write(f"{head}{length}\r\n".encode() + body)
        return await self._answer

    async def stream(self, head: str) -> AsyncGenerator[bytes, None]:
        """Send a request, and yield the parts of the answer as they come.

        Raise `BridgeError` when the status is not 200.
        """
        parts: asyncio.Queue[bytes] = asyncio.Queue()
        self._stream = parts
        response = asyncio.ensure_future(self.request(head))
        try:
            while True:
                part = asyncio.ensure_future(parts.get())
                await asyncio.wait((part, response), return_when=asyncio.FIRST_COMPLETED)
                if not part.done():
                    part.cancel()
                    check(response.result())
                    return
                yield part.result()
        finally:
            response.cancel()
            self.close()
            await asyncio.sleep(0)  # the loop has the last word on a transport

    def close(self) -> None:
        """Close the connection."""
        self.open = False
        if self._transport is not None:
            self._transport.close()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.open = True

    def data_received(self, data: bytes) -> None:
        """Parse what has come."""
        try:
            self._parser.feed_data(data)
        except NO_HTTP as error:
            self._fail(ConnectionError(f"no answer of HTTP: {error}"))

    def connection_lost(self, exc: Exception | None) -> None:
        """Give up the request under way."""
        self.open = False
        self._fail(exc or ConnectionResetError("the server closed the connection"))

    def _fail(self, error: Exception) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)

    # What the parser calls.

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header."""
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, part: bytes) -> None:
        """Keep a part of the body, or hand it over."""
        if self._stream is not None and self._parser.get_status_code() == 200:
            self._stream.put_nowait(part)
        else:
            self._parts.append(part)

    def on_message_complete(self) -> None:
        """Hand over the answer."""
        if not self._parser.should_keep_alive():
            self.close()
        if self._answer is not None and not self._answer.done():
            status = self._parser.get_status_code()
            self._answer.set_result(Response(status, self._headers, b"".join(self._parts)))


@define
class BridgeClient:
    """An agent at a bridge."""

    url: str
    agent_id: str
    token: str = field(default="", repr=False)
    cursor: int = 0  # the highest number of an event that it has seen
    _idle: list[HttpConnection] = field(factory=list, repr=False)

    @classmethod
    async def connect(cls, url: str, agent_id: str, *, enrolment: str | None = None) -> Self:
        """Return an agent with a session.

        Parameters
        ----------
        url
            Of the bridge.
        agent_id
            Who it is to be.
        enrolment
            The key of the bridge, where it has one.

        Raises
        ------
        BridgeError
            When the bridge refuses it.
        OSError
            When the bridge cannot be reached.
        """
        client = cls(url.rstrip("/"), agent_id, enrolment or "")
        try:
            session = await client.call("POST", "/session/create", {"agent_id": agent_id})
        except BaseException:
            await client.__aexit__()
            raise
        client.token = session["token"]
        return client

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        self.close()
        await asyncio.sleep(0)  # the loop has the last word on a transport

    def close(self) -> None:
        """Close the connections that are idle."""
        for connection in self._idle:
            connection.close()
        self._idle.clear()

    async def store(
        self, target: str, payload: object, *, message_id: str | None = None, kind: str = "message"
    ) -> int:
        """Send a message; return its number. With one `message_id` it is stored only once."""
        body = {
            "target": target,
            "payload": payload,
            "type": kind,
            "message_id": message_id or secrets.token_hex(16),
        }
        return int((await self.call("POST", "/event/store", body))["sequence"])

    async def wait(self, timeout: float | None = None) -> list[dict[str, Any]]:
        """Return the messages after the cursor, which moves on; none when `timeout` [s] passes."""
        query: dict[str, object] = {"agent_id": self.agent_id, "since_sequence": self.cursor}
        if timeout is not None:
            query["timeout_seconds"] = timeout
        answer = await self.call("GET", f"/event/wait?{urlencode(query)}")
        self.cursor = max(self.cursor, answer["last_sequence"])
        events: list[dict[str, Any]] = answer["events"]
        return events

    async def take(self, timeout: float | None = None) -> tuple[list[dict[str, Any]], str | None]:
        """Take messages from the queue; return them, and the receipt to `delete` them with."""
        query = "" if timeout is None else f"?{urlencode({'timeout_seconds': timeout})}"
        answer = await self.call("POST", f"/queue/take{query}")
        return answer["events"], answer["receipt"]

    async def delete(self, receipt: str) -> list[int]:
        """Delete what was taken; return the numbers of those that nobody had deleted before."""
        answer = await self.call("POST", "/queue/delete", {"receipt": receipt})
        deleted: list[int] = answer["deleted"]
        return deleted

    async def register_webhook(self, url: str) -> str:
        """Let messages for this agent be posted to `url`; return the bearer token of the posts."""
        return str((await self.call("POST", "/webhook/register", {"url": url}))["key"])

    async def remove_webhook(self) -> None:
        """Let messages for this agent be posted no more."""
        await self.call("POST", "/webhook/remove", {})

    async def websocket(self) -> AsyncGenerator[dict[str, Any], None]:
        """Yield messages after the cursor, pushed over a WebSocket, until it is closed."""
        async with self.open_websocket() as socket:
            async for event in self.pushed(socket):
                yield event

    async def pushed(self, socket: websockets.ClientConnection) -> AsyncIterator[dict[str, Any]]:
        """Yield messages that come over a WebSocket that is open, until it is closed."""
        async for text in socket:
            event = json.loads(text)
            if "sequence" in event:
                self.cursor = event["sequence"]
                yield event
            else:  # something did not fit: read again from here
                await socket.send(json.dumps({"since_sequence": self.cursor}))

    def open_websocket(self) -> websockets.connect:
        """Return the WebSocket after the cursor, to be used with ``async with``."""
        url = "ws" + self.url.removeprefix("http")
        return websockets.connect(
            f"{url}/ws?since_sequence={self.cursor}",
            additional_headers={"authorization": f"Bearer {self.token}"},
            compression=None,
            max_size=LONGEST_EVENT,
            proxy=None,  # as all else goes to the URL itself
        )

    async def sent_events(self) -> AsyncGenerator[dict[str, Any], None]:
        """Yield messages after the cursor, pushed as server-sent events, until the stream ends."""
        connection = await self._connection()
        head = self._head("GET", f"/events/stream?since_sequence={self.cursor}")
        rest = b""
        async with aclosing(connection.stream(head)) as parts:
            async for part in parts:
                *blocks, rest = (rest + part).split(b"\n\n")
                for event in filter(None, map(_event, blocks)):
                    if "sequence" in event:
                        self.cursor = event["sequence"]
                        yield event

    async def elicit(
        self, target: str, message: str, schema: Mapping[str, Any], timeout: float | None = None
    ) -> str:
        """Ask another agent for an answer; return the id, with which the answer will come."""
        body: dict[str, Any] = {"target": target, "message": message, "schema": schema}
        if timeout is not None:
            body["timeout_seconds"] = timeout
        return str((await self.call("POST", "/elicitation/create", body))["elicitation_id"])

    async def pending(self) -> list[dict[str, Any]]:
        """Return the questions that wait for an answer of this agent."""
        elicitations: list[dict[str, Any]] = (await self.call("GET", "/elicitation/pending"))[
            "elicitations"
        ]
        return elicitations

    async def respond(
        self, question: Mapping[str, Any], action: str, content: object = None
    ) -> None:
        """Answer a question: accept with content, decline or cancel."""
        body = {
            "elicitation_id": question["elicitation_id"],
            "nonce": question["nonce"],
            "action": action,
        }
        if content is not None:
            body["content"] = content
        await self.call("POST", "/elicitation/respond", body)

    async def call(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Return the answer to a request.

        Raises
        ------
        BridgeError
            When its status is not 200.
        OSError
            When the connection closes before it is there.
        """
        content = b"" if body is None else _dump(body).encode()
        response = await self.raw(self._head(method, path), content)
        check(response)
        answer: dict[str, Any] = json.loads(response.body)
        return answer

    async def get(self, path: str) -> Response:
        """Return what the server answers to a GET, whatever that is."""
        return await self.raw(self._head("GET", path))

    async def raw(self, head: str, body: bytes = b"") -> Response:
        """Return what the server answers to a request, whatever that is."""
        connection = await self._connection()
        try:
            response = await connection.request(head, body)
        except BaseException:  # also when it is cancelled: its answer is still to come
            connection.close()
            raise
        if connection.open:
            self._idle.append(connection)
        return response

    async def _connection(self) -> HttpConnection:
        while self._idle:
            connection = self._idle.pop()
            if connection.open:
                return connection
        parts = urlsplit(self.url)
        tls = parts.scheme == "https"
        port = parts.port or (443 if tls else 80)
        return await HttpConnection.to(parts.hostname or "", port, tls=tls)

    def _head(self, method: str, path: str) -> str:
        parts = urlsplit(self.url)
        authorization = f"authorization: Bearer {self.token}\r\n" if self.token else ""
        return f"{method} {parts.path}{path} HTTP/1.1\r\nhost: {parts.netloc}\r\n{authorization}"


def _dump(body: object) -> str:
    return json.dumps(body, separators=(",", ":"), allow_nan=False)


def check(response: Response) -> None:
    """Raise `BridgeError` for an answer that is not 200."""
    if response.status == 200:
        return
    try:
        problem = str(json.loads(response.body)["error"])
    except (ValueError, KeyError, TypeError):
        problem = response.body[:200].decode("latin-1")
    after = response.headers.get("retry-after", "")
    raise BridgeError(response.status, problem, float(after) if after.isdigit() else None)


def _event(block: bytes) -> dict[str, Any] | None:
    """Return the data of a server-sent event, None for a comment."""
    for line in block.split(b"\n"):
        if line.startswith(b"data: "):
            event: dict[str, Any] = json.loads(line.removeprefix(b"data: "))
            return event
    return None
