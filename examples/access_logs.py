"""Writes the access logs of three nodes behind a balancer, of a day: they are simulated.

Each node is a web server whose one core works for 200 ms on a request, in the mean. 150 clients
send from 0.8 requests/s at night to 8 at noon; the balancer keeps each of them on one node, by
its address. The lines are those of nginx with ::

    log_format timed '$remote_addr [$time_local] "$request" $status $request_time $msec';

The truth is known, so that it can be seen what is found again in the logs.

::

    python examples/access_logs.py logs
"""

from __future__ import annotations

import math
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd

import lhsim
from lhsim.distributions import Exponential
from lhsim.models import Cpu, Nodes, RequestServer, System, Workload
from lhsim.models.workload import Piece, Piecewise

NODES, CLIENTS, SEED = 3, 150, 1
WORK = 0.2  # of a core for a request, in the mean [s]
LEAST, MOST = 0.8, 8.0  # requests of all clients, in the night and at noon [1/s]
QUARTERS = 96
BEGIN = datetime(2027, 1, 12, tzinfo=UTC)
FORMAT = '$remote_addr [$time_local] "$request" $status $request_time $msec'


def day() -> System:
    """Return the three nodes, and the day's load as a rate for each quarter of an hour."""
    pieces = []
    for number in range(QUARTERS):
        part = (1 - math.cos(2 * math.pi * (number + 0.5) / QUARTERS)) / 2
        rate = LEAST * (MOST / LEAST) ** part
        pieces.append(Piece(duration=86400 / QUARTERS, rate=rate / CLIENTS))
    return System(
        name="three nodes",
        requests=RequestServer(),
        nodes=Nodes(NODES, "hash"),
        cpu=Cpu(query=Exponential(WORK)),
        workload=Workload(traffic=Piecewise(tuple(pieces))),
    )


def answered() -> pd.DataFrame:
    """Return the requests of the day that were answered, in the order of their answers."""
    run = lhsim.simulate(
        day(), agents=CLIENTS, duration=86400, warmup=0, drain=0, seed=SEED, keep_messages=True
    )
    messages = run.messages
    assert messages is not None
    return messages[messages["delivered"] > 0].sort_values("delivered")


def lines_of(requests: pd.DataFrame, node: int) -> list[str]:
    """Return the lines of a node, in the order in which it has written them."""
    own = requests[requests["sender"] % NODES == node][["sender", "created", "delivered"]]
    return [line(*row) for row in own.itertuples(index=False, name=None)]


def line(client: int, sent: float, answered: float) -> str:
    """Return the line of a request."""
    at = BEGIN + timedelta(seconds=answered)
    stamp = f"{at:%d/%b/%Y:%H:%M:%S} +0000"
    name = f"10.0.{client // 250}.{1 + client % 250}"
    ends = f"{answered - sent:.3f} {at.timestamp():.3f}"
    return f'{name} [{stamp}] "GET /report HTTP/1.1" 200 {ends}'


def main(folder: str) -> None:
    """Write the three logs."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    requests = answered()
    for node in range(NODES):
        lines = lines_of(requests, node)
        (Path(folder) / f"node{node + 1}.log").write_text("\n".join(lines) + "\n")
        print(f"node{node + 1}.log: {len(lines):,} requests")


if __name__ == "__main__":
    main(*sys.argv[1:])
