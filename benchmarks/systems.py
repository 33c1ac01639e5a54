"""The systems that the benchmarks simulate, at any number of agents."""

from __future__ import annotations

import yardstick
from attrs import evolve

import lhsim
from lhsim.distributions import Exponential
from lhsim.models import EventStore, Poisson, PollingServer, Slow, System, Workload

AGENTS = 10_000  # for which yardstick.QUERY and WORKERS are meant
SERVERS = {"polling": 5, "push": 1}  # for so many: busy for about 60 % of the time


def yardsticks(agents: int = AGENTS) -> System:
    """Return the yardstick's own system: one connection, busy for 54 % of the time at any size."""
    query = yardstick.QUERY * min(1.0, AGENTS / agents)
    return System(
        name="yardstick",
        workload=Workload(traffic=Poisson(yardstick.RATE), start_over=yardstick.SLEEP),
        store=EventStore(query=Exponential(query), connections=1),
        polling=PollingServer(interval=yardstick.SLEEP, timeout=60.0, limit=yardstick.LIMIT),
    )


def full(name: str, agents: int = AGENTS) -> System:
    """Return a system that comes with lhsim, with loops and connections for so many agents."""
    system = lhsim.load_system(name, settings=["cpu.connect=0"])  # a short run has settled
    servers = max(1, SERVERS[name] * agents // AGENTS)
    return evolve(
        system,
        cpu=evolve(system.cpu, workers=servers),
        store=evolve(system.store, connections=servers),
    )


def with_idle_option(name: str, agents: int = AGENTS) -> System:
    """Return the same system with an option that never acts: no agent is slow.

    It draws nothing and changes nothing, but takes the kernel that has the code of all options.
    """
    system = full(name, agents)
    return evolve(system, workload=evolve(system.workload, slow=Slow(share=0.0, factor=1.0)))


SYSTEMS = {
    "yardstick": yardsticks,
    "polling": lambda agents: full("polling", agents),
    "push": lambda agents: full("push", agents),
    "polling_options": lambda agents: with_idle_option("polling", agents),
    "push_options": lambda agents: with_idle_option("push", agents),
}
