"""The server of the page, on loopback: the page itself, and answers as lines of JSON.

One computation runs at a time. A further question ends the one before, whoever asked it, and so
does a reader who goes. A name that leads to loopback is no reason to answer (DNS rebinding): the
host has to be that of loopback itself, and a page of another site gets nothing.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from lhsim.errors import InputError, LhsimError
from lhsim.explore.answers import Answers
from lhsim.explore.guard import OutdatedError, questions
from lhsim.explore.state import State

HOST = "127.0.0.1"
HOSTS = (HOST, "localhost")  # that a browser may have asked for
SITES = ("same-origin", "none")  # what a browser says of who asks; none: who types an address
MOST_CONNECTIONS = 64
GRACE = 1  # that a connection has to end, once the server does [s]
NO_STORE = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


class Desk:
    """Where questions are answered, the latest alone.

    Parameters
    ----------
    answers
        Finds what is asked.
    """

    def __init__(self, answers: Answers) -> None:
        self.answers = answers
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="lhsim-explore")
        self._latest = threading.Event()  # set: outdated

    def warm(self) -> None:
        """Begin to load the engines."""
        self._worker.submit(self.answers.warm)

    async def lines(self, state: State) -> AsyncIterator[str]:
        """Yield the parts of an answer as lines of JSON, until a further question comes."""
        self._latest.set()
        outdated = self._latest = threading.Event()
        loop, parts = asyncio.get_running_loop(), asyncio.Queue[dict[str, Any] | None]()

        def answer() -> None:
            try:
                for part in self.answers.of(state, outdated.is_set):
                    loop.call_soon_threadsafe(parts.put_nowait, part)
                    if outdated.is_set():
                        raise OutdatedError
            except OutdatedError:
                loop.call_soon_threadsafe(parts.put_nowait, {"outdated": True})
            except LhsimError as error:
                loop.call_soon_threadsafe(parts.put_nowait, {"error": str(error)})
            finally:
                loop.call_soon_threadsafe(parts.put_nowait, None)

        future = self._worker.submit(answer)
        try:
            while (part := await parts.get()) is not None:
                yield json.dumps(part, allow_nan=False) + "\n"
            future.result()  # a defect of ours, whose traceback is wanted
        finally:
            outdated.set()

    def close(self) -> None:
        """End what is under way."""
        self._latest.set()
        self._worker.shutdown(cancel_futures=True)


def application(answers: Answers, page: str) -> Starlette:
    """Return the server of a page.

    Parameters
    ----------
    answers
        Finds what is asked.
    page
        The HTML file.
    """
    desk = Desk(answers)

    async def home(_request: Request) -> Response:
        return HTMLResponse(page, headers=NO_STORE)

    async def answer(request: Request) -> Response:
        if request.headers.get("sec-fetch-site", "none") not in SITES:
            raise HTTPException(403, "asked by a page of another site")
        state = State.from_link(request.url.query, answers.known)
        questions(state, answers.known)  # refused before anything is sent
        return StreamingResponse(desk.lines(state), headers=NO_STORE,
                                 media_type="application/x-ndjson")  # fmt: skip

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        desk.warm()
        yield
        desk.close()

    return Starlette(
        routes=[Route("/", home), Route("/answers", answer)],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=HOSTS, www_redirect=False)],
        exception_handlers={InputError: _refused, HTTPException: _failed},
        lifespan=lifespan,
    )  # fmt: skip


def _refusal(problem: str, status: int) -> Response:
    return JSONResponse({"error": problem}, status, NO_STORE)


def _refused(_request: Request, error: Exception) -> Response:
    return _refusal(str(error).removeprefix("--"), 400)  # there is no command line


def _failed(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _refusal(error.detail, error.status_code)


def serve(answers: Answers, page: str, port: int, started: Callable[[str], None]) -> None:
    """Serve a page on loopback until Ctrl-C or SIGTERM.

    Parameters
    ----------
    answers, page
        As in `application`.
    port
        To listen on; 0 takes a free one.
    started
        Called with the URL, once it can be asked.

    Raises
    ------
    InputError
        When the port cannot be listened on.
    """
    try:
        listener = socket.create_server((HOST, port))
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        problem = f"{port} cannot be listened on: {reason}"
        raise InputError(problem, source="--port", allowed="a free port, or 0 for any") from None
    config = uvicorn.Config(
        application(answers, page), log_config=None, access_log=False, proxy_headers=False,
        limit_concurrency=MOST_CONNECTIONS, timeout_graceful_shutdown=GRACE,
    )  # fmt: skip
    server = uvicorn.Server(config)
    # uvicorn raises the signal that ended it again; the end is then a regular one.
    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, server.handle_exit)
    started(f"http://{HOST}:{listener.getsockname()[1]}")
    server.run([listener])
