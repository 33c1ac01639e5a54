"""Small inputs that once gave a wrong answer, a traceback or a hang, and what is right."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import lhsim
from lhsim import cli
from lhsim.models import Poisson, PushServer, System, Workload

SECONDS = 60  # of a log
NAMES = ("intended_s", "sent_s", "delivered_s")


def served(arrivals, services, delay):
    free, done = 0.0, np.empty(len(arrivals))
    for number, (at, service) in enumerate(zip(arrivals, services, strict=True)):
        free = max(at, free) + service
        done[number] = free + delay
    return done


def log(arrivals, services, delay, agents, rng):
    done = served(arrivals, services, delay)
    whom = rng.integers(0, agents, len(arrivals))
    times = dict.fromkeys(NAMES[:2], arrivals)
    return pd.DataFrame({**times, "delivered_s": done, "agent": whom})


def far(rate):
    """Return a server of 0.2 ms whose agents are 40 ms away."""
    rng = np.random.default_rng(rate)
    arrivals = np.cumsum(rng.exponential(1 / rate, rate * 20))
    return log(arrivals, np.full(len(arrivals), 0.0002), 0.040, 300, rng)


def steady(rate):
    """Return a server of 2 ms to which messages come one by one, by a clock of 1 ms."""
    rng = np.random.default_rng(rate)
    n = rate * SECONDS
    return log(np.arange(n) / rate, rng.exponential(0.002, n), 0.001, 50, rng).round(3)


def batch(rate):
    """Return that server with ten messages at one instant at a time."""
    rng = np.random.default_rng(rate)
    n = rate * SECONDS
    services = rng.exponential(0.002, n)
    return log(np.floor(np.arange(n) / 10) * 10 / rate, services, 0.001, 50, rng)


def stamps(rate):
    """Return that server, with timestamps for times."""
    rng = np.random.default_rng(rate)
    arrivals = np.cumsum(rng.exponential(1 / rate, rate * SECONDS))
    table = log(arrivals, rng.exponential(0.002, len(arrivals)), 0.001, 50, rng)
    for name in NAMES:
        since = pd.Timestamp("2026-03-01T09:00:00Z") + pd.to_timedelta(table[name], unit="s")
        table[name] = since.dt.as_unit("us")
    return table


@pytest.mark.parametrize(
    ("make", "rates", "truth"),
    [(far, (800, 2400), 5000), (steady, (100, 250), 500), (batch, (100, 250), 500),
     (stamps, (100, 300), 500)],
)  # fmt: skip
def test_the_capacity_of_a_log_is_that_of_its_server(
    tmp_path, monkeypatch, capsys, make, rates, truth
):
    monkeypatch.chdir(tmp_path)
    for rate in rates:
        make(rate).to_parquet(f"{rate}.parquet", index=False)
    logs = [f"{rate}.parquet" for rate in rates]
    assert cli.run(["calibrate", *logs, "-o", "made.toml", "--format", "json", "--quiet"]) == 0
    found = json.loads(capsys.readouterr().out)
    low, high = found["capacity_interval"]
    assert low <= truth <= high
    assert high < 2 * truth
    assert found["capacity"] >= max(rates)


# --- files that say what nobody can do ------------------------------------------------------------

MIXTURE = """
name = "x"
push = {}
cpu.send = { family = "mixture", weights = [1e308, 1e308], components = [
  { family = "exponential", mean = "1 ms" }, { family = "exponential", mean = "2 ms" }] }
"""
LOGNORMAL = """
name = "x"
push = {}
cpu.send = { family = "lognormal", median = "1 ms", sigma = 1e200 }
"""
TINY = """
kind = "sweep"
systems = ["polling"]
agents = 10
[axes]
"polling.interval" = ["5e-324 s", "1 s"]
"""


def one_line(capsys):
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("lhsim: error: ")
    return captured.err


@pytest.mark.parametrize("text", [MIXTURE, LOGNORMAL], ids=["mixture", "lognormal"])
def test_a_distribution_without_moments_is_refused_in_a_line(tmp_path, monkeypatch, capsys, text):
    monkeypatch.chdir(tmp_path)
    Path("x.toml").write_text(text)
    assert cli.run(["scaling", "--system", "./x.toml", "--quiet"]) == 2
    assert "cpu.send" in one_line(capsys)
    assert sorted(Path().iterdir()) == [Path("x.toml")]


def test_an_interval_of_no_time_is_skipped_with_a_notice_and_no_traceback(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    Path("x.toml").write_text(TINY)
    few = ["--replications", "1", "--max-events", "10000", "--engine", "simpy", "--jobs", "1"]
    assert cli.run(["run", "x.toml", *few, "--quiet"]) in {0, 2}
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    assert "skipped" in captured.out + captured.err or captured.err.count("\n") == 1


def test_components_without_spread_are_fitted_or_refused_in_a_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    seconds = np.r_[np.random.default_rng(1).exponential(1e-3, 80), np.full(20, 1e-3)]
    for name, values in (("held", seconds), ("all", np.full(50, 1e-3)), ("none", np.zeros(50))):
        table = pd.DataFrame({"component": "cpu.query", "seconds": values})
        table.assign(component="query").to_parquet(f"{name}.parquet", index=False)
        asked = ["--components", f"{name}.parquet", "--template", "polling", "--quiet"]
        code = cli.run(["calibrate", *asked, "-o", f"{name}.toml"])
        captured = capsys.readouterr()
        assert code == 0 or (code == 2 and captured.err.count("\n") == 1), captured.err


def test_empty_days_cost_the_compiled_engine_no_more_than_simpy():
    system = System("sparse", push=PushServer(), workload=Workload(traffic=Poisson(1e-8)))
    runs = [
        lhsim.simulate(system, agents=4, duration=7.2e8, seed=1, engine=engine)
        for engine in ("simpy", "compiled")
    ]
    assert runs[0].latency.sums.tolist() == runs[1].latency.sums.tolist()
    assert runs[0].outcomes == runs[1].outcomes
