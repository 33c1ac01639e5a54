"""`lhsim explain` as a user runs it."""

from __future__ import annotations

import json

import pytest

from lhsim import cli
from lhsim.experiments.finding import Finding


@pytest.fixture
def asked(folder):
    return ["explain", "--system", "./push.toml", "--agents", "50", "--jobs", "1", "--quiet",
            "--engine", "simpy"]  # fmt: skip


def test_it_prints_where_the_time_goes_and_what_helps(asked, capsys, folder):
    assert cli.run(asked) == 0
    text = capsys.readouterr().out
    assert text.startswith("Of the mean latency of push with 50 agents, ")
    assert "cpu service" in text
    assert "a processor twice as fast" in text
    made = {path.name for path in (folder / "results" / "explain").iterdir()}
    assert made >= {"explain.png", "explain.svg", "manifest.json", "finding.json"}
    Finding.read(folder / "results" / "explain")


def test_json_has_the_figures_in_seconds(asked, capsys):
    assert cli.run([*asked, "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["agents"] == 50
    assert {one["name"] for one in found["parts"]} == {"cpu service", "cpu waiting"}
    assert found["effects"][0]["mean"]["change"] < 0


def test_messages_go_to_a_trace(asked, folder):
    assert cli.run([*asked, "--trace", "made/trace.json"]) == 0
    events = json.loads((folder / "made" / "trace.json").read_text())["traceEvents"]
    assert {one["ph"] for one in events} == {"M", "X"}


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--trace", "."], "--trace: '.' is a folder"),
        (["--agents", "0"], "--agents"),
        (["--duration", "soon"], "--duration"),
        (["--duration", "5s"], "messages are created in the window"),
        (["--confidence", "2"], "--confidence"),
        (["--set", "push.nothing=1"], "nothing"),
    ],
)
def test_what_cannot_be_used_is_one_line_and_2(asked, more, says, capsys, folder):
    kept = (
        [word for word in asked if word not in ("--agents", "50")] if "--agents" in more else asked
    )
    assert cli.run([*kept, *more]) == 2
    shown = capsys.readouterr().err.strip().splitlines()
    assert len(shown) == 1
    assert says in shown[0]
    assert not (folder / "results").exists()
