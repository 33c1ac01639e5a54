"""A running system: builds what its processes share, and starts them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from attrs import frozen
from simpy import Environment
from simpy.resources.resource import Resource

from lhsim.models import agent as agents_of
from lhsim.models import stalls as stalls_of
from lhsim.models.balancer import Balancer
from lhsim.models.bridge import Bridge
from lhsim.models.classes import Population
from lhsim.models.consumers import Consumers
from lhsim.models.database import Store
from lhsim.models.faults import downtimes
from lhsim.models.impatient import ImpatientPolling
from lhsim.models.incidents import happen
from lhsim.models.ledger import Ledger
from lhsim.models.loop import Processor, processor
from lhsim.models.memory import MemoryUse
from lhsim.models.polling_processes import Polling
from lhsim.models.push_processes import Push
from lhsim.models.request_processes import Answering
from lhsim.models.stage import stage
from lhsim.models.station import Station
from lhsim.models.steps import steps_of
from lhsim.models.trace import Trace, TracedBridge, TracedStore
from lhsim.models.webhook_processes import Webhooks
from lhsim.rules import slowness
from lhsim.streams import Purpose

if TYPE_CHECKING:
    from lhsim.metrics.account import Window
    from lhsim.models.agent import Senders
    from lhsim.models.polling import PollingServer
    from lhsim.models.server import ServerProcesses
    from lhsim.models.system import System
    from lhsim.models.workload import Workload


@frozen
class Running:
    """A system of SimPy processes that have been started."""

    bridge: Bridge  # what they share
    server: ServerProcesses
    senders: Senders


def start(
    system: System,
    agents: int,
    seed: int,
    window: Window,
    *,
    keep_messages: bool = False,
    trace: Trace | None = None,
) -> Running:
    """Start a system of `agents` agents under a seed; note its steps in a trace if there is one."""
    bridge = _bridge(system, agents, seed, window, trace, keep_messages=keep_messages)
    server = _serve(system, bridge)
    if system.own_server is not None:
        for name, resource in _resources_of(server):
            bridge.adopt(name, resource)
    senders = agents_of.start(bridge, server)
    for number, fault in enumerate(system.cuts):
        bridge.env.process(happen(bridge, server, number, fault))
    return Running(bridge, server, senders)


def _bridge(
    system: System,
    agents: int,
    seed: int,
    window: Window,
    trace: Trace | None,
    *,
    keep_messages: bool,
) -> Bridge:
    env, measured = Environment(), (window.start, window.end)
    population = Population(system.workload.classes, agents)
    stalls = stalls_of.of_component("store", None, system.faults, seed, window.end)
    make_store: type[Store] | partial[TracedStore] = Store
    make_bridge: type[Bridge] | partial[TracedBridge] = Bridge
    if trace is not None:
        make_store, make_bridge = partial(TracedStore, trace), partial(TracedBridge, trace)
    store = make_store(env, system.store, seed, measured, stalls)
    memory = MemoryUse(system.memory, agents, store.log, system.node_count)
    return make_bridge(
        agents=agents,
        seed=seed,
        measured=measured,
        workload=system.workload,
        steps=[steps_of(kind) for kind in system.kinds],
        networks=[kind.network for kind in system.kinds],
        loops=_loops(env, system, seed, window),
        store=store,
        memory=memory,
        balancer=Balancer(env, system.nodes, memory, seed, downtimes(system.faults)),
        ledger=Ledger(window, population, keep_messages=keep_messages),
        rate_limit=system.server.rate_limit,
        agents_per_connection=system.push.agents_per_connection if system.push else 1,
        slowness=slow_agents(system.workload, agents, seed),
    )


def _loops(env: Environment, system: System, seed: int, window: Window) -> list[Processor]:
    cpu, measured = system.cpu, (window.start, window.end)
    stalls = stalls_of.of_component("cpu", cpu.stalls, system.faults, seed, window.end)
    slow = stalls_of.slow_spells(cpu.slowdowns, system.faults, seed, window.end)
    cost = cpu.collection.cost if cpu.collection else None
    collection = stage(cost, Purpose.COLLECTION, seed)
    return [
        processor(env, number, cpu, measured, stalls, slow, collection)
        for number in range(system.loops)
    ]


def slow_agents(workload: Workload, agents: int, seed: int) -> dict[int, float]:
    """Return by what the delays of the slow agents are multiplied."""
    slow = workload.slow
    if slow is None:
        return {}
    return {
        agent: slow.factor
        for agent in range(agents)
        if slowness(slow.share, slow.factor, agent, seed) != 1.0
    }


def _serve(system: System, bridge: Bridge) -> ServerProcesses:
    """Return the processes of the system's server."""
    if system.push is not None and system.push.webhook is not None:
        return Webhooks(system.push, system.push.webhook, bridge)
    if system.push is not None:
        return Push(system.push, bridge)
    if system.polling is not None:
        if system.workload.topology == "queue":
            return Consumers(system.polling, bridge)
        return _polling(system.polling, bridge, cut=bool(system.cuts))
    if system.requests is not None:
        return Answering(system.requests, bridge)
    assert system.own_server is not None
    return system.own_server.serve(bridge)


def _polling(server: PollingServer, bridge: Bridge, *, cut: bool) -> Polling:
    """Return the processes of a polling server, whose connections may be cut."""
    if cut or server.client_timeout is not None:
        return ImpatientPolling(server, bridge)
    return Polling(server, bridge)


def _resources_of(server: ServerProcesses) -> Iterator[tuple[str, Station | Resource]]:
    """Yield the stations and resources that the processes of a server of your own hold, by name.

    Those in a list are called ``NAME 0``, ``NAME 1``, ...; those in a mapping by their keys.
    """
    for attribute, value in vars(server).items():
        name = attribute.strip("_").replace("_", " ")
        if isinstance(value, dict):
            inside = [(f"{name} {key}", one) for key, one in value.items()]
        elif isinstance(value, list | tuple):
            inside = [(f"{name} {number}", one) for number, one in enumerate(value)]
        else:
            inside = [(name, value)]
        yield from ((key, one) for key, one in inside if isinstance(one, Station | Resource))
