"""What tells one cell from another: the key under which its result is kept.

The key is the SHA-256 of all that a result depends on: the system with every parameter, whether
it stands in a file or is a default; agents, duration, seed, warm-up and drain; the engine that
runs; what it keeps of its messages and its state; `lhsim.simulation.MEANING`, and the fields that a
result has; the code of classes of the user's own (`lhsim.execution.sources`). Two cells of one key
have the same result, to the bit. Descriptions, and where a parameter comes from, change no result
and are left out.
"""

from __future__ import annotations

import functools
import hashlib
import json
import sys
from collections.abc import Mapping
from typing import Any

import attrs
import numpy as np

from lhsim import simulation
from lhsim._own import is_own
from lhsim.execution.cells import Cell, engine_of, times_of
from lhsim.execution.encoding import PLAIN, classes_of
from lhsim.execution.sources import digest_of

# What this lhsim is, for who has to agree with it: version, meaning and layout.
Identity = tuple[str, int, str]


class Keys:
    """The keys of cells, many of which have the same system."""

    def __init__(self) -> None:
        self._systems: dict[int, tuple[object, str]] = {}  # kept alive, so that no number recurs

    def __call__(self, cell: Cell) -> bytes:
        """Return the key of a cell, of 32 bytes.

        Raises `TypeError` when the system has a part that is no attrs class and no plain value, and
        `InputError` when it has a class of the user's own whose code is in no file.
        """
        whole = [
            *(simulation.MEANING, layout(), self._digest(cell.system)),
            *(cell.agents, float(cell.duration), cell.seed, engine_of(cell)),
            *(*times_of(cell), cell.stop_when_overloaded),
        ]
        if cell.keep_messages or cell.samples is not None:  # else as it was before these were there
            whole += [cell.keep_messages, cell.samples]
        return hashlib.sha256(_text(whole)).digest()

    def _digest(self, system: Any) -> str:
        if id(system) not in self._systems:
            self._systems[id(system)] = system, _digest_of_system(system)
        return self._systems[id(system)][1]


def own_identity() -> Identity:
    """Return the version, meaning and layout of this lhsim."""
    return str(sys.modules["lhsim"].__version__), simulation.MEANING, layout()


@functools.cache
def layout() -> str:
    """Return a digest of the fields of a result, and of all classes in it."""
    classes = classes_of(simulation.Result).values()
    fields = {one.__qualname__: [field.name for field in attrs.fields(one)] for one in classes}
    return hashlib.sha256(_text(fields)).hexdigest()


def _digest_of_system(system: Any) -> str:
    calibration = system.calibration
    if calibration is not None:  # a result says when it lies beyond these, and no more
        limits = (calibration.agents, calibration.messages_per_second)
        calibration = type(calibration)(agents=limits[0], messages_per_second=limits[1])
    bare = attrs.evolve(system, description="", calibration=calibration)
    return hashlib.sha256(_text(_form(bare))).hexdigest()


def _form(value: object) -> Any:
    """Return a value as lists, texts and numbers; equal forms mean equal values."""
    cls: Any = type(value)
    if cls in PLAIN:  # first, as most are
        return value
    described = _described(cls)
    if described is not None:
        name, fields, own = described
        return [name, {field: _form(getattr(value, field)) for field in fields}, *own]
    if isinstance(value, Mapping):
        return {"mapping": [[_form(key), _form(item)] for key, item in value.items()]}
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_form(item) for item in value]
    if isinstance(value, PLAIN):
        return value
    raise TypeError(f"{value!r} has no fields that say what it is, so no result can be kept for it")


@functools.cache
def _described(cls: Any) -> tuple[str, list[str], list[str]] | None:
    """Return the name of an attrs class, its fields, and the digest of code of the user's own."""
    if not attrs.has(cls):
        return None
    own = [digest_of(cls)] if is_own(cls) else []
    return f"{cls.__module__}.{cls.__qualname__}", [f.name for f in attrs.fields(cls)], own


def _text(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
