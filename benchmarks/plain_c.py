"""The yardstick's system in C: builds polling.c, runs it, and compares its figures with lhsim's."""

from __future__ import annotations

import functools
import json
import os
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

from lhsim.models import System
from lhsim.simulation import Result

SOURCE = Path(__file__).with_name("polling.c")
PROGRAM = SOURCE.parent / "build" / "polling"
FLAGS = ("-std=c11", "-O3", "-ffp-contract=off")  # a fused a * b + c would round differently


@functools.cache
def build() -> Path | None:
    """Return the program, compiled anew where its source has changed; None without gcc."""
    if shutil.which("gcc") is None:
        return None
    if not PROGRAM.exists() or PROGRAM.stat().st_mtime < SOURCE.stat().st_mtime:
        PROGRAM.parent.mkdir(exist_ok=True)
        new = PROGRAM.with_name(f"polling.{os.getpid()}")  # others may build or run it right now
        subprocess.run(["gcc", *FLAGS, "-o", new, SOURCE, "-lm"], check=True)
        new.replace(PROGRAM)
    return PROGRAM


def run(system: System, agents: int, duration: float, seed: int = 1) -> dict[str, Any]:
    """Return what the program prints: counts, sums, and the `seconds` it took to simulate."""
    command = [str(build()), str(agents), str(duration), str(seed)]
    process = subprocess.run(command, input=_parameters(system), capture_output=True, check=True)
    return json.loads(process.stdout)


def differences(figures: dict[str, Any], result: Result) -> list[str]:
    """Return the names of the figures that differ, in any bit, from those of an lhsim run.

    The run is one of the same system without warm-up and drain, so that all its time counts.
    """
    counts = result.latency.counts.ravel()
    expected = {
        "created": sum(result.outcomes.values()),
        "delivered": result.outcomes["delivered"],
        "queries": result.metrics.database_queries_total,
        "wasted": result.metrics.wasted_poll_cycles,
        "timeouts": result.metrics.timeout_events,
        "busy": result.utilization["store"],
        "histogram": int(counts @ np.arange(len(counts))),
        "shortest": result.latency.min,
        "longest": result.latency.max,
        "latencies": result.latency.sums.tolist(),
    }
    found = figures | {"busy": figures["busy"] / result.duration}
    return [name for name, value in expected.items() if found[name] != value]


def _parameters(system: System) -> bytes:
    """Return the parameters of the system as the program reads them."""
    polling, workload = system.polling, system.workload
    gap, cost = workload.traffic.gap, system.store.query
    numbers = (
        polling.interval, polling.timeout, polling.limit, workload.start_over, gap.mean
    )  # fmt: skip
    return struct.pack("5d", *numbers) + gap.table().cells.tobytes() + cost.table().cells.tobytes()
