"""Two systems in C: builds polling.c and push.c, runs them, and compares them with lhsim.

`polling.c` is the yardstick's system, `push.c` the default push system: each has a program of the
name of its architecture.
"""

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
from attrs import evolve

from lhsim.distributions import Deterministic, Distribution
from lhsim.distributions.base import ZERO
from lhsim.models import EventStore, Network, Poisson, PushServer, System, Workload
from lhsim.models.stalls import of_host
from lhsim.rules import slopes
from lhsim.simulation import Result
from lhsim.simulation.result import MS

HERE = Path(__file__).parent
SHARED = HERE / "plain.h"
FLAGS = ("-std=c11", "-O3", "-ffp-contract=off")  # a fused a * b + c would round differently


def has_compiler() -> bool:
    return shutil.which("gcc") is not None


@functools.cache
def build(name: str) -> Path:
    """Return a program, compiled anew where its source has changed."""
    source, program = HERE / f"{name}.c", HERE / "build" / name
    changed = max(path.stat().st_mtime for path in (source, SHARED))
    if not program.exists() or program.stat().st_mtime < changed:
        program.parent.mkdir(exist_ok=True)
        new = program.with_name(f"{name}.{os.getpid()}")  # others may build or run it right now
        subprocess.run(["gcc", *FLAGS, "-o", new, source, "-lm"], check=True)
        new.replace(program)
    return program


def run(system: System, agents: int, duration: float, seed: int = 1) -> dict[str, Any]:
    """Return what the program prints: counts, sums, and the `seconds` it took to simulate."""
    if system.architecture == "push":
        parameters = _of_push(system, seed, duration)
    else:
        parameters = _of_polling(system)
    command = [str(build(system.architecture)), str(agents), str(duration), str(seed)]
    process = subprocess.run(command, input=parameters, capture_output=True, check=True)
    return json.loads(process.stdout)


def differences(figures: dict[str, Any], result: Result) -> list[str]:
    """Return the names of the figures that differ, in any bit, from those of an lhsim run.

    The run is one of the same system without warm-up and drain, so that all its time counts.
    """
    counts = result.latency.counts.ravel()
    expected = {
        "created": sum(result.outcomes.values()),
        "delivered": result.outcomes["delivered"],
        "histogram": int(counts @ np.arange(len(counts))),
        "shortest": result.latency.min,
        "longest": result.latency.max,
        "latencies": result.latency.sums.tolist(),
        "busy": result.utilization["store"],
    }
    found = dict(figures)
    if result.architecture == "push":
        expected |= _figures_of_push(result)
        found |= _as_lhsim_has_them(figures, result)
    else:
        expected |= {
            "queries": result.metrics.database_queries_total,
            "wasted": result.metrics.wasted_poll_cycles,
            "timeouts": result.metrics.timeout_events,
        }
        found["busy"] = figures["busy"] / result.duration
    return [name for name, value in expected.items() if found[name] != value]


def _figures_of_push(result: Result) -> dict[str, Any]:
    metrics, counters = result.metrics, result.counters
    figures = {
        "attempts": counters.attempts,
        "stored": counters.stored,
        "sent": counters.sent,
        "to_store": metrics.message_send_latency_ms,
        "from_store": metrics.message_receive_latency_ms,
        "busiest_loop": result.utilization["cpu"],
        "work": metrics.cpu_utilization_percent,
    }
    if result.engine_events is not None:  # SimPy does not count them
        figures["scheduled"] = result.engine_events
    return figures


def _as_lhsim_has_them(figures: dict[str, Any], result: Result) -> dict[str, float]:
    """Return sums of the push program as the parts and means that an lhsim result has."""
    length, delivered, loops = result.duration, figures["delivered"], len(figures["loops_busy"])
    return {
        "to_store": figures["to_store"] / delivered * MS,
        "from_store": figures["from_store"] / delivered * MS,
        "busy": min(1.0, figures["busy"] / (figures["connections"] * length)),
        "busiest_loop": min(1.0, max(figures["loops_busy"]) / length),
        "work": sum(figures["loops_work"]) / (length * loops) * 100.0,
    }


def _of_polling(system: System) -> bytes:
    """Return the parameters of the system as polling.c reads them."""
    polling, workload = system.polling, system.workload
    numbers = (polling.interval, polling.timeout, polling.limit, *_starts(workload))
    return struct.pack("5d", *numbers) + _tables(workload.traffic.gap, system.store.query)


def _of_push(system: System, seed: int, duration: float) -> bytes:
    """Return the parameters of the system as push.c reads them, and when its host stalls."""
    _check_push(system)
    cpu, store = system.cpu, system.store
    curve, memory = np.zeros((3, 0)), 1.0
    if cpu.warmth is not None:
        curve = slopes(np.array(cpu.warmth.gaps), np.array(cpu.warmth.excess))
        memory = cpu.warmth.memory
    starts, ends = np.zeros((2, 0)) if cpu.stalls is None else of_host(cpu.stalls, seed, duration)
    every, collection = 0, ZERO
    if cpu.collection is not None and not cpu.collection.cost.table().is_zero:
        every, collection = cpu.collection.every, cpu.collection.cost
    costs = (
        cpu.parse_message, cpu.validate, cpu.write, store.write, cpu.send, cpu.acknowledge,
        cpu.connect, collection,
    )  # fmt: skip
    network = system.network
    numbers = struct.pack(
        "5d5q", network.up.mean, network.down.mean, *_starts(system.workload), memory,
        cpu.workers, store.connections, curve.shape[1], len(starts), every,
    )  # fmt: skip
    tables = _tables(system.workload.traffic.gap, *costs)
    return numbers + tables + curve.tobytes() + starts.tobytes() + ends.tobytes()


def _check_push(system: System) -> None:
    """Raise ValueError for a system that push.c does not know."""
    workload, network, store = system.workload, system.network, system.store
    traffic = workload.traffic if isinstance(workload.traffic, Poisson) else Poisson()
    known = evolve(
        system,
        workload=Workload(traffic=traffic, start_over=workload.start_over),
        network=Network(Deterministic(network.up.mean), Deterministic(network.down.mean)),
        cpu=evolve(system.cpu, cores=1, quantum=None, turn=0.0, relay=ZERO, slowdowns=None),
        store=EventStore(query=store.query, write=store.write, connections=store.connections),
        push=PushServer(),
        faults=(),
    )
    if system != known or not min(network.up.mean, network.down.mean) > 0:
        raise ValueError(f"push.c does not know all that is in {system.name}")


def _starts(workload: Workload) -> tuple[float, float]:
    return workload.start_over, workload.traffic.gap.mean


def _tables(*distributions: Distribution) -> bytes:
    return b"".join(one.table().cells.tobytes() for one in distributions)
