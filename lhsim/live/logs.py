"""A log that clients cannot fill: so many lines of a kind a minute, and how many more there were.

A kind is a place in the code. What a client sends chooses the words of a line at most, and so makes
no kinds, of which there are only so many.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TextIO

from attrs import define

MOST = 10  # lines of a kind in a window
WINDOW = 60.0  # [s]
LONGEST = 2000  # characters of a line without its traceback


@define
class _Kind:
    since: float  # when its window began [s]
    shown: int = 0
    left_out: int = 0


class LimitedHandler(logging.StreamHandler[TextIO]):
    """Writes log lines, and of each kind not too many.

    Parameters
    ----------
    stream
        Where to.
    clock
        Any that goes on [s].
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(stream)
        self._clock = clock
        self._kinds: dict[tuple[str, int], _Kind] = {}
        self.setFormatter(_Formatter("lhsim: %(levelname)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, or count it."""
        now = self._clock()
        kind = self._kinds.setdefault((record.pathname, record.lineno), _Kind(now))
        if now - kind.since >= WINDOW:
            self._say_left_out(record, kind)
            kind.since, kind.shown = now, 0
        if kind.shown >= MOST:
            kind.left_out += 1
            return
        kind.shown += 1
        super().emit(record)

    def close(self) -> None:
        """Say how many lines were left out, and write no more."""
        for (path, line), kind in self._kinds.items():
            self._say_left_out(logging.makeLogRecord({"pathname": path, "lineno": line}), kind)
        self._kinds.clear()
        super().close()

    def _say_left_out(self, record: logging.LogRecord, kind: _Kind) -> None:
        if not kind.left_out:
            return
        place = f"{record.pathname.rpartition('/')[2]}:{record.lineno}"
        words = f"and {kind.left_out:,} more like the last one of {place}"
        super().emit(logging.makeLogRecord({"levelname": "WARNING", "msg": words}))
        kind.left_out = 0


class _Formatter(logging.Formatter):
    """One line for each record, printable and not too long; only a traceback has more."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - its name in Python
        """Return the line."""
        line = super().formatMessage(record).strip()[:LONGEST]
        return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in line)


def log_to(stream: TextIO) -> None:
    """Let all that is logged go to a stream, within limits."""
    handler = LimitedHandler(stream)
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
