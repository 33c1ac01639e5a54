"""The connection limit of the push server: Erlang B, Engset and their insensitivity."""

import math

import attrs
import numpy as np
import pytest
from harness import check

from lhsim.distributions import Deterministic, Exponential, Hyperexponential, Lognormal
from lhsim.metrics.account import Window
from lhsim.models import Poisson, PushServer, System, Workload
from lhsim.models.running import start
from lhsim.simulation import simulate
from lhsim.theory import engset, erlang_b

# All of mean 1 s; a refused agent comes back after another `reconnect`, as Engset has it.
SESSIONS = {
    "exponential": Exponential(1.0),
    "constant": Deterministic(1.0),
    "hyperexponential, scv 3": Hyperexponential((0.8, 0.2), (0.5, 3.0)),
    "lognormal, scv 2": Lognormal(1 / math.sqrt(3), math.sqrt(math.log(3))),
}
WARMUP = 30.0  # mean sessions


def limited(connections, session, idle):
    push = PushServer(connections=connections, session=session, reconnect=idle)
    silent = Workload(traffic=Poisson(1e-9), start="together")
    return System(name="limited", push=push, workload=silent)


def observe_loss(system, agents, duration):
    """Count refusals, and look at the connections once a mean session."""

    def observe(seed):
        running = start(system, agents, seed, Window(WARMUP, duration, duration))
        push, memory, env = running.server, running.bridge.memory, running.bridge.env
        env.run(until=WARMUP)
        attempts, refused = push.attempts, push.refused
        seen = []
        for time in np.arange(WARMUP, duration) + 1.0:
            env.run(until=time)
            seen.append(memory.connections)
        return {
            "calls lost": (push.refused - refused) / (push.attempts - attempts),
            "time full": np.mean(np.array(seen) == system.push.connections),
            "carried": np.mean(seen),
        }

    return observe


def engset_theory(connections, agents, load):
    loss = engset(connections, agents, load)
    return {
        "calls lost": loss.call_congestion,
        "time full": loss.time_congestion,
        "carried": loss.carried_load,
    }


@pytest.mark.parametrize("session", SESSIONS.values(), ids=SESSIONS.keys())
def test_a_connection_limit_loses_as_engset_whatever_the_sessions(session):
    system = limited(5, session, Exponential(2.0))
    theory = engset_theory(5, 12, 1 / 2)
    check(observe_loss(system, 12, WARMUP + 1_000.0), theory, within=0.07)


def test_nor_does_the_time_between_two_attempts_matter():
    system = limited(5, Exponential(1.0), Deterministic(2.0))
    theory = engset_theory(5, 12, 1 / 2)
    check(observe_loss(system, 12, WARMUP + 1_000.0), theory, within=0.07)


def test_with_many_agents_the_loss_is_erlang_b():
    """500 sources of 5 erlangs in all; Engset's loss is within 2 % of the limit."""
    agents, load, connections = 500, 5.0, 6
    system = limited(connections, Exponential(1.0), Exponential(agents / load))
    theory = {"calls lost": erlang_b(connections, load)}
    exact = engset(connections, agents, load / agents).call_congestion
    assert exact == pytest.approx(theory["calls lost"], rel=2e-2)
    check(observe_loss(system, agents, WARMUP + 400.0), theory, within=0.07)


def test_messages_to_an_absent_agent_are_the_share_of_its_absence():
    """Poisson messages see time averages: 1/4 of the time of each agent is without a session."""
    system = limited(None, SESSIONS["lognormal, scv 2"], Exponential(1 / 3))
    system = attrs.evolve(system, workload=Workload(traffic=Poisson(0.5)))

    def observe(seed):
        result = simulate(
            system, agents=20, seed=seed, duration=WARMUP + 100.0, warmup=WARMUP, drain=0.0
        )
        return {"rejected": 1 - result.metrics.delivery_success_rate}

    check(observe, {"rejected": 1 / 4}, within=0.07)
