"""What an experiment found is read as it was written, or refused in a line."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from lhsim.errors import InputError
from lhsim.experiments.finding import Column, Described, Finding, Picture, Table

FOUND = Finding(
    name="burst",
    title="E5 burst",
    question="How long?",
    answer="12 s.",
    tables=(Table("levels", "By phase", (Column("p99", "p99", "ms"),), ({"p99": 1.5},)),),
    figures=(Picture("plot.svg", "p95 over time", "a line that rises"),),
    systems=(Described("push", "push", 'name = "push"\n'),),
    alerts=({"alert": "a", "severity": "warning", "threshold": 1.0, "fired_at_s": None},),
    limits=("one seed",),
    seed=7,
)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    assert FOUND.write(tmp_path / "burst") == tmp_path / "burst" / "finding.json"
    assert Finding.read(tmp_path / "burst") == FOUND
    assert [path.name for path in (tmp_path / "burst").iterdir()] == ["finding.json"]


def test_numbers_of_numpy_are_written_as_numbers_and_no_number_as_null(tmp_path: Path) -> None:
    rows = ({"a": np.float64(0.5), "b": math.nan, "c": np.int64(3), "d": (1.0, math.inf)},)
    Finding("x", "X", "?", ".", tables=(Table("t", "T", (), rows),)).write(tmp_path)
    read = json.loads((tmp_path / "finding.json").read_text())["tables"][0]["rows"]
    assert read == [{"a": 0.5, "b": None, "c": 3, "d": [1.0, None]}]


def test_a_later_lhsim_may_know_more(tmp_path: Path) -> None:
    path = FOUND.write(tmp_path)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"mood": "good"}))
    assert Finding.read(tmp_path) == FOUND


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "is no finding"),
        ('{"name": "a", "name": "b"}', "the key 'name' stands there twice"),
        ("[]", "it is no object"),
        ('{"name": "x"}', "missing"),
        ('{"name":"x","title":"x","question":"","answer":"","status":"odd"}', "status: .* 'odd'"),
        (
            '{"name":"x","title":"x","question":"","answer":"","tables":[{}]}',
            r"tables\[0\]\.name: is missing",
        ),
    ],
)
def test_anything_else_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "finding.json").write_text(text)
    with pytest.raises(InputError, match=problem):
        Finding.read(tmp_path)


def test_a_folder_without_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"finding\.json.*cannot be read"):
        Finding.read(tmp_path)
