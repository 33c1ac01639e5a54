"""Faults that cut connections, as they happen."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from lhsim.models.faults import Disconnect, NodeFailure
from lhsim.models.replies import Failed
from lhsim.rules import is_hit

if TYPE_CHECKING:
    from lhsim.models.bridge import Bridge, Steps
    from lhsim.models.faults import Outage
    from lhsim.models.server import ServerProcesses


def happen(
    bridge: Bridge,
    server: ServerProcesses,
    number: int,
    fault: Outage | Disconnect | NodeFailure,
) -> Steps:
    """Inject a fault, the `number`-th of those that cut connections."""
    yield bridge.env.timeout(fault.at)
    if isinstance(fault, Disconnect):
        _cut(bridge, server, lambda agent: is_hit(bridge.seed, agent, number, fault.share))
        return
    if isinstance(fault, NodeFailure):
        _fail(bridge, server, fault.node)
        return
    bridge.outages += 1
    _cut(bridge, server, lambda _agent: True)
    yield bridge.env.timeout(fault.duration)
    bridge.outages -= 1


def _fail(bridge: Bridge, server: ServerProcesses, node: int) -> None:
    """Cut the connections to a node; the balancer knows by itself that it is down."""
    for reply in [one for one in bridge.waiting.replies if one.node == node]:
        reply.give(Failed.CUT)
    server.fail(node)


def _cut(bridge: Bridge, server: ServerProcesses, hits: Callable[[int], bool]) -> None:
    """Cut the connections of the agents that are hit: requests under way, and push connections."""
    for reply in [one for one in bridge.waiting.replies if hits(one.agent)]:
        reply.give(Failed.CUT)
    server.cut(hits)
