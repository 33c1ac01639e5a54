"""Whether a run fits in memory, before it starts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from lhsim._machine import free_memory, size
from lhsim.distributions.table import PROBABILITIES
from lhsim.errors import InputError
from lhsim.units import format_duration

if TYPE_CHECKING:
    from lhsim.distributions import Distribution
    from lhsim.models import PollingServer, System

# What an engine takes [B]; `benchmarks/one_run.py` prints the peak of a run.
PER_AGENT = {"simpy": 5_000, "compiled": 100}
PER_MESSAGE = {"simpy": 2_000, "compiled": 180}  # on its way
PER_LOOP = {"simpy": 2_000, "compiled": 64}
PER_EVENT = {"simpy": 32, "compiled": 24}  # that the store keeps, where it forgets them by age
PER_SPELL = 48  # in which a host stalls or is slow: all are drawn before the run
POSTED = 3  # times what a message takes: also who posts it, and a post
MOST_SPELLS = 10_000_000  # some seconds of drawing
PER_RECORD = {"simpy": 500, "compiled": 120}  # of a message, with `keep_messages`


def check(system: System, agents: int, duration: float, engine: str, *, keep: bool) -> None:
    """Refuse a run that would not fit in the memory that is free now, or would never begin.

    Raises
    ------
    InputError
        With the estimate and the limit.
    """
    spells = _spells(system, duration)
    if spells > MOST_SPELLS:
        times = f"{spells:,.3g} times in {format_duration(duration)}"
        allowed = f"at most {MOST_SPELLS:,} times, all of which are drawn before the run"
        problem = f"the host would stall or be slow {times}"
        raise InputError(problem, key="duration", allowed=allowed)
    needed, free = estimate(system, agents, duration, engine, keep=keep), free_memory()
    if needed <= free:
        return
    taken = f"{size(needed)} of memory with the {engine} engine, and {size(free)} are free"
    allowed = f"about {int(agents * free / needed):,} at most here"
    raise InputError(f"{agents:,} agents would take {taken}", key="agents", allowed=allowed)


def estimate(system: System, agents: int, duration: float, engine: str, *, keep: bool) -> float:
    """Return the memory that a run takes [B] while its system keeps up with its messages."""
    traffic = system.workload.traffic
    rate = system.offered_load(agents)
    copies = system.workload.copies(agents)
    if rate is None:
        on_their_way = float(len(system.workload.senders(agents)) * copies * traffic.at_a_time)
        rounds = traffic.messages_of_a_sender / traffic.at_a_time
        kept = on_their_way * rounds if math.isfinite(rounds) else 0.0
    else:
        polling = system.polling
        delay = max(polling.first_sleeps[0], polling.interval) / 2 if polling else 0.0
        if system.push is not None and system.push.elicitation is not None:
            delay = system.push.elicitation.timeout  # for which a message is kept, answered or not
        if system.push is not None and system.push.webhook is not None:
            delay = POSTED * system.push.webhook.timeout  # a post's timer goes off in any case
        on_their_way = max(rate * min(delay, duration), copies)
        kept = rate * duration
    needed: float = PER_AGENT[engine] * agents + PER_LOOP[engine] * system.loops
    if system.polling is not None and system.polling.wake_on_write:
        on_their_way += agents + _alarms_of_the_woken(system, system.polling, agents)
    if system.polling is not None and system.polling.client_timeout is not None:
        on_their_way += agents  # their requests
    if system.polling is not None and system.polling.visibility is not None:
        taken = on_their_way if rate is None else rate * min(system.polling.visibility, duration)
        on_their_way += taken  # what consumers hold, until it would be visible again
    retry = system.workload.retry
    if retry is not None:  # a message, and its attempt until the patience with it has ended
        waiting = 0.0 if rate is None else rate * min(retry.timeout, duration)
        on_their_way = 2 * max(on_their_way, waiting)
    needed += PER_MESSAGE[engine] * on_their_way
    needed += PER_SPELL * _spells(system, duration)
    needed += PER_EVENT[engine] * _timed_events(system, kept / copies, duration)
    return needed + PER_RECORD[engine] * kept * keep


def _alarms_of_the_woken(system: System, server: PollingServer, agents: int) -> float:
    """Return how many alarms are still to go off of sleeps that have ended before, where all wake.

    Each query sets one, and the busiest station bounds the queries.
    """
    rate, cpu, store = system.offered_load(agents), system.cpu, system.store
    if server.wake == "one" or rate is None:
        return 0.0
    busiest = max(cpu.query.mean / cpu.processors, store.query.mean / store.connections)
    queries = min(agents * rate, 1 / busiest if busiest > 0 else math.inf)
    return queries * max(server.first_sleeps[0], server.interval)


def _spells(system: System, duration: float) -> float:
    """Return how often a host stalls or is slow in a run."""
    hosts = (system.cpu.stalls, system.cpu.slowdowns)
    cycles = [
        _within(host.gap, duration) + _within(host.length, duration)
        for host in hosts
        if host is not None
    ]
    return sum(duration / cycle if cycle > 0 else math.inf for cycle in cycles)  # 5e-324 s halved


def _within(distribution: Distribution, duration: float) -> float:
    """Return the mean of a time [s] of which no more counts than a run lasts.

    A mean that rare, very long times make says nothing of how often the others come.
    """
    cells = distribution.table().cells
    times = np.minimum(cells[:, 0] + cells[:, 1] / 2, duration)
    return float(PROBABILITIES @ times)


def _timed_events(system: System, written: float, duration: float) -> float:
    """Return of how many events the store knows the age at a time; so many are written in a run.

    A closed loop may write all of them within the age.
    """
    retention, rate = system.store.retention, written / duration
    if retention is None or retention.age is None:
        return 0.0
    kept = written if system.workload.traffic.closed else rate * min(retention.age, duration)
    return kept if retention.count is None else min(kept, retention.count)
