"""The commands ``lhsim capacity`` and ``lhsim sensitivity``: their options, and no more."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import click

from lhsim import checks
from lhsim.checks import MOST_JOBS
from lhsim.errors import InputError
from lhsim.experiments.notices import Command
from lhsim.experiments.options import ENGINES, MAX_SEED, PATH, Parsed, choice, cores, whole

FORMATS = ("table", "json")
SEVERAL: dict[str, Any] = {"multiple": True}


def _level(text: str) -> float | str:
    """Return a number, or a text with a unit: which it has to be depends on what is varied."""
    try:
        number = float(text)
    except ValueError:
        return text
    if not (math.isfinite(number) and number > 0):
        raise InputError(f"{text[:40]!r} is out of range", allowed="a number > 0")
    return text


def _share(text: str) -> float:
    try:
        return checks.share(float(text), "")
    except ValueError as error:  # an InputError is one
        allowed = getattr(error, "allowed", None) or "a number between 0 and 1"
        raise InputError(f"{text[:40]!r} is out of range", allowed=allowed) from None


def _option(name: str, text: str, **more: Any) -> Callable[[Callable[..., Any]], Any]:
    return click.option(name, help=text, **more)


def _common(folder: str, kept: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that gives a command the options that both have.

    What is `kept` goes to `folder` by default.
    """
    declared = [
        _option("--system", "The system, by name or file.", metavar="NAME_OR_FILE",
                default="polling", show_default=True),
        _option("--set", "Change a parameter, such as polling.interval=50ms; repeatable.",
                metavar="KEY=VALUE", **SEVERAL),
        _option("--seed", "All random numbers follow from it.", type=whole(0, MAX_SEED), default=1,
                show_default=True),
        _option("--jobs", "Runs at a time.  [default: one a core]", type=whole(1, MOST_JOBS)),
        _option("--engine", "What runs the model.", type=choice(*ENGINES, kind="engine"),
                metavar="|".join(ENGINES), default="auto", show_default=True),
        _option("--output-dir", f"Folder for {kept}, which are not run again.", metavar="DIR",
                type=PATH, default=folder, show_default=True),
        _option("--fresh", "Run everything again.", is_flag=True),
        _option("--format", "Of the data on stdout.", type=choice(*FORMATS),
                metavar="|".join(FORMATS), default="table", show_default=True),
        _option("--no-progress", "Show no progress.", is_flag=True),
        _option("--quiet", "Say nothing but data and errors.", is_flag=True),
    ]  # fmt: skip

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(declared):
            command = option(command)
        return command

    return decorate


@click.command(cls=Command)
@_option("--slo", "An objective, such as 'p99<1s', 'delivery>95%' or 'memory<5GB'; repeatable.",
         metavar="OBJECTIVE", **SEVERAL)  # fmt: skip
@_option("--vary", "What is varied: agents, or a parameter such as store.connections.",
         metavar="KEY", default="agents", show_default=True)  # fmt: skip
@_option("--agents", "How many there are, where a parameter is varied.", type=whole(1))
@_option("--check", "End with exit code 3 unless so many keep the objectives.",
         type=Parsed("LEVEL", _level))  # fmt: skip
@_option("--most", "Agents up to which is searched.", type=whole(1), default=1_000_000,
         show_default=True)  # fmt: skip
@_option("--confidence", "Of the interval.", type=Parsed("C", _share), default=0.95,
         show_default=True)  # fmt: skip
@_common("results/capacity", "the plot, and for the runs")
def capacity(**given: Any) -> int:
    """Find the most agents that keep all objectives, or the size that holds so many.

    docs/how-to/capacity.md says how it searches and what the interval means.
    """
    from lhsim.experiments.capacity import run_capacity  # noqa: PLC0415 - imports the models

    return run_capacity(_jobs(given))


@click.command(cls=Command)
@_option("--agents", "How many there are.  [default: 1000]", type=whole(1), default=1000)
@_option("--metric", "What moves: p50, p95, p99, mean, delivery, utilization, cpu, throughput, "
         "memory or knee; repeatable.  [default: p99 and knee]", metavar="METRIC",
         **SEVERAL)  # fmt: skip
@_option("--range", "Range of a parameter; repeatable. Without one: that of the calibration's "
         "samples, else 25 % either way.", metavar="KEY=LOW..HIGH", **SEVERAL)  # fmt: skip
@_option("--trajectories", "Of the screening, each with a run more than there are parameters.",
         type=whole(2), default=10, show_default=True)  # fmt: skip
@_common("results/sensitivity", "the plot, and for the runs")
def sensitivity(**given: Any) -> int:
    """Find which parameters move the latency and the knee: Morris screening and a tornado.

    Needs SALib: pip install 'lhsim[sensitivity]'.
    """
    from lhsim.experiments.sensitivity import run_sensitivity  # noqa: PLC0415 - imports the models

    return run_sensitivity(_jobs(given))


def _jobs(given: dict[str, Any]) -> dict[str, Any]:
    return given | {"jobs": given["jobs"] or cores()}
