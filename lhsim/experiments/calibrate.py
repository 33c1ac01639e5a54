"""The command ``lhsim calibrate``: from what was measured to a system."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import click
from attrs import evolve

from lhsim.checks import MOST_JOBS
from lhsim.errors import InputError
from lhsim.experiments.notices import Command
from lhsim.experiments.options import DONE, NOT_KEPT, PATH, choice, cores, each_once, whole
from lhsim.experiments.runs import TIMES, is_log, level_slug, read_run, steps, write_overlays

if TYPE_CHECKING:
    from lhsim.calibration import Calibrated
    from lhsim.calibration.blackbox import BlackBox
    from lhsim.calibration.logs import Log
    from lhsim.distributions import Fit
    from lhsim.models.system import System
    from lhsim.recording import Recording


@click.command(cls=Command)
@click.argument("runs", nargs=-1, metavar="[RUN]...", type=PATH)
@click.option("--output", "-o", required=True, metavar="FILE", type=PATH,
              help="For the system, as TOML; nothing is overwritten.")  # fmt: skip
@click.option("--template", metavar="SYSTEM", help="Gives what the runs cannot tell, by name or "
              "file.  [default: the system of the runs' architecture]")  # fmt: skip
@click.option("--name", help="Of the system.  [default: the name of the file]")
@click.option("--components", metavar="CSV", type=PATH,
              help="Samples of single costs, with columns component and seconds.")  # fmt: skip
@click.option("--plots", metavar="DIR", type=PATH,
              help="For plots of live times against simulated ones.")  # fmt: skip
@click.option("--black-box", is_flag=True,
              help="Take recordings for message logs: nothing else of them is used.")  # fmt: skip
@click.option(
    "--jobs", type=whole(1, MOST_JOBS), help="Simulated runs at a time.  [default: one a core]"
)
@click.option("--format", "how", type=choice("table", "json"), default="table", show_default=True)
@click.option("--no-progress", is_flag=True, help="Show no progress on stderr.")
@click.option("--quiet", is_flag=True, help="Print results only.")
def calibrate(**given: Any) -> int:
    """Make a system of live runs, of message logs, or of samples of its costs.

    RUN is a folder of lhsim measure, or a message log of any server: a CSV or Parquet file with
    columns intended_s, sent_s, delivered_s, agent. Take two loads or more, one of them beyond what
    the server keeps up with. docs/how-to/calibration.md says how it is done.
    """
    from lhsim.calibration.components import read_components  # noqa: PLC0415 - imports the models
    from lhsim.library import load_system  # noqa: PLC0415

    path: Path = given["output"]
    _check(path, given["plots"])
    given["name"] = given["name"] or path.stem
    if not given["name"].isprintable():  # it would be refused when all is done
        raise InputError(f"{given['name'][:60]!r} is no name", source="--name", allowed="a text")
    components = read_components(given["components"]) if given["components"] else {}
    template = load_system(given["template"]) if given["template"] else None
    if given["black_box"] or any(map(is_log, given["runs"])):
        return _from_logs(given, template)
    if given["runs"]:
        return _from_runs(given, template, components)
    if not components:
        allowed = "folders of lhsim measure, or --components CSV"
        raise InputError("is missing", source="RUN", allowed=allowed)
    return _from_components(given, template, components)


def _from_runs(given: dict[str, Any], template: System | None, components: dict[str, Fit]) -> int:
    from lhsim.calibration import calibrate as fit  # noqa: PLC0415 - imports the models
    from lhsim.calibration.components import to_dicts  # noqa: PLC0415
    from lhsim.report.calibration import calibration_text  # noqa: PLC0415

    runs = read_runs(given["runs"])
    shown = not (given["no_progress"] or given["quiet"])
    with ThreadPoolExecutor(given["jobs"] or cores()) as executor:
        found = fit(
            runs,
            template=template,
            name=given["name"],
            components=components,
            executor=executor,
            on_step=steps("calibrate", "rounds of simulations", shown=shown),
        )
    figures = _plotted(found) if given["plots"] else {}
    rows = to_dicts(components)
    plain = {**found.to_dict(), "components": rows}
    _show(given, plain, calibration_text(plain, rows))
    _write(given, found.system, figures)
    return NOT_KEPT if found.missed or found.unexplained else DONE


def _from_logs(given: dict[str, Any], template: System | None) -> int:
    from lhsim.calibration.blackbox import from_logs  # noqa: PLC0415 - imports the models
    from lhsim.report.calibration import calibration_text  # noqa: PLC0415

    if given["components"]:
        allowed = "message logs, or samples of costs, not both"
        raise InputError("is of no use here", source="--components", allowed=allowed)
    logs = [
        read_any_log(path, black_box=given["black_box"]) for path in each_once(given["runs"], "RUN")
    ]
    shown = not (given["no_progress"] or given["quiet"])
    with ThreadPoolExecutor(given["jobs"] or cores()) as executor:
        found = from_logs(
            logs,
            template=template,
            name=given["name"],
            executor=executor,
            on_step=steps("calibrate", "rounds of simulations", shown=shown),
        )
    plain = found.to_dict()
    _show(given, plain, calibration_text(plain, []))
    _write(given, found.system, _plotted_logs(found) if given["plots"] else {})
    return DONE


def read_any_log(path: Path, *, black_box: bool) -> Log:
    """Return the log in a file, or with `black_box` that of a recording.

    Raises
    ------
    InputError
        When it is no log.
    """
    from lhsim.calibration.logs import of_recording, read_log  # noqa: PLC0415 - imports pandas
    from lhsim.recording import Recording  # noqa: PLC0415

    if is_log(path):
        return read_log(path)
    if not black_box:
        allowed = "files alone, or folders as well with --black-box"
        raise InputError("is no message log", source=str(path), allowed=allowed)
    return of_recording(Recording.read(path), str(path))


def _from_components(
    given: dict[str, Any], template: System | None, components: dict[str, Fit]
) -> int:
    from lhsim.calibration.components import to_dicts, with_components  # noqa: PLC0415
    from lhsim.report.calibration import WIDTH, components_text  # noqa: PLC0415

    if template is None:
        allowed = "polling, push or a model file, where no runs are given"
        raise InputError("is missing", source="--template", allowed=allowed)
    if given["plots"]:
        raise InputError("has nothing to show", source="--plots", allowed="runs besides")
    system = evolve(with_components(template, components), name=given["name"])
    rows = to_dicts(components)
    plain = {"system": system.name, "components": rows, "warnings": list(system.caveats)}
    lines = [part for text in system.caveats for part in wrap(f"warning: {text}", WIDTH)]
    _show(given, plain, "\n".join([components_text(rows), "", *lines]))
    _write(given, system, {})
    return DONE


def _show(given: dict[str, Any], plain: dict[str, Any], text: str) -> None:
    """Show what was found as it was asked for."""
    from lhsim.experiments.commands import show  # noqa: PLC0415 - imports the models

    show(json.dumps(plain, indent=2, allow_nan=False) if given["how"] == "json" else text)


def read_runs(folders: Sequence[Path]) -> list[Recording]:
    """Return the recordings in folders.

    Raises
    ------
    InputError
        When one is none, is there twice, or there is no model of its architecture.
    """
    return [read_run(folder) for folder in each_once(folders, "RUN")]


def _check(path: Path, plots: Path | None) -> None:
    """Refuse what could not be written in the end."""
    from lhsim.experiments.output import check_folder  # noqa: PLC0415

    if path.suffix != ".toml":
        raise InputError(f"{path.name[:60]!r} does not end in .toml", source="--output")
    if path.exists():
        allowed = "a file that is not there: nothing is overwritten"
        raise InputError("exists", source=str(path), allowed=allowed)
    for folder, option in ((path.parent, "--output"), (plots, "--plots")):
        if folder is not None:
            check_folder(folder, option)


def _write(given: dict[str, Any], system: System, figures: dict[str, Any]) -> None:
    """Write the plots, and at last the system, each whole or not at all."""
    from lhsim import parameters  # noqa: PLC0415
    from lhsim.experiments.output import write_files  # noqa: PLC0415

    path: Path = given["output"]
    written = write_overlays(given["plots"], figures) if figures else []
    content = parameters.dumps(system).encode("utf-8")
    write_files(path.parent, {path.name: lambda file: file.write_bytes(content)})
    if not given["quiet"]:
        text = ", ".join(str(one) for one in (path, *written))
        print(f"written: {text}", file=sys.stderr)


def _plotted(found: Calibrated) -> dict[str, Any]:
    """Return a figure for each level at which the server keeps up."""
    from lhsim.analysis.overlays import overlay_plot  # noqa: PLC0415 - imports matplotlib
    from lhsim.calibration.levels import timed  # noqa: PLC0415
    from lhsim.replay import replay  # noqa: PLC0415

    figures = {}
    for number, level in enumerate(found.levels, start=1):
        if level.saturated:
            continue
        what = timed(level)
        live = [run.times(what).dropna() for run in level.runs]
        played = [replay(found.system, run.manifest).times(what).dropna() for run in level.runs]
        title = f"{found.system.name}: {level.name}"
        figures[level_slug(number, level.name)] = overlay_plot(title, TIMES[what], live, played)
    return figures


def _plotted_logs(found: BlackBox) -> dict[str, Any]:
    """Return a figure for each log of which the server keeps up."""
    from lhsim.analysis.overlays import overlay_plot  # noqa: PLC0415 - imports matplotlib
    from lhsim.replay import replay  # noqa: PLC0415

    figures = {}
    for number, log in enumerate(found.logs, start=1):
        if log.saturated:
            continue
        run = log.recording(found.architecture, number)
        played = replay(found.system, run.manifest).times("latency").dropna()
        title = f"{found.system.name}: {log.level}"
        live = run.times("latency").dropna()
        figures[level_slug(number, log.level)] = overlay_plot(title, "latency", [live], [played])
    return figures
