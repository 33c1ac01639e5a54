"""One process of the driver: its agents, from the first connection to the last."""

from __future__ import annotations

import asyncio
import gc
import logging
from multiprocessing.connection import Connection

from lhsim.live.agents import FAULTS, Agents, Share, problem_of
from lhsim.live.probe import open_files
from lhsim.live.receivers import PollingAgents, PushAgents


def work(share: Share, pipe: Connection) -> None:
    """Connect, say so, wait for the time at which to start, run, and send what was seen."""
    open_files()
    try:
        asyncio.run(_work(share, pipe))
    except FAULTS as error:
        pipe.send(problem_of(error))


async def _work(share: Share, pipe: Connection) -> None:
    agents = agents_of(share)
    try:
        await agents.connect()
        pipe.send(None)
        start = await asyncio.to_thread(pipe.recv)
        gc.collect()
        gc.freeze()
        gc.disable()  # a collection would make the driver late
        pipe.send(await agents.run(start))
        # Those of other processes may still be asking these: stay until the driver hangs up.
        await asyncio.to_thread(pipe.poll, None)
    finally:
        await agents.close()


def agents_of(share: Share) -> Agents:
    """Return the agents of a share, by its architecture."""
    if share.architecture == "polling":
        return PollingAgents(share)
    if share.architecture == "push":
        return PushAgents(share)
    from lhsim.live.mcp.agents import McpAgents  # noqa: PLC0415 - needs the extra lhsim[mcp]

    # What goes wrong is counted. The SDK would write a traceback for each connection that is cut.
    logging.getLogger("mcp").setLevel(logging.CRITICAL)
    return McpAgents(share)
