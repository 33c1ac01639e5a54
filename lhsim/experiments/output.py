"""Output: data on stdout, and files in a folder.

Each file is written under another name and then renamed: nobody ever sees half of one.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import platform
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from attrs import frozen

from lhsim import analysis
from lhsim._files import opened, read_bytes, replace
from lhsim.errors import InputError, LhsimError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PACKAGES = ("numba", "numpy", "pandas", "scipy", "simpy")
FORMULA = ("=", "+", "-", "@")  # with what a spreadsheet's formula begins
MANIFEST, FORMAT = "manifest.json", 1  # of a result's folder, raised when its files change
RUNS, METRICS, ANSWER = "runs.parquet", "metrics.parquet", "answer.json"  # its data


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


def show(text: str) -> None:
    """Print to stdout; a reader that has gone, such as ``head``, is no error."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # Python would try again, and complain, when it flushes stdout at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def formatted(rows: list[dict[str, Any]], how: str, table: Callable[[], str]) -> str:
    """Return rows as JSON or CSV, or the table."""
    if how == "json":
        return json.dumps(rows, indent=2, allow_nan=False)
    if how == "csv":
        return _csv(rows)
    return table()


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    flat = [_flat(row) for row in rows]
    names = list(dict.fromkeys(name for row in flat for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _text(value) for name, value in row.items()} for row in flat)
    return text.getvalue().rstrip("\n")


def _text(value: object) -> object:
    """Return a cell; one that a spreadsheet would take for a formula gets a quote before it."""
    if isinstance(value, str) and len(value) > 1 and value.startswith(FORMULA):
        return f"'{value}"
    return value


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if name.endswith("_ci95_ms"):
            low, high = value or (None, None)
            what = name.removesuffix("_ms")
            flat |= {f"{what}_low_ms": low, f"{what}_high_ms": high}
        elif name == "flags":
            flat[name] = "; ".join(f"{key}: {', '.join(why)}" for key, why in value.items())
        elif name == "prediction90":
            flat |= {
                f"{what}_{end}90": limit
                for what, ends in value.items()
                for end, limit in zip(("low", "high"), ends, strict=True)
            }
        elif name == "classes":
            flat |= {
                f"{what}[{which}]": figure
                for which, figures in value.items()
                for what, figure in _flat(figures).items()
            }
        elif name == "windows":
            continue  # rows of their own, which JSON has
        elif name == "settings":
            flat[name] = "; ".join(value)
        elif name == "relative_half_widths":
            flat |= {f"{measure}_relative_half_width": width for measure, width in value.items()}
        else:
            flat[name] = " ".join(value) if name == "lower_bounds" else value
    return flat


def check_new(path: Path, kinds: Sequence[str], option: str) -> None:
    """Refuse what could not be written in the end."""
    if path.suffix.lower() not in kinds:
        problem = f"{path.name[:60]!r} ends in none of {', '.join(kinds)}"
        raise InputError(problem, source=option)
    if path.exists():
        allowed = "a file that is not there: nothing is overwritten"
        raise InputError("exists", source=str(path), allowed=allowed)
    check_folder(path.parent, option)


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


def write_files(folder: Path, files: Mapping[str, Callable[[Path], object]]) -> list[str]:
    """Write files into a folder, each whole or not at all; return their names.

    Raises `NotWrittenError` when some could not be written; the others are.
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


def write_result(
    folder: Path, files: Mapping[str, Callable[[Path], object]], facts: Mapping[str, Any]
) -> list[str]:
    """Write the files of a result, then its manifest; return their names, as `write_files` does.

    The manifest has the `facts`, and the digests of the data: what does not agree with it is half
    of a result.
    """

    def write_manifest(path: Path) -> None:
        there = [name for name in (RUNS, METRICS, ANSWER) if name in files]
        digests = {name: digest(folder / name) for name in there if (folder / name).is_file()}
        json_file({"format": FORMAT, **facts, "files": digests})(path)

    return write_files(folder, {**files, MANIFEST: write_manifest})


def digest(path: Path) -> str:
    """Return the SHA-256 of a file of any size."""
    with opened(path) as file:
        return hashlib.file_digest(cast(io.BufferedReader, file), "sha256").hexdigest()


def json_file(data: object) -> Callable[[Path], object]:
    """Return what writes plain data as JSON."""
    return text_file(json.dumps(data, indent=2, allow_nan=False) + "\n")


def text_file(text: str) -> Callable[[Path], object]:
    """Return what writes a text."""
    return lambda path: path.write_text(text, encoding="utf-8")


def import_plots() -> None:
    """Begin to import what draws, in a thread beside the runs, most of which is no Python."""
    threading.Thread(target=lambda: analysis.save, name="plots", daemon=True).start()


def plots(figure: Figure, name: str) -> dict[str, Callable[[Path], object]]:
    """Return what writes a figure as PNG and as SVG, by the names of the files."""
    return {
        f"{name}.png": lambda path: analysis.save(figure, path, "png"),
        f"{name}.svg": lambda path: analysis.save(figure, path, "svg"),
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


def _missing(folder: Path) -> list[Path]:
    """Return the folders that are not there yet, the innermost first."""
    return [path for path in (folder, *folder.parents) if not path.exists()]
