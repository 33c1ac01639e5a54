"""Quantities with a unit, as people write them in a file: ``"8 us"``, ``"25 kB"``, ``"10/min"``.

Inside lhsim every duration is a float in seconds, every size a float in bytes and every rate a
float per second. A plain number in a model file, or from Python, is already in that base unit; what
somebody types into a setting or an axis has to say its unit (`Typed`), unless it is 0. A field says
which quantity it holds by its type, so that files, error messages and the generated documentation
all read it from there::

    @frozen
    class PollingServer:
        interval: Seconds = 1.0  # sleep between two polls [s]
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from numbers import Integral
from typing import Annotated, Any

from attrs import field, frozen

from lhsim.errors import InputError, is_real, shown

_QUANTITY = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(\S*)\s*")


@frozen
class Unit:
    """A base unit and the multiples of it that may be written in a file.

    Attached to a type by `typing.Annotated`; see `Seconds`, `Bytes` and `PerSecond`.
    """

    symbol: str
    multiples: dict[str, float] = field(factory=dict, hash=False)
    usual: tuple[str, ...] = field(default=(), eq=False)  # those that a hint names

    def parse(self, value: object) -> float:
        """Return `value`, a number or a text such as ``"5 ms"``, in the base unit.

        Raises
        ------
        InputError
            When it is neither, has an unknown unit, is not finite, or was typed without a unit
            though it is not 0.
        """
        if isinstance(value, str):
            return self._parse_text(value)
        if not is_real(value):
            raise self._refuse(f"{shown(value)} is not a number")
        try:
            number = float(value)
        except OverflowError:  # a whole number beyond the range of floats
            number = math.inf
        if not math.isfinite(number):
            raise self._refuse(f"{shown(value)} is not finite")
        if number and isinstance(value, Typed | TypedWhole):
            self._check_typed(value)
        return number

    def hint(self, number: object) -> str:
        """Return how a number may be written with a unit: ``"50s or 50ms"``."""
        return " or ".join(f"{number}{unit}" for unit in self.usual or self.multiples)

    def _check_typed(self, value: Typed | TypedWhole) -> None:
        if value.unit is None:
            raise InputError(f"{value!r} has no unit", allowed=self.hint(value))
        if value.unit != self:
            raise self._refuse(f"{value!r} {value.unit.symbol} has another unit")

    def _parse_text(self, text: str) -> float:
        match = _QUANTITY.fullmatch(text)
        if match is None:
            raise self._refuse(f"{shown(text)} is not a number with a unit")
        number, unit = match.groups()
        if unit not in self.multiples:
            what = f"the unit {shown(unit)}" if unit else "no unit"
            raise self._refuse(f"{shown(text)} has {what}")
        # A division by 1e6 rounds once; a product with 1e-6 would round twice.
        factor = self.multiples[unit]
        value = float(number) * factor if factor >= 1 else float(number) / round(1 / factor)
        if not math.isfinite(value):
            raise self._refuse(f"{shown(text)} is not finite")
        return value

    def _refuse(self, problem: str) -> InputError:
        units = ", ".join(self.multiples)
        return InputError(
            problem, allowed=f"a number [{self.symbol}] or a text with one of {units}"
        )


class Typed(float):
    """A number that somebody typed, and the unit beside it, None for none.

    It is a float like any other, but a field with a unit takes it only with a unit of its kind.
    """

    unit: Unit | None

    def __new__(cls, value: float, unit: Unit | None = None) -> Typed:
        """Return a number with its unit."""
        made = super().__new__(cls, value)
        made.unit = unit
        return made

    def __getnewargs__(self) -> tuple[Any, ...]:
        """Survive a pickle and a copy."""
        return float(self), self.unit


class TypedWhole(int):
    """A whole number that somebody typed without a unit; see `Typed`."""

    unit: Unit | None = None


def typed(value: object) -> object:
    """Return what was typed, with its numbers marked as such, at whatever depth they stand."""
    if is_real(value):
        return TypedWhole(value) if isinstance(value, Integral) else Typed(float(value))
    if isinstance(value, Mapping):
        return {key: typed(item) for key, item in value.items()}
    return [typed(item) for item in value] if isinstance(value, list | tuple) else value


def typed_text(text: str) -> object:
    """Return the number that a text is, as one that was typed without a unit; else the text."""
    for kind in (int, float):
        try:
            return typed(kind(text))
        except ValueError:
            continue
    return text


SECOND = Unit(
    "s",
    {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3}
    | {"s": 1, "min": 60, "h": 3600, "d": 86400},
    ("s", "ms"),
)
BYTE = Unit(
    "B",
    {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3},
    ("B", "kB"),
)
BYTES_PER_SECOND = Unit(
    "B/s",
    {"B/s": 1, "kB/s": 1e3, "MB/s": 1e6, "GB/s": 1e9}
    | {"kbit/s": 125, "Mbit/s": 125e3, "Gbit/s": 125e6},
    ("MB/s", "Mbit/s"),
)
PER_SECOND = Unit("1/s", {"/s": 1, "/min": 1 / 60, "/h": 1 / 3600}, ("/s", "/min"))

Seconds = Annotated[float, SECOND]
Bytes = Annotated[float, BYTE]
PerSecond = Annotated[float, PER_SECOND]
BytesPerSecond = Annotated[float, BYTES_PER_SECOND]


def format_duration(seconds: float) -> str:
    """Return a duration as people write it: ``"50 ms"``, ``"2 s"``, ``"1 h 5 min"``."""
    if not math.isfinite(seconds):
        return str(seconds)
    if seconds < 0:
        return "-" + format_duration(-seconds)
    if seconds >= 3599.5:
        hours, rest = divmod(round(seconds / 60), 60)
        return f"{hours} h {rest} min" if rest else f"{hours} h"
    if seconds >= 120:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    for symbol, factor in (("s", 1.0), ("ms", 1e3), ("us", 1e6)):
        if seconds * factor >= 1:
            return f"{seconds * factor:.4g} {symbol}"
    return f"{seconds * 1e9:.3g} ns" if seconds else "0 s"
