"""Nodes behind a balancer; see `lhsim.models.balancer`.

A receiving side is on one node at a time, that of its request, attempt or connection: its `home`.
A message's request is on one, and what is sent to its target on another.
"""

from __future__ import annotations

from lhsim import rules
from lhsim._jit import inlined
from lhsim.compiled.outlining import of_world
from lhsim.compiled.state import NOBODY, State
from lhsim.rules import choose_node
from lhsim.streams import Purpose

OF_MESSAGE = int(Purpose.NODE_OF_MESSAGE)
OF_REQUEST = int(Purpose.NODE_OF_REQUEST)
OF_ANSWER = int(Purpose.NODE_OF_ANSWER)


@inlined
def has_nodes(s: State) -> bool:
    """Return whether there are several nodes."""
    return len(s.options) > 1 and s.settings[0].nodes > 1


@of_world
def choose(s: State, agent: int, purpose: int, entity: int, index: int) -> int:
    """Return the node to which the balancer sends what comes from an agent."""
    settings, counts = s.settings[0], s.counts[0]
    client = agent // settings.agents_per_connection
    if settings.affinity and s.homes[client].kept >= 0 and not is_down(s, s.homes[client].kept):
        kept: int = s.homes[client].kept
        return kept
    turn, loads, up, alive = counts.turn, s.nodes.load, s.nodes.up, _look(s)
    address = settings.seed, purpose, entity, index
    node = choose_node(settings.rule, client, turn, loads, up, alive, *address)
    counts.turn = (node + 1) % settings.nodes
    if settings.affinity:
        s.homes[client].kept = node
    return node


@inlined
def _look(s: State) -> int:
    """Look which nodes are up; return how many."""
    alive = len(s.nodes)
    if s.downtimes.shape[1] > 0:
        alive = 0
        for node in range(len(s.nodes)):
            s.nodes[node].up = not is_down(s, node)
            alive += s.nodes[node].up
    return alive


@inlined
def is_down(s: State, node: int) -> bool:
    """Return whether a node is down now."""
    return len(s.options) > 1 and has_nodes(s) and rules.is_down(node, s.queue[0].now, s.downtimes)


@inlined
def no_node_is_up(s: State) -> bool:
    """Return whether all nodes are down."""
    return len(s.options) > 1 and has_nodes(s) and s.downtimes.shape[1] > 0 and _look(s) == 0


@inlined
def is_unreachable(s: State) -> bool:
    """Return whether nobody reaches the server: an outage, or a failure of all nodes."""
    return len(s.options) > 2 and (s.counts[0].outages > 0 or no_node_is_up(s))


@inlined
def failing(s: State, fault: int) -> int:
    """Return the node that a fault is of, or NOBODY."""
    return int(-1 - s.cuts[2, fault]) if s.cuts[2, fault] < 0 else NOBODY


@inlined
def receive(s: State, agent: int, index: int) -> None:
    """Let the balancer send an agent's request, attempt to connect, or poll, to a node."""
    if len(s.options) > 1 and has_nodes(s):
        s.homes[agent].node = choose(s, agent, OF_REQUEST, agent, index)


@inlined
def home(s: State, agent: int) -> int:
    """Return the node that a receiving side is on."""
    node = 0
    if len(s.options) > 1 and has_nodes(s):
        node = s.homes[agent].node
    return node


@inlined
def own(s: State, place: int) -> int:
    """Return the node that a message's request is on."""
    node = 0
    if len(s.options) > 1 and has_nodes(s):
        node = s.sites[place].own
    return node


@inlined
def targets(s: State, place: int) -> int:
    """Return the node from which a message is sent to its target."""
    node = 0
    if len(s.options) > 1 and has_nodes(s):
        node = s.sites[place].targets
    return node


@inlined
def place_on(s: State, place: int, node: int) -> None:
    """Let a message's request, or what takes the place of one, be on a node."""
    if len(s.options) > 1 and has_nodes(s):
        s.sites[place].own = node


@inlined
def hold(s: State, node: int) -> None:
    """Let a node hold one more arrival that takes no place among its connections."""
    if len(s.options) > 1 and has_nodes(s):
        s.nodes[node].load += 1


@inlined
def let_go(s: State, node: int) -> None:
    """Let a node be done with one of those."""
    if len(s.options) > 1 and has_nodes(s):
        s.nodes[node].load -= 1


@inlined
def arrive(s: State, place: int, sender: int, index: int) -> None:
    """Let a message come to a node, which holds it until it is answered."""
    if len(s.options) > 1 and has_nodes(s):
        node = choose(s, sender, OF_MESSAGE, sender, index)
        s.sites[place].own = node
        s.sites[place].held = 1
        s.nodes[node].load += 1


@inlined
def depart(s: State, place: int) -> None:
    """Let a message's request leave its node, if it is there."""
    if len(s.options) > 1 and has_nodes(s) and s.sites[place].held:
        s.sites[place].held = 0
        s.nodes[s.sites[place].own].load -= 1


@inlined
def set_held(s: State, place: int, held: int) -> None:
    """Note whether a request is on its node, as that of a new place is not."""
    if len(s.options) > 1 and has_nodes(s):
        s.sites[place].held = held
