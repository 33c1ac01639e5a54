"""How an endpoint is called: who asks, what they send, and what they get when it does not work."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from lhsim.live.bodies import parse
from lhsim.live.refusals import Refusal
from lhsim.live.stages import StageTimes
from lhsim.live.tokens import Tokens

ARRIVED = "lhsim.arrived"  # in the scope: when the head of the request was complete
NO_BODY: dict[str, Any] = {}
_log = logging.getLogger("lhsim.live")

Handler = Callable[[Request, str, dict[str, Any]], Awaitable[Response]]


class Endpoint:
    """An ASGI application for one path.

    Parameters
    ----------
    handler
        Is given the request, the agent who asks and the body; returns the answer, or raises a
        `Refusal`.
    authenticate
        Returns the agent of a connection, or raises a `Refusal`.
    max_body
        Bytes that a body may have; 0 for an endpoint that takes none.
    patience
        In which a body has to arrive [s].
    stages
        Gets the times of ``loop_wait``, ``parse`` and ``send``.
    """

    def __init__(
        self,
        handler: Handler,
        authenticate: Callable[[HTTPConnection], str],
        *,
        max_body: int,
        patience: float,
        stages: StageTimes | None,
    ) -> None:
        self._handler = handler
        self._authenticate = authenticate
        self._max_body = max_body
        self._patience = patience
        self._stages = stages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        begun = time.perf_counter()
        request = Request(scope, receive)
        try:
            agent = self._authenticate(request)
            body = await self._body(request) if self._max_body else NO_BODY
            if self._stages is not None:
                self._stages.add("loop_wait", begun - scope[ARRIVED])
                self._stages.add("parse", time.perf_counter() - begun)
            response = await self._handler(request, agent, body)
        except Refusal as refusal:
            response = refused(refusal)
        except Exception as error:
            response = failed(error, scope["path"])
        begun = time.perf_counter()
        await response(scope, receive, send)
        if self._stages is not None:
            self._stages.add("send", time.perf_counter() - begun)

    async def _body(self, request: Request) -> dict[str, Any]:
        return parse(await read_body(request, self._max_body, self._patience))


async def read_body(request: Request, most: int, patience: float) -> bytes:
    """Return a body of `most` bytes; refuse (413, 408) one that is longer, or late [s]."""
    too_long = Refusal(413, f"the body is longer than {most} bytes")
    length = request.headers.get("content-length", "0")
    if not length.isdigit() or len(length) > 18 or int(length) > most:
        raise too_long
    content = bytearray()
    try:
        async with asyncio.timeout(patience):
            while True:
                part = await request.receive()
                content += part.get("body", b"")
                if len(content) > most:
                    raise too_long
                if not part.get("more_body", False):
                    return bytes(content)
    except TimeoutError:
        raise Refusal(408, "the body did not arrive in time") from None


def bearer(connection: HTTPConnection) -> str:
    """Return what stands in the header ``Authorization: Bearer``, or an empty text."""
    scheme, _, credentials = connection.headers.get("authorization", "").partition(" ")
    return credentials.strip() if scheme.lower() == "bearer" else ""


def by_token(tokens: Tokens) -> Callable[[HTTPConnection], str]:
    """Return what asks for the token of an agent."""

    def authenticate(connection: HTTPConnection) -> str:
        agent = tokens.check(bearer(connection))
        if agent is None:
            raise Refusal(401, "no valid token")
        return agent

    return authenticate


def by_key(key: str | None) -> Callable[[HTTPConnection], str]:
    """Return what asks for the enrolment key, or lets everybody in where there is none."""

    def authenticate(connection: HTTPConnection) -> str:
        if key is not None and not hmac.compare_digest(
            bearer(connection).encode("utf-8", "replace"), key.encode()
        ):
            raise Refusal(401, "no valid enrolment key")
        return ""

    return authenticate


def answer(content: Mapping[str, Any] | str, status: int = 200) -> Response:
    """Return an answer in JSON, given as such or as its text."""
    text = content if isinstance(content, str) else json.dumps(content, separators=(",", ":"))
    return Response(text, status, media_type="application/json")


def refused(refusal: Refusal) -> Response:
    """Return the answer that a refusal is."""
    response = answer({"error": refusal.problem}, refusal.status)
    if refusal.retry_after is not None:
        response.headers["retry-after"] = str(max(1, round(refusal.retry_after + 0.5)))
    if refusal.status == 401:
        response.headers["www-authenticate"] = "Bearer"
    if refusal.status in {408, 413}:  # what else arrives is not read
        response.headers["connection"] = "close"
    return response


def failed(error: Exception, path: str) -> Response:
    """Return the answer to a request that could not be served, and say in the log why."""
    _log.error("%s failed", path, exc_info=error)
    return answer({"error": "the request could not be served"}, 503)
