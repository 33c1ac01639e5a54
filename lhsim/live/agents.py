"""Agents of a live run, in a process of their own: they send on schedule, and receive.

Latency counts from the intended time, so that a driver that is late adds to it; how late it was is
in the recording. A thread keeps the time, because the timers of asyncio end up to 1 ms late.
"""

from __future__ import annotations

import asyncio
import gc
import json
import threading
import time
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray
from websockets.exceptions import WebSocketException

from lhsim.live.client import BridgeClient, BridgeError
from lhsim.live.probe import open_files

AT_ONCE = 50  # connections that are opened at a time
TIMEOUT = 60.0  # of a request for messages, as in the original [s]
BACKOFF = 0.5  # of an agent that was refused [s]
LAST_ANSWERS = 2.0  # are waited for after the end [s]
LOOK_AGAIN = 0.1  # whether there are any [s]
MALFORMED = (ValueError, KeyError, TypeError)  # what an answer of another protocol leads to
FAULTS = (OSError, BridgeError, WebSocketException, *MALFORMED)


@frozen(eq=False)
class Share:
    """The part of a run that one process has."""

    url: str
    run: str  # begins the names of its agents
    enrolment: str | None = field(repr=False)
    push: bool
    agents: NDArray[np.int64]
    starts: NDArray[np.float64]  # of these agents [s]
    rows: NDArray[np.int64]  # of the messages that they send, in the order of time
    sender: NDArray[np.int64]
    number: NDArray[np.int64]
    target: NDArray[np.int64]
    time: NDArray[np.float64]  # [s]
    payload: int  # [B]
    end: float  # [s]


@frozen(eq=False)
class Seen:
    """What a process has seen; all times from the start of the run [s]."""

    rows: NDArray[np.int64]
    sent: NDArray[np.float64]
    acknowledged: NDArray[np.float64]  # NaN: refused, or too late
    sender: NDArray[np.int64]  # of the messages that were delivered
    number: NDArray[np.int64]
    delivered: NDArray[np.float64]
    refused: int
    problem: str  # the last one, in a line
    busy: float  # part of the time in which this process was busy


def work(share: Share, pipe: Connection) -> None:
    """Connect, say so, wait for the time at which to start, run, and send what was seen."""
    open_files()
    try:
        asyncio.run(_work(share, pipe))
    except FAULTS as error:
        pipe.send(problem_of(error))


def problem_of(error: Exception) -> str:
    """Return what went wrong between an agent and the server, in a line."""
    if isinstance(error, MALFORMED):
        return f"an answer that is not of the protocol ({type(error).__name__}: {error})"
    return f"{error}" or type(error).__name__


async def _work(share: Share, pipe: Connection) -> None:
    agents = Agents(share)
    try:
        await agents.connect()
        pipe.send(None)
        start = await asyncio.to_thread(pipe.recv)
        gc.collect()
        gc.freeze()
        gc.disable()  # a collection would make the driver late
        pipe.send(await agents.run(start))
    finally:
        await agents.close()


class Agents:
    """The agents of one process."""

    def __init__(self, share: Share) -> None:
        self._share = share
        self._clients: dict[int, BridgeClient] = {}
        self._sockets: dict[int, Any] = {}
        self._start = 0.0
        self._sent = np.full(len(share.time), np.nan)
        self._acknowledged = np.full(len(share.time), np.nan)
        self._delivered: list[tuple[int, int, float]] = []
        self._refused = 0
        self._unanswered = 0  # messages on their way to the store
        self._problem = ""
        self._tasks: set[asyncio.Task[None]] = set()
        self._text = "x" * share.payload

    async def connect(self) -> None:
        """Open a session for each agent, and its push connection."""
        agents = self._share.agents.tolist()
        for first in range(0, len(agents), AT_ONCE):
            await asyncio.gather(*map(self._connect, agents[first : first + AT_ONCE]))

    async def _connect(self, agent: int) -> None:
        share = self._share
        client = await BridgeClient.connect(share.url, self._name(agent), enrolment=share.enrolment)
        self._clients[agent] = client
        if share.push:
            self._sockets[agent] = await client.open_websocket()

    async def run(self, start: float) -> Seen:
        """Send and receive until the end; `start` is on the monotonic clock [s]."""
        self._start = start
        loop, used = asyncio.get_running_loop(), time.process_time()
        receive = self._take if self._share.push else self._poll
        for agent, at in zip(self._share.agents.tolist(), self._share.starts, strict=True):
            self._spawn(self._receive(receive, agent, float(at)))
        keeper = threading.Thread(target=self._keep_time, args=(loop,), daemon=True)
        keeper.start()
        await asyncio.sleep(self._left(self._share.end))
        used = time.process_time() - used
        await asyncio.to_thread(keeper.join)
        await self._last_answers()
        return self._seen(used)

    async def _last_answers(self) -> None:
        """Wait for the answers that are still to come, but not for long."""
        until = time.monotonic() + LAST_ANSWERS
        while self._unanswered and time.monotonic() < until:
            await asyncio.sleep(LOOK_AGAIN)

    async def close(self) -> None:
        """Hang up."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(socket.close() for socket in self._sockets.values()))
        for client in self._clients.values():
            client.close()
        await asyncio.sleep(0)

    def _seen(self, used: float) -> Seen:
        share = self._share
        found = np.array(self._delivered, float).reshape(-1, 3).T
        return Seen(
            rows=share.rows,
            sent=self._sent,
            acknowledged=self._acknowledged,
            sender=found[0].astype(int),
            number=found[1].astype(int),
            delivered=found[2],
            refused=self._refused,
            problem=self._problem,
            busy=used / max(share.end, 1e-9),
        )

    # --- sending -------------------------------------------------------------------------------

    def _keep_time(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start each message at its time; on a thread."""
        for place, at in enumerate(self._share.time.tolist()):
            left = self._left(at)
            if left > 0:
                time.sleep(left)
            loop.call_soon_threadsafe(self._send, place)

    def _send(self, place: int) -> None:
        self._spawn(self._store(place))

    async def _store(self, place: int) -> None:
        share = self._share
        sender, number = int(share.sender[place]), int(share.number[place])
        self._sent[place] = self._now()
        self._unanswered += 1
        try:
            await self._clients[sender].store(
                self._name(int(share.target[place])),
                {"sender": sender, "number": number, "text": self._text},
                message_id=str(number),
            )
        except FAULTS as error:
            self._note(error)
        else:
            self._acknowledged[place] = self._now()
        finally:
            self._unanswered -= 1

    # --- receiving -----------------------------------------------------------------------------

    async def _receive(
        self, receive: Callable[[int], Awaitable[None]], agent: int, at: float
    ) -> None:
        await asyncio.sleep(self._left(at))
        while True:
            try:
                await receive(agent)
            except FAULTS as error:
                self._note(error)
                await asyncio.sleep(BACKOFF)

    async def _poll(self, agent: int) -> None:
        for event in await self._clients[agent].wait(TIMEOUT):
            self._deliver(event)

    async def _take(self, agent: int) -> None:
        """Take what is pushed; a connection that was cut is opened again, from where it was."""
        client = self._clients[agent]
        if agent not in self._sockets:
            self._sockets[agent] = await client.open_websocket()
        try:
            async for text in self._sockets[agent]:
                event = json.loads(text)
                if "sequence" in event:
                    client.cursor = event["sequence"]
                    self._deliver(event)
                else:  # something did not fit: read again from here
                    await self._sockets[agent].send(json.dumps({"since_sequence": client.cursor}))
        finally:
            await self._sockets.pop(agent).close()
        raise ConnectionResetError("the server closed a push connection")

    def _deliver(self, event: dict[str, Any]) -> None:
        payload = event["payload"]
        self._delivered.append((payload["sender"], payload["number"], self._now()))

    # --- helpers -------------------------------------------------------------------------------

    def _name(self, agent: int) -> str:
        return f"{self._share.run}.{agent}"

    def _now(self) -> float:
        return time.monotonic() - self._start

    def _left(self, at: float) -> float:
        return max(0.0, self._start + at - time.monotonic())

    def _note(self, error: Exception) -> None:
        self._refused += 1
        self._problem = problem_of(error)

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
