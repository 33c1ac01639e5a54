"""A result that lies in a folder, read back: ``lhsim.load("results/scaling")``.

The manifest is read and checked at once, the tables when somebody asks for them. A folder may come
from anybody: nothing in it is executed, and what is not as lhsim has written it is refused in one
line. Each file of data has to be the one whose digest the manifest holds: what a killed command has
left half-written is no result.
"""

from __future__ import annotations

from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from attrs import field, fields, frozen

from lhsim import parameters
from lhsim._files import expanded
from lhsim.analysis.measures import COLUMNS
from lhsim.checks import MOST
from lhsim.errors import InputError, shortened
from lhsim.experiments.excel import write_excel
from lhsim.experiments.finding import Finding
from lhsim.experiments.output import ANSWER, FORMAT, MANIFEST, METRICS, RUNS, digest
from lhsim.experiments.plain import read_object
from lhsim.readers.tables import read_parquet
from lhsim.report.notebook import card

WRITTEN = "a folder that an experiment of lhsim has written to its end"
LONGEST = 100  # characters of a repr that a file has written
_NEEDED = ("system", "agents", "seed")  # of a table of runs
_PLAIN = (
    *(pa.types.is_string, pa.types.is_large_string, pa.types.is_boolean, pa.types.is_null),
    *(pa.types.is_integer, pa.types.is_floating),
)


@frozen
class Manifest:
    """What made a result, as its file says."""

    experiment: str
    seed: int
    meaning: int  # of the figures of a run: `lhsim.simulation.MEANING`
    files: dict[str, str]  # digests of the files of data, by name
    versions: dict[str, str]  # of lhsim and of what it computes with
    options: dict[str, Any]
    systems: tuple[dict[str, Any], ...]
    specification: dict[str, Any] | None = None
    axes: dict[str, str] = field(factory=dict)  # columns of the runs, with their units
    interrupted: bool = False


@frozen(eq=False, repr=False)
class ResultFolder:
    """What an experiment has left in a folder; see `load`."""

    path: Path
    manifest: Manifest

    @property
    def experiment(self) -> str:
        """The name of the experiment."""
        return self.manifest.experiment

    @property
    def configuration(self) -> dict[str, Any]:
        """The options, the specification, and the systems with their settings."""
        manifest = self.manifest
        return {
            "options": manifest.options,
            "specification": manifest.specification,
            "systems": [*manifest.systems],
        }

    @property
    def provenance(self) -> dict[str, Any]:
        """The seed, the versions, and the command that does it again."""
        manifest = self.manifest
        return {
            "seed": manifest.seed,
            "versions": manifest.versions,
            "command": self.finding.command,
        }

    @cached_property
    def finding(self) -> Finding:
        """The question, its answer and its tables, as a report shows them."""
        return Finding.read(self.path)

    @property
    def answer(self) -> str:
        """The answer, in words."""
        return self.finding.answer

    @cached_property
    def levels(self) -> pd.DataFrame:
        """A row per level, or per case, as the report shows them; empty where there is none."""
        tables = self.finding.tables
        return pd.DataFrame(list(tables[0].rows) if tables else [])

    @cached_property
    def runs(self) -> pd.DataFrame | None:
        """A row per run, as `Sweep.to_frame` has it; None where no runs are kept."""
        found = self._table(RUNS)
        return None if found is None else _checked_runs(found, self.path / RUNS)

    @cached_property
    def metrics(self) -> pd.DataFrame | None:
        """A row per level and measure with its interval, as `Sweep.metrics`; None without some."""
        return self._table(METRICS)

    @cached_property
    def details(self) -> dict[str, Any] | None:
        """The answer of ``lhsim capacity``, ``decide`` or ``sensitivity`` as plain data, or None.

        It is what the command prints as JSON.
        """
        return read_object(self._whole(ANSWER), "answer") if ANSWER in self.manifest.files else None

    def to_frame(self) -> pd.DataFrame:
        """Return the levels."""
        return self.levels

    def to_excel(self, path: str | PathLike[str]) -> None:
        """Write its tables as sheets of a workbook; see `Sweep.to_excel`."""
        sheets = {"levels": self.levels, "metrics": self.metrics, "runs": self.runs}
        write_excel(path, {name: table for name, table in sheets.items() if table is not None})

    def _table(self, name: str) -> pd.DataFrame | None:
        if name not in self.manifest.files:
            return None
        path = self._whole(name)
        found = read_parquet(path)
        _check_columns(found, path)
        table: pd.DataFrame = found.to_pandas()
        return table

    def _whole(self, name: str) -> Path:
        """Return the path of a file; refuse one that is not what the manifest says."""
        path = self.path / name
        if not path.exists() or digest(path) != self.manifest.files[name]:
            problem = f"is half-written or changed: it is not the one of {MANIFEST}"
            raise InputError(problem, source=str(path), allowed=WRITTEN)
        return path

    def __repr__(self) -> str:
        """Return what lies where in a line."""
        names = ", ".join(str(one.get("name")) for one in self.manifest.systems)
        what = f"{self.experiment} of {names}" if names else self.experiment
        interrupted = ", interrupted" if self.manifest.interrupted else ""
        return f"<ResultFolder {str(self.path)!r}: {shortened(what, LONGEST)}{interrupted}>"

    def _repr_html_(self) -> str:
        return card(f"{self.experiment}: {self.path}", [self.answer], self.levels)


def load(folder: str | PathLike[str]) -> ResultFolder:
    """Return the result that lies in a folder.

    >>> lhsim.load("results/scaling").levels  # doctest: +SKIP

    Parameters
    ----------
    folder
        The ``--output-dir`` of an experiment.

    Raises
    ------
    InputError
        When it is no such folder, is half-written, or was written by an lhsim whose folders are
        others. Its tables are checked as they are read, and raise the same.
    """
    path = expanded(folder)
    if not path.is_dir():
        raise InputError("is no folder", source=str(path), allowed=WRITTEN)
    if not (path / MANIFEST).exists():
        problem = f"has no {MANIFEST}: no result, or a half-written one"
        raise InputError(problem, source=str(path), allowed=WRITTEN)
    content = read_object(path / MANIFEST, "manifest")
    version = content.get("format", "none")
    if version != FORMAT or isinstance(version, bool):
        problem = f"has another format: {version!r}"
        allowed = f"format {FORMAT}: run the experiment again with this lhsim"
        raise InputError(problem[:60], source=str(path / MANIFEST), allowed=allowed)
    known = {one.name for one in fields(Manifest)}
    given = {key: value for key, value in content.items() if key in known}
    return ResultFolder(path, parameters.structure(given, Manifest, source=str(path / MANIFEST)))


def _check_columns(table: pa.Table, path: Path) -> None:
    """Refuse a column that is there twice, or holds other than texts, numbers, true and false."""
    names = table.column_names
    for name, kind in zip(names, table.schema.types, strict=True):
        if names.count(name) > 1:
            raise InputError("stands there twice", source=str(path), key=name)
        if not any(matches(kind) for matches in _PLAIN):
            raise InputError("holds other than plain values", source=str(path), key=name)


def _checked_runs(runs: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Return a table of runs; refuse one whose columns are not of the kinds that they are."""
    missing = [name for name in _NEEDED if name not in runs]
    if missing or runs.empty:
        problem = f"has no column {missing[0]}" if missing else "has no rows"
        raise InputError(problem, source=str(path), allowed="a row per run")
    for name in runs:
        _check_column(runs[name], str(name), path)
    return runs


def _check_column(values: pd.Series[Any], name: str, path: Path) -> None:
    wrong = None
    if name == "system":
        wrong = None if values.map(lambda one: isinstance(one, str)).all() else "texts"
    elif name in {"agents", "seed", "servers"}:
        whole = pd.api.types.is_integer_dtype(values) and (values >= 0).all()
        wrong = None if whole else "whole numbers >= 0"
    elif name.endswith("_is_lower_bound") or name in {"overloaded", "short_warmup"}:
        wrong = None if pd.api.types.is_bool_dtype(values) else "true or false"
    elif name in {*COLUMNS.values(), "duration_s", "horizon_s", "warmup_s", "drain_s"}:
        numeric = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
        sane = numeric and not (np.abs(values.to_numpy(float)) > MOST).any()
        wrong = None if sane else f"numbers up to {MOST:g}"
    if wrong is not None:
        raise InputError("holds other values", source=str(path), key=name, allowed=wrong)
