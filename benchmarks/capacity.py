"""How often the interval of a capacity search covers the truth, and how far its value is off.

``python benchmarks/capacity.py [SEARCHES]`` searches, each time under another seed, for the most
agents of an M/M/1 queue whose p99 is below 20 ms: mu - ln(100) / 20 ms of them at 1 message/s each.
"""

from __future__ import annotations

import math
import sys

from lhsim.distributions import Exponential
from lhsim.models import Cpu, Poisson, PushServer, System, Workload
from lhsim.planning import capacity

SERVICE_RATE, LIMIT = 1000.0, 0.02  # [1/s], [s]


def main() -> None:
    system = System(
        name="mm1",
        workload=Workload(traffic=Poisson(1.0), start="together"),
        cpu=Cpu(send=Exponential(1 / SERVICE_RATE)),
        push=PushServer(),
    )
    truth = SERVICE_RATE - math.log(100) / LIMIT
    searches = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    covered, errors, widths = 0, [], []
    for seed in range(1, searches + 1):
        found = capacity(system, [f"p99<{LIMIT * 1e3:g}ms"], seed=seed)
        low, high = found.interval
        covered += low <= truth <= high
        errors.append(abs(found.value / truth - 1))
        widths.append((high - low) / truth)
    print(f"searches     {searches}")
    print(f"covered      {covered}")
    print(f"mean error   {sum(errors) / searches:.2%}")
    print(f"largest      {max(errors):.2%}")
    print(f"mean width   {sum(widths) / searches:.2%}")


if __name__ == "__main__":
    main()
