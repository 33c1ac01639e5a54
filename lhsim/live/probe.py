"""What the machine does to a run: stalls, processor time that the host took, open files."""

from __future__ import annotations

import os
import platform
import resource
import time
from contextlib import suppress
from multiprocessing.connection import Connection

import numpy as np
import psutil
from attrs import frozen

STALL = 1e-3  # a gap that counts as a stall [s]
MOST_KEPT = 1000  # lengths of stalls
PACE_EVERY = 0.01  # [s]


@frozen
class Stalls:
    """What a spin probe saw."""

    seconds: float  # that it ran
    lengths: tuple[float, ...]  # of the stalls [s]


def spin(seconds: float) -> Stalls:
    """Look at the clock without a pause, and return the gaps in which nothing else was done.

    It needs a core of its own, and so is for the time before and after a run.
    """
    lengths = []
    begun = last = time.perf_counter()
    while last - begun < seconds:
        now = time.perf_counter()
        if now - last > STALL:
            lengths.append(now - last)
        last = now
    return Stalls(last - begun, tuple(lengths))


def stolen() -> tuple[float, float]:
    """Return the processor time that the host took and that of all kinds [s]; 0 where unknown."""
    times = psutil.cpu_times()
    # The last two, of guests, are in the first two as well.
    return (times.steal, sum(times[:8])) if hasattr(times, "steal") else (0.0, 0.0)


def open_files() -> int:
    """Return how many files this process may open, after it has asked for all it can get."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return 2**20 if hard == resource.RLIM_INFINITY else hard


def cores() -> int:
    """Return how many cores a process can be kept on; 0 where the system has no such thing."""
    return (os.cpu_count() or 0) if hasattr(os, "sched_setaffinity") else 0


def host() -> str:
    """Return what a result depends on, in a line."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    return f"{system}, {cores} cores, Python {platform.python_version()}"


def keep_pace(core: int, pipe: Connection) -> None:
    """Measure the speed of a core until told to stop; then send it, or None where that cannot be.

    It is an array of shape (2, pieces): when a piece of work was done, on the monotonic clock, and
    how long it took [s]. The piece is Python's own work, of some 40 us every 10 ms: done twice,
    since the first of them finds its caches cold. Only time on the processor counts.
    """
    with suppress(OSError):  # in a container that core may be another's
        os.sched_setaffinity(0, [core])
    there = os.sched_getaffinity(0) == {core}
    piece = bytes(range(256)) * 8
    found: list[tuple[float, float]] = []
    while not pipe.poll(PACE_EVERY):
        sorted(piece)
        before = time.thread_time()
        sorted(piece)
        found.append((time.monotonic(), time.thread_time() - before))
    pipe.send(np.array(found).T if found and there else None)
