"""What a run, and all runs of a level, say of their latencies: flat records and quantiles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lhsim.analysis.intervals import Estimate
    from lhsim.metrics import Latency
    from lhsim.simulation import Result

LEVELS = (50, 95, 99)  # of the quantiles in a record [%]
MS = 1e3


def pooled_latencies(latencies: Sequence[Latency]) -> dict[str, Estimate]:
    """Return the mean and the quantiles of the messages of all replications, by column [ms]."""
    from lhsim.metrics.latency import mean_of_runs, quantile_of_runs  # noqa: PLC0415 - scipy

    return {"mean_latency_ms": mean_of_runs(latencies).scaled(MS)} | {
        f"p{level}_latency_ms": quantile_of_runs(latencies, level / 100).scaled(MS)
        for level in LEVELS
    }


def run_record(result: Result) -> dict[str, Any]:
    """Return a run as a flat record, with which of its latencies are lower bounds."""
    return result.row()
