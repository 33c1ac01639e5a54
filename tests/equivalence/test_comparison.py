"""The comparison itself: it sees each single bit, and says where."""

import math

import attrs
import numpy as np
import pytest
from comparison import NAMES_OF_THE_ENGINE, Case, differences

from lhsim.distributions import Deterministic
from lhsim.models import AgentClass, Closed, Cpu, PushServer, System, Workload
from lhsim.simulation import Result

SYSTEM = System(
    name="s",
    workload=Workload(
        traffic=Closed(3), start="together", classes=(AgentClass(0.5), AgentClass(0.5))
    ),
    cpu=Cpu(send=Deterministic(1e-3)),
    push=PushServer(),
)
RESULT = Case(SYSTEM, agents=2).run()


def other(value):  # noqa: PLR0911 - one for each kind
    """Return a value that differs from `value` as little as it can."""
    match value:
        case None:
            return 0
        case bool():
            return not value
        case float():
            return math.nextafter(value, math.inf)
        case int():
            return value + 1
        case str():
            return value + "!"
        case tuple():
            return (*value, "more")
        case np.ndarray():
            return other_array(value)
        case dict():
            *_, last = value
            return value | {last: other(value[last])}
    *_, last = attrs.fields(type(value))
    return attrs.evolve(value, **{last.name: other(getattr(value, last.name))})


def other_array(values):
    if not values.size:
        return np.append(values, 1)
    changed = values.copy()
    changed.flat[-1] = "x" if values.dtype.kind == "U" else other(values.flat[-1].item())
    return changed


def test_a_result_is_the_same_as_itself():
    assert differences(RESULT, Case(SYSTEM, agents=2).run()) == []


@pytest.mark.parametrize("field", attrs.fields(Result), ids=lambda field: field.name)
def test_each_field_counts_but_for_the_engine(field):
    name = field.name
    changed = attrs.evolve(RESULT, **{field.alias: other(getattr(RESULT, name))})
    found = differences(RESULT, changed)
    if name in NAMES_OF_THE_ENGINE:
        assert found == []
    else:
        assert [line for line in found if line.startswith(name)] == found != []


@pytest.mark.parametrize("column", list(RESULT.records))
def test_each_column_of_the_messages_counts(column):
    records = RESULT.records | {column: other(RESULT.records[column])}
    (line,) = differences(RESULT, attrs.evolve(RESULT, records=records))
    assert line.startswith("records[5], message 2 of agent 1: " + column)


@pytest.mark.parametrize("column", list(RESULT.samples))
def test_each_column_of_the_samples_counts(column):
    samples = RESULT.samples | {column: other(RESULT.samples[column])}
    (line,) = differences(RESULT, attrs.evolve(RESULT, samples=samples))
    assert line.startswith(f"samples['{column}'][")


def test_nan_is_nan_and_zero_has_a_sign():
    nan = attrs.evolve(RESULT, backlog_growth=math.nan)
    assert differences(nan, nan) == []
    zero, minus = (attrs.evolve(RESULT, backlog_growth=value) for value in (0.0, -0.0))
    assert differences(zero, minus) == ["backlog_growth: 0.0 != -0.0"]
