"""What the agents ask of a server, and how long the work of their start takes it.

Each cost is taken at its mean and warm, and nothing waits for anything: the utilisation of the
busiest station is the sum of what comes to it in a second. A run has to warm up for as long as the
start leaves a queue: `settling_time`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from lhsim.models import averaged

if TYPE_CHECKING:
    from lhsim.models import Cpu, EventStore, PollingServer, System, Workload

MOST_WAITING = 100_000  # messages, each of which takes memory
# Load up to which the start is waited for until it has gone: at more it would take for ages.
SETTLING = 0.98
GROWTH = 2.0  # of a backlog, as a part of it: `lhsim.simulation.run` sees that it grows
MOST_GROWING = 2_000_000  # messages, to see that


@averaged
def settling_time(system: System, agents: int) -> float:
    """Return how long a run waits until the start of all agents is worked off [s].

    That is `settled_after` up to a load of `SETTLING`. Where the station saturates, or nearly so,
    messages wait behind the work of the start, which is then not waited for if it takes more than
    `MOST_WAITING` of them.
    """
    if system.requests is not None or not _saturates(system, agents):
        return settled_after(system, agents)
    work, rate = start_work(system, agents), admitted_load(system, agents)
    waiting = _first_messages(system.workload, agents) if rate is None else rate * work
    return work if waiting <= MOST_WAITING else 0.0


@averaged
def settled_after(system: System, agents: int) -> float:
    """Return how long it takes to work off the start of all agents [s]; infinite where it never is.

    Everybody connects, or asks for the first time, at nearly the same time; agents that share a
    connection connect once; in a closed loop everybody sends, too. That work W leaves a queue,
    while messages go on to use a share rho of the busiest station, which is there for a share a of
    the time (`availability`): the queue is gone after W / (a - rho). Those who poll, or wait for an
    answer, ask for less while they wait, so that W is all that there is where they saturate it.
    Clients of a request/response server think, and then the first wave comes. What a server of the
    user's own does in the beginning is not known: 0.
    """
    if system.requests is not None and system.workload.traffic.closed:
        return system.workload.traffic.wait + cycle_time(system, agents)
    work = start_work(system, agents)
    waits = system.polling is not None or system.workload.traffic.closed
    if not work or (waits and _saturates(system, agents)):
        return work
    left = availability(system.cpu) - _load(system, agents)
    return work / left if left > 0 else math.inf


@averaged
def growing_time(system: System, agents: int) -> float:
    """Return how long it takes to see that a backlog grows, where it does behind a start [s].

    The start leaves lambda W messages. They grow by lambda (1 - a / rho) in a second, and by
    `GROWTH` times as many in this time. 0 where nothing grows, no start was waited for, or it would
    take more than `MOST_GROWING` messages.
    """
    rate, load = admitted_load(system, agents), _load(system, agents)
    excess = 1 - availability(system.cpu) / load if load > 0 else 0.0
    if rate is None or system.polling is not None or excess <= 0:
        return 0.0
    time = GROWTH * settling_time(system, agents) / excess
    return time if rate * time <= MOST_GROWING else 0.0


def _saturates(system: System, agents: int) -> bool:
    return _load(system, agents) >= SETTLING * availability(system.cpu)


def availability(cpu: Cpu) -> float:
    """Return the share of the time for which a loop does its work, at its usual pace.

    The rest are stalls of the host, and what it does less in spells in which it is slow.
    """
    share = 1.0
    if cpu.stalls is not None:
        share = cpu.stalls.gap.mean / (cpu.stalls.gap.mean + cpu.stalls.length.mean)
    if cpu.slowdowns is not None:
        slow = cpu.slowdowns
        spells = slow.length.mean / (slow.gap.mean + slow.length.mean)
        share *= 1 - spells + spells / slow.factor
    return share


@averaged
def shortest_loop(system: System, agents: int) -> float:
    """Return how long a closed loop with an end lasts at least, in the mean [s].

    Each agent has its pauses and think times, and the busiest station has all messages to serve.
    """
    traffic = system.workload.traffic
    alone = _round_time(system)
    served = 0.0
    if system.own_server is None:
        served = _first_messages(system.workload, agents) * _per_message(system, agents)
    rounds = math.ceil(traffic.messages_of_a_sender / traffic.at_a_time)
    return rounds * max(alone, served / availability(system.cpu))


@averaged
def cycle_time(system: System, agents: int) -> float:
    """Return how long a client's loop takes at least, with its request, in the mean [s].

    It is the longer of what it takes alone, and of what the busiest station needs for a request of
    each (the bounds of Denning and Buzen, "The operational analysis of queueing network models",
    ACM Computing Surveys 10(3), 1978).
    """
    served = _first_messages(system.workload, agents) * _per_message(system, agents)
    return max(_round_time(system), served / availability(system.cpu))


def _round_time(system: System) -> float:
    """Return what a message of a closed loop takes an agent at least, in the mean [s].

    That is its pause, the think time of who gets it, and where that polls half a sleep; or all that
    a request and its answer take.
    """
    traffic, polling = system.workload.traffic, system.polling
    if system.requests is not None:
        network = system.network
        answer = _on_processor(system.cpu) + system.store.query.mean
        return traffic.wait + network.up.mean + answer + network.down.mean
    sleep = polling.shortest_sleep / 2 if polling is not None and not polling.wake_on_write else 0.0
    return traffic.wait + system.workload.think.mean + sleep


@averaged
def admitted_load(system: System, agents: int) -> float | None:
    """Return the messages that a rate limit lets in of those offered, in the long run [1/s]."""
    rate, limit, workload = system.offered_load(agents), system.server.rate_limit, system.workload
    if rate is None or limit is None:
        return rate
    return min(rate, limit.rate * len(workload.senders(agents)) * workload.copies(agents))


def polling_load(system: System, server: PollingServer, agents: int, rate: float) -> float:
    """Return the utilisation of a polling system's loops while no query waits."""
    cpu = system.cpu
    coming = (cpu.parse_message, cpu.write, cpu.acknowledge)
    copies = system.workload.copies(agents)
    on_loop = sum(p.mean for p in coming) / copies + cpu.respond.mean + cpu.parse_request.mean
    consumers = agents
    if system.workload.topology == "queue":
        consumers = len(system.workload.consumers(agents))
        on_loop += cpu.parse_request.mean + cpu.write.mean  # of the request that deletes
    messages = rate * on_loop
    asked = cpu.query.mean
    if not server.hold:  # each query has a request of its own
        asked += cpu.parse_request.mean + cpu.respond.mean
    return (consumers / server.mean_sleep * asked + messages) / system.processors


def push_load(system: System, rate: float, copies: int) -> float:
    """Return the utilisation of a push system's busiest station at `rate` messages a second.

    So many `copies` of them come to the server as one, and leave it one by one, or in batches.
    With batches it is the least that it can be: all of them are full.
    """
    cpu, store = system.cpu, system.store
    coming = sum(p.mean / copies for p in (cpu.parse_message, cpu.validate, cpu.write))
    going = 0.0 if asks_by_reply(system) else cpu.send.mean / _most_in_a_send(system)
    going *= _posts(system)
    on_loop = coming + going + cpu.acknowledge.mean / copies
    writers = 1 if store.single_writer else store.connections
    return rate * max(on_loop / system.processors, _write_per_event(store) / copies / writers)


def requests_load(system: System, rate: float) -> float:
    """Return the utilisation of a request/response system's busiest station at `rate` [1/s]."""
    cpu, store = system.cpu, system.store
    on_processor = _on_processor(cpu) / system.processors
    return rate * max(on_processor, store.query.mean / store.connections)


def _on_processor(cpu: Cpu) -> float:
    return cpu.parse_request.mean + cpu.query.mean + cpu.respond.mean


@averaged
def start_work(system: System, agents: int) -> float:
    """Return the work that the start of all agents is for a loop, W [s]."""
    cpu = system.cpu
    if system.own_server is not None:
        return 0.0
    if system.polling is not None:
        first = agents * (cpu.parse_request.mean + cpu.query.mean)
    elif system.requests is not None:
        first = 0.0
    else:
        assert system.push is not None
        clients = 0 if not system.push.connects else system.push.clients(agents)
        first = clients * cpu.connect.mean
    work = first / system.processors
    if system.workload.traffic.closed:
        work += _first_messages(system.workload, agents) * _per_message(system, agents)
    return work


def _load(system: System, agents: int) -> float:
    """Return the share of the busiest station that messages, and those who ask for them, use."""
    if system.own_server is not None:
        return 0.0
    rate = admitted_load(system, agents)
    if rate is not None:
        return _load_at(system, agents, rate)
    each = _per_message(system, agents)
    return _load_at(system, agents, 0.0) + (_fastest(system, agents) * each if each else 0.0)


def _load_at(system: System, agents: int, rate: float) -> float:
    if system.polling is not None:
        return polling_load(system, system.polling, agents, rate)
    if system.requests is not None:
        return requests_load(system, rate)
    return push_load(system, rate, system.workload.copies(agents))


def _per_message(system: System, agents: int) -> float:
    """Return what a message takes the busiest station [s]."""
    return _load_at(system, agents, 1.0) - _load_at(system, agents, 0.0)


def _first_messages(workload: Workload, agents: int) -> int:
    """Return how many messages all senders create in the beginning of a closed loop."""
    at_a_time = workload.traffic.at_a_time * workload.copies(agents)
    return len(workload.senders(agents)) * at_a_time


def _fastest(system: System, agents: int) -> float:
    """Return the most messages that a closed loop creates [1/s]; infinite where nobody waits."""
    least = _round_time(system)
    return _first_messages(system.workload, agents) / least if least > 0 else math.inf


def asks_by_reply(system: System) -> bool:
    """Return whether a push system asks in its replies, and so has no connections."""
    return system.push is not None and system.push.asks_by_reply


def _most_in_a_send(system: System) -> int:
    """Return how many messages leave a push system together at most."""
    return (system.push.batch_size or 1) if system.push is not None else 1


def _posts(system: System) -> float:
    """Return how often a message is sent, in the mean: webhooks repeat what was refused."""
    hook = system.push.webhook if system.push is not None else None
    if hook is None or hook.failure == 0:
        return 1.0
    return sum(hook.failure**post for post in range(hook.attempts))


def _write_per_event(store: EventStore) -> float:
    """Return what an event takes a writer, in a batch of the size at which that is least [s]."""
    write, most = store.write.mean, store.batch_size or 1
    return min(write, (write + (most - 1) * store.write_more) / most)
