"""``lhsim import`` and ``lhsim inspect`` as a user runs them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lhsim.cli import run
from lhsim.readers.requests import read_requests

LOGS = Path(__file__).parents[1] / "data" / "logs"
CLOSED = [str(LOGS / "pgbench_closed.11494"), str(LOGS / "pgbench_closed.11494.1")]
HISTOGRAM = "http_request_duration_seconds"


def refused(capsys, *arguments):
    """Return the one line of a refusal."""
    assert run([str(one) for one in arguments]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert len(shown.err.splitlines()) == 1
    return shown.err


def plain(capsys, *arguments):
    """Return what a command prints as JSON."""
    assert run([*map(str, arguments), "--format", "json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_import_makes_one_log_of_the_files_of_a_run(tmp_path, capsys, kind):
    path = tmp_path / f"requests.{kind}"
    assert run(["import", "pgbench", *CLOSED, "-o", str(path), "--sleep-first", "100ms"]) == 0
    shown = capsys.readouterr()
    assert "233, 0 of them failed" in shown.out
    assert "4 clients" in shown.out
    assert shown.err == f"written: {path}\n"
    log = read_requests(path)
    assert (len(log), log.clients) == (233, 4)
    assert 0 < log.response.min() < 0.01


@pytest.mark.parametrize(
    ("name", "kind"),
    [("hey.csv", "hey"), ("k6.csv", "k6-csv"), ("k6.json", "k6-json"), ("jmeter.jtl", "jmeter-csv"),
     ("vegeta.csv", "vegeta-csv"), ("otlp.json", "otlp"), ("locust_requests.csv", "requests")],
)  # fmt: skip
def test_import_finds_out_the_format(tmp_path, capsys, name, kind):
    found = plain(capsys, "import", "auto", LOGS / name, "-o", tmp_path / "log.csv", "--quiet")
    assert found["format"] == kind
    assert found["requests"] == len(read_requests(tmp_path / "log.csv"))
    assert found["unknown"]


def test_import_takes_access_logs_by_their_format(tmp_path, capsys):
    found = plain(capsys, "import", "access-log", LOGS / "nginx.log", "--log-format", "nginx",
                  "-o", tmp_path / "log.csv")  # fmt: skip
    assert (found["stamps"], found["clients"]) == ("end", None)


def test_import_refuses_in_one_line_and_writes_nothing(tmp_path, capsys):
    path = tmp_path / "log.csv"
    stats = LOGS / "locust_stats.csv"
    for words, arguments in {
        "no request has a time of its own": ["auto", stats, "-o", path],
        "did you mean 'pgbench'": ["pgbnch", *CLOSED, "-o", path],
        "end_s": ["requests", LOGS / "hey.csv", "-o", path],
        "is missing": ["auto", "-o", path],
        "ends in none of": ["pgbench", *CLOSED, "-o", tmp_path / "log.txt"],
        "--span-kind: is of no use": ["pgbench", *CLOSED, "--span-kind", "client", "-o", path],
        "does not exist": ["auto", tmp_path / "none", "-o", path],
    }.items():
        assert words in refused(capsys, "import", *arguments)
    assert list(tmp_path.iterdir()) == []


def test_import_overwrites_nothing(tmp_path, capsys):
    path = tmp_path / "log.csv"
    path.write_text("mine")
    line = refused(capsys, "import", "pgbench", *CLOSED, "-o", path)
    assert "nothing is overwritten" in line
    assert path.read_text() == "mine"


def test_inspect_says_what_a_log_shows(capsys):
    found = plain(capsys, "inspect", *CLOSED, "--together", "--sleep-first", "100ms")
    (log,) = found["logs"]
    assert (log["kind"], log["clients"], log["loop"]["kind"]) == ("requests", 4, "closed")
    assert log["think"]["kind"] == "constant"
    assert log["think"]["mean_s"] == pytest.approx(0.1, rel=0.01)
    assert run(["inspect", *CLOSED, "--together"]) == 0
    assert "a sleep of the client" in capsys.readouterr().out


def test_inspect_compares_several_loads(capsys):
    found = plain(capsys, "inspect", LOGS / "hey.csv", LOGS / "pgbench_rate.11566")
    assert [log["format"] for log in found["logs"]] == ["hey", "pgbench"]
    assert any("different kinds" in text for text in found["together"])


@pytest.mark.rendered
@pytest.mark.parametrize("name", ["picture.png", "picture.svg"])
def test_inspect_draws_a_picture(tmp_path, capsys, name):
    path = tmp_path / name
    arguments = ["inspect", str(LOGS / "locust_requests.csv"), str(LOGS / "vegeta.csv"), "-o"]
    assert run([*arguments, str(path)]) == 0
    assert path.stat().st_size > 10_000
    capsys.readouterr()
    assert "nothing is overwritten" in refused(capsys, *arguments, path)


def test_inspect_shows_a_message_log(tmp_path, capsys):
    rng = np.random.default_rng(1)
    sent = np.cumsum(rng.exponential(0.01, 3000))
    rows = zip(sent, sent + rng.exponential(0.003, 3000), rng.integers(0, 20, 3000), strict=True)
    path = tmp_path / "messages.csv"
    path.write_text("intended_s,sent_s,delivered_s,agent\n" + "".join(
        f"{start:.6f},{start:.6f},{end:.6f},{agent}\n" for start, end, agent in rows
    ))  # fmt: skip
    (log,) = plain(capsys, "inspect", path)["logs"]
    assert (log["kind"], log["messages"], log["agents"]) == ("messages", 3000, 20)
    assert log["saturated"] is False
    assert run(["inspect", str(path)]) == 0
    assert "lhsim calibrate" in capsys.readouterr().out


def test_inspect_shows_distributions_as_figures(capsys):
    (log,) = plain(capsys, "inspect", LOGS / "latencies.hgrm", "--unit", "ms")["logs"]
    assert (log["kind"], log["requests"]) == ("distribution", 2000)
    assert log["response_s"]["p50"] == pytest.approx(3.841e-3, rel=0.01)
    before, after = LOGS / "metrics_before.txt", LOGS / "metrics_after.txt"
    arguments = ["inspect", after, "--before", before, "--metric", HISTOGRAM]
    (log,) = plain(capsys, *arguments)["logs"]
    assert log["requests"] == 100
    assert log["response_s"]["mean"] == pytest.approx(0.035)
    (log,) = plain(capsys, "inspect", LOGS / "native_histogram.json")["logs"]
    assert log["requests"] == 40
    assert run(["inspect", str(LOGS / "native_histogram.json")]) == 0
    assert "figures, not a log" in capsys.readouterr().out


def test_inspect_refuses_in_one_line(tmp_path, capsys):
    hey = LOGS / "hey.csv"
    for words, arguments in {
        "--unit": [LOGS / "latencies.hgrm"],
        "--metric": [LOGS / "metrics_after.txt"],
        "--metric: is of no use": [hey, "--metric", "x"],
        "is there twice": [hey, hey],
        "LOG: is missing": [],
        "no known format": [LOGS / "nginx.log"],
        "has nothing to show": [LOGS / "native_histogram.json", "-o", tmp_path / "x.png"],
        "ends in none of": [hey, "-o", tmp_path / "x.gif"],
    }.items():
        assert words in refused(capsys, "inspect", *arguments)
    assert list(tmp_path.iterdir()) == []
