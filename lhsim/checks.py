"""attrs validators whose refusals say what is allowed: `positive`, `at_least`, `within`, ...

Each raises `InputError` with the name of the field as its key; `lhsim.parameters` puts the path
and the file in front. All of them refuse NaN and infinities, and let None pass, which an optional
field uses for "not there".

No number is above `MOST`: what a model makes of several of them, such as messages of a rate, a time
and a number of agents, then stays a finite number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from lhsim.errors import InputError, unknown_name

ROUNDING = 1e-9  # of a sum of parts
MOST = 1e18  # of any quantity; as seconds, more than the age of the universe
LONGEST_NAME = 200  # characters
MOST_WHOLE = 10**300  # of what is counted, which becomes a float wherever it meets one

Validator = Callable[[Any, Any, Any], None]


def _numeric(allowed: str, accepts: Callable[[float], bool], **limits: float) -> Validator:
    def check(_instance: object, attribute: Any, value: Any) -> None:
        if value is None:
            return
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InputError(f"{value!r} is not a number", key=attribute.name, allowed=allowed)
        if not (is_manageable(value) and accepts(value)):
            limited = f"{allowed}, at most {MOST:g}" if accepts(value) else allowed
            raise InputError(f"{shown(value)} is out of range", key=attribute.name, allowed=limited)

    return _with_limits(check, **limits)


def is_manageable(value: float) -> bool:
    """Return whether a number is finite, and no larger than the parts of a model may be."""
    return -MOST <= value <= MOST


def shown(value: float) -> str:
    """Return a number for a message, also one of so many digits that Python refuses to print it."""
    return "a huge number" if isinstance(value, int) and abs(value) > MOST_WHOLE else repr(value)


def _with_limits(check: Validator, **limits: float) -> Validator:
    """Return a validator that carries what JSON Schema can say of it."""
    check.limits = limits  # type: ignore[attr-defined]
    return check


positive = _numeric("a number > 0", lambda value: value > 0, exclusiveMinimum=0)
non_negative = _numeric("a number >= 0", lambda value: value >= 0, minimum=0)
# A rate, of which the time between two events is no longer than any other time.
rate = _numeric(
    f"a number > 0, at least {1 / MOST:g}", lambda value: value >= 1 / MOST, exclusiveMinimum=0
)
finite = _numeric("a finite number", lambda _value: True)


def at_least(least: float) -> Validator:
    """Accept numbers from `least` on."""
    return _numeric(f"a number >= {least}", lambda value: value >= least, minimum=least)


def within(low: float, high: float) -> Validator:
    """Accept numbers from `low` to `high`, both included."""
    allowed = f"a number from {low} to {high}"
    return _numeric(allowed, lambda value: low <= value <= high, minimum=low, maximum=high)


def whole(least: int) -> Validator:
    """Accept whole numbers from `least` on."""

    def check(_instance: object, attribute: Any, value: Any) -> None:
        if value is None or (type(value) is int and least <= value <= MOST_WHOLE):
            return
        allowed = f"a whole number >= {least}"
        given = shown(value) if type(value) is int else repr(value)
        raise InputError(f"{given} is out of range", key=attribute.name, allowed=allowed)

    return _with_limits(check, minimum=least)


def printable(_instance: object, attribute: Any, value: Any) -> None:
    """Accept names that a terminal shows as they are, and a table has room for."""
    if not (isinstance(value, str) and value.isprintable() and len(value) <= LONGEST_NAME):
        allowed = f"a text of at most {LONGEST_NAME} printable characters"
        raise InputError(f"{str(value)[:60]!r} is no name", key=attribute.name, allowed=allowed)


def lasting(_instance: object, attribute: Any, value: Any) -> None:
    """Accept distributions that are not always 0, without which a model would go round for ever."""
    if value is not None and not value.mean > 0:
        raise InputError("is always 0", key=attribute.name, allowed="a mean > 0 s")


def shares(_instance: object, attribute: Any, value: Any) -> None:
    """Accept parts of a whole: numbers >= 0 whose sum is 1, or none at all."""
    if not value:
        return
    numeric = all(isinstance(part, int | float) and part >= 0 for part in value)
    if not numeric or abs(sum(value) - 1) > ROUNDING:
        problem = f"{list(value)!r} are no parts of a whole"
        raise InputError(problem, key=attribute.name, allowed="numbers >= 0 whose sum is 1")


def one_of(choices: Iterable[str]) -> Validator:
    """Accept one of the `choices`, and suggest the nearest for anything else."""
    known = tuple(choices)

    def check(_instance: object, attribute: Any, value: Any) -> None:
        if value not in known:
            raise unknown_name("choice", str(value), known, key=attribute.name)

    return check
