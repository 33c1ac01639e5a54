"""What `lhsim fleet` prints, from plain data."""

from __future__ import annotations

import copy

import pytest

from lhsim.report.fleet import fleet_sentences, fleet_text

WINDOW = {
    "start": 0.0, "end": 3600.0, "load": 10.0, "peak": 12.0, "nodes": 1, "interval": [1, 1],
    "autoscaled": None, "node_seconds": None, "short": None, "late": None, "wait": None,
}  # fmt: skip
PLAN = {
    "day": "2027-01-12", "agents": 1500, "sizes": [{}] * 3, "nodes": 2, "interval": [2, 3],
    "node_hours": 36.0, "node_hours_interval": [36.0, 48.0], "autoscaled_node_hours": None,
    "short": None, "late": None,
    "windows": [WINDOW, WINDOW | {"start": 3600.0, "end": 7200.0, "nodes": 2, "interval": [2, 3]}],
}  # fmt: skip
FOUND = {
    "objectives": ["p99<1s", "delivery>99%"], "confidence": 0.95, "growth": None,
    "autoscaler": None, "plans": [PLAN], "milestones": [], "extrapolated": False, "warnings": [],
}  # fmt: skip


def changed(**plan):
    return {**copy.deepcopy(FOUND), "plans": [PLAN | plan]}


def test_the_first_sentence_is_the_answer():
    first, fixed = fleet_sentences(FOUND)
    assert first == (
        "p99<1s and delivery>99%: 1 to 2 nodes over the day, 36.0 node-hours a day "
        "(36.0-48.0 with 95 % confidence)"
    )
    assert fixed == "2 nodes all day: 48.0 node-hours"


def test_hours_that_are_certain_have_no_interval():
    first, *_ = fleet_sentences(changed(node_hours_interval=[36.0, 36.0]))
    assert first.endswith("36.0 node-hours a day with 95 % confidence")


def test_a_number_that_is_open_above_says_so():
    window = WINDOW | {"nodes": 2, "interval": [2, None]}
    found = changed(windows=[window], node_hours=48.0, node_hours_interval=[48.0, None])
    (first,) = fleet_sentences(found)
    assert "(at least 48.0; no number that was tried is sure to keep it)" in first
    assert "2 (2-?)" in fleet_text(found)


def test_windows_that_nothing_keeps_are_named():
    none = [WINDOW | {"start": 3600.0 * n, "end": 3600.0 * n + 3600, "nodes": None,
                      "interval": [None, None]} for n in (1, 2, 5, 7, 9)]  # fmt: skip
    found = changed(windows=[WINDOW, *none], nodes=None, node_hours=None)
    (first,) = fleet_sentences(found)
    times = "01:00-03:00, 05:00-06:00, 07:00-08:00, and once more"
    assert first.endswith(f"no number of nodes up to 3 keeps it {times}")


@pytest.mark.parametrize(
    ("day", "days", "said"),
    [
        (None, [None, None], "2 nodes keep the objective at the busiest time beyond "
         "2028-01-12, the end of"),
        ("2027-06-01", ["2027-05-01", None], "up to 900 agents, until 2027-06-01 (2027-05-01 to "
         "after 2028-01-12)"),
    ],
)  # fmt: skip
def test_a_milestone_says_until_when(day, days, said):
    later = PLAN | {"day": "2028-01-12"}
    one = {"nodes": 2, "agents": 900, "interval": [800, 999], "day": day, "days": days}
    found = FOUND | {"growth": "3 %/month", "plans": [PLAN, later], "milestones": [one]}
    assert any(said in sentence for sentence in fleet_sentences(found))


def test_an_autoscaler_is_compared_with_the_fewest():
    scaled = {
        "autoscaled": [1, 3],
        "node_seconds": 7200.0,
        "short": 90.0,
        "late": 0.0004,
        "wait": 2.5,
    }
    found = changed(
        windows=[WINDOW | scaled], autoscaled_node_hours=45.0, short=90.0, late=0.0004
    ) | {"autoscaler": {"target": 0.7}}
    text = fleet_text(found)
    said = " ".join(text.split())
    assert "autoscaler at 70 %: 1 to 3 nodes, 45.0 node-hours a day, 25 % more than the" in said
    assert "too little capacity for 90 s a day, in which <0.1 % of the messages" in said
    assert "1-3   90 s  <0.1 %  2.50 s" in text
    assert max(map(len, text.splitlines())) <= 80
