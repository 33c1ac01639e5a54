"""The figures of two small runs, which MEANING stands for.

When this fails, a change has altered the figures of unchanged runs. If that is meant, raise
``lhsim.simulation.MEANING``, put the new digests here beside it, and say so in CHANGELOG.md.

Sums are rounded, so that another version of the C library is not taken for another meaning.
"""

from __future__ import annotations

import hashlib

import pytest
import small

import lhsim
from lhsim.simulation import MEANING

FIGURES = {3: {"push": "44464ad45a083e15", "polling": "0ab71e25302e3dd1"}}


@pytest.mark.parametrize("system", [small.PUSH, small.POLLING], ids=lambda system: system.name)
def test_the_figures_are_those_of_this_meaning(system):
    result = lhsim.simulate(system, agents=20, duration=30.0, warmup=4.0, drain=3.0, seed=5)
    counts = (sorted(result.outcomes.items()), result.counters.queries, result.counters.cycles)
    sums = [f"{value:.9g}" for value in result.latency.sums]
    text = repr((counts, sums, result.latency.counts.sum(axis=0).tolist()))
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == FIGURES[MEANING][system.name]
