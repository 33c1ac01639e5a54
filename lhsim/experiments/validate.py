"""The command ``lhsim validate``: from a real server to the verdict on its model."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lhsim.errors import InputError
from lhsim.experiments.crosscheck import overlays, text_of
from lhsim.experiments.notices import Command
from lhsim.experiments.options import DONE, FORMATS, MAX_SEED, NOT_KEPT, PATH, choice, cores, whole
from lhsim.experiments.runs import write_overlays
from lhsim.experiments.serve import NEEDED, check_extra
from lhsim.units import format_duration

if TYPE_CHECKING:
    from lhsim.validation import Plan, Validated

ARCHITECTURES = ("polling", "push")
CALIBRATING = 3  # steps of a validation besides its runs
FIRST_GUESS = 9.0  # of a step, until some are done [s]


@click.command(cls=Command)
@click.option("--quick", "how_much", flag_value="quick", default="quick",
              help="Windows of 3.5 s, one load predicted; the default.")  # fmt: skip
@click.option("--full", "how_much", flag_value="full",
              help="Windows of 8 s, four loads predicted, four runs of each.")  # fmt: skip
@click.option("--architecture", "architectures", multiple=True, type=choice(*ARCHITECTURES),
              help="Only this; repeatable.  [default: both]")  # fmt: skip
@click.option("--store", metavar="URL", help="Of the server: postgresql://...  [default: SQLite]")
@click.option("--seed", type=whole(0, MAX_SEED), default=1, show_default=True,
              help="Of all messages.")  # fmt: skip
@click.option("--output-dir", "-o", metavar="DIR", default="results/validate", show_default=True,
              type=PATH, help="For runs, models and verdicts; "
              "runs that are there are not repeated.")  # fmt: skip
@click.option("--fresh", is_flag=True, help="Measure everything again.")
@click.option("--format", "how", type=choice(*FORMATS), default="table", show_default=True,
              metavar="|".join(FORMATS), help="Of the data on stdout.")  # fmt: skip
@click.option("--check", is_flag=True, help="End with exit code 3 when a model is rejected, or "
              "nothing speaks for it.")  # fmt: skip
@click.option("--no-progress", is_flag=True, help="Show no progress on stderr.")
@click.option("--quiet", is_flag=True, help="Print results only.")
def validate(**given: Any) -> int:
    """Measure a real server, calibrate a model on it, predict other loads, and measure those.

    The server is that of lhsim serve, on this machine, on a core of its own.
    docs/how-to/validation.md says what is measured and what a verdict means.
    """
    check_extra(NEEDED)
    if given["store"] is not None and given["store"].startswith("postgres"):
        check_extra(("psycopg",))
    from lhsim import validation  # noqa: PLC0415 - needs the extra
    from lhsim.experiments.commands import formatted, show  # noqa: PLC0415
    from lhsim.experiments.output import check_folder  # noqa: PLC0415

    plan = {"quick": validation.QUICK, "full": validation.FULL}[given["how_much"]]
    folder: Path = given["output_dir"]
    check_folder(folder)
    architectures = tuple(dict.fromkeys(given["architectures"])) or ARCHITECTURES
    steps = 1 + sum(plan.runs(architecture) + CALIBRATING for architecture in architectures)
    tell = lines(steps, shown=not (given["no_progress"] or given["quiet"]))
    tell("compiling the models")
    _compile(architectures)
    found = [
        _validated(plan, architecture, folder / given["how_much"], tell, given)
        for architecture in architectures
    ]
    rows = [
        {**row, "level": f"{one.architecture}, {row['level']}"}
        for one in found
        for row in one.crosscheck.to_dicts()
    ]
    texts = [text_of(one.crosscheck) for one in found]
    text = partial("\n\n".join, texts)
    show(formatted(rows, given["how"], text))
    if not given["quiet"]:
        print(f"written to {folder / given['how_much']}", file=sys.stderr)
    failed = any(one.crosscheck.fails for one in found)
    return NOT_KEPT if given["check"] and failed else DONE


def lines(steps: int, *, shown: bool) -> Callable[[str], None]:
    """Return what to call with each step that begins; prints it and how long the rest will take."""
    begun = time.monotonic()
    done = -1

    def tell(what: str) -> None:
        nonlocal done
        done += 1
        passed = time.monotonic() - begun
        each = passed / done if done > 2 else FIRST_GUESS
        left = format_duration(max(1, round(each * max(1, steps - done))))
        if shown:
            print(f"validate: {what}; about {left} left", file=sys.stderr, flush=True)

    return tell


def _validated(
    plan: Plan, architecture: Any, folder: Path, tell: Callable[[str], None], given: dict[str, Any]
) -> Validated:
    from lhsim import parameters  # noqa: PLC0415 - as late as the rest
    from lhsim.validation import validate as run  # noqa: PLC0415

    own = folder / architecture
    if given["fresh"]:
        _forget(own)
    with ThreadPoolExecutor(cores()) as executor:
        found = run(
            plan,
            architecture,
            own,
            store=given["store"],
            seed=given["seed"],
            executor=executor,
            tell=lambda what: tell(f"{architecture}, {what}"),
        )
    figures = overlays(found.crosscheck).items()
    write_overlays(folder, {f"{architecture}-{name}": figure for name, figure in figures})
    parameters.dump(found.calibrated.system, folder / f"{architecture}.toml")
    rows = json.dumps(found.crosscheck.to_dicts(), indent=2, allow_nan=False)
    (folder / f"{architecture}.json").write_text(rows + "\n", encoding="utf-8")
    return found


def _forget(folder: Path) -> None:
    """Remove the runs in a folder of a validation, and nothing else."""
    from lhsim.recording import MANIFEST  # noqa: PLC0415 - imports the models

    for manifest in folder.glob(f"*/{MANIFEST}"):
        try:
            shutil.rmtree(manifest.parent)
        except OSError as error:
            problem = f"cannot be removed: {error.strerror}"
            raise InputError(problem, source=str(manifest.parent)) from None


def _compile(architectures: tuple[str, ...]) -> None:
    """Compile the kernels that will be needed, each in a process of its own, before measuring."""
    with ProcessPoolExecutor(len(architectures), get_context("spawn")) as pool:
        list(pool.map(_replay_a_little, architectures))


def _replay_a_little(architecture: Any) -> None:
    from lhsim.library import load_system  # noqa: PLC0415 - runs in another process
    from lhsim.models.workload import Poisson, Workload  # noqa: PLC0415
    from lhsim.recording import Manifest  # noqa: PLC0415
    from lhsim.replay import replay  # noqa: PLC0415

    little = Manifest(architecture, 2, Workload(traffic=Poisson(1.0)), 1, 0.0, 2.0)
    replay(load_system(architecture), little)
