"""`lhsim decide` as a user runs it."""

from __future__ import annotations

import json

import pytest

from lhsim import cli
from lhsim.experiments.finding import Finding

SAMPLES = ", ".join(f"{0.95 + 0.01 * number:.2f}" for number in range(11))
QUEUE = """
name = "{name}"
[workload]
start = "together"
traffic = {{ kind = "poisson", rate = 1.0 }}
[cpu]
send = {{ family = "exponential", mean = "{mean}" }}
[push]
[calibration]
agents = [1, 300]
samples = {{ "cpu.send*" = [{samples}] }}
"""
PROMISED = {"recommendation", "until", "designs", "frontier", "would_change_if", "measure_next"}
OF_A_DESIGN = {
    *("name", "capacity", "interval", "binding_objective", "p_keeps_now", "crossing_date"),
    *("crossing_interval", "servers", "cost", "extrapolated"),
}


@pytest.fixture
def queues(folder):
    for name, mean in (("slow", "1 ms"), ("quick", "250 us")):
        text = QUEUE.format(name=name, mean=mean, samples=SAMPLES)
        (folder / f"{name}.toml").write_text(text)
    return ["decide", "--system", "./slow.toml", "--system", "./quick.toml", "--jobs", "1",
            "--quiet", "--start", "2027-01-01"]  # fmt: skip


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """The output folder of all: what one has run the next one finds."""
    return tmp_path_factory.mktemp("decide")


@pytest.fixture
def asked(queues, kept):
    return [*queues, "--slo", "p99<20ms", "--agents", "300", "--growth", "10%/month",
            "--server-cost", "200", "--output-dir", str(kept)]  # fmt: skip


def test_json_has_exactly_what_is_promised(asked, capsys):
    assert cli.run([*asked, "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found) == PROMISED
    assert all(set(one) == OF_A_DESIGN for one in found["designs"])
    assert found["recommendation"]["design"] == "quick"
    slow = found["designs"][0]
    assert slow["interval"][0] <= 769.7 <= slow["interval"][1]  # 1000 - ln(100) / 20 ms
    assert slow["crossing_interval"][0] <= slow["crossing_date"] <= slow["crossing_interval"][1]


def test_the_paragraph_comes_first_and_the_rest_keeps_to_80_columns(asked, capsys, kept):
    assert cli.run([*asked, "--currency", "EUR"]) == 0
    text = capsys.readouterr().out
    lines = text.splitlines()
    assert lines[0].startswith("Stay with slow until 2027-")
    assert max(map(len, lines)) <= 80
    assert "EUR 4," in text
    assert "measure next: slow under" in text
    assert "the frontier: quick (" in text
    finding = Finding.read(kept)
    assert finding.answer.startswith("Stay with slow until 2027-")
    assert finding.title == "Decision"
    assert "--start 2027-01-01" in finding.command


def test_a_forecast_file_says_how_many_agents_there_are(queues, folder, capsys):
    rows = "date,agents\n2027-01-01,100\n2027-12-31,200\n"
    (folder / "forecast.csv").write_text(rows)
    assert cli.run([*queues, "--slo", "cpu<50%", "--growth", "forecast.csv"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert text.startswith("Stay with slow: one server lasts to 2027-12-31, the end of the")


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ([], "--slo: there is no objective"),
        (["--slo", "p99<1s"], "--agents: is missing"),
        (["--slo", "p99<1s", "--agents", "5", "--growth", "x"], "--growth: 'x' is no growth"),
        (["--slo", "p99<1s", "--agents", "5", "--server-cost", "-1"], "--server-cost: '-1'"),
        (["--slo", "p99<1s", "--agents", "5", "--currency", "EUR"], "--currency: changes nothing"),
        (["--slo", "p99<1s", "--agents", "5", "--horizon", "0"], "--horizon: "),
        (["--slo", "p99<1s", "--growth", "no.csv"], "no.csv: "),
    ],
)
def test_bad_input_is_one_line(queues, folder, capsys, arguments, part):
    assert cli.run([*queues, *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert part in captured.err
    assert not (folder / "results").exists()
