"""The rules that both engines share, against naive ones."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lhsim.distributions import Exponential
from lhsim.rules import (
    RAMP,
    RANDOM,
    TOGETHER,
    batch,
    draw,
    draw_block,
    first_spell,
    idle_cost,
    idle_excess,
    is_past,
    other_agent,
    part_inside,
    rate_schedule,
    renewals,
    retransmission_delay,
    slopes,
    slowness,
    start_time,
    stretched,
    take_token,
    time_to_next,
    times_as_long,
    with_slowdowns,
)
from lhsim.streams import uniform

GAPS = np.array([0.0, 1.0, 3.0])
EXCESS = np.array([0.0, 2.0, 3.0])
CURVE = slopes(GAPS, EXCESS)


def test_a_draw_is_the_quantile_of_its_address():
    table = Exponential(2.0).table()
    assert draw(table.cells, 1, 2, 3, 4) == table.quantile(uniform(1, 2, 3, 4))


def test_a_block_holds_the_single_draws():
    cells = Exponential(2.0).table().cells
    values = np.empty(16)
    draw_block(cells, 1, 2, 3, 40, values)
    assert values.tolist() == [draw(cells, 1, 2, 3, 40 + offset) for offset in range(16)]


@given(st.floats(0, 1, exclude_max=True), st.integers(2, 50), st.data())
def test_a_random_target_is_another_agent(u, agents, data):
    agent = data.draw(st.integers(0, agents - 1))
    target = other_agent(u, agent, agents)
    assert 0 <= target < agents
    assert target != agent


def test_every_other_agent_is_equally_likely():
    targets = [other_agent((i + 0.5) / 400, 2, 5) for i in range(400)]
    assert {t: targets.count(t) for t in set(targets)} == {0: 100, 1: 100, 3: 100, 4: 100}


SCHEDULE = rate_schedule(np.array([2.0, 1.0, 1.0]), np.array([1.0, 0.0, 4.0]))  # 6 in 4 s


@pytest.mark.parametrize(
    ("now", "expected", "time"),
    [
        (0.0, 0.5, 0.5),
        (1.5, 0.5, 1.5),  # all of the first piece is used up: the next one has no messages
        (1.5, 1.5, 1.75),
        (2.5, 0.0, 0.5),
        (3.5, 2.5, 1.0),  # 2 in what is left of the third piece, 0.5 in the first
        (1.0, 6.0, 4.0),  # a period
        (402.5, 62.0, 41.0),  # ten of them first
    ],
)
def test_the_time_to_the_next_message_by_hand(now, expected, time):
    assert time_to_next(now, expected, SCHEDULE) == pytest.approx(time)


@given(
    st.lists(st.tuples(st.floats(0.1, 5), st.floats(0, 5)), min_size=1, max_size=5).filter(
        lambda pieces: any(rate > 0.1 for _, rate in pieces)
    ),
    st.floats(0, 100),
    st.floats(0, 50),
)
def test_so_many_messages_are_expected_until_then(pieces, now, expected):
    durations, rates = (np.array(column) for column in zip(*pieces, strict=True))
    time = time_to_next(now, expected, rate_schedule(durations, rates))
    ends = np.append(0.0, np.cumsum(durations))
    cumulative = np.append(0.0, np.cumsum(durations * rates))

    def until(when):
        periods, rest = divmod(when, ends[-1])
        return periods * cumulative[-1] + np.interp(rest, ends, cumulative)

    assert time >= 0
    assert until(now + time) - until(now) == pytest.approx(expected, abs=1e-9 * max(1, now + time))


@pytest.mark.parametrize(
    ("u", "delay"),
    [(0.99, 0.0), (0.25, 0.0), (0.2499, 1.0), (0.0625, 1.0), (0.0624, 3.0), (0.015, 7.0)],
)
def test_a_lost_packet_is_sent_again_after_a_timeout_that_doubles(u, delay):
    """Lost once with probability 1/4, twice with 1/16, three times with 1/64."""
    assert retransmission_delay(u, 0.25, 1.0) == delay


def test_the_timeout_of_a_retransmission_has_a_limit():
    six_losses = 1.5**-1 * 0.5**6
    assert retransmission_delay(six_losses, 0.5, 20.0) == 20.0 + 40.0 + 4 * 60.0
    assert retransmission_delay(0.3, 0.5, 100.0) == 100.0
    assert retransmission_delay(0.2, 0.5, 100.0) == 200.0  # it begins beyond the limit
    assert np.isfinite(retransmission_delay(0.0, 0.5, 1.0))


def test_a_share_of_the_agents_is_slow():
    times = [slowness(0.3, 4.0, agent, 9) for agent in range(1000)]
    assert set(times) == {1.0, 4.0}
    assert times.count(4.0) == pytest.approx(300, abs=4 * (1000 * 0.3 * 0.7) ** 0.5)
    assert {slowness(0.0, 4.0, agent, 9) for agent in range(100)} == {1.0}
    assert {slowness(1.0, 4.0, agent, 9) for agent in range(100)} == {4.0}


@given(st.lists(st.integers(0, 12), max_size=60), st.integers(1, 5), st.integers(1, 9))
def test_a_token_bucket_is_one_that_counts_its_tokens(gaps, burst, interval):
    """Whole numbers, so that the naive one adds up fractions of tokens without an error."""
    now, full_at, parts = 0, 0.0, burst * interval
    for gap in gaps:
        now, parts = now + gap, min(parts + gap, burst * interval)
        after = take_token(float(now), full_at, float(interval), float(burst))
        assert (after >= 0) == (parts >= interval)
        if after >= 0:
            full_at, parts = after, parts - interval


@given(st.floats(0, 10))
def test_the_excess_is_piecewise_linear_and_flat_at_the_end(gap):
    assert idle_excess(gap, CURVE) == pytest.approx(np.interp(gap, GAPS, EXCESS))


def test_a_loop_that_never_ran_is_as_cold_as_can_be():
    assert idle_excess(np.inf, CURVE) == 3.0


@pytest.mark.parametrize(
    ("now", "demand", "duration"),
    [
        (0.0, 1.0, 1.0),  # before the first pause [2, 3)
        (0.0, 2.0, 2.0),  # due when the pause begins
        (0.0, 2.5, 3.5),  # through the pause
        (2.0, 1.0, 2.0),  # begins with the pause
        (2.5, 1.0, 1.5),  # begins inside the pause
        (3.0, 1.0, 1.0),  # begins when the pause ends
        (1.0, 4.0, 6.0),  # through both pauses, [2, 3) and [5, 6)
    ],
)
def test_a_pause_stretches_a_service(now, demand, duration):
    starts, ends = np.array([2.0, 5.0]), np.array([3.0, 6.0])
    assert stretched(now, demand, starts, ends, first_spell(now, ends, 0)) == duration


@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), max_size=8),
    st.integers(0, 40),
    st.integers(1, 40),
)
def test_a_stretched_service_gets_its_demand_of_unpaused_time(pauses, now, demand):
    starts, ends, clock = [], [], 0
    for gap, length in pauses:
        starts.append(clock + gap)
        clock += gap + length
        ends.append(clock)
    paused = {tick for start, end in zip(starts, ends, strict=True) for tick in range(start, end)}
    worked, tick = 0, now
    while worked < demand:  # whole ticks, counted one by one
        worked += tick not in paused
        tick += 1
    first = first_spell(float(now), np.array(ends, float), 0)
    duration = stretched(
        float(now), float(demand), np.array(starts, float), np.array(ends, float), first
    )
    assert now + duration == tick


def test_the_first_pause_is_found_from_any_earlier_one():
    ends = np.array([1.0, 2.0, 4.0])
    for known in range(3):
        assert first_spell(2.0, ends, min(known, 2)) == 2
    assert first_spell(5.0, ends, 2) == 3


@pytest.mark.parametrize(
    ("now", "factor"), [(0.5, 1.0), (1.0, 3.0), (1.5, 3.0), (2.0, 1.0), (4.5, 3.0), (6.0, 1.0)]
)
def test_an_operation_takes_longer_that_begins_in_a_slowdown(now, factor):
    starts, ends = np.array([1.0, 4.0]), np.array([2.0, 5.0])
    factors = np.array([3.0, 3.0])
    assert times_as_long(now, starts, factors, first_spell(now, ends, 0)) == factor


def test_of_slowdowns_that_overlap_the_slowest_counts():
    starts, ends = np.array([1.0, 4.0]), np.array([2.0, 5.0])
    others = np.array([[1.5, 4.25, 7.0], [3.0, 4.5, 8.0], [2.0, 1.25, 1.0]])
    united = with_slowdowns(starts, ends, 1.5, others)
    expected = [(1.0, 1.5, 1.5), (1.5, 2.0, 2.0), (2.0, 3.0, 2.0), (4.0, 4.25, 1.5),
                (4.25, 4.5, 1.5), (4.5, 5.0, 1.5)]  # fmt: skip
    assert united.T.tolist() == [list(one) for one in expected]
    assert with_slowdowns(starts, ends, 1.5, others[:, :0]).T.tolist() == [[1, 2, 1.5], [4, 5, 1.5]]


def test_renewals_alternate_with_gaps_beyond_the_horizon():
    gap, length = Exponential(2.0).table().cells, Exponential(0.5).table().cells
    starts, ends = renewals(gap, length, (24, 25), 7, 0, 100.0)
    borders = np.column_stack([starts, ends]).ravel()
    assert (np.diff(borders) > 0).all()
    assert ends[-2] <= 100.0 < ends[-1]
    assert starts[1] == ends[0] + draw(gap, 7, 24, 0, 1)
    assert ends[1] == starts[1] + draw(length, 7, 25, 0, 1)


def test_an_idle_loop_pays_more_and_warms_up():
    cost, cold_factor = idle_cost(2.0, 1.0, 0.5, CURVE, 4.0)
    assert (cost, cold_factor) == (6.0, 0.8)  # x = 2 after the gap of 1 s; 2 / (1 + 6 / 4)
    cost, _ = idle_cost(2.0, 0.0, 2.5, CURVE, 4.0)
    assert cost == 7.0  # colder already than the gap makes it


@pytest.mark.parametrize(
    ("begin", "end", "part"),
    [(0, 1, 0), (1, 3, 1), (2, 5, 3), (3, 4, 1), (4, 9, 1), (0, 9, 3), (6, 7, 0)],
)
def test_the_part_of_a_time_inside_another(begin, end, part):
    assert part_inside(begin, end, 2.0, 5.0) == part


@pytest.mark.parametrize(
    ("created", "which"), [(0.9, -1), (1.0, 0), (1.49, 0), (1.5, 1), (2.99, 3), (3.0, -1)]
)
def test_a_cohort_has_batches_by_the_time_of_creation(created, which):
    assert batch(created, 1.0, 3.0, 4) == which


def test_agents_start_together_in_a_row_or_at_random():
    assert start_time(TOGETHER, 2.0, 3, 4, 1) == 0.0
    assert start_time(RAMP, 2.0, 3, 4, 1) == 1.5
    assert start_time(RANDOM, 2.0, 3, 4, 1) == 2.0 * uniform(1, 1, 3, 0)


def test_an_event_is_past_from_its_age_on():
    assert not is_past(1.0, 0.5, 1.25)
    assert is_past(1.0, 0.5, 1.5)
    assert is_past(0.0, 0.5, 0.75)
