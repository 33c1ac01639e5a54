"""How long an answer takes: many agents ask at a time, from several processes.

A client of the SDK takes more processor time for a call than the server does, so one process of
clients would measure itself. The pairs of agents are dealt out to processes; the times are those of
the clock that all processes of a machine share.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from multiprocessing.connection import Connection
from typing import Any

import pandas as pd
from attrs import field, frozen

from lhsim.checks import one_of, positive, whole
from lhsim.live.client import BridgeError
from lhsim.live.mcp.agents import FORM
from lhsim.live.mcp.client import Asked, McpAgent
from lhsim.live.mcp.exchange import Answer
from lhsim.live.mcp.protocol import MODES, Era
from lhsim.live.settings import LONGEST_WAIT
from lhsim.live.workers import spawned

COLUMNS = ("intended_s", "sent_s", "answered_s", "agent", "outcome")
_LEAD = 0.2  # from the word to the start, so that all have it in time [s]
_CONNECTING = 120.0  # that all clients may take to connect [s]
_Record = tuple[float, float, float, str, str]


@frozen
class Load:
    """What is asked: by as many pairs of agents as there are lists of times."""

    url: str  # of the bridge, without the path of MCP
    era: Era = field(validator=one_of(MODES))
    # When each pair asks, from the start on [s]. Pair 0 is the agents mcp-ask-0 and mcp-reply-0
    times: Sequence[Sequence[float]]
    one_at_a_time: bool = False  # whether a question waits until that before has been answered
    timeout: float = field(default=30.0, validator=positive)  # of an answer [s]
    processes: int = field(default=2, validator=whole(1))  # of clients
    enrolment: str | None = field(default=None, repr=False)  # the key of the bridge


def round_trips(
    url: str, era: Era, pairs: int, asks: int, *, processes: int = 2, enrolment: str | None = None
) -> Load:
    """Return a closed load: each of the pairs asks, and again as soon as it has its answer."""
    times = [[0.0] * asks for _ in range(pairs)]
    return Load(url, era, times, one_at_a_time=True, processes=processes, enrolment=enrolment)


async def measure_elicitations(load: Load) -> pd.DataFrame:
    """Put a load on a server; return what became of each question.

    The processes are spawned: a script that calls this needs ``if __name__ == "__main__":``.

    Returns
    -------
    pandas.DataFrame
        With a row for each question, by when it was to be asked, and the columns

        - ``intended_s``: when it was to be asked, from the start on [s]. For one that had to wait
          for the answer before, this is when that came.
        - ``sent_s``: when it was asked [s].
        - ``answered_s``: when the call returned [s].
        - ``agent``: who asked.
        - ``outcome``: accept, decline, cancel or expired; ``refused`` where the server did not take
          it; ``lost`` where the connection was gone.

    Raises
    ------
    RuntimeError
        When a process of clients could not connect, or has died.
    """
    count = max(1, min(load.processes, len(load.times)))
    with spawned(_work, [(load, part, count) for part in range(count)]) as ends:
        await asyncio.gather(*(asyncio.to_thread(_receive, end, _CONNECTING) for end in ends))
        start = time.monotonic() + _LEAD
        for end in ends:
            end.send(start)
        longest = _LEAD + _longest(load)
        parts = await asyncio.gather(*(asyncio.to_thread(_receive, end, longest) for end in ends))
    records = [record for part in parts for record in part]
    return pd.DataFrame(records, columns=list(COLUMNS)).sort_values(
        ["intended_s", "agent"], ignore_index=True
    )


def _longest(load: Load) -> float:
    """Return how long it takes at the longest [s]."""
    last = max((max(times, default=0.0) for times in load.times), default=0.0)
    most = max((len(times) for times in load.times), default=0)
    waits = most if load.one_at_a_time else 1
    return last + waits * min(load.timeout, LONGEST_WAIT) + _CONNECTING


def _receive(end: Connection, timeout: float) -> Any:
    try:
        if not end.poll(timeout):
            raise RuntimeError(f"a process of clients said nothing for {timeout:g} s")
        content = end.recv()
    except (EOFError, ConnectionError):
        raise RuntimeError("a process of clients has died") from None
    if isinstance(content, str):
        raise RuntimeError(f"a process of clients failed: {content}")
    return content


def _work(load: Load, part: int, count: int, end: Connection) -> None:
    """Be one process: connect, say so, wait for the start, and send what was measured."""
    try:
        asyncio.run(_clients(load, range(part, len(load.times), count), end))
    except Exception as error:
        end.send(f"{type(error).__name__}: {error}")


async def _clients(load: Load, pairs: Sequence[int], end: Connection) -> None:
    async with AsyncExitStack() as connected:
        askers = {}
        for pair in pairs:
            for name, respond in (("reply", _reply), ("ask", None)):
                who, era, key = f"mcp-{name}-{pair}", load.era, load.enrolment
                agent = await connected.enter_async_context(
                    await McpAgent.connect(load.url, who, era=era, respond=respond, enrolment=key)
                )
            askers[pair] = agent
        end.send([])
        start = await asyncio.to_thread(end.recv)
        asking = [_ask_all(load, pair, askers[pair], start) for pair in pairs]
        records = [record for part in await asyncio.gather(*asking) for record in part]
    end.send(records)


def _reply(_asked: Asked) -> Answer:
    return Answer("accept", {"number": 1})


async def _ask_all(load: Load, pair: int, agent: McpAgent, start: float) -> list[_Record]:
    times = load.times[pair]
    if not load.one_at_a_time:
        asking = [_ask(load, pair, agent, start, at) for at in times]
        return list(await asyncio.gather(*asking))
    records: list[_Record] = []
    for at in times:
        free = records[-1][2] if records else at
        records.append(await _ask(load, pair, agent, start, max(at, free)))
    return records


async def _ask(load: Load, pair: int, agent: McpAgent, start: float, at: float) -> _Record:
    await asyncio.sleep(max(0.0, start + at - time.monotonic()))
    sent = time.monotonic() - start
    try:
        answer = await agent.ask(f"mcp-reply-{pair}", "How many?", FORM, load.timeout)
        outcome = answer.action
    except BridgeError:
        outcome = "refused"
    except ConnectionError:
        outcome = "lost"
    return at, sent, time.monotonic() - start, agent.agent_id, outcome
