"""What no run can beat: the mean latency without any queue, and with the unavoidable one.

It takes each cost at its mean and warm, and lets nothing wait for anything but the poller:

- Polling. A message waits for the rest of its target's cycle and for the query that finds it,
  E[C^2] / (2 E[C]) + E[S] >= E[C] / 2 + E[S] (`lhsim.theory.polling_delay`). At low load a cycle
  is a sleep, C >= Z. By the utilisation law the N agents get at most 1 / D queries a second out
  of the busiest station, so that C >= N D (`lhsim.theory.ClosedNetwork`).
- Push. All services on the way of a message. From the load on at which the busiest station has
  no time left, there is no finite mean. In a batch, a message takes the writer its part of the
  cheapest batch that there can be, and a loop its part of the send of a full one; that it lingers
  is left out, as all may come at once. It still waits for the whole of either.

Where the store forgets, the mean is that of the messages that did not expire: those that had to
wait for less. With an age A a message waits for at most that, so the mean of its wait is at least
min(Z, A) / 2 for a shortest sleep Z; with a count, nothing is known of it.

The same figures say how long a run has to warm up: `settling_time`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from lhsim.analysis.knee import SATURATION
from lhsim.theory import polling_delay

if TYPE_CHECKING:
    from lhsim.models import EventStore, PollingServer, Retention, System

MOST_WAITING = 100_000  # messages, each of which takes memory


def lower_bound(system: System, agents: int) -> float | None:
    """Return a lower bound of the mean end-to-end latency [s]; infinite where there is no mean.

    None for a closed loop, whose messages do not come at random times, and for a server of the
    user's own, whose protocol nobody knows here.
    """
    rate = admitted_load(system, agents)
    if rate is None or system.own_server is not None:
        return None
    if system.polling is not None:
        return _polling(system, system.polling, agents)
    return _push(system, rate, system.workload.copies(agents))


def _polling(system: System, server: PollingServer, agents: int) -> float:
    cpu, store = system.cpu, system.store
    read = store.query.mean + store.scan * _least_kept(store)
    busiest = max(cpu.query.mean / cpu.workers, read / store.connections)  # D [s]
    # With a cache the busiest station has fewer queries than cycles.
    least = 0.0 if server.cache is not None else agents * busiest
    waiting = polling_delay(max(server.interval, least), 0.0)
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
    return polling_delay(min(server.interval * (1 - server.jitter), retention.age), 0.0)


def _least_kept(store: EventStore) -> int:
    """Return how many events the store keeps at least, whatever happens."""
    if store.retention is None:
        return store.events
    if store.retention.age is not None or store.retention.count is None:
        return 0
    return min(store.events, store.retention.count)


def _push(system: System, rate: float, copies: int) -> float:
    cpu, store, network = system.cpu, system.store, system.network
    if push_load(system, rate, copies) >= 1:
        return math.inf
    on_loop = cpu.parse_message.mean + cpu.validate.mean + cpu.write.mean
    on_loop += cpu.acknowledge.mean if _asks_by_reply(system) else cpu.send.mean
    return network.up.mean + on_loop + store.write.mean + network.down.mean


def _asks_by_reply(system: System) -> bool:
    """Return whether a push system asks in its replies, and so has no connections."""
    return system.push is not None and system.push.asks_by_reply


def admitted_load(system: System, agents: int) -> float | None:
    """Return the messages that a rate limit lets in of those offered, in the long run [1/s]."""
    rate, limit, workload = system.offered_load(agents), system.server.rate_limit, system.workload
    if rate is None or limit is None:
        return rate
    return min(rate, limit.rate * len(workload.senders(agents)) * workload.copies(agents))


def push_load(system: System, rate: float, copies: int) -> float:
    """Return the utilisation of a push system's busiest station at `rate` messages a second.

    So many `copies` of them come to the server as one, and leave it one by one, or in batches.
    With batches it is the least that it can be: all of them are full.
    """
    cpu, store = system.cpu, system.store
    coming = sum(p.mean / copies for p in (cpu.parse_message, cpu.validate, cpu.write))
    going = 0.0 if _asks_by_reply(system) else cpu.send.mean / _most_in_a_send(system)
    on_loop = coming + going + cpu.acknowledge.mean / copies
    writers = 1 if store.single_writer else store.connections
    return rate * max(on_loop / cpu.workers, _write_per_event(store) / copies / writers)


def _most_in_a_send(system: System) -> int:
    """Return how many messages leave a push system together at most."""
    return (system.push.batch_size or 1) if system.push is not None else 1


def _write_per_event(store: EventStore) -> float:
    """Return what an event takes a writer, in a batch of the size at which that is least [s]."""
    write, most = store.write.mean, store.batch_size or 1
    return min(write, (write + (most - 1) * store.write_more) / most)


def polling_load(system: System, server: PollingServer, agents: int, rate: float) -> float:
    """Return the utilisation of a polling system's loops while no query waits."""
    cpu = system.cpu
    coming = (cpu.parse_message, cpu.write, cpu.acknowledge)
    copies = system.workload.copies(agents)
    on_loop = sum(p.mean for p in coming) / copies + cpu.respond.mean + cpu.parse_request.mean
    messages = rate * on_loop
    return (agents / server.interval * cpu.query.mean + messages) / cpu.workers


def saturation(system: System) -> float | None:
    """Return the agents at which the loops are busy for `SATURATION` of the time, costs warm.

    None for a closed loop, and for a server of the user's own. It is right where the load grows in
    proportion to the agents.
    """
    some = 1000
    rate = admitted_load(system, some)
    if rate is None or system.own_server is not None:
        return None
    if system.polling is not None:
        load = polling_load(system, system.polling, some, rate)
    else:
        load = push_load(system, rate, system.workload.copies(some))
    return some * SATURATION / load if load else math.inf


def settling_time(system: System, agents: int) -> float:
    """Return how long it takes to work off the start of all agents [s].

    Everybody connects, or asks for the first time, at nearly the same time; agents that share a
    connection connect once. That work W leaves a queue, while messages go on to use a share rho of
    the busiest station: it is gone after W / (1 - rho). Where the station saturates anyway,
    messages wait behind the start, W, which is then not waited for if it takes more than
    `MOST_WAITING` of them. What a server of the user's own does in the beginning is not known: 0.
    """
    if system.own_server is not None:
        return 0.0
    rate = admitted_load(system, agents) or 0.0
    cpu = system.cpu
    if system.polling is not None:
        first = agents * (cpu.parse_request.mean + cpu.query.mean)
        load = polling_load(system, system.polling, agents, rate)
    else:
        assert system.push is not None
        clients = 0 if system.push.asks_by_reply else system.push.clients(agents)
        first = clients * cpu.connect.mean
        load = push_load(system, rate, system.workload.copies(agents))
    work = first / cpu.workers
    if load < SATURATION:
        return work / (1 - load)
    return work if rate * work <= MOST_WAITING else 0.0
