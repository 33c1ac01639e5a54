"""Standard output and error of the process, which may be closed, full, or unable to show a letter.

What is shown is not worth a traceback: a reader that has gone, such as ``head``, is no error, and a
line that nobody can read is left out. Data that a disk has no room for is one: `lost` says so.
"""

from __future__ import annotations

import errno
import io
import os
import select
import sys
from typing import Any, TextIO, cast

GONE = {errno.EPIPE, errno.EBADF, errno.ESHUTDOWN, errno.ECONNRESET}  # nobody reads any more


class Sink(io.RawIOBase):
    """A file descriptor that takes everything, whether it can be written or not."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self.problem: OSError | None = None  # the first one

    def writable(self) -> bool:
        """Return True, as it always can be."""
        return True

    def fileno(self) -> int:
        """Return the file descriptor."""
        return self._descriptor

    def isatty(self) -> bool:
        """Return whether it is a terminal."""
        return os.isatty(self._descriptor)

    def write(self, data: bytes | bytearray | memoryview) -> int:  # type: ignore[override]
        """Write what can be written; return how many bytes are done with."""
        try:
            return os.write(self._descriptor, data)
        except BlockingIOError:
            select.select([], [self._descriptor], [])
            return 0
        except OSError as error:
            self.problem = self.problem or error
            return len(data)


def take_over() -> tuple[Sink | None, Sink | None]:
    """Put sinks in the place of standard output and error; return them, None for a closed one.

    What the encoding of a stream lacks is written as an escape.
    """
    sinks = []
    for descriptor, name in enumerate(("stdout", "stderr"), start=1):
        stream = getattr(sys, name)
        if stream is None:
            _occupy(descriptor)
        sink = Sink(descriptor) if stream is not None else None
        setattr(sys, name, _text(sink, stream))
        sinks.append(sink)
    return sinks[0], sinks[1]


def lost(sink: Sink | None) -> str | None:
    """Return why data on its way to a sink is lost, None where nothing is, or nobody wants it."""
    if sink is None or sink.problem is None or sink.problem.errno in GONE:
        return None
    return sink.problem.strerror


def _text(sink: Sink | None, stream: TextIO | None) -> TextIO:
    if sink is None or stream is None:
        return open(os.devnull, "w", encoding="utf-8")
    stream.flush()
    buffer: Any = io.BufferedWriter(cast(Any, sink))
    return io.TextIOWrapper(
        buffer,
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=bool(stream.line_buffering) or sink.isatty(),
    )


def _occupy(descriptor: int) -> None:
    """Keep the number of a closed stream from the next file, into which messages would go."""
    try:
        os.fstat(descriptor)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
