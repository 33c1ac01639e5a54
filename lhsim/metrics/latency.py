"""The latencies of one run: moments, quantiles, and how well a single run knows them."""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from lhsim.analysis.intervals import estimate
from lhsim.errors import InputError
from lhsim.metrics import histogram

FEWEST_BATCHES = 5
FEWEST_IN_TAIL = 5  # values of a batch beyond a quantile before the batch says anything about it


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
        self._check(q)
        value = histogram.quantile(self._with_ages, q)
        return min(max(value, self.min), self.max) if self.count and not self.pending else value

    def is_lower_bound(self, q: float) -> bool:
        """Return whether pending messages leave open how long the `q`-quantile really is."""
        self._check(q)
        if not self.pending:
            return False
        longest = histogram.quantile(self.counts.sum(axis=0), q, beyond=self.pending)
        return longest > self.quantile(q) * (1 + 1 / histogram.STEPS)

    def mean_interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Return an interval for the mean [s] from batch means; NaN with too few messages."""
        sums, counts = self.sums, self.counts.sum(axis=1)
        for batches in self._batchings():
            by_batch = counts.reshape(batches, -1).sum(axis=1)
            if by_batch.min() >= FEWEST_IN_TAIL:
                means = sums.reshape(batches, -1).sum(axis=1) / by_batch
                return estimate(means, confidence).interval
        return math.nan, math.nan

    def interval(self, q: float, confidence: float = 0.95) -> tuple[float, float]:
        """Return an interval for the `q`-quantile [s] from the quantiles of batches.

        NaN where each of five batches would hold fewer than five messages beyond the quantile.
        """
        self._check(q)
        for batches in self._batchings():
            rows = self.counts.reshape(batches, -1, histogram.BUCKETS).sum(axis=1)
            if rows.sum(axis=1).min() * min(q, 1 - q) >= FEWEST_IN_TAIL:
                quantiles = [histogram.quantile(row, q) for row in rows]
                return estimate(quantiles, confidence).interval
        return math.nan, math.nan

    @cached_property
    def _with_ages(self) -> histogram.Counts:
        """Latencies delivered, and the ages of the pending messages, of shape (buckets,)."""
        total: histogram.Counts = self.counts.sum(axis=0)
        for age in self.ages:
            total[histogram.bucket(age)] += 1
        return total

    def _batchings(self) -> list[int]:
        most = len(self.sums)
        return [n for n in (most, most // 2, most // 4) if n >= FEWEST_BATCHES and most % n == 0]

    @staticmethod
    def _check(q: float) -> None:
        if not 0 <= q <= 1:
            raise InputError(f"{q!r} is out of range", key="q", allowed="a number from 0 to 1")
