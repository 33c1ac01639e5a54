"""How an endpoint is called: who asks, what they send, and what they get when it does not work."""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from attrs import define, frozen
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from lhsim.live.bodies import dump, parse
from lhsim.live.limits import Places
from lhsim.live.queue import QUEUE
from lhsim.live.refusals import Refusal
from lhsim.live.stages import StageTimes
from lhsim.live.store import StoreError
from lhsim.live.tokens import Tokens

ARRIVED = "lhsim.arrived"  # in the scope: when the head of the request was complete
NO_BODY: dict[str, Any] = {}
NOT_SERVED = "the request could not be served"
_UNREAD = 64_000_000  # of bodies under way, at least [B]
_log = logging.getLogger("lhsim.live")

Handler = Callable[[Request, str, dict[str, Any]], Awaitable[Response]]
Authenticate = Callable[[HTTPConnection], str]  # returns the agent, or raises a `Refusal`


@frozen(eq=False)
class Endpoint:
    """An ASGI application for one path."""

    # Gets the request, the agent who asks and the body; returns the answer, or raises a `Refusal`
    _handler: Handler
    _authenticate: Authenticate
    _bodies: BodyReader | None  # None for an endpoint that takes no body
    _stages: StageTimes | None  # gets the times of loop_wait, parse and send

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        begun = time.perf_counter()
        request = Request(scope, receive)
        try:
            agent = self._authenticate(request)
            body = NO_BODY if self._bodies is None else parse(await self._bodies.read(request))
            if self._stages is not None:
                self._stages.add("loop_wait", begun - scope[ARRIVED])
                self._stages.add("parse", time.perf_counter() - begun)
            response = await self._handler(request, agent, body)
        except Refusal as refusal:
            response = refused(refusal)
        except StoreError as error:
            response = without_store(error)
        except Exception as error:
            response = failed(error, scope["path"])
        begun = time.perf_counter()
        await response(scope, receive, send)
        if self._stages is not None:
            self._stages.add("send", time.perf_counter() - begun)


@define(eq=False, slots=False)
class BodyReader:
    """Reads bodies that are not too long and come in time, and not too much at a time."""

    _most: int  # of a body [B]
    _patience: float  # in which it has to arrive [s]

    def __attrs_post_init__(self) -> None:
        most = max(_UNREAD, 8 * self._most)
        self._unread = Places(most, "too much is being sent at a time")

    async def read(self, request: Request) -> bytes:
        """Return a body; refuse (413, 408, 503) one that is too long, late, or one too many."""
        length = request.headers.get("content-length", "0")
        # Its length first: a number of very many digits takes long to read.
        known = length.isascii() and length.isdigit() and len(length) <= 18
        if not known or int(length) > self._most:
            raise self._too_long()
        content = bytearray()
        with self._unread.some(0) as take:
            try:
                async with asyncio.timeout(self._patience):
                    while True:
                        part = await request.receive()
                        if part["type"] == "http.disconnect":
                            raise Refusal(400, "the body has no end")
                        take(len(part.get("body", b"")))
                        content += part.get("body", b"")
                        if len(content) > self._most:
                            raise self._too_long()
                        if not part.get("more_body", False):
                            return bytes(content)
            except TimeoutError:
                raise Refusal(408, "the body did not arrive in time") from None

    def _too_long(self) -> Refusal:
        return Refusal(413, f"the body is longer than {self._most} bytes")


async def hung_up(request: Request) -> None:
    """Return when the client has closed its connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def bearer(connection: HTTPConnection) -> str:
    """Return what stands in the header ``Authorization: Bearer``, or an empty text."""
    scheme, _, credentials = connection.headers.get("authorization", "").partition(" ")
    return credentials.strip() if scheme.lower() == "bearer" else ""


def by_token(tokens: Tokens) -> Authenticate:
    """Return what asks for the token of an agent."""

    def authenticate(connection: HTTPConnection) -> str:
        agent = tokens.check(bearer(connection))
        if agent is None or agent == QUEUE:
            raise Refusal(401, "no valid token")
        return agent

    return authenticate


def by_key(key: str | None) -> Authenticate:
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
    text = content if isinstance(content, str) else dump(content)
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


def without_store(error: StoreError) -> Response:
    """Return the answer to a request for which the store was needed, and say in the log why."""
    _log.error("the store failed: %s", error)
    return refused(Refusal(503, NOT_SERVED, retry_after=1.0))


def failed(error: Exception, path: str) -> Response:
    """Return the answer to a request that could not be served, and say in the log why."""
    _log.error("%s failed", path, exc_info=error)
    return answer({"error": NOT_SERVED}, 503)
