"""Two systems compared under common random numbers: difference and ratio of a measure.

Replication r of both systems sees the same random numbers, so that the differences within pairs
vary less than the systems do. With n pairs the interval for the mean difference is that of
Student's paired t, n - 1 degrees of freedom (Law 2015, Simulation Modeling and Analysis, section
10.2.1). What pairing has bought is the part of the variance that it took away ::

    1 - var(a - b) / (var(a) + var(b))

as independent runs would have had the sum; below 0 it did harm. The interval for the ratio of the
two means is Fieller's (1954, Some problems in interval estimation, J. Roy. Statist. Soc. B 16,
175-185): all r for which the mean of a - r b may be 0. It is exact for normal pairs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from scipy.special import stdtrit

from lhsim.analysis import flags
from lhsim.analysis.intervals import FEWEST_REPLICATIONS, Estimate, estimate
from lhsim.checks import column, share
from lhsim.errors import InputError


@frozen(repr=False)
class Comparison:
    """How a measure of one system, `a`, compares with that of another, `b`."""

    a: Estimate  # in the unit of the values
    b: Estimate
    difference: Estimate  # a - b
    ratio: Estimate  # a / b
    variance_reduction: float  # by pairing, 1 at most; NaN where neither varies or for one pair

    @property
    def n(self) -> int:
        """Pairs in which both systems have a value."""
        return self.difference.n

    @property
    def significant(self) -> bool:
        """Whether the interval of the difference leaves out 0."""
        return self.difference.low > 0 or self.difference.high < 0

    def __repr__(self) -> str:
        """Return the ratio with its interval in a line, in the units of the values."""
        ratio, a, b = self.ratio, self.a.value, self.b.value
        ends = f"{ratio.low:.3g} to {ratio.high:.3g}"
        return f"<Comparison: {a:.4g} / {b:.4g} = {ratio.value:.3g} ({ends}), {self.n} pairs>"


def compare(
    a: Sequence[float | None], b: Sequence[float | None], confidence: float = 0.95
) -> Comparison:
    """Compare paired values of two systems.

    Parameters
    ----------
    a, b
        One value per replication, in the same order. A pair in which one is None or NaN, "not
        known", is left out.
    confidence
        Level of the intervals, in (0, 1).

    Raises
    ------
    InputError
        When they are not as many.
    """
    confidence = share(confidence, "confidence")
    first, second = column(a, "a"), column(b, "b")
    if len(first) != len(second):
        problem = f"{len(first)} and {len(second)} values are no pairs"
        raise InputError(problem, allowed="as many of both")
    pairs = np.column_stack([first, second])
    pairs = pairs[~np.isnan(pairs).any(axis=1)]
    return Comparison(
        a=_of(pairs[:, 0], confidence),
        b=_of(pairs[:, 1], confidence),
        difference=estimate(pairs[:, 0] - pairs[:, 1], confidence),
        ratio=_ratio(pairs, confidence),
        variance_reduction=_variance_reduction(pairs),
    )


def _of(values: NDArray[np.float64], confidence: float) -> Estimate:
    """Return the mean of one system; a quantity that is nowhere < 0 has no interval that is."""
    found = estimate(values, confidence)
    return found.within(0.0) if (values >= 0).all() else found


def _variance_reduction(pairs: NDArray[np.float64]) -> float:
    if len(pairs) < 2:
        return math.nan
    apart = float(pairs.var(axis=0, ddof=1).sum())
    together = float((pairs[:, 0] - pairs[:, 1]).var(ddof=1))
    return 1 - together / apart if apart > 0 else math.nan


def _ratio(pairs: NDArray[np.float64], confidence: float) -> Estimate:
    """Return the ratio of the means, and Fieller's interval from the covariance of the pairs.

    With means x, y and their covariances the ends solve (y^2 - t^2 s_yy) r^2 - 2 (x y - t^2 s_xy)
    r + (x^2 - t^2 s_xx) = 0. Where y is not known to differ from 0 there is no such interval.
    """
    n = len(pairs)
    few = (flags.FEW_REPLICATIONS,) if n < FEWEST_REPLICATIONS else ()
    x, y = (float(one) for one in pairs.mean(axis=0)) if n else (math.nan, math.nan)
    value = x / y if y else math.nan
    if n < 2:
        return Estimate(value, math.nan, math.nan, n, few)
    (s_xx, s_xy), (_, s_yy) = np.cov(pairs.T, ddof=1) / n
    t2 = float(stdtrit(n - 1, (1 + confidence) / 2)) ** 2
    first, half, last = y * y - t2 * s_yy, x * y - t2 * s_xy, x * x - t2 * s_xx
    if not first > 0:
        return Estimate(value, math.nan, math.nan, n, few).flagged(flags.UNBOUNDED)
    root = math.sqrt(max(0.0, float(half * half - first * last)))
    return Estimate(value, float((half - root) / first), float((half + root) / first), n, few)
