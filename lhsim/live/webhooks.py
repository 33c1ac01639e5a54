"""Webhooks: each stored message is posted to its target's own endpoint, until it is accepted.

It does what the model does (`docs/reference/models.md`, Webhooks): a post takes a place among those
in flight, and has its time for an answer; after a failure the place is free, and the message waits
for its back-off. Only an answer 2xx accepts a message: a redirect is followed nowhere. What is in
no place is a task of asyncio, and what cannot be posted stays in the store.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import suppress

from attrs import frozen

from lhsim.live.client import HttpConnection, Response
from lhsim.live.monitor import Monitor
from lhsim.live.origins import Origin, Url
from lhsim.live.refusals import Refusal
from lhsim.live.settings import WebhookSettings
from lhsim.live.store import Event, StoreError

ATTEMPT = "lhsim-attempt"  # a header of each post: 0 for the first of a message
LONGEST_ANSWER = 65_536  # of a target, its head included [B]
MOST_WAITING = 256_000_000  # of messages that are not done with, as they are stored [B]
_PAGE = 100  # events read at a time
Place = tuple[str, str, int]
Read = Callable[[str, int, int], Awaitable[list[Event]]]


@frozen
class Hook:
    """Where the messages for an agent are posted."""

    url: Url
    head: str  # of each request, but for the number of the attempt


class Webhooks:
    """All hooks, by agent, and the posts.

    Parameters
    ----------
    settings
        Of the bridge's webhooks.
    most
        Agents that may have one.
    secret
        From which the keys follow by which targets know the bridge.
    read
        Reads the store.
    monitor
        Counts.
    """

    def __init__(
        self, settings: WebhookSettings, most: int, secret: bytes, read: Read, monitor: Monitor
    ) -> None:
        self._settings = settings
        self._most = most
        self._secret = secret
        self._read = read
        self._monitor = monitor
        self._origins = [Origin.of(text) for text in settings.allow]
        self._hooks: dict[str, Hook] = {}
        self._places = asyncio.Semaphore(settings.in_flight)
        self._deliveries: set[asyncio.Task[None]] = set()
        self._waiting = 0  # of the messages of these [B]
        self._idle = _Idle(settings.in_flight)
        self._last = 0  # the highest number of an event that was stored
        self._doubt: int | None = None  # after which number events may have been stored unheard
        self._stopping = False

    def register(self, agent: str, address: object) -> str:
        """Post an agent's messages to an address from now on; return the key of these posts.

        Raise a `Refusal`: 400 for what is no URL, 403 for one that is not allowed, 503 when too
        many have one.
        """
        url = Url.of(address)
        if url is None:
            raise Refusal(400, "url is no http://HOST:PORT/PATH of printable ASCII without '#'")
        if not any(origin.holds(url) for origin in self._origins):
            raise Refusal(403, "url is at no address to which this bridge may post")
        if agent not in self._hooks and len(self._hooks) >= self._most:
            raise Refusal(503, "too many webhooks", retry_after=1.0)
        key = self._key(agent, url)
        head = (
            f"POST {url.path} HTTP/1.1\r\nhost: {url.host}:{url.port}\r\n"
            f"authorization: Bearer {key}\r\ncontent-type: application/json\r\n"
        )
        self._hooks[agent] = Hook(url, head)
        return key

    def remove(self, agent: str) -> bool:
        """Post nothing to an agent any more; return whether it had a hook."""
        return self._hooks.pop(agent, None) is not None

    def admit(self, target: str) -> None:
        """Refuse (503) a message that would be one too many of those that wait to be posted."""
        full = len(self._deliveries) >= self._settings.waiting or self._waiting >= MOST_WAITING
        if full and target in self._hooks:
            self._monitor.failures.labels("waiting").inc()
            raise Refusal(503, "too many messages wait to be posted", retry_after=1.0)

    def stored(self, event: Event) -> None:
        """Post an event to its target, where that has a hook."""
        if self._doubt is not None:
            for agent in self._hooks:
                self._spawn(self._catch_up(agent, self._doubt, event.sequence))
            self._doubt = None
        self._last = event.sequence
        if event.target in self._hooks and not self._stopping:
            self._spawn(self._deliver(event))

    def reread(self) -> None:
        """Look, at the next event, for what was stored without a word: a write of unknown end."""
        if self._doubt is None:
            self._doubt = self._last

    def stop(self) -> None:
        """Post no more."""
        self._stopping = True
        for task in self._deliveries:
            task.cancel()
        self._idle.close()

    def _key(self, agent: str, url: Url) -> str:
        content = f"lhsim webhook\n{agent}\n{url.scheme}://{url.host}:{url.port}{url.path}"
        return hmac.digest(self._secret, content.encode(), hashlib.sha256).hex()

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._deliveries.add(task)
        task.add_done_callback(self._deliveries.discard)

    async def _catch_up(self, agent: str, since: int, before: int) -> None:
        """Post what was stored for an agent between two events."""
        with suppress(StoreError):  # it is still in the store, where its agent may look for it
            while page := await self._read(agent, since, _PAGE):
                for event in page:
                    if event.sequence >= before:
                        return
                    since = event.sequence
                    self._spawn(self._deliver(event))

    async def _deliver(self, event: Event) -> None:
        """Post an event until it is accepted, or no attempt is left."""
        self._waiting += len(event.body)
        try:
            await self._attempt(event)
        finally:
            self._waiting -= len(event.body)

    async def _attempt(self, event: Event) -> None:
        settings = self._settings
        wait = min(settings.backoff, settings.longest)
        for number in range(settings.attempts):
            if number:
                await asyncio.sleep(wait)
                wait = min(wait * settings.factor, settings.longest)
            async with self._places:
                hook = self._hooks.get(event.target)
                if hook is None:
                    break
                if number:
                    self._monitor.retries.inc()
                self._monitor.posts.inc()
                sent = time.time()
                if await self._post(hook, event, number):
                    self._monitor.latency.labels("push").observe(1e3 * (sent - event.stored_at))
                    self._monitor.deliveries.labels("push").inc()
                    return
        self._monitor.dead_letters.inc()

    async def _post(self, hook: Hook, event: Event, number: int) -> bool:
        """Post an event once; return whether it is accepted in time."""
        head = f"{hook.head}{ATTEMPT}: {number}\r\n"
        try:
            async with asyncio.timeout(self._settings.timeout):
                answer = await self._ask(hook.url, head, event.to_json().encode())
        except TimeoutError:
            self._monitor.given_up.inc()
            return False
        except (OSError, UnicodeError):  # it cannot be reached, hangs up, or does not speak HTTP
            return False
        return 200 <= answer.status < 300

    async def _ask(self, url: Url, head: str, body: bytes) -> Response:
        connection = await self._connection(url)
        try:
            answer = await connection.request(head, body)
        except BaseException:  # also when its time is over: its answer may still come
            connection.close()
            raise
        if connection.open and not self._stopping:
            self._idle.keep(url.place, connection)
        else:
            connection.close()
        return answer

    async def _connection(self, url: Url) -> _ToTarget:
        idle = self._idle.take(url.place)
        if idle is not None:
            return idle
        loop = asyncio.get_running_loop()
        tls = True if url.scheme == "https" else None
        _, connection = await loop.create_connection(_ToTarget, *url.address, ssl=tls)
        return connection


class _Idle:
    """Connections that wait for the next post to their place, so many at most of all places."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._by_place: dict[Place, list[_ToTarget]] = {}
        self._places: OrderedDict[_ToTarget, Place] = OrderedDict()  # that idle longest first

    def take(self, place: Place) -> _ToTarget | None:
        """Return a connection to a place, None where there is none."""
        while place in self._by_place:
            connection = self._by_place[place][-1]
            self._forget(connection)
            if connection.open:
                return connection
        return None

    def keep(self, place: Place, connection: _ToTarget) -> None:
        """Keep a connection, and close one that has been idle longer where they are too many."""
        self._by_place.setdefault(place, []).append(connection)
        self._places[connection] = place
        if len(self._places) > self._most:
            oldest = next(iter(self._places))
            self._forget(oldest)
            oldest.close()

    def close(self) -> None:
        """Close all."""
        for connection in self._places:
            connection.close()
        self._by_place.clear()
        self._places.clear()

    def _forget(self, connection: _ToTarget) -> None:
        place = self._places.pop(connection)
        self._by_place[place].remove(connection)
        if not self._by_place[place]:
            del self._by_place[place]


class _ToTarget(HttpConnection):
    """A connection to a target, of which nothing is trusted."""

    _arrived = 0  # of the answer [B]

    async def request(self, head: str, body: bytes = b"") -> Response:
        """Send a request, and return its answer."""
        self._arrived = 0
        return await super().request(head, body)

    def data_received(self, data: bytes) -> None:
        """Parse what has come, unless nothing was asked, or it is too much."""
        self._arrived += len(data)
        asked = self._answer is not None and not self._answer.done()
        if asked and self._arrived <= LONGEST_ANSWER:
            super().data_received(data)
            return
        self._fail(ConnectionError("the target sends what was not asked for"))
        self.close()
