"""Model events per second: lhsim's SimPy models against the yardstick, side by side in one run.

::

    python benchmarks/engines.py            # 10,000 agents, five rounds
    python benchmarks/engines.py --quick --json

The two run in turn, so that a change of the machine's speed meets both; the medians are compared.
The system is the yardstick's own, in which both have to do the same: create messages, query one
database connection, deliver what was found, and sleep.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable

import yardstick

import lhsim
from lhsim.distributions import Exponential
from lhsim.models import EventStore, Poisson, PollingServer, System, Workload

YARDSTICKS_SYSTEM = System(
    name="yardstick",
    workload=Workload(traffic=Poisson(yardstick.RATE), start_over=yardstick.SLEEP),
    store=EventStore(query=Exponential(yardstick.QUERY), connections=1),
    polling=PollingServer(interval=yardstick.SLEEP, timeout=60.0, limit=yardstick.LIMIT),
)


def rate(run: Callable[[], int]) -> float:
    """Return the model events per second of a run that returns how many it made."""
    begin = time.perf_counter()
    events = run()
    return events / (time.perf_counter() - begin)


def plain(agents: int, duration: float) -> int:
    return yardstick.run(agents, duration).model_events


def ours(agents: int, duration: float) -> int:
    result = lhsim.simulate(YARDSTICKS_SYSTEM, agents=agents, duration=duration, engine="simpy")
    return result.model_events


def measure(agents: int, duration: float, rounds: int) -> dict[str, float]:
    ours(10, 2.0)  # compile, and read the cache
    rates = [
        (rate(lambda: plain(agents, duration)), rate(lambda: ours(agents, duration)))
        for _ in range(rounds)
    ]
    return {
        "agents": agents,
        "rounds": rounds,
        "yardstick_events_per_second": statistics.median(a for a, _ in rates),
        "simpy_events_per_second": statistics.median(b for _, b in rates),
        "simpy_speedup_vs_yardstick": statistics.median(b / a for a, b in rates),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    duration, rounds = (5.0, 3) if arguments.quick else (20.0, 5)
    figures = measure(10_000, duration, rounds)
    if arguments.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name:32s} {value:>12,.2f}" if value < 100 else f"{name:32s} {value:>12,.0f}")


if __name__ == "__main__":
    main()
