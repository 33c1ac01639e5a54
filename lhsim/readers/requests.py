"""Request logs: one row a request, with its client, when it started and when it ended.

The native log is a CSV or Parquet file (`lhsim.readers.tables`: compressed, any unit, timestamps)
with the columns ``client``, ``start_s`` and ``end_s`` (`lhsim.readers.formats.native`). What the
logs of other tools are, `lhsim.readers.formats.table` knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from lhsim._files import Named, existing, expanded, replace
from lhsim.errors import InputError
from lhsim.readers.formats.described import Format
from lhsim.readers.formats.hints import AUTO, Hints
from lhsim.readers.formats.native import COLUMNS, OPTIONAL
from lhsim.readers.formats.table import chosen
from lhsim.readers.request_log import UNKNOWN, RequestLog

__all__ = ["COLUMNS", "KINDS", "OPTIONAL", "Hints", "RequestLog", "read_requests", "write_requests"]

KINDS = (".parquet", ".csv")  # of files that are written
_DECIMALS = 9  # of a time in a CSV file


def read_requests(
    path: Named | Sequence[Named],
    format: str | None = None,  # noqa: A002 - as the option of the command is called
    hints: Hints | None = None,
) -> RequestLog:
    """Return the request log in a file, or in several files of one run.

    Parameters
    ----------
    format
        One of `lhsim.readers.formats.table.NAMES`; None: the one that the file looks like.
    hints
        What the file does not say.

    Raises
    ------
    InputError
        When it is none, with its first mistake.
    """
    hints = hints or Hints()
    given = [path] if isinstance(path, str | PathLike) else list(path)
    if not given:
        raise InputError("names no file", source="path", allowed="one or more")
    paths = [existing(one) for one in given]
    _refuse_twice(paths)
    form = chosen(paths[0], format)
    for other in paths[1:]:
        _refuse_another(form, other, format)
    if useless := sorted(hints.given() - form.hints):
        option = "--" + useless[0].replace("_", "-")
        raise InputError(f"is of no use for {form.title}", source=option)
    if len(paths) > 1 and not form.several:
        problem = f"{len(paths)} files, but {form.title} is one file a run"
        raise InputError(problem, source=str(paths[1]), allowed="one file at a time")
    return form.read(paths, hints)


def write_requests(log: RequestLog, path: Named, kind: str | None = None) -> Path:
    """Write a native log, as Parquet or CSV by the end of the name or by `kind`; return its path.

    Times count from the first start. A file that is there is replaced, whole or not at all.

    Raises
    ------
    InputError
        When the name ends in neither.
    """
    found = expanded(path)
    kind = found.suffix.lower() if kind is None else kind
    if kind not in KINDS:
        problem = f"{found.name[:60]!r} ends in neither .parquet nor .csv"
        raise InputError(problem, source=str(path), allowed="requests.parquet, requests.csv")
    table = _table(log)
    if kind == ".parquet":
        replace(found, lambda to: pa.parquet.write_table(table, to))
    else:
        replace(found, lambda to: pa.csv.write_csv(_written(table), to))
    return found


def _refuse_twice(paths: Sequence[Path]) -> None:
    found = [path.resolve() for path in paths]
    twice = next((path for path in found if found.count(path) > 1), None)
    if twice is not None:
        raise InputError("is there twice", source=str(twice), allowed="each file once")


def _refuse_another(form: Format, path: Path, name: str | None) -> None:
    """Refuse a file in another format than the first one of a run."""
    if name in {None, AUTO} and (other := chosen(path, name)) is not form:
        problem = f"is in another format ({other.name}) than the first file ({form.name})"
        raise InputError(problem, source=str(path), allowed="files of one run")


def _table(log: RequestLog) -> pa.Table:
    names = log.client_names
    clients = [names[code] for code in log.client] if log.has_clients else [UNKNOWN] * len(log)
    columns: dict[str, Any] = {"client": clients, "start_s": log.start, "end_s": log.end}
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
