"""Whether a result that was kept is one, and that of a cell: `belongs`.

A record with the right checksum may still hold anything: a file can be written by somebody else, or
by another program. What does not belong to its cell is not used, and the cell is run again.
"""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np

from lhsim import simulation
from lhsim.execution.cells import Cell, engine_of
from lhsim.metrics.account import BATCHES, Outcome
from lhsim.metrics.histogram import BUCKETS

if TYPE_CHECKING:
    from lhsim.simulation import Result

WHOLE, REAL = "iu", "iuf"  # kinds of NumPy's types
OUTCOMES = {outcome.name.lower() for outcome in Outcome}
SAMPLES = {"time_s", "created", "delivered", "backlog", "queued", "connections", "memory_b"}


def belongs(found: object, cell: Cell) -> bool:
    """Return whether something is a whole result, and that of a cell."""
    return fits(found, simulation.Result) and _is_of(typing.cast("Result", found), cell)


def fits(value: object, kind: Any) -> bool:
    """Return whether a value is of a type that a field of a class has, all through."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in {types.UnionType, typing.Union}:
        return any(fits(value, one) for one in inner)
    if origin is tuple:
        return isinstance(value, tuple) and all(fits(item, inner[0]) for item in value)
    if origin in {dict, Mapping}:
        return isinstance(value, dict) and all(fits(item, inner[1]) for item in value.values())
    if isinstance(kind, type) and attrs.has(kind):
        return type(value) is kind and _fields_fit(value, kind)
    if kind is float:
        return type(value) in {int, float}
    return isinstance(value, np.ndarray) if _is_array(kind) else type(value) is kind


def _is_array(kind: Any) -> bool:
    return kind is np.ndarray or typing.get_origin(kind) is np.ndarray


def _fields_fit(value: object, kind: type[Any]) -> bool:
    fields = attrs.fields(attrs.resolve_types(kind))
    return all(fits(getattr(value, field.name), field.type) for field in fields)


def _is_of(result: Result, cell: Cell) -> bool:
    return _is_same_run(result, cell) and _has_its_arrays(result, cell)


def _is_same_run(result: Result, cell: Cell) -> bool:
    asked = (cell.system.name, cell.system.architecture, cell.agents, cell.duration, cell.seed)
    found = (result.system, result.architecture, result.agents, result.duration, result.seed)
    times = (result.horizon, result.warmup, result.drain)
    return (
        found == asked
        and _may_have_run(result, cell)
        and all(math.isfinite(time) and 0 <= time <= cell.duration for time in times)
        and (result.records is not None) == cell.keep_messages
        and result.outcomes.keys() == OUTCOMES
        and len(result.utilization) > 0
    )


def _may_have_run(result: Result, cell: Cell) -> bool:
    """Return whether the engine of a result runs such a cell; SimPy counts no events of its own."""
    if result.engine == engine_of(cell):
        return True
    return (result.engine, cell.engine) == ("simpy", "auto") and result.engine_events is None


def _has_its_arrays(result: Result, cell: Cell) -> bool:
    latency, samples = result.latency, result.samples
    rows = samples["time_s"].size if samples.keys() == SAMPLES else 0
    return (
        _is_array_of(latency.counts, WHOLE, (BATCHES, BUCKETS))
        and _is_array_of(latency.sums, REAL, (BATCHES,))
        and _is_array_of(latency.ages, REAL, (latency.ages.size,))
        and (rows > 0 and (cell.samples is None or rows <= cell.samples + 1))
        and all(_is_array_of(one, REAL, (rows,)) for one in samples.values())
        and len({one.shape for one in (result.records or {}).values()}) <= 1
    )


def _is_array_of(array: Any, kinds: str, shape: tuple[int, ...]) -> bool:
    return array.dtype.kind in kinds and array.shape == shape
