"""``lhsim all``: every experiment into one folder, and the report of it.

Each experiment is the command of its name, with a folder of its own in the folder of all. One that
fails is a finding that says so, and stops none of the others; runs that are there already are not
run again, so that what was interrupted goes on.
"""

from __future__ import annotations

import contextlib
import io
import sys
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any, Protocol

import click
from attrs import field, frozen

from lhsim.checks import MOST_JOBS
from lhsim.errors import InputError
from lhsim.experiments.finding import FILE, Finding
from lhsim.experiments.notices import Command
from lhsim.experiments.options import DONE, FAILED, INTERRUPTED, MAX_SEED, PATH, cores, whole
from lhsim.experiments.output import check_folder, own_version
from lhsim.units import format_duration

WIDTH = 80  # of the text, in columns
# The experiments in their order, and how long each takes beside the others [s, on two cores].
TAKES = {
    "latency": 1.0,
    "memory": 8.0,
    "recovery": 20.0,
    "burst": 2.0,
    "contention": 3.0,
    "optimisations": 22.0,
    "failure": 30.0,
    "claims": 60.0,
    "scaling": 60.0,
}


class Report(Protocol):
    """What is told of the progress."""

    def __call__(self, name: str, number: int, left: float | None) -> None:
        """Say that an experiment begins, and how long it and the rest take [s], if known."""


@frozen
class Ended:
    """How an experiment ended."""

    name: str
    code: int  # its exit code
    seconds: float = field(default=0.0)


def carry_out(
    commands: Mapping[str, click.Command],
    folder: Path,
    arguments: Sequence[str],
    report: Report,
) -> list[Ended]:
    """Run experiments one after the other; Ctrl-C ends that, and what is finished stays.

    Parameters
    ----------
    commands
        By the names of the experiments, in their order.
    folder
        Gets a folder for each.
    arguments
        Of each command, but for its folder.
    report
        Is told of each beginning.
    """
    ended: list[Ended] = []
    for number, (name, command) in enumerate(commands.items()):
        report(name, number, _left(list(commands)[number:], ended))
        begun = time.monotonic()
        code = _run(name, command, folder / name, arguments)
        ended.append(Ended(name, code, time.monotonic() - begun))
        if code == INTERRUPTED:
            break
    return ended


def _run(name: str, command: click.Command, folder: Path, arguments: Sequence[str]) -> int:
    """Run an experiment, whose tables go nowhere but into its folder; return its exit code."""
    words = ["--output-dir", str(folder), "--quiet", *arguments]
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            code = command.main(words, prog_name=f"lhsim {name}", standalone_mode=False)
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:  # whatever it was: it does not stop the others
        if isinstance(error, click.Abort) and not isinstance(error.__cause__, EOFError):
            return INTERRUPTED
        _note(name, folder, words, error)
        return FAILED
    return code if isinstance(code, int) else DONE


def _note(name: str, folder: Path, words: Sequence[str], error: Exception) -> None:
    """Write that an experiment failed where its finding would be."""
    text = " ".join(str(error).split())
    said = text if isinstance(error, InputError) else f"{type(error).__name__}: {text}"
    print(f"lhsim: {name} failed: {said}", file=sys.stderr)
    Finding(
        name=name,
        title=name,
        question="",
        answer="",
        status="failed",
        error=said,
        traceback="".join(traceback.format_exception(error)),
        command=" ".join(["python -m lhsim.experiments", name, *words]),
        version=own_version(),
    ).write(folder)


def _left(names: Sequence[str], ended: Sequence[Ended]) -> float | None:
    """Return how long experiments take [s], by how long the others took; None: nobody knows."""
    expected = sum(TAKES[one.name] for one in ended)
    if not expected:
        return None
    return sum(TAKES[name] for name in names) * sum(one.seconds for one in ended) / expected


def summary(folder: Path, ended: Sequence[Ended]) -> str:
    """Return what each experiment found, in a sentence, and what failed."""
    lines: list[str] = []
    for one in ended:
        if not (folder / one.name / FILE).is_file():
            continue
        found = Finding.read(folder / one.name)
        words = found.answer or found.error or "no answer"
        state = "" if found.status == "done" else f" ({found.status})"
        lines += [*wrap(f"{found.title}{state}: {words}", WIDTH), ""]
    return "\n".join(lines).rstrip("\n")


@click.command(name="all", cls=Command)
@click.option("--seed", type=whole(0, MAX_SEED), default=1, show_default=True,
              help="All random numbers follow from it.")  # fmt: skip
@click.option("--replications", type=whole(1),
              help="Runs of each case.  [default: as each experiment has it]")  # fmt: skip
@click.option("--jobs", type=whole(1, MOST_JOBS), help="Runs at a time.  [default: one a core]")
@click.option("--output-dir", "folder", metavar="DIR", type=PATH,
              default="results/all", show_default=True,
              help="Gets a folder for each experiment, and the report.")  # fmt: skip
@click.option("--fresh", is_flag=True, help="Run everything again.")
@click.option("--no-progress", is_flag=True, help="Show no progress.")
@click.option("--quiet", is_flag=True, help="Say nothing but data and errors.")
@click.pass_context
def everything(ctx: click.Context, /, **given: Any) -> int:
    """Run every experiment into one folder, and write the report of it.

    What was interrupted goes on where it was. An experiment that fails is in the report, and stops
    none of the others. docs/how-to/report.md says what the report shows.
    """
    group = ctx.find_root().command
    assert isinstance(group, click.Group)
    commands = {name: group.commands[name] for name in TAKES}
    folder = given["folder"]
    check_folder(folder)
    begun = time.monotonic()
    with _progress(commands, shown=not (given["no_progress"] or given["quiet"])) as told:
        ended = carry_out(commands, folder, _arguments(given), told)
    _finish(folder, ended)
    codes = {one.code for one in ended}
    if not given["quiet"]:
        took = format_duration(max(1, round(time.monotonic() - begun)))
        print(f"{len(ended)} of {len(commands)} experiments in {took}", file=sys.stderr)
    if INTERRUPTED in codes:
        print("lhsim: interrupted; the same command goes on where it was", file=sys.stderr)
        return INTERRUPTED
    return FAILED if codes - {DONE} else DONE


def _arguments(given: Mapping[str, Any]) -> list[str]:
    words = ["--seed", str(given["seed"]), "--jobs", str(given["jobs"] or cores())]
    if given["replications"] is not None:
        words += ["--replications", str(given["replications"])]
    return [*words, *(["--fresh"] if given["fresh"] else [])]


def _finish(folder: Path, ended: Sequence[Ended]) -> None:
    """Show what was found, and write the report where there is something to report."""
    from lhsim.experiments.reporting import write_report  # noqa: PLC0415 - imports the models

    text = summary(folder, ended)
    if text:
        click.echo(f"{text}\n\nreport: {write_report(folder)}")


@contextlib.contextmanager
def _progress(names: Mapping[str, object], *, shown: bool) -> Iterator[Report]:
    """Yield what is told of each beginning: a bar on a terminal, else a line each."""
    if not shown:
        yield lambda name, number, left: None
    elif sys.stderr.isatty():
        with _bar(list(names)) as told:
            yield told
    else:

        def line(name: str, number: int, left: float | None) -> None:
            print(f"{number + 1}/{len(names)} {name}{_about(left)}", file=sys.stderr, flush=True)

        yield line


@contextlib.contextmanager
def _bar(names: Sequence[str]) -> Iterator[Report]:
    # Late imports keep the command line quick.
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=sum(TAKES[name] for name in names))

        def told(name: str, number: int, left: float | None) -> None:
            text = f"{number + 1}/{len(names)} {name}{_about(left)}"
            done = sum(TAKES[one] for one in names[:number])
            bar.update(task, completed=done, description=text)

        yield told


def _about(left: float | None) -> str:
    return "" if left is None else f", about {format_duration(max(1, round(left)))} left"
