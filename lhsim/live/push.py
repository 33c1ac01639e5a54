"""Push: what was stored is sent at once to the connection of its target, in the order of numbers.

A connection has a cursor, the number of the last event that was given to it. It begins where the
client says, and what was stored after that is read from the store; only when nothing more is found
the connection goes *live*, and gets what is stored from then on. What does not fit into its queue
ends that: it is *behind*, and has to read again from where it was. So no event is left out, and
none comes twice, for a client that keeps the highest number it has seen.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable

from attrs import define

from lhsim.live.store import Event

Read = Callable[[str, int, int], Awaitable[list[Event]]]
_PAGE = 100  # events read at a time


@define(eq=False, slots=False)
class Connection:
    """The server's end of a push connection."""

    agent: str  # whose it is
    _outbound: int  # events that may be queued, that which is being sent included

    def __attrs_post_init__(self) -> None:
        self.cursor = 0
        self.closed = False
        self.behind = False  # an event did not fit
        self._queue: deque[Event] = deque()
        self._live = False
        self._missed = False  # something was stored while the connection was not live
        self._again = False  # something may have been stored of which nobody told
        self._news = asyncio.Event()

    def offer(self, event: Event) -> bool:
        """Queue an event; return whether there was a place, or no need for one."""
        if self.behind:
            return False
        if not self._live:
            self._missed = True
            return True
        if len(self._queue) >= self._outbound:
            self.behind = True
            self._news.set()
            return False
        self._queue.append(event)
        self._news.set()
        return True

    def reread(self) -> None:
        """Read the store again after the cursor, before anything else is given to the client."""
        self._again, self._live = True, False
        self._news.set()

    def close(self) -> None:
        """End the stream of events."""
        self.closed = True
        self._news.set()

    async def events(self, since: int, read: Read) -> AsyncIterator[Event]:
        """Yield what was stored after `since`, and then what is, until it is behind or closed."""
        self.cursor = since
        self.behind = False
        while True:
            self._again = self._live = False
            while not self._live and not self.closed:
                self._missed = False
                page = await read(self.agent, self.cursor, _PAGE)
                for event in page:
                    self.cursor = event.sequence
                    yield event
                # Nothing is awaited between this look and going live. An event whose commit the
                # read has seen and whose offer is still to come is below the cursor by then.
                self._live = not page and not self._missed
            while not self._again:
                await self._news.wait()
                self._news.clear()
                while self._queue and not self.closed and not self._again:
                    event = self._queue[0]
                    if event.sequence > self.cursor:
                        self.cursor = event.sequence
                        yield event
                    self._queue.popleft()  # not before it has been sent
                if self.closed or self.behind:
                    self._live = False
                    self._queue.clear()
                    return
            self._queue.clear()  # what was in it is read again


class Hub:
    """All push connections, by agent. The latest of an agent takes the place of one before it."""

    def __init__(self, *, disconnect: bool) -> None:
        self._disconnect = disconnect  # a connection that falls behind is closed
        self._connections: dict[str, Connection] = {}

    def open(self, connection: Connection) -> None:
        """Let a connection hear of what is stored for its agent."""
        before = self._connections.get(connection.agent)
        if before is not None:
            before.close()
        self._connections[connection.agent] = connection

    def drop(self, connection: Connection) -> None:
        """Forget a connection."""
        connection.close()
        if self._connections.get(connection.agent) is connection:
            del self._connections[connection.agent]

    def stored(self, event: Event) -> None:
        """Give an event to the connection of its target, if it has one."""
        connection = self._connections.get(event.target)
        if connection is not None and not connection.offer(event) and self._disconnect:
            connection.close()

    def reread(self) -> None:
        """Let all connections look for what was stored without a word: a write of unknown end."""
        for connection in self._connections.values():
            connection.reread()

    def close(self) -> None:
        """Close all connections."""
        for connection in self._connections.values():
            connection.close()
