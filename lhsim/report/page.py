"""The report: what experiments found, as one HTML file that needs nothing besides itself.

It is made from the findings as they stand in their files, and nothing else: the same findings give
the same bytes. All text in it is escaped, and the page forbids its reader's browser to load or run
anything that is not in it.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attrs import frozen
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from lhsim.report.cells import Grid, grid
from lhsim.report.questions import answered
from lhsim.units import format_duration

MEASURED, RANGE = "Calibrated on", "Range: agents"  # of a system's calibration
ASSUMED = "nothing, the parameters are assumed"
VERDICTS = ("supported", "refuted", "undecided")
CLAIMS = (
    {"key": "about", "title": "What is promised"},
    {"key": "verdict", "title": "Verdict"},
    {"key": "claimed", "title": "Claimed"},
    {"key": "figure", "title": "Found"},
    {"key": "unit", "title": "Unit"},
    {"key": "interval", "title": "95 % interval"},
    {"key": "would_hold_if", "title": "Would hold if"},
    {"key": "claim", "title": "Name"},
)
ALERTS = (
    {"key": "system", "title": "System"},
    {"key": "cases", "title": "Cases"},
    {"key": "alert", "title": "Alert"},
    {"key": "severity", "title": "Severity"},
    {"key": "threshold", "title": "When"},
    {"key": "fired_at_s", "title": "First fired at", "unit": "s"},
)
PARAMETERS = (
    {"key": "parameter", "title": "Parameter"},
    {"key": "value", "title": "Value"},
    {"key": "source", "title": "Where it comes from"},
    {"key": "samples", "title": "Samples"},
)

Finding = Mapping[str, Any]


@frozen
class Plot:
    """A plot of an experiment."""

    url: str  # which holds the whole image
    alt: str
    caption: str


@frozen
class SystemView:
    """A system as a reader sees it."""

    name: str
    architecture: str
    description: str
    calibration: tuple[tuple[str, str], ...]  # what was calibrated on what: name and text
    parameters: tuple[Mapping[str, Any], ...]  # rows of `PARAMETERS`
    toml: str


@frozen
class Section:
    """What an experiment found, with its plots and systems."""

    finding: Finding
    plots: tuple[Plot, ...] = ()
    systems: tuple[SystemView, ...] = ()

    @property
    def anchor(self) -> str:
        """Where it begins in the page."""
        return anchor(self.finding["name"])

    @property
    def tables(self) -> list[Grid]:
        """Its tables, the alerts last."""
        found = self.finding
        tables = [
            grid(f"{self.anchor}-{i}", table.get("title") or table["name"], table["columns"],
                 table["rows"])
            for i, table in enumerate(found["tables"])
        ]  # fmt: skip
        if found.get("alerts"):
            title = "Alerts that would have fired, in the first run of each case"
            rows = found["alerts"]
            columns = [one for one in ALERTS if any(one["key"] in row for row in rows)]
            tables.append(grid(f"{self.anchor}-alerts", title, columns, rows, marked="severity"))
        return tables

    @property
    def claims(self) -> Grid | None:
        """The table of its verdicts, where it has some."""
        claims = self.finding["claims"]
        if not claims:
            return None
        return grid(f"{self.anchor}-claims", "Claims", CLAIMS, claims, marked="verdict")

    def parameters(self) -> Iterator[tuple[SystemView, Grid]]:
        """Yield each system with the table of its parameters."""
        for number, system in enumerate(self.systems):
            name = f"{self.anchor}-system-{number}"
            yield system, grid(name, f"Parameters of {system.name}", PARAMETERS, system.parameters)


def report_page(sections: Sequence[Section]) -> str:
    """Return the page, the experiments in the order of their titles."""
    ordered = sorted(sections, key=lambda section: _order(section.finding["title"]))
    environment = Environment(
        loader=PackageLoader("lhsim.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["duration"] = format_duration
    style, script = (_source(environment, name) for name in ("report.css", "report.js"))
    return environment.get_template("report.html").render(
        sections=ordered,
        questions=list(answered([one.finding for one in ordered], _measured(ordered))),
        anchor=anchor,
        statuses=Counter(section.finding["status"] for section in ordered),
        verdicts=_verdicts(ordered),
        versions=sorted({section.finding["version"] for section in ordered}),
        style=Markup(style),
        script=Markup(script),
        script_digest=_digest(script),
    )


def anchor(name: str) -> str:
    """Return a name as the id of an element: what is no letter or digit becomes a hyphen."""
    return re.sub(r"[^\w-]", "-", name)


def _measured(sections: Sequence[Section]) -> str:
    """Return what the systems of a report were calibrated on; all else is simulated."""
    systems = {system.name: system for section in sections for system in section.systems}
    by_source: dict[str, list[str]] = {}
    for name, system in systems.items():
        known = dict(system.calibration)
        load = f" with {known[RANGE]} agents" if RANGE in known else ""
        by_source.setdefault(known.get(MEASURED, ASSUMED), []).append(f"{name}{load}")
    said = [f"{' and '.join(names)}: {source}." for source, names in by_source.items()]
    return " ".join([*said, "All figures here are simulated."] if systems else [])


def _verdicts(sections: Sequence[Section]) -> list[tuple[str, int]]:
    """Return how many claims have each verdict, those that have none left out."""
    claims = [claim for section in sections for claim in section.finding["claims"]]
    counts = Counter(claim["verdict"] for claim in claims)
    names = dict.fromkeys([*VERDICTS, *counts])
    return [(name, counts[name]) for name in names if counts[name]]


def _order(title: str) -> list[tuple[int, int, str]]:
    """Return by what titles are sorted: E2 stands before E10."""
    parts = re.split(r"(\d+)", title)
    # The texts between the numbers stand at even places; int refuses thousands of digits.
    return [(0, int(part[:18]), "") if i % 2 else (1, 0, part.lower()) for i, part in
            enumerate(parts)]  # fmt: skip


def _source(environment: Environment, name: str) -> str:
    """Return a file of the templates as it is."""
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0].strip()


def _digest(script: str) -> str:
    """Return the digest by which a browser knows the one script that it may run."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
