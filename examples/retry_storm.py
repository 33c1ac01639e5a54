"""A retry storm: an outage of 5 s keeps a server down that a million agents use, and what cures it.

::

    python examples/retry_storm.py             # 1,000,000 agents
    python examples/retry_storm.py 1000

A push server spends half of its time on messages. After the outage all agents connect again, which
takes 4 s of its time: messages wait for longer than their senders have patience, who send them up
to four times. That is more than the server can do, so that it goes on when all agents are back: a
metastable overload (Bronson et al. 2021, Metastable Failures in Distributed Systems). It ends where
senders wait for longer than the server needs for the agents that come back.

For each way to try again it prints how many messages arrived in the last 20 s, for each that was
sent then, how often a message was sent, the median latency of those last ones, and the processor
time that the simulation took.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

import numpy as np

import lhsim
from lhsim.distributions import Deterministic, Exponential
from lhsim.models import Cpu, Network, Outage, Poisson, PushServer, Retry, System, Workload
from lhsim.models.workload import check_count

AGENTS = 1_000_000
RATE = 0.01  # messages of an agent [1/s]
BUSY = 0.5  # share of its time that the server needs for them
CONNECTS = 4.0  # of its time, for all agents to connect [s]
OUTAGE = Outage(at=30.0, duration=5.0)
DURATION, LAST = 100.0, 20.0  # of a run, and of what is looked at in the end [s]
RETRIES = {
    "at once": Retry(timeout=1.0, attempts=4, backoff=0.1),
    "back-off": Retry(timeout=1.0, attempts=4, backoff=20.0, factor=2.0),
    "back-off with jitter": Retry(timeout=1.0, attempts=4, backoff=20.0, factor=2.0, jitter=1.0),
}
HEAD = f"{'tried again':20}  arriving  attempts      median    took"


def system(agents: int, retry: Retry) -> System:
    """Return a server that so many agents keep as busy as any other number would."""
    return System(
        name="retry-storm",
        workload=Workload("ring", Poisson(RATE), start="random", start_over=20.0, retry=retry),
        network=Network(Exponential(0.005), Exponential(0.005)),
        cpu=Cpu(
            parse_message=Deterministic(BUSY / (RATE * agents)),
            connect=Deterministic(CONNECTS / agents),
        ),
        push=PushServer(overflow="wait", reconnect=Exponential(1.0)),
        faults=(OUTAGE,),
    )


def arriving(result: lhsim.Result) -> float:
    """Return how many messages arrived in the last time, for each that was sent in it."""
    times = result.samples["time_s"]
    first = int(np.searchsorted(times, DURATION - LAST))
    sent, arrived = (result.samples[name] for name in ("created", "delivered"))
    return float((arrived[-1] - arrived[first]) / (sent[-1] - sent[first]))


def run(agents: int, retry: Retry, **options: object) -> lhsim.Result:
    """Return a run through the outage; latencies are of the messages sent in the last time."""
    return lhsim.simulate(
        system(agents, retry),
        agents=agents,
        duration=DURATION,
        warmup=DURATION - LAST,
        drain=0.0,
        **options,  # type: ignore[arg-type]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what becomes of each way to try again, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("agents", type=int, nargs="?", default=AGENTS, help="number of agents")
    agents = parser.parse_args(arguments).agents
    try:
        check_count(Workload("ring"), agents)
        print(f"{agents:,} agents\n\n{HEAD}")
        for name, retry in RETRIES.items():
            print(row(name, agents, retry), flush=True)
    except lhsim.InputError as error:
        print(f"retry_storm: {error}", file=sys.stderr)
        return 2
    return 0


def row(name: str, agents: int, retry: Retry) -> str:
    """Return a line of the table."""
    began = time.process_time()
    result = run(agents, retry)
    took, counters = time.process_time() - began, result.counters
    attempts, median = 1 + counters.retries / counters.created, result.latency.quantile(0.5)
    return f"{name:20}  {arriving(result):8.0%}  {attempts:8.2f}  {median:8.2f} s  {took:4.0f} s"


if __name__ == "__main__":
    sys.exit(main())
