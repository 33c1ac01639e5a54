"""Parts of compiled functions are linked once, into what Python calls."""

import numba
import pytest
from numba.core.registry import cpu_target

from lhsim._jit import OFF, alone, inlined
from lhsim._linking import linked_once

pytestmark = pytest.mark.skipif(OFF, reason="NUMBA_DISABLE_JIT is set")


@inlined
def twice(x):
    return 2.0 * x


@inlined
def four_times(x):
    return twice(twice(x))


@alone
def plus_one(x):
    return four_times(x) - twice(twice(x)) + x + 1.0


def libraries(function):
    return [overload.library for overload in function.overloads.values()]


def test_what_python_calls_has_the_parts_of_its_parts():
    def of_one(x):
        return four_times(x) + twice(x)

    def of_another(x):
        return plus_one(four_times(x)) + max(twice(x), x)

    first, second = numba.njit(of_one), numba.njit(of_another)  # not kept on disk
    with linked_once():
        assert first(1.5) == 4 * 1.5 + 2 * 1.5
        assert second(1.5) == 4 * 1.5 + 1.0 + 2 * 1.5
    assert all(library._finalized for library in libraries(first) + libraries(second))
    parts = libraries(twice) + libraries(four_times) + libraries(plus_one)
    assert parts
    assert not any(library._finalized for library in parts)


def test_a_part_that_python_calls_after_all_is_made_complete():
    @numba.njit
    def thrice(x):
        return 3.0 * x

    @numba.njit
    def nine_times(x):
        return thrice(thrice(x))

    with linked_once():
        assert nine_times(2.0) == 18.0
    assert thrice(2.0) == 6.0


def test_other_functions_are_compiled_as_ever():
    generator = cpu_target.target_context.codegen()
    before = generator._library_class
    with linked_once():
        assert generator._library_class is not before
    assert generator._library_class is before
    with pytest.raises(ZeroDivisionError), linked_once():
        raise ZeroDivisionError
    assert generator._library_class is before
