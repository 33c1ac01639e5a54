"""How Numba links the parts of a kernel: once, into the kernel, which is optimised as a whole.

Numba optimises each function that it compiles, with all that it calls, and makes machine code of
it, and does so again in each function that calls that one. Of a part of a kernel, which Python
never calls and which has no life of its own, all of that is for nothing. Here a part is left as it
was lowered; what is called from Python gathers its parts, those of these and so on, and is
optimised and made machine code.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from numba.core.codegen import JITCodeLibrary
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import cpu_target


class _Library(JITCodeLibrary):
    """The code of a function, which is a part as long as Python does not call it."""

    @property
    def codegen(self) -> Any:
        """What makes the code: a part has no place in memory for its environment."""
        return self._codegen if self._finalized else _Nowhere(self._codegen)

    def get_pointer_to_function(self, name: str) -> int:
        """Return the address of a function; 0, and no machine code, where a part has none."""
        if not self._finalized and not self._defines(name):
            return 0
        return int(super().get_pointer_to_function(name))

    def add_linking_library(self, library: Any) -> None:
        """Take a part as it is."""
        self._linking_libraries.append(library)

    def finalize(self) -> None:
        """Gather all parts, each after those that call it: what nobody calls yet is not linked."""
        self._linking_libraries = list(reversed(_callees_first(self._linking_libraries)))
        super().finalize()

    def _defines(self, name: str) -> bool:
        try:
            self._final_module.get_function(name)
        except NameError:
            return False
        return True

    def _get_module_for_linking(self) -> Any:
        if self._finalized:
            return super()._get_module_for_linking()
        if self._shared_module is None:
            self._finalized = True  # as far as its own functions go
            try:
                super()._get_module_for_linking()
            finally:
                self._finalized = False
        return self._shared_module


class _Nowhere:
    """A code generator that keeps no environment: the objects that only Python code needs."""

    def __init__(self, codegen: Any) -> None:
        self._codegen = codegen

    def __getattr__(self, name: str) -> Any:
        return getattr(self._codegen, name)

    def set_env(self, _name: str, _environment: Any) -> None:
        """Leave it."""


def _callees_first(libraries: list[Any]) -> list[Any]:
    """Return libraries and all parts of them, each once and after what it calls."""
    found: dict[int, Any] = {}

    def visit(library: Any) -> None:
        if id(library) in found:
            return
        if isinstance(library, _Library) and not library._finalized:
            for callee in library._linking_libraries:
                visit(callee)
        found[id(library)] = library

    for library in libraries:
        visit(library)
    return list(found.values())


@contextmanager
def linked_once() -> Iterator[None]:
    """Let what Numba compiles meanwhile in this thread be linked so."""
    codegen = cpu_target.target_context.codegen()
    with global_compiler_lock:
        before = codegen._library_class
        codegen._library_class = _Library
        try:
            yield
        finally:
            codegen._library_class = before
