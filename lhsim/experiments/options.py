"""The options of the command line, how they are read from what was typed, and the exit codes."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import click
from attrs import field, frozen

from lhsim._files import expanded
from lhsim.checks import MOST, is_manageable
from lhsim.errors import InputError, unknown_name
from lhsim.units import SECOND

MAX_SEED = 2**63 - 1  # as in lhsim.streams, whose compiler a line of help need not wait for
DONE, FAILED, BAD_INPUT, NOT_KEPT, INTERRUPTED = 0, 1, 2, 3, 130

FORMATS = ("table", "json", "csv")
ENGINES = ("auto", "simpy", "compiled")
EXECUTORS = ("serial", "threads", "processes", "dask")  # as in lhsim.execution, likewise


@frozen
class Options:
    """What was asked for on the command line; None where the experiment's file decides."""

    agents: tuple[int, ...] | None
    systems: tuple[str, ...]
    settings: tuple[str, ...]
    seed: int
    replications: int | None
    duration: float | None  # [s]
    max_events: int | None
    jobs: int
    engine: str
    output_dir: Path
    output_format: str
    fail_fast: bool
    show_progress: bool
    quiet: bool
    agents_per_server: int | None = None  # of the scaled-out systems, where there are some
    executor: str | None = None  # None: what is best for the engine
    scheduler: str | None = None  # address of a Dask scheduler
    fresh: bool = False  # forget what is in the output folder's store
    precision: dict[str, float] = field(factory=dict)  # relative half-widths, by measure
    max_replications: int | None = None  # with a precision


class PathType(click.ParamType[Any]):
    """The kind of paths, in which ``~`` is the home folder also where no shell has expanded it."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Return the path that a text means."""
        return expanded(value)


PATH = PathType()


class Parsed(click.ParamType[Any]):
    """A kind of value; what it refuses is one line that names the option and what is allowed."""

    def __init__(self, metavar: str, parse: Callable[[str], object]) -> None:
        self.name = metavar
        self._parse = parse

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> object:
        """Return the value of a text; a default is one already."""
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except InputError as error:
            option = max(param.opts, key=len) if param is not None else None
            raise InputError(error.problem, source=option, allowed=error.allowed) from None


def whole(least: int, most: int | None = None) -> Parsed:
    """Return the kind of whole numbers from `least` to `most`."""
    allowed = f"a whole number >= {least}" if most is None else f"a whole number {least}-{most}"
    return Parsed("N", lambda text: _whole(text, least, most, allowed))


def choice(*names: str) -> Parsed:
    """Return the kind of one of these names."""

    def parse(text: str) -> str:
        if text not in names:
            raise unknown_name("choice", text, names)
        return text

    return Parsed("|".join(names), parse)


def parse_agents(text: str) -> tuple[int, ...]:
    """Return numbers of agents from a text such as ``"10,100,1000"``."""
    allowed = "different whole numbers >= 1 with commas between them, such as 10,100,1000"
    counts = tuple(_whole(part.strip(), 1, None, allowed) for part in text.split(","))
    twice = [count for count in counts if counts.count(count) > 1]
    if twice:
        raise InputError(f"{twice[0]} is there twice", allowed=allowed)
    return counts


def each_once(paths: Sequence[Path], source: str) -> Sequence[Path]:
    """Return the paths of runs; refuse one that is there twice."""
    resolved = [path.resolve() for path in paths]
    twice = [str(path) for path in resolved if resolved.count(path) > 1]
    if twice:
        raise InputError(f"{twice[0]} is there twice", source=source, allowed="each run once")
    return paths


def parse_duration(text: str) -> float:
    """Return seconds from a number of them, or from a text such as ``"2 min"``."""
    allowed = "a time > 0 such as 60, 500ms or '2 min'"
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = SECOND.parse(text)
        except InputError as error:
            raise InputError(error.problem, allowed=allowed) from None
    if not (is_manageable(seconds) and seconds > 0):
        limited = f"{allowed}, at most {MOST:g} s" if seconds > MOST else allowed
        raise InputError(f"{text!r} is out of range", allowed=limited)
    return seconds


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def parse_target(text: str) -> tuple[str, float]:
    """Return a measure and its relative half-width from a text such as ``"p99=5%"``."""
    allowed = "METRIC=PERCENT, such as p99=5% or mean=0.02"
    name, equals, width = text.partition("=")
    number = width.strip().removesuffix("%")
    try:
        target = float(number) / (100 if width.strip().endswith("%") else 1)
    except ValueError:
        target = math.nan
    if not equals or math.isnan(target):
        raise InputError(f"{text[:40]!r} is no target", allowed=allowed)
    return name.strip(), target


def targets_of(pairs: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Return targets by measure.

    Raises
    ------
    InputError
        When a measure is there twice.
    """
    targets: dict[str, float] = {}
    for name, target in pairs:
        if name in targets:
            problem = f"{name} is there twice"
            raise InputError(problem, source="--precision", allowed="one target for a metric")
        targets[name] = target
    return targets


def _whole(text: str, least: int, most: int | None, allowed: str) -> int:
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 19):
        raise InputError(f"{text[:40]!r} is not a whole number", allowed=allowed)
    number = int(text)
    if number < least or (most is not None and number > most):
        raise InputError(f"{number} is out of range", allowed=allowed)
    return number
