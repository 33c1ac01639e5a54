"""The bridge: the endpoints of the original proposal's coordination server over a real event store.

For a message, by polling and by push, it does what the models do (`docs/reference/models.md`); the
wire protocol is in `docs/reference/bridge.md`.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from attrs import frozen
from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute

from lhsim._files import expanded
from lhsim.errors import InputError
from lhsim.live import bodies
from lhsim.live.elicitations import ACTIONS, Elicitation, Elicitations
from lhsim.live.endpoints import (
    Authenticate,
    BodyReader,
    Endpoint,
    Handler,
    answer,
    by_key,
    by_token,
    hung_up,
)
from lhsim.live.forms import validate
from lhsim.live.limits import Buckets, Places
from lhsim.live.monitor import Monitor
from lhsim.live.push import Hub
from lhsim.live.queue import QUEUE, Queue
from lhsim.live.refusals import Refusal
from lhsim.live.settings import BridgeSettings
from lhsim.live.stages import StageTimes
from lhsim.live.store import Event, EventStore, NewEvent, Stored, StoreError
from lhsim.live.streams import PushServer, ServerSentEvents
from lhsim.live.threads import StoreThreads
from lhsim.live.tokens import Receipts, Tokens
from lhsim.live.webhooks import Webhooks

if TYPE_CHECKING:
    from lhsim.live.mcp.server import McpServer

_LAST_WORDS = 0.5  # for the last answers to those who have asked, when it stops [s]
OWN_TYPES = ("elicitation", "elicitation_response")  # of events that the bridge alone makes


@frozen
class Secrets:
    """What the bridge knows and does not tell; never part of a text."""

    signing: bytes  # of tokens

    enrolment: str | None = None  # the key for which sessions are created; None: for the asking

    def __repr__(self) -> str:
        return "Secrets(...)"


class Bridge:
    """A bridge. Its `application` is what an ASGI server runs.

    Parameters
    ----------
    settings
        What it is told.
    keys
        For tokens and enrolment.
    store
        Is closed with it.
    """

    def __init__(self, settings: BridgeSettings, keys: Secrets, store: EventStore) -> None:
        self.settings = settings
        self.monitor = Monitor(settings)
        self.stages = StageTimes() if settings.stage_times else None
        self._tokens = Tokens(keys.signing, settings.session, time.time)
        self._by_key = by_key(keys.enrolment)
        self._buckets = Buckets(settings.rate_limit) if settings.rate_limit else None
        self._held = Places(settings.connections, "too many requests for messages")
        self._hub = Hub(disconnect=settings.outbound_policy == "disconnect")
        self._queue = _queue_of(store, settings) if settings.queue else None
        self._store = StoreThreads(
            store, settings, self._on_stored, self._on_doubt, self._on_commit, self.stages
        )
        self._webhooks = self._webhook_server(keys.signing)
        self._receipts = Receipts(keys.signing)
        self._elicitations = Elicitations(settings.elicitations, self._say_expired)
        self._push = PushServer(
            settings, self._hub, self._store.read, self.monitor, by_token(self._tokens), self.stages
        )
        self._bodies = BodyReader(settings.max_body, settings.patience)
        self._mcp = self._mcp_server() if settings.mcp else None
        self._watches: set[asyncio.Task[None]] = set()
        self._told: set[asyncio.Task[None]] = set()
        self._stopping = False
        self.application = Starlette(routes=self._routes(), lifespan=self._lifespan)
        self.application.router.redirect_slashes = False  # it would go where a client's Host says

    def stop(self) -> None:
        """Answer all who wait, and close what is open; what is being stored is stored."""
        self._stopping = True
        for watch in self._watches:
            watch.cancel()
        self._store.stop()
        self._hub.close()
        if self._webhooks is not None:
            self._webhooks.stop()
        if self._mcp is not None:
            self._mcp.stop()

    def _mcp_server(self) -> McpServer:
        from lhsim.live.mcp.server import McpServer  # noqa: PLC0415 - needs another extra

        token = by_token(self._tokens)
        return McpServer(self.settings, token, self._take_token, self.monitor, self._bodies)

    def _webhook_server(self, secret: bytes) -> Webhooks | None:
        settings = self.settings
        if settings.webhook is None:
            return None
        most = settings.connections
        return Webhooks(settings.webhook, most, secret, self._store.read, self.monitor)

    def _on_stored(self, event: Event) -> None:
        self._hub.stored(event)
        if self._webhooks is not None:
            self._webhooks.stored(event)

    def _on_commit(self, events: Sequence[Event]) -> None:
        # Not on the loop, where it would hear of it later than who takes from the thread.
        if self._queue is not None:
            self._queue.add(event.sequence for event in events if event.target == QUEUE)

    def _on_doubt(self) -> None:
        self._hub.reread()
        if self._webhooks is not None:
            self._webhooks.reread()
        if self._queue is not None:
            self._later(self._look_again(self._queue))

    async def _look_again(self, queue: Queue) -> None:
        with suppress(StoreError):  # a restart finds what this has not
            await self._store.do(queue.look, writes=True)

    def _routes(self) -> list[BaseRoute]:
        token = by_token(self._tokens)
        return [
            Route("/health", self._endpoint(self._health, _anybody), methods=["GET"]),
            Route("/metrics", self._endpoint(self._metrics, self._by_key), methods=["GET"]),
            self._post("/session/create", self._create_session, self._by_key),
            self._post("/event/store", self._store_event, token),
            Route("/event/wait", self._endpoint(self._wait, token), methods=["GET"]),
            self._post("/elicitation/create", self._ask, token),
            Route("/elicitation/pending", self._endpoint(self._pending, token), methods=["GET"]),
            self._post("/elicitation/respond", self._respond, token),
            Route("/events/stream", ServerSentEvents(self._push), methods=["GET"]),
            WebSocketRoute("/ws", self._push.websocket),
            *([] if self._queue is None else self._queue_routes(self._queue)),
            *([] if self._webhooks is None else self._webhook_routes(self._webhooks)),
            *([] if self._mcp is None else [Route("/mcp", self._mcp)]),
        ]

    def _queue_routes(self, queue: Queue) -> list[BaseRoute]:
        async def take(request: Request, agent: str, _body: dict[str, Any]) -> Response:
            return await self._take(queue, request, agent)

        async def delete(_request: Request, agent: str, body: dict[str, Any]) -> Response:
            return await self._delete(queue, agent, body)

        token = by_token(self._tokens)
        return [
            Route("/queue/take", self._endpoint(take, token), methods=["POST"]),
            self._post("/queue/delete", delete, token),
        ]

    def _webhook_routes(self, webhooks: Webhooks) -> list[BaseRoute]:
        async def register(_request: Request, agent: str, body: dict[str, Any]) -> Response:
            bodies.fields(body, "url")
            return answer({"agent_id": agent, "key": webhooks.register(agent, body.get("url"))})

        async def remove(_request: Request, agent: str, body: dict[str, Any]) -> Response:
            bodies.fields(body)
            return answer({"agent_id": agent, "removed": webhooks.remove(agent)})

        token = by_token(self._tokens)
        return [
            self._post("/webhook/register", register, token),
            self._post("/webhook/remove", remove, token),
        ]

    def _post(self, path: str, handler: Handler, authenticate: Authenticate) -> Route:
        endpoint = self._endpoint(handler, authenticate, self._bodies)
        return Route(path, endpoint, methods=["POST"])

    def _endpoint(
        self, handler: Handler, authenticate: Authenticate, reader: BodyReader | None = None
    ) -> Endpoint:
        return Endpoint(handler, authenticate, reader, self.stages)

    @asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        try:
            async with AsyncExitStack() as running:
                if self._mcp is not None:
                    await running.enter_async_context(self._mcp.running())
                yield
        finally:
            self.stop()
            if self._told:
                await asyncio.wait(self._told, timeout=_LAST_WORDS)
            await self._store.close()

    def write_stage_times(self) -> None:
        """Write what each stage took, if that is wanted: at the very end, for it may take long."""
        if self.stages is not None and self.settings.stage_times:
            self.stages.write(expanded(self.settings.stage_times))

    @property
    def hangs(self) -> bool:
        """Whether the store has not let go of a thread, after the end."""
        return self._store.hangs

    # --- who it is, and how it is --------------------------------------------------------------

    async def _health(self, _request: Request, _agent: str, _body: dict[str, Any]) -> Response:
        if self._stopping:
            return answer({"status": "stopping"}, 503)
        problem = await self._store.check()
        if problem is not None:
            return answer({"status": "degraded", "error": problem}, 503)
        return answer({"status": "ok"})

    async def _metrics(self, _request: Request, _agent: str, _body: dict[str, Any]) -> Response:
        self.monitor.connections.set(self._held.taken + self._push.places.taken)
        both = [self._elicitations, *([] if self._mcp is None else [self._mcp.elicitations])]
        ended = sum(one.ended for one in both)
        if ended:
            self.monitor.success.set(sum(one.answered for one in both) / ended)
        return Response(self.monitor.page(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def _create_session(
        self, _request: Request, _agent: str, body: dict[str, Any]
    ) -> Response:
        bodies.fields(body, "agent_id")
        agent = bodies.agent_id(body.get("agent_id"), "agent_id")
        if agent == QUEUE:
            raise Refusal(400, f"agent_id {QUEUE!r} is the bridge's own")
        token, expiry = self._tokens.sign(agent)
        return answer({"agent_id": agent, "token": token, "expires_at": expiry})

    # --- messages ------------------------------------------------------------------------------

    async def _store_event(self, _request: Request, agent: str, body: dict[str, Any]) -> Response:
        self._take_token(agent)
        bodies.fields(body, "sender", "target", "type", "message_id", "payload")
        if body.get("sender", agent) != agent:
            raise Refusal(403, "an agent sends only as itself")
        kind = bodies.text(body, "type", "message")
        if kind in OWN_TYPES:
            raise Refusal(400, f"type {kind!r} is the bridge's own")
        message_id = bodies.text(body, "message_id", secrets.token_hex(16))
        if message_id.startswith(":"):
            raise Refusal(400, "a message_id that begins with ':' is the bridge's own")
        target = bodies.agent_id(body.get("target"), "target")
        if target == QUEUE and self._queue is None:
            raise Refusal(400, "this bridge has no queue")
        stored = await self._append(agent, target, kind, message_id, body.get("payload"))
        return answer({"sequence": stored.event.sequence, "duplicate": stored.duplicate})

    def _take_token(self, agent: str) -> None:
        if self._buckets is None:
            return
        until = self._buckets.take(agent, time.monotonic())
        if until:
            self.monitor.failures.labels("rate_limited").inc()
            raise Refusal(429, "too many messages", retry_after=until)

    async def _append(
        self, sender: str, target: str, kind: str, message_id: str, payload: object
    ) -> Stored:
        content = {
            "type": kind,
            "sender": sender,
            "target": target,
            "message_id": message_id,
            "payload": payload,
        }
        event = NewEvent(sender, target, message_id, bodies.dump(content))
        if self._webhooks is not None:
            self._webhooks.admit(target)
        try:
            return await self._store.append(event)
        except Exception:
            self.monitor.failures.labels("store").inc()
            raise

    async def _wait(self, request: Request, agent: str, _body: dict[str, Any]) -> Response:
        query = request.query_params
        bodies.own(query, agent)
        since = bodies.whole(bodies.once(query, "since_sequence"), "since_sequence")
        given = {"timeout_seconds": bodies.once(query, "timeout_seconds")}
        timeout = bodies.timeout(given, self.settings.timeout)

        def look() -> Awaitable[list[Event]]:
            return self._store.read(agent, since, self.settings.limit)

        with self._held.some():
            events = await self._poll(request, look, timeout)
        self._observe(events)
        self.monitor.deliveries.labels("polling").inc(len(events))
        last = events[-1].sequence if events else since
        found = ",".join(event.to_json() for event in events)
        return answer(f'{{"events":[{found}],"last_sequence":{last}}}')

    def _observe(self, events: list[Event]) -> None:
        now = time.time()
        for event in events:
            self.monitor.latency.labels("polling").observe(1e3 * (now - event.stored_at))

    async def _take(self, queue: Queue, request: Request, agent: str) -> Response:
        given = {"timeout_seconds": bodies.once(request.query_params, "timeout_seconds")}
        timeout = bodies.timeout(given, self.settings.timeout)

        def look() -> Awaitable[list[Event]]:
            return self._store.do(lambda store: queue.take(store, self.settings.limit))

        with self._held.some():
            events = await self._poll(request, look, timeout)
        self._observe(events)
        receipt = "null"
        if events:
            taken = self._receipts.sign(agent, (event.sequence for event in events))
            receipt = f'"{taken}"'
        found = ",".join(event.to_json() for event in events)
        return answer(f'{{"events":[{found}],"receipt":{receipt}}}')

    async def _delete(self, queue: Queue, agent: str, body: dict[str, Any]) -> Response:
        bodies.fields(body, "receipt")
        receipt = bodies.text(body, "receipt", most=self.settings.max_body)
        sequences = self._receipts.check(agent, receipt)
        if sequences is None:
            raise Refusal(403, "receipt is none of this agent's")
        deleted = await self._store.do(lambda store: queue.delete(store, sequences), writes=True)
        self.monitor.deliveries.labels("polling").inc(len(deleted))
        self.monitor.duplicates.inc(len(sequences) - len(deleted))
        return answer({"deleted": deleted, "duplicates": len(sequences) - len(deleted)})

    async def _poll(
        self, request: Request, look: Callable[[], Awaitable[list[Event]]], timeout: float
    ) -> list[Event]:
        """Query, sleep, and so on until there is something, or nothing for `timeout`; or once."""
        loop = asyncio.get_running_loop()
        start = loop.time()
        watch: asyncio.Task[None] | None = None
        try:
            while True:
                events = await look()
                self.monitor.cycles.inc()
                if events:
                    return events
                self.monitor.wasted.inc()
                if self.settings.short_poll:
                    return []
                if watch is None:  # only now: a request that finds something has no use for it
                    watch = self._watch(request)
                await asyncio.wait((watch,), timeout=self.settings.interval)
                if watch.done() or self._stopping:  # nobody is there, or soon will be
                    return []
                if loop.time() - start >= timeout:
                    self.monitor.timeouts.inc()
                    return []
        finally:
            if watch is not None:
                watch.cancel()

    def _watch(self, request: Request) -> asyncio.Task[None]:
        """Return a task that ends when the client hangs up or the bridge stops."""
        watch = asyncio.create_task(hung_up(request))
        self._watches.add(watch)
        watch.add_done_callback(self._watches.discard)
        return watch

    # --- elicitations --------------------------------------------------------------------------

    async def _ask(self, _request: Request, agent: str, body: dict[str, Any]) -> Response:
        self._take_token(agent)
        target, message, timeout = bodies.question(body, self.settings.elicitation_timeout)
        if target == QUEUE:
            raise Refusal(400, "target is a queue, which answers nothing")
        asked = self._elicitations.create(agent, target, message, body.get("schema"), timeout)
        try:
            stored = await self._append(
                agent, target, "elicitation", f":asked:{asked.id}", asked.question()
            )
        except Exception:
            self._elicitations.withdraw(asked)
            raise
        found = {"elicitation_id": asked.id, "expires_at": asked.expires_at}
        return answer(found | {"sequence": stored.event.sequence})

    async def _pending(self, request: Request, agent: str, _body: dict[str, Any]) -> Response:
        bodies.own(request.query_params, agent)
        pending = [asked.question() for asked in self._elicitations.pending(agent)]
        return answer({"elicitations": pending})

    async def _respond(self, _request: Request, agent: str, body: dict[str, Any]) -> Response:
        bodies.fields(body, "elicitation_id", "nonce", "action", "content")
        identity, nonce = bodies.text(body, "elicitation_id"), bodies.text(body, "nonce")
        asked = self._elicitations.find(agent, identity, nonce)
        action, content = body.get("action"), body.get("content")
        if action not in ACTIONS:
            raise Refusal(400, f"unknown action; allowed: {', '.join(ACTIONS)}")
        if action == "accept":
            self._check(asked, content)
        elif content is not None:
            raise Refusal(400, "content is for accept alone")
        self._elicitations.answer(asked, action)
        try:
            stored = await self._tell(asked, action, content)
        except Exception:
            self._elicitations.reopen(asked)
            raise
        return answer({"sequence": stored.event.sequence})

    def _check(self, asked: Elicitation, content: object) -> None:
        begun = time.perf_counter()
        problem = validate(asked.schema, content)
        took = time.perf_counter() - begun
        self.monitor.validation.observe(1e3 * took)
        if self.stages is not None:
            self.stages.add("validate", took)
        if problem is not None:
            raise Refusal(422, problem)

    async def _tell(self, asked: Elicitation, action: str, content: object) -> Stored:
        payload = {"elicitation_id": asked.id, "action": action, "content": content}
        return await self._append(
            asked.target, asked.asker, "elicitation_response", f":told:{asked.id}", payload
        )

    def _say_expired(self, asked: Elicitation) -> None:
        """Tell who asked that there will be no answer."""

        async def tell() -> None:
            with suppress(Exception):  # counted as a failure of the store; who asked has a clock
                await self._tell(asked, "expired", None)

        self._later(tell())

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._told.add(task)
        task.add_done_callback(self._told.discard)


def _queue_of(store: EventStore, settings: BridgeSettings) -> Queue:
    """Return the queue, with what the store holds for it."""
    queue = Queue(settings.visibility_timeout)
    try:
        queue.look(store)
    except StoreError as error:
        raise InputError(f"cannot be used: {error}", source="the store", key="queue") from None
    return queue


def _anybody(_connection: HTTPConnection) -> str:
    return ""
