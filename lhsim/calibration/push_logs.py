"""From message logs of a server that pushes to its service time, and so to its capacity.

The server is one queue (`lhsim.calibration.fifo`) fed by the very messages of the logs. Fitted by
least squares are its service time on average and its variation, the part of it that comes after
the delivery, warmth, and a delay that takes no part of the server. Compared are, where the server
keeps up, quantiles of the delay, over all messages and over those that came within so long of the
one before: who follows closely waits for the other, which tells the service time even where no log
is saturated. Where the server does not keep up it is the throughput, which is the capacity.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property

import attrs
import numpy as np
from attrs import evolve, field, frozen
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.special import ndtri

from lhsim.calibration.fifo import deliveries
from lhsim.calibration.logs import Floats, Log
from lhsim.calibration.points import LEVELS, curve, network
from lhsim.distributions import Lognormal, Quantiles
from lhsim.models.cpu import Cpu, Warmth
from lhsim.models.store import EventStore
from lhsim.models.system import System
from lhsim.rules import slopes

PARTS = ("service", "after", "variation", "excess", "gap", "delay")
DELIVERING = 1  # of the services of a message
MEMORY = 1.5e-3  # of warmth: work that halves x [s]
# Standard deviations of the logarithms of the parts, around where the fit begins.
PRIOR = (1.5, 1.0, 0.7, 0.5, 1.0, 1.5)
# Quantiles that are compared, and how far the model may be off them at best, as a ratio.
COMPARED = {0.1: 0.08, 0.25: 0.05, 0.5: 0.04, 0.75: 0.08, 0.9: 0.15}
SHARES = (0.0, 0.1, 0.25, 0.5, 1.0)  # of the messages, by their distance from the one before
ERROR_OF_SHARES = 0.08  # at least, of the median of each
ERROR_OF_THROUGHPUT = 0.02  # likewise
MESSAGES = 20_000  # simulated for a log, at least, in so many repetitions as it takes
BLOCKS, RESAMPLES, SEED = 20, 40, 1  # of the bootstrap
STEP = 0.03  # of the logarithms, for derivatives
ROUNDS = 3  # in which the left-over delay is found
TAIL = 0.75  # level beyond which it is no constant any more


@frozen
class Queue:
    """What is fitted."""

    service: float  # of a message, of a busy server [s]
    after: float  # what of it comes after the delivery, over what delivers it
    variation: float  # of either: standard deviation of the logarithm
    excess: float  # a of f(gap) = a ln(1 + gap / g), `lhsim.calibration.points`
    gap: float  # g [s]
    delay: float  # that takes no part of the server [s]

    @property
    def values(self) -> tuple[float, ...]:
        """The numbers in their order."""
        return attrs.astuple(self)

    @classmethod
    def of(cls, logs: Sequence[float] | Floats) -> Queue:
        """Return the queue with these logarithms."""
        return cls(*(math.exp(value) for value in logs))

    @property
    def parts(self) -> tuple[float, float, float]:
        """Mean services that take a message in, deliver it and acknowledge it [s].

        The first and the last are equal. Then messages are delivered at the rate 1 / `service`
        also when far more come, up to terms of second order: each is served once less often than
        the one before.
        """
        after = self.service * self.after / (1 + 2 * self.after)
        return after, self.service - 2 * after, after

    @property
    def table(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """The curve of warmth."""
        return curve(self.excess, self.gap)


@frozen(eq=False)
class Targets:
    """Logarithms of what a log has, with their errors."""

    names: tuple[str, ...]
    live: Floats
    errors: Floats
    resampled: Floats = field(repr=False)  # shape (RESAMPLES, targets), by blocks of time


@frozen(eq=False)
class Fitted:
    """A queue and how well it is known."""

    queue: Queue
    covariance: NDArray[np.float64]  # of the logarithms
    samples: tuple[Queue, ...]
    simulated: tuple[Floats, ...]  # logarithms of the targets of each log
    targets: tuple[Targets, ...]
    left_over: tuple[float, ...]  # quantiles of the delay at `LEVELS` [s]


class _Arrivals:
    """The messages of a log in the order in which they came, and what is compared of them."""

    def __init__(self, log: Log) -> None:
        order = np.argsort(log.sent, kind="stable")
        self.log = log
        self.sent = log.sent[order]
        self.counts = log.counts[order]
        delays = (log.delivered - log.sent)[order]
        self.delays = np.where(np.isnan(delays), math.inf, delays)
        gaps = np.diff(self.sent, prepend=-math.inf)
        edges = np.quantile(gaps[self.counts], SHARES)
        self._share = np.clip(np.searchsorted(edges[1:-1], gaps), 0, len(SHARES) - 2)
        self._block = np.clip(
            ((self.sent - log.window[0]) / np.ptp(log.window) * BLOCKS).astype(int), 0, BLOCKS - 1
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Of what is compared."""
        if self.log.saturated:
            return ("throughput",)
        whole = [f"delay_p{100 * level:g}" for level in COMPARED]
        return (*whole, *(f"delay_p50, share {k + 1}" for k in range(len(SHARES) - 1)))

    @property
    def least(self) -> list[float]:
        """The least errors of what is compared."""
        if self.log.saturated:
            return [ERROR_OF_THROUGHPUT]
        return [*COMPARED.values(), *([ERROR_OF_SHARES] * (len(SHARES) - 1))]

    def figures(self, delays: Floats, blocks: NDArray[np.int64] | None = None) -> Floats:
        """Return the logarithms of what is compared, from delays of shape (n,) or (times, n).

        With `blocks` only from those blocks of time, as often as they are there.
        """
        delays = np.atleast_2d(delays)
        chosen = np.flatnonzero(self.counts)
        if blocks is not None:
            chosen = np.concatenate([self._of_block[block] for block in blocks])
        if self.log.saturated:
            low, high = self.log.window
            at = self.sent + delays
            rate = ((at >= low) & (at < high)).sum() / len(delays) / (high - low)
            return np.array([math.log(max(rate, 1e-9))])
        picked, shares = delays[:, chosen], self._share[chosen]
        found = list(np.quantile(picked, list(COMPARED), method="nearest"))
        for share in range(len(SHARES) - 1):
            found.append(np.quantile(picked[:, shares == share], 0.5, method="nearest"))
        longest = self.log.span  # stands for what did not arrive
        logarithms: Floats = np.log(np.clip(found, 1e-9, longest))
        return logarithms

    @cached_property
    def _of_block(self) -> list[NDArray[np.int64]]:
        return [np.flatnonzero(self.counts & (self._block == block)) for block in range(BLOCKS)]

    def targets(self, generator: np.random.Generator) -> Targets:
        """Return what the log has, and how it would differ if blocks of its time were others."""
        live = self.figures(self.delays)
        if self.log.saturated:
            counts = self._delivered_by_block()
            picks = generator.integers(BLOCKS, size=(RESAMPLES, BLOCKS))
            resampled = live + np.log(counts[picks].mean(axis=1) / counts.mean())[:, None]
        else:
            filled = [k for k in range(BLOCKS) if len(self._of_block[k])]
            picks = generator.choice(filled, size=(RESAMPLES, len(filled)))
            resampled = np.array([self.figures(self.delays, pick) for pick in picks])
        # A share that is empty in one of them has no median there.
        resampled = np.where(np.isfinite(resampled), resampled, live)
        errors = np.maximum(resampled.std(axis=0, ddof=1), self.least)
        return Targets(self.names, live, errors, resampled)

    def _delivered_by_block(self) -> Floats:
        at = self.log.delivered
        counts, _ = np.histogram(at[np.isfinite(at)], BLOCKS, self.log.window)
        return counts.astype(float)


class _Played:
    """A log simulated, each time with the same random numbers."""

    def __init__(self, arrivals: _Arrivals, generator: np.random.Generator) -> None:
        n = len(arrivals.sent)
        self._times = math.ceil(MESSAGES / n)
        self._arrivals = arrivals
        self._normal = ndtri(generator.random((self._times, 3, n)))
        self._uniform = generator.random((self._times, n))

    def delays(self, queue: Queue, left_over: Sequence[float] | None = None) -> Floats:
        """Return the delays of all messages [s], of shape (times, n)."""
        gaps, excess = queue.table
        warmth = slopes(np.array(gaps), np.array(excess))
        factors = np.exp(queue.variation * self._normal - queue.variation**2 / 2)
        costs = factors * np.array(queue.parts)[:, None]
        sent = self._arrivals.sent
        left = np.array([deliveries(sent, one, DELIVERING, warmth, MEMORY) for one in costs])
        if left_over is None:
            return left - sent + queue.delay
        drawn = Quantiles(LEVELS, tuple(left_over)).quantile(self._uniform)
        return left - sent + drawn


def fit_queue(logs: Sequence[Log]) -> Fitted:
    """Return the queue that is nearest to logs."""
    generator = np.random.Generator(np.random.Philox(SEED))
    arrivals = [_Arrivals(log) for log in logs]
    targets = tuple(one.targets(generator) for one in arrivals)
    played = [_Played(one, generator) for one in arrivals]
    start = np.log(_start(logs).values)

    def simulated(x: Floats) -> list[Floats]:
        queue = Queue.of(x)
        return [one.figures(run.delays(queue)) for one, run in zip(arrivals, played, strict=True)]

    def missed(x: Floats) -> Floats:
        found = [
            (figures - target.live) / target.errors
            for figures, target in zip(simulated(x), targets, strict=True)
        ]
        return np.concatenate([*found, (x - start) / PRIOR])

    def derivatives(x: Floats) -> Floats:
        steps = STEP * np.eye(len(x))
        columns = [(missed(x + step) - missed(x - step)) / (2 * STEP) for step in steps]
        return np.array(columns).T

    solved = least_squares(
        missed, start, jac=derivatives, x_scale=PRIOR, loss="soft_l1", xtol=1e-3, ftol=1e-4,
        max_nfev=40,
    )  # fmt: skip
    jacobian = derivatives(solved.x)
    covariance = np.linalg.inv(jacobian.T @ jacobian).astype(np.float64)
    queue = Queue.of(solved.x)
    return Fitted(
        queue=queue,
        covariance=covariance,
        samples=_samples(solved.x, jacobian, covariance, targets, generator),
        simulated=tuple(simulated(solved.x)),
        targets=targets,
        left_over=_left_over(queue, arrivals, played),
    )


def system_of(template: System, fitted: Fitted, *, constant: bool = False) -> System:
    """Return the push server with a queue's costs, of a template that gives what logs cannot."""
    queue = fitted.queue
    taken_in, delivered, acknowledged = (
        Lognormal(median=part * math.exp(-(queue.variation**2) / 2), sigma=queue.variation)
        for part in queue.parts
    )
    return evolve(
        template,
        cpu=Cpu(
            parse_message=taken_in,
            write=delivered,
            acknowledge=acknowledged,
            connect=template.cpu.connect,
            warmth=Warmth(*queue.table, MEMORY),
        ),
        store=EventStore(),
        network=network(queue.delay, None if constant else fitted.left_over),
        calibration=None,
    )


def _start(logs: Sequence[Log]) -> Queue:
    """Return where the fit begins, and what its prior is around."""
    saturated = [log.throughput for log in logs if log.saturated]
    shortest = min(
        float(np.nanquantile((log.delivered - log.sent)[log.counts], 0.25)) for log in logs
    )
    service = 1 / max(saturated) if saturated else shortest / 2
    return Queue(service, 0.4, 0.4, 0.6, 0.15e-3, shortest / 5)


def _samples(
    x: Floats,
    jacobian: Floats,
    covariance: Floats,
    targets: Sequence[Targets],
    generator: np.random.Generator,
) -> tuple[Queue, ...]:
    """Return the queues that a step of Gauss and Newton leads to from resampled targets.

    They deviate from the targets as resampled blocks do, by the errors that the fit allows for,
    and the prior by its own deviation: what the logs cannot tell is as uncertain as before.
    """
    deviations = []
    for target in targets:
        moved = target.resampled - target.live
        spread = np.maximum(target.resampled.std(axis=0, ddof=1), 1e-12)
        deviations.append(moved / spread)
    noise = generator.standard_normal((RESAMPLES, len(x)))
    moved = np.hstack([*deviations, noise])
    steps = moved @ jacobian @ covariance
    return tuple(Queue.of(x + step) for step in steps)


def _left_over(
    queue: Queue, arrivals: Sequence[_Arrivals], played: Sequence[_Played]
) -> tuple[float, ...]:
    """Return quantiles of the delay: what the live ones have more, where the server keeps up."""
    levels = np.clip(LEVELS, 0.001, 0.999)
    pairs = [(a, p) for a, p in zip(arrivals, played, strict=True) if not a.log.saturated]
    live = []
    for one, _ in pairs:
        known = one.delays[one.counts & np.isfinite(one.delays)]
        live.append(np.quantile(known, levels))
    delay = np.full(len(LEVELS), queue.delay)
    middle, body = LEVELS.index(0.5), np.array(LEVELS) <= TAIL
    for _ in range(ROUNDS):
        found = [
            np.quantile(run.delays(queue, delay.tolist())[:, one.counts], levels)
            for one, run in pairs
        ]
        missing = np.array(live) - np.array(found)
        delay += np.where(body, missing[:, middle].mean(), missing.min(axis=0))
        delay = np.maximum.accumulate(np.maximum(delay, 0.0))
    return tuple(float(value) for value in delay)
