"""A decision in words: what stands in the paragraph in each case."""

from __future__ import annotations

from typing import Any

import pytest

from lhsim.analysis.knee import Knee
from lhsim.report.decision import (
    chance,
    decision_paragraph,
    knees_paragraph,
    knees_sentence,
    money,
)

DATES = ["2027-01-01", "2028-01-01", "2029-01-01"]


def design(name: str, **more: Any) -> dict[str, Any]:
    plain = {
        "name": name, "capacity": 4200, "interval": [3800, 4700], "sure": 3900,
        "binding_objective": "p99<1s", "p_keeps": [0.99, 0.9, 0.01],
        "lasts_until": "2028-03-10", "crossing_date": "2028-04-07",
        "crossing_interval": ["2028-03-06", None], "servers_now": 1, "servers": 3,
        "server_months": 36.0, "cost": 7200.0, "p50": 0.5, "p99": 0.99, "queries": 1e3, "cpu": 0.3,
        "memory": 7e7, "delivers": 1.0, "extrapolated": False, "beyond": [], "unknown": [],
        "warnings": [],
    }  # fmt: skip
    return plain | more


LASTING = {"lasts_until": "2029-01-01", "crossing_date": None, "crossing_interval": [None, None],
           "servers": 1, "server_months": 24.0, "cost": 4800.0, "p_keeps": [0.99] * 3}  # fmt: skip


def found(action: str, chosen: str | None, *designs: dict[str, Any]) -> dict[str, Any]:
    return {
        "objectives": ["p99<1s"], "confidence": 0.95, "dates": DATES,
        "agents": [1000, 3100, 9850], "months": 24.0, "currency": "EUR", "designs": list(designs),
        "advice": {"action": action, "design": chosen},
    }  # fmt: skip


def test_a_move_says_until_when_and_what_both_cost():
    text = decision_paragraph(found("move", "push", design("polling"), design("push", **LASTING)))
    assert text == (
        "Stay with polling until 2028-03-10, then move to push. One server with polling keeps "
        "p99<1s for 3,900 agents with 95 % certainty (best estimate 4,200, reached on 2028-04-07; "
        "95 %: 2028-03-06 to later). One server with push holds 3,900 agents and keeps the "
        "objectives to 2029-01-01 with a probability of 99 %. Over 24 months push takes EUR 4,800 "
        "on one server, polling EUR 7,200 on up to 3 servers."
    )


def test_who_lasts_stays():
    text = decision_paragraph(found("stay", "polling", design("polling", **LASTING)))
    assert text.startswith("Stay with polling: one server lasts to 2029-01-01, the end of the ")
    assert text.endswith("Over 24 months polling takes EUR 4,800 on one server.")


def test_who_is_too_small_today_is_left_or_grows_now():
    small = design("polling", lasts_until=None, servers_now=2)
    moved = decision_paragraph(found("move", "push", small, design("push", **LASTING)))
    assert moved.startswith("Move from polling to push now.")
    assert "with 95 % certainty; there are 1,000 today." in moved
    grown = decision_paragraph(found("add", "polling", small))
    assert grown.startswith("Stay with polling, on 2 servers from now on.")


def test_what_holds_nothing_says_so():
    nothing = design("polling", capacity=0, sure=0, servers=None, server_months=None, cost=None)
    text = decision_paragraph(found("none", None, nothing))
    assert text == (
        "No design keeps p99<1s on any number of servers. "
        "With polling, one server does not surely keep p99<1s for any agents."
    )


def test_a_design_that_is_much_faster_today_is_named():
    woken = design("woken", p99=0.008)
    text = decision_paragraph(
        found("move", "push", design("polling"), woken, design("push", **LASTING, p99=0.007))
    )
    assert "Today woken would bring p99 from 990 ms to 8.00 ms." in text


def test_what_is_extrapolated_is_said_last():
    text = decision_paragraph(found("add", "polling", design("polling", extrapolated=True)))
    assert text.endswith("which no probability counts.")


def test_no_probability_is_shown_as_certain():
    assert [chance(one) for one in (0.01, 0.5, 0.99)] == ["1 %", "50 %", "99 %"]


@pytest.mark.parametrize(("currency", "text"), [("EUR", "EUR 1,235"), ("", "1,235")])
def test_money_has_no_pennies(currency, text):
    assert money(1234.56, currency) == text


POLLING, PUSH = Knee(3523, 3652, "cpu"), Knee(16_548, 17_154, "cpu")


def test_two_knees_are_compared():
    assert knees_paragraph({"polling": POLLING, "push": PUSH}) == (
        "One server serves 4.70 times as many agents with push as with polling before it "
        "saturates, 16,800 against 3,590. lhsim decide says when to move, how surely, and at what "
        "cost."
    )


@pytest.mark.parametrize(
    ("knees", "held"),
    [
        ({"polling": POLLING}, "3,590 agents with polling"),
        ({"a": POLLING, "b": Knee(5000, None, None)},
         "3,590 agents with a and at least 5,000 agents with b"),
        ({"a": Knee(100, 1000, "cpu")}, "100 to 1,000 agents with a"),
        ({"a": Knee(None, 10, "cpu")}, "fewer than 10 agents with a"),
    ],
)  # fmt: skip
def test_what_is_known_of_the_others_is_said(knees, held):
    assert knees_sentence(knees) == f"One server serves {held} before it saturates."


def test_where_none_saturates_that_is_said():
    open_end = Knee(1000, None, None)
    found = knees_sentence({"polling": open_end, "push": open_end})
    assert found == "No server saturates with up to 1,000 agents."
    other = knees_sentence({"polling": open_end, "push": Knee(500, None, None)})
    assert other.startswith("One server serves at least 1,000 agents with polling and at least 500")


def test_without_a_level_nothing_is_said():
    assert knees_paragraph({}) == knees_paragraph({"a": Knee(None, None, None)}) == ""
