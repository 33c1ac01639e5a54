"""Writes request logs of a simulated server whose truth is known, to try the black box on.

::

    python examples/request_logs.py logs
    lhsim calibrate logs/runs.toml -o logs/server.toml
    lhsim crosscheck --model logs/server.toml --live logs/held-out.toml

The server divides one core in slices of 4 ms; a request takes 4.8 ms of it and 1 ms of network.
Clients think for 1 s. Runs of 1, 10 and 50 clients are for the calibration, those of 100 to 250 for
the cross-check. The clock rate of the core differs by 2 % from run to run.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from attrs import evolve

import lhsim
from lhsim.distributions import Deterministic, Lognormal
from lhsim.models import Cpu, Network, Requests, RequestServer, System, Workload

HALF = Deterministic(0.5e-3)
SERVER = System(
    name="truth",
    workload=Workload(traffic=Requests(think=Deterministic(1.0))),
    network=Network(up=HALF, down=HALF),
    cpu=Cpu(cores=1, quantum=4e-3, query=Lognormal(median=4.8e-3, sigma=0.1)),
    requests=RequestServer(),
)
CALIBRATED, HELD_OUT = (1, 10, 50), (100, 150, 200, 250)
SECONDS = 20.0
DRIFT = 0.02  # standard deviation of the logarithm of the costs from run to run


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the logs and their run sheets, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args(arguments).folder
    if folder.exists():
        print(f"request_logs: {folder} exists; allowed: a new folder", file=sys.stderr)
        return 2
    folder.mkdir(parents=True)
    for sheet, loads in (("runs.toml", CALIBRATED), ("held-out.toml", HELD_OUT)):
        entries = [_entry(folder, clients) for clients in loads]
        (folder / sheet).write_text("\n".join(entries), encoding="utf-8")
    return 0


def _entry(folder: Path, clients: int) -> str:
    """Write the log of a run, and return what the sheet says of it."""
    draw = np.random.default_rng(clients)
    pace = math.exp(DRIFT * float(draw.standard_normal()))
    system = evolve(SERVER, cpu=SERVER.cpu.slower(pace))
    result = lhsim.simulate(
        system, agents=clients, duration=SECONDS, warmup=0, drain=0, seed=clients,
        keep_messages=True,
    )  # fmt: skip
    assert result.messages is not None
    done = result.messages.dropna(subset="delivered")
    lines = [
        f"{row.sender},{row.created:.6f},{row.delivered:.6f}"
        for row in done.itertuples(index=False)
    ]
    name = f"B{clients}.csv"
    text = "\n".join(["client,start_s,end_s", *lines])
    (folder / name).write_text(text + "\n", encoding="utf-8")
    used = result.metrics.cpu_utilization_percent / 100 * result.horizon
    return f'[[run]]\nlog = "{name}"\ncpu_seconds = {used:.3f}\ncores = 1\n'


if __name__ == "__main__":
    sys.exit(main())
