r"""pgbench -l: a line for each transaction.

https://www.postgresql.org/docs/current/pgbench.html, "Per-Transaction Logging"::

    client_id transaction_no time script_no time_epoch time_us [schedule_lag] [retries]

``time`` is in microseconds, or the word "skipped" (with --rate and --latency-limit) or "failed";
``time_epoch`` and ``time_us`` stamp the end. With --rate, ``time`` counts from the scheduled start,
and ``schedule_lag`` is how much later the transaction started. A ``\sleep`` of the script is part
of the transaction: it is left out where the user says how long it is and where it stands.

pgbench reads its clock once in each turn of its loop. Where the operating system stops it between
sending and reading, and the answer is there when it goes on, the transaction is stamped with the
time before: it seems to last no longer than its lag. Such transactions are counted as ``untimed``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from attrs import frozen

from lhsim.errors import InputError
from lhsim.readers.formats.described import (
    Floats,
    Format,
    Head,
    Integers,
    from_first,
    is_text,
    names_of,
    refuse_backwards,
    with_zeros,
    without_header,
)
from lhsim.readers.formats.hints import Hints
from lhsim.readers.request_log import Labels, RequestLog, request_log
from lhsim.readers.tables import Table
from lhsim.readers.text import read_lines
from lhsim.units import format_duration

_NAMES = ("client_id", "transaction_no", "time", "script_no", "time_epoch", "time_us")
_SEVENTH = {"pgbench-rate": "schedule_lag", "pgbench-retries": "retries"}
_LATE, _RETRIES = 1000, 20  # a lag of some transaction [us]; no more retries than that
_EPOCH = 10**8  # an aggregated log begins with a time [s], not with a client
_WORDS = ("skipped", "failed", "serialization", "deadlock")


def read(paths: Sequence[Path], hints: Hints, seventh: str | None = None) -> RequestLog:
    """Return the log in the files of one run, one for each thread."""
    parts = [_part(path, seventh) for path in paths]
    whole = _Part.joined(parts)
    _refuse_copies(whole, names_of(paths))
    lag = whole.lag
    planned = whole.end - whole.time
    (scheduled, start, end), origin = from_first(
        (planned, planned if lag is None else planned + lag, whole.end), 10**6
    )
    untimed = int((start >= end).sum())
    start, end = _without_sleeps(start, end, hints, names_of(paths))
    client = Labels.of_numbers(whole.client)
    return request_log(
        client=client,
        start=start,
        end=end,
        source=names_of(paths),
        format=FORMAT.name,
        origin=origin,
        resolution=1e-6,
        operation=Labels.of_numbers(whole.script, "script "),
        scheduled=None if lag is None else scheduled,
        facts=FORMAT.facts(
            *_notes(whole, untimed, hints),
            skipped=whole.skipped,
            failed=whole.failed,
            sampled=whole.sampled,
            untimed=untimed,
        ),
    )


@frozen(eq=False)
class _Part:
    """What a file has, or several: transactions that ended, and counts of the others."""

    client: Integers
    number: Integers  # of a client's transactions
    time: Integers  # [us]
    script: Integers
    end: Integers  # since 1970 [us]
    lag: Integers | None  # [us]
    skipped: int
    failed: int
    sampled: bool  # some transactions have no line

    @classmethod
    def joined(cls, parts: Sequence[_Part]) -> _Part:
        def together(name: str) -> Integers:
            return np.concatenate([getattr(one, name) for one in parts])

        return cls(
            client=together("client"),
            number=together("number"),
            time=together("time"),
            script=together("script"),
            end=together("end"),
            lag=together("lag") if all(one.lag is not None for one in parts) else None,
            skipped=sum(one.skipped for one in parts),
            failed=sum(one.failed for one in parts),
            sampled=any(one.sampled for one in parts),
        )


def _part(path: Path, seventh: str | None) -> _Part:
    width = _width(path)
    names = _names(width, seventh)
    table = without_header(path, names, " ")
    skipped = is_text(table, "time", "skipped")
    failed = is_text(table, "time", *_WORDS[1:])
    ended = ~(skipped | failed)
    client, number = (table.whole_numbers(name) for name in _NAMES[:2])
    micro = table.whole_numbers("time_us")
    table.refuse_rows(micro >= 10**6, "is no part of a second", "time_us", "0 to 999999")
    end = table.whole_numbers("time_epoch") * 10**6 + micro
    refuse_backwards(client, end / 1e6, table.place, str(path))
    time = with_zeros(table, "time", ~ended).whole_numbers("time")
    lag = _lag(table, names, path)
    return _Part(
        client=client[ended],
        number=number[ended],
        time=time[ended],
        script=table.whole_numbers("script_no")[ended],
        end=end[ended],
        lag=None if lag is None else lag[ended],
        skipped=int(skipped.sum()),
        failed=int(failed.sum()),
        sampled=_has_gaps(client, number),
    )


def _width(path: Path) -> int:
    first = next((line for line in read_lines(path) if line.strip()), "")
    cells = first.split(" ")
    if cells[0].isascii() and cells[0].isdigit() and int(cells[0][:18]) > _EPOCH:
        problem = "is an aggregated log of pgbench (--aggregate-interval): it has no transactions"
        raise InputError(problem, source=str(path), allowed="what pgbench -l writes without it")
    return len(cells)


def _names(width: int, seventh: str | None) -> list[str]:
    if width == len(_NAMES) + 1:
        return [*_NAMES, seventh or "lag_or_retries"]
    return [*_NAMES, "schedule_lag", "retries"][: max(width, len(_NAMES))]


def _lag(table: Table, names: Sequence[str], path: Path) -> Integers | None:
    """Return how late transactions started [us], or None where the log does not say it."""
    if "lag_or_retries" in names:
        values = table.whole_numbers("lag_or_retries")
        if values.max(initial=0) <= _RETRIES and len(values) >= _RETRIES:
            return None
        if values.max(initial=0) < _LATE:
            problem = "its seventh column may be the schedule lag or the retries"
            allowed = "the format pgbench-rate, or pgbench-retries, in place of pgbench or auto"
            raise InputError(problem, source=str(path), allowed=allowed)
        return values
    return table.whole_numbers("schedule_lag") if "schedule_lag" in names else None


def _has_gaps(client: Integers, number: Integers) -> bool:
    """Return whether numbers of a client's transactions are missing (--sampling-rate)."""
    order = np.lexsort((number, client))
    same = np.diff(client[order]) == 0
    return bool(np.any(same & (np.diff(number[order]) > 1)))


def _refuse_copies(part: _Part, source: str) -> None:
    order = np.lexsort((part.number, part.client))
    pairs = (part.client[order], part.number[order])
    if np.any((np.diff(pairs[0]) == 0) & (np.diff(pairs[1]) == 0)):
        problem = "a client has a transaction number twice"
        raise InputError(problem, source=source, allowed="each file once, and files of one run")


def _without_sleeps(start: Floats, end: Floats, hints: Hints, source: str) -> tuple[Floats, Floats]:
    slept = hints.sleep_first + hints.sleep_last
    if slept and float((end - start).min(initial=np.inf)) < slept:
        shortest = format_duration(float((end - start).min()))
        problem = f"a transaction took {shortest}, less than a sleep of {format_duration(slept)}"
        allowed = "the sleep of every script, --sleep-first or --sleep-last"
        raise InputError(problem, source=source, allowed=allowed)
    return start + hints.sleep_first, end - hints.sleep_last


def _notes(part: _Part, untimed: int, hints: Hints) -> list[str]:
    notes = []
    if part.skipped:
        notes.append(f"{part.skipped:,} skipped transactions were never sent: they are left out")
    if part.failed:
        notes.append(f"{part.failed:,} failed transactions have no time: they are left out")
    if part.sampled:
        notes.append("numbers of transactions are missing: the log is a sample, and think times "
                     "cannot be told")  # fmt: skip
    if untimed:
        notes.append(f"{untimed:,} transactions last 0 s: pgbench read its clock before the answer "
                     "had come")  # fmt: skip
    if hints.sleep_first or hints.sleep_last:
        slept = format_duration(hints.sleep_first + hints.sleep_last)
        notes.append(f"{slept} of each transaction count as thinking, as you said")
    return notes


def _recognises(head: Head) -> bool:
    cells = head.first.split(" ")
    return len(cells) >= len(_NAMES) and all(one.isdigit() or one in _WORDS for one in cells)


FORMAT = Format(
    name="pgbench",
    title="pgbench -l",
    source="https://www.postgresql.org/docs/current/pgbench.html",
    stamps="end",
    unit="us",
    unknown=(
        "a \\sleep of the script counts as response time (--sleep-first, --sleep-last)",
        "the processor time of the server",
    ),
    read=read,
    recognises=_recognises,
    hints=frozenset({"sleep_first", "sleep_last"}),
    several=True,
)
FORMATS = (
    FORMAT,
    *(
        Format(
            name=name, title=f"pgbench -l, the seventh column is {seventh}",
            source=FORMAT.source, stamps="end", unit="us", unknown=FORMAT.unknown,
            read=partial(read, seventh=seventh), recognises=lambda _: False,
            hints=FORMAT.hints, several=True,
        )
        for name, seventh in _SEVENTH.items()
    ),
)  # fmt: skip
