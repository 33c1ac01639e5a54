"""The report of a folder of experiments: read from its files, and written as one HTML file."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, get_args

import attrs

from lhsim import parameters
from lhsim._files import expanded, read_text, replace
from lhsim.distributions import Distribution
from lhsim.errors import InputError
from lhsim.experiments.finding import FILE, Described, Finding
from lhsim.models import System
from lhsim.models.system import Calibration
from lhsim.report.page import Plot, Section, SystemView, report_page
from lhsim.report.svg import image_url
from lhsim.report.text import quantity
from lhsim.units import SECOND, Unit, format_duration

DEFAULT = "report.html"
LISTED = 4  # values of a list that are shown


def write_report(folder: Path, file: Path | None = None) -> Path:
    """Write the report of all experiments in a folder, and return its file.

    Parameters
    ----------
    folder
        Holds a folder for each experiment, or is that of one.
    file
        Where the report goes; None: ``report.html`` in the folder.

    Raises
    ------
    InputError
        When there is no finding, one cannot be used, or the file cannot be written.
    """
    folder = expanded(folder)
    homes = _homes(folder)
    page = report_page([_section(home) for home in homes])
    target = expanded(file) if file is not None else folder / DEFAULT
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        replace(target, lambda path: path.write_text(page, encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", source=str(target)) from None
    return target


def _homes(folder: Path) -> list[Path]:
    """Return the folders with a finding, by name."""
    if not folder.is_dir():
        allowed = "a folder with what experiments found"
        raise InputError("is no folder", source=str(folder), allowed=allowed)
    try:
        found = [folder, *sorted(path for path in folder.iterdir() if path.is_dir())]
        homes = [path for path in found if (path / FILE).exists()]
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", source=str(folder)) from None
    if not homes:
        allowed = f"a folder of experiments, each with its {FILE}"
        raise InputError("holds no finding", source=str(folder), allowed=allowed)
    return homes


def _section(home: Path) -> Section:
    finding = Finding.read(home)
    _check(finding, home / FILE)
    plots = []
    for figure in finding.figures:
        # A name, and no path: nothing outside of the folder gets into the page.
        path = home / Path(figure.file).name
        try:
            url = image_url(read_text(path))
        except InputError as error:
            raise InputError(error.problem, source=str(path), allowed=error.allowed) from None
        plots.append(Plot(url, figure.alt, figure.caption))
    systems = tuple(map(system_view, finding.systems))
    return Section(attrs.asdict(finding), tuple(plots), systems)


def _check(finding: Finding, path: Path) -> None:
    """Refuse a finding with rows that are not of the kinds that a page shows."""
    rows = [*finding.claims, *finding.alerts, *(row for one in finding.tables for row in one.rows)]
    verdicts = [claim.get("verdict") for claim in finding.claims]
    if not (all(map(_has_marks, rows)) and all(isinstance(one, str) for one in verdicts)):
        allowed = "what an experiment of lhsim has written"
        problem = "is no finding: a value is of another kind"
        raise InputError(problem, source=str(path), allowed=allowed)


def _has_marks(row: Mapping[str, Any]) -> bool:
    """Return whether the marks of a row, where it has some, are of the kind that they are."""
    bounds, flags = row.get("lower_bounds", []), row.get("flags", {})
    return _are_texts(bounds) and isinstance(flags, dict) and all(map(_are_texts, flags.values()))


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def system_view(described: Described) -> SystemView:
    """Return a system as it ran, parameter by parameter, as far as this lhsim knows such a file."""
    try:
        data = parameters.parse_toml(described.toml, source=described.name)
        data = parameters.apply_settings(data, described.settings, source=described.name)
        # A report is of data: a class of the user's own would be imported, and so run.
        system = parameters.structure(data, System, source=described.name, own_classes=False)
    except InputError as error:
        note = f"This lhsim cannot read the file: {error}"
        return SystemView(described.name, described.architecture, note, (), (), toml=described.toml)
    return SystemView(
        described.name,
        described.architecture,
        system.description,
        tuple(_calibration(system.calibration)),
        tuple(_parameters(system, data, described.settings)),
        described.toml,
    )


def _calibration(calibration: Calibration | None) -> Iterator[tuple[str, str]]:
    if calibration is None:
        yield "Calibration", "none: the parameters are assumed"
        return
    for name in ("source", "host", "date"):
        text = getattr(calibration, name)
        if text:
            yield {"source": "Calibrated on"}.get(name, name.capitalize()), text
    ranges = (("agents", "agents"), ("messages_per_second", "messages/s"))
    for name, unit in ranges:
        limits = getattr(calibration, name)
        if limits is not None:
            low, high = (f"{end:g}" for end in limits)
            yield f"Range: {unit}", low if low == high else f"{low} to {high}"
    if calibration.samples:
        number = len(next(iter(calibration.samples.values())))
        yield "Uncertainty", f"{number} joint samples of {len(calibration.samples)} parameters"
    for warning in calibration.warnings:
        yield f"Warning: {warning.about}", warning.text


def _parameters(
    system: System, data: Mapping[str, Any], settings: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Yield a row for each parameter that the file or a setting has, or the file explains."""
    known = system.calibration.parameters if system.calibration else {}
    left = dict(known)
    ours = dict.fromkeys(setting.partition("=")[0].strip() for setting in settings)
    for path, value in _values(system, data, ""):
        home = _nearest(path, known)
        origin = known[home] if home is not None else None
        left.pop(home or "", None)
        if _nearest(path, ours) is not None:
            yield {"parameter": path, "value": value, "source": "set here", "samples": None}
            continue
        yield {
            "parameter": path,
            "value": value,
            "source": origin and "; ".join(filter(None, (origin.source, origin.fit))),
            "samples": origin and origin.samples,
        }
    for path, origin in left.items():
        yield {"parameter": path, "value": "as the model has it", "source": origin.source,
               "samples": origin.samples}  # fmt: skip


def _nearest(path: str, known: Mapping[str, object]) -> str | None:
    """Return the longest of the known paths that covers one."""
    covering = [one for one in known if path == one or path.startswith(one + ".")]
    return max(covering, key=len, default=None)


def _values(holder: Any, data: Mapping[str, Any], path: str) -> Iterator[tuple[str, str]]:
    """Yield the path of each parameter in a file with its value in words."""
    kinds = parameters.fields_of(type(holder))
    for key, given in data.items():
        if not path and key in {"name", "description", "calibration"}:
            continue
        value, where = getattr(holder, key, given), f"{path}{key}"
        if isinstance(given, Mapping) and not isinstance(value, Distribution | Mapping):
            yield from _values(value, given, where + ".")
        else:
            yield where, _words(value, _unit(kinds[key].type) if key in kinds else None)


def _unit(kind: Any) -> Unit | None:
    """Return the unit of a quantity, or of one that may be missing."""
    found = (parameters.unit_of(one) for one in (kind, *get_args(kind)))
    return next((unit for unit in found if unit is not None), None)


def _words(value: Any, unit: Unit | None) -> str:
    if isinstance(value, Distribution):
        return _distribution(value, unit)
    if isinstance(value, tuple):
        shown = [_words(one, unit) for one in value]
        if len(shown) > LISTED:
            return f"{shown[0]} \N{HORIZONTAL ELLIPSIS} {shown[-1]} ({len(shown)} values)"
        return ", ".join(shown)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if unit == SECOND:
        return format_duration(value)
    number = f"{value:,.6g}" if 1e-4 <= abs(value) < 1e6 or not value else f"{value:,}"
    return number.removesuffix(".0") + (f" {unit.symbol}" if unit is not None else "")


def _distribution(one: Distribution, unit: Unit | None) -> str:
    """Return a distribution by what it comes to, not by how it is written."""
    if one.variance == 0:
        return _words(one.mean, unit or SECOND)
    shown = partial(quantity, unit="s" if unit is None else unit.symbol)
    ends = [float(end) for end in one.quantile([0.5, 0.99])]
    mean = shown(one.mean) if math.isfinite(one.mean) else "infinite"
    return f"mean {mean}, p50 {shown(ends[0])}, p99 {shown(ends[1])}"
