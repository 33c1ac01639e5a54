"""`lhsim capacity` and `lhsim sensitivity` as a user runs them."""

from __future__ import annotations

import builtins
import html
import json
import math
import re
import shlex
from pathlib import Path

import pytest

import lhsim
from lhsim import cli
from lhsim.execution import Failure, Store, runner
from lhsim.execution import run as run_cell
from lhsim.experiments.finding import Finding

MM1 = """
name = "mm1"
[workload]
start = "together"
traffic = { kind = "poisson", rate = 1.0 }
[cpu]
send = { family = "exponential", mean = "1 ms" }
[push]
[calibration]
agents = [1, 300]
"""
ANSWER = {
    *("system", "seed", "objectives", "confidence", "agents", "unit"),
    *("vary", "value", "interval", "binding_objective"),
    *("crossings", "evaluations", "extrapolated", "warnings", "stop_reason"),
}


@pytest.fixture
def mm1(folder):
    (folder / "mm1.toml").write_text(MM1)
    return ["capacity", "--system", "./mm1.toml", "--jobs", "1", "--quiet"]


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """The output folder of those who ask for one capacity: what one has run the next one finds."""
    return tmp_path_factory.mktemp("capacity")


@pytest.fixture
def p99(mm1, kept):
    return [*mm1, "--slo", "p99<20ms", "--output-dir", str(kept)]


def test_json_has_exactly_what_is_promised(p99, capsys):
    assert cli.run([*p99, "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found) == ANSWER
    assert found["vary"] == "agents"
    assert found["interval"][0] <= 769.7 <= found["interval"][1]  # 1000 - ln(100) / 20 ms
    assert found["binding_objective"] == "p99<20ms"
    assert found["extrapolated"] is True
    assert {one["verdict"] for one in found["evaluations"]} >= {"kept", "violated"}


@pytest.mark.rendered
def test_the_table_begins_with_a_sentence_and_keeps_to_80_columns(p99, kept, capsys):
    assert cli.run([*p99, "--slo", "delivery>95%"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("p99<20ms and delivery>95%: at most ")
    assert max(map(len, lines)) <= 80
    assert any("simulation only" in line for line in lines)
    assert (kept / "capacity.png").stat().st_size > 10_000
    assert (kept / "capacity.svg").stat().st_size > 10_000


@pytest.mark.parametrize(("agents", "code"), [("500", 0), ("900", 3)])
def test_a_check_decides_the_exit_code(p99, capsys, agents, code):
    assert cli.run([*p99, "--check", agents]) == code
    assert f"check: {agents} " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ([], "--slo: there is no objective"),
        (["--slo", "p99"], "--slo: 'p99' is no objective"),
        (["--slo", "p99>1s"], "--slo: p99>1s: a latency has an upper limit; allowed: p99<1s"),
        (["--slo", "p99<1s", "--vary", "store.conections"], "--vary: store.conections"),
        (["--slo", "p99<1s", "--vary", "cpu.workers"], "--agents: is missing"),
        (["--slo", "p99<1s", "--set", "push.x=1"], "--set: push.x: unknown key"),
        (["--slo", "p99<1s", "--confidence", "1"], "--confidence: '1' is out of range"),
    ],
)
def test_bad_input_is_one_line(mm1, capsys, arguments, part):
    assert cli.run([*mm1, *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert part in captured.err


COMMANDS = {
    "capacity": ["--slo", "utilization<10%", "--most", "1024"],
    "sensitivity": ["--agents", "500", "--trajectories", "2", "--metric", "knee"],
}


@pytest.fixture(params=COMMANDS)
def searching(request, mm1):
    """A command that searches: runs follow from what others have shown, over samples as well."""
    samples = ", ".join(f"{0.95 + 0.01 * number:.2f}" for number in range(10))
    Path("mm1.toml").write_text(MM1 + f'samples = {{ "cpu.send*" = [{samples}] }}\n')
    rest = [one for one in mm1[1:] if one != "--quiet"]
    return [request.param, *rest, "--no-progress", "--format", "json", *COMMANDS[request.param]]


@pytest.fixture
def ran(monkeypatch):
    """The cells that were run; after so many of them the user presses Ctrl-C."""

    class Runs(list):
        most = math.inf

        def run(self, cell):
            if len(self) >= self.most:
                raise KeyboardInterrupt
            self.append(cell)
            return run_cell(cell)

    runs = Runs()
    monkeypatch.setattr(runner, "run", runs.run)
    return runs


def test_a_search_that_was_interrupted_goes_on_and_ends_as_one_that_was_not(searching, ran, capsys):
    assert cli.run([*searching, "--output-dir", "whole"]) == 0
    whole, count = capsys.readouterr().out, len(ran)
    for part in (0.1, 0.5, 0.95):  # in the search, and among the samples or the knees
        ran.most = count + int(part * count)
        assert cli.run([*searching, "--output-dir", "parts"]) == 130
        captured = capsys.readouterr()
        if searching[0] == "capacity":  # there is something to say, wherever it ends
            assert json.loads(captured.out)["stop_reason"] == "interrupted"
        else:
            assert captured.out == ""
        said = "lhsim: interrupted; the same command goes on from the runs in parts\n"
        assert captured.err.endswith(said)
    ran.most = math.inf
    assert cli.run([*searching, "--output-dir", "parts"]) == 0
    resumed = capsys.readouterr()
    assert resumed.out == whole
    assert " 0 failed, 0 left\n" in resumed.err
    assert resumed.err.endswith(" in parts\n")
    assert len(ran) == 2 * count  # none was run twice
    assert cli.run([*searching, "--output-dir", "parts"]) == 0
    assert capsys.readouterr().out == whole
    assert len(ran) == 2 * count
    assert cli.run([*searching, "--output-dir", "parts", "--fresh"]) == 0
    assert capsys.readouterr().out == whole
    assert len(ran) == 3 * count


def test_an_answer_in_time_is_wider_and_says_so(mm1, capsys):
    command = [*mm1, "--slo", "p99<20ms", "--format", "json"]
    assert cli.run([*command, "--within", "300ms"]) == 0
    early = json.loads(capsys.readouterr().out)
    assert early["stop_reason"] == "budget"
    assert all(one["replications"] > 0 for one in early["evaluations"])
    assert cli.run(command) == 0  # goes on from the runs of the first
    whole = json.loads(capsys.readouterr().out)
    assert whole["stop_reason"] == "precision"
    low, high = early["interval"]
    assert low is None or low <= whole["value"]
    assert high is None or high >= whole["value"]
    assert len(whole["evaluations"]) > len(early["evaluations"])


@pytest.mark.parametrize("within", ["0s", "-1s", "soon", "2 agents"])
def test_a_time_that_is_none(mm1, capsys, within):
    assert cli.run([*mm1, "--slo", "p99<20ms", "--within", within]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert "--within: " in captured.err
    assert not Path("results").exists()


def test_what_is_known_is_shown_as_the_search_goes_on(mm1, capsys, monkeypatch):
    monkeypatch.setattr("lhsim.execution.progress.SECONDS_BETWEEN_LINES", 0.0)
    command = [one for one in mm1 if one != "--quiet"]
    assert cli.run([*command, "--slo", "utilization<10%", "--most", "1024"]) == 0
    lines = [one for one in capsys.readouterr().err.splitlines() if one.startswith("capacity: ")]
    assert "capacity: 1 run" in lines
    assert re.fullmatch(r"capacity: \d+ \(\d+-\d+\); \d+ runs", lines[-1])


def test_fresh_empties_nothing_where_something_is_wrong(searching, ran):
    with Store(Path("results", searching[0])) as store:
        store.put(bytes(32), Failure("Error", "of long ago", ""))
    before = store.path.read_bytes()
    assert cli.run([*searching, "--fresh", "--set", "cpu.workers=0"]) == 2
    assert store.path.read_bytes() == before


def test_not_even_one_agent(mm1, capsys):
    assert cli.run([*mm1, "--slo", "p99<1us"]) == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert first == "p99<1us: kept by no level that was tried, from 1 agent on"


@pytest.mark.parametrize(
    ("name", "answer"),
    [("capacity", "mm1: utilization<10%: at most "), ("sensitivity", "knee, ")],
)
def test_an_answer_is_a_finding(mm1, capsys, name, answer):
    command = [name, *mm1[1:], *COMMANDS[name], "--output-dir", "out"]
    assert cli.run(command) == 0
    found = Finding.read(Path("out"))
    assert (found.name, found.status) == (name, "done")
    assert found.answer.startswith(answer)
    assert found.tables[0].rows
    loaded = lhsim.load("out")
    assert loaded.experiment == name
    assert list(loaded.levels) == list(found.tables[0].rows[0])
    assert loaded.runs is None
    capsys.readouterr()
    assert cli.run([*command, "--format", "json"]) == 0
    assert loaded.details == json.loads(capsys.readouterr().out)
    again = [*shlex.split(found.command)[3:], "--output-dir", "again", "--quiet"]
    assert cli.run(again) == 0
    assert Finding.read(Path("again")).tables == found.tables
    capsys.readouterr()
    assert cli.run(["report", "out"]) == 0
    page = Path("out/report.html").read_text(encoding="utf-8")
    assert found.title in page
    assert found.answer[:20] in html.unescape(page)


class TestSensitivity:
    @pytest.mark.rendered
    def test_finds_the_parameter_that_moves_the_p99(self, mm1, folder, capsys):
        arguments = ["--agents", "500", "--metric", "p99", "--trajectories", "4"]
        command = ["sensitivity", *mm1[1:], *arguments, "--output-dir", "out"]
        assert cli.run([*command, "--range", "cpu.send*=0.8..1.2", "--format", "json"]) == 0
        found = json.loads(capsys.readouterr().out)
        # A second loop halves the load, and moves more; nothing else comes near the two.
        assert {one["path"] for one in found["effects"][:2]} == {"cpu.workers", "cpu.send*"}
        first = next(one for one in found["effects"] if one["path"] == "cpu.send*")
        assert first["source"] == "given"
        # ln(100) / (mu - 500) with mu = 1000 / f
        assert first["at_low"] == pytest.approx(4.605 / 750, rel=0.1)
        assert first["at_high"] == pytest.approx(4.605 / 333.3, rel=0.15)
        assert (folder / "out" / "sensitivity.png").stat().st_size > 10_000

    @pytest.mark.parametrize(
        ("arguments", "part"),
        [
            (["--range", "cpu.send*=2..1"], "--range: 'cpu.send*=2..1' is no range"),
            (["--range", "cpu.sned*=1..2"], "--range: cpu.sned*: the system has no 'sned'"),
            (["--metric", "p98x"], "unknown metric 'p98x'"),
            (["--metric", "knees"], "unknown metric 'knees' (did you mean 'knee'?)"),
        ],
    )
    def test_bad_input_is_one_line(self, mm1, capsys, arguments, part):
        assert cli.run(["sensitivity", *mm1[1:], *arguments]) == 2
        assert part in capsys.readouterr().err

    def test_says_what_is_missing(self, mm1, capsys, monkeypatch):
        real = builtins.__import__

        def without(name, *more):
            if name.startswith("SALib"):
                raise ImportError(name)
            return real(name, *more)

        monkeypatch.setattr(builtins, "__import__", without)
        assert cli.run(["sensitivity", *mm1[1:]]) == 2
        assert "SALib" in (line := capsys.readouterr().err)
        assert "pip install 'lhsim[sensitivity]'" in line


def test_a_parameter_that_changes_nothing_is_said_to(mm1, capsys):
    """An M/M/1 of the loop has no use for database connections."""
    command = ["capacity", "--system", "./mm1.toml", "--slo", "p99<1us", "--agents", "100",
               "--jobs", "1", "--quiet", "--engine", "simpy"]  # fmt: skip
    assert cli.run([*command, "--vary", "store.connections"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "store.connections changes nothing that the runs show, from 1 to 640;" in said
    assert "lhsim explain says what does" in said
    assert cli.run([*command, "--vary", "cpu.send*"]) == 0
    assert "changes nothing" not in capsys.readouterr().out
