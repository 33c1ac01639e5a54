"""The event store: a pool of database connections, a writer, and a log of events."""

from __future__ import annotations

from attrs import field, frozen

from lhsim.checks import non_negative, positive, whole
from lhsim.distributions import Distribution
from lhsim.distributions.base import ZERO
from lhsim.errors import InputError
from lhsim.models.limits import check_sharing
from lhsim.models.log import Retention
from lhsim.units import Seconds


@frozen
class EventStore:
    """The database: what a query and a write wait for, besides the processor's part of them.

    Queries share `connections` connections. With a `single_writer`, as SQLite has it, writes take
    turns of their own and leave the readers alone; without, they share the connections.

    Writers of a `single_writer` wait in line, or with a `busy_timeout` as SQLite has it: who finds
    the database locked sleeps and tries again, each time after a longer sleep, until it gives up.
    There is no line then: who comes at the right moment gets the lock.

    With a `batch_size` and a `linger`, several events are written in one transaction, as in a group
    commit. A batch is one writer then, that waits and gives up as a whole.
    """

    query: Distribution = ZERO  # service time of a query [s]
    write: Distribution = ZERO  # service time of a write [s]
    connections: int = field(default=10, validator=whole(1))  # queries served at a time
    # Longest time that a query or write keeps its connection while others wait [s]; None: until it
    # is done; 0: all share the connections equally.
    quantum: Seconds | None = field(default=None, validator=non_negative)
    single_writer: bool = False  # whether writes take turns of their own
    # What a writer sleeps in all before it gives up, and its message is rejected [s]; None: a line.
    busy_timeout: Seconds | None = field(default=None, validator=positive)
    # Events that are written in one transaction, once there are so many, or `linger` after the
    # first of them [s]. None: each is written on its own.
    batch_size: int | None = field(default=None, validator=whole(1))
    # How long the first event of a batch waits for more [s].
    linger: Seconds | None = field(default=None, validator=positive)
    # What each further event of a batch adds to the write of its first [s].
    write_more: Seconds = field(default=0.0, validator=non_negative)
    # What each byte of a message adds to its write [s].
    write_per_byte: Seconds = field(default=0.0, validator=non_negative)
    # What each byte of a client's request adds to its query [s].
    query_per_byte: Seconds = field(default=0.0, validator=non_negative)
    scan: Seconds = field(default=0.0, validator=non_negative)  # more per query and event kept [s]
    events: int = field(default=0, validator=whole(0))  # events in the log at the start
    retention: Retention | None = None  # which events are kept; None: all

    def __attrs_post_init__(self) -> None:
        check_sharing(self.connections, self.quantum, 0.0, "connections")
        if self.busy_timeout is not None and not self.single_writer:
            allowed = "single_writer = true, or no busy_timeout"
            raise InputError("has no writer to wait for", key="busy_timeout", allowed=allowed)
        for key, other in (("batch_size", "linger"), ("linger", "batch_size")):
            if getattr(self, key) is None and getattr(self, other) is not None:
                raise InputError("is missing", key=key, allowed=f"a number where {other} is given")
        if self.write_more > 0 and self.batch_size is None:
            allowed = "0, or a batch_size and a linger"
            raise InputError("has no batch to add to", key="write_more", allowed=allowed)
