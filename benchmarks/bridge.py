"""What parts of the bridge cost, as ratios of processor time within one run.

::

    python benchmarks/bridge.py [ROUNDS]

Three bridges get the same requests in turns, another one first in each round: one that keeps stage
times, and two that do not. The ratio of those two is the control: it should be 1, and its range is
what a ratio of the others has to leave to mean anything. On a busy machine it does not; so the time
of one record is also taken alone, as a share of what a request takes. The watch for a client that
hangs up is held against a plain sleep.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil

from lhsim.live.client import BridgeClient
from lhsim.live.stages import StageTimes

Bridge = tuple[subprocess.Popen[str], str]  # and its URL
CLIENTS, REQUESTS = 20, 200  # of a round
RECORDS = 5  # of a request: loop_wait, parse, send, and two for its call of the store
SLEEPERS, SLEEPS = 500, 20


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 12
    with tempfile.TemporaryDirectory() as folder:
        bridges = [
            start(Path(folder), "plain"),
            start(Path(folder), "control"),
            start(Path(folder), "timed", "--stage-times", f"{folder}/times.parquet"),
        ]
        try:
            print("median over the rounds, and their quartiles")
            asyncio.run(compare(rounds, bridges))
        finally:
            for process, _ in bridges:
                process.terminate()
                process.wait()
    asyncio.run(sleeps(rounds))


def start(folder: Path, name: str, *options: str) -> Bridge:
    command = [
        sys.executable,
        "-m",
        "lhsim.experiments",
        "serve",
        "--port",
        "0",
        "--interval",
        "20ms",
    ]
    store = ["--store", str(folder / f"{name}.db")]
    process = subprocess.Popen(
        [*command, *store, *options], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    return process, process.stdout.readline().strip()


async def compare(rounds: int, bridges: list[Bridge]) -> None:
    clients = [
        [await BridgeClient.connect(url, f"a{n}") for n in range(CLIENTS)] for _, url in bridges
    ]
    requests = {"store a message": CLIENTS * REQUESTS, "an empty poll": CLIENTS * REQUESTS // 4}
    for name, work in (("store a message", store), ("an empty poll", poll)):
        used = [[0.0] * rounds for _ in bridges]
        own = []
        for number in range(-1, rounds):  # the first round warms up
            for turn in range(len(bridges)):
                place = (number + turn) % len(bridges)
                pid = bridges[place][0].pid
                before, mine = used_by(pid), time.process_time()
                await asyncio.gather(*(work(client) for client in clients[place]))
                if number >= 0:
                    used[place][number] = used_by(pid) - before
                    own.append((time.process_time() - mine) / used[place][number])
        plain, control, timed = used
        report(f"{name}: control", ratios(control, plain))
        report(f"{name}: stage times", ratios(timed, plain))
        report(f"{name}: client / server", own)
        share = RECORDS * one_record() / (statistics.median(plain) / requests[name])
        print(f"{name}: its {RECORDS} records, taken alone: {100 * share:.1f} %", flush=True)
    for group in clients:
        for client in group:
            client.close()
    await asyncio.sleep(0)


def one_record(times: int = 200_000) -> float:
    """Return what it takes to look at the clock twice and keep the difference [s]."""
    stages = StageTimes()
    begun = time.process_time()
    for _ in range(times):
        before = time.perf_counter()
        stages.add("parse", time.perf_counter() - before)
    return (time.process_time() - begun) / times


def ratios(used: list[float], reference: list[float]) -> list[float]:
    return [a / b for a, b in zip(used, reference, strict=True)]


def used_by(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


async def store(client: BridgeClient) -> None:
    for n in range(REQUESTS):
        await client.store("nobody", n)


async def poll(client: BridgeClient) -> None:
    for _ in range(REQUESTS // 4):
        await client.wait(0.000001)  # one query, one interval, one more look at the clock


async def sleeps(rounds: int) -> None:
    async def plainly(_watch: asyncio.Task) -> None:
        await asyncio.sleep(0.05)

    async def watchfully(watch: asyncio.Task) -> None:
        await asyncio.wait((watch,), timeout=0.05)

    used = [[await cost(how) for how in (plainly, watchfully)] for _ in range(rounds)]
    report("sleep that a hang-up ends / plain sleep", [b / a for a, b in used])
    more = [1e6 * (b - a) / SLEEPERS / SLEEPS for a, b in used]
    print(f"    {statistics.median(more):.0f} us more for each sleep")


async def cost(how: Callable[[asyncio.Task], Awaitable[None]]) -> float:
    async def sleeper() -> None:
        watch = asyncio.ensure_future(asyncio.Event().wait())
        for _ in range(SLEEPS):
            await how(watch)
        watch.cancel()

    before = time.process_time()
    await asyncio.gather(*(sleeper() for _ in range(SLEEPERS)))
    return time.process_time() - before


def report(what: str, values: list[float]) -> None:
    low, middle, high = statistics.quantiles(values, n=4)
    print(f"{what}: {middle:.2f} ({low:.2f}-{high:.2f})", flush=True)


if __name__ == "__main__":
    main()
