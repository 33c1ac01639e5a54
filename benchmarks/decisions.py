"""Whether "probability of keeping the objectives" is calibrated, over worlds of known truth.

``python benchmarks/decisions.py [WORLDS [SEED]]`` draws so many worlds (200 by default). Each is an
M/M/1 queue with a service rate of its own, measured with an error: the model has the measured rate
and 40 samples around it, as a bootstrap would give them, and knows how far days differ and by how
much it misses a p99. What is true is drawn from the same distributions, and no run sees it: the
rate, the day, and the factor by which p99 is off. With N agents that send 1 message/s each the true
p99 is ln(100) / (rate - N), times that factor. Each world is asked about five N around the estimate
of what it holds, chosen without looking at the truth.

A line for each range of probabilities says how many questions fell there, what was said of them in
the mean, and how many of them keep the objective in truth.
"""

from __future__ import annotations

import math
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import chain, pairwise

import numpy as np

from lhsim.distributions import Exponential
from lhsim.execution import Runner
from lhsim.models import Cpu, Poisson, PushServer, System, Workload
from lhsim.models.system import Calibration
from lhsim.planning.levels import Question
from lhsim.planning.objectives import parse_objectives
from lhsim.planning.odds import find_odds

LIMIT = 0.02  # of the p99 [s]
SAMPLES = 40
ENDS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)  # of the ranges
OFF = (-1.6, -0.8, 0.0, 0.8, 1.6)  # the agents asked about, in standard deviations of the crossing


def world(number: int, seed: int) -> list[tuple[float, bool]]:
    """Return what is said of each question about a world, and whether it keeps the objective."""
    draw = np.random.Generator(np.random.Philox(key=[seed, number]))
    measured = 1000 * math.exp(draw.uniform(-0.7, 0.7))  # service rate [1/s]
    error, day, miss = (draw.uniform(low, high) for low, high in
                        ((0.02, 0.1), (0.0, 0.05), (0.0, 0.15)))  # fmt: skip
    factors = np.exp(error * draw.standard_normal(SAMPLES))
    system = System(
        name="queue",
        workload=Workload(traffic=Poisson(1.0), start="together"),
        cpu=Cpu(send=Exponential(1 / measured)),
        push=PushServer(),
        calibration=Calibration(
            samples={"cpu.send*": tuple(factors.tolist())},
            moves={"cpu": day},
            misses={"latency_p99": miss},
        ),
    )
    question = Question(system, parse_objectives(f"p99<{LIMIT * 1e3:g}ms"), seed=number)
    odds = find_odds(question, Runner()).odds
    rate = measured * math.exp(error * draw.standard_normal() + day * draw.standard_normal())
    off = math.exp(miss * draw.standard_normal())
    truth = rate - math.log(100) * off / LIMIT
    middle, wide = odds.holding(0.5), math.log(odds.holding(0.16) / max(odds.holding(0.84), 1)) / 2
    asked = [middle * math.exp(one * wide) for one in OFF]
    return [(odds.keeping(agents), agents <= truth) for agents in asked]


def main() -> None:
    worlds = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    world(0, seed)  # compiles, where that has not been done
    begun = time.perf_counter()
    with ProcessPoolExecutor() as executor:
        answers = list(executor.map(world, range(1, worlds + 1), [seed] * worlds, chunksize=5))
    said, kept = (np.array(column, float) for column in zip(*chain(*answers), strict=True))
    print(f"{worlds} worlds, {len(said)} questions, {time.perf_counter() - begun:.0f} s")
    print("probability  questions  said  kept")
    for low, high in pairwise(ENDS):
        some = (said >= low) & ((said < high) | (high == 1))
        if some.any():
            print(f"{low:4.0%} to {high:4.0%} {some.sum():9d}  {said[some].mean():4.0%}  "
                  f"{kept[some].mean():4.0%}")  # fmt: skip
    print(f"Brier score {np.mean((said - kept) ** 2):.3f}, "
          f"{np.mean(said * (1 - said)):.3f} expected")  # fmt: skip


if __name__ == "__main__":
    main()
