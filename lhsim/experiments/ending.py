"""How an experiment ends: what it says on stderr, and its exit code."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from lhsim.execution import Tally
from lhsim.experiments.levels import FailedRun, Skipped
from lhsim.experiments.options import INTERRUPTED
from lhsim.experiments.setup import Setup
from lhsim.report.text import duration


def say(*lines: str) -> None:
    """Print lines to stderr."""
    for line in lines:
        print(line, file=sys.stderr, flush=True)


def say_problems(setup: Setup, failed: Sequence[FailedRun], skipped: Sequence[Skipped]) -> None:
    """Say which runs failed, and what was skipped where the data has no place for it."""
    say(*(f"lhsim: a run failed: {run}" for run in failed))
    if setup.options.output_format != "table":
        say(*(f"lhsim: {level}" for level in skipped))


def say_done(
    setup: Setup, tally: Tally, files: Sequence[str], *, size: str = "", interrupted: bool = False
) -> None:
    """Say how long it took, what became of the runs and where the files are, unless with --quiet.

    `size` says how much it was.
    """
    options = setup.options
    if options.quiet:
        return
    took = duration(time.monotonic() - setup.started)
    say(f"{size}{took} with --jobs {options.jobs}", f"runs: {tally.sentence()}")
    say(f"{', '.join(files)} in {options.output_dir}")
    if interrupted:
        say("lhsim: interrupted; this is what was finished")


def say_interrupted(setup: Setup) -> int:
    """Say how what has no answer yet goes on, and return the exit code."""
    options = setup.options
    without = ", without --fresh" if options.fresh else ""
    say(f"lhsim: interrupted; the same command{without} goes on from the runs in "
        f"{options.output_dir}")  # fmt: skip
    return INTERRUPTED
