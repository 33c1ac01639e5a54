"""Native histograms of Prometheus, as the HTTP API answers a query with them.

https://prometheus.io/docs/prometheus/latest/querying/api/#native-histograms: an instant vector, of
which each ``histogram`` is a time and an object with ``count``, ``sum`` and ``buckets``, a list of
``[boundary rule, lower bound, upper bound, count]``. Query ``increase(NAME[10m])``, or counts go
back to the start of the server. Values are in seconds by convention. Within a bucket, all values
are taken to be equally likely.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from lhsim.distributions import Quantiles
from lhsim.errors import InputError
from lhsim.readers.columns import PER_SECOND
from lhsim.readers.durations import Durations

_ALLOWED = "the answer of /api/v1/query to increase(NAME[10m])"
_TINY = 1e-12  # bound of the bucket that holds zero [s]


def read_native(text: bytes, unit: str | None, source: str) -> Durations:
    """Return the durations that native histograms counted, all series added up.

    Raises
    ------
    InputError
        When the text is no such answer, or counts values below 0.
    """
    per_second = PER_SECOND[unit or "s"]
    buckets: dict[tuple[float, float], float] = {}
    for one in _histograms(text, source):
        for low, high, count in _buckets(one, source):
            bounds = (low / per_second, high / per_second)
            buckets[bounds] = buckets.get(bounds, 0.0) + count
    total = math.fsum(buckets.values())
    if not total > 0:
        raise InputError("has counted nothing", source=source, allowed=_ALLOWED)
    return Durations(_distribution(buckets, total, source), total)


def _histograms(text: bytes, source: str) -> list[Mapping[str, Any]]:
    try:
        data = json.loads(text)["data"]
        kind = data["resultType"]
        found = [one["histogram"][1] for one in data["result"] if "histogram" in one]
    except (ValueError, KeyError, TypeError, IndexError, RecursionError):
        raise InputError("is no answer of Prometheus", source=source, allowed=_ALLOWED) from None
    if kind != "vector":
        raise InputError(f"is a {str(kind)[:20]}, no vector", source=source, allowed=_ALLOWED)
    if not found:
        raise InputError("has no native histogram", source=source, allowed=_ALLOWED)
    return found


def _buckets(one: Mapping[str, Any], source: str) -> list[tuple[float, float, float]]:
    try:
        rows = [(float(low), float(high), float(count)) for _, low, high, count in one["buckets"]]
    except (ValueError, KeyError, TypeError):
        raise InputError("has no buckets", source=source, allowed=_ALLOWED) from None
    found = []
    for low, high, count in rows:
        if not (math.isfinite(low) and math.isfinite(high) and math.isfinite(count) and count >= 0):
            raise InputError("has a bucket that is no number", source=source, allowed=_ALLOWED)
        if low < -_TINY and count > 0:
            raise InputError("counts values below 0", source=source, allowed="durations")
        found.append((max(low, 0.0), max(high, 0.0), count))
    return found


def _distribution(
    buckets: Mapping[tuple[float, float], float], total: float, source: str
) -> Quantiles:
    levels, values, below = [0.0], [min(buckets)[0]], 0.0
    for (low, high), count in sorted(buckets.items()):
        if low < values[-1] * (1 - 1e-9):
            problem = "its series have buckets that overlap"
            raise InputError(problem, source=source, allowed="the same schema in each")
        if low > values[-1]:  # a gap between buckets
            levels.append(below / total)
            values.append(low)
        below += count
        levels.append(min(below / total, 1.0))
        values.append(max(high, values[-1]))
    levels[-1] = 1.0
    return Quantiles(tuple(levels), tuple(values))
