"""The ways in which lhsim compiles functions to machine code.

Numba keeps what it compiled on disk, beside the module, else in the user's cache folder, else
where ``NUMBA_CACHE_DIR`` says. Where none of them can be written, the function is compiled anew
in each process. A file that is damaged is written anew: each begins with its digest, as code that
is cut off, or changed, would end the process and not raise. ``fastmath`` stays off: both engines
must agree to the last bit.
"""

from __future__ import annotations

import hashlib
import logging
import pickle
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.caching import FunctionCache, IndexDataCacheFile
from numba.extending import intrinsic

from lhsim._linking import linked_once

F = TypeVar("F", bound=Callable[..., object])

OFF = bool(numba.config.DISABLE_JIT)  # type: ignore[attr-defined] # by NUMBA_DISABLE_JIT
DIGEST = hashlib.sha256().digest_size  # [B]

logger = logging.getLogger(__name__)

_HOW: Any = {"nogil": True, "error_model": "numpy"}
# A part of a kernel, which Python never calls: half of the compiler's time would go into the code
# that lets it do so, and a fifth of the rest into counting references to arrays, though a kernel
# makes none and sees memory of others' alone.
_PART: Any = {**_HOW, "no_cpython_wrapper": True, "no_cfunc_wrapper": True, "_nrt": False}
INLINED: Any = {**_PART, "forceinline": True}  # how `inlined` compiles


def jit(function: F) -> F:
    """Compile `function` with Numba on its first call, without the interpreter lock."""
    compiled: Any = numba.njit(function, **_HOW)
    if not OFF:
        compiled.compile = _linking_once(compiled.compile)
        try:
            compiled._cache = _Cache(function)
        except RuntimeError:  # no folder for the cache can be written
            logger.debug("no folder can keep what is compiled of %s", function)
    return cast(F, compiled)


def _linking_once(compile_for: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def compiled(signature: Any) -> Any:
        with linked_once():
            return compile_for(signature)

    return compiled


def can_be_kept(function: Any) -> bool:
    """Return whether there is a folder to keep on disk what is compiled of a function."""
    return isinstance(getattr(function, "_cache", None), _Cache)


def cache_folder(function: Any) -> Path:
    """Return the folder that keeps what is compiled of a function, where it `can_be_kept`."""
    return Path(function._cache.cache_path)


def is_compiled(function: Any, *arguments: object) -> bool:
    """Return whether a call with such arguments finds a function compiled, be it on disk."""
    if function.signatures or not can_be_kept(function):
        return bool(function.signatures)
    types_of_them = tuple(map(numba.typeof, arguments))
    return cast(_Cache, function._cache).has(types_of_them, function.targetctx.codegen())


class _Cache(FunctionCache):
    """What Numba keeps of a function; a disk that is full or read-only is no reason to stop."""

    def __init__(self, function: Callable[..., object]) -> None:
        super().__init__(function)
        stamp = self._impl.locator.get_source_stamp()
        self._cache_file = _CacheFile(self._cache_path, self._impl.filename_base, stamp)

    def has(self, types: Any, codegen: Any) -> bool:
        """Return whether what was compiled for arguments of these types is kept."""
        return self._index_key(types, codegen) in self._cache_file._load_index()

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep what was compiled for a signature, if that can be."""
        try:
            super().save_overload(sig, data)
        except OSError as error:
            logger.warning("lhsim: compiled code cannot be kept: %s", error.strerror)


class _CacheFile(IndexDataCacheFile):
    """The files of a function, of which one that is damaged counts as missing."""

    def __init__(self, *where: Any) -> None:
        super().__init__(*where)
        self._version += ", with digests"  # files without are of another version, and no more

    def _load_index(self) -> Any:
        try:
            return super()._load_index()
        except Exception:  # whatever unpickling damaged bytes comes to
            _say_damaged(self._index_path)
            with suppress(OSError):
                self.flush()
            return {}

    def _load_data(self, name: str) -> Any:
        content = Path(self._data_path(name)).read_bytes()
        if hashlib.sha256(content[DIGEST:]).digest() != content[:DIGEST]:
            _say_damaged(self._data_path(name))
            return None
        return pickle.loads(content[DIGEST:])

    def _save_data(self, name: str, data: Any) -> None:
        content = self._dump(data)
        with self._open_for_write(self._data_path(name)) as file:
            file.write(hashlib.sha256(content).digest() + content)


def _say_damaged(path: str) -> None:
    logger.warning("lhsim: %s is damaged, or cannot be read; compiling anew", path)


def inlined(function: F) -> F:
    """Compile `function` into each function that calls it; it has no code of its own.

    It is not kept on disk: Numba would not notice when something changes that it calls.
    """
    return cast(F, numba.njit(function, **INLINED))


def alone(function: F) -> F:
    """Compile `function` as code of its own, which the functions that call it share.

    It is not kept on disk but with those that call it.
    """
    return cast(F, numba.njit(function, **_PART))


@intrinsic
def _prefetch(_context: Any, address: Any) -> Any:
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        number = ir.IntType(32)
        kinds = [cgutils.voidptr_t, number, number, number]
        function = builder.module.declare_intrinsic(
            "llvm.prefetch", kinds[:1], ir.FunctionType(ir.VoidType(), kinds)
        )
        pointer = builder.inttoptr(arguments[0], cgutils.voidptr_t)
        builder.call(function, [pointer, number(0), number(3), number(1)])  # read, keep, data
        return _context.get_dummy_value()

    return types.void(address), generate


@inlined
def prefetch(address: int) -> None:
    """Let the processor fetch what is at an address while it goes on; for compiled code alone."""
    _prefetch(address)  # type: ignore[call-arg]
