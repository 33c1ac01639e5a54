"""The one way in which lhsim compiles a function to machine code.

Numba keeps what it compiled on disk, beside the module, else in the user's cache folder, else
where ``NUMBA_CACHE_DIR`` says. Where none of them can be written, the function is compiled anew
in each process. ``fastmath`` stays off: both engines must agree to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., object])


def jit(function: F) -> F:
    """Compile `function` with Numba on its first call, without the interpreter lock."""
    try:
        compiled = numba.njit(function, cache=True, nogil=True, error_model="numpy")
    except RuntimeError:  # no folder for the cache can be written
        compiled = numba.njit(function, nogil=True, error_model="numpy")
    return cast(F, compiled)
