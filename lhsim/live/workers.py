"""The processes of a load driver: how they are started, and what one of them does.

Each has its share of the load, and a pipe to who started it.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any

from lhsim.live.agents import FAULTS, Agents, Share, problem_of
from lhsim.live.probe import open_files
from lhsim.live.receivers import Consumers, PollingAgents, PushAgents, WebhookAgents

GRACE = 5.0  # to hang up, once all has been told [s]


@contextmanager
def spawned(
    work: Callable[..., None], shares: Sequence[tuple[Any, ...]]
) -> Iterator[list[Connection]]:
    """Run ``work(*share, pipe)`` in a process for each share, and yield our ends of the pipes.

    None outlasts this: those that are still there at a regular end get a little time to hang up,
    after an error none at all.
    """
    context = multiprocessing.get_context("spawn")
    pipes: list[Connection] = []
    processes: list[SpawnProcess] = []
    try:
        for share in shares:
            ours, theirs = context.Pipe()
            process = context.Process(target=work, args=(*share, theirs), daemon=True)
            process.start()
            theirs.close()
            processes.append(process)
            pipes.append(ours)
        yield pipes
    except BaseException:
        for process in processes:
            process.terminate()
        raise
    finally:
        for pipe in pipes:
            pipe.close()
        for process in processes:
            process.join(GRACE)
            process.kill()
            process.join()


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
        return PollingAgents(share) if share.work is None else Consumers(share)
    if share.architecture == "push":
        return PushAgents(share) if share.webhook is None else WebhookAgents(share)
    from lhsim.live.mcp.agents import McpAgents  # noqa: PLC0415 - needs the extra lhsim[mcp]

    # What goes wrong is counted. The SDK would write a traceback for each connection that is cut.
    logging.getLogger("mcp").setLevel(logging.CRITICAL)
    return McpAgents(share)
