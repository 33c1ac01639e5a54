"""Cells on a Dask cluster: a real scheduler, and workers in processes of their own."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import small

from lhsim.errors import InputError
from lhsim.execution import Failure, Runner, Store, workers
from lhsim.execution.cells import run as run_cell

pytest.importorskip("distributed")
# What Dask leaves open when it is killed.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

HERE = Path(__file__).parent
MODULE = "distributed.cli.dask_"
LOCAL = ["--host", "127.0.0.1", "--no-dashboard"]
CELLS = small.cells(12, engine="simpy")


class Cluster:
    """A scheduler and its workers."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "scheduler.json"
        self.processes: list[subprocess.Popen[bytes]] = []
        self._start("scheduler", "--port", "0", *LOCAL)
        self.address = json.loads(self._written())["address"]

    def _start(self, what: str, *arguments: str, **variables: str) -> subprocess.Popen[bytes]:
        file = ["--scheduler-file", str(self._file)]
        process = subprocess.Popen(
            [sys.executable, "-m", MODULE + what, *file, *arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | variables,
            cwd=self._file.parent,
        )
        self.processes.append(process)
        return process

    def _written(self) -> str:
        for _ in range(600):
            if self._file.exists() and (text := self._file.read_text()):
                return text
            time.sleep(0.1)
        raise TimeoutError("the scheduler does not start")

    def worker(self, **variables: str) -> subprocess.Popen[bytes]:
        """Start a worker."""
        return self._start("worker", "--nthreads", "1", "--no-nanny", *LOCAL, **variables)

    def stop(self) -> None:
        for process in self.processes[::-1]:
            process.kill()
            process.wait()


@pytest.fixture
def cluster(tmp_path):
    started = Cluster(tmp_path)
    yield started
    started.stop()


def connected(cluster, count):
    """Wait until the cluster has so many workers."""
    import distributed

    with distributed.Client(cluster.address, set_as_default=False) as client:
        client.wait_for_workers(count, timeout=60)


def test_a_worker_that_is_killed_costs_no_cell(cluster, tmp_path):
    first, _ = cluster.worker(), cluster.worker()
    connected(cluster, 2)
    done = []

    def kill_one(cell, _outcome):
        done.append(cell)
        if len(done) == 2:
            first.kill()

    with (
        workers(1, "dask", cluster.address) as executor,
        Store(tmp_path) as store,
    ):
        outcomes, interrupted = Runner(executor, store).run(CELLS, on_done=kill_one)
    assert first.poll() is not None
    assert not interrupted
    assert small.digest(outcomes.values()) == small.digest(run_cell(cell) for cell in CELLS)
    with Store(tmp_path) as store:
        assert Runner(None, store).left(CELLS) == []


def test_cells_of_a_cluster_that_dies_have_failed_and_are_run_again(cluster, tmp_path):
    cluster.worker()
    connected(cluster, 1)

    def kill_all(_cell, _outcome):
        cluster.stop()

    with (
        workers(1, "dask", cluster.address) as executor,
        Store(tmp_path) as store,
    ):
        outcomes, _ = Runner(executor, store).run(CELLS, on_done=kill_all)
    assert len(outcomes) == len(CELLS)
    failed = [one for one in outcomes.values() if isinstance(one, Failure)]
    assert 0 < len(failed) < len(CELLS)
    with Store(tmp_path) as store:
        assert len(Runner(None, store).left(CELLS)) == len(failed)


def test_a_cluster_of_our_own_has_the_same_bits(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        f"import sys; sys.path.insert(0, {str(HERE)!r})\n"
        "import small\n"
        "from lhsim.execution import Runner, workers\n"
        "if __name__ == '__main__':\n"
        "    with workers(2, 'dask') as executor:\n"
        "        outcomes, _ = Runner(executor).run(small.cells(4))\n"
        "    print(small.digest(outcomes.values()))\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    cells = small.cells(4)
    assert done.stdout.strip() == small.digest(run_cell(cell) for cell in cells)


def test_a_worker_with_another_lhsim_is_refused(cluster, tmp_path):
    other = tmp_path / "sitecustomize.py"
    other.write_text("import lhsim; lhsim.__version__ = '77.0'\n")
    cluster.worker(PYTHONPATH=str(tmp_path))
    connected(cluster, 1)
    with pytest.raises(InputError) as error, workers(1, "dask", cluster.address):
        pass
    line = str(error.value)
    assert line.startswith("--scheduler: worker tcp://127.0.0.1:")
    assert "has lhsim 77.0 (meaning " in line
    assert line.endswith(", as here")


def test_a_scheduler_without_workers_is_refused_soon(cluster):
    begun = time.monotonic()
    with pytest.raises(InputError, match="has no workers"), workers(1, "dask", cluster.address):
        pass
    assert time.monotonic() - begun < 30


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "no address", "tcp://", "ftp://x:1"])
def test_a_scheduler_that_cannot_be_reached_is_refused_soon(address):
    begun = time.monotonic()
    with pytest.raises(InputError) as error, workers(1, "dask", address):
        pass
    assert str(error.value).startswith(f"--scheduler: {address!r} cannot be reached; allowed: the")
    assert time.monotonic() - begun < 30
    clients = [one for one in gc.get_objects() if type(one).__name__ == "Client"]
    assert [one for one in clients if one.status != "closed"] == []  # who is not would wait yet


def test_without_dask_a_line_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InputError) as error, workers(1, "dask"):
        pass
    assert str(error.value) == (
        "--executor: dask is not installed; allowed: with Dask, which comes with: "
        "pip install 'lhsim[dask]'"
    )
