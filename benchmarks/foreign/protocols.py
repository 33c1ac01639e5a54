"""One request to a server that nobody here wrote, by its own protocol, and its answer.

Small on purpose: a load generator that costs more than the server measures itself. Each protocol is
a class with `connect`, `request`, one at a time, and `close`.
"""

from __future__ import annotations

import asyncio
import itertools
from abc import ABC, abstractmethod
from contextlib import suppress


class Protocol(ABC):
    """A connection that has one request under way at a time."""

    def __init__(self, port: int, request: str) -> None:
        self.port = port
        self.text = request

    @abstractmethod
    async def connect(self) -> None:
        """Open the connection."""

    @abstractmethod
    async def request(self) -> None:
        """Send a request and wait for its answer.

        Raises
        ------
        RuntimeError
            When the server answers with an error.
        """

    @abstractmethod
    async def close(self) -> None:
        """Close the connection."""


class Postgres(Protocol):
    """A statement, prepared once, by psycopg."""

    async def connect(self) -> None:
        import psycopg

        self._connection = await psycopg.AsyncConnection.connect(
            f"host=127.0.0.1 port={self.port} user=postgres dbname=postgres", autocommit=True
        )
        self._connection.prepare_threshold = 0

    async def request(self) -> None:
        await self._connection.execute(self.text)

    async def close(self) -> None:
        await self._connection.close()


class OverStream(Protocol):
    """A protocol spoken over a plain TCP connection."""

    async def connect(self) -> None:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self.port)
        await self._greet()

    async def _greet(self) -> None:
        """Say what the protocol wants to hear first."""

    async def close(self) -> None:
        self._writer.close()
        with suppress(ConnectionError):  # the server was quicker
            await self._writer.wait_closed()


class Redis(OverStream):
    """A command of RESP2, as an array of bulk strings."""

    async def _greet(self) -> None:
        words = self.text.split("|")
        bulks = "".join(f"${len(word)}\r\n{word}\r\n" for word in words)
        self._command = f"*{len(words)}\r\n{bulks}".encode()

    async def request(self) -> None:
        self._writer.write(self._command)
        line = await self._reader.readline()
        if line.startswith(b"-"):
            raise RuntimeError(line.decode().strip())
        if line.startswith(b"$") and int(line[1:]) >= 0:
            await self._reader.readexactly(int(line[1:]) + 2)


class Nats(OverStream):
    """A message published to a stream of JetStream, which acknowledges it."""

    _numbers = itertools.count()

    async def _greet(self) -> None:
        await self._reader.readline()  # INFO
        inbox = f"_INBOX.{next(self._numbers)}"
        self._writer.write(b'CONNECT {"verbose":false}\r\n' + f"SUB {inbox} 1\r\n".encode())
        payload = "x" * 64
        self._message = f"PUB {self.text} {inbox} {len(payload)}\r\n{payload}\r\n".encode()

    async def request(self) -> None:
        self._writer.write(self._message)
        while not (line := await self._reader.readline()).startswith(b"MSG"):
            if line == b"PING\r\n":
                self._writer.write(b"PONG\r\n")
            elif not line or line.startswith(b"-ERR"):
                raise RuntimeError(line.decode().strip() or "the connection was closed")
        body = await self._reader.readexactly(int(line.split()[-1]) + 2)
        if b'"error"' in body:
            raise RuntimeError(body.decode().strip())


class Mqtt(OverStream):
    """A message published with quality of service 1 (MQTT 3.1.1), which the broker acknowledges."""

    _numbers = itertools.count()

    async def _greet(self) -> None:
        name = f"lhsim-{next(self._numbers)}".encode()
        body = b"\x00\x04MQTT\x04\x02\x00\x00" + len(name).to_bytes(2, "big") + name
        self._writer.write(bytes([0x10, len(body)]) + body)
        await self._reader.readexactly(4)  # CONNACK
        topic = self.text.encode()
        body = len(topic).to_bytes(2, "big") + topic + b"\x00\x01" + b"x" * 64
        self._publish = bytes([0x32, len(body)]) + body

    async def request(self) -> None:
        self._writer.write(self._publish)
        answer = await self._reader.readexactly(4)
        if answer[0] != 0x40:
            raise RuntimeError(f"no PUBACK, but {answer[0]:#x}")


class Amqp(OverStream):
    """A persistent message published to a queue, which RabbitMQ confirms (AMQP 0-9-1)."""

    CONNECTION, CHANNEL, QUEUE, BASIC, CONFIRM = 10, 20, 50, 60, 85

    async def _greet(self) -> None:
        self._writer.write(b"AMQP\x00\x00\x09\x01")
        await self._frame()  # connection.start
        login = b"\x00guest\x00guest"
        start = b"\x00\x00\x00\x00" + _short("PLAIN") + _long(login) + _short("en_US")
        self._method(0, self.CONNECTION, 11, start)
        tune = await self._frame()
        self._method(0, self.CONNECTION, 31, tune[4:10] + b"\x00\x00")  # no heartbeats
        self._method(0, self.CONNECTION, 40, _short("/") + b"\x00\x00")
        await self._frame()  # connection.open-ok
        self._method(1, self.CHANNEL, 10, b"\x00")
        await self._frame()  # channel.open-ok
        queue = b"\x00\x00" + _short(self.text) + b"\x02" + b"\x00\x00\x00\x00"  # durable
        self._method(1, self.QUEUE, 10, queue)
        await self._frame()  # queue.declare-ok
        self._method(1, self.CONFIRM, 10, b"\x00")
        await self._frame()  # confirm.select-ok
        self._message = self._persistent(b"x" * 64)

    async def request(self) -> None:
        self._writer.write(self._message)
        answer = await self._frame()
        if answer[:4] != b"\x00\x3c\x00\x50":
            raise RuntimeError("no basic.ack")

    def _persistent(self, payload: bytes) -> bytes:
        publish = b"\x00\x3c\x00\x28\x00\x00" + _short("") + _short(self.text) + b"\x00"
        header = b"\x00\x3c\x00\x00" + len(payload).to_bytes(8, "big") + b"\x10\x00\x02"
        return _frame(1, 1, publish) + _frame(2, 1, header) + _frame(3, 1, payload)

    def _method(self, channel: int, of: int, number: int, arguments: bytes) -> None:
        method = of.to_bytes(2, "big") + number.to_bytes(2, "big")
        self._writer.write(_frame(1, channel, method + arguments))

    async def _frame(self) -> bytes:
        head = await self._reader.readexactly(7)
        body = await self._reader.readexactly(int.from_bytes(head[3:7], "big") + 1)
        if body[:4] in (b"\x00\x0a\x00\x32", b"\x00\x14\x00\x28"):  # connection or channel closed
            raise RuntimeError(body[7:].decode(errors="replace"))
        return body[:-1]


def _frame(kind: int, channel: int, body: bytes) -> bytes:
    head = bytes([kind]) + channel.to_bytes(2, "big") + len(body).to_bytes(4, "big")
    return head + body + b"\xce"


def _short(text: str) -> bytes:
    return bytes([len(text)]) + text.encode()


def _long(text: bytes) -> bytes:
    return len(text).to_bytes(4, "big") + text


PROTOCOLS = {"postgres": Postgres, "redis": Redis, "nats": Nats, "mqtt": Mqtt, "amqp": Amqp}
