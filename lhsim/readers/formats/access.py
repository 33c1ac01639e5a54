"""Access logs of nginx, Apache and Envoy as request logs, by the format string of the server.

`lhsim.readers.log_formats` says which variables are read and whether they stamp a start or an end.
A duration has the sending of the answer to a slow client in it. A log names no closed clients: an
address may be many of them, or one behind several. Which variable does, the user may say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from attrs import evolve

from lhsim.errors import InputError
from lhsim.readers.access_logs import LONGEST
from lhsim.readers.formats.described import Format, Row, in_nanoseconds, of_rows, whole_text
from lhsim.readers.formats.hints import Hints
from lhsim.readers.log_formats import (
    ALLOWED,
    CLIENT,
    DURATION,
    PATH,
    REQUEST,
    STAMP,
    STATUS,
    LogFormat,
    Stamp,
    log_format,
)
from lhsim.readers.request_log import RequestLog
from lhsim.readers.text import read_lines
from lhsim.units import format_duration

_NUMBER = re.compile(r"\d{1,19}(\.\d{1,9})?")
_CLF = "%d/%b/%Y:%H:%M:%S %z"
NO_CLIENTS = "clients, but for --client: an address is none"
_SHOWN = 80  # of a line that is refused: its end, where the times are


def read(paths: Sequence[Path], hints: Hints) -> RequestLog:
    """Return the log in the files of one server."""
    if hints.log_format is None:
        problem = "is an access log, whose format is not known"
        raise InputError(problem, source=str(paths[0]), allowed=f"--log-format with {ALLOWED}")
    form = log_format(hints.log_format, hints.client)
    if form.stamp is None:
        problem = f"{form.name} does not say when a request was"
        allowed = "a format with $msec, $time_local, %t, %{usec}t or %START_TIME%"
        raise InputError(problem, source="--log-format", allowed=allowed)
    reading = _Reading(form, form.stamp)
    rows = [row for path in paths for row in reading.rows(path)]
    notes = list(reading.notes())
    stamps = hints.stamps or form.stamp.stamps
    log = of_rows(FORMAT, paths, rows, stamps=stamps, resolution=form.stamp.step, notes=notes)
    if hints.client is None:
        return log
    unknown = tuple(one for one in FORMAT.unknown if one != NO_CLIENTS)
    return evolve(log, facts={**log.facts, "unknown": unknown})


class _Reading:
    """Reads lines, and counts those that are left out."""

    def __init__(self, form: LogFormat, stamp: Stamp) -> None:
        self.form, self.stamp = form, stamp
        self.without = 0  # requests whose duration is "-"

    def rows(self, path: Path) -> Iterator[Row]:
        whole_text(path)
        for number, line in enumerate(read_lines(path), 1):
            if not line.strip() or line.startswith("#"):
                continue
            match = self.form.pattern.fullmatch(line)
            if match is None:
                end = line if len(line) <= _SHOWN else "..." + line[-_SHOWN:]
                problem = f"line {number}: {end!r} is not in the format {self.form.name}"
                allowed = f"--log-format with what the server writes: {ALLOWED}"
                raise InputError(problem, source=str(path), allowed=allowed)
            fields = match.groupdict()
            if fields[DURATION] == "-":
                self.without += 1
                continue
            yield self.row(fields, f"{path}: line {number}")

    def row(self, fields: dict[str, str], place: str) -> Row:
        seconds = float(fields[DURATION]) / self.form.per_second
        stamp = _nanoseconds(fields[STAMP], self.stamp)
        if seconds > LONGEST:
            problem = f"{fields[DURATION]} is no duration"
            allowed = f"at most {format_duration(LONGEST)}"
            raise InputError(problem, source=place, allowed=allowed)
        if stamp is None:
            raise InputError(f"{fields[STAMP][:40]!r} is no time", source=place)
        operation = fields.get(REQUEST) or fields.get(PATH) or ""
        short = " ".join(operation.split(" ")[:2]).partition("?")[0]
        return Row(stamp, round(seconds * 1e9), fields.get(CLIENT), fields[STATUS], short[:200])

    def notes(self) -> Iterator[str]:
        if self.without:
            yield f"{self.without:,} requests have no duration: they are left out"
        if self.stamp.step > self.form.step:
            fine, coarse = format_duration(self.form.step), format_duration(self.stamp.step)
            yield f"durations are in steps of {fine}, time stamps in steps of {coarse}"


def _nanoseconds(text: str, stamp: Stamp) -> int | None:
    """Return a time stamp in nanoseconds since 1970, or None where it is none."""
    text = text.strip("[]")
    if stamp.kind == "iso":
        return in_nanoseconds(text)
    if stamp.kind == "clf":
        try:
            return int(datetime.strptime(text, _CLF).timestamp()) * 10**9
        except (ValueError, OverflowError):
            return None
    if not _NUMBER.fullmatch(text):
        return None
    whole, _, part = text.partition(".")
    return (int(whole) * 10**9 + int(part.ljust(9, "0"))) // stamp.per_second


FORMAT = Format(
    name="access-log",
    title="access log of nginx, Apache or Envoy",
    source="https://nginx.org/en/docs/http/ngx_http_log_module.html, "
    "https://httpd.apache.org/docs/current/mod/mod_log_config.html, "
    "https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage",
    stamps="end",
    unit="by the format string",
    unknown=(
        NO_CLIENTS,
        "requests that the server never took",
        "the intended start",
        "the processor time of the server",
    ),
    read=read,
    recognises=lambda _: False,  # without its format string a line may mean anything
    hints=frozenset({"log_format", "client", "stamps"}),
    several=True,
)
