"""How often the interval of a capacity search covers the truth, and how far its value is off.

``python benchmarks/capacity.py [SEARCHES [QUESTION ...]]`` asks each of these questions so many
times (40 by default), each time under another seed, and prints a line for each. In all of them an
agent sends 1 message/s to a queue whose mean service time is 1 ms.

- `p99`: the most agents with a p99 below 20 ms, M/M/1: mu - ln(100) / 20 ms.
- `mean`: the most with a mean below 5 ms, M/D/1 (`lhsim.theory.MD1`).
- `factor`: by which the service may be slower for 500 agents and a p99 below 20 ms, M/M/1.
"""

from __future__ import annotations

import math
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any

from attrs import field, frozen

from lhsim.distributions import Deterministic, Distribution, Exponential
from lhsim.models import Cpu, Poisson, PushServer, System, Workload
from lhsim.planning import capacity

SERVICE_RATE = 1000.0  # [1/s]
P99_LIMIT, MEAN_LIMIT = 0.02, 0.005  # [s]
ROOM = math.log(100) / P99_LIMIT  # what has to be left of the service rate for the p99 [1/s]
AGENTS = 500
P99, MEAN = f"p99<{P99_LIMIT * 1e3:g}ms", f"mean<{MEAN_LIMIT * 1e3:g}ms"


@frozen
class Known:
    """A question with a known answer."""

    truth: float
    slo: tuple[str, ...]
    service: Distribution = field(factory=lambda: Exponential(1 / SERVICE_RATE))
    more: dict[str, Any] = field(factory=dict)

    @property
    def system(self) -> System:
        return System(
            name="queue",
            workload=Workload(traffic=Poisson(1.0), start="together"),
            cpu=Cpu(send=self.service),
            push=PushServer(),
        )


def md1_capacity() -> float:
    """Return the load at which S + rho S / (2 (1 - rho)), the mean, is at its limit [1/s]."""
    waiting = 2 * (MEAN_LIMIT * SERVICE_RATE - 1)
    return SERVICE_RATE * waiting / (1 + waiting)


QUESTIONS = {
    "p99": Known(SERVICE_RATE - ROOM, (P99,)),
    "mean": Known(md1_capacity(), (MEAN,), Deterministic(1 / SERVICE_RATE)),
    "factor": Known(
        SERVICE_RATE / (AGENTS + ROOM), (P99,), more={"vary": "cpu.send*", "agents": AGENTS}
    ),
}


@frozen
class Found:
    """What a search found."""

    covers: bool
    error: float  # of the value, as a part of the truth
    width: float  # of the interval, likewise
    runs: int


def search(name: str, seed: int) -> Found:
    known = QUESTIONS[name]
    found = capacity(known.system, known.slo, seed=seed, **known.more)
    (low, high), value = found.interval, found.value
    if value is None or low is None or high is None:
        raise RuntimeError(f"{name}, seed {seed}: no answer, {found.interval}")
    runs = sum(one.replications for one in found.evaluations)
    truth = known.truth
    return Found(low <= truth <= high, value / truth - 1, (high - low) / truth, runs)


def main() -> None:
    searches = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    asked = sys.argv[2:] or list(QUESTIONS)
    search("p99", 0)  # compiles, where that has not been done
    print("question  truth  covered  mean error  largest  mean width  runs  seconds", flush=True)
    with ProcessPoolExecutor() as executor:
        for name in asked:
            known = QUESTIONS[name]
            begun = time.perf_counter()
            all_found = list(executor.map(partial(search, name), range(1, searches + 1)))
            errors = [abs(found.error) for found in all_found]
            print(
                f"{name:<8}  {known.truth:5.4g}"
                f"  {sum(found.covers for found in all_found):3d}/{searches}"
                f"  {sum(errors) / searches:10.2%}  {max(errors):7.2%}"
                f"  {sum(found.width for found in all_found) / searches:10.2%}"
                f"  {sum(found.runs for found in all_found) / searches:4.0f}"
                f"  {time.perf_counter() - begun:7.0f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
