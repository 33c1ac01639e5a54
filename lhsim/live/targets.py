"""The endpoint to which a bridge posts the messages for the agents of one process of a driver.

It listens on loopback alone, with a path for each agent; who posts has to know that and the agent's
key. A request may be so long and no longer, and what is no post to an agent is refused.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import secrets
from collections.abc import Callable
from typing import Any

import httptools

from lhsim.live.client import NO_HTTP
from lhsim.live.webhooks import ATTEMPT

HOST = "127.0.0.1"
BACKLOG = 2048
LONGEST_HEAD = 16_384  # [B]
# Gets the agent, the message and the number of the post, and returns the time after which the post
# is accepted [s]; None where it is refused
Receive = Callable[[int, dict[str, Any], int], float | None]


class Endpoint:
    """Where posts to agents arrive.

    Parameters
    ----------
    receive
        Is called with each post.
    longest
        Body of a post [B].
    """

    def __init__(self, receive: Receive, longest: int) -> None:
        self.receive = receive
        self.longest = longest
        self.keys: dict[int, bytes] = {}  # by agent: what its posts have as a bearer token
        self.connections: set[_Connection] = set()
        self._secret = secrets.token_hex(8)  # part of all paths
        self._server: asyncio.Server | None = None
        self._port = 0

    async def open(self) -> None:
        """Listen."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), HOST, 0, backlog=BACKLOG)
        self._port = self._server.sockets[0].getsockname()[1]

    def url(self, agent: int) -> str:
        """Return where to post what is for an agent."""
        return f"http://{HOST}:{self._port}/{self._secret}/{agent}"

    def close(self) -> None:
        """Listen no more, and hang up."""
        if self._server is not None:
            self._server.close()
        for connection in list(self.connections):
            connection.close()

    def agent_of(self, path: bytes) -> int | None:
        """Return whose path it is; None where it is nobody's."""
        _, secret, agent = path.split(b"/") if path.count(b"/") == 2 else (b"", b"", b"")
        known = hmac.compare_digest(secret, self._secret.encode())
        if not (known and agent.isdigit() and len(agent) <= 9):
            return None
        return int(agent) if int(agent) in self.keys else None


class _Connection(asyncio.Protocol):
    """A connection of a bridge, with one request at a time."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._transport: Any = None
        self._parser = httptools.HttpRequestParser(self)
        self._arrived = 0  # of the request [B]
        self._path = b""
        self._headers: dict[bytes, bytes] = {}
        self._body = b""

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = transport
        self._endpoint.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._endpoint.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        """Parse what has come, unless it is too much, or no request."""
        self._arrived += len(data)
        if self._arrived > LONGEST_HEAD + self._endpoint.longest:
            self.close()
            return
        try:
            self._parser.feed_data(data)
        except NO_HTTP:
            self.close()

    # What the parser calls.

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._path, self._headers, self._body = b"", {}, b""

    def on_url(self, url: bytes) -> None:
        """Keep the path."""
        self._path += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header."""
        self._headers[name.lower()] = value

    def on_body(self, part: bytes) -> None:
        """Keep a part of the body."""
        self._body += part

    def on_message_complete(self) -> None:
        """Answer, at once or after the work that it makes."""
        self._arrived = 0
        agent = self._endpoint.agent_of(self._path)
        if agent is None:
            self._answer(b"404 Not Found")
        elif not self._is_of_bridge(agent):
            self._answer(b"401 Unauthorized")
        else:
            self._take(agent)

    def _is_of_bridge(self, agent: int) -> bool:
        given = self._headers.get(b"authorization", b"")
        return hmac.compare_digest(given, b"Bearer " + self._endpoint.keys[agent])

    def _take(self, agent: int) -> None:
        number = self._headers.get(ATTEMPT.encode(), b"")
        if self._parser.get_method() != b"POST" or not number.isdigit() or len(number) > 9:
            self._answer(b"400 Bad Request")
            return
        try:
            after = self._endpoint.receive(agent, json.loads(self._body), int(number))
        except (ValueError, KeyError, TypeError):
            self._answer(b"400 Bad Request")
            return
        if after is None:
            self._answer(b"503 Service Unavailable")
        elif after:
            asyncio.get_running_loop().call_later(after, self._answer, b"200 OK")
        else:
            self._answer(b"200 OK")

    def _answer(self, status: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\n\r\n")
