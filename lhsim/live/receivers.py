"""Agents of a live run that send to the event store, and receive by polling or by push."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from typing import Any

from lhsim.live.agents import FAULTS, Agents, Share
from lhsim.live.client import BridgeClient
from lhsim.live.queue import QUEUE
from lhsim.live.targets import Endpoint
from lhsim.models.reactions import Targets, Work
from lhsim.models.workload import NOBODY_YET

TIMEOUT = 60.0  # of a request for messages, as in the original [s]
OF_EVENT = 10_000  # of a posted event besides its text, at most [B]
BACKOFF = 0.5  # of an agent that was refused [s]


class StoreAgents(Agents):
    """Agents with a client of the bridge each."""

    def __init__(self, share: Share) -> None:
        super().__init__(share)
        self._clients: dict[int, BridgeClient] = {}

    @abstractmethod
    async def _receive(self, agent: int) -> None:
        """Receive once, or for as long as it goes well."""

    async def _connect(self, agent: int) -> None:
        share = self._share
        client = await BridgeClient.connect(share.url, self._name(agent), enrolment=share.enrolment)
        self._clients[agent] = client

    def _begin(self) -> None:
        share = self._share
        for agent, at in zip(share.agents.tolist(), share.starts.tolist(), strict=True):
            self._spawn(self._receive_from(agent, at))

    async def _send(self, sender: int, target: int, number: int) -> None:
        payload = {"sender": sender, "number": number, "text": self._text}
        name = QUEUE if target == NOBODY_YET else self._name(target)
        await self._clients[sender].store(name, payload, message_id=str(number))

    async def _hang_up(self) -> None:
        for client in self._clients.values():
            client.close()

    async def _receive_from(self, agent: int, at: float) -> None:
        """Receive again and again, from a time on [s]."""
        await asyncio.sleep(self._left(at))
        while True:
            try:
                await self._receive(agent)
            except FAULTS as error:
                self._note(error)
                await asyncio.sleep(BACKOFF)

    def _take(self, event: dict[str, Any], taker: int = NOBODY_YET) -> None:
        payload = event["payload"]
        self._deliver(payload["sender"], payload["number"], taker)


class PollingAgents(StoreAgents):
    """Agents that ask for their messages, and again at once, or by short polls after a sleep."""

    async def _receive(self, agent: int) -> None:
        events = await self._clients[agent].wait(TIMEOUT)
        for event in events:
            self._take(event)
        if not events:
            await self._sleep()

    async def _sleep(self) -> None:
        """Wait after an answer that held nothing, where the server has not done so."""
        if self._share.poll_after is not None:
            await asyncio.sleep(self._share.poll_after)


class Consumers(PollingAgents):
    """Agents that take messages from a queue, work, and delete them; some may only send."""

    def __init__(self, share: Share) -> None:
        super().__init__(share)
        assert share.work is not None
        self._work = Work(share.work, share.seed)
        self._requests = dict.fromkeys(share.agents.tolist(), 0)  # that each has made so far

    async def connect(self) -> None:
        """Open a session for each agent."""
        self._work.time(0, 0)  # what draws is loaded before the first message
        await super().connect()

    async def _receive_from(self, agent: int, at: float) -> None:
        if agent >= self._share.producers:
            await super()._receive_from(agent, at)

    async def _receive(self, agent: int) -> None:
        client, request = self._clients[agent], self._requests[agent]
        self._requests[agent] += 1
        events, receipt = await client.take(TIMEOUT)
        if receipt is None:
            await self._sleep()
            return
        await asyncio.sleep(self._work.time(agent, request))
        deleted = set(await client.delete(receipt))
        for event in events:
            if not event["sender"].startswith(f"{self._share.run}."):
                continue  # left over by somebody else, and done with now
            if event["sequence"] in deleted:
                self._take(event, agent)
            else:
                self._repeated += 1


class WebhookAgents(StoreAgents):
    """Agents to whose endpoint the bridge posts; there is one for those of a process."""

    def __init__(self, share: Share) -> None:
        super().__init__(share)
        assert share.webhook is not None
        self._targets = Targets(share.webhook, share.seed)
        self._endpoint = Endpoint(self._receive_post, OF_EVENT + share.payload)
        self._opened: asyncio.Task[None] | None = None

    async def _connect(self, agent: int) -> None:
        await super()._connect(agent)
        if self._opened is None:
            self._opened = asyncio.ensure_future(self._endpoint.open())
            # What draws is loaded before the first message.
            self._targets.refuse(0, 0, 0)
            self._targets.work(0, 0, 0)
        await asyncio.shield(self._opened)
        key = await self._clients[agent].register_webhook(self._endpoint.url(agent))
        self._endpoint.keys[agent] = key.encode()

    def _begin(self) -> None:
        """Do nothing: what comes is posted."""

    async def _receive(self, agent: int) -> None:
        """Do nothing, as well."""

    def _receive_post(self, _agent: int, event: dict[str, Any], post: int) -> float | None:
        """Return how long a target works on a post, None where it refuses it."""
        sender, number = event["payload"]["sender"], event["payload"]["number"]
        if self._targets.refuse(sender, number, post):
            return None
        self._take(event)
        return self._targets.work(sender, number, post)

    async def _hang_up(self) -> None:
        self._endpoint.close()
        await super()._hang_up()


class PushAgents(StoreAgents):
    """Agents with a WebSocket; one that was cut is opened again, from where it was."""

    def __init__(self, share: Share) -> None:
        super().__init__(share)
        self._sockets: dict[int, Any] = {}

    async def _connect(self, agent: int) -> None:
        await super()._connect(agent)
        self._sockets[agent] = await self._clients[agent].open_websocket()

    async def _receive(self, agent: int) -> None:
        client = self._clients[agent]
        if agent not in self._sockets:
            self._sockets[agent] = await client.open_websocket()
        try:
            async for event in client.pushed(self._sockets[agent]):
                self._take(event)
        finally:
            await self._sockets.pop(agent).close()
        raise ConnectionResetError("the server closed a push connection")

    async def _hang_up(self) -> None:
        await asyncio.gather(*(socket.close() for socket in self._sockets.values()))
        await super()._hang_up()
