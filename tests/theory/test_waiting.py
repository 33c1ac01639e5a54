"""What messages wait for, as `lhsim.explain` splits it, against M/M/1 and M/G/1."""

import pytest
from harness import AGENTS, check, open_queue

from lhsim.distributions import Deterministic, Exponential, Gamma
from lhsim.execution import Cell
from lhsim.explanation.following import follow
from lhsim.models import Cpu, Network
from lhsim.theory import MG1, MMc

S = 0.01  # mean service time [s]
RATE = 60.0
UP, DOWN = 0.003, 0.002  # [s]


def observe(cost):
    network = Network(up=Deterministic(UP), down=Deterministic(DOWN))
    system = open_queue(RATE, cpu=Cpu(send=cost), network=network)

    def observed(seed):
        cell = Cell(system, AGENTS, 250.0, seed, warmup=5.0, drain=3.0)
        _, _, found = follow(cell, 1)
        means = found.parts.mean()
        return {
            "waiting": means["cpu waiting"],
            "service": means["cpu service"],
            "network": means["network"],
        }

    return observed


@pytest.mark.parametrize(
    ("cost", "queue"),
    [
        (Exponential(S), MMc(RATE, S)),
        (Gamma(S, shape=4.0), MG1(RATE, S, scv=0.25)),
    ],
    ids=["M/M/1", "M/G/1"],
)
def test_waiting_and_service_are_those_of_the_queue(cost, queue):
    theory = {"waiting": queue.mean_waiting_time, "service": S, "network": UP + DOWN}
    check(observe(cost), theory, within=0.06)
