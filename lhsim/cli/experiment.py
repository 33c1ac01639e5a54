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
@option("--agents-per-server", "Agents per server when scaled out.  [default: 2000]", type=whole(1))
def scaling(**given: Any) -> int:
    """Latency, throughput and load as the number of agents grows.

    Each system is simulated twice: on one server, and scaled out to one server per 2,000 agents.
    The knee is the number of agents that keep the busiest station busy 95 % of the time.

    The file scaling.toml holds the other defaults; `lhsim list --paths` shows where it is.
    """
    return experiments.run_scaling(read(given))


@click.command(cls=Command)
@experiment_options("results/latency")
@precision_options()
def latency(**given: Any) -> int:
    """Time 100 messages between two agents alone on the server.

    The file latency.toml holds the other defaults; `lhsim list --paths` shows where it is.
    """
    return experiments.run_latency(read(given))


def _suite(name: str, *paragraphs: str, without: Sequence[str] = ()) -> click.Command:
    """Return the command of a suite, with its help, and the options of an experiment."""

    @experiment_options(f"results/{name}", without=without)
    def command(**given: Any) -> int:
        return experiments.run_suite(name, read(given))

    defaults = (
        f"The file {name}.toml holds the other defaults; `lhsim list --paths` shows where it is."
    )
    text = "\n\n".join([*paragraphs, defaults])
    return click.command(name=name, cls=Command, help=text)(command)


memory = _suite("memory", "Watch the server's memory during half an hour of load.")
recovery = _suite(
    "recovery",
    "Add slow agents, then an outage: effect and recovery time.",
    without=("--duration",),
)
burst = _suite(
    "burst",
    "Send a tenfold burst: latency before, during and after.",
    "--agents takes two numbers: the agents that send outside the burst, and in it.",
    without=("--duration",),
)
contention = _suite("contention", "Let more and more agents write to the event store at once.")
optimisations = _suite(
    "optimisations", "Switch each optimisation on and off; compare at equal CPU."
)
failure = _suite(
    "failure",
    "Stall, outage and slow agents, with and without retries.",
    without=("--duration",),
)


@click.command(cls=Command)
@experiment_options("results/claims", without=("--duration", "--agents"))
@option("--check", "Exit with code 3 unless this claim is supported; repeatable.",
        metavar="ID", multiple=True)  # fmt: skip
def claims(check: tuple[str, ...], **given: Any) -> int:
    """Judge the original proposal's claims on polling and push.

    Each claim gets a simulated figure, its 95 % interval and a verdict; a refuted claim also gets
    the parameter value with which it would hold.

    The file claims.toml holds the other defaults; `lhsim list --paths` shows where it is.
    """
    return experiments.run_claims(read(given), check)


@click.command(name="run", cls=Command)
@click.argument("file")
@experiment_options(None)
@precision_options()
def run_specification(file: str, **given: Any) -> int:
    """Run a sweep over any parameters, described in a file.

    FILE is a TOML file with kind = "sweep", or the name of one that comes with lhsim. `lhsim init`
    writes one with comments. The options here override the file.
    """
    given["output_dir"] = given["output_dir"] or Path("results", Path(file).stem)
    return experiments.run_file(read(given), file)


@click.command(name="all", cls=Command)
@options(system_options())
@seed_option()
@option("--replications", "Runs of each case.  [default: each experiment's own]",
        type=whole(1))  # fmt: skip
@jobs_option()
@engine_option()
@option("--output-dir", "Folder for a folder per experiment and the report.", metavar="DIR",
        type=PATH, default="results/all", show_default=True)  # fmt: skip
@fresh_option()
@options(silence_options())
@click.pass_context
def run_all(ctx: click.Context, /, **given: Any) -> int:
    """Run every experiment and write one report.

    The same command resumes after an interruption. If an experiment fails, the report says so and
    the others still run.
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
              help="Where to write it.  [default: report.html in FOLDER]")  # fmt: skip
def report(folder: Path, output: Path | None) -> None:
    """Write the findings of experiments into one HTML file.

    FOLDER is the output folder of `lhsim all` or of one experiment. The HTML file is
    self-contained: send it to anyone with a browser.
    """
    click.echo(str(experiments.write_report(folder, output)))
