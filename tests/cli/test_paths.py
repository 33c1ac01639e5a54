"""Wherever a path is taken, ``~`` is the home folder and only a regular file is read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import lhsim
from lhsim.cli import run
from lhsim.errors import InputError
from lhsim.execution.runner import running
from lhsim.live.server import read_secrets
from lhsim.live.settings import store_of
from lhsim.recording import Recording


@pytest.fixture
def home(tmp_path, monkeypatch):
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.chdir(tmp_path)
    return folder


LITTLE = ["latency", "--engine", "simpy", "--replications", "1", "--duration", "5", "--quiet"]


def test_results_go_to_the_home_folder(home, capsys):
    assert run([*LITTLE, "--output-dir=~/x"]) == 0
    assert (home / "x" / "finding.json").is_file()
    assert not Path("~").exists()
    assert run(["report", "~/x", "--output=~/new/page.html"]) == 0
    assert (home / "new" / "page.html").is_file()
    assert capsys.readouterr().out.endswith(f"{home / 'new' / 'page.html'}\n")


def test_a_model_in_the_home_folder(home):
    assert run(["init", "~/study"]) == 0
    assert lhsim.load_system("~/study/server.toml").name


def test_runs_of_the_python_api_go_to_the_home_folder(home):
    with running([lhsim.load_system("seed-push")], "simpy", folder="~/runs"):
        pass
    assert (home / "runs" / "cells.store").is_file()
    with pytest.raises(InputError, match=f"{home}/none: is no recording"):
        Recording.read(Path("~/none"))


def test_what_the_bridge_reads_and_writes_may_be_in_the_home_folder(home):
    (home / "secret").write_text("s" * 20)
    assert read_secrets("~/secret", None).signing == b"s" * 20
    assert store_of("~/events.db") == ("sqlite", f"{home}/events.db")
    assert store_of("sqlite:///~/events.db")[1] == f"{home}/events.db"


NAMES = ("fifo", "zero", "folder", "large")


@pytest.fixture(params=NAMES)
def strange(request, tmp_path):
    """Something with the name of a file that no program should read to its end."""
    path = tmp_path / f"{request.param}.toml"
    if request.param == "fifo":
        os.mkfifo(path)
    elif request.param == "zero":
        path.symlink_to("/dev/zero")
    elif request.param == "folder":
        path.mkdir()
    else:
        with path.open("wb") as file:
            file.truncate(17_000_000)
    return path


@pytest.mark.parametrize(
    "arguments",
    [
        ["latency", "--system"],
        ["run"],
        ["capacity", "--slo", "p99<1s", "--system"],
        ["calibrate", "--output", "new.toml", "--template"],
        ["serve", "--config"],
        ["serve", "--secret-file"],
    ],
    ids=" ".join,
)
def test_only_a_regular_file_of_a_sane_size_is_read(
    strange, tmp_path, monkeypatch, capsys, arguments
):
    monkeypatch.chdir(tmp_path)
    before = set(tmp_path.iterdir())
    assert run([*arguments, str(strange)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert strange.name in said
    assert set(tmp_path.iterdir()) == before
