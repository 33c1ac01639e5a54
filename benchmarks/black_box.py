"""How often what logs alone say of a server holds, on servers of known truth: simulated ones.

    python benchmarks/black_box.py --boxes 60 --seed 301

A third of the servers push, a third are polled, a third answer clients that wait. They have 1 to 8
workers, each with a line of its own, or cores that share one line, first come, first served or in
slices; one in four is warmed by its work, as the default systems are. Their network takes up to
100 ms each way, the clocks of sender and receiver may be apart, and that of the log may tick in
milliseconds. Three logs go in; in one half of the servers that push or are polled, one of the logs
is beyond the capacity. Held out are runs of 0.3, 0.6 and 0.9 of the capacity (of clients: as
`request_boxes.py` has them), of which 90 % prediction intervals should hold 90 %; beside them, how
often the interval of the capacity holds it. Counted apart are what was refused, by its reason, and
what is said of servers whose capacity the logs do not tell.

The capacity is the load that takes all of the processors: of a server that pushes their number over
what a message costs, of one that is polled the agents whose polls and messages take 95 % of them.
"""

from __future__ import annotations

import argparse
import math
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import request_boxes
from attrs import evolve, frozen
from scores import Scored, predicted, score_table, scored

import lhsim
from lhsim.calibration import BlackBox, Log, from_logs
from lhsim.calibration.logs import clocks_apart, of_recording
from lhsim.calibration.polling_logs import most_agents
from lhsim.distributions import Deterministic, Distribution, Exponential, Lognormal
from lhsim.errors import InputError
from lhsim.models import Cpu, Network, Poisson, PollingServer, PushServer, System, Workload
from lhsim.recording import Manifest, Recording
from lhsim.replay import replay
from lhsim.report.text import Column, table

KINDS = ("push", "polled", "closed")
AGENTS = 200  # of a server that pushes
OPERATIONS = {"push": ("parse_message", "validate", "write", "send", "acknowledge"),
              "polled": ("parse_message", "write", "acknowledge")}  # fmt: skip
REQUESTS = ("parse_request", "query", "respond")
QUANTA = (None, None, 0.0, 1e-3, 4e-3, 4e-3, 1e-2)  # of cores [s]
HELD_OUT = (0.3, 0.6, 0.9)  # of the capacity
REPEATS = 4  # runs of the truth, for its spread
WINDOW, FEWEST = 8.0, 400  # of a run: seconds and messages, at least
FARTHEST = 0.1  # network, each way [s]
APART = 0.2  # clocks, at most [s]


@frozen
class Box:
    """A server of which the truth is known, and what its logs are like."""

    kind: str
    system: System
    capacity: float  # messages per second, or agents
    rate: float  # of an agent of a server that is polled [1/s]
    loads: tuple[float, ...]  # of its logs, as parts of the capacity
    window: float  # of its runs [s]
    clock: float  # resolution of its logs [s]
    offset: float  # by which the clock of the receivers is ahead of the senders' [s]


def box(kind: str, seed: int) -> Box:
    """Return a box that is drawn at random."""
    draw = np.random.default_rng([seed, KINDS.index(kind)])
    capacity = float(np.exp(draw.uniform(math.log(60), math.log(600))))
    rate = float(draw.choice([0.5, 1.0]))
    cpu, server = _server(kind, draw)
    ways = [Deterministic(float(draw.uniform(0, FARTHEST)) if draw.random() < 0.7 else 1e-4)
            for _ in range(2)]  # fmt: skip
    system = System(name="truth", cpu=cpu, network=Network(*ways), **server)
    system = evolve(system, cpu=cpu.slower(cpu.processors / capacity / _demand(system, rate)))
    highest = draw.uniform(1.1, 1.6) if draw.random() < 0.5 else draw.uniform(0.7, 0.9)
    loads = (draw.uniform(0.05, 0.15), draw.uniform(0.3, 0.5), highest)
    clock = float(draw.choice([0.0, 0.0, 1e-3]))
    offset = float(draw.uniform(-APART, APART)) if draw.random() < 0.5 else 0.0
    one = Box(kind, system, capacity, rate, tuple(map(float, loads)), WINDOW, clock, offset)
    if kind == "polled":
        one = evolve(one, capacity=most_agents(system, log_of(one, 1.0, 1)))
    agents, workload = asked(one, one.loads[0])
    return evolve(one, window=max(WINDOW, FEWEST / agents / workload.traffic.rate))


def _server(kind: str, draw: np.random.Generator) -> tuple[Cpu, dict[str, Any]]:
    """Return a processor, in any unit of time, and what it serves."""
    default = lhsim.load_system("push" if kind == "push" else "polling")
    polling = PollingServer(interval=float(draw.choice([0.25, 0.5, 1.0, 2.0])))
    server: dict[str, Any] = {"push": PushServer()} if kind == "push" else {"polling": polling}
    if draw.random() < 0.25:
        return evolve(default.cpu, workers=1, stalls=None), server
    if draw.random() < 0.5:
        sharing: dict[str, Any] = {"workers": int(draw.integers(1, 9))}
    else:
        sharing = {"cores": int(draw.integers(1, 9)), "quantum": draw.choice(QUANTA)}
    names = OPERATIONS[kind] if kind == "push" else (*OPERATIONS[kind], *REQUESTS)
    parts = draw.dirichlet(np.ones(len(names)))
    if draw.random() < 0.3:  # all in one
        parts = np.array([float(name == ("write" if kind == "push" else "query"))
                          for name in names])  # fmt: skip
    cv = float(draw.choice([0.0, 0.3, 0.7, 1.0]))
    costs = {name: _cost(part * 1e-3, cv)
             for name, part in zip(names, parts.tolist(), strict=True) if part > 0}  # fmt: skip
    return Cpu(**sharing, **costs), server


def _cost(mean: float, cv: float) -> Distribution:
    if cv == 0:
        return Deterministic(mean)
    if cv == 1:
        return Exponential(mean)
    sigma = math.sqrt(math.log1p(cv**2))
    return Lognormal(mean * math.exp(-(sigma**2) / 2), sigma)


def _demand(system: System, rate: float) -> float:
    """Return the processor time of a message, or of an agent in a second [s]."""

    def sum_of(names: Sequence[str]) -> float:
        return math.fsum(getattr(system.cpu, name).mean for name in names)

    if system.polling is None:
        return sum_of(OPERATIONS["push"])
    looks = 1 / system.polling.interval + rate / 2  # which delivered messages shorten
    answers = rate * sum_of(("parse_request", "respond"))
    return rate * sum_of(OPERATIONS["polled"]) + answers + looks * system.cpu.query.mean


def asked(one: Box, load: float) -> tuple[int, Workload]:
    """Return the agents, and what they send, at a part of the capacity."""
    if one.kind == "push":
        return AGENTS, Workload(traffic=Poisson(load * one.capacity / AGENTS))
    return max(round(load * one.capacity), 2), Workload(traffic=Poisson(one.rate))


def run(one: Box, load: float, seed: int) -> Recording:
    """Return a run of the truth."""
    agents, workload = asked(one, load)
    architecture = one.system.architecture
    manifest = Manifest(architecture, agents, workload, seed, 2.0, one.window, 2.0)
    return replay(one.system, manifest, seed + 500)


def log_of(one: Box, load: float, seed: int) -> Log:
    """Return the message log of a run."""
    return _stamped(one, of_recording(run(one, load, seed), f"{load:.2f}-{seed}"))


def _stamped(one: Box, log: Log) -> Log:
    """Return a log as its clocks make it, and as `lhsim.calibration.read_log` reads that."""
    intended, sent, delivered = log.intended, log.sent, log.delivered + one.offset
    if one.clock:
        intended, sent, delivered = (np.floor(times / one.clock + 1e-6) * one.clock
                                     for times in (intended, sent, delivered))  # fmt: skip
    apart = clocks_apart(delivered - sent)
    return Log(log.name, intended, sent, delivered + apart, log.agent, apart)


def live(one: Box, found: BlackBox, load: float, seed: int) -> dict[str, float]:
    """Return the figures of a further run, as its log shows them to who knows the others."""
    log = log_of(one, load, seed)
    moved = found.logs[0].clocks_apart - log.clocks_apart
    delays = (log.delivered - log.sent)[log.counts] + moved
    delays[np.isnan(delays)] = math.inf
    quantiles = np.quantile(delays, (0.5, 0.95, 0.99), method="higher") * 1e3
    names = ("p50_latency_ms", "p95_latency_ms", "p99_latency_ms")
    return dict(zip(names, quantiles.tolist(), strict=True)) | {
        "messages_per_second": log.throughput
    }  # fmt: skip


@frozen
class Judged:
    """What came of a box."""

    kind: str
    rows: tuple[Scored, ...]
    told: bool  # whether the logs tell the capacity
    error: float  # of the capacity, as a logarithm
    width: float  # of its interval, as a logarithm
    inside: bool  # whether its interval holds it; of one that is not told: whether the bound does


def judged_messages(one: Box, seed: int) -> Judged:
    """Return what comes of message logs.

    Raises
    ------
    InputError
        Where they are refused.
    """
    logs = [log_of(one, load, 10 * seed + k) for k, load in enumerate(one.loads)]
    found = from_logs(logs)
    rows: list[Scored] = []
    for number, load in enumerate(HELD_OUT, start=1):
        agents, workload = asked(one, load)
        first = 100_000 * number + 10 * seed  # other messages at each load
        further = [live(one, found, load, first + k) for k in range(REPEATS)]
        system = evolve(found.system, workload=workload)
        rows += scored(one.kind, load, predicted(system, agents, seed), further)
    low, value, high = found.capacity.low, found.capacity.value, found.capacity.high
    return Judged(one.kind, tuple(rows), math.isfinite(high), math.log(value / one.capacity),
                  math.log(high / low), low <= one.capacity <= high)  # fmt: skip


def judged_clients(seed: int) -> Judged:
    """Return what comes of request logs: as `request_boxes.py` draws them, but for this space.

    Raises
    ------
    InputError
        Where they are refused.
    """
    draw = np.random.default_rng([seed, 2])
    one = request_boxes.box(seed)
    ways = (Deterministic(float(draw.uniform(0, FARTHEST)) if draw.random() < 0.7 else 0.0)
            for _ in range(2))  # fmt: skip
    cpu = evolve(one.system.cpu, cores=int(draw.integers(1, 9)))
    one = evolve(one, system=evolve(one.system, cpu=cpu, network=Network(*ways)))
    found = request_boxes.calibrated(one, seed)
    value, low, high = found.capacity
    true = one.system.cpu.cores / one.demand
    return Judged("closed", tuple(request_boxes.scored_levels(one, found, seed)), found.told,
                  math.log(value / true), math.log(high / low), low <= true <= high)  # fmt: skip


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--boxes", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin no box after them")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    began = time.monotonic()
    done: list[Judged] = []
    refused: Counter[str] = Counter()
    for seed in range(options.seed, options.seed + options.boxes):
        if time.monotonic() - began > 60 * options.minutes:
            break
        kind = options.kinds[seed % len(options.kinds)]
        one = None if kind == "closed" else box(kind, seed)
        try:
            done.append(judged_clients(seed) if one is None else judged_messages(one, seed))
        except InputError as error:
            refused[f"{kind}: {error.problem[:60]}"] += 1
            if options.verbose:
                print(seed, kind, _words(one), "refused:", error, flush=True)
            continue
        if options.verbose:
            print(seed, kind, _words(one), _result(done[-1]),
                  f"{time.monotonic() - began:.0f} s", flush=True)  # fmt: skip
    for told in (True, False):
        rows = [row for one in done if one.told == told for row in one.rows]
        print(f"\ncapacity {'told' if told else 'not told'}: {len(rows)} values")
        print(score_table(rows) if rows else "")
    print(f"\n{capacity_table(done)}")
    boxes = len(done) + sum(refused.values())
    print(f"\n{boxes} boxes in {time.monotonic() - began:.0f} s; refused: {dict(refused)}")


def capacity_table(done: Sequence[Judged]) -> str:
    """Return how often the capacity is told, how near it comes, and whether intervals hold it."""
    lines = []
    for kind in (*dict.fromkeys(one.kind for one in done), "all"):
        some = [one for one in done if kind in (one.kind, "all")]
        told = [one for one in some if one.told]
        rest = [one for one in some if not one.told]
        lines.append([
            kind, f"{len(told)}",
            f"{np.median([abs(one.error) for one in told]):.1%}" if told else "",
            f"x{math.exp(np.median([one.width for one in told])):.2f}" if told else "",
            f"{sum(one.inside for one in told)}", f"{len(rest)}",
            f"{sum(one.inside for one in rest)}",
        ])  # fmt: skip
    columns = (Column("capacity", left=True), Column("told"), Column("median error"),
               Column("width"), Column("inside"), Column("a bound"), Column("holds"))  # fmt: skip
    return table(columns, lines)


def _words(one: Box | None) -> str:
    if one is None:
        return ""
    cpu, network = one.system.cpu, one.system.network
    poll = f" T={one.system.polling.interval:g}" if one.system.polling else ""
    return (f"C={one.capacity:.0f} w={cpu.workers} c={cpu.cores} q={cpu.quantum}"
            f"{' warm' if cpu.warmth else ''} S={1e3 * cpu.processors / one.capacity:.2f}ms{poll} "
            f"loads={[round(load, 2) for load in one.loads]} ways={network.up.mean:.3f}+"
            f"{network.down.mean:.3f} clock={one.clock:g} offset={one.offset:+.3f}")  # fmt: skip


def _result(one: Judged) -> str:
    missed = [f"{row.figure[:4]}@{row.load:g}:{row.miss:+.2f}±{row.width / 2:.2f}"
              for row in one.rows if not row.inside]  # fmt: skip
    inside = "in" if one.inside else "OUT"
    return (f"told={one.told} capacity x{math.exp(one.error):.3f} (x{math.exp(one.width):.2f}) "
            f"{inside}; {len(one.rows)} figures, missed {missed}")  # fmt: skip


if __name__ == "__main__":
    main()
