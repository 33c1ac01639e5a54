"""The MCP server of a bridge: one path, streamable HTTP, both eras of the protocol."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from attrs import define
from mcp.server import Server
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from mcp_types import PARSE_ERROR
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from lhsim.live.bodies import parse
from lhsim.live.elicitations import Elicitations
from lhsim.live.endpoints import Authenticate, BodyReader, answer, refused
from lhsim.live.mcp.exchange import Exchange
from lhsim.live.mcp.tools import Tools
from lhsim.live.monitor import Monitor
from lhsim.live.refusals import Refusal
from lhsim.live.settings import BridgeSettings

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


@define(eq=False, slots=False)
class McpServer:
    """An ASGI application for one path."""

    _settings: BridgeSettings
    _authenticate: Authenticate
    _take_token: Callable[[str], None]  # raises a `Refusal` when an agent sends too much
    _monitor: Monitor  # counts what is handed over
    _reader: BodyReader

    def __attrs_post_init__(self) -> None:
        settings = self._settings
        self._exchange = Exchange(settings.elicitations, self._handed)
        tools = Tools(settings, self._exchange, self._take_token)
        server: Server[Any] = Server(
            "lhsim",
            get_tool_input_schema=tools.schema,
            on_list_tools=tools.list,
            on_call_tool=tools.call,
        )
        self._sessions = StreamableHTTPSessionManager(
            server,
            max_request_body_size=settings.max_body,
            max_sessions=settings.connections,
            security_settings=_security(settings),
        )

    @property
    def elicitations(self) -> Elicitations:
        """All questions that it knows."""
        return self._exchange.elicitations

    def running(self) -> AbstractAsyncContextManager[None]:
        """Return the context within which requests are served."""
        return self._sessions.run()

    def stop(self) -> None:
        """Let all who ask and all who listen go."""
        self._exchange.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request of an agent."""
        request = Request(scope, receive)
        try:
            agent = self._authenticate(request)
            # Read here, for the SDK would wait for ever for a body that does not come.
            body = await self._reader.read(request)
            if body or request.method == "POST":
                parse(body)  # what the rest of the bridge would not take is not for the SDK either
        except Refusal as refusal:
            await _refused(refusal)(scope, receive, send)
            return
        # By this the SDK knows whose a session is, too, and lets nobody else in.
        scope["user"] = AuthenticatedUser(AccessToken(token="", client_id=agent, scopes=[]))
        response = _Response(send)
        await self._sessions.asgi_app(scope, _replay(body, receive), response)
        await response.complete()

    def _handed(self, waited: float) -> None:
        self._monitor.latency.labels("mcp").observe(1e3 * waited)
        self._monitor.deliveries.labels("mcp").inc()


def _refused(refusal: Refusal) -> Response:
    """Return the answer that a refusal is; for a message that is none, as JSON-RPC has it."""
    if refusal.status != 400:
        return refused(refusal)
    error = {"code": PARSE_ERROR, "message": refusal.problem}
    return answer({"jsonrpc": "2.0", "id": None, "error": error}, refusal.status)


class _Response:
    """A response that has an end: the SDK leaves streams without when the server stops."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._open = False

    async def __call__(self, message: Message) -> None:
        self._open = message["type"] == "http.response.start" or message.get("more_body", False)
        await self._send(message)

    async def complete(self) -> None:
        if self._open:
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return what gives a body that has been read, and then what else comes."""
    first: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        return first.pop() if first else await receive()

    return receive_again


def _security(settings: BridgeSettings) -> TransportSecuritySettings:
    """Return the names by which it may be called: a web page may come under another (rebinding)."""
    if settings.allow_remote:
        return TransportSecuritySettings(enable_dns_rebinding_protection=False)
    hosts = sorted({*_LOOPBACK, f"[{settings.host}]" if ":" in settings.host else settings.host})
    return TransportSecuritySettings(
        enable_dns_rebinding_protection=True,
        allowed_hosts=[*hosts, *(f"{host}:*" for host in hosts)],
        allowed_origins=[f"http://{host}{port}" for host in hosts for port in ("", ":*")],
    )
