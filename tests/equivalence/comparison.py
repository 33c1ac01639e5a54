"""Two runs of one case, by either engine, compared to the last bit.

The SimPy engine is the meaning of the models; the compiled one has to give the same bytes in each
number of a result, not merely close ones: the order of two events at one instant, or one draw at a
wrong address, shows in the last digits long before it shows in a mean.
"""

import itertools
import math
import struct
from collections.abc import Iterator, Mapping

import attrs
import numpy as np

from lhsim.models import System
from lhsim.simulation import Result, simulate

REFERENCE = "simpy"
CANDIDATE = "compiled"

NAMES_OF_THE_ENGINE = {"engine", "engine_reason", "engine_events"}  # all that may differ
MOST_SHOWN = 3  # items of one array that differ


@attrs.frozen
class Case:
    """One run: everything that `simulate` takes, but for the engine."""

    system: System
    agents: int
    duration: float = 2.0  # [s]
    seed: int = 1
    warmup: float | None = None  # [s]
    drain: float | None = None  # [s]
    stop_when_overloaded: bool = False
    keep_messages: bool = True

    def run(self, engine=REFERENCE):
        options = attrs.asdict(self, recurse=False)
        result = simulate(options.pop("system"), engine=engine, **options)
        assert result.engine == engine
        return result


def check(case):
    """Assert that both engines give the same result."""
    found = differences(case.run(REFERENCE), case.run(CANDIDATE))
    assert found == [], "\n".join([f"{REFERENCE} != {CANDIDATE}", *found, repr(case)])


def differences(a: Result, b: Result) -> list[str]:
    """Return a line for each thing in which two results differ, the engine's name apart."""
    found = []
    for field in attrs.fields(Result):
        if field.name in NAMES_OF_THE_ENGINE:
            continue
        compare = _records if field.name == "records" else _values
        found += compare(field.name, getattr(a, field.name), getattr(b, field.name))
    return found


def _values(name: str, a: object, b: object) -> Iterator[str]:
    """Compare two values of whatever kind a result holds; `name` is the path to them."""
    if attrs.has(type(a)) and type(a) is type(b):
        for field in attrs.fields(type(a)):
            yield from _values(
                f"{name}.{field.name}", getattr(a, field.name), getattr(b, field.name)
            )
    elif isinstance(a, Mapping) and isinstance(b, Mapping):
        yield from _mappings(name, a, b)
    elif isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        yield from _arrays(name, a, b)
    elif not _same(a, b):
        yield f"{name}: {a!r} != {b!r}"


def _mappings(name: str, a: Mapping, b: Mapping) -> Iterator[str]:
    if list(a) != list(b):
        yield f"{name}: keys {list(a)} != {list(b)}"
    for key in a:
        if key in b:
            yield from _values(f"{name}[{key!r}]", a[key], b[key])


def _arrays(name: str, a: np.ndarray, b: np.ndarray) -> Iterator[str]:
    if a.shape != b.shape:
        yield f"{name}: shape {a.shape} != {b.shape}"
        return
    if a.size and a.dtype.kind != b.dtype.kind:
        yield f"{name}: {a.dtype} != {b.dtype}"
    unequal = np.argwhere(~_equal(a, b))
    for place in unequal[:MOST_SHOWN]:
        index = tuple(int(i) for i in place)
        where = ", ".join(str(i) for i in index)
        yield f"{name}[{where}]: {a[index]!r} != {b[index]!r} ({len(unequal)} differ)"


def _records(name: str, a: Mapping | None, b: Mapping | None) -> Iterator[str]:
    """Compare the messages: the first one that differs tells most about why."""
    if a is None or b is None or list(a) != list(b):
        yield from _values(name, a, b)
        return
    for column in a:
        if len(a[column]) and a[column].dtype.kind != b[column].dtype.kind:
            yield f"{name}[{column!r}]: {a[column].dtype} != {b[column].dtype}"
    lengths = len(a["created"]), len(b["created"])
    if lengths[0] != lengths[1]:
        yield f"{name}: {lengths[0]} messages != {lengths[1]}"
    shared = min(lengths)
    equal = {column: _equal(a[column][:shared], b[column][:shared]) for column in a}
    unequal = np.flatnonzero(~np.logical_and.reduce(list(equal.values())))
    if len(unequal):
        first = int(unequal[0])
        who = f"message {a['number'][first]} of agent {a['sender'][first]}"
        pairs = ", ".join(
            f"{column} {a[column][first]!r} != {b[column][first]!r}"
            for column in a
            if not equal[column][first]
        )
        yield f"{name}[{first}], {who}: {pairs} ({len(unequal)} differ)"


def _equal(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return where two arrays of one shape hold the same bits; NaN is NaN."""
    if a.dtype.kind == b.dtype.kind == "f":
        bits = a.astype(np.float64).view(np.int64) == b.astype(np.float64).view(np.int64)
        return bits | (np.isnan(a) & np.isnan(b))
    return np.asarray(a == b)


def _same(a: object, b: object) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return (math.isnan(a) and math.isnan(b)) or struct.pack("d", a) == struct.pack("d", b)
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(itertools.starmap(_same, zip(a, b, strict=True)))
    whole = isinstance(a, int | np.integer) and isinstance(b, int | np.integer)
    return a == b and (whole or type(a) is type(b))
