"""vegeta encode: a row or an object for each request.

https://github.com/tsenart/vegeta#encode-command. CSV has no names of columns; the first nine are
the start in nanoseconds since 1970, the status (0: no answer), the latency in nanoseconds, bytes
out and in, the error, the body, the name of the attack and the sequence number. JSON has
``timestamp`` (RFC 3339), ``latency`` (ns), ``code``, ``seq``, ``method`` and ``url``. The stamp is
that of the start; vegeta is an open loop and has no clients.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lhsim.errors import InputError
from lhsim.readers.columns import EPOCH
from lhsim.readers.formats.described import (
    Format,
    Head,
    Row,
    in_nanoseconds,
    json_lines,
    of_rows,
    whole_text,
    without_header,
)
from lhsim.readers.formats.hints import Hints
from lhsim.readers.request_log import RequestLog
from lhsim.readers.text import read_lines

_NAMES = (
    "timestamp", "code", "latency", "bytes_out", "bytes_in", "error", "body", "attack", "seq",
    "method", "url", "headers",
)  # fmt: skip
_DIGITS = 19  # of nanoseconds since 1970
_LONGEST = int(EPOCH * 1e9)  # of a latency [ns]


def read_csv_results(paths: Sequence[Path], hints: Hints) -> RequestLog:
    """Return the log in the CSV files of one attack."""
    rows = [row for path in paths for row in _csv_rows(path)]
    return of_rows(CSV, paths, rows, resolution=1e-9)


def read_json_results(paths: Sequence[Path], hints: Hints) -> RequestLog:
    """Return the log in the JSON files of one attack."""
    rows = [row for path in paths for row in _json_rows(path)]
    return of_rows(JSON, paths, rows, resolution=1e-9)


def _csv_rows(path: Path) -> list[Row]:
    first = next(read_lines(path), "")
    names = _NAMES[: max(first.count(",") + 1, 3)]
    table = without_header(path, names, ",")
    stamps, codes, latencies = (table.whole_numbers(name) for name in _NAMES[:3])
    table.refuse_rows(stamps < EPOCH * 1e9, "is no time in nanoseconds since 1970",
                      "timestamp", "what vegeta encode --to csv writes")  # fmt: skip
    table.refuse_rows(latencies > _LONGEST, "is no duration", "latency", "nanoseconds")
    cells = {
        name: table.columns[name].values.to_pylist() if name in names else [""] * len(table)
        for name in ("method", "url")
    }
    return [
        Row(int(stamp), int(latency), None, str(code), f"{method} {url}".strip())
        for stamp, latency, code, method, url in zip(
            stamps, latencies, codes, cells["method"], cells["url"], strict=True
        )
    ]


def _json_rows(path: Path) -> list[Row]:
    whole_text(path)
    rows = []
    for number, found in json_lines(path):
        stamp, latency, code = (found.get(name) for name in ("timestamp", "latency", "code"))
        start = in_nanoseconds(stamp)
        if start is None or not _is_whole(latency) or not _is_whole(code):
            problem = f"line {number} has no timestamp with a latency in nanoseconds and a code"
            allowed = "what vegeta encode --to json writes"
            raise InputError(problem, source=str(path), allowed=allowed)
        operation = f"{found.get('method', '')} {found.get('url', '')}".strip()
        rows.append(Row(start, int(str(latency)), None, str(code), operation))
    return rows


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LONGEST


def _is_csv(head: Head) -> bool:
    cells = head.first.split(",")
    stamp, *rest = cells
    numbers = all(one.isdigit() for one in rest[:2]) and len(rest) > 1
    return len(stamp) == _DIGITS and stamp.isdigit() and numbers


def _is_json(head: Head) -> bool:
    return {"timestamp", "latency", "code"} <= head.json().keys()


_UNKNOWN = (
    "clients: vegeta is an open loop, and a request waits for no other",
    "the intended start: a stamp is later where vegeta had too few workers",
    "the processor time of the server",
)
CSV = Format(
    name="vegeta-csv",
    title="vegeta encode --to csv",
    source="https://github.com/tsenart/vegeta#encode-command",
    stamps="start",
    unit="ns",
    unknown=_UNKNOWN,
    read=read_csv_results,
    recognises=_is_csv,
    several=True,
    loop="open",
)
JSON = Format(
    name="vegeta-json",
    title="vegeta encode --to json",
    source="https://github.com/tsenart/vegeta#encode-command",
    stamps="start",
    unit="ns, stamps with a time zone",
    unknown=_UNKNOWN,
    read=read_json_results,
    recognises=_is_json,
    several=True,
    loop="open",
)
