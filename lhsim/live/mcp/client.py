"""An agent at the MCP server of a bridge: it asks others, and answers when it is asked.

::

    def answer(question: Asked) -> Answer:
        return Answer("accept", {"n": 3})

    async with await McpAgent.connect("http://127.0.0.1:8765", "bob", respond=answer):
        async with await McpAgent.connect("http://127.0.0.1:8765", "alice") as alice:
            print(await alice.ask("bob", "How many?", FORM))
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import ssl
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, Self, cast

import httpx2
from attrs import frozen
from mcp import Client, MCPError
from mcp.client.session import ClientRequestContext
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult, ElicitRequestParams, ElicitResult

from lhsim.live.client import BridgeClient, BridgeError
from lhsim.live.elicitations import Action
from lhsim.live.mcp.exchange import Answer
from lhsim.live.mcp.protocol import ASKS, MODES, Era

_TIMES = httpx2.Timeout(30.0, read=330.0)  # longer than the longest call is held [s]
_log = logging.getLogger("lhsim.live")
_PAUSE = 0.1  # after a call that was refused [s]
_LAST_WORDS = 1.0  # for the end of the call that listens [s]


@frozen
class Asked:
    """A question to this agent."""

    asker: str
    message: str
    schema: Mapping[str, Any]


Respond = Callable[[Asked], Answer | Awaitable[Answer]]


class McpAgent:
    """An agent, with a client of the official SDK that runs in a task of its own.

    An agent with `respond` listens; it answers one question after the other. Where `respond` fails,
    the answer is "cancel". It does not connect again to a bridge that has been away.
    """

    def __init__(
        self, url: str, agent_id: str, era: Era = "modern", respond: Respond | None = None
    ) -> None:
        self.url = url.rstrip("/")
        self.agent_id = agent_id
        self.era = era
        self.ended = ""  # how the latest call that listened has ended
        self._respond = respond
        self._client: Client | None = None
        self._closing = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @classmethod
    async def connect(
        cls,
        url: str,
        agent_id: str,
        *,
        era: Era = "modern",
        respond: Respond | None = None,
        enrolment: str | None = None,
    ) -> Self:
        """Return an agent with a session.

        Parameters
        ----------
        url
            Of the bridge, without the path of MCP.
        agent_id
            Who it is to be.
        era
            Of the protocol: "legacy" (up to 2025-11-25) or "modern" (from 2026-07-28).
        respond
            Returns the answer to a question, or an awaitable of it; without, nobody can ask.
        enrolment
            The key of the bridge, where it has one.

        Raises
        ------
        BridgeError
            When the bridge refuses it.
        OSError
            When the bridge cannot be reached, or has no MCP.
        """
        async with await BridgeClient.connect(url, agent_id, enrolment=enrolment) as session:
            token = session.token
        agent = cls(url, agent_id, era, respond)
        await agent.start(token)
        return agent

    async def start(self, token: str) -> None:
        """Connect with a token.

        Raise `OSError` when the bridge has no MCP, or does not take the token.
        """
        ready = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._run(token, ready))
        try:
            await asyncio.wait((self._task, ready), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            self._task.cancel()
            raise
        if not ready.done():
            ready.cancel()
            reason = self._task.exception()
            raise ConnectionError(f"{self.url}/mcp cannot be used: {_first(reason)}") from None

    async def ask(
        self, target: str, message: str, schema: Mapping[str, Any], timeout: float | None = None
    ) -> Answer:
        """Ask another agent; return its answer, or that none came within `timeout` [s].

        Raises
        ------
        BridgeError
            When the bridge refuses it.
        ConnectionError
            When the connection is gone.
        """
        arguments: dict[str, Any] = {"target": target, "message": message, "schema": dict(schema)}
        if timeout is not None:
            arguments["timeout_seconds"] = timeout
        content = await self._call("ask", arguments)
        return Answer(content["action"], content["content"])

    async def close(self) -> None:
        """Listen no more, and end the session."""
        self._closing.set()
        if self._task is not None:
            await asyncio.wait((self._task,))
            if not self._task.cancelled():
                self._task.exception()  # looked at: that the connection has gone is no news

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()

    async def _run(self, token: str, ready: asyncio.Future[None]) -> None:
        """Keep the client open: the SDK wants it closed by the task that has opened it."""
        async with (
            _http(self.url, token) as http,
            Client(
                streamable_http_client(f"{self.url}/mcp", http_client=http),
                mode=MODES[self.era],
                elicitation_callback=None if self._respond is None else self._answer,
                cache=None,
            ) as self._client,
        ):
            await self._client.list_tools()  # else the first call of each tool would
            ready.set_result(None)
            listening = asyncio.create_task(self._listen())
            await self._closing.wait()
            await self._stop(listening)

    async def _listen(self) -> None:
        if self._respond is None:
            return
        while self.ended not in {"replaced", "stopping"}:
            try:
                self.ended = (await self._call("listen", {}))["ended"]
            except BridgeError:
                await asyncio.sleep(_PAUSE)
            except ConnectionError as error:
                self.ended = str(error)
                return

    async def _stop(self, listening: asyncio.Task[None]) -> None:
        """Let the call that listens return: one that is cancelled would still be answered."""
        if not listening.done():
            with suppress(BridgeError, ConnectionError, TimeoutError):
                async with asyncio.timeout(_LAST_WORDS):
                    await self._call("listen", {"timeout_seconds": 0})
            await asyncio.wait((listening,), timeout=_LAST_WORDS)
        listening.cancel()
        await asyncio.wait((listening,))

    async def _answer(
        self, context: ClientRequestContext, params: ElicitRequestParams
    ) -> ElicitResult:
        assert self._respond is not None
        asker, _, message = params.message.partition(ASKS)
        schema = getattr(params, "requested_schema", {})
        try:
            answer = self._respond(Asked(asker, message, schema))
            if inspect.isawaitable(answer):
                answer = await answer
            return ElicitResult(action=cast("Action", answer.action), content=answer.content)
        except Exception as error:  # of who answers; the connection is none the worse for it
            _log.error("%s could not answer", self.agent_id, exc_info=error)
            return ElicitResult(action="cancel")

    async def _call(self, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        if self._client is None or self._task is None or self._task.done():
            raise ConnectionError("the agent is not connected")
        try:
            result: CallToolResult = await self._client.call_tool(tool, arguments)
        except MCPError as error:
            raise ConnectionError(f"the call {tool!r} failed: {error}") from None
        content: dict[str, Any] = result.structured_content or {}
        if result.is_error:
            status, problem = content.get("status", 500), content.get("error", "unknown error")
            raise BridgeError(status, problem, content.get("retry_after"))
        return content


def _http(url: str, token: str) -> httpx2.AsyncClient:
    # To read the certificates of the system takes 40 ms, and without TLS they are of no use. No
    # certificate at all is trusted then, should the client be sent to a place with TLS.
    tls = url.startswith("https:") or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return httpx2.AsyncClient(
        headers={"authorization": f"Bearer {token}"}, timeout=_TIMES, trust_env=False, verify=tls
    )


def _first(error: BaseException | None) -> BaseException | None:
    """Return the first error of a group: the SDK wraps what goes wrong."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
