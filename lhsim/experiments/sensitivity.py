"""E11, sensitivity: what moves the latency and the knee, on the command line."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from lhsim.experiments.capacity import loaded
from lhsim.experiments.commands import show
from lhsim.experiments.options import DONE
from lhsim.experiments.output import check_folder
from lhsim.planning.screening import KNEE, sensitivity
from lhsim.report.sensitivity import sensitivity_tables
from lhsim.report.text import duration

SECONDS_BETWEEN_LINES = 10.0


def run_sensitivity(given: dict[str, Any]) -> int:
    """Screen, write the plot, show the tables, and return the exit code."""
    started = time.monotonic()
    system = loaded(given)
    folder: Path = given["output_dir"]
    check_folder(folder)
    found = sensitivity(
        system,
        given["agents"],
        metrics=tuple(dict.fromkeys(given["metric"])) or ("p99", KNEE),
        ranges=given["range"],
        trajectories=given["trajectories"],
        seed=given["seed"],
        jobs=given["jobs"],
        engine=given["engine"],
        on_done=None if given["no_progress"] or given["quiet"] else _Counter(),
    )
    data = found.to_dict()
    _write(folder, data)
    as_json = given["format"] == "json"
    show(json.dumps(data, indent=2, allow_nan=False) if as_json else sensitivity_tables(data))
    if not given["quiet"]:
        took = duration(time.monotonic() - started)
        print(f"{took} with --jobs {given['jobs']}; sensitivity.png in {folder}", file=sys.stderr)
    return DONE


class _Counter:
    """Says now and then how many points are done."""

    def __init__(self) -> None:
        self._done = 0
        self._next = time.monotonic() + SECONDS_BETWEEN_LINES

    def __call__(self) -> None:
        self._done += 1
        if time.monotonic() >= self._next:
            print(f"sensitivity: {self._done} points", file=sys.stderr, flush=True)
            self._next = time.monotonic() + SECONDS_BETWEEN_LINES


def _write(folder: Path, data: dict[str, Any]) -> None:
    from lhsim.analysis.plots import save  # noqa: PLC0415 - imports matplotlib
    from lhsim.analysis.tornado import tornado_plot  # noqa: PLC0415

    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / ".sensitivity.png.tmp"
    save(tornado_plot(data), temporary, "png")
    temporary.replace(folder / "sensitivity.png")
