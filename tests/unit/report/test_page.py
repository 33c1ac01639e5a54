"""The page of a report: what stands where, and that nothing in it is taken for markup."""

from __future__ import annotations

import math
import re
from html.parser import HTMLParser

import pytest

from lhsim.report.cells import cell, grid
from lhsim.report.page import Section, SystemView, anchor, report_page

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


def test_the_decision_stands_above_all_verdicts_and_answers():
    claims = ({"claim": "It is fast.", "verdict": "refuted"},)
    sections = [
        Section(finding("claims", "Claims", claims=claims)),
        Section(finding("decide", "Decision", answer="Stay with polling.")),
    ]
    text = Outline(report_page(sections)).text
    summary = text[text.index("Summary") :]
    places = [summary.index(one) for one in ("Stay with polling.", "refuted", "So.")]
    assert places == sorted(places)
    assert summary.count("Stay with polling.") == 2  # in the summary, and where it is explained


def test_a_decision_that_failed_is_listed_like_any_other():
    section = Section(finding("decide", "Decision", answer="", status="failed", error="No disk."))
    assert "No disk." in Outline(report_page([section])).text
