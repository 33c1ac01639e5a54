"""Request logs: one row a request, with its client, when it started and when it ended.

The native log is a CSV or Parquet file (`lhsim.readers.tables`: compressed, any unit, timestamps)
with the columns ``client``, ``start_s`` and ``end_s``, and perhaps ``status``, ``operation`` and
``scheduled_s``, the intended start. A client's rows stand in the order of their starts or of their
ends, as whatever writes a log writes it: a clock that jumps back is refused. Where the client is
-1 in every row, nothing names the clients.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from lhsim._files import Named, expanded
from lhsim.errors import InputError
from lhsim.readers.request_log import UNKNOWN, Labels, RequestLog, request_log
from lhsim.readers.tables import Table, read_table

__all__ = ["COLUMNS", "OPTIONAL", "RequestLog", "read_requests", "write_requests"]

COLUMNS = ("client", "start_s", "end_s")
OPTIONAL = ("status", "operation", "scheduled_s")
NATIVE = "requests"
_DECIMALS = 9  # of a time in a CSV file


def read_requests(path: Named, format: str | None = None) -> RequestLog:  # noqa: A002
    """Return the request log in a file.

    Raises
    ------
    InputError
        When it is none, with its first mistake.
    """
    return read_native(path)


def read_native(path: Named) -> RequestLog:
    """Return a native request log; it raises as `read_requests` does."""
    table = read_table(path, COLUMNS, OPTIONAL)
    times = [name for name in ("start_s", "end_s", "scheduled_s") if name in table.columns]
    (start, end, *scheduled), origin = table.points(*times)
    client = Labels(*reversed(table.names("client")))
    for column, values in (("start_s", start), ("end_s", end)):
        table.refuse_rows(np.isnan(values), "is empty", column, "a time for each request")
    table.refuse_rows(end < start, "is before start_s", "end_s", "a duration >= 0")
    _refuse_jumps(table, client, start, end)
    return request_log(
        client=_named(table, client),
        start=start,
        end=end,
        source=str(table.path),
        format=NATIVE,
        origin=origin,
        status=_labels(table, "status"),
        operation=_labels(table, "operation"),
        scheduled=scheduled[0] if scheduled else None,
        facts={"stamps": "both", "unknown": (), "notes": ()},
    )


def write_requests(log: RequestLog, path: Named) -> Path:
    """Write a native log, as Parquet or CSV by the end of the name; return its path.

    Times count from the first start. A file that is there is replaced.

    Raises
    ------
    InputError
        When the name ends in neither.
    """
    found = expanded(path)
    kind = found.suffix.lower()
    if kind not in {".parquet", ".csv"}:
        problem = f"{found.name[:60]!r} ends in neither .parquet nor .csv"
        raise InputError(problem, source=str(path), allowed="requests.parquet, requests.csv")
    table = _table(log)
    if kind == ".parquet":
        pa.parquet.write_table(table, found)
    else:
        pa.csv.write_csv(_written(table), found)
    return found


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


def _table(log: RequestLog) -> pa.Table:
    names = log.client_names
    clients = [names[code] for code in log.client] if log.has_clients else [UNKNOWN] * len(log)
    columns = {"client": clients, "start_s": log.start, "end_s": log.end}
    if log.status is not None:
        columns["status"] = log.status.texts
    if log.operation is not None:
        columns["operation"] = log.operation.texts
    if log.scheduled is not None:
        columns["scheduled_s"] = pa.array(log.scheduled, from_pandas=True)
    return pa.table(columns)


def _written(table: pa.Table) -> pa.Table:
    """Return a table whose times are written with a fixed number of decimals."""
    for index, name in enumerate(table.column_names):
        if name.endswith("_s"):
            values = table.column(index).to_pylist()
            texts = [None if one is None else f"{one:.{_DECIMALS}f}" for one in values]
            table = table.set_column(index, name, pa.array(texts, pa.string()))
    return table
