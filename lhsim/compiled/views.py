"""The state in compiled code: one number, the address of the table of its arrays' addresses.

To Numba a tuple of arrays is the hundreds of numbers that they consist of, which go through every
function: half of the compiler's work would be to unpack and pack them. Here an array is made where
a function asks for it, of what the table has. The table stays as it is while a kernel runs, so that
the compiler may read it once (``invariant.load``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.typing.templates import AttributeTemplate
from numba.extending import infer_getattr, intrinsic, lower_getattr_generic, models, register_model
from numba.np.arrayobj import make_array, populate_array
from numba.np.numpy_support import from_dtype

from lhsim._jit import inlined
from lhsim.compiled.state import LAYOUT, State

WORD = 8  # of an address or a size [B]
NUMBER = ir.IntType(64)


class Attached(types.Type):
    """The type of a state, by how many of the options of `lhsim.compiled.state` it has."""

    def __init__(self, options: int) -> None:
        self.options = options
        super().__init__(name=f"State({options})")


@register_model(Attached)
class _Model(models.PrimitiveModel):
    def __init__(self, manager: Any, described: Any) -> None:
        super().__init__(manager, described, NUMBER)


@intrinsic
def _attached(_context: Any, table: Any, options: Any) -> Any:
    def generate(_context: Any, _builder: Any, _signature: Any, arguments: Any) -> Any:
        return arguments[0]

    return Attached(len(options))(types.int64, options), generate


@inlined
def attach(table: int, options: Any) -> State:
    """Return the state whose `addresses` are at an address, with such options."""
    return _attached(table, options)  # type: ignore[call-arg] # it has a context


@infer_getattr
class _Attributes(AttributeTemplate):
    key = Attached

    def generic_resolve(self, state: Attached, name: str) -> Any:  # type: ignore[override]
        """Return the type of a field of `State`."""
        if name in LAYOUT:
            return _array_type(name)
        if name == "options":
            return types.UniTuple(types.boolean, state.options)
        return types.int64 if name in State._fields else None


def _array_type(name: str) -> Any:
    dtype, shape = LAYOUT[name]
    return types.Array(from_dtype(np.dtype(dtype)), len(shape), "C")


@lower_getattr_generic(Attached)
def _field(context: Any, builder: Any, typ: Attached, table: Any, name: str) -> Any:
    """Generate what a field of the state is."""
    if name in LAYOUT:
        return _array(context, builder, table, name)
    if name == "options":
        return context.get_constant_null(types.UniTuple(types.boolean, typ.options))
    return _entry(builder, table, "events", 0)  # its address


def _array(context: Any, builder: Any, table: Any, name: str) -> Any:
    dtype, shape = LAYOUT[name]
    array = make_array(_array_type(name))(context, builder)
    itemsize = np.dtype(dtype).itemsize
    data = builder.inttoptr(_entry(builder, table, name, 0), array.data.type)
    lengths = _lengths(builder, table, name, shape)
    strides = [_times(builder, itemsize, lengths[axis + 1 :]) for axis in range(len(shape))]
    populate_array(array, data=data, shape=lengths, strides=strides,
                   itemsize=NUMBER(itemsize), meminfo=None)  # fmt: skip
    return array._getvalue()


def _lengths(builder: Any, table: Any, name: str, shape: Sequence[int]) -> list[Any]:
    """Return the lengths of an array's axes, of which one may follow from its size."""
    known = int(np.prod([length for length in shape if length >= 0]))
    if -1 not in shape:
        return [NUMBER(length) for length in shape]
    size = _entry(builder, table, name, 1)
    rest = size if known == 1 else builder.udiv(size, NUMBER(known))
    return [rest if length < 0 else NUMBER(length) for length in shape]


def _times(builder: Any, size: int, lengths: Sequence[Any]) -> Any:
    found = NUMBER(size)
    for length in lengths:
        found = builder.mul(found, length)
    return found


def _entry(builder: Any, table: Any, name: str, column: int) -> Any:
    """Return the address of an array, or its size, from the table."""
    place = WORD * (2 * list(LAYOUT).index(name) + column)
    pointer = builder.inttoptr(builder.add(table, NUMBER(place)), cgutils.intp_t.as_pointer())
    found = builder.load(pointer)
    found.set_metadata("invariant.load", builder.module.add_metadata([]))
    return found
