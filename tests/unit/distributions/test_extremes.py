"""No distribution overflows, divides by zero or warns: it has a finite table, or is refused."""

from __future__ import annotations

import itertools
import math
import warnings
from typing import Any

import numpy as np
import pytest

from lhsim import parameters
from lhsim.distributions import (
    Distribution,
    Exponential,
    Lognormal,
    Mixture,
    Pareto,
    Scaled,
    Shifted,
    Sum,
    Uniform,
    Weibull,
)
from lhsim.errors import InputError

NUMBERS = (0, 5e-324, 1e-160, 1e-3, 1.0, 30, 1e9, 1e18, 1e154, 1.7e308)
FAMILIES: dict[str, Any] = {
    "deterministic": lambda a, _: {"value": a},
    "exponential": lambda a, _: {"mean": a},
    "uniform": lambda a, b: {"low": a, "high": b},
    "gamma": lambda a, b: {"mean": a, "shape": b},
    "lognormal": lambda a, b: {"median": a, "sigma": b},
    "weibull": lambda a, b: {"scale": a, "shape": b},
    "pareto": lambda a, b: {"minimum": a, "alpha": b},
    "hyperexponential": lambda a, b: {"probabilities": [0.5, 0.5], "means": [a, b]},
    "mixture": lambda a, b: {"weights": [a, b], "components": [0.0, 1.0]},
    "shifted": lambda a, b: {"by": -a, "base": {"family": "deterministic", "value": b}},
    "scaled": lambda a, b: {"by": a, "base": {"family": "lognormal", "median": b, "sigma": 2.0}},
    "empirical": lambda a, b: {"samples": [a, b]},
    "quantiles": lambda a, b: {"probabilities": [0, 0.5, 1], "values": [a, a, b]},
}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_has_a_finite_table_or_is_refused(family):
    refused = 0
    for a, b in itertools.product(NUMBERS, repeat=2):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                data = {"family": family, **FAMILIES[family](a, b)}
                found = parameters.structure(data, Distribution, source="f")  # type: ignore[type-abstract]
                table = found.table()
            except InputError as error:
                line = str(error)
                refused += 1
                assert line.isprintable()
                continue
            assert np.isfinite(table.cells).all()
            assert math.isfinite(found.mean)
            for figure in (found.variance, found.std, found.scv):
                assert not math.isnan(figure)
            assert str(found)
    assert 0 < refused < len(NUMBERS) ** 2


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (
            {"family": "mixture", "weights": [1e308, 1e308], "components": [0.0, 1.0]},
            "f: weights: 1e+308 is out of range; allowed: a number > 0, at most 1e+18",
        ),
        (
            {"family": "lognormal", "median": 1.0, "sigma": 40.0},
            "has an infinite mean",
        ),
        (
            {"family": "lognormal", "median": 1.0, "sigma": 10.0},
            "has a mean of 5.18471e+21 s",
        ),
        ({"family": "pareto", "minimum": 1.0, "alpha": 1.0}, "has an infinite mean"),
        (
            {"family": "sum", "terms": [{"family": "weibull", "scale": 1, "shape": 1e-3}]},
            "f: terms[0]: weibull(scale 1 s, shape 0.001) has an infinite mean",
        ),
    ],
)
def test_what_has_no_table_is_refused_where_it_is_described(data, line):
    with pytest.raises(InputError) as caught:
        parameters.structure(data, Distribution, source="f")  # type: ignore[type-abstract]
    assert line in str(caught.value)


def nested(levels: int) -> Distribution:
    found: Distribution = Exponential(1.0)
    for _ in range(levels):
        found = Shifted(found, 0.001)
    return found


def test_distributions_are_nested_to_a_depth_that_has_a_bound():
    assert nested(49).table().mean == pytest.approx(1.049)
    with pytest.raises(InputError, match="base: is nested too deeply"):
        nested(1000)


def test_a_file_that_nests_a_thousand_distributions_is_one_line():
    data: dict[str, object] = {"family": "exponential", "mean": 1.0}
    for _ in range(1000):
        data = {"family": "scaled", "by": 1.0, "base": data}
    with pytest.raises(InputError, match="nested too deeply"):
        parameters.structure(data, Distribution, source="f")  # type: ignore[type-abstract]


@pytest.mark.parametrize(
    "found",
    [
        Mixture((1.0, 1.0), (Lognormal(1.0, 37.0), Lognormal(1.0, 36.0))),
        Scaled(Lognormal(1e18, 36.0), 1e18),
        Sum((Lognormal(1.0, 37.6), Lognormal(1.0, 37.6))),
        Lognormal(1e-170, 60.0),
        Weibull(1e-170, 1e-3),
        Pareto(1.0, math.nextafter(1.0, 2.0)),
        Uniform(0.0, 1e-170),
    ],
    ids=str,
)
def test_moments_of_extremes_are_numbers(found):
    for figure in (found.mean, found.variance, found.std, found.scv):
        assert figure >= 0
