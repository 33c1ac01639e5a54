"""Processes that put a load on a server, each with its share of it and a pipe to who started it."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any

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
