"""The request/response server: it answers each request, and knows nothing of its clients else."""

from __future__ import annotations

from attrs import field, frozen

from lhsim.checks import whole
from lhsim.distributions.base import ZERO, Sizes
from lhsim.models.limits import RateLimit


@frozen
class RequestServer:
    """How a server answers requests: with the processor, the store, or both.

    A request is parsed (`cpu.parse_request`), worked on (`cpu.query`, then `store.query`) and
    answered (`cpu.respond`). It occupies one of the server's `workers`, its threads or processes,
    all the while; where all are occupied it waits for one, first come, first served.
    """

    workers: int | None = field(default=None, validator=whole(1))  # requests served at a time
    rate_limit: RateLimit | None = None  # of the requests that a client sends
    # Whether answers wait for the end of their loop's turn and leave together, as those of Redis.
    by_turn: bool = False
    answer_payload: Sizes = ZERO  # of an answer [B]

    @property
    def connections(self) -> int | None:
        """How many connections are open at a time; None: there is no limit."""
        return None
