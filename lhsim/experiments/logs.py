"""Logs as people have them: `lhsim import` makes request logs of them, `lhsim inspect` looks."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

from lhsim import analysis
from lhsim.calibration.logs import read_log
from lhsim.errors import InputError
from lhsim.experiments.options import DONE
from lhsim.experiments.output import check_new, show, write_files
from lhsim.readers.durations import Durations
from lhsim.readers.formats.described import NoLog
from lhsim.readers.formats.hints import AUTO, Hints
from lhsim.readers.formats.table import recognised
from lhsim.readers.inspection import Inspection, compare, inspect_requests, page
from lhsim.readers.percentiles import read_percentiles
from lhsim.readers.prometheus import read_difference, read_durations
from lhsim.readers.prometheus_native import read_native
from lhsim.readers.requests import KINDS, RequestLog, read_requests, write_requests
from lhsim.readers.text import read_lines, read_whole
from lhsim.units import format_duration

LEVELS = (0.5, 0.9, 0.95, 0.99)
PICTURES = (".png", ".svg")
_LABEL = 12
_LACKS_OF_FIGURES = (
    "when each request started, and so the load, the clients, think times and saturation",
    "a calibration from it: take a log of each request",
)


@frozen
class ImportOptions:
    """What the user asks of an import."""

    format: str
    files: tuple[Path, ...]  # of one run
    output: Path
    hints: Hints
    output_format: str
    quiet: bool


@frozen
class InspectOptions:
    """What the user asks of an inspection."""

    logs: tuple[Path, ...]
    format: str  # of the logs
    together: bool  # they are files of one run
    hints: Hints
    metric: str | None  # a histogram of Prometheus
    before: Path | None  # an earlier scrape
    picture: Path | None
    output_format: str
    quiet: bool


@frozen(eq=False)
class _Messages:
    """A message log, of which `lhsim calibrate` makes a model."""

    plain: dict[str, Any]

    def text(self) -> str:
        one = self.plain
        rows = (
            ("messages", f"{one['messages']:,} in {format_duration(one['span_s'])}, "
             f"{one['rate_per_second']:.4g}/s; {one['agents']} agents"),
            ("delay", f"median {format_duration(one['delay_median_s'])} beyond the shortest; "
             f"{100 * one['lost']:.2g} % never arrived"),
            ("loop", "open: a message waits for no other"),
            ("arrivals", one["arrivals"]),
            ("server", "saturated: messages pile up" if one["saturated"] else "sustained"),
            ("clock", f"steps of {format_duration(one['clock_resolution_s'])}"
             if one["clock_resolution_s"] else "finer than matters"),
            ("learns", "what lhsim calibrate fits: polling or push, service time, delay"),
            ("lacks", "the processor time of the server"),
        )  # fmt: skip
        return _lines(f"{one['source']} (messages)", rows)


@frozen(eq=False)
class _Figures:
    """A distribution of response times, without the requests."""

    plain: dict[str, Any]

    def text(self) -> str:
        one = self.plain
        quantiles = ", ".join(
            f"{name} {format_duration(value)}" for name, value in one["response_s"].items()
        )
        rows = (
            ("requests", f"{one['requests']:,.10g}"),
            ("response", quantiles),
            *(("lacks" if not number else "", text) for number, text in enumerate(one["lacks"])),
            *(("note" if not number else "", text) for number, text in enumerate(one["notes"])),
        )
        return _lines(f"{one['source']} ({one['format']}: figures, not a log)", rows)


def run_import(asked: ImportOptions) -> int:
    """Read logs of one run, write them as one request log, and show what was read.

    Returns the exit code.
    """
    check_new(asked.output, KINDS, "--output")
    name = None if asked.format == AUTO else asked.format
    log = read_requests(asked.files, name, asked.hints)
    folder = asked.output.parent
    write_files(folder, {asked.output.name: lambda path: _write(log, path, asked.output)})
    plain = _facts(log)
    show(json.dumps(plain, indent=2) if asked.output_format == "json" else _imported(plain))
    if not asked.quiet:
        print(f"written: {asked.output}", file=sys.stderr)
    return DONE


def run_inspect(asked: InspectOptions) -> int:
    """Show what logs can tell; return the exit code."""
    if asked.picture is not None:
        check_new(asked.picture, PICTURES, "--output")
    found = _found(asked)
    _refuse_useless(asked, found)
    inspections = [one for one in found if isinstance(one, Inspection)]
    if asked.picture is not None:
        _draw(asked.picture, inspections)
    together = compare(inspections) if len(inspections) > 1 else ()
    if asked.output_format == "json":
        rows = [_plain(one) for one in found]
        show(json.dumps({"logs": rows, "together": together}, indent=2, allow_nan=False))
    else:
        pages = [page(one) if isinstance(one, Inspection) else one.text() for one in found]
        show("\n\n".join([*pages, *(["together\n  " + "\n  ".join(together)] if together else [])]))
    if asked.picture is not None and not asked.quiet:
        print(f"written: {asked.picture}", file=sys.stderr)
    return DONE


def _found(asked: InspectOptions) -> list[Inspection | _Messages | _Figures]:
    if asked.together:
        return [inspect_requests(read_requests(asked.logs, _name(asked), asked.hints))]
    resolved = [path.resolve() for path in asked.logs]
    if twice := next((path for path in resolved if resolved.count(path) > 1), None):
        raise InputError(f"{twice} is there twice", source="LOG", allowed="each log once")
    return [_inspected(path, asked) for path in asked.logs]


def _refuse_useless(asked: InspectOptions, found: Sequence[object]) -> None:
    """Refuse options for figures where there are none, rather than to forget them."""
    given = {"--metric": asked.metric, "--before": asked.before}
    for option, value in given.items():
        if value is not None and not any(isinstance(one, _Figures) for one in found):
            raise InputError("is of no use here", source=option, allowed="metrics of Prometheus")


def _inspected(path: Path, asked: InspectOptions) -> Inspection | _Messages | _Figures:
    """Return what one log shows, whatever it is."""
    if _name(asked) is None:
        kind = recognised(path)
        if isinstance(kind, NoLog) and kind.name in _OTHERS:
            return _OTHERS[kind.name](path, asked)
    return inspect_requests(read_requests(path, _name(asked), asked.hints))


def _name(asked: InspectOptions) -> str | None:
    return None if asked.format == AUTO else asked.format


def _messages(path: Path, asked: InspectOptions) -> _Messages:
    log = read_log(path)
    return _Messages(
        {
            "kind": "messages",
            "source": str(path),
            "messages": len(log.sent),
            "agents": log.agents,
            "span_s": log.span,
            "rate_per_second": log.rate,
            "delay_median_s": log.middle,
            "lost": log.lost,
            "arrivals": log.arrivals,
            "saturated": log.saturated,
            "throughput_per_second": log.throughput,
            "clock_resolution_s": log.tick,
        }
    )


def _percentiles(path: Path, asked: InspectOptions) -> _Figures:
    found = read_percentiles(read_lines(path), asked.hints.unit, str(path))
    return _figures(found, path, "percentiles of a histogram")


def _metrics(path: Path, asked: InspectOptions) -> _Figures:
    if asked.metric is None:
        allowed = "--metric with the name of a histogram"
        raise InputError("has metrics of Prometheus", source=str(path), allowed=allowed)
    if asked.before is None:
        found = read_durations(read_lines(path), asked.metric, str(path))
    else:
        earlier = read_lines(asked.before)
        found = read_difference(earlier, read_lines(path), asked.metric, str(path))
    return _figures(found, path, "a histogram of Prometheus")


def _native(path: Path, asked: InspectOptions) -> _Figures:
    found = read_native(read_whole(path), asked.hints.unit, str(path))
    return _figures(found, path, "a native histogram of Prometheus")


def _figures(found: Durations, path: Path, kind: str) -> _Figures:
    distribution = found.distribution
    levels = {f"p{100 * level:g}": float(distribution.quantile(level)) for level in LEVELS}
    return _Figures(
        {
            "kind": "distribution",
            "source": str(path),
            "format": kind,
            "requests": found.requests,
            "response_s": {"mean": distribution.mean, **levels},
            "notes": list(found.notes),
            "lacks": list(_LACKS_OF_FIGURES),
        }
    )


_OTHERS: dict[str, Callable[[Path, InspectOptions], _Messages | _Figures]] = {
    "messages": _messages,
    "percentiles": _percentiles,
    "prometheus": _metrics,
    "prometheus-native": _native,
}


def _plain(one: Inspection | _Messages | _Figures) -> dict[str, Any]:
    return {"kind": "requests", **one.to_dict()} if isinstance(one, Inspection) else one.plain


def _draw(path: Path, found: Sequence[Inspection]) -> None:
    from lhsim.experiments.log_picture import picture  # noqa: PLC0415 - Matplotlib is slow

    if not found:
        raise InputError("has nothing to show", source="--output", allowed="a request log")
    figure = picture(found)
    kind = path.suffix.lower().removeprefix(".")
    write_files(path.parent, {path.name: lambda file: analysis.save(figure, file, kind)})


def _write(log: RequestLog, path: Path, wanted: Path) -> None:
    """Write a log to a temporary path, in the kind that the wanted name has."""
    write_requests(log, path, wanted.suffix.lower())


def _facts(log: RequestLog) -> dict[str, Any]:
    return {
        "source": log.source,
        "format": log.format,
        "requests": len(log),
        "failed": int(log.failed.sum()),
        "clients": log.clients,
        "span_s": log.span,
        "first_start_s": log.origin,
        "stamps": log.facts.get("stamps"),
        "clock_resolution_s": log.clock_resolution,
        "most_in_flight": int(log.most_in_flight.max()) if log.has_clients else None,
        "unknown": list(log.facts.get("unknown", ())),
        "notes": list(log.facts.get("notes", ())),
    }


def _imported(one: dict[str, Any]) -> str:
    clients = "clients unknown" if one["clients"] is None else f"{one['clients']:,} clients"
    most = one["most_in_flight"]
    rows = [
        ("requests", f"{one['requests']:,}, {one['failed']:,} of them failed"),
        ("span", format_duration(one["span_s"])),
        ("clients", clients if most is None else f"{clients}, at most {most} requests of one at "
         "a time"),
        ("clock", f"steps of {format_duration(one['clock_resolution_s'])}; stamps: "
         f"{one['stamps']}"),
        *(("unknown" if not number else "", text) for number, text in enumerate(one["unknown"])),
        *(("note" if not number else "", text) for number, text in enumerate(one["notes"])),
    ]  # fmt: skip
    return _lines(f"{one['source']} ({one['format']})", rows)


def _lines(title: str, rows: Sequence[tuple[str, str]]) -> str:
    return "\n".join([title, *(f"  {label:<{_LABEL}}  {text}" for label, text in rows)])
