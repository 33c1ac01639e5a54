"""How long a new user waits: seconds from a command to its end, where nothing is compiled yet.

::

    python benchmarks/first_answer.py                      # a table, some minutes
    python benchmarks/first_answer.py --old 18fa01c        # beside the default scaling of a commit
    python benchmarks/first_answer.py --only latency,simulate --json

lhsim is installed from this checkout into a virtual environment of its own. Each command gets an
empty cache of compiled code and an empty folder, but for the last, which goes on where the one
before it has ended. What a command leaves behind to compile is ended before the next begins. On a
machine that others use, the seconds of processor time say more: of the command, and of what
compiled beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
from attrs import frozen

ROOT = Path(__file__).resolve().parents[1]
LOOK = 0.1  # between two looks at the processes that a command has started [s]
BUILDING = "lhsim.compiled.building"  # the module that compiles beside a command
SIMULATE = "import lhsim; print(lhsim.simulate('polling', agents=20).summary())"


@frozen
class Case:
    """What a new user does first."""

    words: tuple[str, ...]  # after the interpreter
    limit: float | None  # aim [s]
    resumes: str | None = None  # the case in whose folder, with whose cache, it goes on


CASES = {
    "latency": Case(("-m", "lhsim.experiments", "latency"), 10.0),
    "simulate": Case(("-c", SIMULATE), 3.0),
    "few": Case(("-m", "lhsim.experiments", "scaling", "--agents", "10,100,1000"), 30.0),
    "scaling": Case(("-m", "lhsim.experiments", "scaling"), None),
    "resumed": Case(("-m", "lhsim.experiments", "scaling"), 5.0, resumes="scaling"),
}
OLD_CASE, MOST_OF_OLD = "scaling", 0.5  # what an old commit does as well, and the aim


def install(home: Path, commit: str | None = None) -> Path:
    """Install lhsim, as it is here or as it was, and return the interpreter that has it."""
    source = ROOT
    if commit is not None:
        source = home / "source"
        source.mkdir(parents=True)
        packed = subprocess.run(
            ["git", "-C", str(ROOT), "archive", commit], stdout=subprocess.PIPE, check=True
        )
        subprocess.run(["tar", "-x", "-C", str(source)], input=packed.stdout, check=True)
    subprocess.run([sys.executable, "-m", "venv", str(home / "venv")], check=True)
    python = home / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    constraints = str(source / "constraints.txt")
    subprocess.run([*command, "-c", constraints, str(source)], check=True)
    return python


@frozen
class Took:
    """What a command took."""

    seconds: float  # from its start to its end
    processor: float  # with what compiled beside it, about [s]


def took(python: Path, words: Sequence[str], home: Path) -> Took:
    """Return what a command takes in `home`, with the cache that is there."""
    home.mkdir(exist_ok=True)
    surroundings = {key: os.environ[key] for key in os.environ if not key.startswith("LHSIM_")}
    surroundings |= {"NUMBA_CACHE_DIR": str(home / "cache")}
    begun = time.perf_counter()
    with (home / "output.txt").open("w") as output:
        running = psutil.Popen(
            [str(python), *words], cwd=home, env=surroundings, stdout=output, stderr=output
        )
        others: set[psutil.Process] = set()
        used: dict[psutil.Process, float] = {}
        while running.poll() is None:
            others |= _compiling(running)
            used |= {one: _processor(one, used.get(one, 0.0)) for one in (running, *others)}
            time.sleep(LOOK)
    seconds = time.perf_counter() - begun
    for one in others:
        if one.is_running():
            one.terminate()
    psutil.wait_procs(others)
    if running.returncode != 0:
        raise SystemExit((home / "output.txt").read_text())
    return Took(seconds, sum(used.values()))


def _processor(one: psutil.Process, before: float) -> float:
    """Return the processor time of a process [s], what it was before where it has ended."""
    try:
        times = one.cpu_times()
    except psutil.Error:
        return before
    return float(times.user + times.system)


def _compiling(running: psutil.Popen) -> set[psutil.Process]:
    """Return the processes below one that compile, which may go on when it has ended."""
    found = set()
    for one in running.children(recursive=True):
        try:
            if BUILDING in one.cmdline():
                found.add(one)
        except psutil.Error:  # it has just ended
            continue
    return found


def _shown(name: str, one: Took) -> Took:
    """Say at once what a command has taken: the whole takes long."""
    print(f"{name}: {one.seconds:.1f} s, {one.processor:.1f} s of processor", file=sys.stderr)
    return one


def measure(names: Sequence[str], old: str | None, home: Path) -> dict[str, Any]:
    """Return what is reported, by its key in the JSON object."""
    python = install(home / "new")
    found = {}
    for name in names:
        case = CASES[name]
        found[name] = _shown(name, took(python, case.words, home / (case.resumes or name)))
    report: dict[str, Any] = {
        "seconds": {name: one.seconds for name, one in found.items()},
        "processor_seconds": {name: one.processor for name, one in found.items()},
        "limits": {name: CASES[name].limit for name in names},
    }
    if old is not None and OLD_CASE in names:
        python = install(home / "old", old)
        before = _shown(old, took(python, CASES[OLD_CASE].words, home / "of-old"))
        now = found[OLD_CASE]
        report["old"] = old
        report["seconds_old"] = before.seconds
        report["processor_seconds_old"] = before.processor
        report["part_of_old"] = now.seconds / before.seconds
        report["processor_part_of_old"] = now.processor / before.processor
    return report


def readable(report: dict[str, Any]) -> str:
    """Return the report for people."""
    lines = [f"{'command':37s}  seconds  of processor  aim"]
    for name, seconds in report["seconds"].items():
        words = " ".join(CASES[name].words).replace("-m lhsim.experiments", "lhsim")
        shown = "lhsim.simulate('polling', agents=20)" if name == "simulate" else words
        limit = CASES[name].limit
        again = " again" if CASES[name].resumes else ""
        processor = report["processor_seconds"][name]
        aim = "" if limit is None else f"{limit:g}"
        lines.append(f"{shown + again:37s}  {seconds:7.1f}  {processor:12.1f}  {aim}".rstrip())
    if "old" in report:
        name = f"lhsim scaling at {report['old']}"
        processor = report["processor_seconds_old"]
        part = f"{report['part_of_old']:.2f} of it now, the aim is {MOST_OF_OLD:g}"
        lines.append(f"{name:37s}  {report['seconds_old']:7.1f}  {processor:12.1f}  {part}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--old", metavar="COMMIT", help="beside the scaling of this commit")
    parser.add_argument("--only", metavar="NAME,...", help=f"of {', '.join(CASES)}")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    names = list(CASES) if arguments.only is None else arguments.only.split(",")
    for name in names:
        if name not in CASES:
            parser.error(f"--only: unknown command {name!r}; allowed: {', '.join(CASES)}")
        if CASES[name].resumes not in {None, *names}:
            parser.error(f"--only: {name} goes on from {CASES[name].resumes}, which is missing")
    with tempfile.TemporaryDirectory() as folder:
        report = measure(names, arguments.old, Path(folder))
    print(json.dumps(report) if arguments.json else readable(report))


if __name__ == "__main__":
    main()
