"""From runs to levels: the replications of a system with so many agents become one row.

A run is a flat record, as `Result.row` makes it. Its measures are averaged over the replications
of its level, except for the shortest and the longest latency, which are those of all of them, and
for quantiles where those of the messages of all replications together are given.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from lhsim.analysis import flags
from lhsim.analysis.intervals import Estimate, estimate, known
from lhsim.analysis.measures import is_latency

Record = Mapping[str, Any]
Row = dict[str, Any]
Estimates = Mapping[str, Estimate]  # of measures, in their units
Pooled = Mapping[tuple[Any, ...], Estimates]  # by what identifies a level: the values of `WHO`

WHO = ("system", "architecture", "agents", "servers")  # what identifies a level
_NO_MEASURE = {
    *WHO,
    *("seed", "replication", "engine", "bottleneck", "overloaded", "extrapolated", "flags"),
    *("warnings", "duration_s", "warmup_s", "drain_s", "mser_truncation_s", "short_warmup"),
}
_EXTREMES: dict[str, Callable[[Iterable[float]], float]] = {
    "min_latency_ms": min,
    "max_latency_ms": max,
}
_BY_TAIL = {"mean", "max", "end_to_end"}  # latencies that follow from it
_WITH_INTERVAL = ("p50", "p95", "p99")  # columns of a level, beside the mean's
_SHARES = {"utilization", "delivery_success_rate"}
_SIGNED = {"backlog_growth_per_s"}
_UNITS = {
    "_ms": "ms",
    "_mb": "MB",
    "_percent": "%",
    "_per_second": "1/s",
    "_per_s": "1/s",
    "_s": "s",
}


def level_rows(runs: Iterable[Record], pooled: Pooled | None = None) -> list[Row]:
    """Return a row per system and number of agents, in the order in which they first appear.

    Counters such as ``polling_cycles_total`` are means per run. ``None`` stands for "not known",
    such as a latency where nothing was delivered. ``lower_bounds`` names the latencies that were
    longer than the run could show, and ``flags`` the measures whose interval cannot be trusted,
    with the reasons (`lhsim.analysis.flags`). No latency of an overloaded level is known: it would
    say how long the runs were.
    """
    return [_level_row(group, _pooled(group, pooled)) for group in grouped(runs)]


def metric_rows(runs: Iterable[Record], pooled: Pooled | None = None) -> list[Row]:
    """Return a row per system, number of agents and measure, with its 95 % interval."""
    return [row for group in grouped(runs) for row in _metric_rows(group, _pooled(group, pooled))]


def grouped(runs: Iterable[Record]) -> list[list[Record]]:
    """Return the runs of each level, in the order in which the levels first appear."""
    groups: dict[tuple[Any, ...], list[Record]] = {}
    for run in runs:
        groups.setdefault(level_of(run), []).append(run)
    return list(groups.values())


def level_of(run: Record) -> tuple[Any, ...]:
    """Return what identifies the level of a run: the values of `WHO`."""
    return tuple(run[key] for key in WHO)


def level_estimates(
    runs: Sequence[Record], pooled: Estimates, names: Iterable[str]
) -> dict[str, Estimate]:
    """Return the estimates of some measures over the runs of one level, with all their flags."""
    return {name: _estimate(runs, name, pooled) for name in names}


def _pooled(runs: Sequence[Record], pooled: Pooled | None) -> Estimates:
    return (pooled or {}).get(level_of(runs[0]), {})


def _level_row(runs: Sequence[Record], pooled: Estimates) -> Row:
    first = runs[0]
    found = level_estimates(runs, pooled, _measures(runs))
    duration = _estimate(runs, "horizon_s", {}).value
    row = {
        **{key: first[key] for key in WHO},
        "replications": len(runs),
        "engine": ", ".join(sorted({run["engine"] for run in runs})),
        "latency_ci95_ms": _interval(found.get("mean_latency_ms")),
        **{f"{q}_ci95_ms": _interval(found.get(f"{q}_latency_ms")) for q in _WITH_INTERVAL},
        **{name: _value(runs, name, one) for name, one in found.items()},
        "bottleneck": _most_common(run["bottleneck"] for run in runs),
        "test_duration_seconds": duration,
        "agents_per_second": first["agents"] / duration,
        "overloaded": _mostly(runs, "overloaded"),
        "extrapolated": any(run["extrapolated"] for run in runs),
        "warnings": first.get("warnings", ""),
        "lower_bounds": _lower_bounds(runs),
        "flags": {name: list(one.flags) for name, one in found.items() if one.flags},
    }
    return without_latencies(row) if row["overloaded"] else row


def without_latencies(row: Row) -> Row:
    """Return a row with None for each latency and its interval."""
    return {name: None if is_latency(name) else value for name, value in row.items()}


def _metric_rows(runs: Sequence[Record], pooled: Estimates) -> list[Row]:
    who = {key: runs[0][key] for key in WHO}
    overloaded, bounds = _mostly(runs, "overloaded"), _lower_bounds(runs)
    marks = {"overloaded": overloaded, "extrapolated": any(run["extrapolated"] for run in runs)}
    rows = []
    for name, found in level_estimates(runs, pooled, _measures(runs)).items():
        hidden = overloaded and is_latency(name)
        no_interval = hidden or name in _EXTREMES
        rows.append(
            {
                **who,
                "metric": name,
                "statistic": _statistic(name, pooled),
                "value": None if hidden else _value(runs, name, found),
                "ci_low": None if no_interval else known(found.low),
                "ci_high": None if no_interval else known(found.high),
                "n": found.n,
                "unit": _unit(name),
                "reliable": found.reliable,
                "flags": ", ".join(found.flags),
                "lower_bound": name in bounds or flags.LOWER_BOUND in found.flags,
                **marks,
            }
        )
    return rows


def _statistic(name: str, pooled: Estimates) -> str:
    if name in _EXTREMES:
        return _EXTREMES[name].__name__
    return "quantile" if name in pooled and name != "mean_latency_ms" else "mean"


def _measures(runs: Sequence[Record]) -> list[str]:
    return [
        name for name in runs[0] if name not in _NO_MEASURE and not name.endswith("_is_lower_bound")
    ]


def _value(runs: Sequence[Record], name: str, found: Estimate) -> float | None:
    if name not in _EXTREMES:
        return known(found.value)
    values = [run[name] for run in runs if not math.isnan(run[name])]
    return _EXTREMES[name](values) if values else None


def _estimate(runs: Sequence[Record], name: str, pooled: Estimates) -> Estimate:
    found = (pooled.get(name) or estimate(run.get(name) for run in runs)).within(*_bounds(name))
    if not found.n and _mostly(runs, "overloaded"):  # for that reason, and not for want of runs
        found = Estimate(found.value, found.low, found.high, 0)
    if name in _EXTREMES:  # they are what they are, of the runs that there are
        found = Estimate(found.value, found.low, found.high, found.n)
    return found.flagged(*_doubts(runs, name))


def _bounds(name: str) -> tuple[float, float]:
    """Return where a measure can lie at all: all but a growth are >= 0, and shares are <= 1."""
    if name in _SHARES or name.startswith("utilization_"):
        return 0.0, 1.0
    if name == "cpu_utilization_percent":
        return 0.0, 100.0
    return (-math.inf if name in _SIGNED else 0.0), math.inf


def _doubts(runs: Sequence[Record], name: str) -> list[str]:
    """Return what speaks against a measure, as the runs of its level know it."""
    found = [flags.SHORT_WARMUP] if _mostly(runs, "short_warmup") else []
    if name.endswith("_latency_ms"):
        quantile = name.removesuffix("_latency_ms")
        # The mean and the longest of what was delivered are too low where the tail is not known.
        bound = f"{'p99' if quantile in _BY_TAIL else quantile}_is_lower_bound"
        found += [flags.LOWER_BOUND] if any(run.get(bound) for run in runs) else []
        found += [flags.OVERLOADED] if any(run.get("overloaded") for run in runs) else []
    return found


def _mostly(runs: Sequence[Record], name: str) -> bool:
    return 2 * sum(bool(run.get(name)) for run in runs) >= len(runs)


def _interval(found: Estimate | None) -> list[float | None] | None:
    if found is None or math.isnan(found.low):
        return None
    return [known(found.low), known(found.high)]


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
