"""What the commands that read live runs share: calibrate, crosscheck and validate."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lhsim import analysis
from lhsim.calibration.run_sheet import Run, read_sheet
from lhsim.errors import InputError
from lhsim.experiments.output import write_files
from lhsim.readers import is_table
from lhsim.readers.formats.described import Format
from lhsim.readers.formats.table import recognised
from lhsim.readers.requests import read_requests
from lhsim.recording import Recording, check_modelled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TIMES = {"store": "store round trip", "latency": "latency"}  # what they are called on plots


def is_log(path: Path) -> bool:
    """Return whether a path is that of a message log; a recording is a folder."""
    return is_table(path) and not path.is_dir()


def is_of_requests(paths: Sequence[Path], log_format: str | None) -> bool:
    """Return whether paths are a run sheet, or request logs: by their columns, or as is said."""
    if log_format is not None:
        return True
    return any(is_sheet(path) or _is_request_log(path) for path in paths)


def _is_request_log(path: Path) -> bool:
    if not path.is_file():
        return False
    try:
        return isinstance(recognised(path), Format)
    except InputError:
        return False


def is_sheet(path: Path) -> bool:
    """Return whether a path is that of a run sheet."""
    return path.suffix == ".toml" and not path.is_dir()


def read_request_runs(paths: Sequence[Path], log_format: str | None = None) -> list[Run]:
    """Return the runs of run sheets and request logs.

    Raises
    ------
    InputError
        When one cannot be read, or is there twice.
    """
    found: list[Run] = []
    for path in each_once(paths, "RUN"):
        if is_sheet(path):
            found += read_sheet(path, log_format)
        else:
            found.append(Run(read_requests(path, format=log_format)))
    return found


def each_once(paths: Sequence[Path], source: str) -> Sequence[Path]:
    """Return the paths of runs; refuse one that is there twice."""
    resolved = [path.resolve() for path in paths]
    twice = [str(path) for path in resolved if resolved.count(path) > 1]
    if twice:
        raise InputError(f"{twice[0]} is there twice", source=source, allowed="each run once")
    return paths


def read_run(folder: Path) -> Recording:
    """Return the recording in a folder, for a model to stand for it.

    Raises `InputError` when there is none, or there is no model of its architecture.
    """
    run = Recording.read(folder)
    check_modelled(run.manifest, str(folder))
    return run


def level_slug(number: int, level: str) -> str:
    """Return a name for the files of a level."""
    return f"level-{number}-" + re.sub(r"[^a-z0-9]+", "-", level.lower()).strip("-")


def write_overlays(folder: Path, figures: Mapping[str, Figure]) -> list[Path]:
    """Write figures as PNG, each whole or not at all; return the files."""
    files = {
        f"{name}.png": lambda path, figure=figure: analysis.save(figure, path, "png")
        for name, figure in figures.items()
    }
    return [folder / name for name in write_files(folder, files)]
