"""Whatever stands in a finding, the report is written, or one line says why not."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lhsim.errors import InputError
from lhsim.experiments.finding import FILE, Column, Described, Finding, Picture, Table
from lhsim.experiments.reporting import write_report

ROW = {"system": "push", "p99": 1.5, "interval": [1.0, 2.0], "verdict": "supported"}
FOUND = Finding(
    name="burst",
    title="E5 burst",
    question="How long?",
    answer="12 s.",
    tables=(Table("levels", "By phase", (Column("p99", "p99", "ms"),), (ROW,)),),
    figures=(Picture("plot.svg", "p95 over time", "a line that rises"),),
    systems=(Described("push", "push", 'name = "push"\n[push]\n'),),
    claims=({"claim": "x", "claimed": 1, "figure": 2.0, "verdict": "refuted"},),
    alerts=({"alert": "a", "severity": "warning", "threshold": 1.0, "fired_at_s": None},),
    limits=("one seed",),
)
SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><path d="M0 0"/></svg>'
STRANGE = st.one_of(
    st.sampled_from([
        "\ud800", "\0", "x" * 5000, "\x1b[31m", "<script>", "../../x", "\N{SUPERSCRIPT TWO}",
        10**400, -(10**400), 1e308, float("nan"), float("inf"), 2**63, True, None, [], {}, "",
        [[[[[[[[[[[[]]]]]]]]]]]], "9" * 5000, ["\ud800"], {"\ud800": 1}, {"a": {"b": {}}},
    ]),
    st.text(max_size=10),
    st.floats(),
    st.integers(),
)  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of all values in a value."""
    items = value.items() if isinstance(value, dict) else ()
    items = enumerate(value) if isinstance(value, list) else items
    return [path] * bool(path) + [one for key, item in items for one in places(item, (*path, key))]


def plain() -> Any:
    (write,) = FOUND.files().values()
    caught: list[str] = []

    class Caught:
        def write_text(self, text: str, **_: object) -> None:
            caught.append(text)

    write(Caught())  # type: ignore[arg-type]
    return json.loads(caught[0])


PLACES = places(plain())


def reported(folder: Path, text: str) -> str | None:
    """Write a report of a finding; return the refusal where there is one."""
    (folder / FILE).write_text(text, encoding="utf-8")
    (folder / "plot.svg").write_text(SVG)
    try:
        write_report(folder)
    except InputError as error:
        line = str(error)
    else:
        line = None
    if line is not None:
        assert line.isprintable()
        assert len(line) < 2000
        return line
    page = (folder / "report.html").read_bytes()
    assert b"<script>" not in page.replace(b"<script>", b"", 1)
    return None


def test_a_finding_as_it_was_written_is_reported(tmp_path):
    assert reported(tmp_path, json.dumps(plain())) is None


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(PLACES), STRANGE), min_size=1, max_size=3))
def test_any_value_in_any_place(tmp_path, changes):
    whole = plain()
    for path, value in changes:
        place = whole
        try:
            for key in path[:-1]:
                place = place[key]
            place[path[-1]] = value
        except (TypeError, KeyError, IndexError):
            continue  # an earlier change has taken it away
    reported(tmp_path, json.dumps(whole))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[" * 100_000,
        '{"a":' * 100_000,
        "1" * 10_000,
        '{"name": "x", "name": 1e999}',
        '"\\ud800"',
    ],
    ids=str.strip,
)
def test_what_is_no_finding_at_all_is_one_line(tmp_path, text):
    assert reported(tmp_path, text) is not None


def test_a_lone_surrogate_is_refused(tmp_path):
    whole = plain()
    whole["tables"][0]["rows"][0]["p99"] = "\ud800"
    assert "is no finding" in (reported(tmp_path, json.dumps(whole)) or "")


def test_a_number_beyond_a_float_is_refused(tmp_path):
    whole = plain()
    whole["tables"][0]["rows"][0]["p99"] = 10**400
    assert "a number is out of range" in (reported(tmp_path, json.dumps(whole)) or "")


@pytest.mark.parametrize("name", [FILE, "plot.svg"])
def test_a_fifo_is_refused_at_once(tmp_path, name):
    reported(tmp_path, json.dumps(plain()))
    (tmp_path / name).unlink()
    os.mkfifo(tmp_path / name)
    with pytest.raises(InputError, match="is not a regular file"):
        write_report(tmp_path)


def test_a_plot_nested_without_end_ends_nothing(tmp_path):
    reported(tmp_path, json.dumps(plain()))
    deep = "<g>" * 20_000 + "</g>" * 20_000
    (tmp_path / "plot.svg").write_text(f'<svg xmlns="http://www.w3.org/2000/svg">{deep}</svg>')
    assert write_report(tmp_path).is_file()


def test_a_class_that_a_finding_names_is_not_imported(tmp_path, monkeypatch):
    (tmp_path / "trap.py").write_text("open('sprung', 'w')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    whole = plain()
    whole["systems"][0]["toml"] = 'name = "x"\nserver = "trap:Server"\n'
    assert reported(tmp_path, json.dumps(whole)) is None
    assert not (tmp_path / "sprung").exists()
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "a file of data runs no code" in page
