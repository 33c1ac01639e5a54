"""The delay of a message at the polling server, where queries do not wait for each other."""

import math

import attrs
import numpy as np
import pytest
from harness import check, ks_p_value
from scipy.stats import uniform

from lhsim.distributions import Deterministic, Exponential
from lhsim.models import EventStore, Poisson, PollingServer, System, Workload
from lhsim.simulation import simulate
from lhsim.theory import FixedIntervalPolling, polling_delay

Z, S, AGENTS = 1.0, 0.1, 20
WARMUP, MEASURED = 5.0, 30.0
SIGNIFICANCE = 1e-4


def poller(query, rate, think):
    """Return a system with a connection for each agent and no limit on an answer."""
    return System(
        name="poller",
        workload=Workload(traffic=Poisson(rate), start="random", start_over=Z, think=think),
        polling=PollingServer(interval=Z, timeout=1e9, limit=1_000),
        store=EventStore(query=query, connections=AGENTS),
    )


# An agent that thinks for as long as the server sleeps queries every Z + S, found or not.
STEADY = poller(Deterministic(S), rate=1.0, think=Deterministic(Z))


def delays(system, seed):
    result = simulate(
        system,
        agents=AGENTS,
        seed=seed,
        warmup=WARMUP,
        drain=WARMUP,
        duration=MEASURED + 2 * WARMUP,
        keep_messages=True,
    )
    records = result.records
    inside = (records["created"] >= WARMUP) & (records["created"] < MEASURED + WARMUP)
    return (records["delivered"] - records["stored"])[inside]


def observe(system):
    return lambda seed: {"delay": np.mean(delays(system, seed))}


@pytest.mark.parametrize(
    ("query", "variance"), [(Deterministic(S), 0.0), (Exponential(S), S**2)], ids=str
)
def test_the_mean_delay_is_the_rest_of_a_cycle_and_a_query(query, variance):
    system = attrs.evolve(STEADY, store=attrs.evolve(STEADY.store, query=query))
    check(observe(system), {"delay": polling_delay(Z, S, variance)}, within=0.02)


def test_the_delay_is_uniform():
    theory = FixedIntervalPolling(Z, S)
    sample = np.concatenate([delays(STEADY, seed) for seed in range(1, 17)])
    assert len(sample) > 9_000
    assert theory.minimum <= sample.min()
    assert sample.max() <= theory.maximum + 1e-9
    cdf = uniform(theory.minimum, theory.maximum - theory.minimum).cdf
    assert ks_p_value(sample, cdf) > SIGNIFICANCE
    # The test sees a cycle that is 5 % shorter.
    assert ks_p_value(sample, uniform(S, 0.95 * (Z + S)).cdf) < SIGNIFICANCE


@pytest.mark.parametrize("rate", [0.1, 2.0])
def test_an_agent_that_asks_again_at_once_shortens_the_cycle(rate):
    """As the seed's agents do: after a hit the next query starts at once, S after the last.

    The gaps between queries are then a Markov chain of short and long ones, independent of the
    messages to come.
    """
    hit_short, hit_long = -math.expm1(-rate * S), -math.expm1(-rate * (Z + S))
    short = hit_long / (1 - hit_short + hit_long)  # the stationary share of short gaps
    sleep, variance = (1 - short) * Z, short * (1 - short) * Z**2
    theory = {"delay": polling_delay(sleep, S, 0.0, variance)}
    system = poller(Deterministic(S), rate, Deterministic(0.0))
    check(observe(system), theory, within=0.05)
