"""A bridge on a port that is free, over SQLite and over PostgreSQL."""

from __future__ import annotations

import asyncio
import signal
import sys
import uuid
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # pytest's importlib mode adds no folder by itself
from bridges import LONGEST, POSTGRES, Bridge, postgres_url, schema


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty store: a file, and a schema of its own in the database for tests."""
    if request.param == "sqlite":
        yield str(tmp_path / "events.db")
        return
    url = postgres_url()
    if not url:
        pytest.skip(f"no PostgreSQL answers here, and {POSTGRES} names none")
    with schema(url) as store:
        yield store


@pytest.fixture
def stored_bridge(tmp_path: Path, store: str) -> Iterator[Bridge]:
    """A bridge over each kind of store, not started."""
    bridge = Bridge(tmp_path, store)
    yield bridge
    bridge.end(signal.SIGKILL)


@pytest.fixture
def bridge(tmp_path: Path) -> Iterator[Bridge]:
    """A bridge over SQLite, not started."""
    bridge = Bridge(tmp_path, str(tmp_path / "events.db"))
    yield bridge
    bridge.end(signal.SIGKILL)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a bridge that the tests of a module share: each has agents of its own."""
    folder = tmp_path_factory.mktemp("bridge")
    bridge = Bridge(folder, str(folder / "events.db"))
    yield bridge.start("--interval", "100ms", "--timeout", "2s", "--max-body", "4096")
    assert bridge.end() == 0
    assert "Traceback" not in bridge.log


@pytest.fixture
def within() -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """Run a coroutine, for so long at most."""

    def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run(asyncio.wait_for(coroutine, LONGEST))

    return run


@pytest.fixture
def name() -> str:
    """Part of the names of agents that no other test has."""
    return uuid.uuid4().hex[:8]
