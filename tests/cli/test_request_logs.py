"""From request logs to a model, to its predictions, and to a verdict, by the commands."""

from __future__ import annotations

import json
import tomllib

import pytest
from attrs import evolve

import lhsim
from lhsim.cli import run
from lhsim.distributions import Deterministic
from lhsim.models import Cpu, Requests, RequestServer, System, Workload

TRUTH = System(
    name="truth",
    workload=Workload(traffic=Requests(think=Deterministic(1.0))),
    cpu=Cpu(quantum=4e-3, query=Deterministic(5e-3)),
    requests=RequestServer(),
)
FIGURES = {"messages_per_second", "utilization", "p50_latency_ms", "p95_latency_ms",
           "p99_latency_ms"}  # fmt: skip


def write_log(path, clients, system=TRUTH):
    result = lhsim.simulate(system, agents=clients, duration=15, warmup=0, drain=0, seed=clients,
                            keep_messages=True)  # fmt: skip
    done = result.messages.dropna(subset="delivered")
    lines = [f"{row.sender},{row.created:.6f},{row.delivered:.6f}" for row in done.itertuples()]
    path.write_text("\n".join(["client,start_s,end_s", *lines]) + "\n")
    return len(lines) * 5e-3  # processor seconds


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """B1.csv, B10.csv and B50.csv, with a sheet, and logs of more clients."""
    folder = tmp_path_factory.mktemp("requests")
    entries = []
    for clients in (1, 10, 50, 100, 150):
        used = write_log(folder / f"B{clients}.csv", clients)
        entries.append(f'[[run]]\nlog = "B{clients}.csv"\ncpu_seconds = {used}\ncores = 1\n')
    (folder / "runs.toml").write_text("".join(entries[:3]))
    (folder / "held-out.toml").write_text("".join(entries[3:]))
    return folder


@pytest.fixture(scope="module")
def model(folder):
    path = folder / "m.toml"
    assert run(["calibrate", str(folder / "runs.toml"), "-o", str(path), "--quiet"]) == 0
    return path


def test_a_run_sheet_becomes_a_model_with_its_evidence(model):
    found = tomllib.loads(model.read_text())
    assert found["cpu"]["quantum"] == 0.004
    assert found["workload"]["traffic"]["kind"] == "requests"
    known = found["calibration"]
    assert known["agents"] == [1.0, 50.0]
    assert "slices of 4 ms" in known["parameters"]["cpu.quantum"]["fit"]
    assert len(known["samples"]["cpu.query*"]) >= 10
    assert known["moves"]["cpu"] > 0
    assert set(known["misses"]) == {"throughput", "cpu", "latency_p50", "latency_p95",
                                    "latency_p99"}  # fmt: skip


def test_logs_without_a_sheet_and_json(folder, tmp_path, capsys):
    logs = [str(folder / f"B{clients}.csv") for clients in (1, 10, 50)]
    arguments = ["calibrate", *logs, "-o", str(tmp_path / "m.toml"), "--format", "json",
                 "--format", "requests"]  # fmt: skip
    assert run(arguments) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["architecture"] == "requests"
    assert found["discipline"] == "sliced"
    assert found["capacity"] == pytest.approx(200, rel=0.05)


def test_scaling_predicts_a_further_run_of_each_level(model, tmp_path, capsys):
    arguments = ["scaling", "--system", str(model), "--agents", "100,250", "--output-dir",
                 str(tmp_path), "--quiet"]  # fmt: skip
    assert run([*arguments, "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    for row in rows:
        assert set(row["prediction90"]) == FIGURES
        assert 180 <= row["knee_agents"] <= 220
        for name, (low, high) in row["prediction90"].items():
            assert low <= high
            assert low * 0.9 <= row[name] <= high * 1.1
    low, high = rows[1]["prediction90"]["messages_per_second"]
    assert low <= 200 <= high
    assert run(arguments) == 0
    assert "one further run, 90 % prediction intervals" in capsys.readouterr().out
    assert run([*arguments, "--format", "csv"]) == 0
    assert "p99_latency_ms_high90" in capsys.readouterr().out.splitlines()[0]


def test_crosscheck_keeps_the_model_and_rejects_first_come_first_served(
    folder, model, tmp_path, capsys
):
    sheet = str(folder / "held-out.toml")
    assert run(["crosscheck", "--model", str(model), "--live", sheet, "--check", "--quiet"]) == 0
    assert "10 of 10 live values lie in their prediction intervals" in capsys.readouterr().out
    fifo = tmp_path / "fifo.toml"
    fifo.write_text(model.read_text().replace("quantum = 0.004\n", ""))
    log = str(folder / "B150.csv")
    assert run(["crosscheck", "--model", str(fifo), "--live", log, "--check", "--quiet"]) == 3
    assert "is rejected" in capsys.readouterr().out


def refused(capsys, *arguments):
    """Return the one line of a refusal."""
    assert run([*map(str, arguments)]) == 2
    text = capsys.readouterr().err
    assert text.count("\n") == 1
    return text


def test_what_cannot_be_is_one_line_and_nothing_is_written(folder, tmp_path, capsys):
    target = tmp_path / "m.toml"
    wrong = folder / "wrong.toml"
    wrong.write_text('[[run]]\nlog = "B10.csv"\nthink = "2 s"\n')
    mixed = folder / "mixed.csv"
    mixed.write_text("client,start_s,end_s\na,0.0,0.1\nb,0.0\n")
    for runs, problem in (
        ([folder / "B1.csv"], "one request at a time"),
        ([wrong], "think: is 2 s, and the log shows 1 s"),
        ([folder / "B10.csv", folder / "B10.csv"], "is there twice"),
        ([folder / "B10.csv", mixed], "mixed.csv"),
        ([folder / "runs.toml", folder / "none.csv"], "none.csv"),
    ):
        assert problem in refused(capsys, "calibrate", *runs, "-o", target, "--quiet")
        assert not target.exists()
    for option in (["--black-box"], ["--template", "push"], ["--plots", tmp_path / "plots"]):
        text = refused(capsys, "calibrate", folder / "runs.toml", "-o", target, *option)
        assert f"{option[0]}: is of no use here" in text
    text = refused(capsys, "calibrate", folder / "B10.csv", "-o", target, "--format", "nonsense")
    assert "nonsense" in text


def test_a_model_of_another_kind_is_not_held_against_request_logs(folder, capsys):
    text = refused(capsys, "crosscheck", "--model", "push", "--live", folder / "B10.csv")
    assert "B10.csv" in text


def test_two_servers_are_no_repeats(folder, tmp_path, capsys):
    other = evolve(TRUTH, workload=Workload(traffic=Requests(think=Deterministic(3.0))))
    write_log(tmp_path / "B20.csv", 20, other)
    text = refused(capsys, "calibrate", folder / "B10.csv", tmp_path / "B20.csv", "-o",
                   tmp_path / "m.toml")  # fmt: skip
    assert "think for" in text
