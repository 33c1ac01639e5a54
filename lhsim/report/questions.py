"""The five questions with which a reader opens a report, and where their answers stand.

A finding answers some of them, in its ``answers`` by the keys of `QUESTIONS`. What the servers were
measured at follows from their models.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attrs import frozen

DECISION = "decide"  # name of the finding that answers most of them
QUESTIONS = {
    "move": "When do we have to move?",
    "cost": "What does it cost to stay?",
    "knob": "Which knob first?",
    "sure": "How sure is that?",
    "measured": "What was measured?",
}
# The command that answers a question which no finding does.
_ASKS = {
    "move": "lhsim decide --slo 'p99<1500ms' --agents 1000 --growth 10%/month",
    "cost": "lhsim decide --slo 'p99<1500ms' --agents 1000 --server-cost 200",
    "knob": "lhsim explain",
    "sure": "lhsim decide --slo 'p99<1500ms' --agents 1000",
}
_FIRST = {"knob": ("explain", "sensitivity")}  # who is asked before the decision

Finding = Mapping[str, Any]


@frozen
class Answered:
    """A question with its answer."""

    question: str
    text: str  # empty where nothing answers it
    source: Finding | None = None  # whose answer it is
    command: str = ""  # that would answer it


def answered(findings: Sequence[Finding], measured: str) -> Iterator[Answered]:
    """Yield each question with the best answer that is there; `measured` is that of the last."""
    for key, question in QUESTIONS.items():
        if key == "measured":
            yield Answered(question, measured)
            continue
        order = (*_FIRST.get(key, ()), DECISION)
        able = [one for one in findings if one.get("answers", {}).get(key)]
        able.sort(key=lambda one: order.index(one["name"]) if one["name"] in order else len(order))
        if able:
            yield Answered(question, able[0]["answers"][key], able[0])
        else:
            yield Answered(question, "", command=_ASKS[key])
