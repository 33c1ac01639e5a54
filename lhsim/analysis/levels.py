"""From runs to levels: the replications of a system with so many agents become one row.

A run is a flat record, as `Result.row` makes it. Its measures are averaged over the replications
of its level, except for the shortest and the longest latency, which are those of all of them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from lhsim.analysis.intervals import Estimate, estimate

Record = Mapping[str, Any]
Row = dict[str, Any]

WHO = ("system", "architecture", "agents", "servers")  # what identifies a level
_NO_MEASURE = {
    *WHO,
    *("seed", "replication", "engine", "bottleneck", "overloaded", "extrapolated"),
    *("duration_s", "warmup_s", "drain_s"),
}
_EXTREMES: dict[str, Callable[[Iterable[float]], float]] = {
    "min_latency_ms": min,
    "max_latency_ms": max,
}
_UNITS = {
    "_ms": "ms",
    "_mb": "MB",
    "_percent": "%",
    "_per_second": "1/s",
    "_per_s": "1/s",
    "_s": "s",
}


def level_rows(runs: Iterable[Record]) -> list[Row]:
    """Return a row per system and number of agents, in the order in which they first appear.

    Counters such as ``polling_cycles_total`` are means per run. ``None`` stands for "not known",
    such as a latency where nothing was delivered. ``lower_bounds`` names the latencies that were
    longer than the run could show.
    """
    return [_level_row(group) for group in _grouped(runs)]


def metric_rows(runs: Iterable[Record]) -> list[Row]:
    """Return a row per system, number of agents and measure, with its 95 % interval."""
    return [row for group in _grouped(runs) for row in _metric_rows(group)]


def _grouped(runs: Iterable[Record]) -> list[list[Record]]:
    groups: dict[tuple[Any, ...], list[Record]] = {}
    for run in runs:
        groups.setdefault(tuple(run[key] for key in WHO), []).append(run)
    return list(groups.values())


def _level_row(runs: Sequence[Record]) -> Row:
    first = runs[0]
    measures = {name: _value(runs, name) for name in _measures(runs)}
    mean = _estimate(runs, "mean_latency_ms")
    duration = _estimate(runs, "horizon_s").mean
    return {
        **{key: first[key] for key in WHO},
        "replications": len(runs),
        "engine": ", ".join(sorted({run["engine"] for run in runs})),
        "latency_ci95_ms": None if mean.n < 2 else [mean.low, mean.high],
        **measures,
        "bottleneck": _most_common(run["bottleneck"] for run in runs),
        "test_duration_seconds": duration,
        "agents_per_second": first["agents"] / duration,
        "overloaded": 2 * sum(run["overloaded"] for run in runs) >= len(runs),
        "extrapolated": any(run["extrapolated"] for run in runs),
        "lower_bounds": _lower_bounds(runs),
    }


def _metric_rows(runs: Sequence[Record]) -> list[Row]:
    who = {key: runs[0][key] for key in WHO}
    rows = []
    for name in _measures(runs):
        found = _estimate(runs, name)
        extreme = name in _EXTREMES
        rows.append(
            {
                **who,
                "metric": name,
                "statistic": _EXTREMES[name].__name__ if extreme else "mean",
                "value": _value(runs, name),
                "ci_low": None if extreme else _known(found.low),
                "ci_high": None if extreme else _known(found.high),
                "n": found.n,
                "unit": _unit(name),
            }
        )
    return rows


def _measures(runs: Sequence[Record]) -> list[str]:
    return [
        name for name in runs[0] if name not in _NO_MEASURE and not name.endswith("_is_lower_bound")
    ]


def _value(runs: Sequence[Record], name: str) -> float | None:
    if name not in _EXTREMES:
        return _known(_estimate(runs, name).mean)
    values = [run[name] for run in runs if not math.isnan(run[name])]
    return _EXTREMES[name](values) if values else None


def _estimate(runs: Sequence[Record], name: str) -> Estimate:
    return estimate(run.get(name) for run in runs)


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _lower_bounds(runs: Sequence[Record]) -> list[str]:
    suffix = "_is_lower_bound"
    flags = [name for name in runs[0] if name.endswith(suffix)]
    return [
        name.removesuffix(suffix) + "_latency_ms" for name in flags if any(r[name] for r in runs)
    ]


def _most_common(names: Iterable[str]) -> str:
    return Counter(names).most_common(1)[0][0]


def _unit(name: str) -> str:
    return next((unit for suffix, unit in _UNITS.items() if name.endswith(suffix)), "1")
