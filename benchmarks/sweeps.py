"""What a second worker adds to a sweep, and what it costs to keep the results.

::

    python benchmarks/sweeps.py                   # a table, a few minutes
    python benchmarks/sweeps.py --quick --json    # one JSON object, about a minute

One worker and two do the same cells in turn within each round, so that a change of the machine's
speed meets both; a ratio is the median over the rounds of the ratios within one, and its spread is
shown beside it. README.md beside this file says what each figure means.
"""

from __future__ import annotations

import argparse
import functools
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import systems

from lhsim.execution import Cell, Runner, Store, compile_once, execute, run
from lhsim.execution.pools import Processes, Threads
from lhsim.models import System

WORKERS = 2
SMALL, LARGE = 0.05, 0.5  # processor time of a cell that is aimed at [s]
QUICK = (3, 3.0)  # rounds, and the time that one worker takes for its cells, about [s]
THOROUGH = (9, 8.0)
TURNS = 20_000_000  # of a loop of Python in a second, about
AGENTS = {"compiled": 1000, "simpy": 100}


class TimedStore(Store):
    """A store that knows how long it was busy."""

    seconds = 0.0

    def put(self, key: bytes, outcome: Any) -> None:
        begin = time.perf_counter()
        super().put(key, outcome)
        self.seconds += time.perf_counter() - begin


@functools.cache
def system(engine: str, number: int) -> System:
    """Return one of the two architectures, the same object each time."""
    return systems.full(("polling", "push")[number % 2], AGENTS[engine])


def cells(
    engine: str, target: float, count: int, seed: int, *, own_systems: bool = False
) -> list[Cell]:
    """Return cells of both architectures that take about `target` seconds each.

    With `own_systems` each has another object for a system, as in a design of single runs; else
    there are two, as in a sweep over agents and seeds.
    """
    return [
        Cell(
            system(engine, number if own_systems else number % 2),
            AGENTS[engine],
            duration(engine, number % 2, target),
            seed + number,
            engine,
        )
        for number in range(count)
    ]


@functools.cache
def duration(engine: str, number: int, target: float) -> float:
    """Return the simulated time [s] of a run that takes about `target` seconds of a processor."""
    simulated = 2.0

    def fastest() -> float:  # of a few: the first one compiles, and others may be disturbed
        cell = Cell(system(engine, number), AGENTS[engine], simulated, 1, engine)
        return min(seconds_of(lambda: run(cell), time.process_time) for _ in range(3))

    while (seconds := fastest()) < target / 2:
        simulated *= 2
    return simulated * target / seconds


def spin(turns: int) -> int:
    """Keep a processor busy, and nothing else."""
    total = 0
    for number in range(turns):
        total ^= number
    return total


def seconds_of(
    function: Callable[[], object], clock: Callable[[], float] = time.perf_counter
) -> float:
    begin = clock()
    function()
    return clock() - begin


@contextmanager
def pools(kind: Callable[[int], Any]) -> Iterator[dict[int, Any]]:
    """Yield a pool of one worker and one of two."""
    found = {number: kind(number) for number in (1, WORKERS)}
    try:
        yield found
    finally:
        for pool in found.values():
            pool.stop()


def efficiency(
    kind: Callable[[int], Any], engine: str, target: float, rounds: int, seconds: float
) -> dict[str, list[float]]:
    """Return what two workers do in a time over twice what one does, for each round.

    Beside it: the same of processes that do nothing but spin, which is what the machine gives, and
    the ratio of the two.
    """
    count = WORKERS * max(2, round(seconds / target / WORKERS))
    chosen = cells(engine, target, count, 1)
    compile_once(chosen)
    turns = [round(TURNS * seconds / count)] * count
    found: dict[str, list[float]] = {"": [], "_of_machine": [], "_of_what_there_is": []}
    with pools(kind) as its, pools(Processes) as spinning:
        for number in its:  # they start, and import what they need
            Runner(its[number]).run(chosen[: 2 * WORKERS])
            list(execute(spin, [1] * WORKERS, executor=spinning[number]))
        for _ in range(rounds):
            own = _ratio({n: seconds_of(lambda n=n: Runner(its[n]).run(chosen)) for n in its})
            machine = _ratio(
                {
                    n: seconds_of(lambda n=n: list(execute(spin, turns, executor=spinning[n])))
                    for n in its
                }
            )
            for key, value in (("", own), ("_of_machine", machine)):
                found[key].append(value)
            found["_of_what_there_is"].append(own / machine)
    return found


def _ratio(took: dict[int, float]) -> float:
    return took[1] / took[WORKERS] / WORKERS


def store_cost(target: float, rounds: int, seconds: float, *, own_systems: bool) -> list[float]:
    """Return the time that a store takes over that of the runs that it keeps, for each round."""
    found = []
    for number in range(rounds):
        count = max(2, round(seconds / target))
        chosen = cells("compiled", target, count, 1000 * number, own_systems=own_systems)
        with tempfile.TemporaryDirectory(dir=".") as folder, TimedStore(Path(folder)) as store:
            runner = Runner(None, store)
            look_up = seconds_of(lambda runner=runner, chosen=chosen: runner.left(chosen))
            whole = seconds_of(lambda runner=runner, chosen=chosen: runner.run(chosen))
            # `run` looks its cells up as well, and makes their keys again.
            found.append((store.seconds + look_up) / (whole - store.seconds))
    return found


def measure(rounds: int, seconds: float) -> dict[str, Any]:
    measured = {
        name: store_cost(SMALL, rounds, seconds, own_systems=own_systems)
        for name, own_systems in (("store_cost", False), ("store_cost_own_systems", True))
    }
    for name, how in (
        ("threads", (Threads, "compiled", LARGE)),
        ("threads_small", (Threads, "compiled", SMALL)),
        ("processes", (Processes, "simpy", LARGE)),
    ):
        for suffix, values in efficiency(*how, rounds, seconds).items():
            measured[f"efficiency_{name}{suffix}"] = values
    report: dict[str, Any] = {"rounds": rounds, "workers": WORKERS}
    for key, values in measured.items():
        report[key] = statistics.median(values)
        report[f"{key}_spread"] = [min(values), max(values)]
    return report


MEANINGS = {
    "efficiency_threads": "compiled, cells of 0.5 s",
    "efficiency_threads_of_machine": "spinning, in the same rounds",
    "efficiency_threads_of_what_there_is": "their ratio",
    "efficiency_threads_small": "compiled, cells of 50 ms",
    "efficiency_threads_small_of_machine": "",
    "efficiency_threads_small_of_what_there_is": "",
    "efficiency_processes": "SimPy, cells of 0.5 s",
    "efficiency_processes_of_machine": "",
    "efficiency_processes_of_what_there_is": "",
    "store_cost": "of cells of 50 ms",
    "store_cost_own_systems": "likewise, each of another system",
}


def readable(report: dict[str, Any]) -> str:
    """Return the report for people, at most 80 columns wide."""
    lines = [f"medians of {report['rounds']} rounds, and their spread", ""]
    for key, text in MEANINGS.items():
        low, high = report[f"{key}_spread"]
        lines.append(f"{key:42s}{report[key]:6.3f} {low:6.3f}-{high:.3f} {text}".rstrip())
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer rounds, and shorter ones")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    report = measure(*(QUICK if arguments.quick else THOROUGH))
    print(json.dumps(report) if arguments.json else readable(report))


if __name__ == "__main__":  # the processes import this module under another name
    main()
