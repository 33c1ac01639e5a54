"""How often prediction intervals of request/response servers hold what a further run shows.

    python benchmarks/request_boxes.py --boxes 50 --seed 1

Each box is a simulated server of which the truth is known: FIFO, sliced or in equal shares, on 1 to
4 cores, with costs, delays, think times and clocks drawn at random; its runs differ as those of a
core whose clock drifts do. Logs of 1, of a few and of more clients, up to a third of its capacity,
are calibrated, half of them with processor seconds and cores. Held out are runs of 0.5 to 1.3 times
the clients that saturate it. Shown is which part of their figures lies in the 90 % intervals, how
wide those are against the spread of the truth itself, and how near the capacity comes. What was
refused, and capacities that the tool itself says it cannot tell, are counted apart.
"""

from __future__ import annotations

import argparse
import math
import time
from collections import Counter
from collections.abc import Iterator

import numpy as np
from attrs import evolve, frozen
from scores import Scored, predicted, score_table, scored

from lhsim import simulate
from lhsim.calibration.requests import RequestBox, from_requests
from lhsim.calibration.run_sheet import Run
from lhsim.distributions import Deterministic, Exponential, Lognormal
from lhsim.errors import InputError
from lhsim.models import Cpu, Network, Requests, RequestServer, System, Workload
from lhsim.readers.request_log import Labels, RequestLog, request_log

WINDOW = 20.0  # of a run [s]
HELD_OUT = (0.5, 0.8, 1.0, 1.3)  # of the clients that saturate a box
REPEATS = 5  # runs of the truth, for its spread
QUANTA = (None, None, 0.0, 0.001, 0.004, 0.004, 0.01)


@frozen
class Box:
    """A server of which the truth is known."""

    system: System
    drift: float  # standard deviation of the logarithm of its costs from run to run
    clock: float  # resolution of its logs [s]
    known: bool  # whether processor seconds and cores are given

    @property
    def demand(self) -> float:
        """Processor time of a request [s]."""
        return self.system.cpu.query.mean

    @property
    def clients(self) -> float:
        """Clients that saturate it."""
        traffic, network = self.system.workload.traffic, self.system.network
        cycle = traffic.wait + self.demand + network.up.mean + network.down.mean
        return self.system.cpu.cores * cycle / self.demand


def box(seed: int) -> Box:
    """Return a box that is drawn at random."""
    draw = np.random.default_rng(seed)
    demand = float(np.exp(draw.uniform(math.log(2e-3), math.log(2e-2))))
    cv = float(draw.choice([0.0, 0.1, 0.3, 0.7, 1.0]))
    sigma = math.sqrt(math.log1p(cv**2))
    query = Lognormal(demand * math.exp(-(sigma**2) / 2), sigma) if cv else Deterministic(demand)
    think = float(draw.choice([0.5, 1.0, 2.0]))
    delay = Deterministic(float(draw.choice([0.0, 0.0, 1e-3, 1e-2, 5e-2])) / 2)
    system = System(
        name="truth",
        workload=Workload(
            traffic=Requests(think=Exponential(think) if draw.random() < 0.5 else
                             Deterministic(think)),
            start=str(draw.choice(["random", "together"])), start_over=think,
        ),
        network=Network(up=delay, down=delay),
        cpu=Cpu(cores=int(draw.choice([1, 1, 1, 2, 4])), quantum=draw.choice(QUANTA), query=query),
        requests=RequestServer(),
    )  # fmt: skip
    drift = float(draw.choice([0.0, 0.02, 0.05, 0.1]))
    clock = float(draw.choice([1e-6, 1e-6, 1e-3]))
    return Box(system, drift, clock, known=bool(draw.random() < 0.5))


def log_of(one: Box, clients: int, seed: int) -> tuple[RequestLog, float, float]:
    """Return the log of a run of the truth, its processor seconds, and how slow it was."""
    draw = np.random.default_rng([seed, clients])
    factor = math.exp(one.drift * float(draw.standard_normal()))
    system = evolve(one.system, cpu=one.system.cpu.slower(factor))
    result = simulate(system, agents=clients, duration=WINDOW * 1.2, warmup=0.0, drain=0.0,
                      seed=seed, keep_messages=True)  # fmt: skip
    messages = result.messages
    assert messages is not None
    messages = messages[np.isfinite(messages["delivered"])]
    used = result.metrics.cpu_utilization_percent / 100 * system.cpu.processors * result.horizon
    start, end = (np.floor(messages[key].to_numpy() / one.clock) * one.clock
                  for key in ("created", "delivered"))  # fmt: skip
    log = request_log(client=Labels.of([str(name) for name in messages["sender"]]), start=start,
                      end=end, source=f"{clients}-{seed}.csv", format="requests",
                      resolution=one.clock)  # fmt: skip
    return log, used, factor


def calibrated(one: Box, seed: int) -> RequestBox:
    """Return what three logs of a box come to."""
    runs = []
    for load in (0.0, 0.08, 0.33):
        clients = max(round(load * one.clients), 1 if not load else 3)
        log, used, _ = log_of(one, clients, seed)
        runs.append(Run(log, used, cores=one.system.cpu.cores) if one.known else Run(log))
    return from_requests(runs)


def truth(one: Box, clients: int, seed: int) -> dict[str, float]:
    """Return the figures of a further run of the truth."""
    draw = np.random.default_rng([seed, clients, 7])
    system = evolve(one.system, cpu=one.system.cpu.slower(
        math.exp(one.drift * float(draw.standard_normal()))))  # fmt: skip
    row = simulate(system, agents=clients, duration=WINDOW * 1.2 + 2, warmup=WINDOW / 5,
                   drain=2.0, seed=seed + 100_000).row()  # fmt: skip
    return {name: float(row[name]) for name in
            ("messages_per_second", "utilization", "p50_latency_ms", "p95_latency_ms",
             "p99_latency_ms")}  # fmt: skip


def scored_levels(one: Box, found: RequestBox, seed: int) -> Iterator[Scored]:
    """Yield the figures of the runs that are held out."""
    for load in HELD_OUT:
        clients = max(round(load * one.clients), 2)
        live = [truth(one, clients, seed + 1000 * k) for k in range(REPEATS)]
        yield from scored("closed", load, predicted(found.system, clients, seed), live)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--boxes", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--verbose", action="store_true")
    asked = parser.parse_args()
    began = time.monotonic()
    rows: list[Scored] = []
    untold: list[Scored] = []
    by_box: list[tuple[Box, RequestBox, list[Scored]]] = []
    refused: Counter[str] = Counter()
    for seed in range(asked.seed, asked.seed + asked.boxes):
        one = box(seed)
        try:
            found = calibrated(one, seed)
        except InputError as error:
            refused[error.problem[:60]] += 1
            if asked.verbose:
                print(seed, "refused", error, flush=True)
            continue
        some = list(scored_levels(one, found, seed))
        by_box.append((one, found, some))
        (rows if found.told else untold).extend(some)
        if asked.verbose:
            cpu = one.system.cpu
            missed = [f"{s.figure}@{s.load}:{s.miss:+.2f}" for s in some if not s.inside]
            ratio = found.capacity[0] / (cpu.cores / one.demand)
            print(seed, f"c={cpu.cores} q={cpu.quantum} {cpu.query.name} S={one.demand:.4f}",
                  f"think={one.system.workload.traffic.think}", f"drift={one.drift}",
                  f"clock={one.clock} known={one.known} d={one.system.network.up.mean * 2}",
                  f"-> c={found.found.cores} q={found.found.quantum} told={found.told}",
                  f"capacity x{ratio:.3f} moves={found.demand.moves:.3f}",
                  f"error={found.demand.error:.3f}", missed, flush=True)  # fmt: skip
    print(score_table(rows))
    inside = np.mean([row.inside for row in untold]) if untold else math.nan
    print(f"\ncapacity not told: {len(untold)} values apart, {inside:.1%} inside")
    told = [(one, found) for one, found, _ in by_box if found.told]
    errors = [abs(found.capacity[0] * one.demand / one.system.cpu.cores - 1) for one, found in told]
    held = sum(found.capacity[1] <= one.system.cpu.cores / one.demand <= found.capacity[2]
               for one, found in told)  # fmt: skip
    print(f"\n{asked.boxes} boxes in {time.monotonic() - began:.0f} s; refused: {dict(refused)}")
    print(f"capacity told for {len(told)}: median error {np.median(errors) if errors else 0:.1%}, "
          f"within 10 % {sum(e <= 0.1 for e in errors)}, in its interval {held}")  # fmt: skip


if __name__ == "__main__":
    main()
