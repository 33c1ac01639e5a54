"""A bridge in a process of its own, and what tests ask it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import lhsim
from lhsim.live.client import BridgeClient

SECRET = "a secret of sixteen characters or more"
LONGEST = 30.0  # of anything that a test waits for [s]
LONGEST_END = 5.0  # of an end, as promised [s]
POSTGRES = "LHSIM_TEST_POSTGRES_URL"
LOCAL_POSTGRES = "postgresql://127.0.0.1:5432/test"


def postgres_url() -> str | None:
    """Return the database for tests: the one that is named, else a local one that answers."""
    import psycopg

    named = os.environ.get(POSTGRES)
    if named:
        return named
    try:
        psycopg.connect(LOCAL_POSTGRES, connect_timeout=2).close()
    except psycopg.Error:
        return None
    return LOCAL_POSTGRES


@contextmanager
def schema(url: str) -> Iterator[str]:
    """Make a schema in a PostgreSQL database; give the URL of a store in it, and drop it."""
    import psycopg

    name = f"lhsim_{uuid.uuid4().hex}"
    with psycopg.connect(url, autocommit=True) as database:
        database.execute(f"CREATE SCHEMA {name}")
        try:
            yield f"{url}{'&' if '?' in url else '?'}options=-csearch_path%3D{name}"
        finally:
            database.execute(f"DROP SCHEMA {name} CASCADE")


class Bridge:
    """A server process."""

    def __init__(self, folder: Path, store: str) -> None:
        self.folder = folder
        self.store = store
        self.url = ""
        self.process: subprocess.Popen[str] | None = None

    def start(self, *options: str, port: int = 0, environment: dict[str, str] | None = None) -> str:
        """Start it; return its URL."""
        root = str(Path(lhsim.__file__).parents[1])
        command = [sys.executable, "-m", "lhsim.experiments", "serve", "--port", str(port)]
        with (self.folder / "log").open("a") as log:
            self.process = subprocess.Popen(
                [*command, "--store", self.store, *options],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=self.folder,
                env={**os.environ, "PYTHONPATH": root, "LHSIM_SECRET": SECRET}
                | (environment or {}),
            )
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        assert self.url, self.log
        return self.url

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End it; return its exit code."""
        if self.process is None:
            return 0
        self.process.send_signal(how)
        code = self.process.wait(LONGEST)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.process = None
        return code

    def end_in_time(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End it, whatever it waits for; return its exit code."""
        begun = time.monotonic()
        code = self.end(how)
        assert time.monotonic() - begun < LONGEST_END
        return code

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()


@asynccontextmanager
async def pair(url: str, name: str = "") -> AsyncIterator[tuple[BridgeClient, BridgeClient]]:
    """Two agents with a session each."""
    async with (
        await BridgeClient.connect(url, f"alice{name}") as alice,
        await BridgeClient.connect(url, f"bob{name}") as bob,
    ):
        yield alice, bob


async def metrics(client: BridgeClient) -> dict[str, float]:
    """Return the samples of /metrics by name and labels."""
    page = (await client.raw(f"GET /metrics HTTP/1.1\r\nhost: {client.url[7:]}\r\n")).body.decode()
    lines = [line for line in page.splitlines() if not line.startswith("#")]
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}
