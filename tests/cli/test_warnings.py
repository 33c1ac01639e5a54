"""What a calibration says against its model goes wherever the model's figures go."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import lhsim as package
from lhsim import cli

TEXT = "The capacity is at least 900 messages/s. Trust no capacity of this model."
MM1 = """\
name = "mm1"
[workload]
traffic = { kind = "poisson", rate = 1.0 }
[cpu]
send = { family = "exponential", mean = "1 ms" }
[push]
[calibration]
agents = [1, 3000]
[[calibration.warnings]]
about = "capacity"
at_least = 900.0
"""
FEW = ("--agents", "10,20", "--replications", "2", "--duration", "4", "--jobs", "1")


@pytest.fixture
def mm1(folder):
    path = folder / "mm1.toml"
    path.write_text(f'{MM1}text = "{TEXT}"\n')
    return "./mm1.toml"


def words(text):
    return " ".join(text.split())


def test_a_summary_of_a_run_has_it(mm1):
    result = package.simulate(package.load_system("mm1.toml"), agents=10, duration=4)
    assert f"warning: {TEXT}" in result.summary()
    assert result.to_frame()["warnings"].tolist() == [TEXT]


def test_a_capacity_is_not_sure_without_it(mm1, capsys):
    asked = ["capacity", "--system", mm1, "--slo", "p99<20ms", "--most", "40", "--jobs", "1"]
    assert cli.run([*asked, "--quiet"]) == 0
    assert f"warning: {TEXT}" in words(capsys.readouterr().out)
    assert cli.run([*asked, "--quiet", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["warnings"] == [TEXT]


def test_the_confidence_of_a_capacity_is_subject_to_it():
    found = {
        "objectives": ("p99<1s",),
        "value": 40,
        "interval": (38, 42),
        "confidence": 0.95,
        "vary": "agents",
        "unit": "",
        "is_agents": True,
        "binding_objective": "p99<1s",
        "check": None,
        "verdict": None,
        "extrapolated": False,
        "stop_reason": "precision",
        "evaluations": [],
        "crossings": [
            {
                "value": 40,
                "kept": "below",
                "simulation": (38, 42),
                "parameters": None,
                "parameters_by": "no samples",
            },
        ],
    }
    from lhsim.report.capacity import capacity_sentences

    sure, *_ = capacity_sentences(found | {"warnings": []})
    doubted, *more = capacity_sentences(found | {"warnings": [TEXT]})
    assert "38-42 with 95 % confidence)" in sure
    assert "38-42 with 95 % confidence, subject to the warnings below)" in doubted
    assert more[-1] == f"warning: {TEXT}"


def test_tables_data_finding_and_report_have_it_and_resumed_runs_that_of_today(mm1, folder, capsys):
    asked = ["scaling", "--system", mm1, *FEW, "--output-dir", "out"]
    assert cli.run(asked) == 0
    captured = capsys.readouterr()
    assert f"warning: mm1: {TEXT}" in words(captured.out)
    ran = next(line for line in captured.err.splitlines() if line.startswith("runs: "))
    assert ", 0 resumed" in ran

    other = "Another sentence, of today."
    (folder / "mm1.toml").write_text(f'{MM1}text = "{other}"\n')
    assert cli.run([*asked, "--format", "json"]) == 0
    captured = capsys.readouterr()
    assert {row["warnings"] for row in json.loads(captured.out)} == {other}
    assert "runs: 0 done" in captured.err  # a warning changes no result
    finding = json.loads((folder / "out" / "finding.json").read_text())
    assert f"warning: mm1: {other}" in finding["limits"]
    manifest = json.loads((folder / "out" / "manifest.json").read_text())
    assert manifest["warnings"] == {"mm1": [other]}
    assert cli.run(["report", "out", "--output", "page.html"]) == 0
    assert other in Path("page.html").read_text()


@pytest.mark.parametrize(
    ("line", "said"),
    [('text = ""', "text: is empty"), ("text = 3", "text"), ('about = "all"\ntext = "x"', "about")],
)
def test_a_warning_that_says_nothing_is_refused_in_a_line(folder, line, said, capsys):
    whole = MM1 if "about" not in line else MM1.replace('about = "capacity"\n', "")
    (folder / "bad.toml").write_text(f"{whole}{line}\n")
    assert cli.run(["capacity", "--system", "./bad.toml", "--slo", "p99<1s"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "bad.toml" in error
    assert said in error
