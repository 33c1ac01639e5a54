"""Which way to deliver? One line for each, on one load: what it costs at idle, its latency, herd.

::

    python examples/ways_to_deliver.py --agents 200

The costs are those of the measured systems; each way is settings on one of them. A consumer of the
queue, and the target of a webhook, work for 50 ms. Subscriptions end after 5 min in the mean, and
are renewed after 2 s. At idle an agent sends a message in an hour. The
last column is what a message adds to the queries of an idle server.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from attrs import evolve

import lhsim
from lhsim.models import Poisson, System

RATE = 0.2  # messages of an agent [1/s]
IDLE = 1 / 3600
WORK = {"family": "deterministic", "value": "50 ms"}
WAYS: dict[str, tuple[str, dict[str, Any]]] = {
    "long poll": ("polling", {}),
    "long poll, woken": ("polling", {"polling.wake_on_write": True}),
    "long poll, all woken": ("polling", {"polling.wake_on_write": True, "polling.wake": "all"}),
    "short poll": ("polling", {"polling.hold": False}),
    "queue, woken": (
        "polling",
        {
            "workload.topology": "queue",
            "workload.think": WORK,
            "polling.wake_on_write": True,
            "polling.visibility": "30 s",
        },
    ),
    "push": ("push", {}),
    "subscription": (
        "push",
        {
            "push.session": {"family": "exponential", "mean": "5 min"},
            "push.reconnect": {"family": "exponential", "mean": "2 s"},
            "push.overflow": "wait",
        },
    ),
    "webhook": ("push", {"push.webhook": {"think": WORK}}),
}
WIDTHS = (22, 11, 8, 9, 9, 9, 10)


def designs() -> list[System]:
    """Return a system for each way; `lhsim.decide` takes them as designs."""
    return [
        lhsim.load_system(source, {**settings, "name": name})
        for name, (source, settings) in WAYS.items()
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--agents", type=int, default=200)
    parser.add_argument("--duration", type=float, default=60.0, help="of a run [s]")
    asked = parser.parse_args(arguments)
    print(_row("", "at idle", "", "", f"{RATE:g}/s of each", "", "queries/"))
    print(_row("", "queries/s", "CPU", "mean", "p99", "CPU", "message"))
    for system in designs():
        try:
            idle, busy = (_run(system, rate, asked) for rate in (IDLE, RATE))
        except lhsim.InputError as error:
            print(f"ways_to_deliver: {error}", file=sys.stderr)
            return 2
        more = (_queries(busy) - _queries(idle)) / (RATE * asked.agents)
        print(
            _row(
                system.name,
                f"{_queries(idle):,.0f}",
                f"{idle.metrics.cpu_utilization_percent:.1f} %",
                f"{1e3 * busy.latency.mean:,.0f} ms",
                f"{1e3 * busy.latency.quantile(0.99):,.0f} ms",
                f"{busy.metrics.cpu_utilization_percent:.1f} %",
                f"{more:,.1f}",
            )
        )
    return 0


def _run(system: System, rate: float, asked: argparse.Namespace) -> lhsim.Result:
    """Return a run of one load, whose messages are the same for all ways."""
    loaded = evolve(system, workload=evolve(system.workload, traffic=Poisson(rate)))
    return lhsim.simulate(loaded, agents=asked.agents, duration=asked.duration, seed=1)


def _queries(run: lhsim.Result) -> float:
    return run.metrics.database_queries_total / (run.horizon - run.warmup)


def _row(name: str, *cells: str) -> str:
    padded = [f"{cell:>{width}}" for cell, width in zip(cells, WIDTHS[1:], strict=True)]
    return f"{name:<{WIDTHS[0]}}" + "".join(padded)


if __name__ == "__main__":
    sys.exit(main())
