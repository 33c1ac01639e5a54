from __future__ import annotations

import pytest
from attrs import evolve

from lhsim.analysis.knee import Knee, Level, bracket, search


def level(agents, knee=1000, bottleneck="cpu"):
    """Return a level of a system that uses 95 % of its processor at the knee."""
    return Level(agents, min(0.95 * agents / knee, 1.0), bottleneck, overloaded=False)


def drive(levels, knee=1000, tolerance=0.05):
    asked = []
    asking = search(levels, tolerance)
    try:
        agents = next(asking)
        while True:
            asked.append(agents)
            agents = asking.send(level(agents, knee))
    except StopIteration as stop:
        return stop.value, asked


@pytest.mark.parametrize("knee", [11, 50, 333, 1000, 9_999])
def test_the_search_ends_within_its_tolerance(knee):
    found, asked = drive([level(10, knee), level(10_000, knee)], knee)
    assert found.low < knee <= found.high
    assert found.high - found.low <= max(1, 0.05 * found.agents)
    assert len(asked) <= 10
    assert len(set(asked)) == len(asked)


def test_levels_that_are_close_enough_need_no_search():
    found, asked = drive([level(980), level(1010)])
    assert found == Knee(980, 1010, "cpu")
    assert asked == []


def test_no_level_saturates():
    found, asked = drive([level(10), level(500)])
    assert found == Knee(500, None, None)
    assert found.agents is None
    assert found.sentence() == "no knee up to 500 agents"
    assert asked == []


def test_every_level_saturates():
    found, asked = drive([level(5000), level(2000, bottleneck="store")])
    assert found == Knee(None, 2000, "store")
    assert found.sentence() == "knee below 2,000 agents; bottleneck: store"
    assert asked == []


def test_one_agent_is_no_agents():
    assert Knee(1, None, None).sentence() == "no knee up to 1 agent"


def test_no_level_at_all():
    assert bracket([]).sentence() == "no level ran"


def test_a_knee_in_words():
    sentence = Knee(1020, 1081, "cpu").sentence()
    assert sentence == "knee at about 1,050 agents (1,020-1,081); bottleneck: cpu"


def test_an_overloaded_level_is_not_sustained_however_idle_its_stations():
    levels = [Level(10, 0.1, "cpu", overloaded=False), Level(20, 0.2, "cpu", overloaded=True)]
    assert bracket(levels) == Knee(10, 20, "cpu")


def test_the_first_level_that_saturates_counts():
    # A system that collapses uses less of its processor beyond the collapse.
    levels = [level(100), Level(2000, 0.99, "cpu", False), Level(9000, 0.4, "cpu", False)]
    assert bracket(levels) == Knee(100, 2000, "cpu")


def test_the_bottleneck_is_that_of_the_level_that_saturates():
    levels = [Level(10, 0.5, "store", False), Level(20, 1.0, "cpu", False)]
    assert bracket(levels).bottleneck == "cpu"


@pytest.mark.parametrize("answer", [None, level(10)])
def test_an_answer_that_does_not_help_ends_the_search(answer):
    asking = search([level(10), level(10_000)])
    next(asking)
    with pytest.raises(StopIteration) as stop:
        asking.send(answer)
    assert stop.value.value == Knee(10, 10_000, "cpu")


def test_levels_far_apart_give_a_bracket_and_no_knee():
    found = bracket([level(1000, 3700), level(10_000, 3700)])
    assert (found.low, found.high, found.agents) == (1000, 10_000, None)
    assert found.sentence() == (
        "knee between 1,000 and 10,000 agents, not searched further; bottleneck: cpu"
    )


def test_a_short_warm_up_of_the_levels_that_decide_is_said():
    far, low, high = (Level(n, 0.5 if n < 30 else 1.0, "cpu", n == 30) for n in (1, 10, 30))
    assert "warm-up" not in bracket([far, low, high]).sentence()
    assert "warm-up" not in bracket([evolve(far, short_warmup=True), low, high]).sentence()
    for levels in ([evolve(low, short_warmup=True), high], [low, evolve(high, short_warmup=True)]):
        assert bracket([far, *levels]).sentence().endswith("bottleneck: cpu; short warm-up")


@pytest.mark.parametrize(
    ("record", "short"),
    [
        ({"flags": {"p99_latency_ms": ["thin tail"]}}, False),
        ({"flags": {"p99_latency_ms": ["thin tail", "short warm-up"]}}, True),
        ({"flags": "short warm-up", "short_warmup": True}, True),
        ({"flags": "", "short_warmup": False}, False),
        ({}, False),
    ],
)
def test_a_level_is_read_from_a_row_and_from_a_record(record, short):
    known = {"agents": 5, "utilization": 0.5, "bottleneck": "cpu", "overloaded": False}
    assert Level.of(known | record) == Level(5, 0.5, "cpu", False, short)
    assert not Level.of(known | record | {"overloaded": True}).short_warmup
