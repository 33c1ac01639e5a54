"""Failed runs, Ctrl-C, readers that leave, and what help imports."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from lhsim import cli
from lhsim.execution import run as run_cell
from lhsim.execution import runner

PUSH = ["scaling", "--system", "./push.toml"]
SERIAL = [*PUSH, "--agents", "10,20", "--duration", "20", "--replications", "2", "--jobs", "1",
          "--format", "json"]  # fmt: skip


def break_at(monkeypatch, agents, error):
    def run(cell):
        if cell.agents == agents:
            raise error
        return run_cell(cell)

    monkeypatch.setattr(runner, "run", run)


def test_a_failed_run_is_recorded_and_does_not_stop_the_others(folder, monkeypatch, capsys):
    break_at(monkeypatch, 10, RuntimeError("the model\nbroke"))
    assert cli.run(SERIAL) == 1
    captured = capsys.readouterr()
    assert [row["agents"] for row in json.loads(captured.out)] == [20]
    assert "lhsim: a run failed: push, 10 agents, seed " in captured.err
    assert "RuntimeError: the model broke" in captured.err
    failures = json.loads(Path("results/scaling/manifest.json").read_text())["failures"]
    assert len(failures) == 2
    assert "Traceback" in failures[0]["failure"]["traceback"]


def test_fail_fast_stops_at_the_first_failed_run(folder, monkeypatch, capsys):
    break_at(monkeypatch, 10, RuntimeError("broke"))
    assert cli.run([*SERIAL, "--fail-fast"]) == 1
    assert json.loads(capsys.readouterr().out) == []
    assert not Path("results/scaling/runs.parquet").exists()


def test_an_interrupt_keeps_what_was_finished(folder, monkeypatch, capsys):
    break_at(monkeypatch, 20, KeyboardInterrupt())
    assert cli.run(SERIAL) == 130
    assert [row["agents"] for row in json.loads(capsys.readouterr().out)] == [10]
    manifest = json.loads(Path("results/scaling/manifest.json").read_text())
    assert manifest["interrupted"]
    assert manifest["runs"] == 2


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is something else there")
@pytest.mark.parametrize(
    ("executor", "engine", "duration"),  # in which two agents are soon done, and 5,000 never
    [
        ("processes", "simpy", "1e4"),
        ("threads", "compiled", "2e5"),
        ("dask", "compiled", "2e5"),
    ],
)
def test_ctrl_c_reaches_all_processes_and_keeps_what_was_finished(
    folder, environment, executor, engine, duration
):
    if executor == "dask":
        pytest.importorskip("distributed")
    endless = ["--duration", duration, "--max-events", str(10**15), "--replications", "1"]
    asked = ["--agents", "2,5000", "--agents-per-server", "5000", "--engine", engine]
    command = [*PUSH, *endless, *asked, "--executor", executor, "--jobs", "2", "--format", "json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "lhsim.experiments", *command],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=hear_interrupts,  # noqa: PLW1509 - no thread of this process holds a lock then
    )
    try:
        first = progress_line(process)  # the shorter run is done
        signal_group(process, signal.SIGINT)  # what the terminal sends on Ctrl-C
        out, err = process.communicate(timeout=60)
    finally:
        with suppress(ProcessLookupError):  # else an endless run would outlive a failure
            signal_group(process, signal.SIGKILL)
    assert first == "levels: 1/2 runs\n"
    assert process.returncode == 130
    assert "Traceback" not in err
    assert [row["agents"] for row in json.loads(out)] == [2]
    assert len(list(folder.glob("results/scaling/*"))) == 7


def progress_line(process):
    """Return the first line of progress; on a slow machine the engine is compiled before it."""
    lines = iter(process.stderr.readline, "")
    return next((line for line in lines if not line.startswith("lhsim: compiling")), "")


def hear_interrupts():
    """Let a process hear of Ctrl-C: a job that a shell has put in the background does not."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def signal_group(process, what):
    """Send a signal to each process."""
    os.killpg(process.pid, what)


def test_a_reader_that_leaves_is_no_error(folder, environment):
    process = subprocess.Popen(
        [sys.executable, "-m", "lhsim.experiments", *SERIAL, "--quiet"],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=60) == 0
    assert err == b""


@pytest.mark.parametrize("arguments", [["--help"], ["scaling", "--help"], ["--version"]])
def test_help_imports_nothing_slow(environment, arguments):
    code = (
        "import sys\n"
        "from lhsim import cli\n"
        f"assert cli.run({arguments!r}) == 0\n"
        "slow = {'scipy', 'numba', 'matplotlib', 'pandas', 'numpy', 'simpy', 'rich', 'cattrs'}\n"
        "print(sorted(slow & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stderr == "[]\n"
