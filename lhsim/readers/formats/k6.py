"""k6: a row or an object for each sample of each metric, of which the durations are read.

https://grafana.com/docs/k6/latest/results-output/real-time/csv/ and .../json/. The time stamp is
that of the end of a request (``Trail.EndTime`` of its source); ``http_req_duration`` is in
milliseconds and leaves out DNS and connecting. Stamps of a CSV file are whole seconds, unless
``K6_CSV_TIME_FORMAT`` is ``unix_micro`` or another. The virtual user is known where the script runs
with ``--system-tags`` that include ``vu``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lhsim.errors import InputError
from lhsim.readers import columns
from lhsim.readers.formats.described import (
    Format,
    Head,
    Row,
    chosen_rows,
    in_nanoseconds,
    json_lines,
    names_of,
    of_rows,
    unit_since_1970,
    whole_text,
)
from lhsim.readers.formats.hints import Hints
from lhsim.readers.request_log import RequestLog
from lhsim.readers.tables import Table, read_csv

METRICS = ("http_req_duration", "grpc_req_duration")
_COLUMNS = ("metric_name", "timestamp", "metric_value")
_OPTIONAL = ("status", "name", "vu", "extra_tags", "metadata")
_VU = re.compile(r"(?:^|&)vu=([^&]*)")
_COARSE = "stamps are whole seconds: K6_CSV_TIME_FORMAT=unix_micro writes finer ones"


# --- CSV -----------------------------------------------------------------------------------------


def read_csv_output(paths: Sequence[Path], hints: Hints) -> RequestLog:
    """Return the log in a CSV file."""
    path = paths[0]
    whole_text(path)
    table = _durations(read_csv(path, _COLUMNS, _OPTIONAL))
    stamps, per_second = _stamps(table, hints)
    values = columns_of_numbers(table)
    rows = [
        Row(int(stamp), round(value * 1e6), client, status, operation)
        for stamp, value, client, status, operation in zip(
            stamps, values, _clients(table), _cells(table, "status"), _cells(table, "name"),
            strict=True,
        )
    ]  # fmt: skip
    notes = [_COARSE] if per_second == 1 else []
    return of_rows(CSV, paths, rows, resolution=1 / per_second, notes=notes)


def columns_of_numbers(table: Table) -> NDArray[np.float64]:
    """Return the durations [ms]."""
    values = table.times("metric_value")[0]
    bad = ~(values >= 0)  # NaN as well
    table.refuse_rows(bad, "is no duration", "metric_value", "milliseconds >= 0")
    return values


def _durations(table: Table) -> Table:
    """Return the rows that are durations of requests."""
    kept = pc.is_in(table.columns["metric_name"].values, pa.array(METRICS, pa.string()))
    if not pc.any(kept).as_py():
        problem = f"has no {' or '.join(METRICS)}"
        raise InputError(problem, source=str(table.path), allowed="the output of k6 run --out csv")
    return chosen_rows(table, kept.to_numpy(zero_copy_only=False))


def _stamps(table: Table, hints: Hints) -> tuple[NDArray[np.int64], int]:
    """Return the stamps [ns], and how many of their units are a second."""
    texts = table.columns["timestamp"].values
    if pc.all(pc.match_substring_regex(texts, r"^\d{1,19}$")).as_py():
        times = table.whole_numbers("timestamp")
        per_second = unit_since_1970(times, hints.unit, str(table.path))
        return times * (10**9 // per_second), per_second
    (seconds,), origin = table.points("timestamp")
    table.refuse_rows(~np.isfinite(seconds), "is empty", "timestamp", "a time for each request")
    times = origin * 10**9 + np.round(seconds * 1e9).astype(np.int64)
    return times, 1 if not np.any(times % 10**9) else 10**9


def _cells(table: Table, name: str) -> Iterable[str]:
    if name not in table.columns:
        return [""] * len(table)
    cells: list[str] = table.columns[name].values.to_pylist()
    return cells


def _clients(table: Table) -> Iterable[str | None]:
    if "vu" in table.columns:
        return [text or None for text in _cells(table, "vu")]
    pairs = zip(_cells(table, "metadata"), _cells(table, "extra_tags"), strict=True)
    found = [_VU.search(one) or _VU.search(other) for one, other in pairs]
    return [match[1] if match else None for match in found]


# --- JSON ----------------------------------------------------------------------------------------


def read_json_output(paths: Sequence[Path], hints: Hints) -> RequestLog:
    """Return the log in a file with a JSON object on each line."""
    path = paths[0]
    whole_text(path)
    rows = []
    for number, found in json_lines(path):
        if found.get("type") not in {"Metric", "Point"}:
            problem = f"line {number} is neither a Metric nor a Point"
            raise InputError(problem, source=str(path), allowed="the output of k6 run --out json")
        if found["type"] == "Point" and found.get("metric") in METRICS:
            rows.append(_row(found.get("data"), number, path))
    if not rows:
        problem = f"has no {' or '.join(METRICS)}"
        raise InputError(problem, source=str(path), allowed="the output of k6 run --out json")
    return of_rows(JSON, paths, rows, resolution=1e-9)


def _row(data: Any, number: int, path: Path) -> Row:
    data = data if isinstance(data, dict) else {}
    tags = data.get("tags") if isinstance(data.get("tags"), dict) else {}
    metadata = data.get("metadata") if isinstance(data.get("metadata"), dict) else {}
    stamp, value = in_nanoseconds(data.get("time")), data.get("value")
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if stamp is None or not is_number or not 0 <= value < columns.EPOCH * 1e3:
        problem = f"line {number} has no time with a duration in milliseconds"
        raise InputError(problem, source=names_of([path]), allowed='"time" and "value" >= 0')
    client = metadata.get("vu") or tags.get("vu")
    return Row(
        stamp,
        round(value * 1e6),
        None if client is None else str(client),
        str(tags.get("status", "")),
        str(tags.get("name", "")),
    )


def _is_csv(head: Head) -> bool:
    return set(_COLUMNS) <= head.fields


def _is_json(head: Head) -> bool:
    found = head.json()
    return found.get("type") in {"Metric", "Point"} and "metric" in found


_UNKNOWN = (
    "the virtual user, unless --system-tags of the run include vu",
    "the time of connecting (http_req_connecting is no part of http_req_duration)",
    "the intended start: k6 drops iterations when it has too few virtual users",
    "the processor time of the server",
)
CSV = Format(
    name="k6-csv",
    title="k6 run --out csv",
    source="https://grafana.com/docs/k6/latest/results-output/real-time/csv/",
    stamps="end",
    unit="ms, stamps by K6_CSV_TIME_FORMAT",
    unknown=_UNKNOWN,
    read=read_csv_output,
    recognises=_is_csv,
    hints=frozenset({"unit"}),
)
JSON = Format(
    name="k6-json",
    title="k6 run --out json",
    source="https://grafana.com/docs/k6/latest/results-output/real-time/json/",
    stamps="end",
    unit="ms, stamps with a time zone",
    unknown=_UNKNOWN,
    read=read_json_output,
    recognises=_is_json,
)
