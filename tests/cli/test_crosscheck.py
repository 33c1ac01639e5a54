"""``lhsim crosscheck`` from folders to an exit code."""

import json

import attrs
import pytest

import lhsim
from lhsim.cli import run
from lhsim.crosscheck import Finding
from lhsim.models import Poisson, Workload
from lhsim.recording import Manifest
from lhsim.replay import replay
from lhsim.report.crosscheck import crosscheck_text


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root, push = tmp_path_factory.mktemp("runs"), lhsim.load_system("push")
    for seed in (1, 2, 3):
        manifest = Manifest("push", 20, Workload(traffic=Poisson(1.0)), seed, 2.0, 10.0, 2.0)
        replay(push, manifest, seed + 100).write(root / str(seed))
    return [f"--live={root / str(seed)}" for seed in (1, 2, 3)]


def test_json_has_a_row_for_each_metric(folders, capsys):
    assert run(["crosscheck", "--model", "push", *folders, "--format", "json", "--check"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert set(rows[0]) == {
        "level", "metric", "live", "live_interval",
        "simulated", "simulated_interval", "relative_error", "verdict",
    }  # fmt: skip
    assert {"throughput", "cpu", "store_p50", "latency_p99"} <= {row["metric"] for row in rows}


def test_the_table_fits_a_terminal(folders, capsys):
    assert run(["crosscheck", "--model", "push", *folders]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


@pytest.mark.rendered
def test_plots_show_each_kind_of_time_and_the_differences(folders, tmp_path, capsys):
    plots = tmp_path / "plots"
    assert run(["crosscheck", "--model", "push", *folders, "--plots", str(plots)]) == 0
    names = sorted(path.name for path in plots.iterdir())
    level = "level-1-20-agents-20-messages-s"
    assert names == ["differences.png", f"{level}-latency.png", f"{level}-store.png"]
    assert min(path.stat().st_size for path in plots.iterdir()) > 10_000
    assert "written: " in capsys.readouterr().err


def test_a_folder_for_plots_that_cannot_be_written_is_refused_first(folders, tmp_path, capsys):
    (tmp_path / "file").touch()
    plots = str(tmp_path / "file" / "plots")
    assert run(["crosscheck", "--model", "push", *folders, "--plots", plots]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("lhsim: error: --plots: ")


@pytest.mark.parametrize("arguments", [[], ["--live=/nowhere"]])
def test_what_is_no_recording_is_one_line_and_exit_code_2(arguments, capsys):
    assert run(["crosscheck", "--model", "push", *arguments]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_run_that_is_there_twice_is_refused(folders, capsys):
    assert run(["crosscheck", "--model", "push", folders[0], folders[0]]) == 2
    assert "is there twice" in capsys.readouterr().err


def test_the_longest_verdicts_fit_a_terminal():
    """Those of two numbers and an interval, beside the longest figures."""
    finding = Finding(
        level="20 agents, 40 messages/s",
        metric="latency",
        live=0.2525,
        live_interval=(0.2, 0.3),
        simulated=0.6664,
        simulated_interval=(0.0971, 0.6551),
        relative_error=-0.9876,
        difference=(-0.9987, -0.9765),
        kind="differs",
        p_value=1e-9,
    )
    rows = []
    for metric in ("latency", "latency_p99", "wasted_polls"):
        one = attrs.evolve(finding, metric=metric)
        rows.append({"level": one.level, "metric": metric, "live": one.live,
                     "simulated": one.simulated, "verdict": one.verdict})  # fmt: skip
    text = crosscheck_text("push", "rejected", ("for a reason",), (), rows)
    assert "0.666 (0.097 to 0.655 usual)" in text
    assert max(map(len, text.splitlines())) <= 80
