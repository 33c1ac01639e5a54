"""The commands of the experiments, of all of them together, and of their report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from lhsim import experiments
from lhsim.cli.commands import Command, Commands
from lhsim.cli.options import (
    PATH,
    cores,
    engine_option,
    experiment_options,
    fresh_option,
    jobs_option,
    option,
    options,
    precision_options,
    read,
    seed_option,
    silence_options,
    system_options,
    whole,
)
from lhsim.experiments.options import DONE, INTERRUPTED


@click.command(cls=Command)
@experiment_options("results/scaling")
@precision_options()
@option("--agents-per-server", "Agents of each server of a scaled-out system.", type=whole(1))
def scaling(**given: Any) -> int:
    """Latency, throughput, load and knee as the agents grow.

    Each system is simulated as it is, and scaled out: with a server for every so many agents.

    Defaults that are not shown stand in experiments/scaling.toml.
    """
    return experiments.run_scaling(read(given))


@click.command(cls=Command)
@experiment_options("results/latency")
@precision_options()
def latency(**given: Any) -> int:
    """Latency of 100 messages of a pair that has the server to itself.

    Defaults that are not shown stand in experiments/latency.toml.
    """
    return experiments.run_latency(read(given))


def _suite(name: str, *paragraphs: str, without: Sequence[str] = ()) -> click.Command:
    """Return the command of a suite, with its help, and the options of an experiment."""

    @experiment_options(f"results/{name}", without=without)
    def command(**given: Any) -> int:
        return experiments.run_suite(name, read(given))

    defaults = f"Defaults that are not shown stand in experiments/{name}.toml."
    text = "\n\n".join([*paragraphs, defaults])
    return click.command(name=name, cls=Command, help=text)(command)


memory = _suite("memory", "Memory of the server under load for half an hour.")
recovery = _suite(
    "recovery",
    "Slow agents among normal ones, and the time to recover from an outage.",
    without=("--duration",),
)
burst = _suite(
    "burst",
    "Latency before, in and after a burst of messages.",
    "--agents takes two numbers: those that send before and after, and in the burst.",
    without=("--duration",),
)
contention = _suite("contention", "Write latency and events per second as the writers grow.")
optimisations = _suite(
    "optimisations", "Optimisations, each on and off; polling at equal CPU; the factor of push."
)
failure = _suite(
    "failure",
    "Stall, outage and slow agents, with retries or without, and the time to recover.",
    without=("--duration",),
)


@click.command(cls=Command)
@experiment_options("results/claims", without=("--duration", "--agents"))
@option("--check", "End with exit code 3 unless this claim is supported; repeatable.",
        metavar="ID", multiple=True)  # fmt: skip
def claims(check: tuple[str, ...], **given: Any) -> int:
    """Judge the original proposal's claims: figure, interval, verdict, and when each would hold.

    Defaults that are not shown stand in experiments/claims.toml.
    """
    return experiments.run_claims(read(given), check)


@click.command(name="run", cls=Command)
@click.argument("file")
@experiment_options(None)
@precision_options()
def run_specification(file: str, **given: Any) -> int:
    """Run a sweep over any parameters, that a FILE specifies.

    FILE is a TOML file with kind = "sweep", or the NAME of one that comes with lhsim. What is not
    shown as a default stands there. lhsim init writes one to start from, with comments.
    """
    given["output_dir"] = given["output_dir"] or Path("results", Path(file).stem)
    return experiments.run_file(read(given), file)


@click.command(name="all", cls=Command)
@options(system_options())
@seed_option()
@option("--replications", "Runs of each case.  [default: as each experiment has it]",
        type=whole(1))  # fmt: skip
@jobs_option()
@engine_option()
@option("--output-dir", "Gets a folder for each experiment, and the report.", metavar="DIR",
        type=PATH, default="results/all", show_default=True)  # fmt: skip
@fresh_option()
@options(silence_options())
@click.pass_context
def run_all(ctx: click.Context, /, **given: Any) -> int:
    """Run every experiment into one folder, and write the report of it.

    What was interrupted goes on where it was. An experiment that fails is in the report, and stops
    none of the others.
    """
    group = ctx.find_root().command
    assert isinstance(group, Commands)

    def run(name: str, words: Sequence[str]) -> int:
        return exit_code(group.loaded(name), f"lhsim {name}", words)

    words = [
        word for name in ("system", "set") for one in given[name] for word in (f"--{name}", one)
    ]
    words += ["--seed", str(given["seed"]), "--jobs", str(given["jobs"] or cores())]
    words += ["--engine", given["engine"]]
    if given["replications"] is not None:
        words += ["--replications", str(given["replications"])]
    words += ["--fresh"] if given["fresh"] else []
    shown = not (given["no_progress"] or given["quiet"])
    return experiments.run_all(
        run, given["output_dir"], words, given["system"], show_progress=shown, quiet=given["quiet"]
    )


def exit_code(command: click.Command, name: str, words: Sequence[str]) -> int:
    """Run a command as if it were the whole command line; return its exit code."""
    try:
        code = command.main(list(words), prog_name=name, standalone_mode=False)
    except click.Abort as error:  # but for one at the end of an input that nobody has asked for
        if isinstance(error.__cause__, EOFError):
            raise
        return INTERRUPTED
    return code if isinstance(code, int) else DONE


@click.command(cls=Command)
@click.argument("folder", type=PATH)
@click.option("-o", "--output", metavar="FILE", type=PATH,
              help="Of the report.  [default: report.html in the folder]")  # fmt: skip
def report(folder: Path, output: Path | None) -> None:
    """Write what experiments found as one HTML file.

    FOLDER holds a folder for each experiment, or is that of one. The file needs nothing besides
    itself: it can be sent to whoever has a browser.
    """
    click.echo(str(experiments.write_report(folder, output)))
