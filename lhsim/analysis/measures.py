"""The measures of a level by the names that people use: ``p99`` is the column `p99_latency_ms`."""

from __future__ import annotations

import re

from lhsim.errors import unknown_name

COLUMNS = {
    "mean": "mean_latency_ms",
    "p50": "p50_latency_ms",
    "p95": "p95_latency_ms",
    "p99": "p99_latency_ms",
    "throughput": "messages_per_second",
    "utilization": "utilization",
    "delivery": "delivery_success_rate",
    "cpu": "cpu_utilization_percent",
    "memory": "memory_peak_mb",
    "queries": "database_queries_total",
}
MORE_IS_BETTER = {"delivery", "throughput", "capacity"}  # of all others, less is
# What a column is multiplied with to be in the base unit of its measure, and that unit.
_BASE = {
    "throughput": (1.0, "1/s"),
    "utilization": (1.0, "1"),
    "delivery": (1.0, "1"),
    "cpu": (1e-2, "1"),
    "memory": (1e6, "B"),
    "queries": (1.0, "1/s"),  # a column of totals, over the window
}

# Units of the figures of a live run, as recordings and cross-checks name them.
_LIVE = {
    "throughput": "1/s", "polls": "1/s", "wasted_polls": "1/s", "knee": "1/s", "capacity": "1/s",
    "cpu": "cores", "delivery": "1",
}  # fmt: skip
_OF_LATENCY = re.compile(r"(.*_)?(latency|p\d+)(_.*)?_ms(_low|_high)?|latency_ci95_ms")


def is_latency(name: str) -> bool:
    """Return whether a column holds a latency, a quantile of one, or an end of its interval.

    >>> is_latency("p99_latency_ms"), is_latency("p95_ci95_ms"), is_latency("memory_peak_mb")
    (True, True, False)
    """
    return _OF_LATENCY.fullmatch(name) is not None


def base_unit(name: str) -> tuple[float, str]:
    """Return by what the column of a measure is multiplied to be in a base unit, and that unit.

    >>> base_unit("p99"), base_unit("memory")
    ((0.001, 's'), (1000000.0, 'B'))
    """
    return _BASE.get(name, (1e-3, "s"))


def live_unit(metric: str) -> str:
    """Return the unit of a figure of a live run; "1" for what has none.

    >>> live_unit("latency_p99"), live_unit("throughput"), live_unit("latency")
    ('s', '1/s', '1')
    """
    return _LIVE.get(metric, "s" if re.search(r"_p\d", metric) else "1")


def column(name: str, *, source: str | None = None, key: str | None = None) -> str:
    """Return the column of a measure that has an interval.

    Raises `InputError` when there is no such measure; with `source` and `key` as the place.
    """
    if not isinstance(name, str) or name not in COLUMNS:
        raise unknown_name("metric", str(name), COLUMNS, source=source, key=key)
    return COLUMNS[name]
