"""The tables of the experiments, from rows of `lhsim.analysis.levels`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import Any

from lhsim.analysis import flags
from lhsim.report.text import UNKNOWN, Column, latency, percent, table, three_digits

Row = Mapping[str, Any]
WIDTH = 80  # of a warning, in columns

_EXTRAPOLATED = "* extrapolated: beyond what the model was calibrated on"
_BOUND = "> a lower bound: messages were still on their way at the end of a run"
_BACKLOG = "backlog: overloaded; messages pile up at this rate, and no latency settles"
# What has a mark of its own, or speaks against a whole row.
_MARKED = {flags.LOWER_BOUND, flags.OVERLOADED}
_OF_ROWS = {flags.FEW_REPLICATIONS, flags.SHORT_WARMUP}
_IMPRECISE = "! not as precise as was asked for"
LEVELS = (
    Column("agents"),
    Column("servers"),
    Column("runs"),
    Column("p50"),
    Column("p95"),
    Column("p99"),
    Column("msg/s"),
    Column("busiest"),
    Column("arrived"),
    Column("backlog"),
)
_QUANTILES = tuple(f"p{level}_latency_ms" for level in (50, 95, 99))
_LATENCIES = ("min", "mean", "p50", "p95", "p99", "max")


def scaling_table(rows: Sequence[Row]) -> str:
    """Return a table per system, a line per number of agents, and what its marks mean."""
    by_system: dict[str, list[Row]] = {}
    for row in rows:
        by_system.setdefault(_title(row), []).append(row)
    overloaded = [row for row in rows if row["overloaded"]]
    tables = [
        f"{title}\n{table(LEVELS, [level_line(row) for row in its_rows])}\n"
        for title, its_rows in by_system.items()
    ]
    return "\n".join([*tables, *legend(rows, overloaded)]).rstrip("\n")


def latency_table(rows: Sequence[Row]) -> str:
    """Return a table with a line per system: the latencies of a pair that is alone."""
    columns = [
        Column("system", left=True),
        Column("runs"),
        *(Column(name) for name in _LATENCIES),
    ]
    lines = [
        [
            row["system"] + _doubt(row),
            _runs(row),
            *(_latency(row, f"{name}_latency_ms") for name in _LATENCIES),
        ]
        for row in rows
    ]
    return "\n".join([table(columns, lines) + "\n", *legend(rows)]).rstrip("\n")


def _title(row: Row) -> str:
    name, architecture = row["system"], row["architecture"]
    return str(name) if architecture in name else f"{name} ({architecture})"


def level_line(row: Row) -> list[str]:
    """Return what the table of a system says of a level: texts for `LEVELS`."""
    over = row["overloaded"]
    arrived = row["delivery_success_rate"]
    return [
        f"{row['agents']:,}" + ("*" if row["extrapolated"] else "") + _doubt(row),
        f"{row['servers']:,}" if row["servers"] > 1 else "",
        _runs(row),
        # Of an overloaded level, latencies would say how long its runs were.
        *(UNKNOWN if over else _latency(row, name) for name in _QUANTILES),
        three_digits(row["messages_per_second"]),
        f"{row['bottleneck']} {percent(row['utilization'])}",
        percent(arrived) if not over and arrived and arrived < 0.995 else "",
        f"+{three_digits(row['backlog_growth_per_s'])}/s" if over else "",
    ]


def _latency(row: Row, name: str) -> str:
    doubtful = not _flags(row, name) <= _MARKED | _OF_ROWS
    return latency(row[name], at_least=name in row["lower_bounds"], doubtful=doubtful)


def _doubt(row: Row) -> str:
    """Return the mark of a row in which nothing can be trusted."""
    return "?" if not row["overloaded"] and _flags(row, "mean_latency_ms") & _OF_ROWS else ""


def _flags(row: Row, name: str) -> set[str]:
    return set(row["flags"].get(name, ()))


def _runs(row: Row) -> str:
    """Return how many runs a level has taken, where its precision decided that."""
    if "precision" not in row:
        return ""
    return f"{row['replications']}" + ("" if row["precision"] == "reached" else "!")


def _doubts(rows: Sequence[Row]) -> list[str]:
    """Return what the marks of doubt in rows mean."""
    names = ("mean_latency_ms", *_QUANTILES)
    found = {flag for row in rows for name in names for flag in _flags(row, name)} - _MARKED
    return [f"? {flag}: {text}" for flag, text in flags.MEANINGS.items() if flag in found]


def legend(rows: Sequence[Row], overloaded: Sequence[Row] = ()) -> list[str]:
    """Return what the marks in a table mean; of `overloaded` rows it shows no latencies."""
    used = [
        (_EXTRAPOLATED, any(row["extrapolated"] for row in rows)),
        (_BOUND, any(row["lower_bounds"] for row in rows if row not in overloaded)),
        (_BACKLOG, bool(overloaded)),
        (_IMPRECISE, any(row.get("precision", "reached") != "reached" for row in rows)),
    ]
    doubts = _doubts([row for row in rows if row not in overloaded])
    return [*(text for text, shown in used if shown), *doubts, *_warnings(rows)]


def _warnings(rows: Sequence[Row]) -> list[str]:
    """Return what the calibration of each system says against it."""
    found = dict.fromkeys((row["system"], row.get("warnings")) for row in rows)
    return [
        line for system, text in found if text for line in wrap(f"warning: {system}: {text}", WIDTH)
    ]
