"""`lhsim compare` as a user runs it."""

from __future__ import annotations

import csv
import io
import json

import pytest

from lhsim import cli

RUN = ["--system", "./push.toml", "--agents", "10,20", "--duration", "20", "--engine", "simpy",
       "--quiet", "--jobs", "1"]  # fmt: skip


@pytest.fixture
def results(folder, capsys):
    """Two folders: before and after messages cost three times as much to parse."""
    for name, more in (("before", ()), ("after", ("--set", "cpu.parse_message=3ms"))):
        words = ["scaling", *RUN, "--replications", "4", "--output-dir", name, *more]
        assert cli.run(words) == 0
    capsys.readouterr()
    return ["compare", "before", "after"]


def test_the_paragraph_comes_first_and_all_keeps_to_80_columns(results, capsys):
    assert cli.run(results) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    lines = captured.out.splitlines()
    assert lines[0].startswith("B (after) is slower: p99 at 20 agents ")
    assert "A: before" in lines
    assert "runs paired by their seeds" in captured.out
    assert max(map(len, lines)) <= 80
    assert cli.run(results) == 0
    assert capsys.readouterr().out == captured.out


def test_json_and_csv_have_all_that_was_compared(results, capsys):
    assert cli.run([*results, "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert cli.run([*results, "--format", "csv"]) == 0
    table = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len(table) == len(rows)
    assert {row["agents"] for row in rows} == {10, 20}
    mean = next(row for row in rows if (row["metric"], row["agents"]) == ("mean", 20))
    # 2 ms of parsing more, and under the same messages hardly any chance in it.
    assert 0.0019 < mean["difference_low"] <= mean["difference_high"] < 0.004
    assert mean["differs"]


@pytest.mark.parametrize(
    ("more", "code"),
    [
        (["--check"], 3),
        (["--check", "--tolerance", "1%"], 3),
        (["--check", "--tolerance", "1000%"], 0),
        (["--check", "--metric", "queries"], 0),
        (["--tolerance", "0.01"], 2),
    ],
)
def test_a_check_ends_with_3(results, more, code):
    assert cli.run([*results, *more]) == code


def test_a_check_of_the_same_runs_holds(results):
    assert cli.run(["compare", "before", "before", "--check"]) == 0


def test_two_systems_are_run_under_the_same_seeds(folder, capsys):
    words = ["compare", "./polling.toml", "./push.toml", "--agents", "10", "--duration", "20",
             "--engine", "simpy", "--jobs", "1", "--replications", "3"]  # fmt: skip
    assert cli.run([*words, "--quiet"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert captured.out.startswith("B (push) is faster: p99 at 10 agents ")
    assert (folder / "results" / "compare" / "cells.store").exists()
    assert cli.run(words) == 0  # from the runs that are kept
    again = capsys.readouterr()
    assert again.out == captured.out
    assert again.err == ""


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["./polling.toml", "./push.toml"], "--agents: is missing; allowed: numbers of agents"),
        (["poling", "push", "--agents", "10"], "unknown system 'poling'"),
        (["nothing/", "push"], "nothing: does not exist"),
        ([".", "push"], "a result and a system are no pair"),
        ([".", "."], ".: has no manifest.json"),
        (["polling", "push", "--agents", "10", "--metric", "p98"], "--metric: unknown metric"),
        (["polling", "push", "--tolerance", "x"], "--tolerance: 'x' is no part"),
        (
            ["polling", "push", "--tolerance", "1%"],
            "--tolerance: changes nothing; allowed: only with",
        ),
        (["polling", "push", "--replications", "1"], "--replications: 1 is out of range"),
        (["polling", "push", "--confidence", "2"], "--confidence: '2' is out of range"),
    ],
)
def test_bad_input_is_one_line(folder, capsys, words, line):
    before = sorted(folder.rglob("*"))
    assert cli.run(["compare", *words]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"lhsim: error: {line}")
    assert captured.err.count("\n") == 1
    assert sorted(folder.rglob("*")) == before
