"""The page of a report: what stands where, and that nothing in it is taken for markup."""

from __future__ import annotations

import math
import re
from html.parser import HTMLParser

import pytest

from lhsim.report.cells import cell, grid
from lhsim.report.page import Section, SystemView, anchor, report_page
from lhsim.report.questions import QUESTIONS, answered

VOID = {"meta", "link", "br", "hr", "img", "input"}


class Outline(HTMLParser):
    """The elements of a page in their order, and whether each is closed where it has to be."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self.open):
            self.text += data

    def ids(self, tag: str) -> list[str | None]:
        return [attrs.get("id") for name, attrs in self.found if name == tag and "id" in attrs]


def finding(name: str, title: str, **more: object) -> dict[str, object]:
    return {
        "name": name, "title": title, "question": "Why?", "answer": "So.", "status": "done",
        "error": None, "traceback": None, "tables": (), "claims": (), "alerts": (), "method": "",
        "limits": (), "command": f"lhsim {name}", "seed": 1, "version": "0.1.0", "hash": "ab",
        "seconds": 1.5, **more,
    }  # fmt: skip


HOSTILE = '</pre></script><script>steal()</script><img src=x onerror="steal()">{{ 7*7 }}'


def hostile() -> Section:
    """A section in which every text is hostile."""
    row = {"key": HOSTILE, "alert": HOSTILE, "severity": HOSTILE, "verdict": HOSTILE}
    column = {"key": "key", "title": HOSTILE, "unit": HOSTILE}
    texts = ("question", "answer", "error", "traceback", "method", "command", "version", "hash")
    found = finding(
        HOSTILE, HOSTILE, **dict.fromkeys(texts, HOSTILE), status="failed", limits=(HOSTILE,),
        claims=(row | {"claim": HOSTILE, "would_hold_if": HOSTILE},), alerts=(row,),
        tables=({"name": HOSTILE, "title": HOSTILE, "columns": (column,), "rows": (row,)},),
    )  # fmt: skip
    rows = ({"parameter": HOSTILE, "value": HOSTILE, "source": HOSTILE},)
    view = SystemView(HOSTILE, HOSTILE, HOSTILE, ((HOSTILE, HOSTILE),), rows, HOSTILE)
    return Section(found, systems=(view,))


def test_whatever_stands_in_the_files_is_text() -> None:
    page = report_page([hostile()])
    assert "<script>steal" not in page
    assert "<img" not in page
    outline = Outline(page)
    assert [name for name, _ in outline.found].count("script") == 1
    assert not any(key.startswith("on") for _, attrs in outline.found for key in attrs)
    assert outline.text.count(HOSTILE) >= 20
    assert "49" not in outline.text


def test_the_page_may_load_nothing_and_run_its_own_script_alone() -> None:
    page = report_page([Section(finding("a", "A"))])
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy.startswith("default-src 'none'; ")
    assert "https:" not in policy
    assert "script-src 'sha256-" in policy
    assert not re.search(r'(?:src|href)="(?!#)', page)
    assert "@import" not in page


def test_the_summary_comes_first_then_the_experiments_in_their_order() -> None:
    names = [("b", "E10 capacity"), ("a", "E2 scaling"), ("c", "E7 claims")]
    outline = Outline(report_page([Section(finding(*one)) for one in names]))
    assert outline.ids("section") == ["summary", "a", "c", "b"]
    links = [attrs["href"] for name, attrs in outline.found if name == "a"]
    assert links[:4] == ["#summary", "#a", "#c", "#b"]


def test_each_link_has_a_place_and_no_id_is_there_twice() -> None:
    table = {"name": "t", "title": "T", "columns": ({"key": "x", "title": "X"},), "rows": ()}
    found = [finding(name, name, tables=(table, table)) for name in ("a", "b")]
    view = SystemView("s", "push", "", (), ({"parameter": "p", "value": "1"},), "")
    outline = Outline(report_page([Section(one, systems=(view, view)) for one in found]))
    ids = [attrs["id"] for _, attrs in outline.found if "id" in attrs]
    assert len(ids) == len(set(ids))
    targets = [
        str(value).lstrip("#")
        for _, attrs in outline.found
        for key, value in attrs.items()
        if key in {"href", "aria-labelledby"}
    ]
    assert set(targets) <= set(ids)


def test_verdicts_are_counted_and_stand_in_the_summary() -> None:
    claims = [{"claim": f"c{i}", "verdict": verdict} for i, verdict in enumerate("rsr")]
    names = {"r": "refuted", "s": "supported"}
    claims = [one | {"verdict": names[one["verdict"]]} for one in claims]
    page = report_page([Section(finding("claims", "E7 claims", claims=claims))])
    summary = page.partition('id="claims"')[0]
    marks = re.findall(r'data-kind="(\w+)">\w+</span> <strong>(\d)</strong>', summary)
    assert marks == [("supported", "1"), ("refuted", "2")]
    assert summary.count('<td data-key="c') == 3


def test_a_failed_experiment_is_shown_with_its_error() -> None:
    failed = finding("a", "A", status="failed", answer="", error="MemoryError: no", traceback="at")
    text = Outline(report_page([Section(failed), Section(finding("b", "B"))])).text
    assert "1 done; 1 failed" in text
    assert text.count("MemoryError: no") == 2  # in the summary, and in its place
    assert "Where it happened" in text


def test_an_experiment_without_anything_is_a_page() -> None:
    text = Outline(report_page([Section(finding("a", "A"))])).text
    assert "lhsim a" in text
    assert "Alerts" not in text
    assert "Systems" not in text


def test_the_same_findings_give_the_same_bytes() -> None:
    sections = [hostile(), Section(finding("a", "A"))]
    assert report_page(sections) == report_page(sections[::-1])


@pytest.mark.parametrize(
    ("value", "text", "key"),
    [
        (None, "\N{EN DASH}", ""),
        (math.nan, "\N{EN DASH}", ""),
        (math.inf, "∞", "inf"),
        (12345.678, "12,346", "12345.678"),
        (0.0123456, "0.0123", "0.0123456"),
        (-3.25159, "\N{MINUS SIGN}3.25", "-3.25159"),
        (1000, "1,000", "1000"),
        (True, "yes", "1"),
        ("<b>", "<b>", "<b>"),
        ([1.5, 2.5], "1.50\N{EN DASH}2.50", "1.5"),
        ([-2.5, 1.5], "\N{MINUS SIGN}2.50 to 1.50", "-2.5"),
        ([-2.5, -1.5], "\N{MINUS SIGN}2.50 to \N{MINUS SIGN}1.50", "-2.5"),
        ([None, 2], "≤ 2", "2"),
        ([3, None], "≥ 3", "3"),
        ([None, None], "\N{EN DASH}", ""),
        (["p50", "p99"], "p50, p99", "p50, p99"),
        ([1, 2, 3], "1, 2, 3", "1, 2, 3"),
    ],
)
def test_cells(value: object, text: str, key: str) -> None:
    found = cell(value)
    assert (found.text, found.key) == (text, key)


def test_a_column_of_numbers_and_intervals_is_one_of_numbers() -> None:
    columns = [{"key": key, "title": key} for key in ("number", "interval", "text", "empty")]
    rows = [{"number": 1, "interval": [1, 2], "text": "a"}, {"number": None, "text": 3}]
    numeric = [heading.numeric for heading in grid("g", "G", columns, rows).headings]
    assert numeric == [True, True, False, False]


def test_names_become_ids() -> None:
    assert anchor('a b"<c>/é') == "a-b--c--é"


ANSWERS = {"move": "In May.", "cost": "EUR 7.", "knob": "cpu.query.", "sure": "95 %."}


def test_the_five_questions_stand_above_the_evidence_and_the_claims():
    claims = ({"about": "Speed", "claim": "fast", "verdict": "refuted"},)
    sections = [
        Section(finding("claims", "E7 claims", claims=claims)),
        Section(finding("decide", "Decision", answer="Stay with polling.", answers=ANSWERS)),
    ]
    text = Outline(report_page(sections)).text
    order = (*QUESTIONS.values(), "The evidence", "Stay with polling.", "So.", "refuted", "Speed")
    places = [text.index(one) for one in order]
    assert places == sorted(places)
    for key, question in QUESTIONS.items():
        after = text[text.index(question) + len(question) :].lstrip()
        assert after.startswith(ANSWERS.get(key, "The models do not say it."))


def test_a_question_goes_to_whoever_knows_best():
    scaling = finding("scaling", "E2", answers={"move": "At 3,590 agents.", "sure": "3,523-3,652"})
    decide = finding("decide", "Decision", answers=ANSWERS)
    screening = finding("sensitivity", "E11", answers={"knob": "polling.interval"})

    def texts(*findings):
        return {one.question: one.text for one in answered(findings, "a server")}

    alone = texts(scaling)
    assert alone[QUESTIONS["move"]] == "At 3,590 agents."
    assert alone[QUESTIONS["cost"]] == ""
    assert alone[QUESTIONS["measured"]] == "a server"
    both = texts(scaling, screening, decide)
    assert both[QUESTIONS["move"]] == "In May."
    assert both[QUESTIONS["knob"]] == "polling.interval"


def test_what_nothing_answers_names_the_command_that_would():
    page = report_page([Section(finding("a", "A"))])
    assert page.count("No experiment here says it; <code>lhsim ") == 4


def test_what_was_measured_is_what_the_systems_were_calibrated_on():
    measured = SystemView("polling", "polling", "", (("Calibrated on", "a live server"),
                          ("Range: agents", "10 to 1100")), (), "")  # fmt: skip
    assumed = SystemView("push", "push", "", (("Calibration", "none"),), (), "")
    text = Outline(report_page([Section(finding("a", "A"), systems=(measured, assumed))])).text
    assert "polling with 10 to 1100 agents: a live server." in text
    assert "push: nothing, the parameters are assumed. All figures here are simulated." in text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (10_000, "ms", "10.0 s"),
        (0.25, "ms", "250 us"),
        (0, "ms", "0 s"),
        (-1500, "ms", "\N{MINUS SIGN}1.50 s"),
        ([990, 1010], "ms", "990 ms\N{EN DASH}1.01 s"),
        ([8000, 9000], "ms", "8.00\N{EN DASH}9.00 s"),
        (12.5, "s", "12.5 s"),
        (None, "ms", "\N{EN DASH}"),
    ],
)
def test_a_time_has_its_unit_with_it(value: object, unit: str, text: str) -> None:
    columns = [{"key": "x", "title": "p99", "unit": unit}]
    found = grid("g", "G", columns, [{"x": value}])
    assert found.headings[0].unit == ""
    assert found.rows[0][0].text == text


def test_a_decision_that_failed_is_listed_like_any_other():
    section = Section(finding("decide", "Decision", answer="", status="failed", error="No disk."))
    assert "No disk." in Outline(report_page([section])).text
