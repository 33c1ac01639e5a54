"""Servers of their own for a benchmark: pinned to one core, on a free port, in a temporary folder.

Each starts from a program that is installed, or says which one is missing. Processor time is what
the system counts for the threads of its processes that run.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

CORE = 0  # of the server; the clients have another
PATIENCE = 30.0  # for a server to start [s]
POSTGRES = "/usr/lib/postgresql"


class UnavailableError(Exception):
    """A server cannot be started here; the text says why."""


class Server(ABC):
    """A running server and its port."""

    program: str

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = _free_port()
        self._process = self._start()
        self._wait()

    @abstractmethod
    def command(self) -> list[str]:
        """Return the command that starts it."""

    def prepare(self) -> None:  # noqa: B027 - most need nothing
        """Make ready what requests need."""

    def processes(self) -> Iterable[int]:
        """Return the numbers of the processes that it runs as."""
        return _family(self._process.pid)

    def cpu_seconds(self) -> dict[int, float]:
        """Return the processor time of each of its threads so far [s], by their numbers."""
        return dict(item for process in self.processes() for item in _threads(process))

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(PATIENCE)

    def _start(self) -> subprocess.Popen[bytes]:
        pinned = ["taskset", "-c", str(CORE), *self.command()]
        log = (self.folder / "server.log").open("wb")
        return subprocess.Popen(pinned, stdout=log, stderr=log, cwd=self.folder)

    def _wait(self) -> None:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if self._process.poll() is not None:
                break
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.1)
        raise UnavailableError((self.folder / "server.log").read_text(errors="replace")[-500:])


class Postgres(Server):
    """A cluster of its own, which nobody else uses."""

    program = "postgres"

    def __init__(self, folder: Path) -> None:
        found = sorted(Path(POSTGRES).glob("*/bin"))
        if not found:
            raise UnavailableError("PostgreSQL is not installed")
        self._bin = found[-1]
        self._data = folder / "data"
        self._as = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        if self._as:
            shutil.chown(folder, "postgres")
        options = ["-D", str(self._data), "-U", "postgres", "-A", "trust"]
        subprocess.run([*self._as, str(self._bin / "initdb"), *options], check=True, cwd=folder,
                       stdout=subprocess.DEVNULL)  # fmt: skip
        super().__init__(folder)

    def command(self) -> list[str]:
        options = ["-p", str(self.port), "-k", str(self.folder), "-c", "max_connections=500",
                   "-c", "listen_addresses=127.0.0.1", "-c", "jit=off"]  # fmt: skip
        return [*self._as, str(self._bin / "postgres"), "-D", str(self._data), *options]

    def prepare(self) -> None:
        sql = (
            "CREATE TABLE entries (id int PRIMARY KEY, value text);"
            "INSERT INTO entries SELECT i, md5(i::text) FROM generate_series(1, 30000) i;"
            "CREATE TABLE written (at timestamptz DEFAULT now(), value text)"
        )
        # A table that the server has tidied up is read faster: not to happen between two runs.
        tidy = "VACUUM ANALYZE"
        where = ["-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres"]
        subprocess.run(["psql", "-q", *where, "-c", sql, "-c", tidy], check=True)

    def stop(self) -> None:
        # `runuser` does not hand on the signal that asks for a fast end.
        command = [
            *self._as,
            str(self._bin / "pg_ctl"),
            "-D",
            str(self._data),
            "-m",
            "fast",
            "stop",
        ]
        subprocess.run(command, check=False, stdout=subprocess.DEVNULL, cwd=self.folder)
        self._process.wait(PATIENCE)


class Redis(Server):
    program = "redis-server"

    def command(self) -> list[str]:
        return [_found(self.program), "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]


class Nats(Server):
    program = "nats-server"

    def command(self) -> list[str]:
        return [_found(self.program), "-a", "127.0.0.1", "-p", str(self.port), "-js",
                "-sd", str(self.folder)]  # fmt: skip

    def prepare(self) -> None:
        stream = b'{"name":"bench","subjects":["bench"],"max_bytes":50000000,"discard":"old"}'
        with socket.create_connection(("127.0.0.1", self.port)) as connection:
            connection.sendall(b'CONNECT {"verbose":false}\r\nSUB made 1\r\n')
            head = f"PUB $JS.API.STREAM.CREATE.bench made {len(stream)}\r\n".encode()
            connection.sendall(head + stream + b"\r\n")
            time.sleep(0.5)
            if b"bench" not in (answer := connection.recv(65536)) or b"error" in answer:
                raise UnavailableError(answer.decode(errors="replace"))


class Mosquitto(Server):
    program = "mosquitto"

    def command(self) -> list[str]:
        settings = self.folder / "mosquitto.conf"
        settings.write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous true\n")
        return [_found(self.program), "-c", str(settings)]


class RabbitMq(Server):
    """The broker that runs on this machine: a second one would need a node of its own."""

    program = "beam.smp"

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, 5672
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", self.port)):
                raise UnavailableError("RabbitMQ does not answer on port 5672")
        self._processes = [p for p in _numbers() if _name(p) == self.program]

    def command(self) -> list[str]:
        return []

    def processes(self) -> Iterable[int]:
        return self._processes

    def stop(self) -> None:
        """Leave it as it was."""


SERVERS: dict[str, type[Server]] = {
    "postgres": Postgres, "redis": Redis, "nats": Nats, "mosquitto": Mosquitto, "rabbitmq": RabbitMq
}  # fmt: skip


@contextmanager
def running(name: str, folder: Path) -> Iterator[Server]:
    """Yield a server that is ready, and end it."""
    folder.mkdir(parents=True, exist_ok=True)
    server = SERVERS[name](folder)
    try:
        server.prepare()
        yield server
    finally:
        server.stop()


def _found(program: str) -> str:
    path = shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")
    if path is None:
        raise UnavailableError(f"{program} is not installed")
    return path


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def _numbers() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _stat(process: int) -> list[str]:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:  # it has ended
        return []


def _name(process: int) -> str:
    try:
        return Path(f"/proc/{process}/comm").read_text().strip()
    except OSError:
        return ""


def _family(process: int) -> list[int]:
    """Return a process and all that it has started."""
    parents = {one: int(stat[1]) for one in _numbers() if (stat := _stat(one))}
    found = [process]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def _threads(process: int) -> Iterator[tuple[int, float]]:
    """Yield the number and the processor time [s] of each thread of a process."""
    with suppress(OSError):  # it has ended
        for thread in Path(f"/proc/{process}/task").iterdir():
            with suppress(OSError):
                yield int(thread.name), int((thread / "schedstat").read_text().split()[0]) / 1e9
