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
symmetric, where the distribution is not.

A sample whose values happen to be short also looks less spread and less correlated than it is, so
that both the interval and any test of it mislead. In a queue in heavy traffic the standard error of
a share grows in proportion to the latency, and that of a mean with its square (Whitt 1989, Planning
queueing simulations, Management Science 35, 1341-1366). Where a `Sample` is given, an end x of an
interval is therefore where x is as far from the value as the error *at x* allows ::

    |share(x) - q| = h (1 + (x - value) / unit)^g,    unit = value - origin; |x - mean| likewise

Decision 65 has the exponents g, ``docs/explanation/statistics.md`` what the
intervals cover.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from attrs import evolve, frozen
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri, stdtrit

from lhsim.analysis import flags
from lhsim.checks import array, column, share

FEWEST_REPLICATIONS = 3
FEWEST_BATCHES = 10  # Schmeiser (1982), Batch size effects: 10 to 30 serve any length of run
SIGNIFICANCE = 0.01  # of the test that finds batches correlated
SMALLEST_TAIL = 9  # independent values beyond a quantile, by the spread of its shares
SMALLEST_SAMPLE = 200  # effective sample size that an interval needs
SMALLEST_SAMPLE_BEYOND = 20  # the same beyond a quantile

# By which powers of a latency its error grows above the value, and shrinks below it. Heavy traffic
# has 1 for a share and 2 for a mean.
_Growth = tuple[float, float]
_SHARE, _MEAN = (2.5, 0.5), (3.5, 1.0)
_MOST = 2.5  # by which the error is taken to grow
_HALVINGS = 20  # of the search for the lower end
_CLOSE = 1e-4  # of the half-width: where the search for the upper end ends


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


@frozen
class Sample:
    """What the values of one or several runs say of themselves, besides their parts."""

    effective: float  # independent values that say as much as all of them
    error: float  # standard error of the mean, or of the share, by all batches of all runs
    origin: float  # from where values spread out: the least of them
    unit: float  # of the distances by which the error grows, where the value is nearer the origin


def known(value: float) -> float | None:
    """Return a figure as plain data has it: None where it is not finite."""
    return value if math.isfinite(value) else None


def effective_size(
    sums: ArrayLike, counts: ArrayLike, centre: float, variance: float
) -> tuple[float, float]:
    """Return how many independent values a sample is worth, and the standard error of its mean.

    Parameters
    ----------
    sums, counts
        Of the values in each batch, of shape (batches,). Batches follow one another.
    centre
        The mean of all values.
    variance
        Of the values.

    Notes
    -----
    The variance over the squared standard error, at most the number of values. Batches that are
    shorter than the correlation lasts give less than twice as many as there are batches, and so
    too few for `SMALLEST_SAMPLE`.
    """
    total, number = np.asarray(sums, float), np.asarray(counts, float)
    n, values = len(total), float(number.sum())
    if n < 2 or values == 0:
        return 0.0, math.nan
    deviations = (total - centre * number) / number.mean()
    squared = max(float(deviations @ deviations) / (n * (n - 1)), variance / values)
    return (variance / squared if squared > 0 else values), math.sqrt(squared)


def estimate(values: Iterable[float | None], confidence: float = 0.95) -> Estimate:
    """Return the mean of independent values and its interval.

    Parameters
    ----------
    values
        One value per replication. None and NaN, "not known", are left out.
    confidence
        Level of the interval, in (0, 1).
    """
    confidence = share(confidence, "confidence")
    given = [one for one in column(values, "values").tolist() if not math.isnan(one)]
    few = (flags.FEW_REPLICATIONS,) if len(given) < FEWEST_REPLICATIONS else ()
    return Estimate(*_mean(given, confidence), len(given), few)


def mean_over_replications(
    values: Sequence[float], sample: Sample, confidence: float = 0.95
) -> Estimate:
    """Return the mean of the means of replications, and its interval.

    Parameters
    ----------
    values
        One mean per replication, each of which is known.
    sample
        Of the values of all replications.
    confidence
        Level of the interval, in (0, 1).
    """
    found = estimate(values, confidence)
    half = found.high - found.value
    return _spread(found, half, sample, _MEAN).flagged(*_too_small(sample))


def batch_means(
    sums: ArrayLike, counts: ArrayLike, confidence: float = 0.95, sample: Sample | None = None
) -> Estimate:
    """Return the mean of one run and its interval, from batches that follow one another.

    Parameters
    ----------
    sums, counts
        Of the values in each batch, of shape (batches,); no count is 0. Pairs of neighbours become
        one, if that leaves `FEWEST_BATCHES` or more: what is tested is whether the finer ones are
        correlated, which shows sooner.
    confidence
        Level of the interval, in (0, 1).
    sample
        Of the values. With it the interval comes from the larger of two standard errors, that of
        pairs and that of all batches.

    Notes
    -----
    The value is the mean of all values. Batches by time hold nearly as many values each, so that it
    is all but the mean of their means.
    """
    confidence = share(confidence, "confidence")
    total, number = array(sums, "sums", "numbers"), array(counts, "counts", "numbers > 0")
    correlated = _correlated(total / number)
    fewer = _paired(_columns(total, number))
    means = fewer[:, 0] / fewer[:, 1]
    value = float(total.sum() / number.sum())
    error = float(means.std(ddof=1)) / math.sqrt(len(means)) if len(means) > 1 else math.nan
    half = _half(error, len(means), len(total), sample, confidence)
    found = Estimate(value, value - half, value + half, len(means))
    if sample is not None:
        found = _spread(found, half, sample, _MEAN).flagged(*_too_small(sample))
    return found.flagged(*_of_batches(len(means), correlated=correlated))


def quantile_over_replications(
    q: float,
    shares: ArrayLike,
    counts: ArrayLike,
    quantile: Callable[[float], float],
    confidence: float = 0.95,
    sample: Sample | None = None,
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
    sample
        Of the values of all replications, and the share of those up to the quantile.
    """
    parts = _known_parts(shares, counts)
    half = _student(len(parts), confidence) * _error(q, parts) if len(parts) > 1 else math.nan
    found = _inverted(q, parts, half, quantile, sample, _SHARE)
    few = found.n < FEWEST_REPLICATIONS
    return found.flagged(flags.FEW_REPLICATIONS) if few else found


def quantile_of_batches(
    q: float,
    shares: ArrayLike,
    counts: ArrayLike,
    quantile: Callable[[float], float],
    confidence: float = 0.95,
    sample: Sample | None = None,
) -> Estimate:
    """Return the `q`-quantile of one run, and its interval from batches that follow one another.

    The parameters are those of `quantile_over_replications`, for batches. As in `batch_means` the
    finer batches are tested, neighbours become one, and the larger standard error counts.
    """
    batches = _known_parts(shares, counts)
    correlated = _correlated(batches[:, 0])
    sums = _paired(_columns(batches[:, 0] * batches[:, 1], batches[:, 1]))
    fewer = _columns(sums[:, 0] / sums[:, 1], sums[:, 1])
    error = _error(q, fewer) if len(fewer) > 1 else math.nan
    half = _half(error, len(fewer), len(batches), sample, confidence)
    found = _inverted(q, fewer, half, quantile, sample, _SHARE)
    return found.flagged(*_of_batches(found.n, correlated=correlated))


def von_neumann_ratio(values: ArrayLike) -> float:
    """Return the mean square of successive differences over the variance; NaN for equal values.

    About 2 for independent values, and less for values that follow their predecessors: 2 (1 - r)
    for a correlation r of neighbours. von Neumann (1941), Distribution of the ratio of the mean
    square successive difference to the variance, Ann. Math. Statist. 12, 367-395.
    """
    x = column(values, "values")
    if not np.isfinite(x).all() or not len(x):
        return math.nan
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


def _half(
    error: float, fewer: int, batches: int, sample: Sample | None, confidence: float
) -> float:
    """Return the half-width of an interval from batches, `fewer` when neighbours are paired."""
    if fewer < 2:
        return math.nan
    if sample is None:
        return _student(fewer, confidence) * error
    return _student(batches, confidence) * max(error, sample.error)


def _error(q: float, parts: NDArray[np.float64]) -> float:
    """Return the standard error of the share at level q.

    A part of more values weighs more: the shares are a ratio estimate of the level.
    """
    shares, counts = parts.T
    deviations = counts / counts.mean() * (shares - q)
    return math.sqrt(float(deviations @ deviations) / (len(parts) - 1) / len(parts))


def _inverted(
    q: float,
    parts: NDArray[np.float64],
    half: float,
    quantile: Callable[[float], float],
    sample: Sample | None,
    growth: _Growth,
) -> Estimate:
    """Return the quantile, and the interval of its share read off the distribution of all."""
    n, total = len(parts), float(parts[:, 1].sum())
    value = quantile(q)
    tail = min(q, 1 - q)
    if n < 2 or tail == 0:
        return Estimate(value, math.nan, math.nan, n, () if tail else (flags.THIN_TAIL,))
    none_beyond = total * (1 - q) < 1

    def at(level: float) -> float:
        if level <= 0:
            return 0.0
        # An error that has grown beyond all values leaves the longest of them as the end.
        is_open = (none_beyond and level > q) or (level >= 1 and half >= 1 - q)
        return math.inf if is_open else quantile(min(level, 1.0))

    low, high = _ends(q, value, half, at, sample, growth)
    error = _error(q, parts)
    # With k independent values in the tail the standard error of its share is 1 / sqrt(k) of it.
    thin = error * math.sqrt(SMALLEST_TAIL) > tail or half >= tail or total * tail < SMALLEST_TAIL
    thin = thin or math.isinf(high)
    found = Estimate(value, low, high, n, (flags.THIN_TAIL,) if thin else ())
    return found if sample is None else found.flagged(*_too_small(sample, tail))


def _too_small(sample: Sample, tail: float | None = None) -> list[str]:
    """Return the flags of a sample that is worth too few independent values."""
    thin = tail is not None and sample.effective * tail < SMALLEST_SAMPLE_BEYOND
    few = [flags.SMALL_SAMPLE] if sample.effective < SMALLEST_SAMPLE else []
    return [*few, flags.THIN_TAIL] if thin else few


def _spread(found: Estimate, half: float, sample: Sample, growth: _Growth) -> Estimate:
    """Return the estimate of a mean with the ends that its error at these ends leaves."""
    if math.isnan(half):
        return found
    low, high = _ends(found.value, found.value, half, lambda x: x, sample, growth)
    return evolve(found, low=low, high=high)


def _ends(
    centre: float,
    value: float,
    half: float,
    at: Callable[[float], float],
    sample: Sample | None,
    powers: _Growth,
) -> tuple[float, float]:
    """Return where the interval of an estimate ends.

    It is `half` wide on either side of `centre` for the mean, or for the share, at the `value` that
    ``at(centre)`` returns. With a sample the error grows with the value, by its `powers`.
    """
    unit = math.nan if sample is None else max(value - sample.origin, sample.unit)
    if not (unit > 0 and math.isfinite(value)):
        return at(centre - half), at(centre + half)

    def error_at(x: float, power: float) -> float:
        ratio = min(max(1 + (x - value) / unit, 0.0), _MOST)
        return half * min(float(ratio**power), _MOST)

    # Below, the error shrinks as the distance grows: there is one end, between none and half.
    near, far = 0.0, half
    for _ in range(_HALVINGS):
        step = (near + far) / 2
        near, far = (step, far) if step < error_at(at(centre - step), powers[1]) else (near, step)
    # Above, both grow: from the value on, the first end is approached from below.
    above, last = half, 0.0
    while abs(above - last) > _CLOSE * half and math.isfinite(high := at(centre + above)):
        above, last = error_at(high, powers[0]), above
    return at(centre - far), at(centre + above)


def _known_parts(shares: ArrayLike, counts: ArrayLike) -> NDArray[np.float64]:
    parts = _columns(shares, counts)
    return parts[parts[:, 1] > 0]


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
