"""Means over independent replications, with Student's confidence interval.

With n replications of mean x and standard deviation s the interval is x +- t s / sqrt(n), where t
is the quantile of Student's distribution with n - 1 degrees of freedom (Law 2015, Simulation
Modeling and Analysis, section 4.5).
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from attrs import frozen
from scipy.special import stdtrit


@frozen
class Estimate:
    """A mean over replications and its confidence interval, in the unit of the values."""

    mean: float  # NaN without values
    low: float  # NaN with fewer than two values
    high: float
    n: int  # values that are known

    @property
    def interval(self) -> tuple[float, float]:
        """The interval, from low to high."""
        return self.low, self.high


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
    n = len(known)
    if n == 0:
        return Estimate(math.nan, math.nan, math.nan, 0)
    mean = math.fsum(known) / n
    if n == 1:
        return Estimate(mean, math.nan, math.nan, 1)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in known) / (n - 1))
    half = float(stdtrit(n - 1, (1 + confidence) / 2)) * deviation / math.sqrt(n)
    return Estimate(mean, mean - half, mean + half, n)
