"""The tables of the experiments, from rows of `lhsim.analysis.levels`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import Any

from attrs import evolve

from lhsim.report import marks
from lhsim.report.text import (
    UNKNOWN,
    Column,
    axis_text,
    between,
    clock,
    latency,
    percent,
    table,
    three_digits,
)

Row = Mapping[str, Any]
WIDTH = 80  # of a warning, in columns

_BACKLOG = "backlog: overloaded; messages pile up at this rate, and no latency settles"
_OF_CLIENTS = "agents are clients, latency is the response time"
_AT_A_SERVER = {"agents": "clients", "msg/s": "req/s"}  # that answers requests
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
_PREDICTED = {"p50": _QUANTILES[0], "p95": _QUANTILES[1], "p99": _QUANTILES[2],
              "msg/s": "messages_per_second", "busiest": "utilization"}  # fmt: skip
_LATENCIES = ("min", "mean", "p50", "p95", "p99", "max")
_OF_A_PAIR = tuple(f"{name}_latency_ms" for name in _LATENCIES)


def scaling_table(rows: Sequence[Row]) -> str:
    """Return a table per system, a line per number of agents, and what its marks mean."""
    by_system: dict[str, list[Row]] = {}
    for row in rows:
        by_system.setdefault(_title(row), []).append(row)
    tables = [
        f"{title}\n{table(named(LEVELS, its_rows), [level_line(row) for row in its_rows])}\n"
        for title, its_rows in by_system.items()
    ]
    clients = [_OF_CLIENTS] if any(row["architecture"] == "requests" for row in rows) else []
    return "\n".join([*tables, *clients, *legend(rows)]).rstrip("\n")


def prediction_table(rows: Sequence[Row]) -> list[str]:
    """Return a table of what one further run would show with 90 %, where that is known."""
    known = [row for row in rows if "prediction90" in row]
    if not known:
        return []
    columns = named([Column("agents"), *(Column(title) for title in _PREDICTED)], known)
    lines = [
        [f"{row['agents']:,}", *(_between(row["prediction90"].get(key), key)
                                for key in _PREDICTED.values())]
        for row in known
    ]  # fmt: skip
    title = "one further run, 90 % prediction intervals"
    return ["", title, table(columns, lines)]


def named(columns: Sequence[Column], rows: Sequence[Row]) -> list[Column]:
    """Return the columns of levels, named for clients and requests where all of these are such."""
    if not all(row.get("architecture") == "requests" for row in rows):
        return list(columns)
    return [evolve(one, title=_AT_A_SERVER.get(one.title, one.title)) for one in columns]


def class_table(rows: Sequence[Row]) -> list[str]:
    """Return a table of the messages of each class of agents, where there are some."""
    known = [row for row in rows if "classes" in row]
    if not known:
        return []
    columns = [
        Column("agents"),
        Column("class", left=True),
        Column("members"),
        *(Column(name) for name in ("p50", "p95", "p99")),
        Column("arrived"),
    ]
    lines = [
        [
            f"{row['agents']:,}" if number == 0 else "",
            name,
            f"{found['agents']:,}",
            *(_latency(found, column) for column in _QUANTILES),
            percent(found["delivered"] / found["messages"]) if found["messages"] else UNKNOWN,
        ]
        for row in known
        for number, (name, found) in enumerate(row["classes"].items())
    ]
    by_class = [found for row in known for found in row["classes"].values()]
    above = {*legend(rows)}
    more = [line for line in marks.legend(by_class, _QUANTILES) if line not in above]
    title, columns = "messages by the class of their sender", named(columns, known)
    return ["", title, table(columns, lines), *more]


def window_table(rows: Sequence[Row]) -> list[str]:
    """Return a table of latencies over the runs of each level whose load changes over time."""
    known = [row for row in rows if "windows" in row]
    if not known:
        return []
    several = len({row["system"] for row in known}) > 1
    columns = [
        Column("system" if several else "", left=True),
        Column("agents"),
        Column("window", left=True),
        Column("msg/s"),
        *(Column(name) for name in ("p50", "p95", "p99")),
    ]
    lines = [
        [
            row["system"] if several and number == 0 else "",
            f"{row['agents']:,}" if number == 0 else "",
            f"{clock(found['start_s'])}-{clock(found['end_s'])}",
            three_digits(found["messages_per_second"]) if found["messages_per_second"] else "0",
            *(_latency(found, column) for column in _QUANTILES),
        ]
        for row in known
        for number, found in enumerate(row["windows"])
    ]
    by_window = [found for row in known for found in row["windows"]]
    above = {*legend(rows)}
    more = [line for line in marks.legend(by_window, _QUANTILES) if line not in above]
    title, columns = "messages by the time when they were sent", named(columns, known)
    return ["", title, table(columns, lines), *more]


def _between(ends: Sequence[float] | None, key: str) -> str:
    if ends is None:
        return UNKNOWN
    shown = latency if key in _QUANTILES else percent if key == "utilization" else three_digits
    return between(*(shown(end) for end in ends))


def latency_table(rows: Sequence[Row]) -> str:
    """Return a table with a line per system: the latencies of a pair that is alone."""
    columns = [
        Column("system", left=True),
        Column("runs"),
        *(Column(name) for name in _LATENCIES),
    ]
    lines = [
        [
            row["system"] + marks.row_mark(row),
            _runs(row),
            *(_latency(row, f"{name}_latency_ms") for name in _LATENCIES),
        ]
        for row in rows
    ]
    return "\n".join(
        [table(columns, lines) + "\n", *legend(rows, _OF_A_PAIR, marks.OVERLOADED)]
    ).rstrip("\n")


def level_table(rows: Sequence[Row], axes: Mapping[str, str]) -> tuple[list[str], list[list[str]]]:
    """Return the titles and the lines of one table of all systems, as texts with their marks.

    Columns in which nothing stands are left out. `axes` are columns of the rows that say where a
    level lies, beside its system and its agents, with their units.
    """
    titles = ["system", *axes, *(column.title for column in named(LEVELS, rows))]
    lines = [
        [row["system"], *(axis_text(row[axis], unit) for axis, unit in axes.items()),
         *level_line(row)]
        for row in rows
    ]  # fmt: skip
    used = [i for i in range(len(titles)) if any(line[i] for line in lines)]
    return [titles[i] for i in used], [[line[i] for i in used] for line in lines]


def _title(row: Row) -> str:
    name, architecture = row["system"], row["architecture"]
    return str(name) if architecture in name else f"{name} ({architecture})"


def level_line(row: Row) -> list[str]:
    """Return what the table of a system says of a level: texts for `LEVELS`."""
    over = row["overloaded"]
    arrived = row["delivery_success_rate"]
    return [
        f"{row['agents']:,}" + marks.row_mark(row),
        f"{row['servers']:,}" if row["servers"] > 1 else "",
        _runs(row),
        *(_latency(row, name) for name in _QUANTILES),
        three_digits(row["messages_per_second"]),
        f"{row['bottleneck']} {percent(row['utilization'])}",
        percent(arrived) if not over and arrived and arrived < 0.995 else "",
        f"+{three_digits(row['backlog_growth_per_s'])}/s" if over else "",
    ]


def _latency(row: Row, name: str) -> str:
    return marks.marked(row, name, lambda: latency(row[name]), UNKNOWN)


def _runs(row: Row) -> str:
    """Return how many runs a level has taken, where its precision decided that."""
    if "precision" not in row:
        return ""
    return f"{row['replications']}" + ("" if row["precision"] == "reached" else "!")


def legend(
    rows: Sequence[Row], keys: Sequence[str] = _QUANTILES, overloaded: str = _BACKLOG
) -> list[str]:
    """Return what the marks in a table mean that shows the latencies `keys`."""
    imprecise = any(row.get("precision", "reached") != "reached" for row in rows)
    found = marks.legend(rows, keys, overloaded)
    doubts = [line for line in found if line.startswith(marks.DOUBT)]
    others = [*found[: len(found) - len(doubts)], *([_IMPRECISE] if imprecise else [])]
    return [*others, *doubts, *_warnings(rows)]


def _warnings(rows: Sequence[Row]) -> list[str]:
    """Return what the calibration of each system says against it."""
    found = dict.fromkeys((row["system"], row.get("warnings")) for row in rows)
    return [
        line for system, text in found if text for line in wrap(f"warning: {system}: {text}", WIDTH)
    ]
