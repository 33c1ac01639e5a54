"""What the machine does to a run: stalls, processor time that the host took, open files."""

from __future__ import annotations

import os
import platform
import resource
import time
from pathlib import Path

from attrs import frozen

STALL = 1e-3  # a gap that counts as a stall [s]
MOST_KEPT = 1000  # lengths of stalls
_STAT = Path("/proc/stat")


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
    try:
        fields = [float(number) for number in _STAT.read_text().split("\n", 1)[0].split()[1:9]]
    except (OSError, ValueError):
        return 0.0, 0.0
    return fields[7] if len(fields) > 7 else 0.0, sum(fields)


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
