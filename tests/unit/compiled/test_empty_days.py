"""The calendar does not walk through empty days, however short they are."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

import lhsim
from lhsim.compiled import engine as engines
from lhsim.compiled import setup
from lhsim.distributions import Deterministic, Exponential
from lhsim.models import Closed, Cpu, Network, Poisson, PushServer, System, Workload

# Twenty messages of an agent, a few years from one to the next.
RARE = System(
    name="rare",
    workload=Workload(traffic=Closed(20, Exponential(1e8)), start="together", topology="ring"),
    network=Network(Exponential(1e7), Exponential(1e7)),
    cpu=Cpu(send=Deterministic(1e-3)),
    push=PushServer(),
)


def figures(engine: str, **how: object) -> tuple[object, ...]:
    result = lhsim.simulate(RARE, agents=5, duration=1e10, engine=engine, **how)  # type: ignore[arg-type]
    return repr(result.metrics), result.counters, result.latency.sums.tobytes()


@pytest.mark.parametrize("days_per_second", [1e-300, 1e-6, 1e3, 1e9, 1e100, 1e300, np.inf])
def test_days_of_any_length_give_the_same_bits(monkeypatch, days_per_second):
    expected = figures("simpy")
    figures("compiled")  # the compiler's time is none of the run's
    monkeypatch.setattr(setup, "_first_days_per_second", lambda *_: days_per_second)
    begun = time.process_time()
    assert figures("compiled") == expected
    assert time.process_time() - begun < 10  # it was hours, with 1e9 days a second


def test_a_kernel_comes_back_from_empty_days(monkeypatch):
    """It comes back for Ctrl-C, too: after so many days, or so many events."""
    monkeypatch.setattr(setup, "_first_days_per_second", lambda *_: 1e12)
    lengthened = []
    original = engines.CompiledEngine._lengthen_days
    monkeypatch.setattr(
        engines.CompiledEngine,
        "_lengthen_days",
        lambda self: (lengthened.append(1), original(self)),
    )
    figures("compiled")
    assert lengthened


def test_nothing_is_retuned_where_events_are_dense(monkeypatch):
    def never(_self: object) -> None:
        raise AssertionError

    monkeypatch.setattr(engines.CompiledEngine, "_lengthen_days", never)
    lhsim.simulate("seed-push", agents=200, duration=60.0)


def test_a_model_of_rare_events_runs_as_with_simpy():
    text = Path(__file__).with_name("rare_events.toml")
    system = lhsim.load_system(text)
    runs = [
        lhsim.simulate(system, agents=10, duration=7.2e8, engine=engine)
        for engine in ("compiled", "simpy")
    ]
    assert repr(runs[0].metrics) == repr(runs[1].metrics)
    assert runs[0].counters == runs[1].counters


def test_empty_days_cost_the_compiled_engine_no_more_than_simpy():
    system = System("sparse", push=PushServer(), workload=Workload(traffic=Poisson(1e-8)))
    runs = [
        lhsim.simulate(system, agents=4, duration=7.2e8, seed=1, engine=engine)
        for engine in ("simpy", "compiled")
    ]
    assert runs[0].latency.sums.tolist() == runs[1].latency.sums.tolist()
    assert runs[0].outcomes == runs[1].outcomes
