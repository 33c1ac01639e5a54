"""The latencies of one run: moments, quantiles, and how well runs know them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from lhsim.analysis import flags
from lhsim.analysis.intervals import (
    Estimate,
    Sample,
    batch_means,
    effective_size,
    mean_over_replications,
    quantile_of_batches,
    quantile_over_replications,
)
from lhsim.checks import level, share
from lhsim.metrics import histogram

FEWEST_BATCHES = 5
FEWEST_IN_BATCH = 5  # messages, before the mean of a batch says anything
# How large a part of the messages is beyond the quantiles that tell how much they are correlated.
_TAILS = (0.5, 0.25, 0.1, 0.05, 0.025, 0.01, 0.005, 0.0025, 0.001)


@frozen(eq=False)
class Latency:
    """End-to-end latencies of the messages that were created in the measured window.

    Messages still on their way at the end of the run have a latency longer than their age. They
    count in each quantile; see `is_lower_bound`.
    """

    counts: histogram.Counts = field(repr=False)  # delivered, of shape (batches, buckets)
    sums: NDArray[np.float64] = field(repr=False)  # of the latencies delivered, by batch [s]
    min: float  # [s]; NaN where nothing was delivered
    max: float  # [s]; NaN where nothing was delivered
    ages: NDArray[np.float64] = field(repr=False)  # of the pending messages of the cohort [s]

    @property
    def count(self) -> int:
        """How many messages were delivered."""
        return int(self.counts.sum())

    @property
    def pending(self) -> int:
        """How many messages were still on their way."""
        return len(self.ages)

    @property
    def mean(self) -> float:
        """The mean latency of the delivered messages [s]; NaN where there is none."""
        return float(self.sums.sum()) / self.count if self.count else math.nan

    def quantile(self, q: float) -> float:
        """Return the `q`-quantile [s], to within 0.78 % of itself; NaN without messages.

        A pending message counts with its age, so the value is a lower bound where
        `is_lower_bound` says so.
        """
        return self._inside(self._quantile(level(q, "q")))

    def is_lower_bound(self, q: float) -> bool:
        """Return whether pending messages leave open how long the `q`-quantile really is."""
        q = level(q, "q")
        if not self.pending:
            return False
        longest = histogram.quantile(self.counts.sum(axis=0), q, beyond=self.pending)
        return longest > self.quantile(q) * (1 + 1 / histogram.STEPS)

    def mean_estimate(self, confidence: float = 0.95) -> Estimate:
        """Return the mean of the delivered messages [s], with an interval from batch means.

        There is no interval where each of five batches would hold fewer than five messages. Where
        pending messages leave the p99 open, the mean is a lower bound as well.
        """
        confidence = share(confidence, "confidence")
        counts = self.counts.sum(axis=1)
        found = Estimate(self.mean, math.nan, math.nan, 0, (flags.FEW_BATCHES,))
        for batches in self._batchings():
            by_batch = counts.reshape(batches, -1).sum(axis=1)
            if by_batch.min() >= FEWEST_IN_BATCH:
                sums = self.sums.reshape(batches, -1).sum(axis=1)
                found = batch_means(sums, by_batch, confidence, mean_sample([self])).within(0.0)
                break
        return found.flagged(flags.LOWER_BOUND) if self.is_lower_bound(0.99) else found

    def estimate(self, q: float, confidence: float = 0.95) -> Estimate:
        """Return the `q`-quantile [s] of the run, with an interval from its batches.

        Pending messages count as in `quantile`; the youngest of a run, they are of its last batch.
        Where they leave the quantile open, the interval is open above.
        """
        q, confidence = level(q, "q"), share(confidence, "confidence")
        shares, counts = _shares(self._batches(), self._quantile(q))
        found = quantile_of_batches(
            q, shares, counts, self._quantile, confidence, quantile_sample([self], q)
        )
        return self._finished(q, found)

    def mean_interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Return the interval of `mean_estimate` [s]; NaN with too few messages."""
        return self.mean_estimate(confidence).interval

    def interval(self, q: float, confidence: float = 0.95) -> tuple[float, float]:
        """Return the interval of `estimate` [s]; infinite where nothing bounds it from above."""
        return self.estimate(q, confidence).interval

    def _quantile(self, q: float) -> float:
        return histogram.quantile(self._with_ages, q)

    def _inside(self, value: float) -> float:
        """Return a value inside a bucket [s] where it can be: no latency lies beyond the ends."""
        if self.pending or not self.count or not math.isfinite(value):
            return value
        return min(max(value, self.min), self.max)

    def _finished(self, q: float, found: Estimate) -> Estimate:
        """Return an estimate of a quantile [s] as pending messages and the ends leave it."""
        ends = self._outward(found.low, 0), self._outward(found.high, 1)
        value, low, high = map(self._inside, (found.value, *ends))
        if not self.is_lower_bound(q):
            return Estimate(value, low, high, found.n, found.flags)
        return Estimate(value, low, math.inf, found.n, found.flags).flagged(flags.LOWER_BOUND)

    def _outward(self, end: float, side: int) -> float:
        """Return an end of an interval [s], at the edge of its bucket where that is no even one.

        A latency that many messages have, such as a constant service time, is anywhere in its
        bucket. Such a bucket holds far more than one beside it.
        """
        if not 0 < end < math.inf:
            return end
        index, counts = histogram.bucket(end), self._with_ages
        beside = int(min(counts[max(index - 1, 0)], counts[min(index + 1, len(counts) - 1)]))
        if counts[index] <= max(2 * beside, counts.sum() / histogram.STEPS):
            return end
        return float(histogram.edges(index)[side])

    def _batches(self) -> histogram.Counts:
        """Return the batches, pending messages in the last of them, of shape (batches, buckets)."""
        rows = self.counts.copy()
        rows[-1] += self._with_ages - rows.sum(axis=0)
        return rows

    @cached_property
    def _with_ages(self) -> histogram.Counts:
        """Latencies delivered, and the ages of the pending messages, of shape (buckets,)."""
        total: histogram.Counts = self.counts.sum(axis=0) + histogram.tally(self.ages)
        return total

    def _batchings(self) -> list[int]:
        most = len(self.sums)
        return [n for n in (most, most // 2, most // 4) if n >= FEWEST_BATCHES and most % n == 0]


def merged(runs: Sequence[Latency]) -> Latency:
    """Return the latencies of several runs as those of one, whose batches are the runs."""
    return Latency(
        counts=np.array([run.counts.sum(axis=0) for run in runs]),
        sums=np.array([run.sums.sum() for run in runs]),
        min=float(np.fmin.reduce([run.min for run in runs])),
        max=float(np.fmax.reduce([run.max for run in runs])),
        ages=np.concatenate([run.ages for run in runs]),
    )


def mean_sample(runs: Sequence[Latency]) -> Sample:
    """Return what the messages of runs are worth for their mean."""
    together = merged(runs)
    used = np.flatnonzero(together.counts.sum(axis=0))
    counts = together.counts.sum(axis=0)[used]
    middles = sum(histogram.edges(used)) / 2
    mean = together.mean
    variance = float(counts @ (middles - mean) ** 2) / max(together.count, 1)
    sums = np.concatenate([run.sums for run in runs])
    by_batch = np.concatenate([run.counts.sum(axis=1) for run in runs])
    return _sample(together, effective_size(sums, by_batch, mean, variance))


def quantile_sample(runs: Sequence[Latency], q: float) -> Sample:
    """Return what the messages of runs are worth for their `q`-quantile.

    By how much correlation diminishes the sample is averaged over quantiles from the median to q:
    each of them alone is known too badly, and similar for all in a queue.
    """
    together = merged(runs)
    tail, rows = min(q, 1 - q), np.concatenate([run._batches() for run in runs])
    cumulative = rows.cumsum(axis=1)
    counts, sizes = cumulative[:, -1], []
    if not counts.any() or not tail:
        return _sample(together, (0.0, math.nan))
    for part in (*(one for one in _TAILS if one > tail), tail):
        level = 1 - part if q > 0.5 else part
        index = histogram.bucket(together._quantile(level))
        # To whole buckets: histogram.below() for each level would take ten times as long.
        below = cumulative[:, index]
        level = float(below.sum() / counts.sum())
        sizes.append(effective_size(below, counts, level, level * (1 - level))[0])
    size = float(np.exp(np.mean(np.log(sizes))))
    return _sample(together, (size, math.sqrt(q * (1 - q) / size)))


def _sample(together: Latency, known: tuple[float, float]) -> Sample:
    """Return a sample of latencies, whose error grows by half of their mean at least."""
    origin = together.min
    return Sample(*known, origin=origin, unit=(together.mean - origin) / 2)


def mean_of_runs(runs: Sequence[Latency], confidence: float = 0.95) -> Estimate:
    """Return the mean latency [s] over replications, with its interval."""
    means = [run.mean for run in runs if run.count]
    return mean_over_replications(means, mean_sample(runs), confidence)


def quantile_of_runs(runs: Sequence[Latency], q: float, confidence: float = 0.95) -> Estimate:
    """Return the `q`-quantile [s] of the messages of all replications, with its interval.

    Pending messages count as in `Latency.quantile`. Where they leave the quantile open, the
    interval is open above.
    """
    together = merged(runs)
    rows = np.array([run._with_ages for run in runs])
    shares, counts = _shares(rows, together._quantile(q))
    sample = quantile_sample(runs, q)
    found = quantile_over_replications(q, shares, counts, together._quantile, confidence, sample)
    return together._finished(q, found)


def _shares(rows: histogram.Counts, value: float) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return for each row the share of its values up to `value`, and how many values it has."""
    counts = rows.sum(axis=1)
    below = histogram.below(rows, value)
    return np.divide(below, counts, out=np.zeros(len(rows)), where=counts > 0), counts
