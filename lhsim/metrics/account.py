"""What an engine knows of a run: its counters, samples of its state, and its final account.

All engines hand over the same classes, so that nothing above them asks which of them ran.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

BATCHES = 20  # of the cohort, by time of creation: for intervals from a single run


class Outcome(IntEnum):
    """How a message ends. One that has not ended is pending."""

    PENDING = 0
    DELIVERED = 1
    REJECTED = 2  # refused by a limit
    DROPPED = 3  # no room in an outbound queue
    EXPIRED = 4  # too late: by its own timeout, or the store has removed it
    LOST = 5  # its connection closed under it


@frozen
class Window:
    """The measured part of a run [s]."""

    start: float  # end of the warm-up
    cohort_end: float  # messages created from `start` to here are followed
    end: float  # end of the run


@frozen
class Counters:
    """How often something has happened since the start of a run."""

    created: int  # messages
    delivered: int
    ended: int  # messages, in whatever way
    queries: int
    writes: int  # transactions: of one event, or of a batch of them
    locked: int  # times that a writer found the database locked
    cycles: int  # polling: queries of a request, the sleeps between them not counted
    wasted: int  # polling: cycles that found nothing
    timeouts: int  # polling: requests with an empty answer
    stored: int  # push: messages that became visible
    sent: int  # push: messages on an open connection
    attempts: int  # push: to connect
    answered: int  # push: elicitations, in time
    refused: int  # requests or attempts, by the limit of connections
    limited: int  # messages rejected by the rate limit
    cache_hits: int  # polling: cycles that the cache has spared a query
    retries: int = 0  # attempts to send a message beyond the first
    duplicates: int = 0  # deliveries of messages beyond the first
    dropped: int = 0  # push: attempts to connect, by a full backlog
    given_up: int = 0  # requests and attempts, by clients after their timeout

    @property
    def open(self) -> int:
        """Messages that have been created and have not ended."""
        return self.created - self.ended

    @property
    def model_events(self) -> int:
        """Messages created and delivered, queries and sleeps."""
        return self.created + self.delivered + self.queries + self.wasted


@frozen
class State:
    """The state of a system at one time."""

    queued: int  # services that wait for a server
    connections: int  # requests held, or push connections
    memory: float  # [B]


@frozen(eq=False)
class ClassAccount:
    """What a whole run came to for the messages that one class of agents has sent."""

    agents: int
    cohort: tuple[int, ...]  # ended messages of the cohort, by `Outcome`
    histogram: NDArray[np.int64]  # latencies of the cohort, of shape (BATCHES, BUCKETS)
    latency: NDArray[np.float64]  # sums by batch, of shape (BATCHES,) [s]
    open_since: NDArray[np.float64]  # when the messages still open were created, oldest first [s]


@frozen(eq=False)
class Account:
    """What a whole run came to. The cohort is the messages created in the measured window."""

    outcomes: tuple[int, ...]  # ended messages, by `Outcome`
    cohort: tuple[int, ...]  # of these the ones of the cohort, by `Outcome`
    cohort_created: int
    histogram: NDArray[np.int64]  # latencies of the cohort, of shape (BATCHES, BUCKETS)
    latency: NDArray[np.float64]  # sums by batch, of shape (BATCHES,) [s]
    to_store: float  # sum, from creation to the store [s]
    from_store: float  # sum, from the store to delivery [s]
    shortest: float  # latency [s]; infinite where there is none
    longest: float  # latency [s]
    open_since: NDArray[np.float64]  # when the messages still open were created, oldest first [s]
    last_end: float  # of any message [s]
    peak_memory: float  # [B]
    peak_connections: int
    servers: dict[str, int]  # of each station; the loops are "cpu 0", "cpu 1", ...
    busy: dict[str, float]  # time that they were, summed over the servers [s]
    work: float  # of all loops: their busy time less the pauses in it [s]
    records: dict[str, NDArray[np.generic]] | None  # a row per message, where it was asked for
    # By name; empty where all agents are alike.
    classes: dict[str, ClassAccount] = field(factory=dict)
