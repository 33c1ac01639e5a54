"""A closed or full output, an old locale, a full disk: no traceback, and the right exit code."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

LHSIM = f"{sys.executable} -m lhsim.experiments"
LITTLE = "latency --engine simpy --replications 1 --duration 5 --no-progress"
LINUX = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no such device")


def shell(command: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", command],
        capture_output=True,
        text=True,
        env={**os.environ, **more},
        errors="replace",
        check=False,
    )


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (f"{LHSIM} list >&-", 0),
        (f"{LHSIM} list 2>&-", 0),
        (f"{LHSIM} list >&- 2>&-", 0),
        (f"set -o pipefail; {LHSIM} list | true", 0),
        (f"{LHSIM} no-such-thing 2>&-", 2),
        pytest.param(f"{LHSIM} no-such-thing 2>/dev/full", 2, marks=LINUX),
        pytest.param(f"{LHSIM} list 2>/dev/full", 0, marks=LINUX),
        pytest.param(f"{LHSIM} list >/dev/full 2>/dev/full", 1, marks=LINUX),
    ],
)
def test_an_output_that_nobody_can_read_is_no_traceback(command, code):
    done = shell(command)
    assert (done.returncode, done.stderr) == (code, "")


@LINUX
def test_data_that_is_lost_is_said():
    done = shell(f"{LHSIM} list >/dev/full")
    line = "lhsim: error: standard output cannot be written: No space left on device\n"
    assert (done.returncode, done.stderr) == (1, line)


def test_an_old_locale_shows_everything(tmp_path):
    done = shell(f"{LHSIM} {LITTLE} --output-dir {tmp_path}", PYTHONIOENCODING="ascii", LC_ALL="C")
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()
    assert "polling" in done.stdout


def test_a_file_name_cannot_write_to_the_terminal(tmp_path):
    name = tmp_path / "x\x1b[31m\udcff\ny"
    done = subprocess.run(
        [sys.executable, "-m", "lhsim.experiments", "report", os.fsencode(name)],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 2
    assert rb"x\x1b[31m\udcff y: is no folder" in done.stderr
    assert b"\x1b" not in done.stderr


def test_a_disk_that_fills_shows_the_table_and_says_what_is_missing(tmp_path):
    # No file larger than 4 kB: the manifest has room, the tables have none.
    done = shell(f"ulimit -f 4; {LHSIM} {LITTLE} --output-dir {tmp_path}")
    assert done.returncode == 1
    assert "polling" in done.stdout
    assert f"lhsim: error: not written into {tmp_path}: " in done.stderr
    assert "metrics.parquet" in done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "manifest.json").exists()
    assert not list(tmp_path.glob(".*.tmp"))
