"""The log-bucketed histogram."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lhsim.metrics import histogram

values = st.floats(1e-9, 1e9)


@given(values)
def test_a_value_lies_between_the_edges_of_its_bucket(value):
    low, high = histogram.edges(histogram.bucket(value))
    assert low <= value < high
    assert high / low <= 1 + 1 / histogram.STEPS + 1e-12


@pytest.mark.parametrize(("value", "index"), [(0.0, 0), (1e-300, 0), (1e300, -1), (math.inf, -1)])
def test_what_lies_outside_enters_the_end_buckets(value, index):
    assert histogram.bucket(value) == index % histogram.BUCKETS


@given(st.lists(values, min_size=1, max_size=300), st.floats(0, 1))
def test_a_quantile_is_within_its_stated_error(sample, q):
    counts = np.zeros((1, histogram.BUCKETS), np.int64)
    for value in sample:
        histogram.record(counts, 0, value)
    ordered = np.sort(sample)
    exact = ordered[max(0, math.ceil(q * len(sample) - 1e-9) - 1)]
    assert histogram.quantile(counts[0], q) == pytest.approx(exact, rel=1 / histogram.STEPS)


def test_a_quantile_among_values_not_seen_is_infinite():
    counts = np.zeros((1, histogram.BUCKETS), np.int64)
    for value in (1.0, 2.0, 3.0):
        histogram.record(counts, 0, value)
    assert histogram.quantile(counts[0], 0.5, beyond=1) == pytest.approx(2.0, rel=0.02)
    assert histogram.quantile(counts[0], 0.9, beyond=1) == math.inf


def test_nothing_has_no_quantile():
    assert math.isnan(histogram.quantile(np.zeros(histogram.BUCKETS, np.int64), 0.5))


@given(st.lists(st.floats(0, 1e12)))
def test_a_tally_counts_each_value_in_its_bucket(values):
    counts = np.zeros((1, histogram.BUCKETS), np.int64)
    for value in values:
        histogram.record(counts, 0, value)
    assert (histogram.tally(np.array(values, float)) == counts[0]).all()
