"""Runs a bridge: uvicorn with its loop, HTTP parser and WebSocket protocol pinned.

uvicorn takes what it finds when it is left to choose, and a calibration on one machine would then
mean nothing on the next. The loop is asyncio's, the parser httptools, and the WebSocket protocol
that of the websockets library without its own input and output.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import secrets
import signal
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, cast

from starlette.types import ASGIApp
from uvicorn import Config, Server
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame

from lhsim._files import expanded, read_text
from lhsim.errors import InputError
from lhsim.live.bridge import Bridge, Secrets
from lhsim.live.endpoints import ARRIVED
from lhsim.live.probe import open_files
from lhsim.live.settings import LONGEST_SECRET, SHORTEST_SECRET, BridgeSettings, is_loopback
from lhsim.live.threads import open_store

BACKLOG = 2048
_KEPT_FREE = 64  # descriptors, for files and databases
_LARGEST_HEAD = 65_536  # of a request [B]
_MOST_HEADERS = 100
_MOST_PIPELINED = 10  # requests that wait for the answer of one before, on a connection
_LONGEST_CURSOR = 1024  # message of a client on a WebSocket: there is only one kind [B]
_MOST_FRAGMENTS = 64  # of such a message
COLLECT_AFTER = 500_000  # objects more than after the last collection of garbage; some 60 MB
# The end takes 5 s at most, whatever happens. From the signal on, to connections that nobody reads
# from; to tasks that are still there then; and to whatever holds up the process all the same.
_CUT, _GRACE, END = 1.5, 2, 4.5  # [s]
_NO_REQUEST = (
    b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n"
    b"content-type: application/json\r\ncontent-length: 59\r\n\r\n"
    b'{"error":"this is no HTTP, or has too much of something"}\r\n'
)
_LAST_LINE = 0.3  # that the last line of the log may take [s]
_log = logging.getLogger("lhsim.live")


def serve(settings: BridgeSettings, keys: Secrets, started: Callable[[str], None]) -> None:
    """Run a bridge until SIGTERM or SIGINT.

    Parameters
    ----------
    settings
        Of the bridge.
    keys
        For tokens and enrolment.
    started
        Called with the URL when it can be asked.

    Raises
    ------
    InputError
        When the address or the store cannot be used.
    """
    _check(settings, keys)
    listener = _listen(settings)
    try:
        bridge = Bridge(settings, keys, open_store(settings))
    except BaseException:
        listener.close()
        raise
    server = _Server(_config(settings, bridge), bridge)
    # A signal that comes before the loop runs ends it as one that comes later. uvicorn raises it
    # again when all is done; the end is then a regular one.
    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, server.handle_exit)
    _collect_seldom()
    started(_url(settings.host, listener))
    server.run([listener])
    server.ended()
    bridge.write_stage_times()
    if bridge.hangs:
        _leave()


def _leave() -> None:
    """End the process without the threads that a database holds up: Python would wait for them.

    Nothing is lost by that: what was acknowledged is stored, and a store survives sudden deaths.
    """
    _later(_LAST_LINE, lambda: os._exit(0))  # the log may be a pipe that nobody reads
    _log.error("not all of it ended in time, and the rest was left")
    logging.shutdown()
    os._exit(0)


def _collect_seldom() -> None:
    """Keep Python from looking for garbage in what only waits (decision 52).

    Each request that waits holds some 60 objects for as long as it does, and each that was answered
    leaves timers that are void, but kept for some seconds. By default a collection looks through
    all of them every few hundred requests, and finds nothing.
    """
    gc.collect()
    gc.freeze()  # what is imported stays, and no collection looks through it
    gc.set_threshold(COLLECT_AFTER)


def read_secrets(secret_file: str | None, enrolment_file: str | None) -> Secrets:
    """Return the secrets from files, else from the environment; a new secret where there is none.

    Raise `InputError` when a file cannot be read, or what it holds is too short.
    """
    secret = _secret(secret_file, "--secret-file", "LHSIM_SECRET")
    enrolment = _secret(enrolment_file, "--enrolment-file", "LHSIM_ENROLMENT_KEY")
    return Secrets(secrets.token_bytes(32) if secret is None else secret.encode(), enrolment)


def _secret(path: str | None, option: str, variable: str) -> str | None:
    source = option
    try:
        text = read_text(path, most=LONGEST_SECRET) if path is not None else None
    except InputError as error:
        problem = f"{path!r} {error.problem}"
        raise InputError(problem, source=option, allowed=error.allowed) from None
    if text is None:
        text, source = os.environ.get(variable), variable
    if text is None:
        return None
    if len(text.strip()) < SHORTEST_SECRET:
        raise InputError("is too short", source=source, allowed=f"{SHORTEST_SECRET} characters")
    return text.strip()


def _check(settings: BridgeSettings, keys: Secrets) -> None:
    if not is_loopback(settings.host) and keys.enrolment is None:
        # Else anybody on the network could ask for the session of any agent.
        allowed = "--enrolment-file or LHSIM_ENROLMENT_KEY with a host that is not loopback"
        raise InputError("there is no enrolment key", source="--allow-remote", allowed=allowed)
    if settings.stage_times is not None:
        folder = expanded(settings.stage_times).parent
        if not os.access(folder, os.W_OK):
            problem = f"{str(folder)!r} cannot be written"
            raise InputError(problem, source="--stage-times", allowed="a file in a writable folder")


def _listen(settings: BridgeSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    address = (settings.host, settings.port)
    try:
        listener = socket.create_server(address, family=family, backlog=BACKLOG)
        # Its connections inherit it; asyncio sees no TCP in a socket that was made like this, and
        # each answer would wait 40 ms for the acknowledgement of its own head.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except (OSError, UnicodeError) as error:  # the second for a name that no DNS can have
        number = getattr(error, "errno", None) or 0
        reason = os.strerror(number) if number > 0 else getattr(error, "strerror", "is no host")
        problem = f"cannot be listened on: {reason}"
        raise InputError(problem, source=f"{settings.host}:{settings.port}") from None
    return listener


def _url(host: str, listener: socket.socket) -> str:
    port = listener.getsockname()[1]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _config(settings: BridgeSettings, bridge: Bridge) -> Config:
    for name in ("uvicorn.error", "mcp"):  # not a line for each bad request
        logging.getLogger(name).setLevel(logging.ERROR)
    limits = {
        "patience": settings.patience,
        "most": open_files() - _KEPT_FREE,
        "timed": bridge.stages is not None,
    }
    application: ASGIApp = bridge.application
    return Config(
        application,
        loop="asyncio",
        http=type("Http", (_Http,), limits),
        ws=type("WebSocket", (_WebSocket,), limits),
        ws_max_size=_LONGEST_CURSOR,
        ws_per_message_deflate=False,
        ws_ping_interval=20.0,
        ws_ping_timeout=20.0,
        lifespan="on",
        backlog=BACKLOG,
        log_config=None,
        access_log=False,
        proxy_headers=False,  # who says whom it speaks for is not asked
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=_GRACE,
    )


def _later(seconds: float, work: Callable[[], object]) -> threading.Timer:
    timer = threading.Timer(seconds, work)
    timer.daemon = True
    timer.start()
    return timer


class _Server(Server):
    def __init__(self, config: Config, bridge: Bridge) -> None:
        super().__init__(config)
        self._bridge = bridge
        self._running: asyncio.AbstractEventLoop | None = None
        self._last: threading.Timer | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._running = asyncio.get_running_loop()
        await super().startup(sockets)
        if self.should_exit:
            self._bridge.stop()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        asyncio.get_running_loop().call_later(_CUT, self._cut)
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: Any) -> None:
        super().handle_exit(sig, frame)
        if self._last is None:
            self._last = _later(END, _leave)
        if self._running is not None and not self._running.is_closed():
            self._running.call_soon_threadsafe(self._bridge.stop)

    def ended(self) -> None:
        """Leave what is still to be done its time."""
        if self._last is not None:
            self._last.cancel()

    def _cut(self) -> None:
        """End connections of clients who take nothing: to close them would wait for that."""
        for connection in list(self.server_state.connections):
            connection.transport.abort()


class _TooMuchError(Exception):
    """A request with too much of something; raised through the parser, which ends there."""


class _Unread:
    """Cuts a connection whose client takes nothing of what is sent, for so long [s]."""

    def __init__(self, transport: asyncio.Transport, patience: float) -> None:
        self._transport = transport
        self._patience = patience
        self._left = 0  # bytes to send at the last look
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Look from now on."""
        self._left = self._transport.get_write_buffer_size()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._patience, self._look)

    def end(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        if self._transport.get_write_buffer_size() >= self._left:
            self._transport.abort()
        else:
            self.begin()


class _Watched(asyncio.Protocol):
    """A protocol that cuts its connection when the client takes nothing of what is sent."""

    _unread: _Unread | None = None

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._unread is not None:
            self._unread.begin()

    def resume_writing(self) -> None:
        if self._unread is not None:
            self._unread.end()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._unread is not None:
            self._unread.end()
        super().connection_lost(exc)


class _Http(_Watched, HttpToolsProtocol):
    """uvicorn's protocol with limits that it lacks, of sizes and of times."""

    patience: float  # in which a request arrives, and some of its answer is taken [s]
    most: int  # connections
    timed: bool
    _late: asyncio.TimerHandle | None = None
    _head = 0  # of the request so far, of what is complete of it [B]
    _in_head = True
    _arrived = 0  # since a head began, or nothing did [B]

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if len(self.connections) > self.most:
            transport.abort()
            return
        self._unread = _Unread(transport, self.patience)
        self._expect()

    def data_received(self, data: bytes) -> None:
        self._arrived = self._arrived + len(data) if self._in_head else 0
        try:
            super().data_received(data)
        except Exception as error:  # of a library that has met what it did not expect
            _broken(error, self.transport)
        if self._in_head and self._arrived > _LARGEST_HEAD:  # which the parser keeps until its end
            self.send_400_response("")
        if self._is_idle():
            self._expect()  # also of what does not even begin a request

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head = 0
        self._expect()

    def on_url(self, url: bytes) -> None:
        self._grow(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._grow(len(name) + len(value))
        if len(self.headers) >= _MOST_HEADERS:
            raise _TooMuchError
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_time()
        self._in_head, self._arrived = False, 0
        if self.timed:
            cast("dict[str, Any]", self.scope)[ARRIVED] = time.perf_counter()
        super().on_headers_complete()
        if len(self.pipeline) > _MOST_PIPELINED:
            raise _TooMuchError

    def on_message_complete(self) -> None:
        self._in_time()
        self._in_head = True
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.cycle.more_body and not self.transport.is_closing():
            self._expect()  # the rest of a body that nobody wants

    def send_400_response(self, msg: str) -> None:
        if not self.transport.is_closing():
            self.transport.write(_NO_REQUEST)
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._in_time()
        super().connection_lost(exc)

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        # A client that takes nothing any more would hold on to a connection that is closing.
        self.loop.call_later(self.patience, self.transport.abort)

    def _grow(self, size: int) -> None:
        self._head += size
        if self._head > _LARGEST_HEAD:
            raise _TooMuchError

    def _is_idle(self) -> bool:
        """Return whether there is nothing to answer, and no other time limit."""
        if self.transport.is_closing() or self.transport.get_protocol() is not self:
            return False  # the second for what is a WebSocket by now
        answered = self.cycle is None or self.cycle.response_complete
        return answered and self.timeout_keep_alive_task is None

    def _expect(self) -> None:
        """Cut the connection when what is begun does not end in time."""
        if self._late is None:
            self._late = self.loop.call_later(self.patience, self.transport.abort)

    def _in_time(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None


class _WebSocket(_Watched, WebSocketsSansIOProtocol):
    """uvicorn's protocol with limits that it lacks.

    A connection that its application has left is gone soon, whatever its client does, and so is one
    whose handshake fails.
    """

    patience: float
    _pong: bytes | None = None  # that is to be sent when there is room

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._unread = _Unread(transport, self.patience)

    def data_received(self, data: bytes) -> None:
        try:
            super().data_received(data)
        except Exception as error:  # of a library that has met what it did not expect
            _broken(error, self.transport)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.transport.close()

    def handle_cont(self, event: Frame) -> None:
        if len(self.frames) >= _MOST_FRAGMENTS:  # they may be empty, and so have no size
            self._fail(CloseCode.MESSAGE_TOO_BIG)
            return
        super().handle_cont(event)

    def send_receive_event_to_app(self) -> None:
        if self.curr_msg_data_type == "text" and not self.close_sent:
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:
                self._fail(CloseCode.INVALID_DATA)
                return
        super().send_receive_event_to_app()

    def handle_ping(self) -> None:
        if self.writable.is_set():
            super().handle_ping()
            return
        # Who does not read gets the latest pong alone, and later (RFC 6455, 5.5.3): all of them
        # would fill the memory.
        self._pong = (self.conn.data_to_send() or [b""])[-1]

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._pong is not None and not self.transport.is_closing():
            pong, self._pong = self._pong, None
            self.transport.write(pong)

    async def send(self, message: Any) -> None:
        await super().send(message)
        # A refusal ends the handshake as well; uvicorn would log it as an error of ours.
        self.handshake_complete |= self.close_sent

    async def run_asgi(self) -> None:
        await super().run_asgi()
        self.loop.call_later(self.patience, self.transport.abort)

    def _fail(self, code: CloseCode) -> None:
        """Close the connection for what its client has sent (RFC 6455, 7.4)."""
        self.frames = []
        if not self.close_sent:
            self.conn.fail(code)
            self.handle_parser_exception()


def _broken(error: Exception, transport: asyncio.Transport) -> None:
    _log.error("a connection was cut for what it sent: %s", type(error).__name__)
    transport.abort()
