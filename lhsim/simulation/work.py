"""How much work a run is, in model events: messages created and delivered, queries and sleeps."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from lhsim.checks import MOST
from lhsim.simulation.settling import cycle_time

if TYPE_CHECKING:
    from lhsim.models import System

AGENT_EVENTS = 20  # what it takes to set up an agent, in model events
SIMPY_RATE = 40_000.0  # model events that SimPy does on a slow processor [1/s]


def model_events(system: System, agents: int, duration: float) -> int:
    """Return a bound on the model events of a run of `duration` [s].

    Open traffic creates as many messages as its rate says, and each is delivered at most once; so
    do clients at their fastest. An agent that polls queries once an interval and once more after
    each message, and sleeps as often; a message that wakes it, or everybody, adds one more of both.
    What another closed loop does is not known beforehand, and is left out.
    """
    messages = (system.offered_load(agents) or 0.0) * duration
    if system.requests is not None and system.workload.traffic.closed:
        messages = _messages_of_clients(system, agents, duration)
    polling = system.polling
    if polling is None:
        return _whole(2 * messages)
    woken = messages * (agents if polling.wake == "all" else polling.wake_on_write)
    sleeps = agents * duration / polling.shortest_sleep + woken
    return _whole(3 * messages + 2 * sleeps)


def work(system: System, agents: int, duration: float) -> int:
    """Return roughly how much work a run is at most, in model events; so is setting up an agent."""
    return model_events(system, agents, duration) + AGENT_EVENTS * agents


def seconds_with_simpy(system: System, agents: int, duration: float) -> float:
    """Return how long SimPy takes for a run on a slow processor [s], about."""
    events = work(system, agents, duration)
    if system.workload.traffic.closed and system.requests is None:
        events += 2 * _messages_of_clients(system, agents, duration)
    return events / SIMPY_RATE


def _messages_of_clients(system: System, agents: int, duration: float) -> int:
    """Return how many messages a closed loop creates at most."""
    traffic, senders = system.workload.traffic, len(system.workload.senders(agents))
    cycle = cycle_time(system, agents) if system.own_server is None else 0.0
    fastest = senders * traffic.at_a_time / cycle * duration if cycle > 0 else math.inf
    return _whole(min(fastest, senders * traffic.messages_of_a_sender))


def _whole(events: float) -> int:
    """Return a bound as a whole number; beyond `MOST` it is more than any limit."""
    return round(min(events, MOST))
