"""The rule of an autoscaler: worked by hand, and what holds whatever the load."""

from __future__ import annotations

import math

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lhsim.errors import InputError
from lhsim.planning import Autoscaler, autoscale
from lhsim.planning.autoscaling import FleetSize, proportional

EACH = 20.0  # what a node serves [1/s]
EAGER = Autoscaler(target=0.5, start_delay=0.0, stabilization=0.0, period=15.0, tolerance=0.0)


def ran(load, rule, start=1, most=50):
    return autoscale(load, proportional(EACH, most), rule, start=start)


@pytest.mark.parametrize(
    ("ready", "starting", "utilization", "desired"),
    [
        (4, 0, 0.75, 6),  # ceil(4 * 1.5)
        (4, 0, 0.51, 4),  # 1.02, within 10 %
        (4, 0, 0.56, 5),  # 1.12: ceil(4.48)
        (4, 0, 0.46, 4),  # 0.92, within 10 %
        (4, 0, 0.20, 2),  # ceil(1.6)
        (4, 0, 0.0, 0),  # the least is another's concern
        (2, 2, 1.0, 4),  # those that start as idle: 1.0, as wanted
        (2, 1, 1.0, 4),  # 1.33 of 3
        (2, 4, 1.0, 6),  # 0.67 of 6, the other way: as it is
        (4, 2, 0.25, 2),  # in by those that are ready: ceil(4 * 0.5)
    ],
)
def test_it_wants_what_kubernetes_documents(ready, starting, utilization, desired):
    rule = Autoscaler(target=0.5)
    assert rule.desired(ready, starting, utilization) == desired


def test_a_quotient_that_is_whole_is_not_rounded_up():
    rule = Autoscaler(target=0.7, tolerance=0.0)
    assert rule.desired(3, 0, 0.7 * 7 / 3) == 7


def test_a_jump_of_the_load_worked_by_hand():
    """One node at 20/s; 10/s, then 30/s; target 50 %, 30 s to start, periods of 15 s.

    Period 1 has 30/s for 20/s: 100 % busy, 150 messages pile up, two nodes are wanted. One starts
    in the periods 2 and 3, in which 300 more wait: with it as idle the ratio is 1. From 4 on
    two serve 40/s, of which 10/s work off the backlog, 150 messages in a period, and are 100 %
    busy: four are wanted in period 5.
    """
    rule = attrs.evolve(EAGER, start_delay=30.0)
    found = ran([10.0, 30.0, 30.0, 30.0, 30.0, 30.0], rule)
    assert found.nodes.tolist() == [1, 1, 2, 2, 2, 4]
    assert found.ready.tolist() == [1, 1, 1, 1, 2, 2]
    assert found.utilization.tolist() == [0.5, 1.0, 1.0, 1.0, 1.0, 1.0]
    assert found.wait.tolist() == [0.0, 150 / 20, 300 / 20, 450 / 20, 300 / 40, 150 / 40]
    assert found.short.tolist() == [False, True, True, True, True, True]


def test_it_scales_in_once_the_window_has_forgotten_the_load():
    """Four nodes are wanted at 30 s for the last time. At 75 s that is 45 s ago, and counts."""
    rule = attrs.evolve(EAGER, stabilization=45.0)
    found = ran([40.0, 40.0, 10.0, 10.0, 10.0, 10.0, 10.0, 10.0], rule, start=4)
    assert found.nodes.tolist() == [4, 4, 4, 4, 4, 4, 1, 1]


def test_a_node_that_starts_is_stopped_before_one_that_serves():
    rule = attrs.evolve(EAGER, start_delay=60.0)
    found = ran([20.0, 2.0, 2.0], rule, start=1)
    assert found.nodes.tolist() == [1, 2, 1]
    assert found.ready.tolist() == [1, 1, 1]


def test_capacity_counts_for_short_and_throughput_for_the_backlog():
    found = autoscale([15.0], proportional(EACH, 2, capacity=12.0), EAGER, start=1)
    assert found.short.tolist() == [True]
    assert found.wait.tolist() == [0.0]


def test_it_sees_what_the_processors_do_where_another_station_is_full():
    """The store is full at 30/s, when the processors of two nodes are 40 % busy: nothing comes."""
    sizes = [FleetSize(number, 30.0, (0.0, 30.0), (0.0, 0.8 / number)) for number in (1, 2, 3)]
    found = autoscale([60.0] * 8, sizes, attrs.evolve(EAGER, target=0.7), start=2)
    assert found.nodes.max() == 2
    assert found.wait.tolist() == [15.0 * (number + 1) for number in range(8)]


loads = st.lists(st.floats(0.0, 900.0), min_size=1, max_size=60)
rules = st.builds(
    Autoscaler,
    target=st.floats(0.2, 1.0),
    start_delay=st.floats(0.0, 120.0),
    stabilization=st.floats(0.0, 300.0),
    period=st.floats(5.0, 60.0),
    tolerance=st.floats(0.0, 0.3),
    least=st.integers(1, 5),
    most=st.integers(5, 60),
)


@given(loads, rules)
def test_it_stays_within_its_limits(load, rule):
    found = ran(load, rule, start=None)
    most = min(rule.most, 50)
    assert found.nodes.min() >= rule.least
    assert found.nodes.max() <= most
    assert (found.ready >= 1).all()
    assert (found.ready <= found.nodes).all()


@given(loads, rules)
def test_it_scales_in_to_nothing_less_than_it_wanted_in_the_window(load, rule):
    found = ran(load, rule, start=None)
    window = math.ceil(rule.stabilization / rule.period - 1e-9)
    wanted = [
        rule.desired(int(ready), int(nodes - ready), float(busy))
        for ready, nodes, busy in zip(found.ready, found.nodes, found.utilization, strict=True)
    ]
    for number in range(len(load) - 1):
        recent = [*([rule.least] if number < window else [])]
        recent += wanted[max(0, number - window) : number + 1]
        bound = min(int(found.nodes[number]), max(recent))
        assert found.nodes[number + 1] >= min(bound, rule.most)


@given(
    st.floats(1.0, 400.0),
    st.floats(0.2, 0.95),
    st.floats(0.0, 120.0),
    st.floats(0.0, 300.0),
    st.integers(1, 50),
)
def test_a_constant_load_gets_the_fewest_nodes_that_hold_the_target(
    load, target, delay, stabilization, start
):
    rule = Autoscaler(target, delay, stabilization, period=15.0, tolerance=0.0)
    found = autoscale([load] * 2000, proportional(EACH, 2500), rule, start=start)
    fewest = load / EACH / target
    assert found.nodes[-1] in {math.ceil(fewest - 1e-6), math.ceil(fewest + 1e-6)}
    assert found.utilization[-1] <= target + 1e-6
    assert not found.short[-1]


@given(loads, rules)
def test_what_arrives_is_served_or_waits(load, rule):
    found = ran(load, rule, start=None)
    served = (found.utilization * found.ready * EACH * rule.period).sum()
    backlog = found.wait[-1] * found.ready[-1] * EACH
    assert served + backlog == pytest.approx(np.sum(load) * rule.period, rel=1e-9, abs=1e-6)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ({"target": 0.0}, "target"),
        ({"target": 1.5}, "target"),
        ({"period": 0.0}, "period"),
        ({"start_delay": -1.0}, "start_delay"),
        ({"least": 3, "most": 2}, "most: 2 is out of range; allowed: at least the least, 3"),
    ],
)
def test_settings_that_mean_nothing_are_refused(arguments, part):
    with pytest.raises(InputError, match=part):
        Autoscaler(**arguments)


def test_loads_and_sizes_that_mean_nothing_are_refused():
    sizes = proportional(EACH, 3)
    with pytest.raises(InputError, match="load"):
        autoscale([-1.0], sizes, EAGER)
    with pytest.raises(InputError, match="in no order"):
        autoscale([1.0], sizes[1:], EAGER)
    with pytest.raises(InputError, match="too few"):
        autoscale([1.0], sizes, attrs.evolve(EAGER, least=4))
    with pytest.raises(InputError, match="start"):
        autoscale([1.0], sizes, EAGER, start=4)
