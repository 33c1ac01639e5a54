"""The benchmark of foreign servers: it scores what it says, and speaks the protocols it names."""

from __future__ import annotations

import asyncio
import importlib
import itertools
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType

import pytest

FOREIGN = Path(__file__).parents[2] / "benchmarks" / "foreign"


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


def test_clients_wait_for_their_answers_and_think(run: ModuleType) -> None:
    """Against a server that answers every line: each client's requests never overlap."""
    clients = importlib.import_module("clients")

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):
            while await reader.readuntil(b"\r\nPING\r\n"):
                writer.write(b"+PONG\r\n")
        writer.close()
        await writer.wait_closed()

    async def both() -> list[tuple[int, float, float]]:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            rows: list[tuple[int, float, float]] = await clients.run(
                "redis", port, "PING", 3, 0.5, "0.05"
            )
            return rows

    rows = asyncio.run(both())
    assert {client for client, _, _ in rows} == {0, 1, 2}
    for one in range(3):
        its = sorted((start, end) for client, start, end in rows if client == one)
        assert len(its) > 3
        assert all(later[0] - end >= 0.045 for (_, end), later in itertools.pairwise(its))


def test_each_workload_has_a_server_and_a_protocol(run: ModuleType) -> None:
    servers, protocols = (importlib.import_module(name) for name in ("servers", "protocols"))
    for one in run.WORKLOADS:
        assert one.server in servers.SERVERS
        assert one.protocol in protocols.PROTOCOLS
        assert max(one.calibrated) < min(one.held_out)
