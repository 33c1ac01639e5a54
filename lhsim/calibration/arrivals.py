"""What is compared of a message log of a server that pushes, and the same of a simulated one.

A delay consists of a constant, which is the distance and what clocks are apart, and of what the
server does. Only the second tells of the server, so quantiles are compared as they exceed a common
`constant_part`: 40 ms of distance do not hide a service of 0.2 ms. A clock that ticks is coarse on
both sides: simulated times are rounded as the live ones are, and both are spread over a tick, so
that a quantile changes smoothly with the service time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from lhsim.calibration.logs import Floats, Log

# Quantiles that are compared, and how far the model may be off them at best, as a ratio.
COMPARED = {0.1: 0.08, 0.25: 0.05, 0.5: 0.04, 0.75: 0.08, 0.9: 0.15}
SHARES = (0.1, 0.25, 0.5)  # where messages are divided by their distance from the one before
FEWEST_OF_SHARE = 20  # messages that have a median
ERROR_OF_SHARES = 0.08  # at least, of the median of each
ERROR_OF_THROUGHPUT = 0.02  # likewise
ERROR_OF_TICK = 0.25  # of a clock's tick, of any quantile
BLOCKS, RESAMPLES = 20, 40  # of the bootstrap
SHORTEST, WIDEST = 0.01, 0.9  # quantiles of the delays that span what is no constant
SPANS = 2.0  # spans below the shortest delay from which delays are compared
LEAST_GAP = 1e-9  # gaps between messages that differ by less are equal [s]


@frozen(eq=False)
class Targets:
    """Logarithms of what a log has, with their errors."""

    names: tuple[str, ...]
    live: Floats
    errors: Floats
    resampled: Floats = field(repr=False)  # shape (RESAMPLES, targets), by blocks of time


def constant_part(logs: Sequence[Log]) -> float:
    """Return the delay from which delays are compared, a part of every delay [s].

    It is 0 where delays vary as much as they last. Where they hardly vary it still leaves room for
    the longest service that the throughput allows. Where clocks differ it may be below 0.
    """
    delays = [_arrived(log) for log in logs if not log.saturated]
    shortest = min(float(np.quantile(one, SHORTEST)) for one in delays)
    widest = max(float(np.quantile(one, WIDEST)) for one in delays) - shortest
    tick = max(log.tick for log in logs)
    found = shortest - max(SPANS * widest, SPANS * tick, longest_service(logs))
    return found if any(log.clocks_apart > 0 for log in logs) else max(0.0, found)


def longest_service(logs: Sequence[Log]) -> float:
    """Return the longest service time that the throughput of logs allows [s]."""
    return 1 / max(log.delivery_rate for log in logs)


def _arrived(log: Log) -> Floats:
    delays = (log.delivered - log.sent)[log.counts]
    known: Floats = delays[np.isfinite(delays)]
    return known


class Arrivals:
    """The messages of a log in the order in which they came, and what is compared of them.

    Parameters
    ----------
    log
        Whose messages they are.
    constant
        The delay from which delays are compared [s].
    generator
        Spreads times that a clock rounded over its tick.
    """

    def __init__(self, log: Log, constant: float, generator: np.random.Generator) -> None:
        early, late = generator.uniform(-0.5, 0.5, (2, len(log.sent))) * log.tick
        order = np.argsort(log.sent + early, kind="stable")
        self.log = log
        self.constant = constant
        self.recorded = log.sent[order]
        self.sent = self.recorded + early[order]  # when they came, as far as the clock tells
        self.counts = log.counts[order]
        self._late = late[order]
        delays = (log.delivered - log.sent)[order] + self._late
        self.delays = np.where(np.isnan(delays), math.inf, delays)
        self._shares = _by_gap(self.sent, self.counts)
        self._block = np.clip(
            ((self.sent - log.window[0]) / np.ptp(log.window) * BLOCKS).astype(int), 0, BLOCKS - 1
        )

    def move(self, shift: float) -> None:
        """Let all deliveries be later [s]."""
        self.constant += shift
        self.delays = self.delays + shift

    def as_recorded(self, left: Floats) -> Floats:
        """Return the delays that a log shows of messages that left at these times [s]."""
        tick, first = self.log.tick, self.recorded[0]  # on the grid of the clock
        seen = first + np.round((left - first) / tick) * tick if tick > 0 else left
        delays: Floats = seen - self.recorded + self._late
        return delays

    @property
    def names(self) -> tuple[str, ...]:
        """Of what is compared."""
        if self.log.saturated:
            return ("throughput",)
        whole = [f"delay_p{100 * level:g}" for level in COMPARED]
        return (*whole, *(f"delay_p50, share {k + 1}" for k in range(len(self._shares))))

    def shown(self, figures: Floats) -> list[float]:
        """Return figures as one reads them: delays [s] or throughput [1/s]."""
        constant = 0.0 if self.log.saturated else self.constant
        return [constant + math.exp(one) for one in figures.tolist()]

    def figures(self, delays: Floats, blocks: NDArray[np.int64] | None = None) -> Floats:
        """Return the logarithms of what is compared, from delays of shape (n,) or (times, n).

        With `blocks` only from those blocks of time, as often as they are there; NaN where a share
        of the messages has none in them.
        """
        delays = np.atleast_2d(delays)
        if self.log.saturated:
            return self._throughput(delays)
        chosen = np.flatnonzero(self.counts)
        if blocks is not None:
            chosen = np.concatenate([self._of_block[block] for block in blocks])
        picked = delays[:, chosen]
        found = list(np.quantile(picked, list(COMPARED), method="nearest"))
        found += [_median(picked[:, share[chosen]]) for share in self._shares]
        # The span stands for what did not arrive.
        beyond = np.minimum(found, self.log.span) - self.constant
        least = max(LEAST_GAP, ERROR_OF_TICK * self.log.tick)  # less than a clock can tell
        logarithms: Floats = np.log(np.maximum(beyond, least))
        return logarithms

    def _throughput(self, delays: Floats) -> Floats:
        low, high = self.log.window
        at = self.recorded + delays
        rate = ((at >= low) & (at < high)).sum() / len(delays) / (high - low)
        return np.array([math.log(max(rate, LEAST_GAP))])

    @cached_property
    def _of_block(self) -> list[NDArray[np.int64]]:
        return [np.flatnonzero(self.counts & (self._block == block)) for block in range(BLOCKS)]

    def targets(self, generator: np.random.Generator) -> Targets:
        """Return what the log has, and how it would differ if blocks of its time were others."""
        live = self.figures(self.delays)
        if self.log.saturated:
            counts = self._delivered_by_block()
            picks = generator.integers(BLOCKS, size=(RESAMPLES, BLOCKS))
            drawn = np.maximum(counts[picks].mean(axis=1), LEAST_GAP)
            resampled = live + np.log(drawn / counts.mean())[:, None]
        else:
            filled = [k for k in range(BLOCKS) if len(self._of_block[k])]
            picks = generator.choice(filled, size=(RESAMPLES, len(filled)))
            resampled = np.array([self.figures(self.delays, pick) for pick in picks])
        # A share that is empty in one of them has no median there.
        resampled = np.where(np.isfinite(resampled), resampled, live)
        errors = np.maximum(resampled.std(axis=0, ddof=1), self._least(live))
        return Targets(self.names, live, errors, resampled)

    def _least(self, live: Floats) -> Floats:
        """Return the least errors of what is compared."""
        if self.log.saturated:
            return np.array([ERROR_OF_THROUGHPUT])
        least = [*COMPARED.values(), *([ERROR_OF_SHARES] * len(self._shares))]
        errors: Floats = np.hypot(least, ERROR_OF_TICK * self.log.tick / np.exp(live))
        return errors

    def _delivered_by_block(self) -> Floats:
        at = self.log.delivered
        counts, _ = np.histogram(at[np.isfinite(at)], BLOCKS, self.log.window)
        return counts.astype(float)


def _by_gap(sent: Floats, counts: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
    """Return which messages are in each share by their distance from the one before.

    Equal distances are in one share, as messages that come in batches or at a constant rate have
    them; a share of a few messages is left out.
    """
    gaps = np.round(np.diff(sent, prepend=-math.inf) / LEAST_GAP) * LEAST_GAP
    edges = np.unique(np.quantile(gaps[counts], SHARES, method="nearest"))
    number = np.searchsorted(edges, gaps)
    shares = [number == k for k in range(len(edges) + 1)]
    return [one for one in shares if (one & counts).sum() >= FEWEST_OF_SHARE]


def _median(delays: Floats) -> float:
    return float(np.quantile(delays, 0.5, method="nearest")) if delays.size else math.nan
