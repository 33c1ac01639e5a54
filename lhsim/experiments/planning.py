"""What ``lhsim capacity`` and ``lhsim sensitivity`` share: how they run, and how they end."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from lhsim import parameters
from lhsim.execution import Runner, running
from lhsim.experiments.options import INTERRUPTED
from lhsim.experiments.output import check_folder
from lhsim.experiments.progress import Report, progress
from lhsim.experiments.setup import find_system, say_notices
from lhsim.library import configured
from lhsim.models import System
from lhsim.report.text import duration

A = TypeVar("A")


def loaded(given: dict[str, Any]) -> System:
    """Return the system that was asked for, with its settings."""
    settings = parameters.each_once(given["set"], source="--set")
    return configured(find_system(given["system"]), settings, source="--set")


def carry_out(
    title: str,
    system: System,
    given: dict[str, Any],
    answer: Callable[[Runner, Report], A],
    finish: Callable[[A], int],
) -> int:
    """Let a question be answered with runs that are kept, finish, and return the exit code.

    Parameters
    ----------
    title
        Stands in front of the progress.
    system
        What will run.
    given
        The options of the command; all else that was asked for is checked.
    answer
        Finds the answer. Ctrl-C leaves it with `KeyboardInterrupt`.
    finish
        Shows the answer, and returns the exit code.
    """
    started = time.monotonic()
    check_folder(given["output_dir"])
    try:
        with _runner(system, given) as runner:
            with progress(title, (), shown=not (given["no_progress"] or given["quiet"])) as report:
                found = answer(runner, report)
            code = finish(found)
    except KeyboardInterrupt:
        without = ", without --fresh" if given["fresh"] else ""
        print(
            f"lhsim: interrupted; the same command{without} goes on from the runs in "
            f"{given['output_dir']}",
            file=sys.stderr,
        )
        return INTERRUPTED
    if not given["quiet"]:
        took = duration(time.monotonic() - started)
        print(f"{took} with --jobs {given['jobs']}; runs: {runner.tally.sentence()}, "
              f"kept in {given['output_dir']}", file=sys.stderr)  # fmt: skip
    return code


@contextmanager
def _runner(system: System, given: dict[str, Any]) -> Iterator[Runner]:
    with running(
        [system],
        given["engine"],
        given["jobs"],
        folder=given["output_dir"],
        fresh=given["fresh"],
    ) as runner:
        say_notices(runner)
        yield runner
