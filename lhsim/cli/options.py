"""Options of the command line that several commands have, and how they are read."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from lhsim import checks
from lhsim._files import expanded
from lhsim.checks import MOST_JOBS, MOST_REPLICATIONS
from lhsim.errors import InputError
from lhsim.experiments.options import ENGINES, EXECUTORS, FORMATS, MAX_SEED, Options

_DIGITS = 4000  # what Python reads as a number


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

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """Return what help shows for a value: names as they are typed."""
        return self.name

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


def whole(least: int, most: int = checks.MOST_WHOLE) -> Parsed:
    """Return the kind of whole numbers from `least` to `most`."""
    return Parsed("N", lambda text: checks.whole_number(digits(text), "", least, most))


def choice(*names: str, kind: str = "choice") -> Parsed:
    """Return the kind of one of these names."""
    return Parsed("|".join(names), lambda text: checks.choice(text, "", names, kind))


def parse_agents(text: str) -> tuple[int, ...]:
    """Return numbers of agents from a text such as ``"10,100,1000"``, in that order."""
    counts = [digits(part.strip()) for part in text.split(",")]
    checks.levels(counts, "")
    return tuple(int(count) for count in counts)


def parse_duration(text: str, least: float = checks.SHORTEST) -> float:
    """Return seconds, `least` at least, from a number or from a text such as ``"2 min"``."""
    try:
        seconds: float | str = float(text)
    except ValueError:
        seconds = text
    try:
        return checks.duration(seconds, "", least=least)
    except InputError as error:
        problem = error.problem if seconds is text else f"{text[:40]!r} is out of range"
        raise InputError(problem, allowed=error.allowed) from None


def parse_pause(text: str) -> float:
    """Return seconds as `parse_duration` does, of which there may be none."""
    return parse_duration(text, least=0.0)


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def parse_target(text: str) -> tuple[str, float]:
    """Return a measure and its relative half-width from a text such as ``"p99=5%"``."""
    name, equals, width = text.partition("=")
    target = _part(width)
    if not equals or math.isnan(target):
        allowed = "METRIC=PERCENT, such as p99=5% or mean=0.02"
        raise InputError(f"{text[:40]!r} is no target", allowed=allowed)
    return name.strip(), target


def _part(text: str) -> float:
    """Return the part of a whole that a text such as ``"5%"`` or ``"0.05"`` says, else NaN."""
    number = text.strip().removesuffix("%")
    try:
        return float(number) / (100 if text.strip().endswith("%") else 1)
    except ValueError:
        return math.nan


def parse_part(text: str) -> float:
    """Return a part >= 0 from a text such as ``"5%"`` or ``"0.05"``."""
    part = _part(text)
    if not 0 <= part < math.inf:
        raise InputError(f"{text[:40]!r} is no part", allowed="a part >= 0, such as 5% or 0.05")
    return part


def parse_share(text: str) -> float:
    """Return a number between 0 and 1, neither of them."""
    try:
        return checks.share(float(text), "")
    except ValueError as error:  # an InputError is one
        allowed = getattr(error, "allowed", None) or "a number between 0 and 1"
        raise InputError(f"{text[:40]!r} is out of range", allowed=allowed) from None


def targets_of(pairs: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Return targets by measure; raise `InputError` when one is there twice."""
    targets: dict[str, float] = {}
    for name, target in pairs:
        if name in targets:
            problem = f"{name} is there twice"
            raise InputError(problem, source="--precision", allowed="one target for a metric")
        targets[name] = target
    return targets


def digits(text: str) -> int | str:
    """Return the whole number that a text of digits is, or the text, for a check to refuse."""
    plain = text.removeprefix("-")
    return int(text) if plain.isascii() and plain.isdigit() and len(plain) <= _DIGITS else text


def experiment_options(
    folder: str | None, *, without: Sequence[str] = ()
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that gives a command the options of an experiment, `without` some.

    Results go to `folder` by default, which None leaves to the command.
    """
    declared = [
        None if "--agents" in without else
        option("--agents", "Numbers of agents.", type=Parsed("N,N,...", parse_agents)),
        *system_options(),
        seed_option(),
        option("--replications", "Runs of each level.", type=whole(1, MOST_REPLICATIONS)),
        None if "--duration" in without else
        option("--duration", "Simulated time of a run, warm-up included: 60 (seconds), 500ms, "
               "'2 min'.", type=Parsed("TIME", parse_duration)),
        option("--max-events", "Skip runs that need more model events than this.",
               type=whole(1)),
        jobs_option(),
        option("--executor", "Where to run.  [default: threads; processes for simpy]",
               type=choice(*EXECUTORS), metavar="|".join(EXECUTORS)),
        option("--scheduler", "Dask scheduler for --executor dask.  [default: a cluster on this "
               "machine]", metavar="ADDRESS"),
        engine_option(),
        option("--output-dir", "Folder for tables, plot, manifest and runs; finished runs are "
               f"reused.{'' if folder else '  [default: results/NAME]'}",
               metavar="DIR", type=PATH, default=folder, show_default=True),
        fresh_option(),
        format_option(FORMATS),
        option("--fail-fast", "Stop at the first run that fails.", is_flag=True),
        *silence_options(),
    ]  # fmt: skip
    return options([one for one in declared if one is not None])


def system_options() -> list[Callable[..., Any]]:
    """Return the options that name systems and change their parameters."""
    return [
        option("--system", "System, by name or file; repeatable.", metavar="NAME_OR_FILE",
               multiple=True),
        option("--set", "Change a parameter, such as polling.interval=50ms; repeatable. "
               "polling.* and push.* change the systems of that kind only.",
               metavar="KEY=VALUE", multiple=True),
    ]  # fmt: skip


def seed_option() -> Callable[..., Any]:
    """Return the option with the seed."""
    return option("--seed", "Seed of all random numbers.", type=whole(0, MAX_SEED),
                  default=1, show_default=True)  # fmt: skip


def jobs_option() -> Callable[..., Any]:
    """Return the option with the number of runs at a time."""
    return option("--jobs", "Runs at a time.  [default: one per core]", type=whole(1, MOST_JOBS))


def fresh_option() -> Callable[..., Any]:
    """Return the option that forgets the runs that are kept."""
    return option("--fresh", "Repeat finished runs.", is_flag=True)


def format_option(names: Sequence[str], *more: str) -> Callable[..., Any]:
    """Return the option with the format of the data; `more` names its variable."""
    return click.option("--format", *more, help="Format of stdout.", type=choice(*names),
                        metavar="|".join(names), default="table", show_default=True)  # fmt: skip


def silence_options() -> list[Callable[..., Any]]:
    """Return the options that leave out what is no result."""
    return [
        option("--no-progress", "Hide the progress bar.", is_flag=True),
        option("--quiet", "Print only data and errors.", is_flag=True),
    ]


def engine_option() -> Callable[..., Any]:
    """Return the option that names what runs the model."""
    return option("--engine", "Simulation engine; auto takes the fastest that covers the model.",
                  type=choice(*ENGINES, kind="engine"), default="auto",
                  show_default=True)  # fmt: skip


def precision_options() -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that gives a command the options of sequential stopping."""
    return options([
        option("--precision", "Add runs to each level until the half-width of a metric's 95 % "
               "interval is this share of its value, such as p99=5%; repeatable.",
               metavar="METRIC=PERCENT",
               type=Parsed("METRIC=PERCENT", parse_target), multiple=True),
        option("--max-replications", "Most runs of a level with --precision.  [default: 50]",
               type=whole(2)),
    ])  # fmt: skip


def options(
    declared: Sequence[Callable[..., Any]],
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that gives a command these options, in this order."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(declared):
            command = option(command)
        return command

    return decorate


def option(name: str, text: str, **more: Any) -> Callable[[Callable[..., Any]], Any]:
    """Return a decorator that gives a command an option with this help."""
    return click.option(name, help=text, **more)


def read(given: Mapping[str, Any]) -> Options:
    """Return what the options of an experiment's command ask."""
    names = {"system": "systems", "set": "settings", "format": "output_format"}
    asked = {names.get(name, name): value for name, value in shown(given).items()}
    precision = targets_of(asked.pop("precision", ()))
    return Options(**{"agents": None, **asked}, precision=precision)


def shown(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return options with what they mean: whether progress is shown, and the number of jobs."""
    rest = {name: value for name, value in given.items() if name != "no_progress"}
    if "jobs" in rest:
        rest["jobs"] = rest["jobs"] or cores()
    return {**rest, "show_progress": not (given["no_progress"] or given["quiet"])}
