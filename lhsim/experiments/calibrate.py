"""Calibration as it is asked for: from what was measured to a system in a file."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from textwrap import wrap
from typing import Any

from attrs import evolve, frozen

from lhsim import analysis, parameters
from lhsim.calibration.blackbox import BlackBox, from_logs
from lhsim.calibration.components import read_components, to_dicts, with_components
from lhsim.calibration.levels import timed
from lhsim.calibration.logs import Log, of_recording, read_log
from lhsim.calibration.requests import from_requests
from lhsim.calibration.runs import Calibrated, calibrate
from lhsim.distributions import Fit
from lhsim.errors import InputError
from lhsim.execution.progress import steps
from lhsim.experiments.options import DONE, NOT_KEPT
from lhsim.experiments.output import check_folder, show, write_files
from lhsim.experiments.runs import (
    TIMES,
    each_once,
    is_log,
    is_of_requests,
    level_slug,
    read_request_runs,
    read_run,
    write_overlays,
)
from lhsim.library import load_system
from lhsim.models.system import System
from lhsim.recording import Recording
from lhsim.replay import replay
from lhsim.report.calibration import WIDTH, calibration_text, components_text


@frozen
class CalibrateOptions:
    """What the user asks of a calibration."""

    runs: tuple[Path, ...]  # recordings, or message logs
    output: Path  # for the system, as TOML
    template: str | None  # gives what the runs cannot tell
    name: str  # of the system
    components: Path | None  # samples of single costs
    plots: Path | None  # folder for plots
    black_box: bool  # take recordings for message logs
    log_format: str | None  # of request logs; None: their columns say it
    jobs: int
    output_format: str
    show_progress: bool
    quiet: bool


def run_calibrate(asked: CalibrateOptions) -> int:
    """Make a system of live runs, of message logs, or of samples of its costs; show and write it.

    Returns the exit code.
    """
    _check(asked.output, asked.plots)
    if not asked.name.isprintable():  # it would be refused when all is done
        raise InputError(f"{asked.name[:60]!r} is no name", source="--name", allowed="a text")
    components = read_components(asked.components) if asked.components else {}
    template = load_system(asked.template) if asked.template else None
    if is_of_requests(asked.runs, asked.log_format):
        return _from_requests(asked)
    if asked.black_box or any(map(is_log, asked.runs)):
        return _from_logs(asked, template)
    if asked.runs:
        return _from_runs(asked, template, components)
    if not components:
        allowed = "folders of lhsim measure, or --components CSV"
        raise InputError("is missing", source="RUN", allowed=allowed)
    return _from_components(asked, template, components)


def _from_runs(asked: CalibrateOptions, template: System | None, components: dict[str, Fit]) -> int:

    runs = read_runs(asked.runs)
    with ThreadPoolExecutor(asked.jobs) as executor:
        found = calibrate(
            runs,
            template=template,
            name=asked.name,
            components=components,
            executor=executor,
            on_step=steps("calibrate", "rounds of simulations", shown=asked.show_progress),
        )
    figures = _plotted(found) if asked.plots else {}
    rows = to_dicts(components)
    plain = {**found.to_dict(), "components": rows}
    _show(asked, plain, calibration_text(plain, rows))
    _write(asked, found.system, figures)
    return NOT_KEPT if found.missed or found.unexplained else DONE


def _from_logs(asked: CalibrateOptions, template: System | None) -> int:

    if asked.components:
        allowed = "message logs, or samples of costs, not both"
        raise InputError("is of no use here", source="--components", allowed=allowed)
    logs = [read_any_log(path, black_box=asked.black_box) for path in each_once(asked.runs, "RUN")]
    with ThreadPoolExecutor(asked.jobs) as executor:
        found = from_logs(
            logs,
            template=template,
            name=asked.name,
            executor=executor,
            on_step=steps("calibrate", "rounds of simulations", shown=asked.show_progress),
        )
    plain = found.to_dict()
    _show(asked, plain, calibration_text(plain, []))
    _write(asked, found.system, _plotted_logs(found) if asked.plots else {})
    return DONE


def _from_requests(asked: CalibrateOptions) -> int:
    for option, given in (("--components", asked.components), ("--template", asked.template),
                          ("--plots", asked.plots), ("--black-box", asked.black_box)):  # fmt: skip
        if given:
            allowed = "nothing beside request logs"
            raise InputError("is of no use here", source=option, allowed=allowed)
    runs = read_request_runs(asked.runs, asked.log_format)
    with ThreadPoolExecutor(asked.jobs) as executor:
        found = from_requests(
            runs,
            name=asked.name,
            executor=executor,
            on_step=steps("calibrate", "simulations", shown=asked.show_progress),
        )
    plain = found.to_dict()
    _show(asked, plain, calibration_text(plain, []))
    _write(asked, found.system, {})
    return DONE


def read_any_log(path: Path, *, black_box: bool) -> Log:
    """Return the log in a file, or with `black_box` that of a recording.

    Raises `InputError` when it is no log.
    """
    if is_log(path):
        return read_log(path)
    if not black_box:
        allowed = "files alone, or folders as well with --black-box"
        raise InputError("is no message log", source=str(path), allowed=allowed)
    return of_recording(Recording.read(path), str(path))


def _from_components(
    asked: CalibrateOptions, template: System | None, components: dict[str, Fit]
) -> int:
    if template is None:
        allowed = "polling, push or a model file, where no runs are given"
        raise InputError("is missing", source="--template", allowed=allowed)
    if asked.plots:
        raise InputError("has nothing to show", source="--plots", allowed="runs besides")
    system = evolve(with_components(template, components), name=asked.name)
    rows = to_dicts(components)
    plain = {"system": system.name, "components": rows, "warnings": list(system.caveats)}
    lines = [part for text in system.caveats for part in wrap(f"warning: {text}", WIDTH)]
    _show(asked, plain, "\n".join([components_text(rows), "", *lines]))
    _write(asked, system, {})
    return DONE


def _show(asked: CalibrateOptions, plain: dict[str, Any], text: str) -> None:
    """Show what was found as it was asked for."""
    show(json.dumps(plain, indent=2, allow_nan=False) if asked.output_format == "json" else text)


def read_runs(folders: Sequence[Path]) -> list[Recording]:
    """Return the recordings in folders; raise `InputError` as `read_run` does, or for one twice."""
    return [read_run(folder) for folder in each_once(folders, "RUN")]


def _check(path: Path, plots: Path | None) -> None:
    """Refuse what could not be written in the end."""
    if path.suffix != ".toml":
        raise InputError(f"{path.name[:60]!r} does not end in .toml", source="--output")
    if path.exists():
        allowed = "a file that is not there: nothing is overwritten"
        raise InputError("exists", source=str(path), allowed=allowed)
    for folder, option in ((path.parent, "--output"), (plots, "--plots")):
        if folder is not None:
            check_folder(folder, option)


def _write(asked: CalibrateOptions, system: System, figures: dict[str, Any]) -> None:
    """Write the plots, and at last the system, each whole or not at all."""
    path = asked.output
    written = write_overlays(asked.plots, figures) if asked.plots is not None else []
    content = parameters.dumps(system).encode("utf-8")
    write_files(path.parent, {path.name: lambda file: file.write_bytes(content)})
    if not asked.quiet:
        text = ", ".join(str(one) for one in (path, *written))
        print(f"written: {text}", file=sys.stderr)


def _plotted(found: Calibrated) -> dict[str, Any]:
    """Return a figure for each level at which the server keeps up."""
    levels = [(level.name, timed(level), level.runs, level.saturated) for level in found.levels]
    return _overlays(found.system, levels)


def _plotted_logs(found: BlackBox) -> dict[str, Any]:
    """Return a figure for each log of which the server keeps up."""
    levels = [
        (log.level, "latency", [log.recording(found.architecture, number)], log.saturated)
        for number, log in enumerate(found.logs, start=1)
    ]
    return _overlays(found.system, levels)


def _overlays(
    system: System, levels: Sequence[tuple[str, str, Sequence[Recording], bool]]
) -> dict[str, Any]:
    """Return live over simulated times: of levels by name, kind of time, runs, and saturation."""
    figures = {}
    for number, (name, what, runs, saturated) in enumerate(levels, start=1):
        if not saturated:
            live = [run.times(what).dropna() for run in runs]
            played = [replay(system, run.manifest).times(what).dropna() for run in runs]
            figure = analysis.overlay_plot(f"{system.name}: {name}", TIMES[what], live, played)
            figures[level_slug(number, name)] = figure
    return figures
