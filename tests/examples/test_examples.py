"""The planning scripts do what they say, and their exit codes are right."""

from __future__ import annotations

import gzip
import importlib.util
import io
import math
import sys
import tomllib
from datetime import date
from pathlib import Path

import attrs
import numpy as np
import pandas as pd
import pytest

import lhsim
from lhsim.readers.formats.hints import Hints
from lhsim.readers.requests import read_requests

FOLDER = Path(__file__).parents[2] / "examples"
SLOW = """
name = "slow"
[cpu]
parse_message = "1 ms"
query = "2 ms"
[polling]
interval = "200 ms"
"""


def load(name):
    """Return a script as a module."""
    spec = importlib.util.spec_from_file_location(f"examples_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def slow(tmp_path, monkeypatch):
    """A working directory with ./slow.toml, which bears some 90 agents."""
    monkeypatch.chdir(tmp_path)
    Path("slow.toml").write_text(SLOW)


# --- nightly_check -------------------------------------------------------------------------------


@pytest.fixture
def check():
    Path("forecast.csv").write_text(
        "date,agents\n2027-01-01,9999\n2027-02-01,20\n2027-03-01,30\n2027-12-01,2000\n"
    )
    main = load("nightly_check").main
    return lambda *more: main(
        ["forecast.csv", "--system", "./slow.toml", "--today", "2027-01-15", *more]
    )


def test_a_forecast_that_fits_is_0(check, capsys):
    assert check("--days", "60", "--slo", "p99<500ms") == 0
    assert "30 agents on 2027-03-01: p99<500ms: kept" in capsys.readouterr().out
    assert check("--days", "60", "--slo", "p99<500ms", "--quiet") == 0
    assert capsys.readouterr().out == ""


def test_a_forecast_that_does_not_is_1_and_is_said_at_any_rate(check, capsys):
    assert check("--days", "60", "--slo", "p99<100ms", "--quiet") == 1
    assert "violated" in capsys.readouterr().out


@pytest.mark.parametrize(
    "more", [["--slo", "p99<1 kB"], ["--days", "1"], ["--system", "./no.toml"]], ids=str
)
def test_what_cannot_be_checked_is_2(check, capsys, more):
    assert check(*more) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("nightly_check: ")
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize("text", ["when,agents\n2027-02-01,5\n", "date,agents\nsoon,5\n", "date\n"])
def test_a_forecast_that_is_none_is_2(check, capsys, text):
    Path("forecast.csv").write_text(text)
    assert check() == 2
    assert capsys.readouterr().err.startswith("nightly_check: forecast.csv: ")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("date,agents\n2027-02-10,8000\n2027-02-10,200\n2027-02-11,250\n",
         "date: line 3: 2027-02-10 stands there twice"),
        ("date;agents\n2027-02-10;8.000\n", "agents: line 2: '8.000' is no whole number"),
        ("date,agents\n2027-02-10,-5\n", "agents: line 2: '-5' is no whole number"),
        ("date,agents\n10.02.2027,5\n", "date: line 2: '10.02.2027' is no date"),
        ("date,agents\n2027-02-10\n", "line 2 has 1 fields"),
        ("", "is empty"),
        ("\0\1\2", "is no text"),
    ],
)  # fmt: skip
def test_a_forecast_that_may_mean_two_things_is_2(check, capsys, text, said):
    Path("forecast.csv").write_text(text)
    assert check() == 2
    printed = capsys.readouterr().err
    assert f"forecast.csv: {said}" in printed
    assert printed.count("\n") == 1


def test_a_forecast_may_be_of_another_dialect():
    rows = "\ufeffdate;agents\r\n2027-01-03;5\r\n2027-01-04;7\r\n"
    Path("days.csv.gz").write_bytes(gzip.compress(rows.encode()))
    pd.read_csv("days.csv.gz", sep=";", parse_dates=["date"]).to_parquet("days.parquet")
    largest = load("nightly_check").largest
    for name in ("days.csv.gz", "days.parquet"):
        assert largest(Path(name), date(2027, 1, 2), 9) == (date(2027, 1, 4), 7)


def test_the_largest_day_is_one_of_those_ahead():
    Path("days.csv").write_text("date,agents\n2027-01-01,9\n2027-01-03,5\n2027-01-04,7\n")
    largest = load("nightly_check").largest
    assert largest(Path("days.csv"), date(2027, 1, 2), 1) == (date(2027, 1, 3), 5)
    assert largest(Path("days.csv"), date(2027, 1, 2), 9) == (date(2027, 1, 4), 7)


# --- cost_of_growth ------------------------------------------------------------------------------


def test_the_costs_of_growth(capsys):
    arguments = ["--systems", "./slow.toml", "--agents", "20", "200", "--price", "50"]
    assert (
        load("cost_of_growth").main([*arguments, "--slo", "utilization<80%", "--output", "x"]) == 0
    )
    found = pd.read_csv("x.csv")
    assert found["agents"].tolist() == [20, 200]
    assert found["servers"].is_monotonic_increasing
    assert found["servers"].iloc[0] == 1
    assert found["servers"].iloc[1] > 1
    assert (found["price"] == 50 * found["servers"]).all()
    assert (found["busiest [%]"] < 80).all()
    assert Path("x.png").stat().st_size > 5000
    assert "servers" in capsys.readouterr().out


@pytest.mark.parametrize(
    "more",
    [["--output", "none/x"], ["--headroom", "1.5"], ["--systems", "push", "push"]],
    ids=str,
)
def test_costs_that_would_be_lost_are_refused_before_the_runs(capsys, more):
    assert load("cost_of_growth").main(more) == 2
    assert capsys.readouterr().err.startswith(f"cost_of_growth: {more[0]}: ")


# --- compare_designs -----------------------------------------------------------------------------


def test_two_designs(capsys):
    arguments = ["./slow.toml", "./slow.toml", "--set-b", "polling.interval=50ms"]
    more = ["--agents", "10", "--replications", "3", "--duration", "20"]
    assert load("compare_designs").main([*arguments, *more]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert lines["p50"].endswith("B is lower")
    assert lines["cpu"].endswith("A is lower")
    assert lines["memory"].endswith("no difference is shown")


def test_designs_that_cannot_be_had(capsys):
    assert load("compare_designs").main(["polling", "poling"]) == 2
    assert "did you mean 'polling'?" in capsys.readouterr().err


# --- ways_to_deliver -----------------------------------------------------------------------------


def test_ways_to_deliver(capsys):
    script = load("ways_to_deliver")
    assert script.main(["--agents", "20", "--duration", "10"]) == 0
    lines = capsys.readouterr().out.splitlines()[2:]
    assert [line[:22].strip() for line in lines] == list(script.WAYS)
    queries = {line[:22].strip(): float(line.split()[-1]) for line in lines}
    assert queries["push"] == queries["webhook"] == 0
    assert queries["long poll, all woken"] > 5 * queries["long poll, woken"]


# --- service_times -------------------------------------------------------------------------------

HISTOGRAM = """
# TYPE wait_seconds histogram
wait_seconds_bucket{path="/a",le="0.001"} 50
wait_seconds_bucket{path="/a",le="0.002"} 90.0
wait_seconds_bucket{path="/a",le="+Inf"} 100
wait_seconds_bucket{path="/b",le="0.001"} 50
wait_seconds_bucket{path="/b",le="0.002"} 90.0
wait_seconds_bucket{path="/b",le="+Inf"} 100
wait_seconds_sum{path="/a"} 0.123
other_bucket{le="5"} 7
"""


def test_a_prometheus_histogram():
    found = load("service_times").from_prometheus(HISTOGRAM.splitlines(), "wait_seconds")
    assert found.probabilities == (0.0, 0.5, 0.9, 1.0)
    assert found.values == (0.0, 0.001, 0.002, 0.002)
    assert found.cdf(0.001) == 0.5
    assert found.cdf(0.0015) == pytest.approx(0.7)


def test_what_a_prometheus_client_writes():
    prometheus = pytest.importorskip("prometheus_client")
    registry = prometheus.CollectorRegistry()
    buckets = np.geomspace(1e-4, 0.1, 60).tolist()
    histogram = prometheus.Histogram("took", "Time.", registry=registry, buckets=buckets)
    truth = lhsim.distributions.Lognormal(5e-3, 0.5)
    for u in (np.arange(2000) + 0.5) / 2000:
        histogram.observe(float(truth.quantile(u)))
    text = prometheus.generate_latest(registry).decode()
    found = load("service_times").from_prometheus(text.splitlines(), "took")
    assert found.mean == pytest.approx(truth.mean, rel=0.01)
    assert found.quantile(0.99) == pytest.approx(truth.quantile(0.99), rel=0.03)


def log(seconds, status=200, path="/event/wait"):
    return (f'10.0.0.1 - - [01/May/2027:00:00:00 +0000] "GET {path}?agent_id=7 HTTP/1.1" {status} '
            f'512 "-" "agent/1.0" {seconds:.3f}')  # fmt: skip


def test_an_access_log(capsys):
    times = [0.001 * (1 + number % 20) for number in range(200)]
    others = [log(9.0, status=500), log(9.0, path="/health"), "no request at all"]
    Path("access.log").write_text("\n".join([*map(log, times), *others]))
    assert load("service_times").main(["--access-log", "access.log", "--key", "cpu.respond"]) == 0
    printed = capsys.readouterr().out
    Path("with.toml").write_text(f'name = "x"\npush = {{}}\n{printed}')
    respond = lhsim.load_system("./with.toml").cpu.respond
    assert respond.mean == pytest.approx(np.mean(times), rel=0.01)
    assert respond.quantile(1.0) == 0.02


def test_sources_without_durations_are_2(capsys, monkeypatch):
    Path("access.log").write_text(log(0.1))
    assert load("service_times").main(["--access-log", "access.log"]) == 2
    assert load("service_times").main(["--access-log", "no.log"]) == 2
    monkeypatch.setattr(sys, "stdin", io.StringIO(HISTOGRAM))
    assert load("service_times").main(["--prometheus", "nothing"]) == 2
    assert capsys.readouterr().err.count("\n") == 3


@pytest.mark.parametrize("packed", [bytes, gzip.compress])
def test_a_log_in_latin_1_is_read(capsys, packed):
    lines = [log(0.001 * number) for number in range(20, 31)]
    agent = "CaféBot-é/1.0"
    text = "\r\n".join([*lines, lines[0].replace("agent/1.0", agent)])
    Path("access.log").write_bytes(packed(text.encode("latin-1")))
    assert load("service_times").main(["--access-log", "access.log"]) == 0
    assert capsys.readouterr().out.startswith("# 12 requests, mean 24.58 ms, p99 ")


def test_metrics_may_be_in_a_file_or_compressed(capsys, monkeypatch):
    Path("metrics.gz").write_bytes(gzip.compress(HISTOGRAM.encode()))
    main = load("service_times").main
    assert main(["--prometheus", "wait_seconds", "--metrics", "metrics.gz"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("# 200 requests, mean 1.05 ms, p99 2 ms\n# 10 % took longer than")
    with Path("metrics.gz").open("rb") as file:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(file))
        assert main(["--prometheus", "wait_seconds"]) == 0
        assert capsys.readouterr().out == printed
        sys.stdin.detach()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--access-log", "binary"], "binary: line 1 is no text"),
        (["--access-log", "."], ".: is a directory"),
        (["--prometheus", "x", "--metrics", "binary"], "binary: line 1 is no text"),
        (["--access-log", "binary", "--metrics", "binary"], "--metrics: is of no use here"),
        (["--access-log", "binary", "--log-format", "$request"], "--log-format: does not say"),
        (["--access-log", "binary", "--key", "cpu"], "--key: 'cpu' is no path"),
    ],
)
def test_what_is_no_source_is_2_and_said_in_a_line(capsys, more, said):
    Path("binary").write_bytes(bytes(range(256)))
    assert load("service_times").main(more) == 2
    printed = capsys.readouterr().err
    assert printed.startswith(f"service_times: {said}")
    assert printed.count("\n") == 1


def test_each_script_is_tested_and_says_how_it_is_called():
    tested = Path(__file__).read_text(encoding="utf-8")
    for script in FOLDER.glob("*.py"):
        text = script.read_text(encoding="utf-8")
        assert f"python examples/{script.name}" in text
        assert f'load("{script.stem}")' in tested or script.stem == "fit_default_systems"


# --- access_logs ---------------------------------------------------------------------------------


def test_access_logs_of_three_nodes_are_a_day_of_clients_that_stay_on_theirs(capsys):
    script = load("access_logs")
    script.main("logs")
    printed = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in printed] == ["node1.log", "node2.log", "node3.log"]
    hints = Hints(log_format=script.FORMAT, client="$remote_addr")
    logs = [read_requests(f"logs/node{n}.log", "access-log", hints) for n in (1, 2, 3)]
    names = [set(log.client_names) for log in logs]
    assert len(set.union(*names)) == sum(map(len, names)) == script.CLIENTS
    loads = [piece.rate * piece.duration for piece in script.day().workload.traffic.pieces]
    expected = script.CLIENTS * sum(loads)
    total = sum(map(len, logs))
    assert abs(total - expected) < 4 * math.sqrt(expected)  # Poisson
    night = np.concatenate([log.response[log.start < 3600] for log in logs])
    assert night.mean() == pytest.approx(script.WORK, rel=0.15)  # hardly any queue


# --- run_sheet -----------------------------------------------------------------------------------

LOGS = Path(__file__).parents[1] / "data" / "logs"


def test_a_run_sheet_lists_logs_with_what_they_show(capsys):
    main = load("run_sheet").main
    names = [str(LOGS / name) for name in ("locust_requests.csv", "pgbench_rate.11566")]
    assert main(names) == 0
    text = capsys.readouterr().out
    runs = tomllib.loads(text)["run"]
    assert [run["log"] for run in runs] == names
    assert runs[0]["think"] == "0.2009 s"
    assert "think" not in runs[1]
    assert "# clients: 4; closed loop" in text


def test_a_run_sheet_of_what_is_no_log_is_2(capsys):
    assert load("run_sheet").main([str(LOGS / "wrk.txt")]) == 2
    assert "run_sheet: " in capsys.readouterr().err


# --- request_logs --------------------------------------------------------------------------------


def test_request_logs_are_those_of_a_server_of_known_truth(monkeypatch):
    script = load("request_logs")
    monkeypatch.setattr(script, "CALIBRATED", (1, 5))
    monkeypatch.setattr(script, "HELD_OUT", (10,))
    assert script.main(["logs"]) == 0
    sheets = [
        tomllib.loads(Path("logs", name).read_text()) for name in ("runs.toml", "held-out.toml")
    ]
    assert [len(sheet["run"]) for sheet in sheets] == [2, 1]
    for run in sheets[0]["run"]:
        log = pd.read_csv(Path("logs", run["log"]))
        assert list(log.columns[:3]) == ["client", "start_s", "end_s"]
        assert run["cpu_seconds"] / len(log) == pytest.approx(4.8e-3, rel=0.15)


def test_request_logs_overwrite_no_folder(capsys):
    Path("logs").mkdir()
    assert load("request_logs").main(["logs"]) == 2
    assert capsys.readouterr().err == "request_logs: logs exists; allowed: a new folder\n"


# --- retry_storm ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def storm():
    """The script, with 1,000 agents: what it shows does not depend on how many there are."""
    return load("retry_storm")


@pytest.mark.parametrize("seed", [1, 2])
def test_an_overload_by_retries_outlives_its_outage(storm, seed):
    result = storm.run(1000, storm.RETRIES["at once"], seed=seed)
    assert storm.arriving(result) < 0.7
    times, queued = result.samples["time_s"], result.samples["queued"]
    halfway = np.searchsorted(times, (storm.OUTAGE.at + storm.DURATION) / 2)
    assert queued[-1] > 1.3 * queued[halfway] > 300
    assert result.counters.retries > 2 * result.counters.created


@pytest.mark.parametrize("seed", [1, 2])
def test_without_an_outage_the_same_retries_do_no_harm(storm, seed):
    calm = attrs.evolve(storm.system(1000, storm.RETRIES["at once"]), faults=())
    result = lhsim.simulate(calm, agents=1000, duration=storm.DURATION, seed=seed)
    assert storm.arriving(result) > 0.95
    assert result.counters.retries < 0.01 * result.counters.created


@pytest.mark.parametrize("seed", [1, 2])
def test_a_back_off_with_jitter_cures_the_overload(storm, seed):
    result = storm.run(1000, storm.RETRIES["back-off with jitter"], seed=seed)
    assert storm.arriving(result) > 0.95
    assert result.samples["queued"].max() > 300  # it was as overloaded as the others
    assert result.samples["queued"][-1] < 10
    assert result.metrics.p99_latency_ms < 1000


def test_the_storm_is_printed(storm, monkeypatch, capsys):
    monkeypatch.setattr(storm, "RETRIES", {"at once": storm.RETRIES["at once"]})
    assert storm.main(["1000"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "1,000 agents"
    assert len(lines) == 4


@pytest.mark.parametrize("agents", ["0", "-3"])
def test_a_storm_of_nobody_is_refused(storm, agents, capsys):
    assert storm.main([agents]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("retry_storm: agents: ")
