"""How long an answer takes by MCP, in both eras of the protocol, and what it costs the server.

::

    python benchmarks/elicitations.py [PAIRS ...] [--asks N] [--processes N]

Each pair of agents asks and answers; who asks does so again as soon as it has the answer. A first
round of a tenth warms up. The processor time is that of the server, by question.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile

import psutil

from lhsim.live.mcp.measure import measure_elicitations, round_trips

TOTAL = 1000  # questions, at least, over all pairs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("pairs", type=int, nargs="*", default=[1, 10, 50])
    parser.add_argument("--asks", type=int, help="of each pair")
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    print("era     pairs  asked  answered  p50_ms  p99_ms  per_s  server_cpu_ms  server_busy")
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
            warm = round_trips(url, era, pairs, max(1, asks // 10), processes=processes)
            asyncio.run(measure_elicitations(warm))
            before = used_by(server.pid)
            load = round_trips(url, era, pairs, asks, processes=processes)
            frame = asyncio.run(measure_elicitations(load))
            used = used_by(server.pid) - before
        finally:
            server.terminate()
            server.wait()
    took = 1e3 * (frame["answered_s"] - frame["intended_s"])
    span = frame["answered_s"].max()
    answered = int((frame["outcome"] == "accept").sum())
    return (
        f"{era:7} {pairs:5} {len(frame):6} {answered:9} {took.quantile(0.5):7.1f} "
        f"{took.quantile(0.99):7.1f} {len(frame) / span:6.0f} {1e3 * used / len(frame):14.2f} "
        f"{used / span:12.2f}"
    )


def used_by(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


if __name__ == "__main__":
    main()
