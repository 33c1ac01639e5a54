"""A sweep that is killed loses nothing, and runs nothing again that it has kept."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

HERE = Path(__file__).parent

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="has neither fork nor SIGKILL")


@pytest.mark.parametrize("kind", ["serial", "threads"])
def test_a_sweep_killed_at_20_moments_ends_as_one_that_was_not(tmp_path, kind):
    command = [sys.executable, str(HERE / "killed.py"), str(tmp_path), kind]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found.pop("in_vain") > 0  # some were killed on their way, and that is all it cost
    assert found == {"kills": 20, "run_again": 0, "lost": 0, "cells": 400, "same": True}


def test_processes_end_with_the_one_that_started_them(tmp_path):
    code = (
        "import sys; from pathlib import Path\n"
        f"sys.path.insert(0, {str(HERE)!r})\n"
        "import small\n"
        "from lhsim.execution import Runner, workers\n"
        "if __name__ == '__main__':\n"
        "    with workers(2, 'processes') as executor:\n"
        "        Runner(executor).run(small.cells(4, 1e5, 'simpy'), on_done=print)\n"
    )
    script = tmp_path / "script.py"
    script.write_text(code)
    process = subprocess.Popen([sys.executable, str(script)])
    children: list[psutil.Process] = []
    for _ in range(600):
        children = psutil.Process(process.pid).children(recursive=True)
        if len(children) >= 3 and all(child.cpu_times().user > 1 for child in children[-2:]):
            break
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert len(children) >= 2
    _, alive = psutil.wait_procs(children, timeout=30)
    for child in alive:
        child.kill()
    assert alive == []
