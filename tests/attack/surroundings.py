"""Commands in surroundings that break programs: proxies, locales, outputs that are closed or full.

Each trial runs a command in a process of its own. It must end within `LONGEST`, with an exit code
of the documented ones, and without a traceback.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import product
from pathlib import Path

from attrs import frozen
from bridges import postgres_url
from watch import OK

ROOT = Path(__file__).parents[2]
LONGEST = 120.0  # with nothing compiled [s]

SMALL = ("--agents", "2,4", "--duration", "2s", "--replications", "1", "--jobs", "1",
         "--engine", "simpy", "--max-events", "5000", "--output-dir", "out")  # fmt: skip
COMMANDS: tuple[tuple[str, ...], ...] = (
    ("list",),
    ("scaling", "--system", "push", *SMALL),
    ("scaling", "--system", "push", *SMALL, "--format", "json", "--quiet"),
    ("scaling", "--system", "./nöwhere.toml"),
    ("schema", "system"),
)
DEAD = "http://127.0.0.1:9"  # nobody listens there
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "all_proxy")
PLAIN: Mapping[str, str] = {}
ENVIRONMENTS: Mapping[str, Mapping[str, str]] = {
    "plain": PLAIN,
    "proxies": dict.fromkeys(PROXIES, DEAD),
    "C locale": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "ASCII": {"PYTHONIOENCODING": "ascii"},
    "no home": {"HOME": "/nowhere", "XDG_CACHE_HOME": "/nowhere"},
    "narrow": {"COLUMNS": "20", "TERM": "dumb"},
    "warnings": {"PYTHONWARNINGS": "error::RuntimeWarning"},
    "no compiler": {"NUMBA_DISABLE_JIT": "1"},
}
# How a shell joins the outputs of a command to something else.
OUTPUTS: Mapping[str, str] = {
    "kept": ">stdout 2>stderr",
    "stdout closed": ">&- 2>stderr",
    "stderr closed": ">stdout 2>&-",
    "both closed": ">&- 2>&-",
    "stdin closed": "<&- >stdout 2>stderr",
    "stdout full": ">/dev/full 2>stderr",
    "stderr full": ">stdout 2>/dev/full",
    "a reader that leaves": "2>stderr | head -c 1 >stdout",
}


@frozen
class Trial:
    """A command and what is around it."""

    command: Sequence[str]
    environment: str
    output: str

    @property
    def name(self) -> str:
        return f"lhsim {' '.join(self.command)} ({self.environment}, {self.output})"


def trials() -> list[Trial]:
    """Return each command in each environment, and with each output in a plain one."""
    around = [(environment, "kept") for environment in ENVIRONMENTS]
    around += [("plain", output) for output in OUTPUTS if output != "kept"]
    around += [("C locale", "stderr full"), ("ASCII", "stdout full")]
    return [Trial(command, *pair) for pair, command in product(around, COMMANDS)]


def attempt(trial: Trial) -> str:
    """Return what a trial came to."""
    with tempfile.TemporaryDirectory(prefix="lhsim-") as folder:
        program = [sys.executable, "-m", "lhsim.experiments", *trial.command]
        shell = f'"$@" {OUTPUTS[trial.output]}; exit ${{PIPESTATUS[0]:-$?}}'
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **ENVIRONMENTS[trial.environment]}
        try:
            done = subprocess.run(
                ["bash", "-c", shell, "bash", *program],
                cwd=folder,
                env=environment,
                capture_output=True,
                timeout=LONGEST,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"hang: more than {LONGEST:g} s: {trial.name}"
        said = _said(Path(folder)) + done.stderr
    if b"Traceback" in said or b"Exception ignored" in said:
        return f"traceback: {said[-300:]!r}: {trial.name}"
    if done.returncode not in {0, 1, 2, 3}:
        return f"exit code {done.returncode}: {said[-200:]!r}: {trial.name}"
    return OK


def _said(folder: Path) -> bytes:
    file = folder / "stderr"
    return file.read_bytes() if file.exists() else b""


@cache
def stores() -> dict[str, str]:
    """Return the stores that a bridge can have here, by their names, as `kills.py` takes them."""
    return {"sqlite": "sqlite"} | ({"postgresql": url} if (url := postgres_url()) else {})
