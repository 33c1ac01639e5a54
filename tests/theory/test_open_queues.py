"""Poisson arrivals at one station: M/M/1, M/M/c, M/D/1 and M/G/1."""

import math

import numpy as np
import pytest
from harness import check, customers_of, latencies, open_queue
from simpy import Environment

from lhsim.distributions import Deterministic, Exponential, Gamma
from lhsim.models import Cpu, EventStore
from lhsim.models.station import Station
from lhsim.theory import MD1, MG1, MMc

S = 0.01  # mean service time [s]
ALWAYS = (0.0, math.inf)


def observe_station(rate, cost, servers, customers, kind=Station):
    def observe(seed):
        station = kind(Environment(), servers, ALWAYS)
        response, waiting = customers_of(station, rate, cost, seed, customers)
        p50, p95, p99 = np.quantile(response, (0.5, 0.95, 0.99))
        return {
            "waiting": waiting.mean(),
            "response": response.mean(),
            "P(no wait)": np.mean(waiting < 1e-9),
            "p50": p50,
            "p95": p95,
            "p99": p99,
        }

    return observe


def test_a_station_is_m_m_1():
    queue = MMc(50.0, S)
    theory = {
        "waiting": queue.mean_waiting_time,
        "P(no wait)": 1 - queue.probability_of_waiting,
        "p50": queue.response_time_quantile(0.50),
        "p95": queue.response_time_quantile(0.95),
        "p99": queue.response_time_quantile(0.99),
    }
    check(observe_station(50.0, Exponential(S), 1, 18_000), theory, within=0.05)


def test_a_station_of_four_servers_is_m_m_4():
    queue = MMc(280.0, S, 4)
    theory = {
        "waiting": queue.mean_waiting_time,
        "P(no wait)": 1 - queue.probability_of_waiting,
        "p95": queue.response_time_quantile(0.95),
    }
    check(observe_station(280.0, Exponential(S), 4, 20_000), theory, within=0.07)


def test_a_station_with_constant_service_is_m_d_1():
    queue = MD1(60.0, S)
    theory = {
        "waiting": queue.mean_waiting_time,
        "P(no wait)": 1 - queue.utilisation,
        "p50": queue.waiting_time_quantile(0.50) + S,
        "p95": queue.waiting_time_quantile(0.95) + S,
        "p99": queue.waiting_time_quantile(0.99) + S,
    }
    check(observe_station(60.0, Deterministic(S), 1, 8_000), theory, within=0.05)


def test_a_station_with_very_variable_service_is_m_g_1():
    queue = MG1(30.0, S, scv=4.0)
    theory = {"waiting": queue.mean_waiting_time, "P(no wait)": 1 - queue.utilisation}
    check(observe_station(30.0, Gamma(S, shape=1 / 4), 1, 14_000), theory, within=0.08)


# The same inside the push server, as the latency of its messages


@pytest.mark.parametrize(
    ("system", "theory"),
    [
        (
            open_queue(50.0, store=EventStore(write=Exponential(S), single_writer=True)),
            MMc(50.0, S),
        ),
        (
            open_queue(280.0, store=EventStore(write=Exponential(S), connections=4)),
            MMc(280.0, S, 4),
        ),
        (open_queue(60.0, cpu=Cpu(validate=Deterministic(S))), MD1(60.0, S)),
        (open_queue(30.0, cpu=Cpu(parse_message=Gamma(S, 0.5))), MG1(30.0, S, 2.0)),
    ],
    ids=["writer: M/M/1", "pool: M/M/4", "loop: M/D/1", "loop: M/G/1"],
)
def test_push_latency_is_the_response_time_of_its_one_station(system, theory):
    def observe(seed):
        return {"response": latencies(system, seed, 1_200).mean()}

    check(observe, {"response": theory.mean_response_time}, within=0.1)
