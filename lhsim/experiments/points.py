"""Design points: a system with values of some parameters, and a number of agents.

A parameter that begins with ``polling`` or ``push`` belongs to the systems of that kind. The
others do not have it: for them points that differ in nothing else are one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, get_args

import attrs
from attrs import frozen

from lhsim import parameters
from lhsim.checks import is_manageable
from lhsim.errors import InputError
from lhsim.experiments.axes import AGENTS, Axis, Design, Point
from lhsim.models import System, paths
from lhsim.planning import ScaleOut, scaled_out, scaled_out_name
from lhsim.report.text import axis_text
from lhsim.streams import check_seed


@frozen
class DesignPoint:
    """A system at a point of a design: one level of a sweep."""

    system: System
    agents: int
    # Of each axis but the agents, in its base unit; None where the system does not have it.
    values: Point = attrs.field(factory=dict)

    @property
    def label(self) -> str:
        """What messages call it: the system and its values."""
        values = [
            f"{path}={axis_text(value, self.unit(path))}"
            for path, value in self.values.items()
            if value is not None
        ]
        return f"{self.system.name} ({', '.join(values)})" if values else self.system.name

    def unit(self, path: str) -> str:
        """Return the unit of an axis; empty where it has none, or its value is no number."""
        value = self.values.get(path)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return ""
        try:
            return paths.symbol(self.system, path)
        except InputError:  # a part of a distribution, which is no number of the system
            return ""


@frozen
class Base:
    """A system before the values of a point are set in it."""

    system: System
    data: Mapping[str, Any] | None  # the content of its file; None where it has none
    source: str  # what a refusal names as its place

    def at(self, point: Point, axes: Mapping[str, Axis], source: str | None) -> DesignPoint:
        """Return the system at a point, whose axes may be only some of all `axes`.

        Raises `InputError` when it cannot have such a value; `source` has the axes.
        """
        changes = {axis: value for axis, value in point.items() if axis != AGENTS}
        data = _tables(self.system, changes) if self.data is None else self.data
        try:
            for axis, value in changes.items():
                data = parameters.with_value(data, axis, axes[axis].typed(value))
            system = parameters.structure(data, System, source=self.source)
        except InputError as error:
            mine = [axis for axis in changes if f"{error.key}.".startswith(f"{axis}.")]
            key = _key(mine[0]) if mine else error.key
            raise InputError(error.problem, source=source, key=key, allowed=error.allowed) from None
        values = {
            axis: _shown(system, axis, point[axis]) if axis in point else None
            for axis in axes
            if axis != AGENTS
        }
        return DesignPoint(system, _count(point[AGENTS], source), values)


def _tables(system: System, changes: Iterable[str]) -> Mapping[str, Any]:
    """Return what describes a system, with the tables in which parameters will be changed.

    A table that holds nothing but defaults is not there by itself, and so neither is its kind.
    """
    data = parameters.unstructure(system)
    for path in changes:
        steps, table = path.split("."), data
        part: Any = system
        for depth, step in enumerate(steps[:-1], start=1):
            part, table = getattr(part, step, None), table.get(step, {})
            if attrs.has(type(part)) and not table:
                own = parameters.unstructure(part)
                data, table = parameters.with_value(data, ".".join(steps[:depth]), own), own
    return data


def levels(
    systems: Iterable[System], agents: Iterable[int], scale_out: ScaleOut | None = None
) -> Iterator[DesignPoint]:
    """Yield each system with ever more agents, then scaled out where that is not the same."""
    counts = sorted(agents)
    for system in systems:
        yield from (DesignPoint(system, count) for count in counts)
        more = [] if scale_out is None else [(scale_out.servers(count), count) for count in counts]
        for servers, count in more:
            if servers > 1:
                yield DesignPoint(scaled_out(system, servers), count)


def design_points(
    bases: Sequence[Base], axes: Mapping[str, Axis], design: Design, seed: int, source: str | None
) -> list[DesignPoint]:
    """Return each system at each point of a design, in order.

    Raises `InputError` when the axes are not those of any system, or a value cannot be; `source`
    has them.
    """
    axes = {path: _fitting(path, axis) for path, axis in axes.items()}
    architectures = {base.system.architecture for base in bases}
    for path in axes:
        if server_of(path) not in {None, *architectures}:
            problem = f"no chosen system is one of {server_of(path)}"
            raise InputError(problem, source=source, key=_key(path))
    try:
        points = design.choose(axes, check_seed(seed))
    except InputError as error:
        key = "design" if error.key is None else _key(error.key)
        raise InputError(error.problem, source=source, key=key, allowed=error.allowed) from None
    found = []
    for base in bases:
        own = [path for path in axes if server_of(path) in {None, base.system.architecture}]
        seen: set[str] = set()
        for point in points:
            its = {path: point[path] for path in own}
            if (text := json.dumps(its, default=str)) not in seen:
                seen.add(text)
                found.append(base.at(its, axes, source))
    return found


def check_names(systems: Sequence[System]) -> None:
    """Refuse two systems that results could not tell apart."""
    seen: set[str] = set()
    names = [system.name for system in systems]
    for name in (*names, *map(scaled_out_name, names)):
        if name in seen:
            problem = f"two systems are called {name!r}"
            raise InputError(problem, source="--system", allowed="systems with different names")
        seen.add(name)


def server_of(setting: str) -> str | None:
    """Return the architecture whose server a setting changes, None for what all systems have."""
    step = setting.partition("=")[0].partition(".")[0].strip()
    return {"polling": "polling", "push": "push", "server": "own"}.get(step)


def _key(path: str) -> str:
    return f'axes."{path}"'


def _fitting(path: str, axis: Axis) -> Axis:
    """Return an axis in whole numbers where its parameter takes no others."""
    if path == AGENTS or _type_at(path) in (int, int | None):
        return axis.rounded()
    return axis


def _type_at(path: str) -> object:
    """Return the type of a parameter; None where that depends on the variant that is chosen."""
    kind: Any = System
    for step in path.split("."):
        inner = [one for one in (kind, *get_args(kind)) if isinstance(one, type) and attrs.has(one)]
        if not inner:
            return None
        fields = parameters.fields_of(inner[0])
        if step not in fields:
            return None  # which is refused when a system is made of it
        kind = fields[step].type
    return kind


def _count(value: Any, source: str | None) -> int:
    numeric = isinstance(value, int | float) and not isinstance(value, bool)
    if numeric and is_manageable(value) and value == int(value):
        return int(value)
    problem, allowed = f"{value!r} is no number of agents", "whole numbers >= 1"
    raise InputError(problem, source=source, key=_key(AGENTS), allowed=allowed)


def _shown(system: System, path: str, given: object) -> object:
    """Return the value of a parameter as a column has it: a number in its base unit, or a text."""
    value: object = system
    for step in path.split("."):
        value = getattr(value, step, None)
    if isinstance(value, bool | int | float | str):
        return value
    return given if isinstance(given, str | int | float) else json.dumps(given, default=str)
