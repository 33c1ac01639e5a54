"""The thresholds held against a run, simulated or live: which alerts would have fired, and when.

What Prometheus would compute from the monitor's counters is computed here from the run's own: means
over the last minute, a trend over ten. One thing is stricter: a trend needs all of its ten minutes,
or memory that fills up at the start of a server would be a leak.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import ArrayLike, NDArray

from lhsim.metrics.thresholds import THRESHOLDS, Threshold

MINUTE = 60.0  # of which averages are taken [s]
TREND = 600.0  # over which memory has to grow [s]

FloatArray = NDArray[np.float64]
Series = tuple[FloatArray, FloatArray]  # times [s], ascending, and values; NaN where there is none


@frozen
class Alert:
    """What became of a threshold in a run."""

    threshold: Threshold
    measured: bool  # whether the run says anything of its metric
    fired_at: float | None = None  # for the first time, since the start of the run [s]
    worst: float | None = None  # value of the metric, in its unit

    def to_dict(self) -> dict[str, Any]:
        """Return it as a row of a finding's alerts."""
        return {
            "alert": self.threshold.name,
            "severity": self.threshold.severity,
            "threshold": self.threshold.sentence,
            "measured": self.measured,
            "worst": self.worst,
            "fired_at_s": self.fired_at,
        }


def alerts(
    series: Mapping[str, Series], thresholds: Iterable[Threshold] = THRESHOLDS
) -> tuple[Alert, ...]:
    """Return what becomes of each threshold over time.

    Parameters
    ----------
    series
        Values over time by metric. Of a metric that is missing, or has no value, nothing is known.
    thresholds
        Those of the original proposal when it is left out.
    """
    return tuple(_alert(one, series.get(one.metric)) for one in thresholds)


def _alert(threshold: Threshold, series: Series | None) -> Alert:
    if series is None or not np.isfinite(series[1]).any():
        return Alert(threshold, measured=False)
    times, values = series
    worst = np.nanmax(values) if threshold.above else np.nanmin(values)
    return Alert(threshold, True, _fired_at(threshold, times, values), float(worst))


def _fired_at(threshold: Threshold, times: FloatArray, values: FloatArray) -> float | None:
    """Return when the threshold had been broken for long enough; no value interrupts that."""
    since: float | None = None
    for time, value in zip(times.tolist(), values.tolist(), strict=True):
        if not threshold.broken_by(value):  # nor does NaN
            since = None
            continue
        since = time if since is None else since
        if time >= since + threshold.lasting:
            return since + threshold.lasting
    return None


def average_of_minute(
    at: FloatArray, ended: FloatArray, sums: FloatArray, counts: ArrayLike = 1
) -> FloatArray:
    """Return the mean of what ended in the minute before each time of `at`; NaN for nothing.

    Parameters
    ----------
    at
        Times, of shape (n,) [s].
    ended, sums, counts
        When each message, or group of them, ended [s], the sum of what is averaged, and how many
        there are: of shape (groups,).
    """
    order = np.argsort(ended, kind="stable")
    last = np.searchsorted(ended[order], at, side="right")
    first = np.searchsorted(ended[order], at - MINUTE, side="right")

    def inside(values: FloatArray) -> FloatArray:
        totals = np.concatenate([[0.0], np.cumsum(values[order])])
        found: FloatArray = totals[last] - totals[first]
        return found

    return _ratio(inside(sums), inside(np.broadcast_to(counts, ended.shape).astype(float)))


def of_minute(at: FloatArray, times: FloatArray, total: FloatArray) -> FloatArray:
    """Return how much a running total grew in the minute before each time of `at`.

    Parameters
    ----------
    at
        Times, of shape (n,) [s].
    times, total
        The total at some times, ascending, both of shape (m,); it is 0 at time 0 and grows evenly
        between them.
    """
    known_at, known = np.concatenate([[0.0], times]), np.concatenate([[0.0], total])
    grown: FloatArray = np.interp(at, known_at, known) - np.interp(at - MINUTE, known_at, known)
    return grown


def success_percent(delivered: FloatArray, failed: FloatArray) -> FloatArray:
    """Return the percentage of messages delivered, of those that ended; NaN where none did."""
    return 100 * _ratio(delivered, delivered + failed)


def growth_per_hour(times: FloatArray, values: FloatArray) -> FloatArray:
    """Return the slope of the ten minutes before each time, an hour; NaN before ten minutes.

    It is that of the least squares, as Prometheus' ``deriv`` has it. Both are of shape (n,).
    """
    slopes = np.full(len(times), math.nan)
    for end in range(len(times)):
        begin = int(np.searchsorted(times, times[end] - TREND, side="right")) - 1
        if begin >= 0 and end > begin:
            x, y = times[begin : end + 1], values[begin : end + 1]
            slopes[end] = 3600 * slope(x, y)
    return slopes


def slope(x: FloatArray, y: FloatArray) -> float:
    """Return the slope of the line of least squares through points, in units of y over those of x.

    Not by a product of matrices, whose last bits depend on the processor.
    """
    centred = x - x.mean()
    return float((centred * y).sum() / (centred * centred).sum())


def _ratio(part: FloatArray, whole: FloatArray) -> FloatArray:
    """Return quotients, NaN where there is nothing to divide by."""
    found = np.full(len(part), math.nan)
    np.divide(part, whole, out=found, where=whole > 0)
    return found
