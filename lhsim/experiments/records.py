"""What all runs of a level say of their latencies."""

from __future__ import annotations

from collections.abc import Sequence

from lhsim.analysis.intervals import Estimate
from lhsim.metrics import Latency
from lhsim.metrics.latency import mean_of_runs, quantile_of_runs

LEVELS = (50, 95, 99)  # of the quantiles in a record [%]
MS_PER_SECOND = 1e3


def pooled_latencies(latencies: Sequence[Latency]) -> dict[str, Estimate]:
    """Return the mean and the quantiles of the messages of all replications, by column [ms]."""
    return {"mean_latency_ms": mean_of_runs(latencies).scaled(MS_PER_SECOND)} | {
        f"p{level}_latency_ms": quantile_of_runs(latencies, level / 100).scaled(MS_PER_SECOND)
        for level in LEVELS
    }
