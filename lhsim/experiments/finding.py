"""What an experiment of the suites found, in the one form that the report reads.

A folder with results holds it as ``finding.json``: the question, its answer, tables, figures, the
systems with their parameters, and what made it all. All of it is plain data, so that a report of
several experiments needs to know none of them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import asdict, field, fields, frozen

from lhsim import parameters
from lhsim.checks import one_of
from lhsim.experiments.output import write_files
from lhsim.experiments.plain import read_object

FILE = "finding.json"
STATES = ("done", "failed", "interrupted")

Row = Mapping[str, Any]  # plain values: text, numbers, true, false, null, and lists of these


@frozen
class Column:
    """A column of a table."""

    key: str  # of its values in the rows
    title: str
    unit: str = ""  # none for counts, ratios and texts; "share" is shown in per cent
    interval: str = ""  # key of the two ends of its interval, where it has one


@frozen
class Table:
    """A table: values as they are, to be rounded by whoever shows them.

    Beside the columns a row may have the marks of its figures (`lhsim.report.marks`).
    """

    name: str  # unique in its finding
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]


@frozen
class Picture:
    """A plot that lies beside the finding, as SVG and, under the same stem, as PNG."""

    file: str  # name of the SVG
    caption: str
    alt: str  # what it shows, for who cannot see it


@frozen
class Described:
    """A system that was run, with the whole text of its file."""

    name: str
    architecture: str
    toml: str
    settings: tuple[str, ...] = ()  # what was set beyond the file


@frozen
class Finding:
    """What an experiment found."""

    name: str
    title: str
    question: str
    answer: str
    status: str = field(default="done", validator=one_of(STATES))
    error: str | None = None  # of a failed experiment, in a line
    traceback: str | None = None
    tables: tuple[Table, ...] = ()
    figures: tuple[Picture, ...] = ()
    systems: tuple[Described, ...] = ()
    claims: tuple[Row, ...] = ()  # claim, claimed, figure, unit, interval, verdict, would_hold_if
    alerts: tuple[Row, ...] = ()  # system, cases, alert, severity, threshold, fired_at_s
    answers: dict[str, str] = field(factory=dict)  # to the questions of `lhsim.report.questions`
    method: str = ""
    limits: tuple[str, ...] = ()
    command: str = ""
    seed: int = 1
    version: str = ""  # of lhsim
    hash: str = field(default="", repr=False)  # of the experiment's specification
    seconds: float = 0.0  # that it took [s]

    def write(self, folder: Path) -> Path:
        """Write it into a folder, whole or not at all, and return the file; see `write_files`."""
        write_files(folder, self.files())
        return folder / FILE

    def files(self) -> dict[str, Callable[[Path], object]]:
        """Return what writes it, by the name of its file.

        What is not a finite number is written as null, which JSON has for it.
        """
        text = json.dumps(_plain(asdict(self)), indent=1, ensure_ascii=False, allow_nan=False)
        return {FILE: lambda path: path.write_text(text + "\n", encoding="utf-8")}

    @classmethod
    def read(cls, folder: Path) -> Finding:
        """Return what was written into a folder; raise `InputError` where that is no finding."""
        path = folder / FILE
        content = read_object(path, "finding")
        known = {one.name for one in fields(cls)}  # a later lhsim may know more
        given = {key: value for key, value in content.items() if key in known}
        return parameters.structure(given, cls, source=str(path))


def _plain(value: Any) -> Any:
    """Return a value as JSON has it."""
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(one) for one in value]
    if hasattr(value, "item"):  # a number of numpy
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
