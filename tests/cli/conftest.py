"""Two small systems, and the command line as a user runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

POLLING = """
name = "polling"
[cpu]
parse_message = { family = "deterministic", value = "1 ms" }
query = { family = "exponential", mean = "10 ms" }
[polling]
interval = "1 s"
[calibration]
agents = [1, 50]
"""
PUSH = """
name = "push"
[cpu]
parse_message = { family = "deterministic", value = "1 ms" }
send = { family = "exponential", mean = "1 ms" }
[push]
"""


@pytest.fixture(autouse=True)
def _plots(blank_plots: None) -> None:
    """Leave the plots of all these commands blank."""


Lhsim = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the systems ./polling.toml and ./push.toml."""
    (tmp_path / "polling.toml").write_text(POLLING)
    (tmp_path / "push.toml").write_text(PUSH)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def kernels() -> None:
    """The kernels of both systems, in Numba's cache: a process that starts finds them there.

    What waits for a process would else have to wait for the compiler as well, a minute or more.
    """
    from lhsim import simulate
    from lhsim.models import PollingServer, PushServer, System

    for server in (System("polling", polling=PollingServer()), System("push", push=PushServer())):
        simulate(server, agents=2, duration=1e-9, engine="compiled")


@pytest.fixture
def environment(kernels: None) -> dict[str, str]:
    """The environment of a process that finds lhsim wherever it runs."""
    import lhsim

    root = str(Path(lhsim.__file__).parents[1])
    paths = [root, os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "COLUMNS": "80"}


@pytest.fixture
def lhsim(folder: Path, environment: dict[str, str]) -> Lhsim:
    """Run ``python -m lhsim.experiments`` in the folder."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "lhsim.experiments", *arguments]
        return subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )

    return run
