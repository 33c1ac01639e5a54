"""The native request log: a CSV or Parquet file with a row a request.

Columns are ``client``, ``start_s`` and ``end_s`` (`lhsim.readers.tables`: compressed, any unit,
timestamps), and perhaps ``status``, ``operation`` and ``scheduled_s``, the intended start. A
client's rows stand in the order of their starts or of their ends, as whatever writes a log writes
it: a clock that jumps back is refused. Where the client is -1 in every row, nothing names clients.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lhsim.readers.formats.described import Format, Head, NoLog
from lhsim.readers.formats.hints import Hints
from lhsim.readers.request_log import UNKNOWN, Labels, RequestLog, request_log
from lhsim.readers.tables import Table, read_parquet, read_table

COLUMNS = ("client", "start_s", "end_s")
OPTIONAL = ("status", "operation", "scheduled_s")
ENOUGH = 10  # rows whose decimals tell how many a number has
_SPELT = {
    name: {name, *(name.removesuffix("_s") + unit for unit in ("_ms", "_us", "_ns"))}
    for name in ("start_s", "end_s", "intended_s", "delivered_s")
}


def read(paths: Sequence[Path], hints: Hints) -> RequestLog:
    """Return the log in a file."""
    table = read_table(paths[0], COLUMNS, OPTIONAL)
    _refuse_half_line(table)
    times = [name for name in ("start_s", "end_s", "scheduled_s") if name in table.columns]
    (start, end, *scheduled), origin = table.points(*times)
    names, codes = table.names("client")
    client = Labels(codes, tuple(names))
    for column, values in (("start_s", start), ("end_s", end)):
        table.refuse_rows(np.isnan(values), "is empty", column, "a time for each request")
    table.refuse_rows(end < start, "is before start_s", "end_s", "a duration >= 0")
    _refuse_jumps(table, client, start, end)
    return request_log(
        client=_named(table, client),
        start=start,
        end=end,
        source=str(table.path),
        format=FORMAT.name,
        origin=origin,
        status=_labels(table, "status"),
        operation=_labels(table, "operation"),
        scheduled=scheduled[0] if scheduled else None,
        facts=FORMAT.facts(),
    )


def _refuse_half_line(table: Table) -> None:
    """Refuse a last line that ends within a number.

    It has no line end, and fewer decimals than that column has in any other row. A line that was
    written by hand may have no end, too.
    """
    rows = table.rows
    if rows is None or rows.rows.endswith((b"\n", b"\r")):
        return
    for name, column in table.columns.items():
        if column.name == rows.header[-1] and len(column.values) > ENOUGH:
            *others, last = (len(str(one).partition(".")[2]) for one in column.values.to_pylist())
            if last < min(others):
                problem = "is cut off: it has fewer decimals than the others, and no line end"
                raise table.refusal(problem, name, "whole lines", len(others))


def _labels(table: Table, name: str) -> Labels | None:
    """Return a column of texts, which may be empty."""
    if name not in table.columns:
        return None
    names, codes = table.texts(name)
    return Labels(codes, tuple(names))


def _named(table: Table, client: Labels) -> Labels | None:
    """Return the clients, or None where the file has none."""
    if str(UNKNOWN) not in client.names:
        return client
    if len(client.names) == 1:
        return None
    nobody = client.codes == client.names.index(str(UNKNOWN))
    allowed = "a client in each row, or -1 in all of them"
    table.refuse_rows(nobody, "names no client, other rows do", "client", allowed)
    return client


def _refuse_jumps(
    table: Table, client: Labels, start: NDArray[np.float64], end: NDArray[np.float64]
) -> None:
    """Refuse a client whose rows are in the order of neither their starts nor their ends."""
    if client.names == (str(UNKNOWN),):
        return
    order = np.argsort(client.codes, kind="stable")
    same = np.diff(client.codes[order], prepend=-1) == 0
    backwards = [same & (np.diff(times[order], prepend=-math.inf) < 0) for times in (start, end)]
    wrong = np.zeros(len(start), bool)
    by_start, by_end = (_with_any(client.codes[order], jumps) for jumps in backwards)
    unordered = np.intersect1d(by_start, by_end)
    wrong[order] = backwards[0] & np.isin(client.codes[order], unordered)
    table.refuse_rows(wrong, "is earlier than the client's row before", "start_s",
                      "a client's rows in the order of start_s, or of end_s")  # fmt: skip


def _with_any(codes: NDArray[np.int64], marked: NDArray[np.bool_]) -> NDArray[np.int64]:
    return np.unique(codes[marked])


def of_parquet(path: Path) -> Format | NoLog:
    """Return which log a Parquet file is; it raises as `read_parquet` does."""
    head: list[str] = []
    read_parquet(path, lambda names: head.extend(names) or names[:1])  # type: ignore[func-returns-value]
    return MESSAGES if _is_messages(frozenset(head)) else FORMAT


def _has(names: frozenset[str], wanted: str) -> bool:
    return bool(_SPELT[wanted] & names)


def _is_requests(names: frozenset[str]) -> bool:
    return "client" in names and (_has(names, "start_s") or _has(names, "end_s"))


def _is_messages(names: frozenset[str]) -> bool:
    return _has(names, "intended_s") and _has(names, "delivered_s")


def _fields(head: Head) -> frozenset[str]:
    """Return the names of the columns, above which comments may stand."""
    lines = tuple(one for one in head.lines if not one.lstrip().startswith(("#", "sep=")))
    return Head(head.name, lines).fields


FORMAT = Format(
    name="requests",
    title="a CSV or Parquet file with client,start_s,end_s",
    source="docs/how-to/logs.md",
    stamps="both",
    unit="s, or as the names of the columns say",
    unknown=("the processor time of the server",),
    read=read,
    recognises=lambda head: _is_requests(_fields(head)),
)
MESSAGES = NoLog(
    name="messages",
    title="a message log: intended_s, sent_s, delivered_s, agent",
    reason="is a log of messages, not of requests",
    allowed="lhsim calibrate, which takes it as it is, or lhsim inspect",
    recognises=lambda head: _is_messages(_fields(head)),
)
