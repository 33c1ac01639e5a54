"""The ledger: every message from its creation to its one outcome, and the statistics of them.

Messages are conserved: created = delivered + rejected + dropped + expired + lost + pending, and
each run checks it. Latencies are those of the *cohort*, the messages created inside a window, each
followed until it ends; they stream into a histogram: memory does not grow with the messages.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from attrs import field, frozen
from simpy.events import Event

from lhsim.errors import InvariantError, LhsimError
from lhsim.metrics.account import BATCHES, Outcome, Window
from lhsim.metrics.histogram import BUCKETS, Counts, record
from lhsim.rules import attempt_index, batch

if TYPE_CHECKING:
    from lhsim.models.classes import Population
    from lhsim.models.replies import Reply


MOST_AT_ONCE = 5_000_000  # messages of one instant: no agents that start together have so many


class Message:
    """One message on its way; times in seconds, NaN until they are known."""

    __slots__ = (
        "acknowledged", "attempts", "copies", "created", "delivered", "ended", "event", "node",
        "number", "original", "outcome", "reached", "reply", "sender", "size", "stored", "target",
    )  # fmt: skip

    def __init__(self, sender: int, number: int, target: int, created: float) -> None:
        self.sender = sender
        self.number = number  # of its sender
        self.target = target
        self.created = created  # when the sender meant to send it
        self.size = 0.0  # [B]
        self.stored = np.nan
        self.acknowledged = np.nan  # when the server had answered its sender
        self.event = -1  # its number in the log of the store
        self.delivered = np.nan
        self.reached: float | None = None  # its target, where it is not delivered by that alone
        self.outcome = Outcome.PENDING
        self.copies: tuple[Message, ...] = ()  # broadcast: to the other targets
        self.ended: Countdown | None = None  # where the sender waits for the end
        self.original: Message | None = None  # of an attempt at a message
        self.attempts: Attempts | None = None  # at a message that its sender sends again
        self.node = 0  # that its sender's request is on
        self.reply: Reply | None = None  # where its sender waits for an answer

    @property
    def together(self) -> tuple[Message, ...]:
        """All messages that were sent with this one, which brings them to the server."""
        return (self, *self.copies)

    def attempt(self, number: int) -> Message:
        """Return attempt `number`, from 0 on, to send this message: a message of its own."""
        index = attempt_index(number, self.number)
        attempt = Message(self.sender, index, self.target, self.created)
        attempt.original = self
        attempt.size = self.size
        self.attempts = self.attempts or Attempts()
        self.attempts.open += 1
        return attempt


def size_of(messages: Iterable[Message]) -> float:
    """Return the size of messages together [B], added up in their order."""
    size = 0.0
    for message in messages:
        size += message.size
    return size


class Attempts:
    """The attempts at one message: the first that is delivered counts, else the last that fails."""

    def __init__(self) -> None:
        self.open = 0  # those that have not ended
        self.given_up = False  # whether there are no further ones
        self.outcome = Outcome.PENDING  # of the last that has ended


class Countdown:
    """An event that succeeds once a number of messages have ended."""

    def __init__(self, messages: int, event: Event) -> None:
        self._left = messages
        self._event = event

    def count(self) -> None:
        """Count the end of one message."""
        self._left -= 1
        if self._left == 0:
            self._event.succeed()


@frozen
class Totals:
    """Sums over the delivered messages of the cohort [s], by batch where of shape (BATCHES,)."""

    latency: np.ndarray = field(factory=lambda: np.zeros(BATCHES))
    to_store: np.ndarray = field(factory=lambda: np.zeros(1))
    from_store: np.ndarray = field(factory=lambda: np.zeros(1))


class Ledger:
    """All messages of a run."""

    def __init__(
        self, window: Window, population: Population, *, keep_messages: bool = False
    ) -> None:
        self._window = window
        self.population = population
        self.created = 0
        self._instant = (-np.inf, 0)  # of the last message, and how many had been created before it
        self.outcomes = [0] * len(Outcome)  # of ended messages, by Outcome
        self.cohort = [0] * len(Outcome)  # of the ended messages of the cohort
        self.cohort_created = 0
        self.open: dict[Message, None] = {}  # created and not ended, oldest first
        self.histogram: Counts = np.zeros((BATCHES, BUCKETS), np.int64)
        several = len(population.names) if len(population.names) > 1 else 0
        # By class of the sender, where there are several.
        self.class_cohort = np.zeros((several, len(Outcome)), np.int64)
        self.class_histogram: Counts = np.zeros((several * BATCHES, BUCKETS), np.int64)
        self.class_latency = np.zeros(several * BATCHES)
        self.totals = Totals()
        self.shortest = np.inf
        self.longest = -np.inf
        self.last_end = 0.0
        self.duplicates = 0  # deliveries of a message that had ended before
        self.kept: list[Message] | None = [] if keep_messages else None

    @property
    def backlog(self) -> int:
        """Messages that have been created and have not ended."""
        return len(self.open)

    def create(self, sender: int, number: int, target: int, now: float) -> Message:
        """Return a new message.

        Raises
        ------
        LhsimError
            When there is no end to messages of one instant, as where a refusal takes no time.
        """
        message = Message(sender, number, target, now)
        if now > self._instant[0]:
            self._instant = (now, self.created)
        elif self.created - self._instant[1] > MOST_AT_ONCE:
            raise LhsimError(f"time stands still at {now:g} s: messages cause each other at once")
        self.created += 1
        self.open[message] = None
        if self._window.start <= now < self._window.cohort_end:
            self.cohort_created += 1
        if self.kept is not None:
            self.kept.append(message)
        return message

    def end(self, message: Message, outcome: Outcome, now: float) -> None:
        """Record how a message ended.

        Raises
        ------
        InvariantError
            When it had ended before.
        """
        if message.outcome is not Outcome.PENDING:
            name = f"message {message.number} of agent {message.sender}"
            raise InvariantError(f"{name} ended twice: {message.outcome.name}, {outcome.name}")
        message.outcome = outcome
        if message.original is not None:
            self._end_attempt(message, message.original, now)
            return
        del self.open[message]
        self.outcomes[outcome] += 1
        self.last_end = now
        window = self._window
        among = batch(message.created, window.start, window.cohort_end, BATCHES)
        if among >= 0:
            self.cohort[outcome] += 1
            if len(self.class_cohort):
                self.class_cohort[self.population.class_of(message.sender), outcome] += 1
        if outcome is Outcome.DELIVERED:
            message.delivered = now if message.reached is None else message.reached
            if among >= 0:
                self._measure(message, among)
        if message.ended is not None:
            message.ended.count()

    def acknowledge(self, message: Message, now: float) -> None:
        """Record that a sender has its answer: of an attempt, if it is the first that has one."""
        message = message.original or message
        if np.isnan(message.acknowledged):
            message.acknowledged = now

    def give_up(self, message: Message, now: float) -> None:
        """Note that a message is not retried: it fails once all its attempts have."""
        assert message.attempts is not None
        message.attempts.given_up = True
        self._end_original(message, message.attempts, now)

    def _end_attempt(self, attempt: Message, original: Message, now: float) -> None:
        attempts = original.attempts
        assert attempts is not None
        attempts.open -= 1
        attempts.outcome = attempt.outcome
        if attempt.outcome is Outcome.DELIVERED and original.outcome is not Outcome.PENDING:
            self.duplicates += 1
        if original.outcome is Outcome.PENDING:
            original.stored, original.reached = attempt.stored, attempt.reached
            self._end_original(original, attempts, now)

    def _end_original(self, message: Message, attempts: Attempts, now: float) -> None:
        delivered = attempts.outcome is Outcome.DELIVERED
        failed = attempts.given_up and attempts.open == 0
        if message.outcome is Outcome.PENDING and (delivered or failed):
            self.end(message, attempts.outcome, now)

    def check_conservation(self) -> None:
        """Raise InvariantError unless each message created has ended once or is pending."""
        accounted = sum(self.outcomes) + len(self.open)
        if accounted != self.created:
            raise InvariantError(f"{self.created} messages created, {accounted} accounted for")

    def _measure(self, message: Message, among: int) -> None:
        latency = message.delivered - message.created
        record(self.histogram, among, latency)
        self.totals.latency[among] += latency
        if len(self.class_cohort):
            row = self.population.class_of(message.sender) * BATCHES + among
            record(self.class_histogram, row, latency)
            self.class_latency[row] += latency
        self.totals.to_store[0] += message.stored - message.created
        self.totals.from_store[0] += message.delivered - message.stored
        self.shortest = min(self.shortest, latency)
        self.longest = max(self.longest, latency)
