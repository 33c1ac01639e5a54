"""The cross-check as it is asked for: a model held against live runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from lhsim import analysis
from lhsim.calibration.logs import read_log
from lhsim.calibration.request_runs import request_recordings
from lhsim.crosscheck import Crosscheck, crosscheck
from lhsim.execution.progress import steps
from lhsim.experiments.options import DONE, NOT_KEPT
from lhsim.experiments.output import check_folder, formatted, show
from lhsim.experiments.runs import (
    TIMES,
    each_once,
    is_log,
    level_slug,
    read_request_runs,
    read_run,
    write_overlays,
)
from lhsim.library import load_system
from lhsim.models.system import System
from lhsim.recording import Recording
from lhsim.report.crosscheck import crosscheck_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@frozen
class CrosscheckOptions:
    """What the user asks of a cross-check."""

    model: str  # the system, by name or file
    live: tuple[Path, ...]  # recordings, or message logs
    seed: int  # of the simulated runs besides those of the live seeds
    replications: int  # simulated runs of a level
    plots: Path | None  # folder for plots
    check: bool  # the exit code says whether the model passes
    jobs: int
    output_format: str
    show_progress: bool
    quiet: bool


def run_crosscheck(asked: CrosscheckOptions) -> int:
    """Hold a model against live runs, show and write the verdict, and return the exit code."""
    if asked.plots is not None:
        check_folder(asked.plots, "--plots")
    paths = each_once(asked.live, "--live")
    system = load_system(asked.model)
    if system.requests is not None:
        runs = request_recordings(read_request_runs(paths))
    else:
        runs = [_read(path, system, seed) for seed, path in enumerate(paths, start=1)]
    with ThreadPoolExecutor(asked.jobs) as executor:
        found = crosscheck(
            system,
            runs,
            runs_simulated=asked.replications,
            seed=asked.seed,
            executor=executor,
            on_step=steps("crosscheck", "runs", shown=asked.show_progress),
        )
    show(formatted(found.to_dicts(), asked.output_format, lambda: text_of(found)))
    if asked.plots is not None:
        written = write_overlays(asked.plots, overlays(found))
        if not asked.quiet:
            print(f"written: {', '.join(map(str, written))}", file=sys.stderr)
    return NOT_KEPT if asked.check and found.fails else DONE


def _read(path: Path, system: System, seed: int) -> Recording:
    """Return a run; that of a message log has the architecture of the system, and a seed."""
    if not is_log(path):
        return read_run(path)
    if system.own_server is not None:
        return read_log(path).recording("own", seed)
    return read_log(path).recording("polling" if system.polling is not None else "push", seed)


def text_of(found: Crosscheck, more: Sequence[str] = ()) -> str:
    """Return what a cross-check came to as a text, with `more` to be said of the system."""
    sentences = [found.coverage.sentence(), *found.notes, *more]
    return crosscheck_text(found.system, found.verdict, found.reasons, sentences, found.to_dicts())


def overlays(found: Crosscheck) -> dict[str, Figure]:
    """Return a figure for each level and kind of time, and one of the differences, by name."""
    levels = list(dict.fromkeys(one.level for one in found.overlays))
    figures = {
        f"{level_slug(levels.index(one.level) + 1, one.level)}-{one.metric}": analysis.overlay_plot(
            f"{found.system}: {one.level}", TIMES[one.metric], one.live, one.simulated
        )
        for one in found.overlays
    }
    return {**figures, "differences": found.plot()}
