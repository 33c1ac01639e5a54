"""``lhsim compare``: two results, or two systems that are run, and what differs between them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from attrs import frozen

from lhsim.errors import InputError
from lhsim.execution.progress import Progress, search_progress
from lhsim.experiments.comparing import Differences, compare
from lhsim.experiments.options import DONE, NOT_KEPT
from lhsim.experiments.output import check_folder, formatted, show
from lhsim.experiments.sides import is_result


@frozen
class CompareOptions:
    """What the user asks of a comparison."""

    a: str  # folders, or systems by name or file
    b: str
    agents: tuple[int, ...] | None
    metrics: tuple[str, ...]
    tolerance: float | None
    confidence: float
    check: bool  # the exit code says whether they differ
    replications: int | None  # of two systems, like the rest
    seed: int | None
    duration: float | None  # [s]
    jobs: int
    engine: str
    output_dir: Path  # for the runs
    output_format: str
    show_progress: bool


def run_compare(asked: CompareOptions) -> int:
    """Compare two results or systems, show what differs, and return the exit code."""
    if asked.tolerance is not None and not asked.check:
        allowed = "only with --check, whose exit code it decides"
        raise InputError("changes nothing", source="--tolerance", allowed=allowed)
    kept: dict[str, Any] = {}
    progress: AbstractContextManager[Progress | None] = nullcontext()
    if not (is_result(asked.a) or is_result(asked.b)):
        check_folder(asked.output_dir)
        kept = {"folder": asked.output_dir, "jobs": asked.jobs, "engine": asked.engine}
        progress = search_progress("compare", shown=asked.show_progress)
    with progress as told:
        on_done: Callable[..., None] | None = None if told is None else told.ran
        found = compare(
            asked.a,
            asked.b,
            agents=asked.agents,
            metrics=asked.metrics,
            tolerance=asked.tolerance,
            confidence=asked.confidence,
            replications=asked.replications,
            seed=asked.seed,
            duration=asked.duration,
            on_done=on_done,
            progress=False,  # there is one already, or none is wanted
            **kept,
        )
    show(formatted(found.to_dicts(), asked.output_format, found.text))
    return NOT_KEPT if asked.check and _fails(found) else DONE


def _fails(found: Differences) -> bool:
    return found.differ if found.tolerance is None else found.worse
