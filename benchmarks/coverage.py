"""How often the 95 % intervals of lhsim hold the truth, on queues whose truth is known.

::

    python benchmarks/coverage.py            # 600 experiments on each queue, load and length
    python benchmarks/coverage.py --quick    # 100, of fewer loads and lengths

Each queue is a push system in which nothing costs but one station: M/M/1, M/D/1, M/M/2, and M/H2/1,
whose service time has a squared coefficient of variation of 10. A run lasts for so many mean
service times, of which the first tenth is its warm-up: 1,000 are 100 s at 0.1 s, or 10 s at 10 ms.
An experiment is one run, cut into batches, and five replications as long as it; both give intervals
for the mean, the p50, the p95 and the p99 of the latency. Counted are those that hold the truth, of
all and of those that carry no flag. Short runs at a high load are there on purpose: the flags have
to speak. `naive`, a negative control, takes the messages of a run for independent, and has to fail.

At one load and length stand `sequential`, which replicates until the p99 is known to 5 %, and at a
hard one the intervals that were not chosen. docs/explanation/statistics.md has the figures.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from typing import Any

from attrs import field, frozen
from scipy.special import bdtr, bdtrc, ndtri, stdtrit

import lhsim
from lhsim.analysis.intervals import Estimate, estimate
from lhsim.analysis.stopping import REACHED, Precision, judge
from lhsim.distributions import Deterministic, Distribution, Exponential, Mixture
from lhsim.metrics import Latency, histogram
from lhsim.metrics.latency import mean_of_runs, quantile_of_runs
from lhsim.models import EventStore, Poisson, PushServer, System, Workload
from lhsim.streams import replication_seed
from lhsim.theory import MD1, MHyper1, MMc

SERVICE = 0.01  # mean service time [s]
AGENTS = 20  # their Poisson streams are one Poisson stream
REPLICATIONS = 5
TARGET = 0.05  # of the sequential experiments
LOW, HIGH = 0.92, 0.98  # coverage that counts as right
FEW = 20  # intervals without a flag, of which a share says nothing
DOUBT = 0.01  # probability that a right interval is taken for a wrong one, on either side
SEED = 1
SCV = 10.0  # of the hyperexponential service time
LEVELS = {"p50": 0.50, "p95": 0.95, "p99": 0.99}
LOADS = (0.3, 0.5, 0.7, 0.8, 0.9, 0.95)
LENGTHS = (1_000, 4_000, 20_000, 40_000, 200_000)  # of a run [mean service times]
QUICK = {"experiments": 100, "loads": (0.5, 0.8), "lengths": (4_000, 40_000)}
EXPERIMENTS = 600
SEQUENTIAL = ("M/M/1", 0.5, 40_000)
RIVALS = ("M/M/1", 0.8, 40_000)

Truth = dict[str, float]


@frozen
class Queue:
    """A queue with a known answer, as a system of lhsim."""

    name: str
    load: float
    rate: float  # of all agents [1/s]
    store: EventStore
    truth: Truth  # of the response time [s]

    @property
    def system(self) -> System:
        return System(
            name="queue",
            push=PushServer(),
            store=self.store,
            workload=Workload(traffic=Poisson(self.rate / AGENTS), start="together"),
        )

    def run(self, seed: int, length: float) -> Latency:
        """Return the latencies of a run of so many mean service times.

        The drain comes on top, long enough for nearly all messages to arrive.
        """
        drain, lasting = 3 * self.truth["p99"], length * SERVICE
        result = lhsim.simulate(
            self.system,
            agents=AGENTS,
            seed=seed,
            warmup=lasting / 10,
            drain=drain,
            duration=lasting + drain,
            engine="compiled",
        )
        return result.latency

    def is_atom(self, name: str) -> bool:
        """Whether many messages have this latency exactly, which is then known exactly."""
        return self.name == "M/D/1" and self.truth[name] == SERVICE


def exponential(load: float, servers: int = 1) -> Queue:
    queue = MMc(servers * load / SERVICE, SERVICE, servers)
    truth = _truth(queue.mean_response_time, queue.response_time_quantile)
    return Queue(f"M/M/{servers}", load, queue.arrival_rate, _store(Exponential(SERVICE), servers),
                 truth)  # fmt: skip


def constant(load: float) -> Queue:
    queue = MD1(load / SERVICE, SERVICE)
    truth = _truth(
        queue.mean_response_time, lambda level: queue.waiting_time_quantile(level) + SERVICE
    )
    return Queue("M/D/1", load, queue.arrival_rate, _store(Deterministic(SERVICE)), truth)


def hyperexponential(load: float) -> Queue:
    """Return a queue with a service time of two exponential phases with balanced means."""
    often = (1 + math.sqrt((SCV - 1) / (SCV + 1))) / 2
    weights = (often, 1 - often)
    means = (SERVICE / (2 * weights[0]), SERVICE / (2 * weights[1]))
    queue = MHyper1(load / SERVICE, weights, means)
    cost = Mixture(weights, tuple(Exponential(mean) for mean in means))
    truth = _truth(queue.mean_response_time, queue.response_time_quantile)
    return Queue("M/H2/1", load, queue.arrival_rate, _store(cost), truth)


QUEUES: dict[str, Callable[[float], Queue]] = {
    "M/M/1": exponential,
    "M/D/1": constant,
    "M/M/2": lambda load: exponential(load, 2),
    "M/H2/1": hyperexponential,
}


def _store(cost: Distribution, servers: int = 1) -> EventStore:
    return EventStore(write=cost, connections=servers)


def _truth(mean: float, quantile: Callable[[float], float]) -> Truth:
    return {"mean": mean} | {name: quantile(level) for name, level in LEVELS.items()}


# The intervals


def of_replications(runs: list[Latency]) -> dict[str, Estimate]:
    quantiles = {name: quantile_of_runs(runs, level) for name, level in LEVELS.items()}
    return {"mean": mean_of_runs(runs)} | quantiles


def of_batches(run: Latency) -> dict[str, Estimate]:
    quantiles = {name: run.estimate(level) for name, level in LEVELS.items()}
    return {"mean": run.mean_estimate()} | quantiles


def naive(run: Latency) -> dict[str, Estimate]:
    """Return intervals as if the messages of a run did not depend on each other."""
    z, n, counts = float(ndtri(0.975)), run.count, run.counts.sum(axis=0)
    used = counts.nonzero()[0]
    middle = sum(histogram.edges(used)) / 2
    variance = float(counts[used] @ (middle - run.mean) ** 2) / (n - 1)
    half = z * math.sqrt(variance / n)
    found = {"mean": Estimate(run.mean, run.mean - half, run.mean + half, n)}
    for name, level in LEVELS.items():
        share = z * math.sqrt(level * (1 - level) / n)
        low, value, high = (run.quantile(min(level + one, 1.0)) for one in (-share, 0, share))
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


def sequential(queue: Queue, seed: int, length: int, runs: list[Latency]) -> Estimate | None:
    """Return the p99 when it is known to `TARGET`; None where the budget ends before."""
    precision = Precision({"p99": TARGET})
    numbers = range(len(runs), precision.first(len(runs)))
    some = [*runs, *(queue.run(replication_seed(seed, one), length) for one in numbers)]
    while True:
        found = quantile_of_runs(some, 0.99)
        verdict = judge({"p99": found}, len(some), precision, affordable=precision.most)
        if verdict.reason:
            return found if verdict.reason == REACHED else None
        numbers = range(len(some), verdict.replications)
        some += [queue.run(replication_seed(seed, number), length) for number in numbers]


# Counting


@frozen
class Count:
    """How often the intervals of one kind held the truth."""

    held: list[bool] = field(factory=list)
    held_reliable: list[bool] = field(factory=list)
    widths: list[float] = field(factory=list)  # relative half-widths of those without a flag

    def add(self, found: Estimate, truth: float) -> None:
        held = bool(found.low <= truth <= found.high)
        self.held.append(held)
        if found.reliable:
            self.held_reliable.append(held)
            self.widths.append(found.relative_half_width)

    def summary(self) -> dict[str, Any]:
        n, reliable = len(self.held), len(self.held_reliable)
        share = sum(self.held_reliable) / reliable if reliable >= FEW else None
        error = None if share is None else math.sqrt(share * (1 - share) / reliable)
        return {
            "all": sum(self.held) / n if n else None,
            "of_reliable": share,
            "of_reliable_error": error,  # standard error of the binomial
            "reliable": reliable / n if n else None,
            "half_width": median(self.widths) if self.widths else None,
            "experiments": n,
            "verdict": verdict(sum(self.held_reliable), reliable),
        }


def verdict(held: int, n: int) -> str:
    """Return whether so many of n intervals hold the truth as often as they say.

    "low" and "high" where a coverage of `LOW`, or of `HIGH`, would give so few, or so many, with a
    probability below `DOUBT`; "few" where there are fewer than `FEW`.
    """
    if n < FEW:
        return "few"
    if bdtr(held, n, LOW) < DOUBT:
        return "low"
    return "high" if held == 0 or bdtrc(held - 1, n, HIGH) < DOUBT else "right"


def experiment(queue: Queue, length: int, seed: int) -> dict[str, dict[str, Estimate]]:
    """Return all intervals of one experiment, by their kind."""
    runs = [queue.run(replication_seed(seed, one), length) for one in range(REPLICATIONS)]
    one, cell = runs[0], (queue.name, queue.load, length)
    found = {"batches": of_batches(one), "replications": of_replications(runs), "naive": naive(one)}
    if cell == SEQUENTIAL:
        last = sequential(queue, seed, length, runs)
        found |= {"sequential": {"p99": last} if last is not None else {}}
    return found | (rivals(one) if cell == RIVALS else {})


def count(queue: Queue, length: int, experiments: int, jobs: int) -> list[dict[str, Any]]:
    """Return a row per kind and measure: how often the intervals of a queue hold its truth."""
    counts: dict[tuple[str, str], Count] = {}
    for found in _experiments(queue, length, experiments, jobs):
        for kind, estimates in found.items():
            for name, one in estimates.items():
                counts.setdefault((kind, name), Count()).add(one, queue.truth[name])
    return [
        {"queue": queue.name, "load": queue.load, "length": length, "from": kind, "of": name}
        | {"atom": queue.is_atom(name)} | one.summary()
        for (kind, name), one in counts.items()
    ]  # fmt: skip


def _experiments(
    queue: Queue, length: int, number: int, jobs: int
) -> Iterator[dict[str, dict[str, Estimate]]]:
    """Yield the experiments, in order; the compiled engine runs without the interpreter lock."""
    with ThreadPoolExecutor(jobs) as pool:
        seeds = [replication_seed(SEED, one) for one in range(number)]
        yield from pool.map(lambda seed: experiment(queue, length, seed), seeds)


def measure(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Return the rows of all queues, loads and lengths."""
    begin, rows = time.monotonic(), []
    cells = [
        (QUEUES[name](load), length)
        for length in arguments.lengths
        for name in arguments.queues
        for load in arguments.loads
    ]
    for number, (queue, length) in enumerate(cells, 1):
        rows += count(queue, length, arguments.experiments, arguments.jobs)
        print(f"{number}/{len(cells)}, {time.monotonic() - begin:.0f} s", file=sys.stderr)
    return rows


def right(rows: Iterable[dict[str, Any]]) -> bool:
    """Return whether the intervals without a flag cover what they should, and the naive do not."""
    of_lhsim = [row for row in rows if row["from"] in ("batches", "replications", "sequential")]
    control = [row for row in rows if row["from"] == "naive" and row["of"] == "mean"]
    good = all(row["atom"] or row["verdict"] in ("right", "few") for row in of_lhsim)
    return good and all(row["verdict"] == "low" for row in control)


def readable(rows: Iterable[dict[str, Any]]) -> str:
    lines = ["queue   load   length  from          of    all    of reliable  reliable  half-width"]
    for row in rows:
        share, error = _percent(row["of_reliable"]), _percent(row["of_reliable_error"])
        mark = row["verdict"] if row["verdict"] in ("low", "high") and not row["atom"] else ""
        lines.append(
            f"{row['queue']:6s}  {row['load']:4g}  {row['length']:7d}  {row['from']:12s}  "
            f"{row['of']:4s}  {_percent(row['all']):>5s}  {share:>5s} +- {error:>3s}  "
            f"{_percent(row['reliable']):>8s}  {_percent(row['half_width']):>10s}  {mark}".rstrip()
        )
    return "\n".join(lines)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help=f"what it says above: {QUICK}")
    parser.add_argument("--experiments", type=int, help="on each queue, load and length")
    parser.add_argument("--queues", nargs="+", choices=list(QUEUES), default=list(QUEUES))
    parser.add_argument("--loads", nargs="+", type=float)
    parser.add_argument("--lengths", nargs="+", type=int, help="of a run [mean service times]")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--jobs", type=int, default=2, help="threads; they change no figure")
    arguments = parser.parse_args()
    full = {"experiments": EXPERIMENTS, "loads": LOADS, "lengths": LENGTHS}
    for name, value in (QUICK if arguments.quick else full).items():
        if getattr(arguments, name) is None:
            setattr(arguments, name, value)
    rows = measure(arguments)
    report = {"experiments": arguments.experiments, "right": right(rows), "coverage": rows}
    print(json.dumps(report) if arguments.json else readable(rows))


if __name__ == "__main__":
    main()
