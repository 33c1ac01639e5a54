"""``lhsim crosscheck`` from folders to an exit code."""

import json

import pytest

import lhsim
from lhsim.experiments.cli import run
from lhsim.models import Poisson, Workload
from lhsim.recording import Manifest
from lhsim.replay import replay


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


@pytest.mark.parametrize("arguments", [[], ["--live=/nowhere"]])
def test_what_is_no_recording_is_one_line_and_exit_code_2(arguments, capsys):
    assert run(["crosscheck", "--model", "push", *arguments]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_run_that_is_there_twice_is_refused(folders, capsys):
    assert run(["crosscheck", "--model", "push", folders[0], folders[0]]) == 2
    assert "is there twice" in capsys.readouterr().err
