"""Validation as it is asked for: from a real server to the verdict on its model."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from attrs import frozen

from lhsim import parameters
from lhsim.errors import InputError
from lhsim.experiments.crosscheck import overlays, text_of
from lhsim.experiments.options import DONE, NOT_KEPT
from lhsim.experiments.output import check_folder, formatted, show
from lhsim.experiments.runs import write_overlays
from lhsim.library import load_system
from lhsim.models.workload import Poisson, Workload
from lhsim.recording import MANIFEST, Manifest, Modelled
from lhsim.replay import replay
from lhsim.units import format_duration
from lhsim.validation import FULL, QUICK, Plan, Validated, validate
from lhsim.validation.ways import PREDICTIONS, WAYS

OF_WAY = 2  # steps of another way to deliver besides its runs
CALIBRATING = 3  # steps of a validation besides its runs
FIRST_GUESS = 9.0  # of a step, until some are done [s]


@frozen
class ValidateOptions:
    """What the user asks of a validation."""

    how_much: str  # "quick" or "full"
    architectures: tuple[Modelled, ...]
    store: str | None  # of the server, as a URL; None for SQLite
    seed: int  # of all messages
    ways: tuple[str, ...]  # to deliver, that are measured besides
    output_dir: Path
    fresh: bool  # measure everything again
    check: bool  # the exit code says whether the models pass
    jobs: int
    output_format: str
    show_progress: bool
    quiet: bool


def run_validate(asked: ValidateOptions) -> int:
    """Measure a server, predict other loads, show and write the verdicts; return the exit code."""
    plan = {"quick": QUICK, "full": FULL}[asked.how_much]
    folder = asked.output_dir
    check_folder(folder)
    ways = [name for name in asked.ways if WAYS[name].architecture in asked.architectures]
    steps = 1 + sum(plan.runs(architecture) + CALIBRATING for architecture in asked.architectures)
    steps += len(ways) * (plan.runs_of_way() + OF_WAY)
    tell = lines(steps, shown=asked.show_progress)
    tell("compiling the models")
    _compile(asked.architectures, ways)
    found = [
        _validated(plan, architecture, folder / asked.how_much, tell, asked)
        for architecture in asked.architectures
    ]
    rows = [
        {**row, "level": f"{one.architecture}, {row['level']}"}
        for one in found
        for row in one.crosscheck.to_dicts()
    ]
    others = {name: each for one in found for name, each in one.ways.items()}
    rows += [
        {**row, "level": f"{name}, {row['level']}"}
        for name, each in others.items()
        for row in each.to_dicts()
    ]
    texts = [text_of(one.crosscheck) for one in found]
    texts += [f"Delivered by {name}:\n{text_of(each)}" for name, each in others.items()]
    text = partial("\n\n".join, texts)
    show(formatted(rows, asked.output_format, text))
    if not asked.quiet:
        print(f"written to {folder / asked.how_much}", file=sys.stderr)
    failed = any(each.fails for each in (*(one.crosscheck for one in found), *others.values()))
    return NOT_KEPT if asked.check and failed else DONE


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
    plan: Plan,
    architecture: Modelled,
    folder: Path,
    tell: Callable[[str], None],
    asked: ValidateOptions,
) -> Validated:

    own = folder / architecture
    if asked.fresh:
        _forget(own)
    with ThreadPoolExecutor(asked.jobs) as executor:
        found = validate(
            plan,
            architecture,
            own,
            store=asked.store,
            seed=asked.seed,
            ways=asked.ways,
            executor=executor,
            tell=lambda what: tell(f"{architecture}, {what}"),
        )
    figures = overlays(found.crosscheck).items()
    write_overlays(folder, {f"{architecture}-{name}": figure for name, figure in figures})
    parameters.dump(found.calibrated.system, folder / f"{architecture}.toml")
    for name, each in {architecture: found.crosscheck, **found.ways}.items():
        rows = json.dumps(each.to_dicts(), indent=2, allow_nan=False)
        (folder / f"{name}.json").write_text(rows + "\n", encoding="utf-8")
    return found


def _forget(folder: Path) -> None:
    """Remove the runs in a folder of a validation, and nothing else."""
    for written in folder.glob(f"*/{PREDICTIONS}"):
        written.unlink()
    for manifest in [*folder.glob(f"*/{MANIFEST}"), *folder.glob(f"*/*/{MANIFEST}")]:
        try:
            shutil.rmtree(manifest.parent)
        except OSError as error:
            problem = f"cannot be removed: {error.strerror}"
            raise InputError(problem, source=str(manifest.parent)) from None


def _compile(architectures: tuple[Modelled, ...], ways: Sequence[str]) -> None:
    """Compile the kernels that will be needed, each in a process of its own, before measuring."""
    plain = Workload(traffic=Poisson(1.0))
    little = [Manifest(one, 2, plain, 1, 0.0, 2.0) for one in architectures]
    little += [
        Manifest(way.architecture, 2, way.workload(plain), 1, 0.0, 2.0, server=way.settings,
                 webhook=way.webhook)
        for way in map(WAYS.__getitem__, ways)
    ]  # fmt: skip
    with ProcessPoolExecutor(len(architectures), get_context("spawn")) as pool:
        list(pool.map(_replay_a_little, little))


def _replay_a_little(little: Manifest) -> None:
    replay(load_system(little.architecture), little)
