"""Confidence intervals: for means, and for quantiles, from replications or from batches of a run.

With n replications of mean x and standard deviation s the interval for the mean is x +- t s /
sqrt(n), where t is the quantile of Student's distribution with n - 1 degrees of freedom (Law 2015,
Simulation Modeling and Analysis, section 4.5). The means of the batches of one long run take the
place of replications (section 9.5.3), as long as they do not depend on each other.

A quantile is that of all values together, whose bias is that of the whole sample and not that of
each part. Its interval comes from the *share* of the values at or below it: over the parts, shares
are averaged like any mean, without bias, and their interval q +- h is read off the distribution of
all values (Asmussen and Glynn 2007, Stochastic Simulation, chapter III; Heidelberger and Lewis
1984, Quantile estimation in dependent sequences, Operations Research 32, 185-209). It is not
symmetric, where the distribution is not. ``docs/statistics.md`` has what each of them covers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from attrs import evolve, frozen
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri, stdtrit

from lhsim.analysis import flags

FEWEST_REPLICATIONS = 3
FEWEST_BATCHES = 10  # Schmeiser (1982), Batch size effects: 10 to 30 serve any length of run
SIGNIFICANCE = 0.01  # of the test that finds batches correlated
SMALLEST_TAIL = 9  # independent values beyond a quantile that its interval needs


@frozen
class Estimate:
    """A mean or a quantile and its confidence interval, in the unit of the values."""

    value: float  # NaN without values
    low: float  # NaN where nothing is known of the spread, as with fewer than two values
    high: float  # infinite where nothing bounds it from above
    n: int  # replications or batches that are known
    flags: tuple[str, ...] = ()  # why it cannot be trusted: `lhsim.analysis.flags`

    @property
    def mean(self) -> float:
        """The value, under the name that most estimates have."""
        return self.value

    @property
    def interval(self) -> tuple[float, float]:
        """The interval, from low to high."""
        return self.low, self.high

    @property
    def reliable(self) -> bool:
        """Whether nothing speaks against the interval."""
        return not self.flags

    @property
    def half_width(self) -> float:
        """The distance from the value to the farther end of the interval; NaN without one."""
        return max(self.high - self.value, self.value - self.low)

    @property
    def relative_half_width(self) -> float:
        """The half-width as a part of the value; NaN without an interval."""
        if self.half_width == 0:
            return 0.0
        return self.half_width / abs(self.value) if self.value else math.inf

    def flagged(self, *more: str) -> Estimate:
        """Return the same with more flags."""
        return evolve(self, flags=flags.merged(self.flags, more))

    def within(self, least: float, most: float = math.inf) -> Estimate:
        """Return the same, with an interval no wider than where the quantity can lie at all."""
        low, high = (min(max(end, least), most) for end in (self.low, self.high))
        return self if math.isnan(self.low) else evolve(self, low=low, high=high)

    def scaled(self, factor: float) -> Estimate:
        """Return the same in another unit, which is 1 / `factor` > 0 of this one."""
        low, high = self.low * factor, self.high * factor
        return evolve(self, value=self.value * factor, low=low, high=high)


def estimate(values: Iterable[float | None], confidence: float = 0.95) -> Estimate:
    """Return the mean of independent values and its interval.

    Parameters
    ----------
    values
        One value per replication. None and NaN, "not known", are left out.
    confidence
        Level of the interval, in (0, 1).
    """
    known = [float(value) for value in values if value is not None and not math.isnan(value)]
    few = (flags.FEW_REPLICATIONS,) if len(known) < FEWEST_REPLICATIONS else ()
    return Estimate(*_mean(known, confidence), len(known), few)


def batch_means(sums: ArrayLike, counts: ArrayLike, confidence: float = 0.95) -> Estimate:
    """Return the mean of one run and its interval, from batches that follow one another.

    Parameters
    ----------
    sums, counts
        Of the values in each batch, of shape (batches,); no count is 0. Pairs of neighbours become
        one, if that leaves `FEWEST_BATCHES` or more: what is tested is whether the finer ones are
        correlated, which shows sooner.
    confidence
        Level of the interval, in (0, 1).

    Notes
    -----
    The value is the mean of all values. Batches by time hold nearly as many values each, so that it
    is all but the mean of their means.
    """
    total, number = np.asarray(sums, float), np.asarray(counts, float)
    correlated = _correlated(total / number)
    fewer = _paired(_columns(total, number))
    means = fewer[:, 0] / fewer[:, 1]
    _, low, high = _mean(list(means), confidence)
    value = float(total.sum() / number.sum())
    shift = value - float(means.mean())
    found = Estimate(value, low + shift, high + shift, len(means))
    return found.flagged(*_of_batches(len(means), correlated=correlated))


def quantile_over_replications(
    q: float,
    shares: ArrayLike,
    counts: ArrayLike,
    quantile: Callable[[float], float],
    confidence: float = 0.95,
) -> Estimate:
    """Return the `q`-quantile of all replications together, and its interval.

    Parameters
    ----------
    q
        The level, from 0 to 1.
    shares
        Of the values of each replication, the part at or below ``quantile(q)``.
    counts
        How many values each replication has.
    quantile
        Returns a quantile of all values together.
    confidence
        Level of the interval, in (0, 1).
    """
    found = _inverted(q, _columns(shares, counts), quantile, confidence)
    few = found.n < FEWEST_REPLICATIONS
    return found.flagged(flags.FEW_REPLICATIONS) if few else found


def quantile_of_batches(
    q: float,
    shares: ArrayLike,
    counts: ArrayLike,
    quantile: Callable[[float], float],
    confidence: float = 0.95,
) -> Estimate:
    """Return the `q`-quantile of one run, and its interval from batches that follow one another.

    The parameters are those of `quantile_over_replications`, for batches. As in `batch_means` the
    finer batches are tested, and neighbours become one.
    """
    batches = _columns(shares, counts)
    batches = batches[batches[:, 1] > 0]
    correlated = _correlated(batches[:, 0])
    sums = _paired(_columns(batches[:, 0] * batches[:, 1], batches[:, 1]))
    fewer = _columns(sums[:, 0] / sums[:, 1], sums[:, 1])
    found = _inverted(q, fewer, quantile, confidence)
    return found.flagged(*_of_batches(found.n, correlated=correlated))


def von_neumann_ratio(values: ArrayLike) -> float:
    """Return the mean square of successive differences over the variance; NaN for equal values.

    About 2 for independent values, and less for values that follow their predecessors: 2 (1 - r)
    for a correlation r of neighbours. von Neumann (1941), Distribution of the ratio of the mean
    square successive difference to the variance, Ann. Math. Statist. 12, 367-395.
    """
    x = np.asarray(values, float)
    spread = float(((x - x.mean()) ** 2).sum())
    return float((np.diff(x) ** 2).sum()) / spread if spread > 0 else math.nan


def _mean(values: Sequence[float], confidence: float) -> tuple[float, float, float]:
    n = len(values)
    if n == 0:
        return math.nan, math.nan, math.nan
    mean = math.fsum(values) / n
    if n == 1:
        return mean, math.nan, math.nan
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    half = _student(n, confidence) * deviation / math.sqrt(n)
    return mean, mean - half, mean + half


def _student(n: int, confidence: float) -> float:
    return float(stdtrit(n - 1, (1 + confidence) / 2))


def _inverted(
    q: float,
    parts: NDArray[np.float64],
    quantile: Callable[[float], float],
    confidence: float,
) -> Estimate:
    """Return the quantile, and the interval of its share read off the distribution of all.

    A part of more values weighs more: the shares are a ratio estimate of the level q.
    """
    shares, counts = parts[parts[:, 1] > 0].T
    n = len(shares)
    value = quantile(q)
    tail = min(q, 1 - q)
    if n < 2 or tail == 0:
        return Estimate(value, math.nan, math.nan, n, () if tail else (flags.THIN_TAIL,))
    deviations = counts / counts.mean() * (shares - q)
    error = math.sqrt(float(deviations @ deviations) / (n - 1) / n)
    half = _student(n, confidence) * error
    low = quantile(q - half) if q > half else 0.0
    total = float(counts.sum())
    beyond = q + half >= 1 or total * (1 - q) < 1
    high = math.inf if beyond else quantile(q + half)
    # With k independent values in the tail the standard error of its share is 1 / sqrt(k) of it.
    thin = error * math.sqrt(SMALLEST_TAIL) > tail or half >= tail or total * tail < SMALLEST_TAIL
    return Estimate(value, low, high, n, (flags.THIN_TAIL,) if thin else ())


def _columns(*columns: ArrayLike) -> NDArray[np.float64]:
    return np.column_stack([np.asarray(column, float) for column in columns])


def _paired(parts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return sums over pairs of neighbours, of shape (n / 2, columns), where that leaves enough."""
    n = len(parts)
    if n % 2 or n // 2 < FEWEST_BATCHES:
        return parts
    pairs: NDArray[np.float64] = parts.reshape(n // 2, 2, -1).sum(axis=1)
    return pairs


def _correlated(values: NDArray[np.float64]) -> bool:
    """Return whether neighbours are more alike than independent values are, at `SIGNIFICANCE`.

    The ratio of n independent normal values has a mean of 2 n / (n - 1) over the variance with
    divisor n - 1, so of 2 as it is taken here, and a variance of 4 (n - 2) / (n^2 - 1).
    """
    n = len(values)
    if n < 3:
        return False
    deviation = 2 * math.sqrt((n - 2) / (n * n - 1))
    return bool(von_neumann_ratio(values) < 2 + float(ndtri(SIGNIFICANCE)) * deviation)


def _of_batches(n: int, *, correlated: bool) -> list[str]:
    found = [flags.FEW_BATCHES] if n < FEWEST_BATCHES else []
    return [*found, flags.CORRELATED_BATCHES] if correlated else found
