"""The token bucket of an agent, against the formula and the original's own figure."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lhsim.live.limits import Buckets, Places
from lhsim.live.refusals import Refusal
from lhsim.live.settings import RateLimit


def test_the_original_accepted_2200():
    """100 agents, 13 tokens and 10 a minute, a request each 100 ms until just before 60 s."""
    buckets = Buckets(RateLimit(10 / 60, 13))
    taken = sum(
        not buckets.take(f"agent_{agent}", step / 10) for step in range(600) for agent in range(100)
    )
    assert taken == 2200


@given(
    rate=st.floats(0.1, 50),
    burst=st.integers(1, 20),
    gaps=st.lists(st.floats(0, 2), max_size=100),
)
def test_no_more_than_burst_and_rate_allow(rate, burst, gaps):
    buckets, now, taken = Buckets(RateLimit(rate, burst)), 0.0, 0
    for gap in gaps:
        now += gap
        until = buckets.take("alice", now)
        taken += not until
        assert taken <= math.floor(burst + rate * now + 1e-6)
        if until:  # then there is one when it says
            assert Buckets(RateLimit(rate, burst)).take("bob", now + until) == 0
            assert until <= 1 / rate


def test_there_is_a_token_when_it_says():
    buckets = Buckets(RateLimit(0.5, 1))
    assert buckets.take("alice", 0) == 0
    assert buckets.take("alice", 0.5) == 1.5
    assert buckets.take("alice", 1.99) > 0
    assert buckets.take("alice", 2.0) == 0


def test_full_buckets_are_forgotten_and_others_are_not():
    buckets = Buckets(RateLimit(1, 1))
    for agent in range(9_999):
        buckets.take(f"agent_{agent}", 0)
    buckets.take("late", 1.0)
    buckets.take("latest", 1.2)  # the 10,001st; those of time 0 are full again
    assert set(buckets._buckets) == {"late", "latest"}
    assert buckets.take("late", 1.2) > 0


def test_a_place_is_free_again_after_a_failure():
    places = Places(1, "too many things")

    def fail():
        with places.some():
            with pytest.raises(Refusal, match="too many things"), places.some():
                pass
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert places.taken == 0
