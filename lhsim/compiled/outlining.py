"""Functions that are code of their own in the kernels with options.

Nearly everything is compiled into the one loop of a kernel: a call costs more than most of the
functions do. But where many places call a large function, each gets a copy of it, of all that it
calls, and of what that calls. With all options the copies are so many that the compiler takes
minutes over them, for code that few systems run often.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba.extending import overload

from lhsim._jit import INLINED, alone, inlined
from lhsim.compiled.state import SOME, attach

F = TypeVar("F", bound=Callable[..., object])


def outlined(function: F) -> F:
    """Compile `function`, whose first argument is a `State`, on its own where that has options.

    It gets the address of the state, not its views, which would be copied with each call. In the
    kernels without options it is as with `inlined`.
    """
    body: Any = inlined(function)

    def from_address(table: int, *arguments: Any) -> Any:
        return body(attach(table, SOME), *arguments)

    own_code: Any = alone(from_address)

    # Numba takes an implementation only if its signature is that of `choose`, to the letter.
    def called(s: Any, *arguments: Any) -> Any:
        return own_code(s.table, *arguments)

    def copied(s: Any, *arguments: Any) -> Any:
        return body(s, *arguments)

    def function_of_a_state(s: Any, *arguments: Any) -> Any:
        raise NotImplementedError("for compiled code alone")

    @overload(function_of_a_state, jit_options=INLINED)
    def choose(s: Any, *arguments: Any) -> Any:
        has_options = len(s.types[s.fields.index("options")]) > 0
        return called if has_options else copied

    return cast(F, function_of_a_state)
