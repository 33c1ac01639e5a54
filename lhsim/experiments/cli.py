"""The command line: ``lhsim scaling``, ``run FILE``, ``capacity``, ``sensitivity``, ``list``, ...

Data goes to stdout, everything else to stderr. Exit codes: 0 done, 1 a run failed, 2 bad usage or
bad input (one line, and nothing was written), 3 what was to be checked does not hold, 130
interrupted (what was finished is kept). Only what a command needs is imported, and when it runs:
help is quick.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from lhsim.checks import MOST_JOBS, MOST_REPLICATIONS
from lhsim.errors import InputError, InvariantError, LhsimError, shortened, unknown_name
from lhsim.experiments.calibrate import calibrate
from lhsim.experiments.crosscheck import crosscheck
from lhsim.experiments.everything import everything
from lhsim.experiments.measure import measure
from lhsim.experiments.notices import Command
from lhsim.experiments.options import (
    BAD_INPUT,
    DONE,
    ENGINES,
    EXECUTORS,
    FAILED,
    FORMATS,
    INTERRUPTED,
    MAX_SEED,
    PATH,
    Options,
    Parsed,
    choice,
    cores,
    parse_agents,
    parse_duration,
    parse_target,
    targets_of,
    whole,
)
from lhsim.experiments.planning_cli import capacity, sensitivity
from lhsim.experiments.reporting_cli import report
from lhsim.experiments.serve import add_commands
from lhsim.experiments.start import first_lines, init
from lhsim.experiments.terminal import lost, take_over
from lhsim.experiments.validate import validate

LONGEST_LINE = 4000  # characters of an error; all that it quotes is short


def main() -> None:
    """Run the command line and end the process."""
    output, _ = take_over()
    code = run(sys.argv[1:])
    sys.stdout.flush()
    reason = lost(output)
    if reason is not None:
        print(f"lhsim: error: standard output cannot be written: {reason}", file=sys.stderr)
        code = code or FAILED
    sys.exit(code)


def run(arguments: Sequence[str]) -> int:
    """Run the command line with these arguments, and return the exit code."""
    try:
        code = lhsim.main(list(arguments), prog_name="lhsim", standalone_mode=False)
    except InputError as error:
        return _end(str(error), BAD_INPUT)
    except InvariantError:
        raise  # a defect of ours, whose traceback is wanted
    except LhsimError as error:
        return _end(str(error), FAILED)
    except click.ClickException as error:
        return _end(error.format_message(), BAD_INPUT)
    except click.Abort as error:
        if isinstance(error.__cause__, EOFError):  # nobody has typed anything: a defect of ours
            raise error.__cause__ from None
        print("lhsim: interrupted", file=sys.stderr)
        return INTERRUPTED
    return code if isinstance(code, int) else DONE


def _end(problem: str, code: int) -> int:
    print(f"lhsim: error: {shortened(problem, LONGEST_LINE)}", file=sys.stderr)
    return code


class Experiments(click.Group):
    """A group that suggests the nearest of its commands."""

    command_class = Command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the arguments begin with."""
        if args[0] not in self.commands and not args[0].startswith("-"):
            raise unknown_name("experiment", args[0], self.commands)
        return super().resolve_command(ctx, args)


def _show_version(ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:
    if wanted:
        from lhsim.experiments.output import own_version  # noqa: PLC0415

        click.echo(f"lhsim {own_version()}")
        ctx.exit()


@click.group(
    cls=Experiments, invoke_without_command=True, context_settings={"max_content_width": 100}
)
@click.option("--version", is_flag=True, is_eager=True, expose_value=False,
              callback=_show_version, help="Show the version and exit.")  # fmt: skip
@click.pass_context
def lhsim(ctx: click.Context) -> None:
    """Simulate agents that exchange messages by polling or by event push."""
    if ctx.invoked_subcommand is None:
        click.echo(first_lines())


def _options(
    folder: str | None, *, without: Sequence[str] = ()
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that gives a command the options of an experiment, `without` some.

    Results go to `folder` by default, which None leaves to the command.
    """
    several: dict[str, Any] = {"multiple": True}
    flag: dict[str, Any] = {"is_flag": True}
    declared = [
        None if "--agents" in without else
        _option("--agents", "Numbers of agents.", type=Parsed("N,N,...", parse_agents)),
        _option("--system", "A system, by name or file; repeatable.", metavar="NAME_OR_FILE",
                **several),
        _option("--set", "Change a parameter, such as polling.interval=50ms; repeatable. What "
                "begins with polling or push changes systems of that kind.",
                metavar="KEY=VALUE", **several),
        _option("--seed", "All random numbers follow from it.", type=whole(0, MAX_SEED), default=1,
                show_default=True),
        _option("--replications", "Runs of each level.", type=whole(1, MOST_REPLICATIONS)),
        None if "--duration" in without else
        _option("--duration", "Simulated time of a run, warm-up included: 60, 500ms, '2 min'.",
                type=Parsed("TIME", parse_duration)),
        _option("--max-events", "Skip runs that may take more model events, with any engine.",
                type=whole(1)),
        _option("--jobs", "Runs at a time.  [default: one a core]", type=whole(1, MOST_JOBS)),
        _option("--executor", "Where runs happen.  [default: threads; processes for simpy]",
                type=choice(*EXECUTORS), metavar="|".join(EXECUTORS)),
        _option("--scheduler", "A Dask scheduler, for --executor dask.  [default: a cluster on "
                "this machine]", metavar="ADDRESS"),
        _option("--engine", "What runs the model.", type=choice(*ENGINES, kind="engine"),
                metavar="|".join(ENGINES), default="auto", show_default=True),
        _option("--output-dir", "Folder for tables, plot and manifest, and for the runs, which "
                f"are not run again.{'' if folder else '  [default: results/NAME]'}",
                metavar="DIR", type=PATH, default=folder, show_default=True),
        _option("--fresh", "Run everything again.", **flag),
        _option("--format", "Of the data on stdout.", type=choice(*FORMATS),
                metavar="|".join(FORMATS), default="table", show_default=True),
        _option("--fail-fast", "Run nothing more after a run has failed.", **flag),
        _option("--no-progress", "Show no progress bar.", **flag),
        _option("--quiet", "Say nothing but data and errors.", **flag),
    ]  # fmt: skip
    return _with([one for one in declared if one is not None])


def _precision() -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that gives a command the options of sequential stopping."""
    return _with([
        _option("--precision", "Replicate each level until the 95% interval of a metric is "
                "as narrow as this, half of it, as a part of its value: p99=5%; repeatable.",
                metavar="METRIC=PERCENT",
                type=Parsed("METRIC=PERCENT", parse_target), multiple=True),
        _option("--max-replications", "Of a level, with --precision.  [default: 50]",
                type=whole(2)),
    ])  # fmt: skip


def _with(
    declared: Sequence[Callable[..., Any]],
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(declared):
            command = option(command)
        return command

    return decorate


def _option(name: str, text: str, **more: Any) -> Callable[[Callable[..., Any]], Any]:
    return click.option(name, help=text, **more)


@lhsim.command()
@_options("results/scaling")
@_precision()
@_option("--agents-per-server", "Agents of each server of a scaled-out system.", type=whole(1))
def scaling(**given: Any) -> int:
    """Latency, throughput, load and knee as the agents grow.

    Each system is simulated as it is, and scaled out: with a server for every so many agents.

    Defaults that are not shown stand in experiments/scaling.toml.
    """
    from lhsim.experiments.scaling import run_scaling  # noqa: PLC0415 - imports the models

    return run_scaling(_read(given))


@lhsim.command()
@_options("results/latency")
@_precision()
def latency(**given: Any) -> int:
    """Latency of 100 messages of a pair that has the server to itself.

    Defaults that are not shown stand in experiments/latency.toml.
    """
    from lhsim.experiments.latency import run_latency  # noqa: PLC0415 - imports the models

    return run_latency(_read(given))


@lhsim.command()
@_options("results/memory")
def memory(**given: Any) -> int:
    """Memory of the server under load for half an hour.

    Defaults that are not shown stand in experiments/memory.toml.
    """
    return _run_suite("memory", given)


@lhsim.command()
@_options("results/recovery", without=("--duration",))
def recovery(**given: Any) -> int:
    """Slow agents among normal ones, and the time to recover from an outage.

    Defaults that are not shown stand in experiments/recovery.toml.
    """
    return _run_suite("recovery", given)


@lhsim.command()
@_options("results/burst", without=("--duration",))
def burst(**given: Any) -> int:
    """Latency before, in and after a burst of messages.

    --agents takes two numbers: those that send before and after, and in the burst. Defaults that
    are not shown stand in experiments/burst.toml.
    """
    return _run_suite("burst", given)


@lhsim.command()
@_options("results/contention")
def contention(**given: Any) -> int:
    """Write latency and events per second as the writers grow.

    Defaults that are not shown stand in experiments/contention.toml.
    """
    return _run_suite("contention", given)


@lhsim.command()
@_options("results/optimisations")
def optimisations(**given: Any) -> int:
    """Optimisations, each on and off; polling at equal CPU; the factor of push.

    Defaults that are not shown stand in experiments/optimisations.toml.
    """
    return _run_suite("optimisations", given)


@lhsim.command()
@_options("results/failure", without=("--duration",))
def failure(**given: Any) -> int:
    """Stall, outage and slow agents, with retries or without, and the time to recover.

    Defaults that are not shown stand in experiments/failure.toml.
    """
    return _run_suite("failure", given)


@lhsim.command()
@_options("results/claims", without=("--duration", "--agents"))
@_option("--check", "End with exit code 3 unless this claim is supported; repeatable.",
         metavar="ID", multiple=True)  # fmt: skip
def claims(check: tuple[str, ...], **given: Any) -> int:
    """Judge the seed's claims: figure, interval, verdict, and what would have to be true.

    Defaults that are not shown stand in experiments/claims.toml.
    """
    from lhsim.experiments.suites.claims import run_claims  # noqa: PLC0415 - imports the models

    return run_claims(_read(given), check)


@lhsim.command(name="run")
@click.argument("file")
@_options(None)
@_precision()
def run_specification(file: str, **given: Any) -> int:
    """Run a sweep over any parameters, that a FILE specifies.

    FILE is a TOML file with kind = "sweep", or the NAME of one that comes with lhsim. What is not
    shown as a default stands there. docs/how-to/sweeps.md says how it is written.
    """
    from lhsim.experiments.points import run_file  # noqa: PLC0415 - imports the models

    given["output_dir"] = given["output_dir"] or Path("results", Path(file).stem)
    return run_file(_read(given), file)


@lhsim.command()
@click.argument("name", default="sweep")
def schema(name: str) -> None:
    """Print the JSON Schema of a kind of file, for editors.

    NAME is "system", or an experiment: "sweep" (for lhsim run), "scaling", "latency" and the
    others that have a command.
    """
    from lhsim.experiments.schemas import schema_text  # noqa: PLC0415 - imports the models

    click.echo(schema_text(name))


@lhsim.command(name="list")
def list_all() -> None:
    """Show the systems and the experiments."""
    from lhsim.experiments.catalogue import catalogue  # noqa: PLC0415 - reads all files

    click.echo(catalogue())


add_commands(lhsim)


def _run_suite(name: str, given: dict[str, Any]) -> int:
    """Run the suite in the module of its name."""
    from lhsim.experiments.suites.suite import run_suite  # noqa: PLC0415 - imports the models

    module = importlib.import_module(f"lhsim.experiments.suites.{name}")
    return run_suite(module.SUITE, _read(given))


def _read(given: dict[str, Any]) -> Options:
    return Options(
        agents=given.get("agents"),
        systems=given["system"],
        settings=given["set"],
        seed=given["seed"],
        replications=given["replications"],
        duration=given.get("duration"),
        max_events=given["max_events"],
        jobs=given["jobs"] or cores(),
        engine=given["engine"],
        output_dir=given["output_dir"],
        output_format=given["format"],
        fail_fast=given["fail_fast"],
        show_progress=not (given["no_progress"] or given["quiet"]),
        quiet=given["quiet"],
        agents_per_server=given.get("agents_per_server"),
        executor=given["executor"],
        scheduler=given["scheduler"],
        fresh=given["fresh"],
        precision=targets_of(given.get("precision", ())),
        max_replications=given.get("max_replications"),
    )


lhsim.add_command(init)
lhsim.add_command(measure)
lhsim.add_command(capacity)
lhsim.add_command(sensitivity)
lhsim.add_command(calibrate)
lhsim.add_command(crosscheck)
lhsim.add_command(validate)
lhsim.add_command(report)
lhsim.add_command(everything)
