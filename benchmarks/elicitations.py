"""How long an answer takes by MCP, in both eras of the protocol, and what it costs the server.

::

    python benchmarks/elicitations.py [PAIRS ...] [--asks N] [--processes N]

Each pair of agents asks and answers; who asks does so again as soon as it has the answer. A first
round of a tenth warms up. The processor time of server and clients is by question: the
difference of the two rounds, without what it takes to start and to connect.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import subprocess
import sys
import tempfile

import pandas as pd
import psutil

from lhsim.live.mcp.measure import Load, measure_elicitations, round_trips

TOTAL = 1000  # questions, at least, over all pairs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("pairs", type=int, nargs="*", default=[1, 10, 50])
    parser.add_argument("--asks", type=int, help="of each pair")
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    print("era     pairs  asked  answered  p50_ms  p99_ms  per_s  server_cpu_ms  clients_cpu_ms")
    for pairs in given.pairs:
        for era in ("legacy", "modern"):
            asks = given.asks or -(-TOTAL // pairs)
            print(row(era, pairs, asks, given.processes), flush=True)


def row(era: str, pairs: int, asks: int, processes: int) -> str:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "lhsim.experiments", "serve", "--port", "0", "--mcp"]
        server = subprocess.Popen(
            [*command, "--store", f"{folder}/mcp.db"], stdout=subprocess.PIPE, text=True,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            url = server.stdout.readline().strip()
            few, many = (
                measured(server.pid, round_trips(url, era, pairs, count, processes=processes))
                for count in (max(1, asks // 10), asks)
            )
        finally:
            server.terminate()
            server.wait()
    frame = many[0]
    took = 1e3 * (frame["answered_s"] - frame["intended_s"])
    by_server, by_clients = (
        1e3 * (many[part] - few[part]) / (len(frame) - len(few[0])) for part in (1, 2)
    )
    answered = int((frame["outcome"] == "accept").sum())
    return (
        f"{era:7} {pairs:5} {len(frame):6} {answered:9} {took.quantile(0.5):7.1f} "
        f"{took.quantile(0.99):7.1f} {len(frame) / frame['answered_s'].max():6.0f} "
        f"{by_server:14.2f} {by_clients:15.2f}"
    )


def measured(server: int, load: Load) -> tuple[pd.DataFrame, float, float]:
    """Return what became of the questions, and the processor time of server and clients [s]."""
    by_server, by_clients = used_by(server), of_children()
    frame = asyncio.run(measure_elicitations(load))
    return frame, used_by(server) - by_server, of_children() - by_clients


def of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def used_by(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


if __name__ == "__main__":
    main()
