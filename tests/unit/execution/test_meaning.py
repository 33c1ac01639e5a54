"""The figures of two small runs, which MEANING stands for.

When this fails, a change has altered the figures of unchanged runs. If that is meant, raise
``lhsim.simulation.MEANING``, put the new digests here beside it, and say so in CHANGELOG.md.
"""

from __future__ import annotations

import hashlib

import pytest
import small

import lhsim
from lhsim.simulation import MEANING

FIGURES = {1: {"push": "43f86dfcd8f3316f", "polling": "33dd03d7da17cdc2"}}


@pytest.mark.parametrize("system", [small.PUSH, small.POLLING], ids=lambda system: system.name)
def test_the_figures_are_those_of_this_meaning(system):
    result = lhsim.simulate(system, agents=20, duration=30.0, seed=5)
    counts = (sorted(result.outcomes.items()), result.counters.queries, result.counters.cycles)
    text = repr((counts, result.latency.sums.tolist(), result.latency.counts.sum(axis=0).tolist()))
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == FIGURES[MEANING][system.name]
