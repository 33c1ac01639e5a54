"""What others take for the same: salabim, Ciw and Cimba, each as its manual has it, monitors off.

salabim runs the yardstick's system, line by line. Ciw simulates networks of queues, in which a
mailbox has no place: there a poller is a customer who goes round between a sleep (infinitely many
servers) and the database (one server).

Each has as many agents as suit it. To set up a component takes salabim 0.2 ms, so the time begins
after that; an event at infinitely many servers takes Ciw a time in proportion to its customers.

Cimba Python compiles models for an engine in C (`cimba_yardstick.py`). It wants other versions of
what lhsim needs: it gets an environment of its own, `build/cimba`, where it is not installed here.

::

    python benchmarks/peers.py salabim 1000 2.5    # agents, duration [s]
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections import deque
from importlib.util import find_spec
from pathlib import Path
from typing import TypeAlias

import yardstick

HERE = Path(__file__).parent
AGENTS = {"salabim": 1_000, "ciw": 100}
CIMBA = "cimba>=0.9.6"

Timed: TypeAlias = tuple[int, float]  # model events, and the seconds they took


def installed(name: str) -> bool:
    """Return whether a peer can be imported."""
    return find_spec(name) is not None


def python_with_cimba() -> Path:
    """Return an interpreter that has Cimba; raises `OSError`, with the reason, where none can."""
    if installed("cimba"):
        return Path(sys.executable)
    home = HERE / "build" / "cimba"
    python = home / ("Scripts" if os.name == "nt" else "bin") / "python"
    if not _runs([str(python), "-c", "import cimba"]):
        how = ["install", "--quiet", "--disable-pip-version-check", CIMBA]
        for command in ([sys.executable, "-m", "venv", "--clear", home],
                        [python, "-m", "pip", *how]):  # fmt: skip
            if not _runs(list(map(str, command))):
                raise OSError(f"{CIMBA} cannot be installed: {' '.join(map(str, command[1:]))}")
    return python


def _runs(command: list[str]) -> bool:
    """Return whether a command can be run and ends well."""
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def salabim(agents: int, duration: float, seed: int = 1) -> Timed:
    """Run the yardstick's system in salabim, its processes as generators."""
    import salabim as sim

    counts = yardstick.Counts()
    rng = random.Random(seed)
    env = sim.Environment(yieldless=False)
    database = sim.Resource("database", capacity=1, monitor=False)

    class Agent(sim.Component):
        def setup(self, mailbox: deque) -> None:
            self.mailbox = mailbox
            self.mode.monitor(False)
            self.status.monitor(False)

    class Poller(Agent):
        def process(self):
            yield self.hold(rng.random() * yardstick.SLEEP)
            while True:
                yield self.request(database)
                number = min(yardstick.LIMIT, len(self.mailbox))
                found = [self.mailbox.popleft() for _ in range(number)]
                yield self.hold(rng.expovariate(1 / yardstick.QUERY))
                self.release(database)
                counts.queries += 1
                if found:
                    counts.latencies += [env.now() - created for created in found]
                else:
                    counts.sleeps += 1
                    yield self.hold(yardstick.SLEEP)

    class Sender(Agent):
        def process(self):
            while True:
                yield self.hold(rng.expovariate(yardstick.RATE))
                counts.created += 1
                self.mailbox.append(env.now())

    mailboxes = [deque() for _ in range(agents)]
    for agent in range(agents):
        Poller(mailbox=mailboxes[agent])
        Sender(mailbox=mailboxes[(agent + 1) % agents])
    begin = time.process_time()
    env.run(till=duration)
    return counts.model_events, time.process_time() - begin


def ciw(agents: int, duration: float, seed: int = 1) -> Timed:
    """Run the pollers in Ciw; an event is the end of a sleep or of a query."""
    import ciw as library

    # All come at once, one by one through a node that spreads them over a second.
    at_once = library.dists.Sequential([0.0, float("inf")])
    network = library.create_network(
        arrival_distributions=[at_once, None, None],
        batching_distributions=[library.dists.Deterministic(agents), None, None],
        service_distributions=[
            library.dists.Uniform(0.0, yardstick.SLEEP),
            library.dists.Exponential(1 / yardstick.QUERY),
            library.dists.Deterministic(yardstick.SLEEP),
        ],
        number_of_servers=[float("inf"), 1, float("inf")],
        routing=[[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]],
    )
    library.seed(seed)
    simulation = library.Simulation(network)
    begin = time.process_time()
    simulation.simulate_until_max_time(duration)
    seconds = time.process_time() - begin
    return len(simulation.get_all_records()), seconds


def main() -> None:
    name, agents, duration = sys.argv[1:]
    events, seconds = {"salabim": salabim, "ciw": ciw}[name](int(agents), float(duration))
    print(json.dumps({"events": events, "seconds": seconds}))


if __name__ == "__main__":
    main()
