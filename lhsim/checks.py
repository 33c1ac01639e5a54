"""What every entry point asks of a value: `whole_number`, `duration`, ... and validators of fields.

The functions take an argument as it came from a user, of Python or of the command line, and return
it as the plain type that lhsim computes with; NumPy's numbers become Python's. The attrs validators
`positive`, `at_least`, `within`, ... do the same to a field. What is anything else they *refuse*,
all in the same words: by an `InputError` with the name of the argument or field as its key and what
is allowed there; `lhsim.parameters` puts the path and the file in front. NaN and infinities are
refused everywhere.
Validators let None pass where a field is declared optional: there it means "not there".

No number is above `MOST`: what a model makes of several of them, such as messages of a rate, a time
and a number of agents, then stays a finite number.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import islice
from numbers import Integral, Real
from types import UnionType
from typing import TYPE_CHECKING, Any, TypeGuard

from lhsim.errors import InputError, is_real, shown, unknown_name
from lhsim.units import SECOND

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ROUNDING = 1e-9  # of a sum of parts
MOST = 1e18  # of any quantity; as seconds, more than the age of the universe
MOST_WHOLE = 2**63 - 1  # of an argument
MOST_COUNTED = 10**300  # of a field, which becomes a float wherever it meets one
SHORTEST, LONGEST = 1e-12, 1e12  # of a simulated time that is asked for [s]
MOST_JOBS = 10_000
MOST_REPLICATIONS = 1_000_000  # of a level
MOST_ITEMS = 100_000  # of an argument that is a list: an endless iterator ends here
MOST_VALUES = 10_000_000  # of a field that is a list, such as the samples of a distribution
LONGEST_NAME = 200  # characters

Validator = Callable[[Any, Any, Any], None]


# --- arguments -----------------------------------------------------------------------------------


def whole_number(value: object, key: str, least: int = 0, most: int = MOST_WHOLE) -> int:
    """Return a whole number from `least` to `most` as Python's; refuse any other, and a float."""
    return _whole(value, key, least, most, whole_numbers_allowed(least, most))


def whole_numbers_allowed(least: int, most: int = MOST_WHOLE) -> str:
    """Return what is allowed, in words."""
    limited = f"a whole number from {least} to {most}"
    return f"a whole number >= {least}" if most >= MOST_WHOLE else limited


def _whole(value: object, key: str, least: int, most: int, allowed: str) -> int:
    if not is_real(value) or not isinstance(value, Integral):
        raise InputError(f"{shown(value)} is not a whole number", key=key, allowed=allowed)
    if not least <= int(value) <= most:
        raise InputError(f"{shown(value)} is out of range", key=key, allowed=allowed)
    return int(value)


def levels(values: object, key: str) -> tuple[int, ...]:
    """Return different whole numbers >= 1, ascending: one, or any iterable of some.

    Refused are none at all, one that is there twice, and what is no whole number >= 1.
    """
    allowed = "different whole numbers >= 1, such as 10, 100, 1000"
    some = [values] if is_real(values) else items(values, key, allowed)
    counts = [_whole(one, key, 1, MOST_WHOLE, allowed) for one in some]
    return tuple(sorted(each_once(counts, key, allowed)))


def each_once(values: Sequence[Any], key: str, allowed: str) -> Sequence[Any]:
    """Return values; refuse the first that is there twice."""
    seen: set[Any] = set()
    for value in values:
        if value in seen:
            raise InputError(f"{shown(value)} is there twice", key=key, allowed=allowed)
        seen.add(value)
    return values


def items(values: object, key: str, allowed: str) -> list[Any]:
    """Return the items of a list, an array, a range or any other iterable.

    Refused are a text, which is none, one that is empty, and one that does not end.
    """
    if not is_several(values):
        raise InputError(f"{shown(values)} is no list", key=key, allowed=allowed)
    found = list(islice(values, MOST_ITEMS + 1))
    if len(found) > MOST_ITEMS:
        raise InputError(f"has more than {MOST_ITEMS:,} items", key=key, allowed=allowed)
    if not found:
        raise InputError("is empty", key=key, allowed=allowed)
    return found


def is_several(values: object) -> TypeGuard[Iterable[Any]]:
    """Return whether there are items to go through: neither a text nor a table has them."""
    has_items = isinstance(values, Iterable) and not isinstance(values, str | bytes | Mapping)
    return has_items and getattr(values, "ndim", 1) > 0  # an array may have no dimension


def as_tuple(values: Any) -> Any:
    """Return the items of an iterable as a tuple, and refuse one without end: an attrs converter.

    What is no iterable is left to the validator, which knows the field.
    """
    if not is_several(values):
        return values
    found = tuple(islice(values, MOST_VALUES + 1))
    if len(found) > MOST_VALUES:
        allowed = f"at most {MOST_VALUES:,} items"
        raise InputError(f"{shown(values)} has more than a model can hold", allowed=allowed)
    return found


def texts(values: object, key: str, allowed: str) -> tuple[str, ...]:
    """Return one text or several as a tuple, none when there are none; refuse anything else."""
    if isinstance(values, str):
        return (values,)
    if is_several(values) and isinstance(values, Collection) and not len(values):
        return ()
    some = items(values, key, allowed)
    for one in some:
        if not isinstance(one, str):
            raise InputError(f"{shown(one)} is not a text", key=key, allowed=allowed)
    return tuple(some)


def number(
    value: object, key: str, allowed: str, accepts: Callable[[float], bool] = lambda _value: True
) -> float:
    """Return a finite number that is accepted, as Python's: a float, or an int where it is one."""
    if not is_real(value):
        raise InputError(f"{shown(value)} is not a number", key=key, allowed=allowed)
    plain = _plain(value)
    if not (is_manageable(plain) and accepts(plain)):
        limited = f"{allowed}, at most {MOST:g}" if accepts(plain) else allowed
        raise InputError(f"{shown(value)} is out of range", key=key, allowed=limited)
    return plain


def _plain(value: Real) -> float:
    """Return a number as Python's; one beyond the range of floats is infinite."""
    try:
        return int(value) if isinstance(value, Integral) else float(value)
    except OverflowError:
        return math.inf


def array(values: object, key: str, allowed: str) -> NDArray[np.float64]:
    """Return numbers as an array of floats, of any shape.

    Refused are truth values, texts, times and lists of unequal lengths.
    """
    import numpy as np  # noqa: PLC0415 - a line of help need not wait for it

    values = values if hasattr(values, "__array__") else as_tuple(values)
    try:
        found = np.asarray(values)
        if found.dtype.kind in "iuf":
            return np.asarray(found, dtype=float)
        if found.dtype.kind == "O" and not any(isinstance(one, str | bool) for one in found.flat):
            return np.asarray(found, dtype=float)
    except (TypeError, ValueError, OverflowError):
        pass
    raise InputError(f"{shown(values)} has other than numbers", key=key, allowed=allowed)


def column(values: object, key: str) -> NDArray[np.float64]:
    """Return the numbers of a list of them, NaN for None."""
    allowed = "a list of numbers"
    if not is_several(values):
        raise InputError(f"{shown(values)} is no list", key=key, allowed=allowed)
    return array([math.nan if one is None else one for one in values], key, allowed).ravel()


def positive_number(value: object, key: str) -> float:
    """Return a finite number > 0."""
    return number(value, key, "a number > 0", lambda one: one > 0)


def share(value: object, key: str) -> float:
    """Return a number between 0 and 1, neither of them."""
    return number(value, key, "a number between 0 and 1", lambda one: 0 < one < 1)


def level(value: object, key: str) -> float:
    """Return a number from 0 to 1, such as the level of a quantile."""
    return number(value, key, "a number from 0 to 1", lambda one: 0 <= one <= 1)


def duration(value: object, key: str, *, least: float = SHORTEST) -> float:
    """Return seconds, from a number of them or from a text with a unit such as ``"2 min"``.

    Parameters
    ----------
    value
        The duration.
    key
        Its name.
    least
        What it is at least [s]; at most it is `LONGEST`.
    """
    bound = "> 0 s" if least == SHORTEST else f">= {least:g} s"
    allowed = f"a time {bound} and at most {LONGEST:g} s, such as 60, '500ms' or '2 min'"
    if isinstance(value, str):
        try:
            seconds = SECOND.parse(value)
        except InputError as error:
            raise InputError(error.problem, key=key, allowed=allowed) from None
    else:
        seconds = float(number(value, key, allowed))
    if not least <= seconds <= LONGEST:
        raise InputError(f"{shown(value)} is out of range", key=key, allowed=allowed)
    return seconds


def truth(value: object, key: str) -> bool:
    """Return a truth value as Python's; refuse numbers and texts, too."""
    if isinstance(value, bool) or type(value).__name__ in {"bool", "bool_"}:  # NumPy's
        return bool(value)
    raise InputError(f"{shown(value)} is not a truth value", key=key, allowed="True, False")


def _optional(
    accepts: Callable[[object], bool], problem: str, allowed: str
) -> Callable[[object, str], None]:
    """Return what refuses an argument that is neither None nor accepted."""

    def check(value: object, key: str) -> None:
        if value is not None and not accepts(value):
            raise InputError(f"{shown(value)} {problem}", key=key, allowed=f"{allowed}, or None")

    return check


def _has(method: str) -> Callable[[object], bool]:
    return lambda value: callable(getattr(value, method, None))


function = _optional(callable, "cannot be called", "a function")
axes = _optional(_has("get_figure"), "is no axes", "axes of matplotlib")
executor = _optional(_has("submit"), "is no executor", "an executor of concurrent.futures")
folder = _optional(lambda value: isinstance(value, str | os.PathLike), "is no path", "a path")


def instance(value: object, key: str, kind: type[Any] | UnionType, allowed: str) -> None:
    """Refuse what is no `kind`."""
    if not isinstance(value, kind):
        raise InputError(f"{shown(value)} is none", key=key, allowed=allowed)


def instances(values: object, key: str, kind: type[Any], allowed: str) -> list[Any]:
    """Return the items of an iterable, each of which is a `kind`; none at all are refused."""
    found = items(values, key, allowed)
    for one in found:
        instance(one, key, kind, allowed)
    return found


def text(value: object, key: str) -> str:
    """Return a text that is not empty."""
    if not isinstance(value, str) or not value:
        raise InputError(f"{shown(value)} is not a text", key=key, allowed="a text")
    return value


def choice(value: object, key: str, choices: Iterable[str], kind: str = "choice") -> str:
    """Return one of the choices; refuse any other with the nearest of them."""
    known = tuple(choices)
    if not isinstance(value, str):
        raise InputError(f"{shown(value)} is no {kind}", key=key, allowed=", ".join(known))
    if value not in known:
        raise unknown_name(kind, value, known, key=key)
    return value


# --- fields --------------------------------------------------------------------------------------


def _numeric(allowed: str, accepts: Callable[[float], bool], **limits: float) -> Validator:
    def check(instance: object, attribute: Any, value: Any) -> None:
        if value is not None or not _is_optional(attribute):
            _keep(instance, attribute, value, number(value, attribute.name, allowed, accepts))

    return _with_limits(check, **limits)


def is_manageable(value: float) -> bool:
    """Return whether a number is finite, and no larger than the parts of a model may be."""
    return -MOST <= value <= MOST


def _is_optional(attribute: Any) -> bool:
    """Return whether a field is declared to take None; one that is not declared may."""
    declared = str(getattr(attribute, "type", "argument"))
    return "None" in declared or "Optional" in declared


def _keep(instance: object, attribute: Any, given: object, plain: float) -> None:
    """Put Python's number in the place of NumPy's, or of Python's of another kind.

    An item of a field, or an argument, has no instance: its place is not here.
    """
    if instance is not None and type(given) is not type(plain):
        # A frozen description is complete when its validators have run, not before.
        object.__setattr__(instance, attribute.name, plain)


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


def whole(least: int, most: int = MOST_COUNTED) -> Validator:
    """Accept whole numbers from `least` to `most`."""

    def check(instance: object, attribute: Any, value: Any) -> None:
        if value is not None or not _is_optional(attribute):
            _keep(instance, attribute, value, whole_number(value, attribute.name, least, most))

    return _with_limits(check, minimum=least, **({} if most == MOST_COUNTED else {"maximum": most}))


def printable(_instance: object, attribute: Any, value: Any) -> None:
    """Accept names that a terminal shows as they are, and a table has room for."""
    if not (isinstance(value, str) and value.isprintable() and len(value) <= LONGEST_NAME):
        allowed = f"a text of at most {LONGEST_NAME} printable characters"
        raise InputError(f"{str(value)[:60]!r} is no name", key=attribute.name, allowed=allowed)


def lasting(_instance: object, attribute: Any, value: Any) -> None:
    """Accept distributions that are not always 0, without which a model would go round for ever."""
    if value is not None and not getattr(value, "mean", 0) > 0:
        raise InputError("is always 0", key=attribute.name, allowed="a mean > 0 s")


def shares(_instance: object, attribute: Any, value: Any) -> None:
    """Accept parts of a whole: numbers >= 0 whose sum is 1, or none at all."""
    if is_several(value) and isinstance(value, Collection) and not len(value):
        return
    if not is_several(value) or not all(map(_is_part, value)) or not _is_one(sum(value)):
        problem = f"{shown(value)} holds no parts of a whole"
        raise InputError(problem, key=attribute.name, allowed="numbers >= 0 whose sum is 1")


def _is_part(value: object) -> bool:
    return is_real(value) and _plain(value) >= 0


def _is_one(total: float) -> bool:
    return abs(total - 1) <= ROUNDING


def one_of(choices: Iterable[str]) -> Validator:
    """Accept one of the `choices`, and suggest the nearest for anything else."""
    known = tuple(choices)

    def check(_instance: object, attribute: Any, value: Any) -> None:
        choice(value, attribute.name, known)

    return check
