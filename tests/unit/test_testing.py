"""The contract checks: lhsim's own models keep them, and each planted defect is found."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from attrs import frozen

import lhsim
from lhsim.distributions import Distribution, Empirical, Exponential, Lognormal, Pareto, Uniform
from lhsim.metrics.account import Outcome
from lhsim.models import (
    ArrivalProcess,
    Closed,
    OpenTraffic,
    Periodic,
    Poisson,
    Server,
    ServerProcesses,
    System,
)
from lhsim.streams import Purpose, uniform
from lhsim.testing import ContractError, check_distribution, check_server, check_traffic
from lhsim.units import Seconds


@frozen
class Relay(Server):
    """Hands each message over after a delay; `defect` says what is wrong with it."""

    delay: Seconds = 0.01  # [s]
    defect: str = ""

    def serve(self, bridge):
        return RelayProcesses(self, bridge)


HISTORY: list[object] = []  # what no server may keep


class RelayProcesses(ServerProcesses):
    def __init__(self, server, bridge):
        super().__init__(bridge)
        self.server = server

    def carry(self, message):
        defect, ledger = self.server.defect, self.bridge.ledger
        let_in = yield from self.bridge.receive(message)
        if not let_in:
            return
        delay = self.server.delay
        if defect == "global generator":
            delay *= random.random()
        if defect == "memory of runs":
            HISTORY.append(message)
            delay *= len(HISTORY)
        if defect == "knows how many there are":
            message.created += self.bridge.agents * 1e-3
        yield self.env.timeout(delay)
        for one in message.together[:1] if defect == "forgets copies" else message.together:
            one.stored = self.env.now + (1.0 if defect == "stores too late" else 0.0)
            if defect == "clock before":
                one.stored = one.created - 1.0
            if defect == "delivers nothing":
                continue
            if defect == "hides the end":
                ledger.outcomes[Outcome.DELIVERED] += 1
                continue
            now = self.env.now - (0.001 if defect == "earlier" else 0.0)
            ledger.end(one, Outcome.DELIVERED, now)
            if defect == "twice":
                ledger.end(one, Outcome.DROPPED, self.env.now)


def test_a_server_of_ones_own_passes():
    check_server(Relay())


@pytest.mark.parametrize("name", lhsim.systems())
def test_the_systems_of_lhsim_pass(name):
    check_server(lhsim.load_system(name))


@pytest.mark.parametrize(
    ("defect", "finding"),
    [
        ("global generator", "the same seed makes another run"),
        ("memory of runs", "the same seed makes another run"),
        ("earlier", "a message ended at"),
        ("twice", "ended twice"),
        ("delivers nothing", "none of"),
        ("hides the end", "accounted for"),
        ("stores too late", "was stored after its end"),
        ("clock before", "was stored before it was created"),
        ("knows how many there are", "Little's law does not hold"),
    ],
)
def test_a_defect_of_a_server_is_found(defect, finding):
    with pytest.raises(ContractError, match=finding):
        check_server(Relay(defect=defect))


@frozen
class Local(Server):
    """Its description cannot be read back."""

    what: object = None

    def serve(self, bridge):
        return RelayProcesses(Relay(), bridge)


def test_a_description_that_no_file_can_hold_is_found():
    with pytest.raises(ContractError, match="the server: it cannot be written to a model file"):
        check_server(Local(what=print))


# --- distributions -------------------------------------------------------------------------------


@frozen
class Triangle(Distribution):
    """Of density 2 (1 - x / longest) / longest; `defect` says what is wrong."""

    name = "test-triangle"
    longest: Seconds = 1.0  # [s]
    defect: str = ""

    @property
    def mean(self):
        return self.longest / (2 if self.defect == "mean" else 3)

    @property
    def variance(self):
        return self.longest**2 / (12 if self.defect == "variance" else 18)

    def _quantile(self, u):
        x = self.longest * (1 - np.sqrt(1 - u))
        if self.defect == "decreasing":
            return self.longest * np.sqrt(1 - u)
        return x - self.longest if self.defect == "negative" else x

    def _cdf(self, x):
        inside = np.minimum(x, self.longest) / self.longest
        return inside if self.defect == "other cdf" else 1 - (1 - inside) ** 2


@pytest.mark.parametrize(
    "distribution",
    [
        Triangle(),
        Exponential(1e-3),
        Lognormal(1.0, 5.0),
        Pareto(1.0, 1.05),
        Empirical((0.0, 1.0, 1.0, 2.0)),
    ],
    ids=str,
)
def test_a_distribution_passes(distribution):
    check_distribution(distribution)


@pytest.mark.parametrize(
    ("defect", "finding"),
    [
        ("mean", "the mean is 0.5"),
        ("variance", "the variance is"),
        ("decreasing", "the quantiles decrease"),
        ("negative", "a quantile is negative"),
        ("other cdf", r"F\(Q\(u\)\) is below u"),
    ],
)
def test_a_defect_of_a_distribution_is_found(defect, finding):
    with pytest.raises(ContractError, match=finding):
        check_distribution(Triangle(defect=defect))


@frozen
class Torn(Distribution):
    """Short or long, and does not say at which level it jumps."""

    name = "test-torn"
    tells: bool = False

    @property
    def mean(self):
        return 0.9 * 1.5 + 0.1 * 1000.5

    @property
    def variance(self):
        return 1 / 12 + 0.9 * (1.5 - self.mean) ** 2 + 0.1 * (1000.5 - self.mean) ** 2

    @property
    def breaks(self):
        return np.array([0.9]) if self.tells else np.empty(0)

    def _quantile(self, u):
        return np.where(u <= 0.9, 1 + u / 0.9, 1000 + (u - 0.9) / 0.1)

    def _cdf(self, x):
        return np.clip(0.9 * (x - 1), 0, 0.9) + np.clip(0.1 * (x - 1000), 0, 0.1)


def test_jumps_that_are_named_are_no_defect():
    check_distribution(Torn(tells=True))


# --- traffic -------------------------------------------------------------------------------------


@frozen
class Pairs(ArrivalProcess):
    """Two messages at a time; `defect` says what is wrong."""

    name = "test-pairs"
    rate: float = 1.0
    defect: str = ""

    @property
    def rate_per_agent(self):
        return self.rate * (2 if self.defect == "rate" else 1)

    def time_to_next(self, agent, number, now, seed):
        if self.defect == "global generator":
            return random.expovariate(self.rate)
        if self.defect == "backwards":
            return -1.0
        if self.defect == "stands still":
            return 0.0
        if number % 2:
            return 0.0
        u = uniform(seed, int(Purpose.MESSAGE_GAP), agent, number)
        return -2 / self.rate * math.log1p(-u)


@frozen
class Renewal(OpenTraffic):
    """Gaps that are not those of its rate."""

    name = "test-renewal"

    @property
    def rate_per_agent(self):
        return 1.0

    @property
    def first_gap(self):
        return self.gap

    @property
    def gap(self):
        return Uniform(0.0, 4.0)


@pytest.mark.parametrize("traffic", [Pairs(), Pairs(rate=0.01), Poisson(2.0), Periodic(0.1, 0.3)])
def test_traffic_passes(traffic):
    check_traffic(traffic)


@pytest.mark.parametrize(
    ("traffic", "finding"),
    [
        (Pairs(defect="rate"), "messages of an agent where its rate says"),
        (Pairs(defect="global generator"), "changes when it is asked again"),
        (Pairs(defect="backwards"), "time_to_next is -1.0"),
        (Pairs(defect="stands still"), "far more messages than its rate says"),
        (Renewal(), "messages of an agent where its rate says"),
        (Closed(), "neither OpenTraffic nor an ArrivalProcess"),
    ],
    ids=repr,
)
def test_a_defect_of_traffic_is_found(traffic, finding):
    with pytest.raises(ContractError, match=finding):
        check_traffic(traffic)


def test_traffic_by_a_rule_runs_and_is_what_a_schedule_holds():
    from lhsim.models.schedule import schedule

    system = System("own", server=Relay(), workload=lhsim.models.Workload(traffic=Pairs()))
    run = lhsim.simulate(system, agents=3, duration=20, keep_messages=True)
    assert run.engine == "simpy"
    assert "of your own" in run.engine_reason
    sent = run.messages.sort_values(["created", "sender", "number"])
    planned = schedule(system.workload, 3, 20.0, 1)
    np.testing.assert_array_equal(sent["created"], planned.time)
