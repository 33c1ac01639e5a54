"""Workbooks: what is written is what Excel shows, and nothing that it would compute."""

from __future__ import annotations

import importlib.util

import pandas as pd
import pytest

from lhsim.errors import InputError
from lhsim.experiments.excel import write_excel
from lhsim.experiments.sweep import sweep

openpyxl = pytest.importorskip("openpyxl")
HOSTILE = '=HYPERLINK("http://example.invalid","p99")'


def test_a_table_comes_back(tmp_path):
    table = pd.DataFrame({
        "system": ["push", HOSTILE], "agents": [10, 20], "p99_latency_ms": [1.5, None],
        "overloaded": [True, False], "seed": [2**63 - 1, 3], "flags": [{"p99": ["few"]}, {}],
    })  # fmt: skip
    write_excel(tmp_path / "x.xlsx", {"runs": table, "empty": pd.DataFrame()})
    book = openpyxl.load_workbook(tmp_path / "x.xlsx")
    assert book.sheetnames == ["runs", "empty"]
    header, *rows = book["runs"].iter_rows()
    assert [cell.value for cell in header] == list(table)
    assert [cell.value for cell in rows[0]] == [
        *("push", 10, 1.5, True, str(2**63 - 1), '{"p99": ["few"]}'),
    ]
    assert rows[1][2].value is None
    assert rows[1][0].value == HOSTILE
    assert "f" not in {cell.data_type for row in rows for cell in row}  # no formula
    assert [path.name for path in tmp_path.iterdir()] == ["x.xlsx"]


def test_what_no_cell_can_hold_is_written_as_it_is_shown(tmp_path):
    write_excel(tmp_path / "x.xlsx", {"a": pd.DataFrame({"x": ["\x00\x1b[2J", "y" * 40_000]})})
    cells = [row[0].value for row in openpyxl.load_workbook(tmp_path / "x.xlsx")["a"].iter_rows()]
    assert cells[1] == r"\x00\x1b[2J"
    assert len(cells[2]) <= 32_767


def test_a_sweep_has_a_sheet_for_each_of_its_tables(tmp_path):
    found = sweep("push", 5, replications=2, duration=5, engine="simpy")
    found.to_excel(tmp_path / "sweep.xlsx")
    sheets = pd.read_excel(tmp_path / "sweep.xlsx", sheet_name=None)
    assert list(sheets) == ["levels", "metrics", "runs"]
    assert list(sheets["levels"]["p99_latency_ms"]) == pytest.approx(
        list(found.levels()["p99_latency_ms"])
    )
    assert len(sheets["runs"]) == 2


def test_without_openpyxl_it_is_one_line(tmp_path, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: None if name == "openpyxl" else find(name)
    )
    allowed = r"allowed: after pip install 'lhsim\[excel\]'"
    with pytest.raises(InputError, match=f"to_excel: openpyxl is not installed; {allowed}"):
        write_excel(tmp_path / "x.xlsx", {"a": pd.DataFrame({"x": [1]})})
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(InputError, match=r"nothing.x.xlsx: cannot be written: No such file"):
        write_excel(tmp_path / "nothing" / "x.xlsx", {"a": pd.DataFrame({"x": [1]})})
