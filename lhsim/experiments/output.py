"""The output folder of an experiment: tables, plot and a manifest that says what made them.

Each file is written under another name and then renamed: nobody ever sees half of one.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import asdict, frozen

from lhsim._files import read_bytes
from lhsim.errors import InputError, LhsimError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lhsim.experiments.sweep import Sweep

PACKAGES = ("numba", "numpy", "pandas", "scipy", "simpy")


@frozen
class Source:
    """A file that an experiment was made from."""

    given: str  # the name or path by which it was asked for
    sha256: str
    settings: tuple[str, ...] = ()  # over what the file says


class NotWrittenError(LhsimError):
    """Some of the results could not be written, such as on a disk that is full."""


def source(given: str, path: Path, settings: Sequence[str] = ()) -> Source:
    """Return a file with the digest of its content."""
    return Source(given, hashlib.sha256(read_bytes(path)).hexdigest(), tuple(settings))


def check_folder(folder: Path, option: str = "--output-dir") -> None:
    """Raise `InputError` unless files can be written in `folder`; leave nothing behind.

    `option` is the one that names the folder.
    """
    made = _missing(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        problem = f"{str(folder)!r} cannot be written: {error.strerror}"
        raise InputError(problem, source=option, allowed="a writable folder") from None
    finally:
        for path in made:
            with suppress(OSError):
                path.rmdir()


def write_results(
    folder: Path,
    sweep: Sweep,
    manifest: Mapping[str, Any],
    *,
    plot: str | None = None,
    more: Mapping[str, Callable[[Path], object]] | None = None,
) -> list[str]:
    """Write what a sweep showed; return the names of the files.

    Parameters
    ----------
    folder
        Is created when it is not there; files of an earlier run are replaced.
    sweep
        What was run.
    manifest
        What made it; what the sweep itself knows is added.
    plot
        Name of the plot without its suffix; None for no plot.
    more
        What writes other files, by their names.

    Raises
    ------
    NotWrittenError
        As `write_files` does.
    """
    files: dict[str, Callable[[Path], object]] = {}
    if sweep.results:
        files["runs.parquet"] = lambda path: sweep.to_frame().to_parquet(path, index=False)
        files["metrics.parquet"] = lambda path: sweep.metrics().to_parquet(path, index=False)
        if plot is not None:
            files |= plots(sweep.plot(), plot)
    files["manifest.json"] = lambda path: path.write_text(
        json.dumps({**manifest, **_facts(sweep)}, indent=2, allow_nan=False) + "\n",
        encoding="utf-8",
    )
    return write_files(folder, {**files, **(more or {})})


def write_files(folder: Path, files: Mapping[str, Callable[[Path], object]]) -> list[str]:
    """Write files into a folder, each whole or not at all; return their names.

    Raises
    ------
    NotWrittenError
        When some could not be written; the others are.
    """
    missing = {}
    for name, write in files.items():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            replace(folder / name, write)
        except OSError as error:
            missing[name] = os.strerror(error.errno) if error.errno else type(error).__name__
    if missing:
        reasons = ", ".join(dict.fromkeys(missing.values()))
        raise NotWrittenError(f"not written into {folder}: {', '.join(missing)}: {reasons}")
    return list(files)


def plots(figure: Figure, name: str) -> dict[str, Callable[[Path], object]]:
    """Return what writes a figure as PNG and as SVG, by the names of the files."""
    from lhsim.analysis.plots import save  # noqa: PLC0415 - as late as the figure

    return {
        f"{name}.png": lambda path: save(figure, path, "png"),
        f"{name}.svg": lambda path: save(figure, path, "svg"),
    }


def versions() -> dict[str, str]:
    """Return the versions of lhsim and of what it computes with."""
    found = {"lhsim": own_version(), "python": platform.python_version()}
    for package in PACKAGES:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def own_version() -> str:
    """Return the version of this lhsim, installed or not."""
    return str(sys.modules["lhsim"].__version__)  # the package itself is above all its modules


def _facts(sweep: Sweep) -> dict[str, Any]:
    return {
        "runs": len(sweep.results),
        "interrupted": sweep.interrupted,
        "engines": sorted({result.engine for result in sweep.results}),
        "knees": {
            name: {**asdict(knee), "agents": knee.agents, "sentence": knee.sentence()}
            for name, knee in sweep.knees.items()
        },
        "scale_out": None if sweep.scale_out is None else asdict(sweep.scale_out),
        "extrapolated": _extrapolated(sweep),
        "warnings": {one.name: list(one.caveats) for one in sweep.systems if one.caveats},
        "skipped": [asdict(level) for level in sweep.skipped],
        "failures": [asdict(run) for run in sweep.failed],
    }


def _extrapolated(sweep: Sweep) -> list[dict[str, Any]]:
    reasons = {
        (result.system, result.agents): result.extrapolated_because
        for result in sweep.results
        if result.extrapolated
    }
    return [
        {"system": system, "agents": agents, "because": list(because)}
        for (system, agents), because in reasons.items()
    ]


def replace(path: Path, write: Callable[[Path], object]) -> None:
    """Put what `write` writes in the place of a file, whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _missing(folder: Path) -> list[Path]:
    """Return the folders that are not there yet, the innermost first."""
    return [path for path in (folder, *folder.parents) if not path.exists()]
