"""The attacks of ``benchmarks/chaos.py``, for a short time: a command runs them for long."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import files
import pytest
import surroundings
from kills import CELLS
from watch import OK, tally, watched

from lhsim.errors import InputError, LhsimError

HERE = Path(__file__).parent
TRIALS = 150  # of each kind of file
FIRST = 1_000_000  # so that the long runs try others


@pytest.fixture(scope="module")
def prepared():
    files.prepare()


@pytest.mark.usefixtures("prepared")
@pytest.mark.parametrize("kind", files.KINDS, ids=lambda kind: kind.name)
def test_a_malformed_file_is_read_or_refused_in_one_line(kind):
    attempt = partial(files.attempt, kind)
    numbers = range(FIRST, FIRST + TRIALS)
    found = tally(kind.name, watched(attempt, numbers, until=time.monotonic() + 600))
    assert found.examples == ()
    assert found.tried == TRIALS


@pytest.mark.parametrize("model", files.OWN_MODELS, ids=lambda model: model.split(b'"')[1].decode())
def test_a_model_that_is_damaged_was_right_before(tmp_path, monkeypatch, model):
    """Else each damage would be refused for what was wrong all along."""
    monkeypatch.chdir(tmp_path)
    Path("model.toml").write_bytes(model)
    files.read_model()


@pytest.mark.parametrize(
    "trial",
    [one for one in surroundings.trials() if one.command[:1] == ("list",) or "full" in one.output],
    ids=lambda trial: trial.name,
)
def test_a_command_ends_well_in_hostile_surroundings(trial):
    assert surroundings.attempt(trial) == OK


@pytest.mark.parametrize(("kind", "kills"), [("processes", 3), ("dask", 2)])
def test_a_sweep_that_is_killed_loses_nothing_and_runs_nothing_again(tmp_path, kind, kills):
    if kind == "dask":
        pytest.importorskip("distributed")
    program = [sys.executable, str(HERE / "kills.py"), "sweep", kind, str(tmp_path), str(kills)]
    done = subprocess.run(program, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found == {
        "tried": kills, "lost": 0, "again": 0, "cells": CELLS[kind] * kills, "same": True
    }  # fmt: skip


def _hang(_number):
    while True:
        pass


def _die(_number):
    sys.exit(7)


@pytest.mark.parametrize(
    ("attempt", "outcome"), [(_hang, "hang"), (_die, "died"), (lambda number: OK, None)]
)
def test_what_hangs_or_dies_is_counted_and_the_next_one_is_tried(monkeypatch, attempt, outcome):
    monkeypatch.setattr("watch.LONGEST", 0.2)
    found = tally("x", watched(attempt, range(2), until=time.monotonic() + 60))
    assert found.tried == 2
    assert found.failures == ({outcome: 2} if outcome else {})


def _imports(_random):
    Path("wrong").touch()


def _raises(error):
    def read():
        raise error

    return read


def _executes():
    import canary  # noqa: F401


@pytest.mark.parametrize(
    ("read", "outcome"),
    [
        (_raises(ZeroDivisionError("x")), "traceback"),
        (_raises(LhsimError("two\nlines" + "\x1b[2J")), "not one printable line"),
        (_executes, "executed"),
        (_raises(InputError("refused")), OK),
    ],
)
def test_each_failure_is_seen(monkeypatch, read, outcome):
    """The negative control: an attack that could not fail would prove nothing."""
    kind = files.Kind("x", _imports, read, ["list"])
    monkeypatch.syspath_prepend(".")
    assert files.attempt(kind, 1).partition(":")[0] == outcome
