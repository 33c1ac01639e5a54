from __future__ import annotations

import math

import numpy as np
import pytest

from lhsim.metrics import Latency, histogram
from lhsim.metrics.latency import mean_of_runs, merged, quantile_of_runs


def latency_of(batches, pending=()):
    """Return the latencies of messages, a list for each batch, and the ages of pending ones."""
    counts = np.zeros((len(batches), histogram.BUCKETS), np.int64)
    for number, values in enumerate(batches):
        for value in values:
            histogram.record(counts, number, value)
    everything = np.concatenate([np.asarray(values, float) for values in batches])
    return Latency(
        counts=counts,
        sums=np.array([float(np.sum(values)) for values in batches]),
        min=float(everything.min()) if len(everything) else math.nan,
        max=float(everything.max()) if len(everything) else math.nan,
        ages=np.array(pending, float),
    )


def exponential(seed=1, batches=20, each=500):
    return latency_of(np.random.default_rng(seed).exponential(size=(batches, each)))


def test_how_many_values_are_below_a_value():
    counts = np.zeros((2, histogram.BUCKETS), np.int64)
    for row, value in ((0, 1.0), (0, 1.0), (0, 2.0), (1, 4.0)):
        histogram.record(counts, row, value)
    assert list(histogram.below(counts, 3.0)) == [3, 0]
    # In the middle of the bucket of 1.0, half of what it holds.
    assert list(histogram.below(counts, 1 + 0.5 / histogram.STEPS)) == [1, 0]
    assert list(histogram.below(counts, math.nan)) == [0, 0]
    assert list(histogram.below(counts, 2.0**40)) == [3, 1]


def test_a_run_knows_its_mean_and_quantiles_from_ten_batches():
    latency = exponential()
    mean, p90 = latency.mean_estimate(), latency.estimate(0.9)
    assert (mean.n, mean.flags) == (p90.n, p90.flags) == (10, ())
    assert mean.value == pytest.approx(latency.mean)
    assert mean.low < 1.0 < mean.high
    assert p90.value == latency.quantile(0.9)
    assert p90.low < math.log(10) < p90.high
    assert latency.interval(0.9) == p90.interval
    assert latency.mean_interval() == mean.interval


def test_batches_that_follow_each_other_are_found():
    levels = np.cumsum(np.random.default_rng(3).normal(size=20)) * 0.2 + 3
    latency = latency_of([np.full(50, level) for level in levels])
    assert "correlated batches" in latency.mean_estimate().flags


def test_few_messages_say_so():
    few = latency_of([[1.0] * 2] * 20)
    assert few.mean_estimate().n == 10 or "few batches" in few.mean_estimate().flags
    none = latency_of([[]] * 20)
    assert math.isnan(none.mean_estimate().low)
    assert "few batches" in none.mean_estimate().flags
    assert math.isnan(none.estimate(0.5).low)
    assert not none.estimate(0.5).reliable


@pytest.mark.parametrize("q", [0.01, 0.5, 0.99])
def test_equal_latencies_are_known_exactly(q):
    latency = latency_of([[0.3] * 100] * 20)
    found = latency.estimate(q)
    assert (found.value, found.low, found.high) == (0.3, 0.3, 0.3)
    assert found.flags == ()


def test_a_latency_that_many_messages_have_is_inside_its_interval():
    """Where a service takes a constant time, most messages have exactly that latency."""
    waits = np.random.default_rng(2).exponential(size=(20, 300))
    latency = latency_of([[0.01] * 700 + list(0.01 + some) for some in waits])
    for q in (0.3, 0.5, 0.69):
        found = latency.estimate(q)
        assert found.low <= 0.01 <= found.high, q


def test_replications_that_are_too_short_say_so():
    """Each is a stretch of one slow movement: nobody sees how far it goes."""
    rng = np.random.default_rng(4)
    runs = [
        latency_of(np.exp(np.cumsum(rng.normal(scale=0.02, size=(20, 100)))).reshape(20, 100))
        for _ in range(5)
    ]
    assert "small sample" in mean_of_runs(runs).flags
    assert "small sample" in quantile_of_runs(runs, 0.5).flags
    assert mean_of_runs([exponential(seed) for seed in (1, 2, 3)]).flags == ()


def test_the_mean_of_replications_is_that_of_their_means():
    runs = [exponential(1, each=100), exponential(2, each=300)]
    found = mean_of_runs(runs)
    assert found.value == pytest.approx((runs[0].mean + runs[1].mean) / 2)
    assert (found.n, found.flags) == (2, ("few replications",))
    assert math.isnan(mean_of_runs([latency_of([[]] * 20)]).value)


def test_the_ends_have_no_interval():
    assert "thin tail" in exponential().estimate(1.0).flags


def test_pending_messages_that_leave_a_quantile_open_leave_its_interval_open():
    done = np.random.default_rng(1).exponential(size=(20, 100))
    latency = latency_of(done, pending=[0.5] * 100)
    p99, p50 = latency.estimate(0.99), latency.estimate(0.5)
    assert p99.high == math.inf
    assert "lower bound" in p99.flags
    assert p99.value == latency.quantile(0.99)
    assert latency.is_lower_bound(0.5)
    assert "lower bound" in p50.flags
    assert "lower bound" in latency.mean_estimate().flags
    assert "lower bound" not in latency_of(done, pending=[50.0]).estimate(0.5).flags


def test_replications_together_are_one_sample():
    runs = [exponential(seed) for seed in (1, 2, 3, 4)]
    together = merged(runs)
    assert together.count == sum(run.count for run in runs)
    assert together.mean == pytest.approx(np.mean([run.mean for run in runs]))
    assert together.max == max(run.max for run in runs)
    found = quantile_of_runs(runs, 0.99)
    assert (found.n, found.flags) == (4, ())
    assert found.value == together.quantile(0.99)
    assert found.low < math.log(100) < found.high
    assert found.high - found.value > found.value - found.low  # the tail is thinner above


def test_a_run_with_more_messages_weighs_more():
    short, long = latency_of([[1.0] * 10] * 20), latency_of([[2.0] * 90] * 20)
    assert quantile_of_runs([short, long], 0.09).value == pytest.approx(1.0, rel=1 / 64)
    assert quantile_of_runs([short, long], 0.11).value == pytest.approx(2.0, rel=1 / 64)


def test_a_run_without_messages_does_not_count():
    runs = [exponential(seed) for seed in (1, 2, 3)]
    silent = latency_of([[]] * 20)
    assert quantile_of_runs([*runs, silent], 0.9) == quantile_of_runs(runs, 0.9)
    assert math.isnan(quantile_of_runs([silent, silent], 0.9).value)


def test_one_run_is_too_few():
    found = quantile_of_runs([exponential()], 0.5)
    assert found.flags == ("few replications",)
    assert math.isnan(found.low)
