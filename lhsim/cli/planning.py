"""The commands that answer one question, such as ``lhsim capacity``: their options, and no more."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import click

from lhsim import checks, experiments
from lhsim.cli.commands import Command
from lhsim.cli.options import (
    PATH,
    Parsed,
    engine_option,
    format_option,
    fresh_option,
    jobs_option,
    option,
    options,
    parse_duration,
    parse_share,
    read,
    seed_option,
    silence_options,
    system_options,
    whole,
)
from lhsim.errors import InputError
from lhsim.experiments.options import Options

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


def _cost(text: str) -> float:
    try:
        return checks.positive_number(float(text), "")
    except ValueError:  # an InputError is one
        raise InputError(f"{text[:40]!r} is no cost", allowed="a number > 0") from None


def _common(folder: str, kept: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that gives a command the options that both have.

    What is `kept` goes to `folder` by default.
    """
    declared = [
        option("--system", "System, by name or file.", metavar="NAME_OR_FILE",
               default="polling", show_default=True),
        option("--set", "Change a parameter, such as polling.interval=50ms; repeatable.",
               metavar="KEY=VALUE", **SEVERAL),
        *running_options(folder, kept),
    ]  # fmt: skip

    return options(declared)


def running_options(
    folder: str, kept: str, formats: Sequence[str] = FORMATS
) -> list[Callable[..., Any]]:
    """Return the options of how a question is answered; what is `kept` goes to `folder`."""
    return [
        seed_option(),
        jobs_option(),
        engine_option(),
        option("--output-dir", f"Folder for {kept}; finished runs are reused.", metavar="DIR",
               type=PATH, default=folder, show_default=True),
        fresh_option(),
        format_option(formats),
        *silence_options(),
    ]  # fmt: skip


@click.command(cls=Command)
@option("--slo", "Objective, such as 'p99<1s', 'delivery>95%' or 'memory<5GB'; at least one.",
        metavar="OBJECTIVE", **SEVERAL)  # fmt: skip
@option("--vary", "What to vary: agents, or a parameter such as store.connections.",
        metavar="KEY", default="agents", show_default=True)  # fmt: skip
@option("--agents", "Number of agents when --vary names a parameter.", type=whole(1))
@option("--check", "Exit with code 3 unless this many agents (or this value of --vary) "
        "meets the objectives.",
        type=Parsed("LEVEL", _level))  # fmt: skip
@option("--most", "Largest number of agents to try.", type=whole(1), default=1_000_000,
        show_default=True)  # fmt: skip
@option("--confidence", "Confidence level of the interval.", type=Parsed("C", parse_share),
        default=0.95, show_default=True)  # fmt: skip
@option("--within", "Answer within this time, such as 2s: the interval is wider, and depends on "
        "the machine's speed.", type=Parsed("TIME", parse_duration))  # fmt: skip
@_common("results/capacity", "the plot and the runs")
def capacity(**given: Any) -> int:
    """Find the most agents that meet your objectives.

    With --vary and --agents, it finds how large a parameter must be instead. The interval covers
    the noise of the runs and the uncertainty of the parameters. It narrows as the search goes on;
    Ctrl-C ends it with what is known by then.
    """
    begun = time.monotonic()  # before anything is imported that runs and draws
    names = ("slo", "vary", "check", "most", "confidence", "within")
    asked = {name: given.pop(name) for name in names}
    return experiments.run_capacity(_read(given), begun=begun, **asked)


@click.command(cls=Command)
@option("--slo", "Objective, such as 'p99<1s', 'delivery>95%' or 'memory<5GB'; at least one.",
        metavar="OBJECTIVE", **SEVERAL)  # fmt: skip
@option("--agents", "Number of agents on the first day.", type=whole(1))
@option("--growth", "Growth of the agents, such as 8%/month or 500/month, or a CSV file with the "
        "columns date and agents.  [default: none]", metavar="GROWTH")  # fmt: skip
@option("--server-cost", "Cost of a server for a month.", type=Parsed("COST", _cost))
@option("--currency", "Currency of the cost, such as EUR.", metavar="NAME")
@option("--horizon", "Months ahead.", type=whole(1, 600), default=24, show_default=True)
@option("--start", "First day, such as 2027-01-31.  [default: today]", metavar="DATE")
@option("--confidence", "How surely a design has to keep the objectives; the level of all "
        "intervals.", type=Parsed("C", parse_share), default=0.95, show_default=True)  # fmt: skip
@options([*system_options(), *running_options("results/decide", "the plot and the runs")])
def decide(**given: Any) -> int:
    """Say which design to run, until when, and at what cost.

    It compares designs as the agents grow: without --system, polling as it is, with wake-on-write
    and twice as often, and push. The first design is the one that runs today.
    """
    names = ("slo", "growth", "server_cost", "currency", "horizon", "start", "confidence")
    asked = {name: given.pop(name) for name in names}
    agents = None if given["agents"] is None else (given["agents"],)
    return experiments.run_decide(read(given | {"agents": agents}), **asked)


@click.command(cls=Command)
@option("--agents", "Number of agents.", type=whole(1), default=1000,
        show_default=True)  # fmt: skip
@option("--duration", "Simulated time of each run, warm-up included.  [default: as long as 5,000 "
        "messages take]", type=Parsed("TIME", parse_duration))  # fmt: skip
@option("--confidence", "Confidence level of what would change.", type=Parsed("C", parse_share),
        default=0.95, show_default=True)  # fmt: skip
@option("--trace", "File for the first 1,000 messages, step by step, for Perfetto or Chrome.",
        metavar="FILE", type=PATH)  # fmt: skip
@_common("results/explain", "the plot and the runs")
def explain(**given: Any) -> int:
    """Show where latency comes from, and what would shorten it.

    It splits the time of each message into network, waiting, service, sleep and pauses, and runs
    the same messages with one thing better at a time.
    """
    asked = {name: given.pop(name) for name in ("duration", "confidence", "trace")}
    return experiments.run_explain(_read(given), **asked)


@click.command(cls=Command)
@option("--agents", "Number of agents.", type=whole(1), default=1000,
        show_default=True)  # fmt: skip
@option("--metric", "Metric to explain: p50, p95, p99, mean, delivery, utilization, cpu, "
        "throughput, memory or knee; repeatable.  [default: p99 and knee]", metavar="METRIC",
        **SEVERAL)  # fmt: skip
@option("--range", "Range of a parameter; repeatable.  [default: the calibration's samples, "
        "or 25 % either way]", metavar="KEY=LOW..HIGH", **SEVERAL)  # fmt: skip
@option("--trajectories", "Trajectories of the screening, each one run per parameter plus one.",
        type=whole(2), default=10, show_default=True)  # fmt: skip
@_common("results/sensitivity", "the plot and the runs")
def sensitivity(**given: Any) -> int:
    """Find which parameters move latency and capacity most.

    It prints a Morris screening and plots a tornado. Capacity is the knee: the number of agents
    that keep the busiest station busy 95 % of the time.

    Needs SALib: pip install 'lhsim[sensitivity]'.
    """
    metrics, ranges = given.pop("metric"), given.pop("range")
    trajectories = given.pop("trajectories")
    return experiments.run_sensitivity(
        _read(given), metrics=metrics, ranges=ranges, trajectories=trajectories
    )


def _read(given: dict[str, Any]) -> Options:
    """Return what the options of both ask, of one system and one number of agents."""
    agents = None if given["agents"] is None else (given["agents"],)
    return read(given | {"agents": agents, "system": (given["system"],)})
