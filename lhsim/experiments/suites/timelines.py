"""Latencies over time: when the p95 of a run's windows is back in the band it had before."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from lhsim.analysis.lines import Chart, Series, lines_plot
from lhsim.analysis.recovery import Windows, band, time_to_recover, windows
from lhsim.experiments.suites.suite import CaseRuns, Row, spread_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lhsim.simulation import Result

LEVEL = 0.95  # of the quantile, and of the band
RECOVERED = (
    "The system has recovered when the p95 of its 5 s windows stays for 10 s below the upper end "
    "of the 95 % band that they had up to 10 s before (a prediction interval for the logarithm of "
    "one more window of the run); the time counts from the end of what has happened to it."
)


@frozen(eq=False)
class Trigger:
    """What happens to a system, on the clock of a run [s]."""

    begin: float  # of what is measured
    start: float  # of the trigger
    stop: float
    end: float  # of what is measured
    window: float
    hold: float

    def windows(self, result: Result) -> Windows:
        """Return the p95 of each window of a run [s]."""
        records = kept(result)
        latency = np.where(
            records["outcome"] == "delivered", records["delivered"] - records["created"], math.nan
        )
        return windows(records["created"], latency, self.begin, self.end, self.window, LEVEL)

    def recovery(self, timeline: Windows) -> float:
        """Return how long after the trigger's end a run recovers [s]; NaN: not while it lasts.

        Messages of the last windows before the trigger may still be on their way when it comes,
        which is why these are no part of the band. It is one of logarithms: latencies are positive
        and skewed.
        """
        before = np.log(timeline.between(self.begin, self.start - self.hold))
        top = math.exp(band(before, LEVEL)[1])
        return time_to_recover(timeline, self.stop, top, self.hold)

    def part(self, result: Result, start: float, end: float) -> NDArray[np.float64]:
        """Return the latencies of the messages created between two times and delivered [s]."""
        records = kept(result)
        created = records["created"]
        chosen = (created >= start) & (created < end) & (records["outcome"] == "delivered")
        latencies: NDArray[np.float64] = (records["delivered"] - created)[chosen]
        return latencies


def kept(result: Result) -> dict[str, NDArray[Any]]:
    """Return the records of a run's messages."""
    assert result.records is not None, "its case keeps messages"
    return result.records


def mean_ms(latencies: NDArray[np.float64]) -> float:
    """Return the mean of latencies [ms]; NaN of none."""
    return float(latencies.mean()) * 1e3 if len(latencies) else math.nan


def averaged(timelines: Sequence[Windows]) -> tuple[list[float], list[float], list[float]]:
    """Return the mean of the runs' values in each window, the least and the greatest [s]."""
    values = np.array([one.values for one in timelines])
    known = np.isfinite(values)
    counts = known.sum(axis=0)
    sums = np.where(known, values, 0.0).sum(axis=0)
    mean = np.where(counts > 0, sums / np.maximum(counts, 1), math.nan)
    low = np.where(known, values, math.inf).min(axis=0)
    high = np.where(known, values, -math.inf).max(axis=0)
    empty = counts == 0
    low[empty] = high[empty] = math.nan
    return list(mean), list(low), list(high)


def p95_plot(when: Trigger | None, named: Sequence[tuple[str, CaseRuns]], what: str) -> Figure:
    """Draw the p95 over time of some cases, each under a name, with the trigger as a grey span."""
    series, spans = [], []
    if when is not None:
        spans = [(when.start - when.begin, when.stop - when.begin, what)]
        for number, (name, ran) in enumerate(named):
            timelines = [when.windows(result) for result in ran.results]
            mean, low, high = ([1e3 * one for one in part] for part in averaged(timelines))
            middle = list(timelines[0].starts - when.begin + when.window / 2)
            if 2 * sum(result.overloaded for result in ran.results) >= len(ran.results):
                name = f"{name} (overloaded)"  # noqa: PLW2901 - what the line is called
            series.append(Series(name, middle, mean, low, high, number, markers=True))
    title = f"p95 of the latency over time: {what}" if spans else "p95 of the latency over time"
    chart = Chart("time [s]", "p95 of the latency", log_y=True, spans=spans, durations=True,
                  title=title)  # fmt: skip
    return lines_plot(series, chart)


def recovery_columns(recoveries: Sequence[float]) -> Row:
    """Return the mean time to recover with its interval, where all runs did, and how many did."""
    known = [one for one in recoveries if not math.isnan(one)]
    complete = bool(recoveries) and len(known) == len(recoveries)
    columns = spread_of("recovery_time_seconds", known if complete else [])
    columns["recovered_runs"] = len(known) if recoveries else None
    return columns


def recovery_text(row: Row) -> str:
    """Return the time to recover as people see it."""
    if row["recovered_runs"] is None:
        return ""
    missing = row["replications"] - row["recovered_runs"]
    if missing:
        return f"not in {missing} of {row['replications']} runs"
    value, low, high = (row[f"recovery_time_seconds{end}"] for end in ("", "_low", "_high"))
    if low is None or low == high:
        return f"{value:.3g} s"
    return f"{value:.3g} s ({max(low, 0):.3g}-{high:.3g})"


def recovery_words(row: Row, what: str) -> str:
    """Return in words how long it takes to be as before once `what` is over."""
    missing = row["replications"] - row["recovered_runs"]
    if missing:
        return f"{missing} of {row['replications']} runs do not recover while they last"
    if row["recovery_time_seconds"] == 0:
        return f"it is as before once {what} is over"
    return f"it takes {row['recovery_time_seconds']:.3g} s after {what} to be as before"
