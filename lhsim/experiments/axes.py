"""The axes of a sweep, and the designs that choose points of the space that they span.

An axis is a parameter and the values that it takes: a list, or a range ::

    [0, "500 ms", "2 s"]              as they are
    "lin 0..1 x 5"                    0, 0.25, 0.5, 0.75, 1
    "log 10..1e6 x 6"                 six numbers of equal ratios
    "log 10 ms..10 s x 3 per decade"  at least so many in each factor of ten, both ends included

What has a unit says it, as in any setting; only 0 needs none.

A factorial design takes all combinations, and a design "zip" the first value of each axis, then
the second. Latin hypercubes and Sobol sequences fill the space with few points: they draw from
ranges, which then have no number of values, and choose from lists. Both come from
`scipy.stats.qmc`, seeded with the seed of the sweep.
"""

from __future__ import annotations

import abc
import itertools
import math
import re
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
import scipy  # it loads its parts on their first use, and scipy.stats takes a second
from attrs import evolve, field, frozen

from lhsim.checks import is_manageable, whole, within
from lhsim.errors import InputError
from lhsim.units import BYTE, PER_SECOND, SECOND, Typed, Unit, typed

AGENTS = "agents"  # the axis that is no parameter of a system
RANGES = '"lin 0..1 x 5", "log 10..1e6 x 3 per decade", or a list'
SPANS = '"lin 0..1", "log 1 ms..1 s", or a list'
MOST_POINTS = 1_000_000
MOST_DIGITS = 12

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_RANGE = re.compile(
    rf"\s*(?P<scale>lin|log)\s+(?P<low>{_NUMBER})\s*(?P<low_unit>\S*?)\s*\.\.\s*"
    rf"(?P<high>{_NUMBER})\s*(?P<high_unit>[^\s\d]*)"
    rf"(?:\s+x\s+(?P<count>\d+)(?P<decade>\s+per\s+decade)?)?\s*"
)

Point = dict[str, Any]  # a value for each axis


@frozen
class Levels:
    """An axis whose values are listed."""

    values: tuple[Any, ...]

    def at(self, u: float) -> Any:
        """Return the value at a place in [0, 1)."""
        return self.values[int(u * len(self.values))]

    def rounded(self) -> Levels:
        """Return itself: what is listed is meant."""
        return self

    def typed(self, value: object) -> object:
        """Return a value with the unit that it was written with: a number had none."""
        return typed(value)


@frozen
class Range:
    """An axis of numbers between two, equally spaced or of equal ratios."""

    scale: Literal["lin", "log"]
    low: float
    high: float
    count: int | None = None
    is_whole: bool = False  # the parameter takes whole numbers only
    unit: Unit | None = None  # of what both ends say, which are in its base unit

    @property
    def values(self) -> tuple[Any, ...]:
        """The values, without repetition."""
        assert self.count is not None
        return tuple(dict.fromkeys(self._exactly(number) for number in self._spaced(self.count)))

    def at(self, u: float) -> Any:
        """Return the value at a place in [0, 1)."""
        if self.scale == "lin":
            return self._exactly(self.low + u * (self.high - self.low))
        ratio = self.high / self.low
        if not math.isfinite(ratio):
            extent = math.log(self.high) - math.log(self.low)
            return self._exactly(self.low * math.exp(u * extent))
        return self._exactly(self.low * ratio**u)

    def rounded(self) -> Range:
        """Return the range in whole numbers."""
        return evolve(self, is_whole=True)

    def typed(self, value: Any) -> object:
        """Return a value with the unit that the range was written with."""
        return typed(value) if self.unit is None else Typed(value, self.unit)

    def _spaced(self, count: int) -> list[float]:
        if count == 1:
            return [self.low]
        space = np.linspace if self.scale == "lin" else np.geomspace
        return [float(number) for number in space(self.low, self.high, count)]

    def _exactly(self, number: float) -> Any:
        """Return a number as a file would have it: not with the rounding of a calculation."""
        return round(number) if self.is_whole else float(f"{number:.12g}")


Axis = Levels | Range


def parse_axis(value: object) -> Axis:
    """Return the axis that is specified; raise `InputError` for no list and no range."""
    if isinstance(value, list | tuple):
        if not value:
            raise InputError("is empty", allowed="at least one value")
        twice = [one for index, one in enumerate(value) if one in value[:index]]
        if twice:
            raise InputError(f"{twice[0]!r} is there twice", allowed="different values")
        return Levels(tuple(value))
    match = _RANGE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise InputError(f"{value!r} is no axis", allowed=RANGES)
    low, high, unit = _ends(match)
    scale: Literal["lin", "log"] = "lin" if match["scale"] == "lin" else "log"
    _check_ends(scale, low, high, str(value))
    return Range(scale, low, high, _count(match, scale, low, high), unit=unit)


def parse_axes(axes: Mapping[str, object]) -> dict[str, Axis]:
    """Return axes by the dotted paths of their parameters.

    Raises `InputError` for one that is no axis, with its path in the key.
    """
    found = {}
    for path, value in flat(axes).items():
        try:
            found[path] = parse_axis(value)
        except InputError as error:
            key = f'axes."{path}"'
            raise InputError(error.problem, key=key, allowed=error.allowed) from None
    return found


def _ends(match: re.Match[str]) -> tuple[float, float, Unit | None]:
    """Return both ends in their base unit, and the unit; 0 has any."""
    ends = [(match["low"], match["low_unit"]), (match["high"], match["high_unit"])]
    if not any(symbol for _, symbol in ends):
        return float(match["low"]), float(match["high"]), None
    for unit in (SECOND, BYTE, PER_SECOND):
        if all(end[1] in unit.multiples or _is_zero(*end) for end in ends):
            low, high = (0.0 if _is_zero(*end) else unit.parse("".join(end)) for end in ends)
            return low, high, unit
    problem = " and ".join("".join(end) for end in ends) + " are not of one kind"
    raise InputError(problem, allowed="two numbers, both without a unit or both with units")


def _is_zero(number: str, symbol: str) -> bool:
    return not symbol and float(number) == 0


def _check_ends(scale: str, low: float, high: float, text: str) -> None:
    if not (is_manageable(low) and is_manageable(high) and low < high):
        raise InputError(f"{text!r} has no extent", allowed="a range from a number to a larger one")
    if scale == "log" and low <= 0:
        raise InputError(f"{text!r} begins at {low:g}", allowed="a logarithmic range from > 0")


def _count(match: re.Match[str], scale: str, low: float, high: float) -> int | None:
    if match["count"] is None:
        return None
    count = int(match["count"][:MOST_DIGITS])  # more of them are too many in any case
    if match["decade"]:
        if scale == "lin":
            raise InputError("decades are those of a logarithmic range", allowed=RANGES)
        count = math.ceil(round(count * _decades(low, high), 9)) + 1
    if not 2 <= count <= MOST_POINTS:
        raise InputError(f"{count} values are no range", allowed=f"from 2 to {MOST_POINTS:,}")
    return count


def _decades(low: float, high: float) -> float:
    ratio = high / low
    return math.log10(ratio) if math.isfinite(ratio) else math.log10(high) - math.log10(low)


class Design(abc.ABC):
    """Which points of the space of the axes are simulated."""

    tag: ClassVar[str] = "kind"
    name: ClassVar[str]

    @classmethod
    def from_scalar(cls, value: object) -> Design:
        """Return the design that is given as a plain text."""
        plain: dict[object, type[Design]] = {one.name: one for one in (Factorial, Zip)}
        if value not in plain:
            raise InputError(
                f"{value!r} is no design that needs no more than its name",
                allowed=f"{', '.join(map(str, plain))}, or a table with the keys kind and points",
            )
        return plain[value]()

    @abc.abstractmethod
    def choose(self, axes: Mapping[str, Axis], seed: int) -> list[Point]:
        """Return the points, in order.

        Raises `InputError`, with an axis as its key, when the design cannot use it.
        """


@frozen(slots=False)
class Factorial(Design):
    """Every combination of the values of all axes; the last axis changes fastest."""

    name: ClassVar[str] = "factorial"

    def choose(self, axes: Mapping[str, Axis], seed: int) -> list[Point]:
        """Return the points, in order."""
        values = [_listed(name, axis) for name, axis in axes.items()]
        if math.prod(map(len, values)) > MOST_POINTS:
            problem = f"has {math.prod(map(len, values)):,} points"
            raise InputError(problem, allowed=f"at most {MOST_POINTS:,}")
        return [dict(zip(axes, point, strict=True)) for point in itertools.product(*values)]


@frozen(slots=False)
class Zip(Design):
    """The first value of each axis together, then the second, and so on."""

    name: ClassVar[str] = "zip"

    def choose(self, axes: Mapping[str, Axis], seed: int) -> list[Point]:
        """Return the points, in order."""
        values = {name: _listed(name, axis) for name, axis in axes.items()}
        first = len(next(iter(values.values())))
        for name, its in values.items():
            if len(its) != first:
                problem = f"has {len(its)} values"
                raise InputError(problem, key=name, allowed=f"{first}, as the first axis has")
        return [dict(zip(axes, point, strict=True)) for point in zip(*values.values(), strict=True)]


_many: Any = [whole(1), within(1, MOST_POINTS)]


@frozen(slots=False)
class Sampled(Design):
    """So many points, spread over the whole space."""

    sampler: ClassVar[str]  # in `scipy.stats.qmc`

    points: int = field(validator=_many)

    def choose(self, axes: Mapping[str, Axis], seed: int) -> list[Point]:
        """Return the points, in order."""
        for name, axis in axes.items():
            if isinstance(axis, Range) and axis.count is not None:
                problem = "says how many values it has, which its design does"
                raise InputError(problem, key=name, allowed=SPANS)
        sampler = getattr(scipy.stats.qmc, self.sampler)
        unit_cube = sampler(len(axes), rng=np.random.default_rng(seed)).random(self.points)
        return [
            {name: axis.at(u) for (name, axis), u in zip(axes.items(), row, strict=True)}
            for row in unit_cube.tolist()
        ]


@frozen(slots=False)
class LatinHypercube(Sampled):
    """A Latin hypercube: each axis is cut into as many parts as there are points, one in each."""

    name: ClassVar[str] = "latin-hypercube"
    sampler: ClassVar[str] = "LatinHypercube"


def _power_of_two(_instance: object, attribute: Any, value: int) -> None:
    if value & (value - 1):
        allowed = "a power of 2, without which the sequence is not balanced"
        raise InputError(f"{value!r} is out of range", key=attribute.name, allowed=allowed)


@frozen(slots=False)
class Sobol(Sampled):
    """A scrambled Sobol sequence."""

    name: ClassVar[str] = "sobol"
    sampler: ClassVar[str] = "Sobol"

    points: int = field(validator=[*_many, _power_of_two])


def _listed(name: str, axis: Axis) -> tuple[Any, ...]:
    if isinstance(axis, Range) and axis.count is None:
        raise InputError("does not say how many values it has", key=name, allowed=RANGES)
    return axis.values


def flat(axes: Mapping[str, object]) -> dict[str, object]:
    """Return axes by their dotted paths: ``axes.polling.interval`` is ``"polling.interval"``."""
    found: dict[str, object] = {}
    for key, value in axes.items():
        if isinstance(value, Mapping):
            found |= {f"{key}.{rest}": inner for rest, inner in flat(value).items()}
        else:
            found[key] = value
    return found
