"""The benchmark of foreign servers: it scores what it says, and speaks the protocols it names."""

from __future__ import annotations

import importlib
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

FOREIGN = Path(__file__).parents[2] / "benchmarks" / "foreign"
needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="there is no gcc")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(FOREIGN))
    names = ("run", "clients", "protocols", "servers", "workloads")
    yield importlib.import_module("run")
    for name in names:
        sys.modules.pop(name, None)


def test_the_figures_of_a_log_leave_out_its_lead(run: ModuleType, tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    rows = [f"0,{second},{second + 0.01}" for second in range(100)]
    log.write_text("\n".join(["client,start_s,end_s", "0,0,0.9", *rows[1:]]) + "\n")
    found = run.figures(log, cpu_seconds=9.901)
    assert found["messages_per_second"] == pytest.approx(85 / (0.85 * 99.01))
    assert found["p50_latency_ms"] == pytest.approx(10.0)
    assert found["p99_latency_ms"] == pytest.approx(10.0)
    assert found["utilization"] == pytest.approx(0.1)


def test_a_score_counts_the_live_runs_inside(run: ModuleType) -> None:
    workload = run.WORKLOADS[0]
    figures = dict.fromkeys(run.FIGURES, 100.0)
    live = [
        run.Measured(Path("a"), 1.0, 0.0, figures | {"p50_latency_ms": value})
        for value in (90.0, 120.0)
    ]
    predicted = dict.fromkeys(run.FIGURES, 100.0) | {
        "prediction90": dict.fromkeys(run.FIGURES, (80.0, 110.0))
    }
    rows = {row["figure"]: row for row in run.score(workload, 10, predicted, live)}
    assert rows["p50_latency_ms"]["inside"] == 1
    assert rows["p95_latency_ms"]["inside"] == 2
    assert rows["p50_latency_ms"]["error"] == pytest.approx(100 / 105 - 1)


def test_a_figure_without_an_interval_is_inside_none(run: ModuleType) -> None:
    live = [run.Measured(Path("a"), 1.0, 0.0, dict.fromkeys(run.FIGURES, 1.0))]
    rows = list(run.score(run.WORKLOADS[0], 1, dict.fromkeys(run.FIGURES, 1.0), live))
    assert [row["inside"] for row in rows] == [0] * len(run.FIGURES)


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a server that answers each line of RESP2, after its number of words."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=_accept, args=(listening,), daemon=True).start()
        yield listening.getsockname()[1]


def _accept(listening: socket.socket) -> None:
    with suppress(OSError):  # it is closed when the test is over
        while True:
            connection, _ = listening.accept()
            threading.Thread(target=_answer, args=(connection,), daemon=True).start()


def _answer(connection: socket.socket) -> None:
    with connection, connection.makefile("rb") as lines:
        for line in lines:
            if line == b"PING\r\n":
                connection.sendall(b"+PONG\r\n")
            elif line == b"NO\r\n":
                connection.sendall(b"-ERR no\r\n")


def _run_clients(port: int, request: str, log: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(FOREIGN / "clients.py"), "redis", str(port), request,
               "3", "0.5", "0.05", str(log)]  # fmt: skip
    return subprocess.run(command, input="", text=True, capture_output=True, check=False)


@needs_gcc
def test_clients_wait_for_their_answers_and_think(echo: int, tmp_path: Path) -> None:
    """Against a server that answers every line: each client's requests never overlap."""
    log = tmp_path / "log.csv"
    done = _run_clients(echo, "PING", log)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["ready", "done"]
    rows = pd.read_csv(log)
    assert set(rows["client"]) == {0, 1, 2}
    for _, its in rows.groupby("client"):
        assert len(its) > 3
        assert (its["end_s"] > its["start_s"]).all()
        thoughts = its["start_s"].to_numpy()[1:] - its["end_s"].to_numpy()[:-1]
        assert (thoughts >= 0.0499).all()


@needs_gcc
def test_an_answer_that_says_no_ends_the_run(echo: int, tmp_path: Path) -> None:
    done = _run_clients(echo, "NO", tmp_path / "log.csv")
    assert done.returncode == 1
    assert "an error" in done.stderr


def test_each_workload_has_a_server_and_a_protocol(run: ModuleType) -> None:
    servers, protocols = (importlib.import_module(name) for name in ("servers", "protocols"))
    for one in run.WORKLOADS:
        assert one.server in servers.SERVERS
        assert one.protocol in protocols.PROTOCOLS
        assert max(one.calibrated) < min(one.held_out)
