"""Axes and designs: which points a sweep runs."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lhsim import parameters
from lhsim.errors import InputError
from lhsim.experiments.axes import (
    Factorial,
    LatinHypercube,
    Levels,
    Range,
    Sobol,
    Zip,
    flat,
    parse_axis,
)
from lhsim.experiments.specification import ParameterSweep


def values(axis):
    return list(parse_axis(axis).values)


@pytest.mark.parametrize(
    ("axis", "expected"),
    [
        ("lin 0..1 x 5", [0, 0.25, 0.5, 0.75, 1]),
        ("lin -2..2 x 2", [-2, 2]),
        ("lin .1..0.3 x 3", [0.1, 0.2, 0.3]),
        ("log 10..1e6 x 6", [10, 100, 1e3, 1e4, 1e5, 1e6]),
        ("log 1..100 x 2 per decade", [1, 10**0.5, 10, 10**1.5, 100]),
        ("log 1 ms..1 s x 1 per decade", [0.001, 0.01, 0.1, 1]),
        ("log 1ms..1s x 4", [0.001, 0.01, 0.1, 1]),
        ("lin 1 kB..3 kB x 3", [1000, 2000, 3000]),
        ("lin 60/min..3/s x 3", [1, 2, 3]),
        ("lin 0..1 s x 2", [0, 1]),
        ([1, "50 ms", {"family": "exponential"}], [1, "50 ms", {"family": "exponential"}]),
    ],
)
def test_lists_and_ranges(axis, expected):
    found = values(axis)
    assert found == expected or found == pytest.approx(expected, rel=1e-11)


def test_both_ends_are_there_and_the_steps_are_no_larger_than_asked():
    found = values("log 10..3000 x 3 per decade")
    assert (found[0], found[-1]) == (10, 3000)
    steps = np.diff(np.log10(found))
    assert steps.max() <= 1 / 3
    assert steps.max() == pytest.approx(steps.min())


def test_a_parameter_that_is_whole_gets_whole_numbers_each_once():
    axis = parse_axis("log 1..10 x 8").rounded()
    assert axis.values == (1, 2, 3, 4, 5, 7, 10)
    assert all(type(value) is int for value in axis.values)


@pytest.mark.parametrize(
    ("axis", "part"),
    [
        ([], "is empty; allowed: at least one value"),
        ([1, 2, 1.0], "1.0 is there twice"),
        (3, "3 is no axis; allowed: "),
        ("10 to 20", "'10 to 20' is no axis"),
        ("lin 1..1 x 2", "has no extent"),
        ("lin 2..1 x 2", "has no extent"),
        ("lin 0..1e999 x 2", "has no extent"),
        ("log 0..1 x 2", "begins at 0; allowed: a logarithmic range from > 0"),
        ("log -1..1 x 2", "begins at -1"),
        ("lin 0..1 x 1", "1 values are no range"),
        ("lin 0..1 x 2 per decade", "decades are those of a logarithmic range"),
        ("lin 1 ms..1 kB x 2", "1ms and 1kB are not of one kind"),
        ("lin 1..1 s x 2", "1 and 1s are not of one kind"),
        ("lin 0..1 x 99999999", "values are no range; allowed: from 2 to 1,000,000"),
    ],
)
def test_what_is_no_axis(axis, part):
    with pytest.raises(InputError) as error:
        parse_axis(axis)
    assert part in str(error.value)


AXES = {"a": Levels((1, 2)), "b": Levels(("x", "y", "z"))}


def test_a_factorial_design_has_all_combinations_the_last_axis_fastest():
    points = [tuple(point.values()) for point in Factorial().choose(AXES, 1)]
    assert points == [(1, "x"), (1, "y"), (1, "z"), (2, "x"), (2, "y"), (2, "z")]


def test_a_zip_goes_along_all_axes_at_once():
    axes = {"a": Levels((1, 2)), "b": Range("lin", 5, 6, 2)}
    assert Zip().choose(axes, 1) == [{"a": 1, "b": 5}, {"a": 2, "b": 6}]
    with pytest.raises(InputError, match="b: has 3 values; allowed: 2, as the first axis has"):
        Zip().choose(AXES, 1)


SPANS = {"x": Range("lin", 0, 10), "y": Range("log", 1, 1e4), "n": Range("lin", 1, 9).rounded()}


@pytest.mark.parametrize("design", [LatinHypercube(16), Sobol(16)], ids=lambda one: one.name)
def test_sampled_points_fill_each_axis_evenly(design):
    points = design.choose(SPANS, 7)
    assert len(points) == 16
    # One in each sixteenth of both axes: true of a Latin hypercube, and of a Sobol sequence.
    assert sorted(int(point["x"] / 10 * 16) for point in points) == list(range(16))
    assert sorted(int(math.log10(point["y"]) / 4 * 16) for point in points) == list(range(16))
    assert all(type(point["n"]) is int and 1 <= point["n"] <= 9 for point in points)


@pytest.mark.parametrize("design", [LatinHypercube(8), Sobol(8)], ids=lambda one: one.name)
def test_sampled_points_follow_from_the_seed(design):
    assert design.choose(SPANS, 7) == design.choose(SPANS, 7)
    assert design.choose(SPANS, 7) != design.choose(SPANS, 8)


def test_a_list_in_a_sampled_design_is_chosen_from():
    points = LatinHypercube(9).choose({"b": AXES["b"]}, 1)
    assert sorted(point["b"] for point in points) == sorted("xyz" * 3)


def test_a_design_says_how_many_values_there_are_or_the_axis_does():
    with pytest.raises(InputError, match="x: does not say how many values it has"):
        Factorial().choose(SPANS, 1)
    with pytest.raises(InputError, match="a: says how many values it has, which its design does"):
        Sobol(4).choose({"a": Range("lin", 0, 1, 5)}, 1)


def test_paths_may_be_tables():
    nested = {"agents": [1], "polling": {"interval": [2]}, "store.connections": [3]}
    assert flat(nested) == {"agents": [1], "polling.interval": [2], "store.connections": [3]}


SPECIFICATION = {"kind": "sweep", "systems": ["push"], "axes": {"agents": [10]}}


@pytest.mark.parametrize(
    ("design", "expected"),
    [
        ("factorial", Factorial()),
        ("zip", Zip()),
        ({"kind": "factorial"}, Factorial()),
        ({"kind": "sobol", "points": 8}, Sobol(8)),
        ({"kind": "latin-hypercube", "points": 5}, LatinHypercube(5)),
    ],
)
def test_designs_in_a_file(design, expected):
    data = SPECIFICATION | {"design": design}
    assert parameters.structure(data, ParameterSweep, source="f").design == expected


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"design": "sobol"}, "f: design: 'sobol' is no design that needs no more than its name"),
        ({"design": {"kind": "grid"}}, "f: design.kind: unknown kind 'grid'; allowed: factorial,"),
        ({"design": {"kind": "sobol"}}, "f: design.points: is missing"),
        ({"design": {"kind": "sobol", "points": 6}}, "f: design.points: 6 is out of range"),
        ({"design": {"kind": "sobol", "points": 0}}, "f: design.points: 0 is out of range"),
        ({"axes": {}}, "f: axes: is empty"),
        ({"axes": {"polling": {"interval": "x"}}}, "f: axes.\"polling.interval\": 'x' is no axis"),
        ({"axes": {"store.scan": [1]}}, "f: agents: is missing; allowed: either agents = N or"),
        ({"agents": 5}, "f: agents: is an axis, too"),
        ({"systems": []}, "f: systems: is empty"),
        ({"kind": "swep"}, "f: kind: unknown choice 'swep'"),
        ({"axis": {}}, "f: axis: unknown key (did you mean 'axes'?)"),
    ],
)
def test_a_mistake_in_a_specification_is_named(changes, line):
    with pytest.raises(InputError) as error:
        parameters.structure(SPECIFICATION | changes, ParameterSweep, source="f")
    assert str(error.value).startswith(line)
