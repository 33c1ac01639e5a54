"""Text files as people have them: compressed, with a byte order mark, UTF-16 or Latin-1."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import IO, Any, BinaryIO, cast

import pyarrow as pa

from lhsim._files import TABLE, Named, opened
from lhsim._machine import free_memory, size
from lhsim.errors import InputError

LONGEST_LINE = 1_000_000  # of a text [B]
_CHUNK = 1 << 20


def _zstd(file: BinaryIO) -> io.BufferedReader:
    return io.BufferedReader(pa.CompressedInputStream(file, "zstd"))


# What a compressed file begins with, whatever its name ends in.
_COMPRESSED: dict[bytes, Callable[[BinaryIO], Any]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\x00": lzma.LZMAFile,
    b"\x28\xb5\x2f\xfd": _zstd,
}
_DAMAGED = (EOFError, OSError, zlib.error, lzma.LZMAError)
_WIDE = {  # the longer mark first, of which the shorter is the beginning
    b"\xff\xfe\x00\x00": "utf-32",
    b"\x00\x00\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
_MARK = b"\xef\xbb\xbf"


def read_whole(path: Named) -> bytes:
    """Return a text file as UTF-8 without a byte order mark, whatever it was written in.

    What is not UTF-8 is taken for Latin-1, of which every byte is a character: numbers and the
    identity of names do not depend on it.

    Raises
    ------
    InputError
        When the file cannot be opened, is damaged or no text, or does not fit into the memory.
    """
    with opened(path) as file, _refusing(path), _unpacked(cast(io.BufferedReader, file)) as plain:
        return _as_utf8(_all_of(plain, str(path)), str(path))


def read_lines(path: Named) -> Iterator[str]:
    """Yield the lines of a text file without their ends; it raises as `read_whole` does."""
    with opened(path) as file:
        yield from lines_of(cast(io.BufferedReader, file), str(path))


def lines_of(file: io.BufferedReader, source: str) -> Iterator[str]:
    """Yield the lines of an open file, such as the standard input, without their ends.

    Raises
    ------
    InputError
        When it is damaged or no text; `source` is its name.
    """
    with _refusing(source), _unpacked(file) as plain:
        encoding = _encoding(plain.peek(4)[:4])
        if encoding:
            wide = io.TextIOWrapper(plain, encoding)
            rest = iter(lambda: wide.readline(LONGEST_LINE), "")
            yield from (line.rstrip("\r\n") for line in rest)
            wide.detach()
            return
        for number, line in enumerate(iter(lambda: plain.readline(LONGEST_LINE), b""), 1):
            if len(line) == LONGEST_LINE or b"\0" in line:
                raise InputError(f"line {number} is no text", source=source)
            yield _decoded(line.removeprefix(_MARK) if number == 1 else line).rstrip("\r\n")


@contextmanager
def _refusing(path: Named) -> Iterator[None]:
    try:
        yield
    except UnicodeError:
        raise InputError("is damaged: its encoding breaks off", source=str(path)) from None
    except _DAMAGED as error:
        raise InputError(f"is damaged: {error}", source=str(path)) from None


def _unpacked(file: io.BufferedReader) -> AbstractContextManager[Any]:
    """Return what is in a file, for a with statement that leaves the file itself open."""
    begin = file.peek(8)
    for mark, unpack in _COMPRESSED.items():
        if begin.startswith(mark):
            found: AbstractContextManager[Any] = unpack(file)
            return found
    return nullcontext(file)


def _all_of(file: IO[bytes], source: str) -> bytes:
    """Return what a file holds; a small one may unpack to more than there is room for."""
    most = min(TABLE, free_memory() / 8)  # the table that is made of it is several times as large
    chunks, total = [], 0
    while chunk := file.read(_CHUNK):
        chunks.append(chunk)
        total += len(chunk)
        if total > most:
            problem = f"holds more than {size(most)}"
            raise InputError(problem, source=source, allowed="what fits into the memory")
    return b"".join(chunks)


def _encoding(begin: bytes) -> str | None:
    return next((name for mark, name in _WIDE.items() if begin.startswith(mark)), None)


def _as_utf8(raw: bytes, source: str) -> bytes:
    encoding = _encoding(raw[:4])
    if encoding:
        return raw.decode(encoding).encode()
    if b"\0" in raw:
        raise InputError("is no text: it holds NUL bytes", source=source)
    raw = raw.removeprefix(_MARK)
    try:
        raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1").encode()
    return raw


def _decoded(line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError:
        return line.decode("latin-1")
