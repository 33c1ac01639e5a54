"""Single parameters of a system by their dotted path: ``polling.interval``, ``cpu.query*``.

A path names a number. With a star at its end it names a factor instead, 1 in the system as it is,
of a number, of each number of a list, or of a whole distribution, whose shape it keeps.
"""

from __future__ import annotations

import difflib
from typing import Any, TypeVar, get_args

import attrs

from lhsim import checks, parameters
from lhsim.distributions import Distribution, Scaled
from lhsim.errors import InputError
from lhsim.units import Unit, typed_text

FACTOR = "*"

Description = TypeVar("Description", bound=attrs.AttrsInstance)  # a system, in practice


def value(system: attrs.AttrsInstance, path: str) -> float | None:
    """Return the number at a path, 1 for a factor; None for a limit that is not there.

    Raises
    ------
    InputError
        When the path leads to no number, or its factor would be of nothing that has one.
    """
    owner, name = _owner(system, path)
    found = getattr(owner, name)
    if path.endswith(FACTOR):
        _times(found, 1.0, path)
        return 1.0
    number = isinstance(found, int | float) and not isinstance(found, bool)
    if number or (found is None and _numeric(owner, name)):
        return found  # type: ignore[no-any-return]
    if isinstance(found, Distribution):
        allowed = f"{path}{FACTOR}, a factor of the whole of it"
        raise InputError("is a distribution", key=path, allowed=allowed)
    raise InputError("is no number", key=path, allowed="the path of a number")


def is_whole(system: attrs.AttrsInstance, path: str) -> bool:
    """Return whether the parameter at a path is a whole number."""
    owner, name = _owner(system, path)
    return not path.endswith(FACTOR) and int in _types(owner, name)


def is_switch(system: attrs.AttrsInstance, path: str) -> bool:
    """Return whether what is at a path is true or false."""
    owner, name = _owner(system, path)
    return not path.endswith(FACTOR) and isinstance(getattr(owner, name), bool)


def unit_of(system: attrs.AttrsInstance, path: str) -> Unit | None:
    """Return the unit of the parameter at a path, None where it has none, as a factor."""
    if path.endswith(FACTOR):
        return None
    owner, name = _owner(system, path)
    types = attrs.fields_dict(attrs.resolve_types(type(owner), include_extras=True))[name].type
    found = (parameters.unit_of(kind) for kind in (types, *get_args(types)))
    return next((unit for unit in found if unit is not None), None)


def symbol(system: attrs.AttrsInstance, path: str) -> str:
    """Return the symbol of the base unit of a number, such as ``"s"``; empty where it has none."""
    unit = unit_of(system, path)
    return "" if unit is None else unit.symbol


def parsed(system: attrs.AttrsInstance, path: str, value: object) -> float:
    """Return the number that somebody gave for the parameter at a path, in its base unit.

    Parameters
    ----------
    system, path
        The parameter.
    value
        A number in the base unit, or a text, which says its unit where the parameter has one.

    Raises
    ------
    InputError
        When it is none, or a text has another unit or none.
    """
    unit = unit_of(system, path)
    given = typed_text(value) if isinstance(value, str) else value
    if unit is not None:
        return unit.parse(given)
    return checks.number(given, path, "a number")


def changed(system: Description, path: str, number: float) -> Description:
    """Return the system with another number at a path, or with what is there times a factor.

    Raises
    ------
    InputError
        When the path leads to no number, or the number is out of the parameter's range.
    """
    value(system, path)
    if is_whole(system, path) and float(number).is_integer():  # as a column of samples has it
        number = int(number)
    steps = path.removesuffix(FACTOR).split(".")
    try:
        return _changed(system, steps, number, path)  # type: ignore[no-any-return]
    except InputError as error:
        raise InputError(error.problem, key=path, allowed=error.allowed) from None


def sampled(system: Description, path: str, number: float) -> Description:
    """Return the system with a number of a column of samples, in which 0 and 1 stand for a switch.

    Raises
    ------
    InputError
        As `changed` does.
    """
    if not is_switch(system, path):
        return changed(system, path, number)
    if number not in (0, 1):
        raise InputError(f"is {number:g}", key=path, allowed="0 or 1")
    return _changed(system, path.split("."), bool(number), path)  # type: ignore[no-any-return]


def _changed(owner: Any, steps: list[str], number: float, path: str) -> Any:
    name, *rest = steps
    inner = getattr(owner, _field(owner, name))
    if rest:
        new = _changed(inner, rest, number, path)
    else:
        new = _times(inner, number, path) if path.endswith(FACTOR) else number
    return attrs.evolve(owner, **{name: new})


def _times(found: Any, factor: float, path: str) -> Any:
    if isinstance(found, Distribution):
        return Scaled(found, factor)
    if isinstance(found, tuple) and found and all(isinstance(part, float) for part in found):
        return tuple(part * factor for part in found)
    if isinstance(found, float):
        return found * factor
    allowed = "the path of a distribution, a number that is not whole, or a list of such"
    raise InputError("has no factor", key=path, allowed=allowed)


def _owner(system: attrs.AttrsInstance, path: str) -> tuple[Any, str]:
    """Return the description that holds the parameter, and its name there."""
    owner: Any = system
    *way, last = path.removesuffix(FACTOR).split(".")
    for step in way:
        _check_step(owner, step, path)
        owner = getattr(owner, _field(owner, step))
    _check_step(owner, last, path)
    return owner, _field(owner, last)


def _check_step(owner: Any, step: str, path: str) -> None:
    known = _fields(owner) if attrs.has(type(owner)) else {}
    if owner is None:
        table = path[: path.index(f".{step}")]
        problem = f"the system has no {step!r} there, since it has no table [{table}]"
        raise InputError(problem, key=path, allowed=f"a parameter of a system with [{table}]")
    if step not in known:
        nearest = difflib.get_close_matches(step, known, n=1)
        hint = f" (did you mean {nearest[0]!r}?)" if nearest else ""
        allowed = ", ".join(known) or "a parameter that the system has"
        raise InputError(f"the system has no {step!r} there{hint}", key=path, allowed=allowed)


def _fields(owner: Any) -> dict[str, str]:
    """Return the names of the fields of a description, by their names in a file."""
    return {field.alias or field.name: field.name for field in attrs.fields(type(owner))}


def _field(owner: Any, step: str) -> str:
    return _fields(owner)[step]


def _numeric(owner: Any, name: str) -> bool:
    return bool(_types(owner, name) & {int, float})


def _types(owner: Any, name: str) -> set[Any]:
    hint = attrs.fields_dict(attrs.resolve_types(type(owner)))[name].type
    return {hint, *get_args(hint)}
