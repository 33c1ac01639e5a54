"""The tools of the MCP server: `ask` an agent, and `listen` for what one is asked.

The two eras of the protocol differ in how a question reaches the client of who listens, and
nowhere else. Up to 2025-11-25 it is a request of the server on the stream of the call; from
2026-07-28 on it is the result of the call, which the client makes again with the answer.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import anyio
from attrs import define
from mcp import MCPError
from mcp.server.context import ServerRequestContext
from mcp.shared.message import ServerMessageMetadata
from mcp_types import (
    CallToolRequestParams,
    CallToolResult,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    InputRequiredResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
    Tool,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from lhsim.live import bodies
from lhsim.live.limits import Places
from lhsim.live.mcp.exchange import Exchange, Listener, Question
from lhsim.live.mcp.protocol import ASKS
from lhsim.live.refusals import Refusal
from lhsim.live.settings import LONGEST_WAIT, BridgeSettings

ROUNDS = 8  # answers that one call takes in the modern era; the SDK's client allows 10
_log = logging.getLogger("lhsim.live")

Context = ServerRequestContext[Any, Any]
Result = CallToolResult | InputRequiredResult

_AGENT = {"type": "string", "description": "Id of the agent that is to answer."}
_SECONDS = {"type": "number", "minimum": 0, "maximum": LONGEST_WAIT}
TOOLS = (
    Tool(
        name="ask",
        description="Ask another agent for an answer of a given form, and wait for it.",
        input_schema={
            "type": "object",
            "properties": {
                "target": _AGENT,
                "message": {"type": "string", "description": "The question."},
                "schema": {"type": "object", "description": "Flat JSON Schema of the answer."},
                "timeout_seconds": _SECONDS,
            },
            "required": ["target", "message", "schema"],
        },
    ),
    Tool(
        name="listen",
        description="Be asked: questions of other agents come as elicitations, one at a time. With "
        "timeout_seconds 0 it ends the call that listens.",
        input_schema={"type": "object", "properties": {"timeout_seconds": _SECONDS}},
    ),
)
_SCHEMAS = {tool.name: tool.input_schema for tool in TOOLS}


@define(eq=False, slots=False)
class Tools:
    """What the tools do."""

    _settings: BridgeSettings
    _exchange: Exchange
    _take_token: Callable[[str], None]  # raises a `Refusal` when an agent sends too much

    def __attrs_post_init__(self) -> None:
        self._listening = Places(self._settings.connections, "too many agents that listen")

    @staticmethod
    def schema(name: str) -> Mapping[str, Any] | None:
        """Return the schema of the arguments of a tool."""
        return _SCHEMAS.get(name)

    @staticmethod
    async def list(_context: Context, _params: PaginatedRequestParams | None) -> ListToolsResult:
        """Return the tools."""
        return ListToolsResult(tools=list(TOOLS))

    async def call(self, context: Context, params: CallToolRequestParams) -> Result:
        """Call a tool. A refusal is a result that says so, in both eras."""
        try:
            return await self._call(context, params)
        except Refusal as refusal:
            return refused(refusal)
        except Exception as error:
            _log.error("the tool %.40r failed", params.name, exc_info=error)
            return refused(Refusal(503, "the call could not be served"))

    async def _call(self, context: Context, params: CallToolRequestParams) -> Result:
        agent: str = context.request.user.username  # type: ignore[union-attr]
        arguments = params.arguments or {}
        if params.name == "ask":
            return await self._ask(agent, arguments)
        if params.name == "listen":
            return await self._listen(context, agent, params)
        raise Refusal(404, "no such tool; allowed: ask, listen")

    async def _ask(self, agent: str, arguments: dict[str, Any]) -> CallToolResult:
        self._take_token(agent)
        target, message, timeout = bodies.question(arguments, self._settings.elicitation_timeout)
        schema = arguments.get("schema")
        answer = await self._exchange.ask(agent, target, message, schema, timeout)
        return done({"action": answer.action, "content": answer.content})

    async def _listen(self, context: Context, agent: str, params: CallToolRequestParams) -> Result:
        arguments = params.arguments or {}
        bodies.fields(arguments, "timeout_seconds")
        timeout = bodies.timeout(arguments, self._settings.timeout)
        _check_client(context)
        modern = context.protocol_version in MODERN_PROTOCOL_VERSIONS
        answered = self._take_answer(agent, params) if modern else 0
        if modern and answered >= ROUNDS:
            return _heard(answered, "enough")
        with self._listening.some(), self._exchange.listening(agent) as listener:
            if not timeout:
                return _heard(answered, "timeout")
            if not modern:
                return await self._ask_in_call(context, agent, listener, timeout)
            question = await self._exchange.next(agent, listener, timeout)
        if question is None:
            return _heard(answered, _why(listener))
        return InputRequiredResult(
            input_requests={question.asked.id: _request(question)},
            request_state=f"{answered + 1}.{question.asked.nonce}",
        )

    def _take_answer(self, agent: str, params: CallToolRequestParams) -> int:
        """Take the answer that comes with a call made again; return how many have come."""
        if params.request_state is None:
            return 0
        count, _, nonce = params.request_state.partition(".")
        responses = params.input_responses or {}
        identity, response = next(iter(responses.items()), ("", None))
        if len(responses) != 1 or not isinstance(response, ElicitResult):
            raise Refusal(400, "the call has no answer to the one question")
        self._exchange.answer(agent, identity, nonce, response.action, response.content)
        return bodies.whole(count, "request_state")

    async def _ask_in_call(
        self, context: Context, agent: str, listener: Listener, timeout: float
    ) -> CallToolResult:
        """Ask the client of a call, again and again, while it is open."""
        answered = 0
        while (question := await self._exchange.next(agent, listener, timeout)) is not None:
            result = await self._elicit(context, listener, question)
            if result is not None:
                asked = question.asked
                self._exchange.answer(agent, asked.id, asked.nonce, result.action, result.content)
                answered += 1
        return _heard(answered, _why(listener))

    async def _elicit(
        self, context: Context, listener: Listener, question: Question
    ) -> ElicitResult | None:
        """Return the answer of the client; None when the question or the call has ended before."""
        with anyio.CancelScope() as scope:
            ends = (question.answer, listener.ended)

            def end(_future: object) -> None:
                scope.cancel()

            for one in ends:
                one.add_done_callback(end)
            try:
                return await context.session.send_request(
                    _request(question),
                    ElicitResult,
                    metadata=ServerMessageMetadata(related_request_id=context.request_id),
                )
            except (MCPError, ValidationError):
                self._exchange.spoil(question)
                raise Refusal(422, "the client did not answer with a result") from None
            finally:
                for one in ends:
                    one.remove_done_callback(end)
        return None


def done(content: dict[str, Any]) -> CallToolResult:
    """Return a result, as data and as text."""
    text = TextContent(text=bodies.dump(content))
    return CallToolResult(content=[text], structured_content=content)


def refused(refusal: Refusal) -> CallToolResult:
    """Return the result that a refusal is, with a status as of HTTP."""
    content: dict[str, Any] = {"status": refusal.status, "error": refusal.problem}
    if refusal.retry_after is not None:
        content["retry_after"] = refusal.retry_after
    text = TextContent(text=refusal.problem)
    return CallToolResult(content=[text], structured_content=content, is_error=True)


def _why(listener: Listener) -> str:
    """Return why a call that listens ends."""
    return listener.ended.result() if listener.ended.done() else "timeout"


def _heard(answered: int, ended: str) -> CallToolResult:
    return done({"answered": answered, "ended": ended})


def _request(question: Question) -> ElicitRequest:
    asked = question.asked
    message = f"{asked.asker}{ASKS}{asked.message}"
    params = ElicitRequestFormParams(message=message, requested_schema=asked.schema)
    return ElicitRequest(params=params)


def _check_client(context: Context) -> None:
    capabilities = context.session.client_capabilities
    elicitation = capabilities.elicitation if capabilities is not None else None
    # Without a mode it means forms, which were all there was at first.
    if elicitation is None or (elicitation.form is None and elicitation.url is not None):
        raise Refusal(400, "the client has not declared that it can be asked (elicitation)")
