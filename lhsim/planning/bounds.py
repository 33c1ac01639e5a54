"""What no run can beat: the mean latency without any queue, and with the unavoidable one.

It takes each cost at its mean and warm, and lets nothing wait for anything but the poller:

- Polling. A message waits for the rest of its target's cycle and for the query that finds it,
  E[C^2] / (2 E[C]) + E[S] >= E[C] / 2 + E[S] (`lhsim.theory.polling_delay`). At low load a cycle
  is a sleep, C >= Z. By the utilisation law the N agents get at most 1 / D queries a second out
  of the busiest station, so that C >= N D (`lhsim.theory.ClosedNetwork`).
- A queue. All services on the way of a message, its consumer's work and its delete; no wait for a
  consumer. From the load on at which the consumers work all the time, there is no finite mean.
- Requests. All services of a request, and its ways through the network. From the load on at which
  the busiest station has no time left, there is no finite mean.
- Push. All services on the way of a message. From the load on at which the busiest station has
  no time left, there is no finite mean. In a batch, a message takes the writer its part of the
  cheapest batch that there can be, and a loop its part of the send of a full one; that it lingers
  is left out, as all may come at once. It still waits for the whole of either.

Where the store forgets, the mean is that of the messages that did not expire: those that had to
wait for less. With an age A a message waits for at most that, so the mean of its wait is at least
min(Z, A) / 2 for a shortest sleep Z; with a count, nothing is known of it.

The loads of the stations are those of `lhsim.simulation.settling`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from lhsim.analysis.knee import SATURATION
from lhsim.models import averaged
from lhsim.simulation.settling import (
    admitted_load,
    asks_by_reply,
    cycle_time,
    polling_load,
    push_load,
    requests_load,
)
from lhsim.theory import polling_delay

if TYPE_CHECKING:
    from lhsim.models import EventStore, PollingServer, Retention, System


@averaged
def lower_bound(system: System, agents: int) -> float | None:
    """Return a lower bound of the mean end-to-end latency [s]; infinite where there is no mean.

    None for a closed loop, whose messages do not come at random times, and for a server of the
    user's own, whose protocol nobody knows here.
    """
    rate = admitted_load(system, agents)
    if rate is None or system.own_server is not None:
        return None
    if system.polling is not None and system.workload.topology == "queue":
        return _queue(system, system.polling, agents, rate)
    if system.polling is not None:
        return _polling(system, system.polling, agents)
    if system.requests is not None:
        return _requests(system, rate)
    return _push(system, rate, system.workload.copies(agents))


def _queue(system: System, server: PollingServer, agents: int, rate: float) -> float:
    """Return it for the consumers of a queue, any of whom may ask the moment a message is there."""
    workload, cpu, store = system.workload, system.cpu, system.store
    think = workload.think.mean
    if rate * think >= server.limit * len(workload.consumers(agents)):
        return math.inf
    deleted = system.network.up.mean + cpu.parse_request.mean + cpu.write.mean + store.write.mean
    found = cpu.query.mean + store.query.mean
    return _beyond_waiting(system) + found + think + deleted


def _polling(system: System, server: PollingServer, agents: int) -> float:
    cpu, store = system.cpu, system.store
    read = store.query.mean + store.scan * _least_kept(store)
    asked = cpu.query.mean
    if not server.hold:
        asked += cpu.parse_request.mean + cpu.respond.mean
    busiest = max(asked / system.processors, read / store.connections)  # D [s]
    # With a cache the busiest station has fewer queries than cycles.
    least = 0.0 if server.cache is not None else agents * busiest
    waiting = polling_delay(max(server.shortest_sleep, least), 0.0)
    if server.wake_on_write:
        waiting = 0.0
    if store.retention is not None:
        return _beyond_waiting(system) + _least_wait(server, store.retention) + read
    return _beyond_waiting(system) + waiting + cpu.query.mean + read


def _beyond_waiting(system: System) -> float:
    """Return what a polled message takes before its commit, and after the query that finds it."""
    cpu, network = system.cpu, system.network
    sent = network.up.mean + cpu.parse_message.mean + cpu.write.mean + system.store.write.mean
    return sent + cpu.respond.mean + network.down.mean


def _least_wait(server: PollingServer, retention: Retention) -> float:
    """Return a lower bound of the mean time to the query of a message that it finds kept [s]."""
    if retention.count is not None or retention.age is None or server.wake_on_write:
        return 0.0
    return polling_delay(min(server.shortest_sleep * (1 - server.jitter), retention.age), 0.0)


def _least_kept(store: EventStore) -> int:
    """Return how many events the store keeps at least, whatever happens."""
    if store.retention is None:
        return store.events
    if store.retention.age is not None or store.retention.count is None:
        return 0
    return min(store.events, store.retention.count)


def _requests(system: System, rate: float) -> float:
    cpu, network = system.cpu, system.network
    if requests_load(system, rate) >= 1:
        return math.inf
    on_processor = cpu.parse_request.mean + cpu.query.mean + cpu.respond.mean
    return network.up.mean + on_processor + system.store.query.mean + network.down.mean


def _push(system: System, rate: float, copies: int) -> float:
    cpu, store, network = system.cpu, system.store, system.network
    if push_load(system, rate, copies) >= 1:
        return math.inf
    on_loop = cpu.parse_message.mean + cpu.validate.mean + cpu.write.mean
    on_loop += cpu.acknowledge.mean if asks_by_reply(system) else cpu.send.mean
    return network.up.mean + on_loop + store.write.mean + network.down.mean


@averaged
def saturation(system: System) -> float | None:
    """Return the agents at which the loops are busy for `SATURATION` of the time, costs warm.

    None for a closed loop of messages, and for a server of the user's own. It is right where the
    load grows in proportion to the agents, as that of clients does who hardly wait.
    """
    some = 1000
    load = mean_load(system, some)
    if load is None:
        return None
    return some * SATURATION / load if load else math.inf


@averaged
def mean_load(system: System, agents: int) -> float | None:
    """Return the part of the time for which the loops are busy, or more than 1, costs warm.

    None as for `saturation`.
    """
    rate = admitted_load(system, agents)
    if rate is None and system.requests is not None:
        cycle = cycle_time(system, 1)
        rate = agents * system.workload.traffic.at_a_time / cycle if cycle > 0 else None
    if rate is None or system.own_server is not None:
        return None
    if system.polling is not None:
        return polling_load(system, system.polling, agents, rate)
    if system.requests is not None:
        return requests_load(system, rate)
    return push_load(system, rate, system.workload.copies(agents))
