"""How experiments say in words what a system is."""

from __future__ import annotations

import pytest
from attrs import evolve

import lhsim
from lhsim.distributions import Deterministic, Exponential
from lhsim.experiments.reporting import _words
from lhsim.experiments.setup import described
from lhsim.models import Nodes
from lhsim.report.calibration import _range
from lhsim.units import BYTE, SECOND


def test_nodes_are_said_with_the_workload():
    push = lhsim.load_system("push")
    assert described(push) == "ring, Poisson 0.1 msg/s an agent"
    several = evolve(push, nodes=Nodes(3, "least_connections"))
    assert described(several) == "ring, Poisson 0.1 msg/s an agent, 3 nodes (least_connections)"
    assert described(evolve(push, nodes=Nodes(1))).endswith(", 1 node (hash)")


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        (Deterministic(2000.0), BYTE, "2,000 B"),
        (Exponential(2000.0), BYTE, "mean 2.00 kB, p50 1.39 kB, p99 9.21 kB"),
        (Deterministic(0.002), SECOND, "2 ms"),
        (Exponential(2.0), None, "mean 2.00 s, p50 1.39 s, p99 9.21 s"),
    ],
)
def test_sizes_are_bytes_and_times_are_seconds(value, unit, said):
    assert _words(value, unit) == said


def test_a_range_of_one_value_is_that_value():
    assert (_range("50", "50"), _range("50", "60")) == ("50", "50-60")
