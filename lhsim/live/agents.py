"""Agents of a live run, in a process of their own: they send on schedule, and receive.

What is the same however they do it is here: the schedule, the times, and what went wrong.

Latency counts from the intended time, so that a driver that is late adds to it; how late it was is
in the recording. A thread keeps the time, because the timers of asyncio end up to 1 ms late.
"""

from __future__ import annotations

import asyncio
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray
from websockets.exceptions import WebSocketException

from lhsim.live.client import BridgeError
from lhsim.live.mcp.protocol import Era
from lhsim.models.workload import NOBODY_YET

if TYPE_CHECKING:  # each process of a driver would wait a second for pandas
    from lhsim.distributions import Distribution
    from lhsim.models import Webhook
    from lhsim.recording import Architecture

AT_ONCE = 50  # agents that are connected at a time
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
    architecture: Architecture
    era: Era  # of MCP; of no account elsewhere
    agents: NDArray[np.int64]
    starts: NDArray[np.float64]  # of these agents [s]
    rows: NDArray[np.int64]  # of the messages that they send, in the order of time
    sender: NDArray[np.int64]
    number: NDArray[np.int64]
    target: NDArray[np.int64]
    time: NDArray[np.float64]  # [s]
    payload: int  # [B]
    end: float  # [s]
    # From an empty answer to the next request of a poll [s]; None: the server holds requests
    poll_after: float | None = None
    work: Distribution | None = None  # of consumers of a queue, on an answer; None: there is none
    producers: int = 0  # of the run: agents that only send
    webhook: Webhook | None = None  # by which agents receive; None: as the architecture says
    seed: int = 0  # of what agents do with what they receive


@frozen(eq=False)
class Seen:
    """What a process has seen; all times from the start of the run [s]."""

    rows: NDArray[np.int64]
    sent: NDArray[np.float64]
    acknowledged: NDArray[np.float64]  # NaN: refused, or too late
    sender: NDArray[np.int64]  # of the messages that were delivered
    number: NDArray[np.int64]
    delivered: NDArray[np.float64]
    taker: NDArray[np.int64]  # who has taken each from a queue; `NOBODY_YET` elsewhere
    repeated: int  # deliveries from a queue of what was delivered before
    refused: int
    problem: str  # the last one, in a line
    busy: float  # part of the time in which this process was busy


def problem_of(error: Exception) -> str:
    """Return what went wrong between an agent and the server, in a line."""
    if isinstance(error, MALFORMED):
        return f"an answer that is not of the protocol ({type(error).__name__}: {error})"
    return f"{error}" or type(error).__name__


class Agents(ABC):
    """The agents of one process. How they send and receive is up to their kind."""

    def __init__(self, share: Share) -> None:
        self._share = share
        self._start = 0.0
        self._sent = np.full(len(share.time), np.nan)
        self._acknowledged = np.full(len(share.time), np.nan)
        self._delivered: list[tuple[int, int, float, int]] = []
        self._repeated = 0
        self._refused = 0
        self._unanswered = 0  # messages that are sent, and not yet acknowledged
        self._problem = ""
        self._tasks: set[asyncio.Task[None]] = set()
        self._text = "x" * share.payload

    async def connect(self) -> None:
        """Open a session for each agent, and whatever it receives by."""
        agents = self._share.agents.tolist()
        for first in range(0, len(agents), AT_ONCE):
            await asyncio.gather(*map(self._connect, agents[first : first + AT_ONCE]))

    async def run(self, start: float) -> Seen:
        """Send and receive until the end; `start` is on the monotonic clock [s]."""
        self._start = start
        loop, used = asyncio.get_running_loop(), time.process_time()
        self._begin()
        keeper = threading.Thread(target=self._keep_time, args=(loop,), daemon=True)
        keeper.start()
        await asyncio.sleep(self._left(self._share.end))
        used = time.process_time() - used
        await asyncio.to_thread(keeper.join)
        await self._last_answers()
        return self._seen(used)

    async def close(self) -> None:
        """Hang up."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._hang_up()
        await asyncio.sleep(0)

    # --- of each kind --------------------------------------------------------------------------

    @abstractmethod
    async def _connect(self, agent: int) -> None:
        """Open what an agent needs."""

    @abstractmethod
    def _begin(self) -> None:
        """Begin to receive: what comes goes to `_deliver`."""

    @abstractmethod
    async def _send(self, sender: int, target: int, number: int) -> None:
        """Send a message, and return when it is acknowledged.

        Raises
        ------
        Exception
            One of `FAULTS`, when it is not.
        """

    @abstractmethod
    async def _hang_up(self) -> None:
        """Close what was opened."""

    # --- sending -------------------------------------------------------------------------------

    def _keep_time(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start each message at its time; on a thread."""
        for place, at in enumerate(self._share.time.tolist()):
            left = self._left(at)
            if left > 0:
                time.sleep(left)
            loop.call_soon_threadsafe(self._start_message, place)

    def _start_message(self, place: int) -> None:
        self._spawn(self._message(place))

    async def _message(self, place: int) -> None:
        share = self._share
        self._sent[place] = self._now()
        self._unanswered += 1
        try:
            await self._send(
                int(share.sender[place]), int(share.target[place]), int(share.number[place])
            )
        except FAULTS as error:
            self._note(error)
        else:
            self._acknowledged[place] = self._now()
        finally:
            self._unanswered -= 1

    async def _last_answers(self) -> None:
        """Wait for the answers that are still to come, but not for long."""
        until = time.monotonic() + LAST_ANSWERS
        while self._unanswered and time.monotonic() < until:
            await asyncio.sleep(LOOK_AGAIN)

    # --- helpers -------------------------------------------------------------------------------

    def _deliver(self, sender: int, number: int, taker: int = NOBODY_YET) -> None:
        """Note that a message has come."""
        self._delivered.append((sender, number, self._now(), taker))

    def _seen(self, used: float) -> Seen:
        share = self._share
        found = np.array(self._delivered, float).reshape(-1, 4).T
        return Seen(
            rows=share.rows,
            sent=self._sent,
            acknowledged=self._acknowledged,
            sender=found[0].astype(int),
            number=found[1].astype(int),
            delivered=found[2],
            taker=found[3].astype(int),
            repeated=self._repeated,
            refused=self._refused,
            problem=self._problem,
            busy=used / max(share.end, 1e-9),
        )

    def _name(self, agent: int) -> str:
        return f"{self._share.run}.{agent}"

    def _now(self) -> float:
        return time.monotonic() - self._start

    def _left(self, at: float) -> float:
        return max(0.0, self._start + at - time.monotonic())

    def _note(self, error: Exception) -> None:
        self._refused += 1
        self._problem = problem_of(error)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
