"""Clients in a closed loop: each thinks, sends a request, waits for its answer, and thinks again.

    python clients.py PROTOCOL PORT REQUEST CLIENTS SECONDS THINK LOG

Think times are constant (``0.1``) or exponential (``exp:0.1``), drawn before the run from a fixed
seed. Clients start at random times within one think time. The log has a row a request:
``client,start_s,end_s``, by one clock that does not jump. ``ready`` is printed when all are
connected, and ``done`` before they close, so that the processor time between belongs to requests.
"""

from __future__ import annotations

import asyncio
import csv
import random
import sys
import time
from pathlib import Path

from protocols import PROTOCOLS, Protocol

MOST_REQUESTS = 200_000  # of a run, whatever it was asked for

Row = tuple[int, float, float]


async def client(
    number: int, connection: Protocol, think: str, end: float, rows: list[Row]
) -> None:
    """Run one client until `end` of the clock [s]."""
    draws = random.Random(number)
    kind, _, mean = think.rpartition(":")
    pause = float(mean)
    await asyncio.sleep(draws.random() * pause)
    while (start := time.perf_counter()) < end and len(rows) < MOST_REQUESTS:
        await connection.request()
        rows.append((number, start, time.perf_counter()))
        await asyncio.sleep(draws.expovariate(1 / pause) if kind == "exp" else pause)


async def run(
    protocol: str, port: int, text: str, clients: int, seconds: float, think: str
) -> list[Row]:
    """Return the requests of a run."""
    connections = [PROTOCOLS[protocol](port, text) for _ in range(clients)]
    for one in connections:
        await one.connect()
    print("ready", flush=True)
    rows: list[Row] = []
    end = time.perf_counter() + seconds
    await asyncio.gather(*(client(i, one, think, end, rows) for i, one in enumerate(connections)))
    print("done", flush=True)
    for one in connections:
        await one.close()
    return rows


def main() -> None:
    """Run the clients that the command line asks for."""
    protocol, port, text, clients, seconds, think, log = sys.argv[1:]
    rows = asyncio.run(run(protocol, int(port), text, int(clients), float(seconds), think))
    with Path(log).open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("client", "start_s", "end_s"))
        first = min(start for _, start, _ in rows)
        writer.writerows(
            (c, f"{a - first:.6f}", f"{b - first:.6f}")
            for c, a, b in sorted(rows, key=lambda r: r[1])
        )


if __name__ == "__main__":
    main()
