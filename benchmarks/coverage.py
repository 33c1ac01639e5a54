"""How often the 95 % intervals of lhsim hold the truth, on queues whose truth is known.

::

    python benchmarks/coverage.py            # 1,000 experiments on each queue
    python benchmarks/coverage.py --quick    # 200

Each queue is a push system in which nothing costs but one station. An experiment is five
replications, and one longer run that is cut into batches; both give intervals for the mean, the p50
and the p99 of the latency. Counted are those that hold the truth, of all and of those that carry no
flag. `sequential` replicates until the p99 is known to 5 %. `naive`, a negative control, takes the
messages of the long run for independent, and has to fail. The last queue is too busy for so few
messages, on purpose: there the flags have to speak, and beside the intervals of lhsim stand two
that were not chosen. docs/statistics.md has the figures.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from attrs import field, frozen
from scipy.special import ndtri, stdtrit

import lhsim
from lhsim.analysis.intervals import Estimate, estimate
from lhsim.analysis.stopping import REACHED, Precision, judge
from lhsim.distributions import Deterministic, Distribution, Exponential, Mixture
from lhsim.metrics import Latency, histogram
from lhsim.metrics.latency import quantile_of_runs
from lhsim.models import EventStore, Poisson, PushServer, System, Workload
from lhsim.streams import replication_seed
from lhsim.theory import MD1, MHyper1, MMc

SERVICE = 0.01  # mean service time [s]
AGENTS = 20  # their Poisson streams are one Poisson stream
REPLICATIONS, MESSAGES = 5, 10_000
LONG = 40_000  # messages of a single run
TARGET = 0.05  # of the sequential experiments
LOW, HIGH = 0.92, 0.98  # coverage that counts as right
SEED = 1
EXPERIMENTS = {"quick": 200, "full": 1_000}
WEIGHTS, MEANS = (0.2, 0.8), (0.03, 0.005)  # of a hyperexponential service time [s]

Truth = dict[str, float]


@frozen
class Queue:
    """A queue with a known answer, as a system of lhsim."""

    name: str
    rate: float  # of all agents [1/s]
    cost: Distribution
    truth: Truth  # of the response time [s]
    hard: bool = False  # too busy for so few messages: what do the flags say?

    @property
    def system(self) -> System:
        return System(
            name="queue",
            push=PushServer(),
            store=EventStore(write=self.cost, single_writer=True),
            workload=Workload(traffic=Poisson(self.rate / AGENTS), start="together"),
        )

    def run(self, seed: int, messages: int) -> Latency:
        """Return the latencies of a run from which on the queue is long in its steady state."""
        measured, drain = messages / self.rate, 100 * SERVICE
        warmup = 300 / self.rate + measured / 10
        result = lhsim.simulate(
            self.system,
            agents=AGENTS,
            seed=seed,
            warmup=warmup,
            drain=drain,
            duration=warmup + measured + drain,
            engine="compiled",
        )
        return result.latency


def _exponential(load: float, *, hard: bool = False) -> Queue:
    queue = MMc(load / SERVICE, SERVICE)
    truth = _truth(queue.mean_response_time, queue.response_time_quantile)
    return Queue(f"M/M/1, {load:g}", queue.arrival_rate, Exponential(SERVICE), truth, hard)


def _constant(load: float) -> Queue:
    queue = MD1(load / SERVICE, SERVICE)
    truth = _truth(
        queue.mean_response_time, lambda level: queue.waiting_time_quantile(level) + SERVICE
    )
    return Queue(f"M/D/1, {load:g}", queue.arrival_rate, Deterministic(SERVICE), truth)


def _hyperexponential(load: float) -> Queue:
    queue = MHyper1(load / SERVICE, WEIGHTS, MEANS)
    cost = Mixture(WEIGHTS, tuple(Exponential(mean) for mean in MEANS))
    truth = _truth(queue.mean_response_time, queue.response_time_quantile)
    return Queue(f"M/H2/1, {load:g}", queue.arrival_rate, cost, truth)


def _truth(mean: float, quantile: Callable[[float], float]) -> Truth:
    return {"mean": mean, "p50": quantile(0.5), "p99": quantile(0.99)}


def queues() -> list[Queue]:
    return [_exponential(0.5), _constant(0.6), _hyperexponential(0.4), _exponential(0.8, hard=True)]


# The intervals


def of_replications(runs: list[Latency]) -> dict[str, Estimate]:
    return {
        "mean": estimate(run.mean for run in runs),
        "p50": quantile_of_runs(runs, 0.5),
        "p99": quantile_of_runs(runs, 0.99),
    }


def of_batches(run: Latency) -> dict[str, Estimate]:
    return {"mean": run.mean_estimate(), "p50": run.estimate(0.5), "p99": run.estimate(0.99)}


def naive(run: Latency) -> dict[str, Estimate]:
    """Return intervals as if the messages of a run did not depend on each other."""
    z, n, counts = float(ndtri(0.975)), run.count, run.counts.sum(axis=0)
    used = counts.nonzero()[0]
    middle = sum(histogram.edges(used)) / 2
    variance = float(counts[used] @ (middle - run.mean) ** 2) / (n - 1)
    half = z * math.sqrt(variance / n)
    found = {"mean": Estimate(run.mean, run.mean - half, run.mean + half, n)}
    for name, level in (("p50", 0.5), ("p99", 0.99)):
        share = z * math.sqrt(level * (1 - level) / n)
        low, value, high = (run.quantile(one) for one in (level - share, level, level + share))
        found[name] = Estimate(value, low, high, n)
    return found


def rivals(run: Latency) -> dict[str, dict[str, Estimate]]:
    """Return what was not chosen for the p99 of a run: from the p99 of each of its 20 batches.

    Their mean with Student's interval, and that interval about the p99 of the whole run
    (sectioning; Asmussen and Glynn 2007, Stochastic Simulation, chapter III).
    """
    each = [histogram.quantile(row, 0.99) for row in run.counts]
    value, n = run.quantile(0.99), len(each)
    averaged = estimate(each)
    error = math.sqrt(sum((one - value) ** 2 for one in each) / (n - 1) / n)
    half = float(stdtrit(n - 1, 0.975)) * error
    sectioned = Estimate(value, value - half, value + half, n)
    return {"averaged": {"p99": averaged}, "sectioned": {"p99": sectioned}}


def sequential(queue: Queue, seed: int, runs: list[Latency]) -> Estimate | None:
    """Return the p99 when it is known to `TARGET`; None where the budget ends before."""
    precision = Precision({"p99": TARGET})
    numbers = range(len(runs), precision.first(len(runs)))
    some = [*runs, *(queue.run(replication_seed(seed, one), MESSAGES) for one in numbers)]
    while True:
        found = quantile_of_runs(some, 0.99)
        verdict = judge({"p99": found}, len(some), precision, affordable=precision.most)
        if verdict.reason:
            return found if verdict.reason == REACHED else None
        numbers = range(len(some), verdict.replications)
        some += [queue.run(replication_seed(seed, number), MESSAGES) for number in numbers]


# Counting


@frozen
class Count:
    """How often the intervals of one kind held the truth."""

    held: list[bool] = field(factory=list)
    flagged: list[bool] = field(factory=list)

    def add(self, found: Estimate, truth: float) -> None:
        self.held.append(found.low <= truth <= found.high)
        self.flagged.append(not found.reliable)

    def summary(self) -> dict[str, float | None]:
        n = len(self.held)
        clear = [held for held, flag in zip(self.held, self.flagged, strict=True) if not flag]
        return {
            "all": sum(self.held) / n if n else None,
            "not_flagged": sum(clear) / len(clear) if clear else None,
            "flagged": sum(self.flagged) / n if n else None,
            "experiments": n,
        }


def experiment(queue: Queue, seed: int) -> dict[str, dict[str, Estimate]]:
    """Return all intervals of one experiment, by their kind."""
    runs = [queue.run(replication_seed(seed, number), MESSAGES) for number in range(REPLICATIONS)]
    long = queue.run(seed, LONG)
    found = {"replications": of_replications(runs), "batches": of_batches(long)}
    if queue.hard:
        found |= rivals(long)
    else:
        last = sequential(queue, seed, runs)
        found |= {"sequential": {"p99": last} if last is not None else {}, "naive": naive(long)}
    return found


def count(queue: Queue, experiments: int, jobs: int) -> dict[str, dict[str, Any]]:
    """Return how often the intervals of a queue hold its truth, by kind and measure."""
    counts: dict[tuple[str, str], Count] = {}
    for found in _experiments(queue, experiments, jobs):
        for kind, estimates in found.items():
            for name, one in estimates.items():
                counts.setdefault((kind, name), Count()).add(one, queue.truth[name])
    table: dict[str, dict[str, Any]] = {}
    for (kind, name), one in counts.items():
        table.setdefault(kind, {})[name] = one.summary()
    return table


def _experiments(queue: Queue, number: int, jobs: int) -> Iterator[dict[str, dict[str, Estimate]]]:
    """Yield the experiments, in order; the compiled engine runs without the interpreter lock."""
    queue.run(0, 100)  # compile
    begin = time.monotonic()
    with ThreadPoolExecutor(jobs) as pool:
        seeds = [replication_seed(SEED, one) for one in range(number)]
        for done, found in enumerate(pool.map(lambda seed: experiment(queue, seed), seeds), 1):
            if done % 100 == 0:
                left = (time.monotonic() - begin) / done * (number - done)
                print(
                    f"{queue.name}: {done}/{number}, {left:.0f} s left", flush=True, file=sys.stderr
                )
            yield found


def right(table: dict[str, dict[str, dict[str, Any]]]) -> bool:
    """Return whether all intervals cover what they should, and the naive ones do not."""
    regular = [kinds for kinds in table.values() if "naive" in kinds]
    good = all(
        LOW <= one["not_flagged"] <= HIGH
        for kinds in regular
        for kind in ("replications", "batches", "sequential")
        for one in kinds[kind].values()
    )
    return good and all(kinds["naive"]["mean"]["all"] < LOW for kinds in regular)


def readable(table: dict[str, dict[str, dict[str, Any]]]) -> str:
    lines = [f"{'queue':12s}  {'from':12s}  {'':4s}  {'all':>6s}  {'clear':>6s}  {'flagged':>7s}"]
    for name, kinds in table.items():
        for kind, measures in kinds.items():
            for measure, one in measures.items():
                shares = [_percent(one[key]) for key in ("all", "not_flagged", "flagged")]
                lines.append(
                    f"{name:12s}  {kind:12s}  {measure:4s}  "
                    f"{shares[0]:>6s}  {shares[1]:>6s}  {shares[2]:>7s}"
                )
    return "\n".join(lines)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="200 experiments")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--jobs", type=int, default=2, help="threads; they change no figure")
    arguments = parser.parse_args()
    experiments = EXPERIMENTS["quick" if arguments.quick else "full"]
    table = {queue.name: count(queue, experiments, arguments.jobs) for queue in queues()}
    report = {"experiments": experiments, "right": right(table), "coverage": table}
    print(json.dumps(report) if arguments.json else readable(table))


if __name__ == "__main__":
    main()
