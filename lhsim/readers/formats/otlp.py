"""OpenTelemetry's spans as OTLP JSON, an export request on each line or in the whole file.

https://opentelemetry.io/docs/specs/otel/protocol/file-exporter/ and the JSON of
https://github.com/open-telemetry/opentelemetry-proto. A span of kind SERVER (2) or CLIENT (3) is a
request, from ``startTimeUnixNano`` to ``endTimeUnixNano``; spans within a process (INTERNAL) are
not. Where both kinds are there, each request is there twice: ``--span-kind`` chooses one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lhsim.errors import InputError, shown
from lhsim.readers.columns import EPOCH
from lhsim.readers.formats.described import Format, Row, of_rows
from lhsim.readers.formats.hints import Hints
from lhsim.readers.request_log import RequestLog
from lhsim.readers.text import read_whole

KINDS = {2: "server", "SPAN_KIND_SERVER": "server", 3: "client", "SPAN_KIND_CLIENT": "client"}
_ERROR = (2, "STATUS_CODE_ERROR")
_ALLOWED = "OTLP JSON: resourceSpans, scopeSpans, spans"


def read(paths: Sequence[Path], hints: Hints) -> RequestLog:
    """Return the log in the files of one run."""
    spans = [(span, path) for path in paths for span in _spans(path)]
    kinds = {KINDS[span["kind"]] for span, _ in spans if _is_request(span)}
    if not kinds:
        problem = "has no span of kind SERVER or CLIENT"
        raise InputError(problem, source=str(paths[0]), allowed="spans of requests")
    if len(kinds) > 1 and not hints.span_kind:
        problem = "has spans of servers and of clients, which may be the same requests"
        allowed = "--span-kind server, or client"
        raise InputError(problem, source=str(paths[0]), allowed=allowed)
    wanted = hints.span_kind or next(iter(kinds))
    chosen = [(span, path) for span, path in spans if KINDS.get(_kind(span)) == wanted]
    rows = [_row(span, path) for span, path in chosen]
    notes = [f"{len(rows):,} of {len(spans):,} spans are requests ({wanted})"]
    return of_rows(FORMAT, paths, rows, resolution=1e-9, notes=notes)


def _spans(path: Path) -> Iterator[dict[str, Any]]:
    for request in _requests(path):
        for resource in _list(request, "resourceSpans", path):
            # Until version 0.15 of the protocol the scope was called a library.
            name = "scopeSpans" if "scopeSpans" in resource else "instrumentationLibrarySpans"
            for scope in _list(resource, name, path):
                yield from _list(scope, "spans", path)


def _requests(path: Path) -> Iterator[dict[str, Any]]:
    text = read_whole(path).decode()
    try:
        yield _object(json.loads(text), 1, path)
        return
    except (ValueError, RecursionError):
        pass  # an object on each line
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            problem = f"line {number}: {shown(line[:60])} is no JSON object"
            raise InputError(problem, source=str(path), allowed=_ALLOWED) from None
        yield _object(found, number, path)


def _object(found: Any, number: int, path: Path) -> dict[str, Any]:
    if not isinstance(found, dict) or "resourceSpans" not in found:
        problem = f"line {number} has no resourceSpans"
        raise InputError(problem, source=str(path), allowed=_ALLOWED)
    return found


def _list(owner: dict[str, Any], name: str, path: Path) -> list[dict[str, Any]]:
    found = owner.get(name, [])
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise InputError("is no list of objects", source=str(path), key=name, allowed=_ALLOWED)
    return found


def _kind(span: dict[str, Any]) -> Any:
    kind = span.get("kind")
    return kind if isinstance(kind, int | str) else None


def _is_request(span: dict[str, Any]) -> bool:
    return _kind(span) in KINDS


def _row(span: dict[str, Any], path: Path) -> Row:
    times = [str(span.get(name, "")) for name in ("startTimeUnixNano", "endTimeUnixNano")]
    if not all(text.isascii() and text.isdigit() and len(text) <= 19 for text in times):
        problem = f"span {shown(span.get('spanId'))} lasts from {shown(times[0])} to "
        problem += shown(times[1])
        raise InputError(problem, source=str(path), allowed="nanoseconds since 1970")
    start, end = (int(text) for text in times)
    if end < start or start < EPOCH * 1e9:
        problem = f"span {shown(span.get('spanId'))} ends before it starts, or before 1973"
        raise InputError(problem, source=str(path), allowed="nanoseconds since 1970")
    said = span.get("status")
    code = said.get("code") if isinstance(said, dict) else None
    return Row(start, end - start, None, "failed" if code in _ERROR else "ok", _name(span))


def _name(span: dict[str, Any]) -> str:
    return str(span.get("name", ""))[:200]


FORMAT = Format(
    name="otlp",
    title="OpenTelemetry spans, OTLP JSON",
    source="https://opentelemetry.io/docs/specs/otel/protocol/file-exporter/",
    stamps="both",
    unit="ns",
    unknown=(
        "clients: a span names none",
        "spans that were not sampled",
        "the clock of another machine, where a span of a client is used",
        "the processor time of the server",
    ),
    read=read,
    recognises=lambda head: any('"resourceSpans"' in line for line in head.lines),
    hints=frozenset({"span_kind"}),
    several=True,
)
