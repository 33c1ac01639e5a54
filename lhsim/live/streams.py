"""Push over WebSocket and over server-sent events: the same connection in two wrappings."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from attrs import define, frozen
from starlette.requests import HTTPConnection, Request
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from lhsim.live import bodies
from lhsim.live.endpoints import Authenticate, hung_up, refused
from lhsim.live.limits import Places
from lhsim.live.monitor import Monitor
from lhsim.live.push import Connection, Hub, Read
from lhsim.live.refusals import Refusal
from lhsim.live.settings import BridgeSettings
from lhsim.live.stages import StageTimes
from lhsim.live.store import Event, StoreError

BAD_MESSAGE, FAILED, AGAIN = 1008, 1011, 1013  # RFC 6455, section 7.4
# A connection that has gone, however the libraries say it; a `TimeoutError` is an `OSError`.
GONE = (OSError, RuntimeError, WebSocketDisconnect)
HEARTBEAT = 15.0  # between two signs of life of a stream without messages [s]
_log = logging.getLogger("lhsim.live")


@define(eq=False, slots=False)
class PushServer:
    """The endpoints ``/ws`` and ``/events/stream``."""

    _settings: BridgeSettings
    _hub: Hub
    _read: Read
    _monitor: Monitor
    _authenticate: Authenticate
    _stages: StageTimes | None

    def __attrs_post_init__(self) -> None:
        self.places = Places(self._settings.connections, "too many push connections")

    def enter(self, connection: HTTPConnection) -> tuple[Connection, int]:
        """Return a connection for who asks, and from where on."""
        agent = self._authenticate(connection)
        bodies.own(connection.query_params, agent)
        given = bodies.once(connection.query_params, "since_sequence")
        if given is None:
            given = connection.headers.get("last-event-id")
        since = bodies.whole(given, "since_sequence")
        return Connection(agent, self._settings.outbound), since

    async def websocket(self, socket: WebSocket) -> None:
        """Push to a WebSocket."""
        try:
            connection, since = self.enter(socket)
            with self.places.some():
                await socket.accept()
                await self._push_to(socket, connection, since)
        except Refusal as refusal:
            await quietly(socket.send_denial_response(refused(refusal)))
        except GONE:  # before it was accepted
            return

    async def _push_to(self, socket: WebSocket, connection: Connection, since: int) -> None:
        cursors: asyncio.Queue[int] = asyncio.Queue(1)

        async def give() -> int:
            again = since
            while True:
                await self.pump(connection, again, lambda event: socket.send_text(event.to_json()))
                if connection.closed:
                    return AGAIN
                notice = {"type": "dropped", "since_sequence": connection.cursor}
                await self.in_time(socket.send_text(bodies.dump(notice)))
                again = await cursors.get()

        async def hear() -> int:
            while True:
                message = await socket.receive()
                if message["type"] == "websocket.disconnect":
                    return 0
                since = _cursor(message.get("text"))
                if since is None or cursors.full():
                    return BAD_MESSAGE
                cursors.put_nowait(since)

        self._hub.open(connection)
        try:
            code = await first_of(give(), hear())
        finally:
            self._hub.drop(connection)
        if code:
            await quietly(self.in_time(socket.close(code)))

    async def pump(
        self, connection: Connection, since: int, send: Callable[[Event], Awaitable[None]]
    ) -> None:
        """Send all events of a connection, until it is behind or closed."""
        async for event in connection.events(since, self._read):
            begun = time.perf_counter()
            await self.in_time(send(event))
            if self._stages is not None:
                self._stages.add("send", time.perf_counter() - begun)
            self._monitor.latency.labels("push").observe(1e3 * (time.time() - event.stored_at))
            self._monitor.deliveries.labels("push").inc()
            self._monitor.events.inc()

    async def in_time(self, sending: Awaitable[None]) -> None:
        """Wait for what is sent to be taken; raise `TimeoutError` when the client does not."""
        async with asyncio.timeout(self._settings.patience):
            await sending

    async def stream(
        self, request: Request, connection: Connection, since: int, send: Send
    ) -> None:
        """Push server-sent events until the client hangs up, or its connection is done."""

        async def write(text: str) -> None:
            part = {"type": "http.response.body", "body": text.encode(), "more_body": True}
            await send(part)

        async def give() -> None:
            await self.in_time(write(": connected\n\n"))
            await self.pump(connection, since, lambda event: write(_as_event(event)))
            if not connection.closed:  # there is no way back in a stream: the client comes again
                notice = bodies.dump({"type": "dropped", "since_sequence": connection.cursor})
                await self.in_time(write(f"event: dropped\ndata: {notice}\n\n"))

        async def live() -> None:
            while True:
                await asyncio.sleep(HEARTBEAT)
                await self.in_time(write(": alive\n\n"))

        headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        self._hub.open(connection)
        try:
            await first_of(give(), live(), hung_up(request))
        finally:
            self._hub.drop(connection)
        end = {"type": "http.response.body", "body": b"", "more_body": False}
        await quietly(self.in_time(send(end)))


@frozen(eq=False)
class ServerSentEvents:
    """The ASGI application of ``/events/stream``."""

    _server: PushServer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request with a stream."""
        request = Request(scope, receive)
        try:
            connection, since = self._server.enter(request)
            with self._server.places.some():
                await self._server.stream(request, connection, since, send)
        except Refusal as refusal:
            await refused(refusal)(scope, receive, send)


async def first_of(*coroutines: Coroutine[Any, Any, int | None]) -> int:
    """Return the code of the first to end, 0 for none, and end the others; `FAILED` on a defect."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return done.pop().result() or 0
    except TimeoutError:
        return AGAIN  # a slow reader
    except GONE:
        return 0  # the connection has gone in the middle of a send
    except StoreError as error:
        _log.error("a push connection failed: %s", error)
        return AGAIN
    except Exception as error:
        _log.error("a push connection failed", exc_info=error)
        return FAILED
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def quietly(last: Awaitable[None]) -> None:
    """Do a last thing for a connection that may have gone already."""
    try:
        await last
    except GONE:
        return


def _cursor(text: str | None) -> int | None:
    """Return the number in ``{"since_sequence": N}``, the only thing that a client may say."""
    try:
        body = bodies.parse((text or "").encode())
        bodies.fields(body, "since_sequence")
        return bodies.whole(body.get("since_sequence", ""), "since_sequence")
    except Refusal:
        return None


def _as_event(event: Event) -> str:
    return f"id: {event.sequence}\ndata: {event.to_json()}\n\n"
