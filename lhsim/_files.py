"""Opens the files that users name, regular ones of a sane size, and replaces them as a whole.

A FIFO waits for ever and a device never ends, so neither is opened; a leading ``~`` means the home
folder, also where no shell has expanded it. What cannot be used is refused by an `InputError`, one
line that names the file.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO

from lhsim._machine import size
from lhsim.errors import InputError, shown

Named = str | PathLike[str]

TEXT = 16_000_000  # the largest file that is read as one text: a model, a finding [B]
TABLE = 4_000_000_000  # the largest table or log [B]
# Without it, opening a FIFO waits for somebody to write. Windows has neither the flag nor FIFOs.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def expanded(path: Named) -> Path:
    """Return a path with a leading ``~`` or ``~user`` replaced by that home folder.

    Refused are users that are not there, names that no file system can have, and those on whose way
    a folder cannot be searched.
    """
    if not isinstance(path, str | PathLike):
        raise InputError(f"{shown(path)} is no path", key="path", allowed="the name of a file")
    text = os.fspath(path)
    if "\0" in text:
        problem = "does not exist: no file has a NUL character in its name"
        raise InputError(problem, source=text)
    try:
        found = Path(text).expanduser()
    except RuntimeError:
        allowed = "a path, or ~ for your home folder"
        raise InputError("names no user's home folder", source=text, allowed=allowed) from None
    _check_name(found)
    return found


def _check_name(path: Path) -> None:
    """Refuse what no question can be asked about, such as whether it exists."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return
    except UnicodeEncodeError:
        raise InputError("does not exist: it is no name of a file", source=str(path)) from None
    except OSError as error:
        raise _unreadable(path, error) from None


def opened(path: Named, *, most: int = TABLE) -> BinaryIO:
    """Open a regular file of at most `most` bytes; refuse one that cannot be read, or is none."""
    found = expanded(path)
    try:
        descriptor = os.open(found, _FLAGS)
    except OSError as error:
        raise _unreadable(found, error) from None
    try:
        _check(os.fstat(descriptor), found, most)
    except BaseException:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, "rb")


def existing(path: Named) -> Path:
    """Return the path of a file that can be read, expanded; refuse as `opened` does."""
    opened(path).close()
    return expanded(path)


def read_bytes(path: Named, *, most: int = TEXT) -> bytes:
    """Return what a regular file of at most `most` bytes holds; refuse as `opened` does."""
    with opened(path, most=most) as file:
        try:
            return file.read()
        except OSError as error:
            raise _unreadable(expanded(path), error) from None


def read_text(path: Named, *, most: int = TEXT) -> str:
    """Return the text of a file, without a byte order mark; refuse what is not UTF-8."""
    try:
        return read_bytes(path, most=most).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        problem = f"is not UTF-8 at byte {error.start}"
        raise InputError(problem, source=str(path)) from None


def replace(path: Path, write: Callable[[Path], object]) -> None:
    """Put what `write` writes in the place of a file, whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object, and refuse a key that is there twice, of which `json` takes the last.

    It is the `object_pairs_hook` of `json.loads`.
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise InputError(f"the key {twice[:60]!r} stands there twice", allowed="each key once")
    return found


def _check(status: os.stat_result, path: Path, most: int) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise InputError("is a directory, not a file", source=str(path))
    if not stat.S_ISREG(status.st_mode):
        raise InputError("is not a regular file", source=str(path), allowed="a file on a disk")
    if status.st_size > most:
        problem = f"is too large ({size(status.st_size)})"
        raise InputError(problem, source=str(path), allowed=f"at most {size(most)}")


def _unreadable(path: Path, error: OSError) -> InputError:
    if isinstance(error, FileNotFoundError):
        return InputError("does not exist", source=str(path))
    return InputError(f"cannot be read: {error.strerror}", source=str(path))
