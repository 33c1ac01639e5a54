"""hey -o csv: a row for each request.

https://github.com/rakyll/hey. ``offset`` is the start since hey began and ``response-time`` how
long the answer took, connecting included, both in seconds with four decimals. Rows have no worker.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lhsim.readers.formats.described import Format, labels, whole_text
from lhsim.readers.formats.hints import Hints
from lhsim.readers.request_log import RequestLog, request_log
from lhsim.readers.tables import read_csv

_COLUMNS = ("offset", "response-time", "status-code")


def read(paths: Sequence[Path], hints: Hints) -> RequestLog:
    """Return the log in a file."""
    path = paths[0]
    whole_text(path)
    table = read_csv(path, _COLUMNS)
    start, lasting = table.times("offset")[0], table.durations("response-time")
    for name, values in (("offset", start), ("response-time", lasting)):
        table.refuse_rows(~(values >= 0), "is no time", name, "seconds >= 0")
    return request_log(
        client=None,
        start=np.asarray(start),
        end=start + lasting,
        source=str(path),
        format=FORMAT.name,
        resolution=1e-4,
        status=labels(table, "status-code"),
        facts=FORMAT.facts(),
    )


FORMAT = Format(
    name="hey",
    title="hey -o csv",
    source="https://github.com/rakyll/hey",
    stamps="start",
    unit="s",
    unknown=(
        "the worker (-c) that sent a request",
        "requests without an answer: hey leaves them out",
        "the intended start",
        "the processor time of the server",
    ),
    read=read,
    recognises=lambda head: {"response-time", "offset", "DNS+dialup"} <= head.fields,
)
