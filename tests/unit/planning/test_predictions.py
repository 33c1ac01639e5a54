"""Prediction intervals: which systems have them, and of which figures."""

from __future__ import annotations

import math

import pytest
from attrs import evolve

import lhsim
from lhsim.planning.predictions import FIGURES, intervals, predictable, prediction_cells


class Run:
    """A result that knows its figures alone."""

    def __init__(self, p99):
        self.p99 = p99

    def row(self):
        return dict.fromkeys(FIGURES, 0.5) | {"p99_latency_ms": self.p99}


@pytest.mark.parametrize("architecture", ["push", "polling"])
def test_open_systems_have_predictions_when_their_runs_have_a_length(architecture):
    system = lhsim.load_system(architecture)
    assert not predictable(system)
    known = evolve(system.calibration, window=7.0)
    assert predictable(evolve(system, calibration=known))
    assert not predictable(evolve(system, calibration=evolve(known, samples={})))
    (cell, *_) = prediction_cells(evolve(system, calibration=known), 20, 1, "auto")
    assert cell.duration - cell.warmup - cell.drain == pytest.approx(7.0)


def test_a_tenth_of_the_samples_may_be_without_a_figure():
    system = lhsim.load_system("push")
    runs = [Run(float(k)) for k in range(1, 38)]
    few, many = [Run(math.nan), *[Run(math.inf)] * 2], [Run(math.inf)] * 5
    found = intervals(system, runs + few)
    assert found["p99_latency_ms"] == intervals(system, runs)["p99_latency_ms"]
    assert "p99_latency_ms" not in intervals(system, runs + many)
    assert "p50_latency_ms" in intervals(system, runs + many)
