"""JMeter's result files (JTL): CSV with the names of the columns, or XML.

https://jmeter.apache.org/usermanual/listeners.html#csvlogformat and ...#attributes. ``timeStamp``
counts milliseconds since 1970 and stamps the start (``sampleresult.timestamp.start=true`` of
jmeter.properties, else the end: ``--stamps end``); ``elapsed`` is in milliseconds. The thread is
the client. The sample of a transaction controller repeats those within it and is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

from lhsim.errors import InputError, shown
from lhsim.readers.columns import LONGEST
from lhsim.readers.formats.described import Format, Head, Row, of_rows, whole_text
from lhsim.readers.formats.hints import Hints
from lhsim.readers.request_log import RequestLog
from lhsim.readers.tables import read_csv
from lhsim.readers.text import read_whole

_COLUMNS = ("timeStamp", "elapsed", "threadName")
_OPTIONAL = ("label", "responseCode", "responseMessage", "success", "Hostname")
_TRANSACTION = re.compile(r"Number of samples in transaction : \d+")
_SAMPLES = {"sample", "httpSample"}
_MS = 10**6  # [ns]


def read_csv_results(paths: Sequence[Path], hints: Hints) -> RequestLog:
    """Return the log in a CSV file."""
    path = paths[0]
    whole_text(path)
    table = read_csv(path, _COLUMNS, _OPTIONAL)
    stamps = table.whole_numbers("timeStamp")
    table.refuse_rows(stamps >= LONGEST * 1e3, "is no time in milliseconds since 1970",
                      "timeStamp", "timestamp_format=ms")  # fmt: skip
    elapsed = table.whole_numbers("elapsed")
    table.refuse_rows(elapsed >= 1e11, "is no duration, but a date since 1970", "elapsed",
                      "milliseconds")  # fmt: skip
    names, codes = table.names("threadName")
    texts = {
        name: table.columns[name].values.to_pylist() if name in table.columns else [""] * len(table)
        for name in _OPTIONAL
    }
    rows: list[Row] = []
    left_out = 0
    for index, stamp in enumerate(stamps):
        one = {name: cells[index] for name, cells in texts.items()}
        if _TRANSACTION.match(one["responseMessage"]):
            left_out += 1
            continue
        client = names[codes[index]]
        client = f"{one['Hostname']} {client}" if one["Hostname"] else client
        status = _status(one["success"], one["responseCode"])
        rows.append(Row(int(stamp) * _MS, int(elapsed[index]) * _MS, client, status, one["label"]))
    return _log(CSV, paths, rows, left_out, hints)


def read_xml_results(paths: Sequence[Path], hints: Hints) -> RequestLog:
    """Return the log in an XML file; samples within a sample are part of it."""
    path = paths[0]
    rows: list[Row] = []
    left_out = 0
    for sample in _top_samples(path):
        if _TRANSACTION.match(sample.get("rm", "")):
            left_out += 1
            continue
        rows.append(_row(sample, path, len(rows) + left_out + 1))
    return _log(XML, paths, rows, left_out, hints)


def _log(
    form: Format, paths: Sequence[Path], rows: Sequence[Row], left_out: int, hints: Hints
) -> RequestLog:
    text = f"{left_out:,} samples of transaction controllers repeat others: they are left out"
    notes = [text] if left_out else []
    stamps = hints.stamps or form.stamps
    return of_rows(form, paths, rows, stamps=stamps, resolution=1e-3, notes=notes)


def _top_samples(path: Path) -> Iterator[ET.Element]:
    text = read_whole(path)
    if b"<!DOCTYPE" in text or b"<!ENTITY" in text:  # entities may be made to grow without end
        raise InputError("declares a document type", source=str(path), allowed="a JTL file")
    try:
        root = ET.fromstring(text)
    except (ET.ParseError, LookupError, ValueError) as error:  # and an encoding that nobody knows
        problem = f"is no XML: {error}"
        raise InputError(problem, source=str(path), allowed="a JTL file of JMeter") from None
    return (one for one in root if one.tag in _SAMPLES)


def _row(sample: ET.Element, path: Path, number: int) -> Row:
    values = [sample.get(name, "") for name in ("ts", "t")]
    if not all(text.isascii() and text.isdigit() and len(text) <= 13 for text in values):
        problem = f"sample {number} has ts={shown(values[0])} and t={shown(values[1])}"
        raise InputError(problem, source=str(path), allowed="milliseconds")
    client = sample.get("tn")
    if client is None:
        problem = f"sample {number} names no thread (tn)"
        raise InputError(problem, source=str(path), allowed="jmeter.save.saveservice.thread_name")
    host = sample.get("hn")
    return Row(
        int(values[0]) * _MS,
        int(values[1]) * _MS,
        f"{host} {client}" if host else client,
        _status(sample.get("s", ""), sample.get("rc", "")),
        sample.get("lb", ""),
    )


def _status(success: str, code: str) -> str:
    """Return the status of a request, which says "failed" where JMeter says so."""
    if success.lower() == "false":
        return "failed" if code.isdigit() and 100 <= int(code[:9]) < 400 else code or "failed"
    return code if code.isdigit() else "ok"


def _is_csv(head: Head) -> bool:
    return {"timeStamp", "elapsed"} <= head.fields


def _is_xml(head: Head) -> bool:
    return head.first.lstrip().startswith("<") and any("<testResults" in one for one in head.lines)


_UNKNOWN = (
    "the intended start",
    "whether stamps are those of starts, as by default, or of ends (--stamps end)",
    "the processor time of the server",
)
CSV = Format(
    name="jmeter-csv",
    title="JMeter's result file (JTL), CSV",
    source="https://jmeter.apache.org/usermanual/listeners.html#csvlogformat",
    stamps="start",
    unit="ms",
    unknown=_UNKNOWN,
    read=read_csv_results,
    recognises=_is_csv,
    hints=frozenset({"stamps"}),
)
XML = Format(
    name="jmeter-xml",
    title="JMeter's result file (JTL), XML",
    source="https://jmeter.apache.org/usermanual/listeners.html#attributes",
    stamps="start",
    unit="ms",
    unknown=_UNKNOWN,
    read=read_xml_results,
    recognises=_is_xml,
    hints=frozenset({"stamps"}),
)
