"""The tables of the experiments, from rows of `lhsim.analysis.levels`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lhsim.report.text import Column, latency, percent, table, three_digits

Row = Mapping[str, Any]

_BOUND = "> a lower bound: messages were still on their way at the end of a run"
_OVERLOADED = "overloaded: the backlog grows at this rate; the run ended once that was known"
_EXTRAPOLATED = "* extrapolated: beyond what the model was calibrated on"
_LEVELS = (
    Column("agents"),
    Column("p50"),
    Column("p95"),
    Column("p99"),
    Column("msg/s"),
    Column("busiest"),
    Column("", left=True),
)
_LATENCIES = ("min", "mean", "p50", "p95", "p99", "max")


def scaling_table(rows: Sequence[Row]) -> str:
    """Return a table per system, a line per number of agents, and what its marks mean."""
    by_system: dict[str, list[Row]] = {}
    for row in rows:
        by_system.setdefault(_title(row), []).append(row)
    tables = [
        f"{title}\n{table(_LEVELS, [_level(row) for row in its_rows])}\n"
        for title, its_rows in by_system.items()
    ]
    return "\n".join([*tables, *_legend(rows)]).rstrip("\n")


def latency_table(rows: Sequence[Row]) -> str:
    """Return a table with a line per system: the latencies of a pair that is alone."""
    columns = [Column("system", left=True), *(Column(name) for name in _LATENCIES)]
    lines = [
        [row["system"], *(_latency(row, f"{name}_latency_ms") for name in _LATENCIES)]
        for row in rows
    ]
    return "\n".join([table(columns, lines) + "\n", *_legend(rows)]).rstrip("\n")


def _title(row: Row) -> str:
    name, architecture = row["system"], row["architecture"]
    return str(name) if name == architecture else f"{name} ({architecture})"


def _level(row: Row) -> list[str]:
    return [
        f"{row['agents']:,}" + ("*" if row["extrapolated"] else ""),
        *(_latency(row, f"p{level}_latency_ms") for level in (50, 95, 99)),
        three_digits(row["messages_per_second"]),
        f"{row['bottleneck']} {percent(row['utilization'])}",
        _remark(row),
    ]


def _latency(row: Row, name: str) -> str:
    return latency(row[name], at_least=name in row["lower_bounds"])


def _remark(row: Row) -> str:
    if row["overloaded"]:
        return f"overloaded, +{three_digits(row['backlog_growth_per_s'])}/s"
    delivered = row["delivery_success_rate"]
    return f"{percent(delivered)} delivered" if delivered and delivered < 0.995 else ""


def _legend(rows: Iterable[Row]) -> list[str]:
    rows = list(rows)
    used = [
        (_OVERLOADED, any(row["overloaded"] for row in rows)),
        (_EXTRAPOLATED, any(row["extrapolated"] for row in rows)),
        (_BOUND, any(row["lower_bounds"] for row in rows)),
    ]
    return [text for text, shown in used if shown]
