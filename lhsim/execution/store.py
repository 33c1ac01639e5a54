"""Where the results of cells are kept: one file that only grows, and survives being killed.

The file begins with a line that says what it is. Then comes one record after the other, each
written by a single call to the system as soon as its cell is finished ::

    marker, 8 | length of content, 4 | its CRC, 4 | kind, 1 | key, 32 | CRC of these, 4 | content

Whatever happens to the process, at most the last record is incomplete; it is cut off when the file
is opened again. Where bytes were damaged in the middle, the next record is found by its marker.
The last record of a key counts. A file is open in one process at a time.
"""

from __future__ import annotations

import logging
import mmap
import os
import stat
import struct
import sys
import time
import zlib
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple

from lhsim.errors import InputError
from lhsim.execution.cells import Failure
from lhsim.execution.encoding import decode, encode

if TYPE_CHECKING:
    from lhsim.simulation import Result

logger = logging.getLogger(__name__)

NAME = "cells.store"
VERSION = 2
OURS = b"lhsim cells "  # how the file of any version begins
FIRST_LINE = OURS + b"%d\n" % VERSION
MARKER = b"\xf5\x9d\x1cCELL\xa6"
HEADER = struct.Struct("<8sIIB32s")
CHECK = struct.Struct("<I")  # CRC of the header
SIZE = HEADER.size + CHECK.size
DONE, FAILED = 0, 1
SYNC_EVERY = 2.0  # so much may be lost when the whole machine stops, not just the process [s]


class Record(NamedTuple):
    """Where the content of a record stands."""

    key: bytes
    kind: int
    begin: int
    end: int


class Store:
    """The results of cells by their keys, in a folder.

    Parameters
    ----------
    folder
        Is created when it is not there. The store is its file ``cells.store``.
    fresh
        Forget what is there. Only a file that lhsim has written is ever emptied.

    Raises
    ------
    InputError
        When the file cannot be opened, is open in another process, is no store, or is one of
        another version. It is then as it was.
    """

    def __init__(self, folder: Path, *, fresh: bool = False) -> None:
        self.path = folder / NAME
        self.notices: list[str] = []  # what was wrong with the file, a line each
        self._records: dict[bytes, Record] = {}
        self._end = 0
        self._synced = time.monotonic()
        self._file = self._open()
        try:
            self._lock()
            self._check_first_line(fresh=fresh)
            self._scan()
        except BaseException:
            os.close(self._file)
            raise

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._records)

    def __contains__(self, key: bytes) -> bool:
        """Return whether there is a result, not just a failure."""
        return key in self._records and self._records[key].kind == DONE

    def get(self, key: bytes) -> Result | Failure | None:
        """Return the outcome of a cell, None where there is none.

        Raises
        ------
        ValueError
            When its record, though whole, holds nothing that this lhsim has written.
        """
        if key not in self._records:
            return None
        record = self._records[key]
        os.lseek(self._file, record.begin, os.SEEK_SET)
        found: Result | Failure = decode(_read(self._file, record.end - record.begin))
        return found

    def forget(self, key: bytes) -> None:
        """Forget the outcome of a cell, until it is kept anew."""
        self._records.pop(key, None)

    def put(self, key: bytes, outcome: Result | Failure) -> None:
        """Keep what became of a cell. When this returns, the death of the process loses nothing.

        Raises
        ------
        InputError
            When there is no room on the disk. What was kept before stays.
        """
        kind = FAILED if isinstance(outcome, Failure) else DONE
        content = encode(outcome)
        header = HEADER.pack(MARKER, len(content), zlib.crc32(content), kind, key)
        begin = self._end + SIZE
        self._append(b"".join([header, CHECK.pack(zlib.crc32(header)), content]))
        self._records[key] = Record(key, kind, begin, self._end)

    def close(self) -> None:
        """Bring everything to the disk, and let others open the file."""
        try:
            os.fsync(self._file)
        except OSError as error:
            logger.warning("lhsim: %s may be incomplete: %s", self.path, error.strerror)
        os.close(self._file)

    def _open(self) -> int:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # Without O_NONBLOCK, opening a FIFO waits for somebody at its other end.
            wanted = ("O_RDWR", "O_CREAT", "O_NONBLOCK", "O_BINARY")
            flags = sum(getattr(os, name, 0) for name in wanted)
            file = os.open(self.path, flags, 0o666)
        except OSError as error:
            raise self._refuse(f"cannot be opened: {error.strerror}") from None
        if not stat.S_ISREG(os.fstat(file).st_mode):
            os.close(file)
            raise self._refuse("is not a regular file", "another --output-dir")
        return file

    def _lock(self) -> None:
        try:
            _lock(self._file)
        except BlockingIOError:
            allowed = "one run at a time in a folder"
            raise self._refuse("is in use by another run", allowed) from None
        except OSError as error:
            raise self._refuse(f"cannot be locked: {error.strerror}") from None

    def _check_first_line(self, *, fresh: bool) -> None:
        first = _read(self._file, len(FIRST_LINE) + 20).partition(b"\n")
        line = first[0] + first[1]
        begun = FIRST_LINE.startswith(line) and not first[1]  # or nothing is there at all
        if not begun and not line.startswith(OURS):
            raise self._refuse("is no store of lhsim", "another --output-dir")
        if not begun and line != FIRST_LINE and not fresh:
            version = line.removeprefix(OURS).strip().decode("ascii", "replace")
            raise self._refuse(
                f"is a store of version {version}",
                f"version {VERSION}; --fresh starts over, or take another --output-dir",
            )
        if begun or fresh:
            os.ftruncate(self._file, 0)
            self._append(FIRST_LINE)

    def _scan(self) -> None:
        """Find all records, and cut off what comes after the last whole one."""
        size = os.fstat(self._file).st_size
        with mmap.mmap(self._file, size, access=mmap.ACCESS_READ) as data:
            self._end = self._scan_from(data, len(FIRST_LINE), size)
        if self._end < size:
            text = f"the last record was incomplete; {size - self._end:,} bytes are cut off"
            self.notices.append(f"{self.path}: {text}")
            os.ftruncate(self._file, self._end)

    def _scan_from(self, data: mmap.mmap, at: int, size: int) -> int:
        while at < size:
            record = _record_at(data, at, size)
            if record is None:
                begin, at = at, _next_record(data, at + 1, size)
                if at == size:
                    return begin
                text = f"bytes {begin:,} to {at:,} are damaged; what stood there is run again"
                self.notices.append(f"{self.path}: {text}")
            else:
                self._records[record.key] = record
                at = record.end
        return at

    def _append(self, data: bytes) -> None:
        try:
            os.lseek(self._file, self._end, os.SEEK_SET)
            written = os.write(self._file, data)
            while written < len(data):
                written += os.write(self._file, data[written:])
        except OSError as error:
            os.ftruncate(self._file, self._end)
            raise self._refuse(f"cannot be written: {error.strerror}") from None
        self._end += len(data)
        if time.monotonic() - self._synced >= SYNC_EVERY:
            os.fsync(self._file)
            self._synced = time.monotonic()

    def _refuse(self, problem: str, allowed: str | None = None) -> InputError:
        return InputError(f"{str(self.path)!r} {problem}", source="--output-dir", allowed=allowed)


def _record_at(data: mmap.mmap, at: int, size: int) -> Record | None:
    """Return the record that begins at a place, None where no whole one does."""
    begin = at + SIZE
    if begin > size:
        return None
    view = memoryview(data)
    header = view[at : at + HEADER.size]
    marker, length, check, kind, key = HEADER.unpack(header)
    of_header = CHECK.unpack(view[at + HEADER.size : begin])[0]
    whole = marker == MARKER and of_header == zlib.crc32(header) and begin + length <= size
    if not whole or zlib.crc32(view[begin : begin + length]) != check:
        return None
    return Record(key, kind, begin, begin + length)


def _next_record(data: mmap.mmap, at: int, size: int) -> int:
    """Return where the next whole record begins from a place on, or the end of the file."""
    while (at := data.find(MARKER, at)) >= 0:
        if _record_at(data, at, size) is not None:
            return at
        at += 1
    return size


def _read(file: int, length: int) -> bytes:
    parts = []
    while length and (part := os.read(file, length)):
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


def _lock(file: int) -> None:
    """Lock an open file; the system unlocks it when the process ends, in whatever way."""
    if sys.platform == "win32":
        import msvcrt  # noqa: PLC0415

        os.lseek(file, 2**40, os.SEEK_SET)  # the lock of a byte keeps others from reading it
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            raise BlockingIOError from None
        finally:
            os.lseek(file, 0, os.SEEK_SET)
    else:
        import fcntl  # noqa: PLC0415

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
