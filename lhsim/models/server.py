"""A server of your own: what the polling and the push server are, for any other protocol.

A description, a frozen attrs class derived from `Server`, says what a model file may set; the
processes that it starts on a bridge, derived from `ServerProcesses`, say what happens. They are
SimPy processes, and may use all of SimPy: resources, stores, interrupts, conditions::

    @frozen
    class RoundRobin(Server):
        "Each agent is called on once a round."

        round: Seconds = 0.5  # [s]

        def serve(self, bridge: Bridge) -> ServerProcesses:
            return RoundRobinProcesses(self, bridge)

A model file names it by its import path::

    name = "round-robin"

    [server]
    kind = "mypackage.servers:RoundRobin"
    round = "250 ms"

What holds for every server: a message ends exactly once, by `Ledger.end` of ``bridge.ledger`` at
the time of the clock; and all that is random is drawn by address, through ``bridge.stage`` or
`lhsim.streams.uniform`, so that one seed means one run. `lhsim.testing.check_server` checks it.
"""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from lhsim.models.bridge import Bridge, Steps
    from lhsim.models.ledger import Message
    from lhsim.models.limits import RateLimit


class Server(abc.ABC):
    """The description of a server of your own: a frozen attrs class with its parameters.

    A subclass has a field `connections` or `rate_limit` where it has such limits. With
    `rate_limit`, ``bridge.receive`` rejects what is beyond it.
    """

    tag: ClassVar[str] = "kind"
    entry_points: ClassVar[str] = "lhsim.servers"

    @abc.abstractmethod
    def serve(self, bridge: Bridge) -> ServerProcesses:
        """Return this server's processes on a bridge."""

    @property
    def connections(self) -> int | None:
        """How many connections are open at a time; None: there is no limit."""
        return None

    @property
    def rate_limit(self) -> RateLimit | None:
        """The limit of the messages that an agent sends; None: there is none."""
        return None


class ServerProcesses(abc.ABC):
    """The processes of a server of your own on a bridge.

    ``self.env`` is the clock, a `simpy.Environment`; ``self.bridge`` has the rest: the steps
    `receive`, `write`, `acknowledge`, `compute`, `delay`, `travel` and `think`, the event loops,
    the store, the memory, and the ledger of messages.

    What queues in it belongs to its figures: a station that ``bridge.station`` makes, and each
    `simpy.Resource` that is an attribute when the processes are made, under its name there. They
    count in the utilisation, and the busiest of them may be the bottleneck.
    """

    cycles = 0  # of looking for messages, for the metric polling_cycles_total
    wasted_cycles = 0  # that found nothing
    refused = 0  # requests or connections, by a limit
    answers_sender = False  # whether a message is a request, whose answer its sender awaits

    def __init__(self, bridge: Bridge) -> None:
        self.bridge = bridge
        self.env = bridge.env

    @abc.abstractmethod
    def carry(self, message: Message) -> Steps:
        """Take a message from its sender; the process begins when the sender means to send it."""

    def attend(self, agent: int, start: float) -> Steps:
        """Receive messages as an agent, from the time `start` [s] on.

        By default an agent has no process for that: messages are handed to it where they are.
        """
        yield self.env.timeout(start)

    def fail(self, node: int) -> None:  # noqa: B027 - a server of your own has no nodes
        """Close the connections to a node."""

    def cut(self, is_hit: Callable[[int], bool]) -> None:  # noqa: B027 - most have nothing to cut
        """Close the connections of the agents that a fault hits; by default there are none."""
