"""A cross-check does not pass for want of evidence."""

from __future__ import annotations

import warnings

import attrs
import numpy as np
import pandas as pd
import pytest

import lhsim
from lhsim.calibration.logs import Log
from lhsim.cli import run
from lhsim.crosscheck import crosscheck
from lhsim.distributions import Deterministic
from lhsim.models import Calibration, CalibrationWarning, Cpu, Network, PushServer, System

TEXT = "Trust no capacity of this model."


def log(rate=500.0, n=3000, delay=4e-3, batch=1, seed=1):
    """Return the log of a server that delivers everything after a constant time."""
    generator = np.random.default_rng(seed)
    sent = np.repeat(np.cumsum(generator.exponential(batch / rate, n // batch)), batch)
    return Log("log", sent, sent, sent + delay, generator.integers(0, 40, len(sent)))


def server(seconds, delay=2e-3, **more):
    """Return a push server that takes so long for a message, at so large a distance."""
    way = Deterministic(delay / 2)
    return System(
        "model",
        cpu=Cpu(write=Deterministic(seconds)),
        network=Network(up=way, down=way),
        push=PushServer(),
        **more,
    )


def held(system, some, replications=5):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return crosscheck(system, [some.recording("push")], runs_simulated=replications)


@pytest.mark.parametrize("samples", [{}, {"cpu.write*": (0.01, 1.0, *[1.0] * 8, 100.0)}])
def test_a_model_that_is_saturated_where_the_server_is_not_is_rejected(samples):
    """However wide its prediction is."""
    found = held(server(0.02, calibration=Calibration(samples=samples)), log())
    assert found.verdict == "rejected"
    assert found.fails
    assert "the simulated server is saturated, the live one is not" in found.reasons[0]
    (row,) = (one for one in found.to_dicts() if one["metric"] == "throughput")
    assert row["verdict"].endswith("%: one is saturated")


def test_a_model_that_keeps_up_where_the_server_does_not_is_rejected():
    behind = log()
    free, done = 0.0, []
    for at in behind.sent:
        free = max(at, free) + 1 / 300
        done.append(free if free < behind.sent[-1] else np.nan)
    found = held(server(1e-4), attrs.evolve(behind, delivered=np.array(done)))
    assert found.verdict == "rejected"
    assert "the live server is saturated, the simulated one is not" in found.reasons[0]


def test_equal_times_on_both_sides_are_no_division_by_zero():
    found = held(server(1e-6), log(delay=2e-3 + 1e-6))
    assert found.verdict != "no evidence"
    assert not found.fails


def test_times_that_a_coarse_clock_shows_as_0_have_no_logarithm_and_a_distribution():
    found = held(server(1e-4), log(delay=0.0))
    assert "latency_p50" not in {one.metric for one in found.findings}
    assert found.verdict == "rejected"
    assert "latency differs" in found.reasons[0]


def test_batches_are_not_compared_with_a_poisson_process():
    found = held(server(1e-3), log(batch=10))
    latencies = [one for one in found.findings if one.metric.startswith("latency")]
    assert latencies
    assert {one.verdict for one in latencies} == {"uninformative: the traffic dominates"}
    assert any("come in bursts: delays are uninformative" in note for note in found.notes)
    assert found.verdict == "no evidence"


def test_a_log_says_what_its_traffic_was_taken_for_and_a_model_its_warnings():
    doubted = Calibration(warnings=(CalibrationWarning("capacity", TEXT),))
    found = held(server(1e-4, calibration=doubted), log())
    assert any("simulated with Poisson traffic" in note for note in found.notes)
    assert TEXT in found.notes


def test_with_check_no_evidence_ends_with_exit_code_3(tmp_path, capsys):
    one = log(rate=40.0, n=1200, delay=0.5)
    columns = {"intended_s": one.intended, "sent_s": one.sent, "delivered_s": one.delivered}
    pd.DataFrame({**columns, "agent": one.agent}).to_csv(tmp_path / "log.csv", index=False)
    system = attrs.evolve(lhsim.load_system("polling"), calibration=None)
    lhsim.parameters.dump(system, tmp_path / "polled.toml")
    asked = ["crosscheck", "--model", str(tmp_path / "polled.toml"), "--live",
             str(tmp_path / "log.csv"), "--replications", "5", "--quiet"]  # fmt: skip
    assert run(asked) == 0
    assert capsys.readouterr().out.startswith("There is no evidence for polling: no figure")
    assert run([*asked, "--check"]) == 3
