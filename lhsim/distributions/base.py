"""What every distribution of durations is: a quantile function with its moments."""

from __future__ import annotations

import abc
import functools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Annotated, Any, ClassVar, cast, get_args, get_origin, get_type_hints

import attrs
import numpy as np
from numpy.typing import ArrayLike

from lhsim import checks
from lhsim.distributions.table import LAST_LEVEL, FloatArray, QuantileTable, tabulate
from lhsim.errors import InputError, shown
from lhsim.units import BYTE, SECOND, Seconds, format_duration

_LONGEST_LIST = 6  # numbers that are written out
_LONGEST_DRAW = 1e100  # sums and squares of such are finite [s]
_DEEPEST = 50  # distributions in one another


class Distribution(abc.ABC):
    """A distribution of durations: never negative, in seconds.

    A subclass is an `attrs.frozen` class whose fields are its parameters in a file, such as
    ``{ family = "lognormal", median = "8 us", sigma = 0.3 }``. It defines `name`, `mean`,
    `variance`, `_quantile` and `_cdf`, and `breaks` where its quantile function is not smooth.
    (Who walks ``__subclasses__()`` takes those for which `attrs.has` holds: attrs makes a class
    with slots anew, and the first one may still be around.)
    """

    __slots__ = ()

    tag: ClassVar[str] = "family"
    entry_points: ClassVar[str] = "lhsim.distributions"
    variants: ClassVar[str] = "lhsim.distributions.families"  # the module that defines them
    name: ClassVar[str]

    @classmethod
    def from_scalar(cls, value: str | float) -> Distribution:
        """Return the constant duration that a file gives as a plain number [s] or ``"5 ms"``."""
        return Deterministic(SECOND.parse(value))

    @property
    @abc.abstractmethod
    def mean(self) -> float:
        """The mean [s], possibly infinite."""

    @property
    @abc.abstractmethod
    def variance(self) -> float:
        """The variance [s^2], possibly infinite."""

    @abc.abstractmethod
    def _quantile(self, u: FloatArray) -> FloatArray:
        """Return the quantiles [s] at the levels `u` in [0, 1], monotone in `u`."""

    @abc.abstractmethod
    def _cdf(self, x: FloatArray) -> FloatArray:
        """Return the probability of at most `x` [s], for `x` >= 0."""

    @property
    def breaks(self) -> FloatArray:
        """The levels in (0, 1) at which the quantile function bends or jumps."""
        return np.empty(0)

    @property
    def std(self) -> float:
        """The standard deviation [s]."""
        return math.sqrt(self.variance)

    @property
    def scv(self) -> float:
        """The squared coefficient of variation: the variance over the squared mean."""
        if self.variance in (0.0, math.inf):
            return self.variance
        squared = self.mean**2
        return self.variance / squared if squared > 0 else unbounded(pow, self.std / self.mean, 2)

    def quantile(self, u: ArrayLike) -> FloatArray:
        """Return the smallest durations [s] that are not exceeded with the probabilities `u`.

        Parameters
        ----------
        u
            Levels in [0, 1], of any shape; at 1 the quantile may be infinite.

        Raises
        ------
        InputError
            When a level lies outside of [0, 1] or is NaN.
        """
        levels = checks.array(u, "u", "numbers from 0 to 1")
        if not np.all((levels >= 0) & (levels <= 1)):
            raise InputError("a level is out of range", key="u", allowed="numbers from 0 to 1")
        with np.errstate(all="ignore"):  # an infinite end is no accident
            return np.asarray(self._quantile(levels), dtype=float)[()]

    def cdf(self, x: ArrayLike) -> FloatArray:
        """Return the probabilities of a duration of at most `x` [s], of any shape."""
        durations = checks.array(x, "x", "numbers [s]")
        with np.errstate(all="ignore"):
            probability = self._cdf(np.maximum(durations, 0.0))
        return np.where(durations < 0, 0.0, probability)[()]

    def table(self) -> QuantileTable:
        """Return the quantile table that is drawn from; built once per equal distribution.

        Raises
        ------
        InputError
            When the mean, or a duration that has to be drawn, is infinite or beyond any use.
        """
        return _table(self)

    def check_described(self) -> None:
        """Refuse a distribution that no table can hold, as far as that shows at once.

        A file that describes one is refused by it, with the place. It is no part of the
        constructor: an infinite mean has its use where nothing is drawn.

        Raises
        ------
        InputError
            When the mean is infinite or beyond any use, or so are the longest of its durations.
        """
        if not self.mean <= checks.MOST:
            size = "an infinite mean" if math.isinf(self.mean) else f"a mean of {self.mean:g} s"
            allowed = f"a distribution with a finite mean, at most {checks.MOST:g} s"
            raise InputError(f"{self} has {size}", allowed=allowed)
        if not any(_parts_of(self)):  # the parts of others are checked themselves
            self._check_draws(self.quantile([0.0, 0.5, LAST_LEVEL]))

    def _check_draws(self, durations: FloatArray) -> None:
        if not (durations <= _LONGEST_DRAW).all():  # nor NaN
            allowed = f"a distribution whose draws are at most {_LONGEST_DRAW:g} s"
            raise InputError(f"{self} has no finite table", allowed=allowed)

    def __str__(self) -> str:
        """Return a short form for people, such as ``"lognormal(median 8 us, sigma 0.3)"``."""
        kinds = get_type_hints(type(self), include_extras=True)
        parts = (
            f"{field.name} {_text(getattr(self, field.name), kinds[field.name])}"
            for field in attrs.fields(cast(Any, type(self)))
        )
        return f"{self.name}({', '.join(parts)})"


# A distribution of sizes: its parameters, and what it draws, are bytes where others are seconds.
Sizes = Annotated[Distribution, BYTE]


@attrs.frozen
class Deterministic(Distribution):
    """Always the same duration."""

    name: ClassVar[str] = "deterministic"

    value: Seconds = attrs.field(validator=checks.non_negative)  # [s]

    @property
    def mean(self) -> float:
        """The value [s]."""
        return self.value

    @property
    def variance(self) -> float:
        """Zero."""
        return 0.0

    def _quantile(self, u: FloatArray) -> FloatArray:
        return np.full(u.shape, float(self.value))

    def _cdf(self, x: FloatArray) -> FloatArray:
        return np.where(x >= self.value, 1.0, 0.0)


ZERO = Deterministic(0.0)


class Derived:
    """What a distribution has from another form of it, `_form`; it stands before `Distribution`."""

    __slots__ = ()

    _form: Any

    @property
    def mean(self) -> float:
        """The mean [s]."""
        return float(self._form.mean)

    @property
    def variance(self) -> float:
        """The variance [s^2]."""
        return float(self._form.variance)

    @property
    def breaks(self) -> FloatArray:
        """The levels in (0, 1) at which the quantile function bends or jumps."""
        return np.asarray(self._form.breaks)

    def _quantile(self, u: FloatArray) -> FloatArray:
        return np.asarray(self._form.quantile(u))

    def _cdf(self, x: FloatArray) -> FloatArray:
        return np.asarray(self._form.cdf(x))


@functools.lru_cache(maxsize=256)
def _table(distribution: Distribution) -> QuantileTable:
    distribution.check_described()
    with np.errstate(all="ignore"):  # what comes of it is looked at
        table = tabulate(distribution.quantile, distribution.mean, distribution.breaks)
    distribution._check_draws(table.cells)
    return table


def is_distribution(_instance: object, attribute: Any, value: Any) -> None:
    """Validate an attrs field that holds a distribution."""
    if not isinstance(value, Distribution):
        problem = f"{shown(value)} is not a distribution"
        raise InputError(problem, key=attribute.name, allowed="a distribution")
    if not _is_within(value, _DEEPEST):
        raise InputError("is nested too deeply", key=attribute.name, allowed=f"{_DEEPEST} at most")


def _is_within(distribution: Distribution, levels: int) -> bool:
    """Return whether a distribution is made of others by at most so many levels."""
    return levels > 0 and all(_is_within(part, levels - 1) for part in _parts_of(distribution))


def _parts_of(distribution: Distribution) -> Iterator[Distribution]:
    kind: Any = type(distribution)
    for field in attrs.fields(kind) if attrs.has(kind) else ():
        value = getattr(distribution, field.name, None)
        parts = value if isinstance(value, tuple) else (value,)
        if parts and isinstance(parts[0], Distribution):  # all of a list are, or none is
            yield from parts


def unbounded(function: Callable[..., float], *arguments: Any) -> float:
    """Return what a function of `math` does, infinite where that is beyond a float."""
    try:
        return function(*arguments)
    except OverflowError:
        return math.inf


def floats(values: Iterable[float]) -> tuple[float, ...]:
    """Return a tuple, of plain numbers also where NumPy's are given: an attrs converter.

    What is no list of them is left to the validator, which knows the field.
    """
    if isinstance(values, np.ndarray) and values.ndim:
        return tuple(values.tolist())
    found = checks.as_tuple(values)
    if not isinstance(found, tuple):
        return found  # type: ignore[no-any-return]
    return tuple(one.item() if isinstance(one, np.generic) else one for one in found)


def each(validator: Callable[[Any, Any, Any], None]) -> Callable[[Any, Any, Any], None]:
    """Validate every item of an attrs field that holds a tuple of at least one."""

    def check(_instance: object, attribute: Any, values: object) -> None:
        if not checks.is_several(values):
            raise InputError(f"{shown(values)} is no list", key=attribute.name, allowed="a list")
        if not values:
            raise InputError("is empty", key=attribute.name, allowed="one value or more")
        for value in values:
            validator(None, attribute, value)

    return check


def one_for_each(key: str, values: Sequence[object], what: str, others: Sequence[object]) -> None:
    """Refuse a list that is not as long as another, which has so many of `what`."""
    if len(values) != len(others):
        allowed = f"one for each {what}"
        raise InputError(f"has {len(values)} values", key=key, allowed=allowed)


def _text(value: Any, kind: Any) -> str:
    """Return a parameter of the declared type `kind` as people write it."""
    if isinstance(value, tuple):
        if len(value) > _LONGEST_LIST:
            return f"[{len(value)} values]"
        return "[" + ", ".join(_text(item, get_args(kind)[0]) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} {item:.4g}" for key, item in value.items()) + "}"
    if get_origin(kind) is Annotated and SECOND in get_args(kind):
        return format_duration(value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)
