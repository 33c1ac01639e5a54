from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lhsim.errors import InputError
from lhsim.units import BYTE, PER_SECOND, SECOND, Unit, format_duration

UNITS = {"s": SECOND, "B": BYTE, "1/s": PER_SECOND}


@pytest.mark.parametrize(
    ("unit", "written", "value"),
    [
        (SECOND, "8 us", 8e-6),
        (SECOND, "8us", 8e-6),
        (SECOND, "8µs", 8e-6),
        (SECOND, " 50ms ", 0.05),
        (SECOND, "0.3 ms", 0.0003),
        (SECOND, "7 ns", 7e-9),
        (SECOND, "2 s", 2.0),
        (SECOND, "1.5 min", 90.0),
        (SECOND, "1 h", 3600.0),
        (SECOND, "2 d", 172_800.0),
        (SECOND, "1e3 ms", 1.0),
        (SECOND, "+.5 s", 0.5),
        (SECOND, "5. s", 5.0),
        (SECOND, "-1 ms", -0.001),
        (SECOND, 3, 3.0),
        (SECOND, 0.25, 0.25),
        (BYTE, "25 kB", 25_000.0),
        (BYTE, "1 KiB", 1024.0),
        (BYTE, "1.5 MiB", 1_572_864.0),
        (PER_SECOND, "10/min", 10 / 60),
        (PER_SECOND, "20 /s", 20.0),
        (PER_SECOND, "36/h", 0.01),
    ],
)
def test_a_quantity_is_read_into_the_base_unit(unit: Unit, written: object, value: float) -> None:
    parsed = unit.parse(written)
    assert parsed == value  # exactly: "0.3 ms" is the float 0.0003, not 0.00029999999999999997
    assert type(parsed) is float


@given(st.integers(0, 10**6), st.sampled_from(["ns", "us", "ms"]))
@settings(deadline=None)
def test_a_multiple_is_the_float_nearest_to_the_decimal(count: int, symbol: str) -> None:
    exponent = {"ns": -9, "us": -6, "ms": -3}[symbol]
    assert SECOND.parse(f"{count} {symbol}") == float(f"{count}e{exponent}")


@pytest.mark.parametrize(
    ("unit", "written", "problem"),
    [
        (SECOND, "8 parsecs", "'8 parsecs' has the unit 'parsecs'"),
        (SECOND, "8 MS", "has the unit 'MS'"),
        (SECOND, "8", "'8' has no unit"),
        (SECOND, "8 kB", "has the unit 'kB'"),
        (BYTE, "8 kb", "has the unit 'kb'"),
        (PER_SECOND, "8 s", "has the unit 's'"),
        (SECOND, "", "'' is not a number with a unit"),
        (SECOND, "ms", "is not a number with a unit"),
        (SECOND, "1 2 s", "is not a number with a unit"),
        (SECOND, "nan s", "is not a number with a unit"),
        (SECOND, "1e999 s", "is not finite"),
        (SECOND, "1e999 ms", "is not finite"),
        (SECOND, "1e308 d", "is not finite"),
        (SECOND, math.nan, "nan is not finite"),
        (SECOND, -math.inf, "-inf is not finite"),
        (SECOND, True, "True is not a number"),
        (SECOND, None, "None is not a number"),
        (SECOND, [1], "is not a number"),
    ],
)
def test_what_is_no_quantity_is_refused(unit: Unit, written: object, problem: str) -> None:
    with pytest.raises(InputError) as caught:
        unit.parse(written)
    assert problem in caught.value.problem
    assert caught.value.allowed is not None
    assert all(symbol in caught.value.allowed for symbol in unit.multiples)


@given(st.sampled_from(sorted(UNITS)), st.text("0123456789.eE+-/ µsmkKBinhdaf", max_size=9))
@settings(deadline=None, max_examples=300)
def test_a_text_is_read_or_refused(symbol: str, text: str) -> None:
    try:
        value = UNITS[symbol].parse(text)
    except InputError:
        return
    assert math.isfinite(value)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (3e-9, "3 ns"),
        (8e-6, "8 us"),
        (0.05, "50 ms"),
        (0.0123456, "12.35 ms"),
        (1, "1 s"),
        (2.5, "2.5 s"),
        (60, "60 s"),
        (119, "119 s"),
        (120, "2 min"),
        (125, "2 min 5 s"),
        (3600, "1 h"),
        (3900, "1 h 5 min"),
        (90_000, "25 h"),
        (-0.05, "-50 ms"),
        (math.inf, "inf"),
        (math.nan, "nan"),
    ],
)
def test_a_duration_is_written_as_people_do(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.floats(1e-9, 119))
@settings(deadline=None)
def test_a_formatted_duration_is_read_back(seconds: float) -> None:
    assert SECOND.parse(format_duration(seconds)) == pytest.approx(seconds, rel=6e-3)


def test_a_whole_number_beyond_all_floats_is_refused():
    with pytest.raises(InputError, match="not finite"):
        SECOND.parse(10**400)


@pytest.mark.parametrize("micro", ["us", "µs", "μs"])  # ASCII, the micro sign, the Greek letter
def test_a_microsecond_may_be_written_in_three_ways(micro):
    assert SECOND.parse(f"8 {micro}") == 8e-6


def test_almost_an_hour_is_an_hour():
    assert format_duration(3599.7) == "1 h"
