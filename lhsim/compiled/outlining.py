"""Functions that are code of their own in the kernels with most options.

Nearly everything is compiled into the one loop of a kernel: a call costs more than most of the
functions do. But where many places call a large function, each gets a copy of it, of all that it
calls, and of what that calls. With all options, the copies are so many that the compiler takes
minutes over them, for code that few systems run often.

What only systems with more around the server, or with failures, need is not even read by the
compiler where there is none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba.extending import overload

from lhsim._jit import INLINED, alone, inlined

F = TypeVar("F", bound=Callable[..., object])


def outlined(function: F) -> F:
    """Compile `function`, whose first argument is a `State`, on its own in the largest kernels.

    In the kernels with few options, or none, it is as with `inlined`.
    """
    body: Any = inlined(function)
    called = _called(body)

    def copied(s: Any, *arguments: Any) -> Any:
        return body(s, *arguments)

    return cast(F, _by_options(copied, copied, called, called))


def of_world(function: F) -> F:
    """Compile `function` so where there is more around the server; elsewhere it is nothing: 0."""
    called = _called(inlined(function))
    return cast(F, _by_options(_nothing, _nothing, called, called))


def of_failures(function: F) -> F:
    """Compile `function` so where there are failures; elsewhere it is nothing, and returns 0."""
    return cast(F, _by_options(_nothing, _nothing, _nothing, _called(inlined(function))))


def _nothing(s: Any, *arguments: Any) -> Any:
    return 0


def _called(body: Any) -> Any:
    """Return what calls the code of its own that `body` is."""

    def as_it_is(s: Any, *arguments: Any) -> Any:
        return body(s, *arguments)

    own_code: Any = alone(as_it_is)

    # Numba takes an implementation only if its signature is that of `choose`, to the letter.
    def called(s: Any, *arguments: Any) -> Any:
        return own_code(s, *arguments)

    return called


def _by_options(*implementations: Any) -> Any:
    """Return a function that is one of these, by how many options its state has."""

    def function_of_a_state(s: Any, *arguments: Any) -> Any:
        raise NotImplementedError("for compiled code alone")

    @overload(function_of_a_state, jit_options=INLINED)
    def choose(s: Any, *arguments: Any) -> Any:
        return implementations[s.options]

    return function_of_a_state
