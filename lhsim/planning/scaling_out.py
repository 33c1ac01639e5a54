"""Sizing: what a system is on more servers, and how many servers so many agents get.

>>> from lhsim.planning import ScaleOut, scaled_out
>>> rule = ScaleOut(agents_per_server=2000)
>>> rule.servers(10_000)
5
>>> lhsim.simulate(scaled_out(system, 5), agents=10_000)  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from attrs import evolve, field, frozen

from lhsim.checks import whole, whole_number

if TYPE_CHECKING:
    from lhsim.models import PollingServer, PushServer, Server, System

AnyServer = TypeVar("AnyServer", "PollingServer", "PushServer", "Server")


@frozen
class ScaleOut:
    """One server for every so many agents, the last of them for the rest."""

    agents_per_server: int = field(validator=whole(1))

    def servers(self, agents: int) -> int:
        """Return how many servers so many agents get."""
        return -(-whole_number(agents, "agents") // self.agents_per_server)


def scaled_out(system: System, servers: int) -> System:
    """Return a system with `servers` times its server.

    Event loops, connections to the database and limits on the connections of agents are so many
    times as many, and so is the memory with which a server begins. Everything else stays as it is:

    - It is one system with one event store: any agent reaches any other. Agent i is on loop i mod
      workers, and a pushed message whose target is on another loop costs that loop `cpu.relay`.
      Where this is 0, as in the default systems, scaling out is as good as it can be.
    - Agents that share a connection are on one loop: that of connection i is loop i mod workers.
      With fewer connections than loops some of the loops have nothing to do.
    - A store with a `single_writer` stays one writer, whatever stands in front of it.
    - Where there are nodes there are so many times as many of them: a loop, a worker or a limit of
      connections is that of one node, and stays as it is.
    - Stalls still stop all loops at once, as those of one host do.
    - The calibration is that of one server, so that results beyond its range are extrapolated.

    Parameters
    ----------
    system
        What stands for one server.
    servers
        How many of it there are. With 1 it is the system itself, name and all.

    Raises
    ------
    InputError
        When `servers` is no whole number >= 1.
    """
    servers = whole_number(servers, "servers", 1)
    if servers == 1:
        return system
    cpu, store, memory = system.cpu, system.store, system.memory
    nodes, of_one = system.nodes, servers  # as many times as many as one node has
    if nodes is not None:
        nodes, of_one = evolve(nodes, count=nodes.count * servers), 1
    return evolve(
        system,
        name=scaled_out_name(system.name),
        cpu=evolve(cpu, workers=cpu.workers * of_one),
        store=evolve(store, connections=store.connections * servers),
        polling=system.polling and _admitting(system.polling, of_one),
        push=system.push and _admitting(system.push, of_one),
        server=system.own_server and _admitting(system.own_server, of_one),
        nodes=nodes,
        memory=evolve(memory, baseline=memory.baseline * servers),
    )


def scaled_out_name(name: str) -> str:
    """Return what the system `name` is called when it is scaled out, to however many servers."""
    return f"{name}, scaled out"


def _admitting(server: AnyServer, servers: int) -> AnyServer:
    """Return a server with so many times its limit of connections, where it has one."""
    limit = server.connections
    if limit is None:
        return server
    return evolve(server, connections=limit * servers)  # type: ignore[misc] # all have attrs
