"""Results as bytes and back, to the bit: attrs classes of lhsim, plain values and arrays.

::

    zlib( length of the tree, 4 bytes | tree, as JSON | arrays, one after the other )

In the tree each thing that JSON does not know is an object with one key that says what it is.
Whole numbers most of which are 0, as in a histogram, are kept as a bit for each, which says whether
it is another, and the values of the others. Nothing is ever executed to read one back, as it would
be with pickle, no class is made but those that a result consists of, and no more memory is taken
than there is: a store may come from somebody else.
"""

from __future__ import annotations

import functools
import json
import struct
import typing
import zlib
from collections.abc import Mapping
from math import prod
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from lhsim import simulation
from lhsim._machine import free_memory
from lhsim.execution.cells import Failure

PLAIN = (float, int, str, bool, type(None))
LENGTH = struct.Struct("<I")
LEVEL = 1  # of the compression: the next one takes twice as long for a tenth less
LARGE = 1000  # numbers, from which on the zeros among them are looked for
SPARSE = 8  # of the numbers at most one in so many is not 0
KINDS = "biufSU"  # of arrays
SHARE = 0.25  # of the free memory, that one value may take
# What becomes of bytes that are none of `encode`.
DAMAGE = (zlib.error, struct.error, ValueError, TypeError, AttributeError, ArithmeticError,
          LookupError, MemoryError, RecursionError)  # fmt: skip


def encode(value: object) -> bytes:
    """Return a value as bytes.

    Raises `TypeError` when it holds something that is neither plain, nor an array of numbers or
    texts, nor an attrs class of lhsim.
    """
    parts: list[bytes] = []
    tree = json.dumps(_tree(value, parts), separators=(",", ":")).encode()
    return zlib.compress(b"".join([LENGTH.pack(len(tree)), tree, *parts]), LEVEL)


def decode(data: bytes) -> Any:
    """Return the value that `encode` has made these bytes of.

    Raises `ValueError` when they are none, or those of another lhsim whose classes had other
    fields.
    """
    try:
        most = int(SHARE * free_memory())
        whole = memoryview(_decompressed(data, most))
        begin = LENGTH.size + LENGTH.unpack_from(whole)[0]
        return _Reader(whole[begin:], most).value(json.loads(bytes(whole[LENGTH.size : begin])))
    except DAMAGE as error:
        raise ValueError(f"is no result of this lhsim: {error}") from error


def _decompressed(data: bytes, most: int) -> bytes:
    """Return what was compressed, if that is at most so many bytes."""
    stream = zlib.decompressobj()
    content = stream.decompress(data, most)
    if not stream.eof:
        raise ValueError("it is cut off, or too large")
    return content


def _tree(value: object, parts: list[bytes]) -> Any:
    cls: Any = type(value)
    if cls in PLAIN:  # first, as most are
        return value
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, PLAIN):
        return value
    if isinstance(value, np.ndarray):
        return {"array": _array(value, parts)}
    if isinstance(value, tuple):
        return {"tuple": [_tree(item, parts) for item in value]}
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {"dict": {key: _tree(item, parts) for key, item in value.items()}}
    described = _described(cls)
    if described is not None:
        name, fields = described
        return {name: {key: _tree(getattr(value, own), parts) for own, key in fields.items()}}
    raise TypeError(f"{cls.__name__} cannot be kept")


def _array(array: NDArray[Any], parts: list[bytes]) -> list[Any]:
    """Add the bytes of an array to `parts`; return its type, its shape, and theirs."""
    if array.dtype.kind not in KINDS:
        raise TypeError(f"an array of {array.dtype} cannot be kept")
    described = [array.dtype.str, list(array.shape)]
    if array.dtype.kind in "iu" and array.size >= LARGE:
        flat = array.reshape(-1)
        others = flat != 0
        if np.count_nonzero(others) * SPARSE <= flat.size:
            values = _smallest(flat[others])
            parts += [np.packbits(others).tobytes(), values.tobytes()]
            return [*described, len(values), values.dtype.str]
    parts.append(array.tobytes())
    return described


def _smallest(values: NDArray[Any]) -> NDArray[Any]:
    """Return whole numbers in the smallest type that holds them; where some are < 0, as they are.

    The common type of one for those and one for the greatest could be a float.
    """
    if not len(values) or values.min() < 0:
        return values
    return values.astype(np.min_scalar_type(values.max()))


@functools.cache
def _described(cls: Any) -> tuple[str, dict[str, str]] | None:
    """Return the name of an attrs class of lhsim, and its fields by what its maker calls them."""
    if not (attrs.has(cls) and _is_ours(cls.__module__)):
        return None
    return f"{cls.__module__}:{cls.__qualname__}", {
        f.name: f.alias or f.name for f in attrs.fields(cls)
    }


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] == "lhsim"


class _Reader:
    """What comes after the tree, read from its beginning on."""

    def __init__(self, data: memoryview, most: int) -> None:
        self._data = data
        self._at = 0
        self._left = most  # [B]

    def value(self, tree: Any) -> Any:
        if not isinstance(tree, dict):
            return tree
        ((kind, content),) = tree.items()
        if kind == "array":
            return self._array(*content)
        if kind == "tuple":
            return tuple(self.value(item) for item in content)
        fields = {key: self.value(item) for key, item in content.items()}
        if kind == "dict":
            return fields
        return classes_of(simulation.Result, Failure)[kind](**fields)

    def _array(
        self, kind: str, shape: list[int], count: int | None = None, of_others: str = ""
    ) -> NDArray[Any]:
        size = prod(shape)
        if np.dtype(kind).kind not in KINDS or min(shape, default=0) < 0:
            raise ValueError(f"it has an array of {kind}")
        self._left -= size * np.dtype(kind).itemsize
        if self._left < 0:
            raise ValueError("it is too large")
        if count is None:
            return self._take(kind, size).reshape(shape)
        others = np.unpackbits(self._take("u1", -(-size // 8)), count=size).astype(bool)
        array = np.zeros(size, kind)
        array[others] = self._take(of_others, count)
        return array.reshape(shape)

    def _take(self, kind: str, count: int) -> NDArray[Any]:
        array = np.frombuffer(self._data, kind, count, self._at)
        self._at += array.nbytes
        return array.copy()


@functools.cache
def classes_of(*kinds: type[Any]) -> dict[str, Any]:
    """Return the classes of lhsim that some consist of, themselves included, by their names."""
    found: dict[str, Any] = {}
    for kind in kinds:
        _collect(kind, found)
    return found


def _collect(kind: Any, found: dict[str, Any]) -> None:
    described = _described(kind) if isinstance(kind, type) else None
    if described is not None and described[0] not in found:
        found[described[0]] = kind
        for field in attrs.fields(attrs.resolve_types(kind)):
            _collect(field.type, found)
    for inner in typing.get_args(kind):
        _collect(inner, found)
