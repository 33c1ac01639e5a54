"""What clients wait for: the answer to a request, a failure, or the end of their patience."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simpy import Environment
    from simpy.events import Event


class Failed(Enum):
    """Why a client has no answer."""

    TIMED_OUT = auto()
    REFUSED = auto()
    CUT = auto()  # its connection


class Waiting:
    """The clients that wait for a reply and may give up."""

    def __init__(self, env: Environment) -> None:
        self.env = env
        self.replies: dict[Reply, None] = {}  # that are outstanding, oldest first
        self.given_up = 0

    def ask(self, agent: int, patience: float | None) -> Reply:
        """Return the reply to a request; an agent with `patience` gives up after it [s]."""
        reply = Reply(self, agent)
        self.replies[reply] = None
        if patience is not None:
            timer = self.env.timeout(patience)
            timer.callbacks.append(lambda _: self._time_out(reply))
        return reply

    def _time_out(self, reply: Reply) -> None:
        if not reply.event.triggered:
            self.given_up += 1
            reply.give(Failed.TIMED_OUT)


class Reply:
    """What a client waits for: the first of an answer, a failure and the end of its patience."""

    def __init__(self, waiting: Waiting, agent: int) -> None:
        self.agent = agent
        self.node: int | None = None  # that works on it now
        self.event: Event = waiting.env.event()
        self._waiting = waiting

    def give(self, value: Any) -> None:
        """Give the client an answer, or say why it gets none; later ones have no effect."""
        if not self.event.triggered:
            del self._waiting.replies[self]
            self.event.succeed(value)
