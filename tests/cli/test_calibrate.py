"""``lhsim calibrate`` from folders and tables to a model file."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest

import lhsim
from lhsim.cli import run
from lhsim.distributions import Lognormal
from lhsim.models import Poisson, Workload
from lhsim.recording import Manifest
from lhsim.replay import replay

pytestmark = pytest.mark.usefixtures("replay_once")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root, push = tmp_path_factory.mktemp("runs"), lhsim.load_system("push")
    names = []
    for agents, rate in ((20, 1.0), (200, 1.0)):
        for seed in (1, 2):
            manifest = Manifest(
                "push", agents, Workload(traffic=Poisson(rate)), seed, 2.0, 5.0, 2.0
            )
            names.append(root / f"{agents}-{seed}")
            replay(push, manifest, seed + 100).write(names[-1])
    return [str(name) for name in names]


@pytest.fixture
def samples(tmp_path):
    """A table of samples of two costs."""
    rows = ["component,seconds"]
    for name, median in (("validate", 2e-5), ("store.write", 1e-3)):
        draws = Lognormal(median, 0.3).quantile((np.arange(500) + 0.5) / 500)
        rows += [f"{name},{value:.9f}" for value in draws]
    path = tmp_path / "samples.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


def refused(capsys, *arguments):
    """Return the one line of a refusal."""
    assert run(["calibrate", *map(str, arguments)]) == 2
    text = capsys.readouterr().err
    assert text.count("\n") == 1
    return text


@pytest.mark.rendered
def test_runs_become_a_system_that_can_be_held_against_runs(folders, tmp_path, capsys):
    file, plots = tmp_path / "models" / "mine.toml", tmp_path / "plots"
    arguments = ["calibrate", *folders, "-o", str(file), "--plots", str(plots), "--quiet"]
    assert run(arguments) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    assert max(map(len, shown.out.splitlines())) <= 80
    system = lhsim.load_system(file)
    assert system.name == "mine"
    assert system.calibration.agents == (20.0, 200.0)
    assert "cpu.warmth" in system.calibration.parameters
    assert sorted(path.suffix for path in plots.iterdir()) == [".png", ".png"]
    assert sorted(path.name for path in file.parent.iterdir()) == ["mine.toml"]
    assert run(["crosscheck", "--model", str(file), "--live", folders[0], "--check"]) == 0


def test_an_interrupted_calibration_writes_nothing(folders, tmp_path, monkeypatch, capsys):
    def interrupted(*_arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("lhsim.calibration.fit.replay", interrupted)
    out, plots = tmp_path / "models" / "mine.toml", tmp_path / "plots"
    assert run(["calibrate", *folders, "-o", str(out), "--plots", str(plots)]) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "lhsim: interrupted"
    assert list(tmp_path.iterdir()) == []


def test_json_has_what_was_found(folders, tmp_path, capsys):
    arguments = ["calibrate", *folders, "-o", str(tmp_path / "mine.toml"), "--format", "json"]
    assert run([*arguments, "--name", "other"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["system"] == "other"
    assert {target["metric"] for target in found["targets"]} == {"cpu", "latency_p50"}
    assert {unknown["name"] for unknown in found["unknowns"]} == {
        "messages", "excess", "gap", "delay", "memory",
    }  # fmt: skip


def test_components_replace_the_costs_of_a_template(samples, tmp_path, capsys):
    file = tmp_path / "mine.toml"
    arguments = ["--components", str(samples), "--template", "push", "-o", str(file)]
    assert run(["calibrate", *arguments]) == 0
    assert "lognormal" in capsys.readouterr().out
    system, push = lhsim.load_system(file), lhsim.load_system("push")
    assert system.cpu.validate.mean == pytest.approx(2e-5 * np.exp(0.3**2 / 2), rel=0.05)
    assert system.store.write.mean == pytest.approx(1e-3 * np.exp(0.3**2 / 2), rel=0.05)
    assert system.cpu.send == push.cpu.send
    origin = system.calibration.parameters["store.write"]
    assert origin.samples == 500
    assert "KS" in origin.fit


def test_nothing_is_overwritten(samples, tmp_path, capsys):
    file = tmp_path / "mine.toml"
    file.write_text("mine")
    line = refused(capsys, "--components", samples, "--template", "push", "-o", file)
    assert "exists" in line
    assert file.read_text() == "mine"


def test_an_unknown_component_is_named_with_the_nearest(samples, tmp_path, capsys):
    samples.write_text(samples.read_text().replace("validate", "validat"))
    line = refused(
        capsys, "--components", samples, "--template", "push", "-o", tmp_path / "mine.toml"
    )
    assert "did you mean 'validate'?" in line
    assert not (tmp_path / "mine.toml").exists()


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("component\nsend\n", "seconds: is missing"),
        ("component,seconds\nsend,1e-3\nsend,quick\n", "seconds: line 3: 'quick' is no number"),
        ("component,seconds\nsend,1e-3\n", "send: 1 are too few"),
        ("component,seconds\n", "has no rows"),
    ],
)
def test_bad_samples_are_one_line(table, said, tmp_path, capsys):
    path = tmp_path / "samples.csv"
    path.write_text(table)
    out = tmp_path / "mine.toml"
    assert said in refused(capsys, "--components", path, "--template", "push", "-o", out)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "RUN: is missing"),
        (["/nowhere"], "is no recording"),
        (["--components", "nothing.csv", "--template", "push"], "does not exist"),
        (["--template", "pusk"], "did you mean 'push'?"),
    ],
)
def test_bad_usage_is_one_line(arguments, said, tmp_path, capsys):
    assert said in refused(capsys, *arguments, "-o", tmp_path / "mine.toml")


def test_the_file_has_to_be_one_that_can_be_loaded(samples, tmp_path, capsys):
    line = refused(capsys, "--components", samples, "--template", "push", "-o", tmp_path / "mine")
    assert "does not end in .toml" in line


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    """Message logs of a server at three loads, as CSV files."""
    root, push = tmp_path_factory.mktemp("logs"), lhsim.load_system("push")
    files = []
    for rate in (0.5, 3.0, 15.0):
        manifest = Manifest("push", 100, Workload(traffic=Poisson(rate)), 1, 2.0, 8.0, 2.0)
        table = replay(push, manifest, 7).messages.rename(columns={"target": "agent"})
        files.append(root / f"{rate:g}.csv")
        table[["intended_s", "sent_s", "delivered_s", "agent"]].to_csv(files[-1], index=False)
    return [str(file) for file in files]


@pytest.mark.rendered
def test_logs_become_a_system_that_can_be_held_against_logs(logs, tmp_path, capsys):
    file, plots = tmp_path / "box.toml", tmp_path / "plots"
    arguments = ["calibrate", *logs[::2], "-o", str(file), "--plots", str(plots), "--quiet"]
    assert run(arguments) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    assert max(map(len, shown.out.splitlines())) <= 80
    assert "Messages are pushed" in shown.out
    assert "Capacity: " in shown.out
    assert list(plots.glob("*.png"))
    assert run(["crosscheck", "--model", str(file), "--live", logs[1], "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    median = next(row for row in rows if row["metric"] == "latency_p50")
    assert abs(median["relative_error"]) < 0.25


def test_json_of_logs_has_the_capacity(logs, tmp_path, capsys):
    arguments = ["calibrate", *logs, "-o", str(tmp_path / "box.toml"), "--format", "json"]
    assert run(arguments) == 0
    found = json.loads(capsys.readouterr().out)
    low, high = found["capacity_interval"]
    assert low < found["capacity"] < high
    assert found["interval"] is None


def test_recordings_are_logs_only_where_that_is_said(folders, logs, tmp_path, capsys):
    out = tmp_path / "box.toml"
    assert "is no message log" in refused(capsys, folders[0], logs[0], "-o", out)
    assert run(["calibrate", "--black-box", folders[2], logs[0], "-o", str(out), "--quiet"]) == 0
    assert lhsim.load_system(out).push is not None


@pytest.mark.parametrize(
    ("more", "said"),
    [(["--components", "no.csv"], "does not exist"), ([], "1 of one load")],
)
def test_bad_usage_of_logs_is_one_line(more, said, logs, tmp_path, capsys):
    assert said in refused(capsys, logs[0], *more, "-o", tmp_path / "box.toml")


def test_samples_of_costs_are_of_no_use_to_logs(logs, samples, tmp_path, capsys):
    arguments = [*logs, "--components", samples, "-o", tmp_path / "box.toml"]
    assert "not both" in refused(capsys, *arguments)


def test_what_was_measured_alone_leaves_the_rest_of_the_template_and_says_so(
    samples, tmp_path, capsys
):
    out = tmp_path / "mine.toml"
    arguments = ["calibrate", "--components", str(samples), "--template", "push", "-o", str(out)]
    assert run([*arguments, "--quiet"]) == 0
    said = "Measured were store.write, cpu.validate alone: all else is that of push"
    assert said in " ".join(capsys.readouterr().out.split())
    system = lhsim.load_system(out)
    assert said in system.caveats[0]
    result = lhsim.simulate(system, agents=5, duration=2)
    assert result.extrapolated_because == ("no load was compared",)
    assert said in result.summary()


@pytest.mark.parametrize("value", [3e-303, 1e200, math.nan, -1e-3])
def test_samples_that_are_no_durations_are_refused_in_a_line(value, tmp_path, capsys):
    """Also where their variance is 0 in floating point, though they differ."""
    path, out = tmp_path / "samples.parquet", tmp_path / "mine.toml"
    seconds = value * np.linspace(1.0, 2.0, 120)
    pd.DataFrame({"component": "query", "seconds": seconds}).to_parquet(path)
    line = refused(capsys, "--components", path, "--template", "polling", "-o", out)
    assert str(path) in line
    assert not out.exists()


def test_logs_that_lose_messages_are_refused_and_nothing_is_written(logs, tmp_path, capsys):
    table, out = pd.read_csv(logs[0]), tmp_path / "box.toml"
    table.loc[table.index[::4], "delivered_s"] = np.nan
    table.to_csv(tmp_path / "lossy.csv", index=False)
    line = refused(capsys, tmp_path / "lossy.csv", logs[1], "-o", out)
    assert "never arrive, and the others are not late" in line
    assert not out.exists()


def test_a_model_that_misses_its_recordings_ends_with_exit_code_3(
    folders, tmp_path, monkeypatch, capsys
):
    """It is written, with the miss among its warnings: recordings tell much besides."""
    monkeypatch.setattr("lhsim.calibration.acceptance.MOST_ERRORS", 1e-9)
    monkeypatch.setattr("lhsim.calibration.acceptance.SAME", 0.0)
    out = tmp_path / "mine.toml"
    assert run(["calibrate", *folders, "-o", str(out), "--quiet"]) == 3
    assert "The model misses its own calibration" in " ".join(capsys.readouterr().out.split())
    assert any("misses its own calibration" in text for text in lhsim.load_system(out).caveats)


def test_components_without_spread_are_fitted_or_refused_in_a_line(folder, capsys):
    seconds = np.r_[np.random.default_rng(1).exponential(1e-3, 80), np.full(20, 1e-3)]
    for name, values in (("held", seconds), ("all", np.full(50, 1e-3)), ("none", np.zeros(50))):
        table = pd.DataFrame({"component": "cpu.query", "seconds": values})
        table.assign(component="query").to_parquet(f"{name}.parquet", index=False)
        asked = ["--components", f"{name}.parquet", "--template", "polling", "--quiet"]
        code = run(["calibrate", *asked, "-o", f"{name}.toml"])
        captured = capsys.readouterr()
        assert code == 0 or (code == 2 and captured.err.count("\n") == 1), captured.err
