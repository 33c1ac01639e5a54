"""``lhsim all``: every experiment into one folder, and the report of it.

Each experiment is the command of its name, with a folder of its own in the folder of all. One that
fails is a finding that says so, and stops none of the others; runs that are there already are not
run again, so that what was interrupted goes on.
"""

from __future__ import annotations

import contextlib
import io
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from textwrap import wrap

from attrs import field, frozen

from lhsim.errors import InputError
from lhsim.experiments.ending import say
from lhsim.experiments.finding import FILE, Finding
from lhsim.experiments.options import DONE, FAILED, INTERRUPTED
from lhsim.experiments.output import check_folder, own_version
from lhsim.experiments.reporting import write_report
from lhsim.library import load_system
from lhsim.units import format_duration

# Runs an experiment, by its name, with arguments; returns its exit code.
Run = Callable[[str, Sequence[str]], int]
# Is told which experiment begins, its index, and how long the rest takes [s], if known.
Report = Callable[[str, int, float | None], None]

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


@frozen
class Ended:
    """How an experiment ended."""

    name: str
    code: int  # its exit code
    seconds: float = field(default=0.0)


def carry_out(
    names: Iterable[str], run: Run, folder: Path, words: Sequence[str], report: Report
) -> list[Ended]:
    """Run experiments one after the other; Ctrl-C ends that, and what is finished stays.

    Each has `words` as its arguments, and a folder of its own in `folder`. `report` is told of each
    beginning.
    """
    ended: list[Ended] = []
    names = list(names)
    for number, name in enumerate(names):
        report(name, number, _left(names[number:], ended))
        begun = time.monotonic()
        code = _run(name, run, folder / name, words)
        ended.append(Ended(name, code, time.monotonic() - begun))
        if code == INTERRUPTED:
            break
    return ended


def _run(name: str, run: Run, folder: Path, more: Sequence[str]) -> int:
    """Run an experiment, whose tables go nowhere but into its folder; return its exit code."""
    words = ["--output-dir", str(folder), "--quiet", *more]
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            return run(name, words)
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:  # whatever it was: it does not stop the others
        _note(name, folder, words, error)
        return FAILED


def _note(name: str, folder: Path, words: Sequence[str], error: Exception) -> None:
    """Write that an experiment failed where its finding would be."""
    text = " ".join(str(error).split())
    said = text if isinstance(error, InputError) else f"{type(error).__name__}: {text}"
    say(f"lhsim: {name} failed: {said}")
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


def run_all(
    run: Run,
    folder: Path,
    words: Sequence[str],
    systems: Sequence[str] = (),
    *,
    show_progress: bool,
    quiet: bool,
) -> int:
    """Run all experiments, show what each found, write the report, and return the exit code.

    `run` runs the experiment of a name as the command line has it. `folder` gets a folder for each,
    and the report. `words` are the arguments of each but for its folder, `systems` among them;
    none: those of each experiment. Raises `InputError` when the folder is of no use, or there is no
    such system.
    """
    check_folder(folder)
    names = names_for(systems)
    begun = time.monotonic()

    def report(name: str, number: int, left: float | None) -> None:
        about = "" if left is None else f", about {format_duration(max(1, round(left)))} left"
        if show_progress:
            say(f"{number + 1}/{len(names)} {name}{about}")

    ended = carry_out(names, run, folder, words, report)
    text = summary(folder, ended)
    if text:
        print(f"{text}\n\nreport: {write_report(folder)}")
    codes = {one.code for one in ended}
    if not quiet:
        took = format_duration(max(1, round(time.monotonic() - begun)))
        say(f"{len(ended)} of {len(names)} experiments in {took}")
        if len(names) < len(TAKES):
            say("lhsim: without claims, which judges a system that polls and one that pushes")
    if INTERRUPTED in codes:
        say("lhsim: interrupted; the same command goes on where it was")
        return INTERRUPTED
    return FAILED if codes - {DONE} else DONE


def names_for(systems: Sequence[str]) -> list[str]:
    """Return the experiments that systems can be asked, in their order; none: all of them.

    Raises `InputError` when there is no such system.
    """
    kinds = sorted(load_system(one).architecture for one in systems)
    is_pair = kinds in ([], ["polling", "push"])
    return [name for name in TAKES if is_pair or name != "claims"]
