"""The table of formats: by the names by which they are asked for, and by what a file looks like."""

from __future__ import annotations

from pathlib import Path

from lhsim.errors import InputError, unknown_name
from lhsim.readers.formats import access, aggregates, hey, jmeter, k6, native, otlp, pgbench, vegeta
from lhsim.readers.formats.described import Format, Head, NoLog, head_of
from lhsim.readers.formats.hints import AUTO, NAMES

FORMATS = (
    native.FORMAT,
    *pgbench.FORMATS,
    k6.CSV,
    k6.JSON,
    jmeter.CSV,
    jmeter.XML,
    vegeta.CSV,
    vegeta.JSON,
    hey.FORMAT,
    otlp.FORMAT,
    access.FORMAT,
)
NO_LOGS = (native.MESSAGES, *aggregates.NO_LOGS)
KNOWN: tuple[Format | NoLog, ...] = (*FORMATS, *NO_LOGS)
BY_NAME = {one.name: one for one in FORMATS}


def chosen(path: Path, name: str | None = None) -> Format:
    """Return the format of a name, or the one that a file is in where none is said.

    Raises
    ------
    InputError
        When there is no such format, the file is in none of them, or it is no request log.
    """
    if name not in {None, AUTO}:
        if name not in BY_NAME:
            raise unknown_name("format", str(name), [AUTO, *NAMES], key="format")
        return BY_NAME[name]
    found = recognised(path)
    if isinstance(found, NoLog):
        raise InputError(found.reason, source=str(path), allowed=found.allowed)
    return found


def recognised(path: Path) -> Format | NoLog:
    """Return the only format that a file looks like.

    Raises
    ------
    InputError
        When it looks like none or like several, or cannot be read.
    """
    if path.name.lower().endswith(".parquet"):
        return native.of_parquet(path)
    head = head_of(path)
    found: list[Format | NoLog] = [one for one in KNOWN if one.recognises(head)]
    if len(found) == 1:
        return found[0]
    allowed = f"one of the formats {', '.join(NAMES)}"
    if found:
        names = ", ".join(one.name for one in found)
        raise InputError(f"may be one of {names}", source=str(path), allowed=allowed)
    raise InputError(_unlike(head), source=str(path), allowed=allowed)


def _unlike(head: Head) -> str:
    if not head.lines:
        return "is empty"
    return f"is in no known format: it begins with {head.first[:60]!r}"
