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
import time
from collections.abc import Callable
from typing import Any, cast

from starlette.types import ASGIApp
from uvicorn import Config, Server
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from lhsim._files import expanded, read_text
from lhsim.errors import InputError
from lhsim.live.bridge import Bridge, Secrets
from lhsim.live.endpoints import ARRIVED
from lhsim.live.probe import open_files
from lhsim.live.settings import LONGEST_SECRET, SHORTEST_SECRET, BridgeSettings, is_loopback
from lhsim.live.threads import open_store

BACKLOG = 2048
_KEPT_FREE = 64  # descriptors, for files and databases
COLLECT_AFTER = 500_000  # objects more than after the last collection of garbage; some 60 MB
_GRACE = 10  # for requests under way at the end [s]


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
    # uvicorn raises the signal again when all is done; the end is then a regular one.
    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, lambda *_: None)
    _collect_seldom()
    started(_url(settings.host, listener))
    server.run([listener])


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

    Raises
    ------
    InputError
        When a file cannot be read, or what it holds is too short.
    """
    secret = _secret(secret_file, "--secret-file", "LHSIM_SECRET")
    enrolment = _secret(enrolment_file, "--enrolment-file", "LHSIM_ENROLMENT_KEY")
    return Secrets(
        secrets.token_bytes(32) if secret is None else secret.encode(),
        enrolment,
    )


def _secret(path: str | None, option: str, variable: str) -> str | None:
    source, text = option, None
    if path is not None:
        text = _content(path, option)
    if text is None:
        text, source = os.environ.get(variable), variable
    if text is None:
        return None
    if len(text.strip()) < SHORTEST_SECRET:
        raise InputError("is too short", source=source, allowed=f"{SHORTEST_SECRET} characters")
    return text.strip()


def _content(path: str, option: str) -> str:
    try:
        expanded(path).stat()
        return read_text(path, most=LONGEST_SECRET)
    except (OSError, InputError) as error:
        reason = error.problem if isinstance(error, InputError) else error.strerror
        raise InputError(f"{path[:200]!r} cannot be read: {reason}", source=option) from None


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
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
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
        ws_max_size=settings.max_body,
        ws_per_message_deflate=False,
        ws_ping_interval=20.0,
        ws_ping_timeout=20.0,
        lifespan="on",
        backlog=BACKLOG,
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=_GRACE,
    )


class _Server(Server):
    def __init__(self, config: Config, bridge: Bridge) -> None:
        super().__init__(config)
        self._bridge = bridge
        self._running: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._running = asyncio.get_running_loop()
        await super().startup(sockets)

    def handle_exit(self, sig: int, frame: Any) -> None:
        super().handle_exit(sig, frame)
        if self._running is not None:
            self._running.call_soon_threadsafe(self._bridge.stop)


class _Http(HttpToolsProtocol):
    """uvicorn's protocol with limits that it lacks: of connections, and of the time of a head."""

    patience: float  # in which the head of a request arrives [s]
    most: int  # connections
    timed: bool
    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if len(self.connections) > self.most:
            transport.abort()
            return
        self._late = self.loop.call_later(self.patience, transport.abort)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._late is None:
            self._late = self.loop.call_later(self.patience, self.transport.abort)

    def on_headers_complete(self) -> None:
        self._in_time()
        if self.timed:
            cast("dict[str, Any]", self.scope)[ARRIVED] = time.perf_counter()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._in_time()
        super().connection_lost(exc)

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        # A client that takes nothing any more would hold on to a connection that is closing.
        self.loop.call_later(self.patience, self.transport.abort)

    def _in_time(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None


class _WebSocket(WebSocketsSansIOProtocol):
    """A connection that its application has left is gone soon, whatever its client does."""

    patience: float

    async def run_asgi(self) -> None:
        await super().run_asgi()
        self.loop.call_later(self.patience, self.transport.abort)
