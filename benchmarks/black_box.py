"""How near message logs come to a server of which the truth is known: a simulated one.

    python benchmarks/black_box.py

For default systems with other costs, three logs go in. Shown are the capacity that is found beside
the true one, and the medians of the delay at two loads that were held out. The capacity of a server
that pushes is what it delivers when a third more comes than its costs allow; that of one that is
polled is the number of agents whose polls and messages take 95 % of its processor.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import lhsim
from lhsim.calibration import BlackBox, Log, from_logs
from lhsim.calibration.logs import of_recording
from lhsim.calibration.polling_logs import most_agents
from lhsim.models import Poisson, System, Workload, paths
from lhsim.recording import Architecture, Manifest, Recording
from lhsim.replay import replay
from lhsim.report.text import UNKNOWN, Column, table

AGENTS = 200  # of a server that pushes
OPERATIONS = ("parse_message", "validate", "write", "acknowledge", "send")
SERVERS: dict[str, dict[str, dict[str, float]]] = {
    "push": {
        "as it is": {},
        "slow writes": {"cpu.write": 2.0, "network.up": 3.0},
        "all faster": {f"cpu.{name}": 0.5 for name in OPERATIONS},
        "costly answers": {"cpu.acknowledge": 3.0, "network.up": 5.0},
    },
    "polling": {
        "as it is": {},
        "slow queries": {"cpu.query": 1.5, "cpu.parse_request": 1.3},
        "fast queries": {"cpu.query": 0.5, "cpu.respond": 0.5},
    },
}
LOADS = {"push": ((0.05, 0.4, 1.6), (0.2, 0.75, 1.6), (0.05, 0.4, 0.75)),
         "polling": ((0.05, 0.4, 1.3), (0.05, 0.4, 0.75))}  # fmt: skip
HELD_OUT = (0.3, 0.6)
COLUMNS = (Column("server", left=True), Column("loads"), Column("capacity"), Column("found"),
           Column("90 %"), *(Column(f"p50 at {load:g}") for load in HELD_OUT))  # fmt: skip


def main() -> None:
    """Print the table."""
    rows = [
        row(architecture, name, factors, loads)
        for architecture, servers in SERVERS.items()
        for name, factors in servers.items()
        for loads in LOADS[architecture]
    ]
    print(table(COLUMNS, rows))


def row(
    architecture: str, name: str, factors: Mapping[str, float], loads: Sequence[float]
) -> list[str]:
    """Return what a server's logs come to."""
    system = lhsim.load_system(architecture)
    for path, factor in factors.items():
        system = paths.changed(system, f"{path}*", factor)
    capacity = capacity_of(system)
    logs = [logged(system, load * capacity, seed) for seed, load in enumerate(loads, start=1)]
    found = from_logs(logs)
    low, value, high = found.capacity.low, found.capacity.value, found.capacity.high
    known = math.isfinite(high)  # else no log shows more than a bound
    return [
        f"{architecture}, {name}",
        " ".join(f"{load:g}" for load in loads),
        f"{capacity:,.0f}",
        f"{value:,.0f}" if known else f">= {low:,.0f}",
        f"{low:,.0f}-{high:,.0f}" if known else UNKNOWN,
        *(f"{100 * error(system, found, load * capacity):+.0f} %" for load in HELD_OUT),
    ]


def capacity_of(system: System) -> float:
    """Return the true capacity [messages/s, or agents]."""
    if system.polling is not None:
        return most_agents(system, logged(system, 500, 1))
    rate = 1.3 / sum(getattr(system.cpu, name).mean for name in OPERATIONS)
    return run(system, rate, 9).measures()["throughput"]


def error(system: System, found: BlackBox, load: float) -> float:
    """Return the relative error of the median of the delay at a load that was held out."""
    true, predicted = (
        run(one, load, 50).measures()["latency_p50"] for one in (system, found.system)
    )
    return predicted / true - 1


def logged(system: System, load: float, seed: int) -> Log:
    """Return the message log of a run."""
    return of_recording(run(system, load, seed), f"{load:g}")


def run(system: System, load: float, seed: int) -> Recording:
    """Return a run at a load: messages per second, or agents of 1 message/s that poll."""
    polled = system.polling is not None
    agents = round(load) if polled else AGENTS
    workload = Workload(traffic=Poisson(1.0 if polled else load / AGENTS))
    architecture: Architecture = "polling" if polled else "push"
    manifest = Manifest(architecture, agents, workload, seed, 2.0, 10.0, 2.0)
    return replay(system, manifest, seed + 500)


if __name__ == "__main__":
    main()
