"""One request to a server that nobody here wrote, by its own protocol, and what ends its answer.

Each protocol is a class that opens a connection and says which bytes are a request, which end its
answer, and which are in an answer that says no.
"""

from __future__ import annotations

import itertools
import socket
from abc import ABC, abstractmethod

PATIENCE = 10.0  # for an answer while a connection is opened [s]


class Protocol(ABC):
    """A connection that is ready for requests, of which one is under way at a time."""

    ending: bytes
    failure: bytes = b""
    request: bytes

    def __init__(self, port: int, text: str) -> None:
        self.text = text
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._stream = self.socket.makefile("rb")
        self._greet()
        self._stream.close()
        self.socket.settimeout(None)

    @abstractmethod
    def _greet(self) -> None:
        """Say what the protocol wants to hear first, and set `request`."""

    def _exactly(self, size: int) -> bytes:
        found: bytes = self._stream.read(size)
        if len(found) < size:
            raise RuntimeError("the connection was closed")
        return found


class Postgres(Protocol):
    """A statement by the simple query protocol, for a user who needs no password."""

    ending = b"Z\x00\x00\x00\x05I"  # ready for a query, in no transaction
    failure = b"SERROR\x00"

    def _greet(self) -> None:
        names = b"user\x00postgres\x00database\x00postgres\x00\x00"
        body = (196608).to_bytes(4, "big") + names
        self.socket.sendall((len(body) + 4).to_bytes(4, "big") + body)
        while (kind := self._exactly(1)) != b"Z":
            answer = self._exactly(int.from_bytes(self._exactly(4), "big") - 4)
            if kind == b"E":
                raise RuntimeError(answer.decode(errors="replace"))
        self._exactly(5)
        statement = self.text.encode() + b"\x00"
        self.request = b"Q" + (len(statement) + 4).to_bytes(4, "big") + statement


class Redis(Protocol):
    """A command of RESP2, as an array of bulk strings."""

    ending = b"\r\n"
    failure = b"-ERR"

    def _greet(self) -> None:
        words = self.text.split("|")
        bulks = "".join(f"${len(word)}\r\n{word}\r\n" for word in words)
        self.request = f"*{len(words)}\r\n{bulks}".encode()


class Nats(Protocol):
    """A message published to a stream of JetStream, which acknowledges it."""

    ending = b"}\r\n"
    failure = b'"error"'

    def _greet(self) -> None:
        self._stream.readline()  # INFO
        # An inbox for each connection: those of others are not heard.
        inbox = f"_INBOX.{self.socket.getsockname()[1]:05}"
        self.socket.sendall(b'CONNECT {"verbose":false}\r\n' + f"SUB {inbox} 1\r\n".encode())
        payload = "x" * 64
        self.request = f"PUB {self.text} {inbox} {len(payload)}\r\n{payload}\r\n".encode()


class Mqtt(Protocol):
    """A message published with quality of service 1 (MQTT 3.1.1), which the broker acknowledges."""

    _numbers = itertools.count()
    ending = b"\x40\x02\x00\x01"  # PUBACK of packet 1

    def _greet(self) -> None:
        name = f"lhsim-{next(self._numbers)}".encode()
        body = b"\x00\x04MQTT\x04\x02\x00\x00" + len(name).to_bytes(2, "big") + name
        self.socket.sendall(bytes([0x10, len(body)]) + body)
        self._exactly(4)  # CONNACK
        topic = self.text.encode()
        body = len(topic).to_bytes(2, "big") + topic + b"\x00\x01" + b"x" * 64
        self.request = bytes([0x32, len(body)]) + body


class Amqp(Protocol):
    """A persistent message published to a queue, which RabbitMQ confirms (AMQP 0-9-1)."""

    CONNECTION, CHANNEL, QUEUE, CONFIRM = 10, 20, 50, 85
    ending = b"\xce"
    failure = b"\x00\x3c\x00\x78"  # basic.nack

    def _greet(self) -> None:
        self.socket.sendall(b"AMQP\x00\x00\x09\x01")
        self._frame()  # connection.start
        login = b"\x00guest\x00guest"
        start = b"\x00\x00\x00\x00" + _short("PLAIN") + _long(login) + _short("en_US")
        self._method(0, self.CONNECTION, 11, start)
        tune = self._frame()
        self._method(0, self.CONNECTION, 31, tune[4:10] + b"\x00\x00")  # no heartbeats
        self._method(0, self.CONNECTION, 40, _short("/") + b"\x00\x00")
        self._frame()  # connection.open-ok
        self._method(1, self.CHANNEL, 10, b"\x00")
        self._frame()  # channel.open-ok
        queue = b"\x00\x00" + _short(self.text) + b"\x02" + b"\x00\x00\x00\x00"  # durable
        self._method(1, self.QUEUE, 10, queue)
        self._frame()  # queue.declare-ok
        self._method(1, self.CONFIRM, 10, b"\x00")
        self._frame()  # confirm.select-ok
        self.request = self._persistent(b"x" * 64)

    def _persistent(self, payload: bytes) -> bytes:
        publish = b"\x00\x3c\x00\x28\x00\x00" + _short("") + _short(self.text) + b"\x00"
        header = b"\x00\x3c\x00\x00" + len(payload).to_bytes(8, "big") + b"\x10\x00\x02"
        return _frame(1, 1, publish) + _frame(2, 1, header) + _frame(3, 1, payload)

    def _method(self, channel: int, of: int, number: int, arguments: bytes) -> None:
        method = of.to_bytes(2, "big") + number.to_bytes(2, "big")
        self.socket.sendall(_frame(1, channel, method + arguments))

    def _frame(self) -> bytes:
        body = self._exactly(int.from_bytes(self._exactly(7)[3:7], "big") + 1)
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


PROTOCOLS: dict[str, type[Protocol]] = {
    "postgres": Postgres, "redis": Redis, "nats": Nats, "mqtt": Mqtt, "amqp": Amqp
}  # fmt: skip
