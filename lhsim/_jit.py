"""The ways in which lhsim compiles functions to machine code.

Numba keeps what it compiled on disk, beside the module, else in the user's cache folder, else
where ``NUMBA_CACHE_DIR`` says. Where none of them can be written, the function is compiled anew
in each process. ``fastmath`` stays off: both engines must agree to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
from llvmlite import ir
from numba import carray  # type: ignore[attr-defined]
from numba.core import cgutils, types
from numba.extending import intrinsic

F = TypeVar("F", bound=Callable[..., object])

_HOW: Any = {"nogil": True, "error_model": "numpy"}
# A part of a kernel, which Python never calls: half of the compiler's time would go into the code
# that lets it do so, and a fifth of the rest into counting references to arrays, though a kernel
# makes none and sees memory of others' alone (`view`).
_PART: Any = {**_HOW, "no_cpython_wrapper": True, "no_cfunc_wrapper": True, "_nrt": False}
INLINED: Any = {**_PART, "forceinline": True}  # how `inlined` compiles


def jit(function: F) -> F:
    """Compile `function` with Numba on its first call, without the interpreter lock."""
    try:
        compiled = numba.njit(function, cache=True, **_HOW)
    except RuntimeError:  # no folder for the cache can be written
        compiled = numba.njit(function, **_HOW)
    return cast(F, compiled)


def inlined(function: F) -> F:
    """Compile `function` into each function that calls it; it has no code of its own.

    It is not kept on disk: Numba would not notice when something changes that it calls.
    """
    return cast(F, numba.njit(function, **INLINED))


def _returning_arrays(function: F) -> F:
    """Compile `function` as `inlined` does, with the counting without which Numba refuses it."""
    return cast(F, numba.njit(function, **{**INLINED, "_nrt": True}))


def alone(function: F) -> F:
    """Compile `function` as code of its own, which the functions that call it share.

    It is not kept on disk but with those that call it.
    """
    return cast(F, numba.njit(function, **_PART))


@intrinsic
def _pointer(_context: Any, address: Any) -> Any:
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], cgutils.voidptr_t)

    return types.voidptr(address), generate


@_returning_arrays
def view(address: int, shape: Any, dtype: Any) -> Any:
    """Return an array over memory that someone else keeps alive; for compiled code alone.

    Numba counts the references to an array that it is passed, at each use: in a loop of a few
    nanoseconds that is nearly all of the time. It counts none for such a view.
    """
    return carray(_pointer(address), shape, dtype)  # type: ignore[call-arg]


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
        return (
            cgutils.get_null_value(ir.LiteralStructType([]))
            if False
            else _context.get_dummy_value()
        )

    return types.void(address), generate


@inlined
def prefetch(address: int) -> None:
    """Let the processor fetch what is at an address while it goes on; for compiled code alone."""
    _prefetch(address)  # type: ignore[call-arg]
