"""E9, the cross-check: a model against live runs, on the command line."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lhsim.checks import MOST_JOBS
from lhsim.experiments.notices import Command
from lhsim.experiments.options import (
    DONE,
    FORMATS,
    MAX_SEED,
    NOT_KEPT,
    PATH,
    choice,
    cores,
    each_once,
    whole,
)
from lhsim.experiments.runs import TIMES, is_log, level_slug, read_run, steps, write_overlays

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lhsim.crosscheck import Crosscheck
    from lhsim.models.system import System
    from lhsim.recording import Recording


@click.command(cls=Command)
@click.option("--model", required=True, metavar="FILE", help="The system, by name or file.")
@click.option("--live", multiple=True, required=True, metavar="RUN",
              type=PATH,
              help="Folder of lhsim measure, or a message log; repeatable.")  # fmt: skip
@click.option("--seed", type=whole(0, MAX_SEED), default=1, show_default=True,
              help="Of the simulated runs besides those of the live seeds.")  # fmt: skip
@click.option("--replications", type=whole(5), default=20, show_default=True,
              help="Simulated runs of a level.")  # fmt: skip
@click.option("--plots", metavar="DIR", type=PATH,
              help="For plots: live times against simulated ones, differences.")  # fmt: skip
@click.option("--jobs", type=whole(1, MOST_JOBS), help="Runs at a time.  [default: one a core]")
@click.option("--format", "how", type=choice(*FORMATS), default="table", show_default=True,
              metavar="|".join(FORMATS), help="Of the data on stdout.")  # fmt: skip
@click.option("--check", is_flag=True, help="End with exit code 3 when the model is rejected, or "
              "nothing speaks for it.")  # fmt: skip
@click.option("--no-progress", is_flag=True, help="Show no progress on stderr.")
@click.option("--quiet", is_flag=True, help="Print results only.")
def crosscheck(**given: Any) -> int:
    """Hold a model against live runs that it was not calibrated on.

    docs/how-to/crosscheck.md says what is compared and what a verdict means.
    """
    from lhsim.crosscheck import crosscheck as compare  # noqa: PLC0415 - imports the models
    from lhsim.experiments.commands import formatted, show  # noqa: PLC0415
    from lhsim.experiments.output import check_folder  # noqa: PLC0415
    from lhsim.library import load_system  # noqa: PLC0415

    plots: Path | None = given["plots"]
    if plots is not None:
        check_folder(plots, "--plots")
    paths = each_once(given["live"], "--live")
    system = load_system(given["model"])
    runs = [_read(path, system, seed) for seed, path in enumerate(paths, start=1)]
    shown = not (given["no_progress"] or given["quiet"])
    with ThreadPoolExecutor(given["jobs"] or cores()) as executor:
        found = compare(
            system,
            runs,
            runs_simulated=given["replications"],
            seed=given["seed"],
            executor=executor,
            on_step=steps("crosscheck", "runs", shown=shown),
        )
    show(formatted(found.to_dicts(), given["how"], lambda: text_of(found)))
    if plots is not None:
        written = write_overlays(plots, overlays(found))
        if not given["quiet"]:
            print(f"written: {', '.join(map(str, written))}", file=sys.stderr)
    return NOT_KEPT if given["check"] and found.fails else DONE


def _read(path: Path, system: System, seed: int) -> Recording:
    """Return a run; that of a message log has the architecture of the system, and a seed."""
    from lhsim.calibration.logs import read_log  # noqa: PLC0415 - imports the models

    if not is_log(path):
        return read_run(path)
    if system.own_server is not None:
        return read_log(path).recording("own", seed)
    return read_log(path).recording("polling" if system.polling is not None else "push", seed)


def text_of(found: Crosscheck, more: Sequence[str] = ()) -> str:
    """Return what a cross-check came to as a text, with `more` to be said of the system."""
    from lhsim.report.crosscheck import crosscheck_text  # noqa: PLC0415 - as late as the rest

    sentences = [found.coverage.sentence(), *found.notes, *more]
    return crosscheck_text(found.system, found.verdict, found.reasons, sentences, found.to_dicts())


def overlays(found: Crosscheck) -> dict[str, Figure]:
    """Return a figure for each level and kind of time, and one of the differences, by name."""
    from lhsim.analysis.overlays import overlay_plot  # noqa: PLC0415 - imports matplotlib

    levels = list(dict.fromkeys(one.level for one in found.overlays))
    figures = {
        f"{level_slug(levels.index(one.level) + 1, one.level)}-{one.metric}": overlay_plot(
            f"{found.system}: {one.level}", TIMES[one.metric], one.live, one.simulated
        )
        for one in found.overlays
    }
    return {**figures, "differences": found.plot()}
