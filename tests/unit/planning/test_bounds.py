"""Lower bounds of the mean latency where not each message comes to the server, or gets in."""

import pytest

import lhsim
from lhsim.distributions import Deterministic
from lhsim.models import Cpu, EventStore, Poisson, PushServer, RateLimit, System, Workload
from lhsim.planning.bounds import lower_bound, push_load, settling_time

MS = Deterministic(1e-3)


def system(topology, rate, **push):
    return System(
        name="bounded",
        workload=Workload(topology, Poisson(rate)),
        cpu=Cpu(parse_message=MS, send=MS),
        store=EventStore(write=Deterministic(0.005), connections=1),
        push=PushServer(**push),
    )


def test_a_broadcast_is_parsed_and_written_once():
    """25 broadcasts/s to 20 agents: the loop has 25 (1 + 20) ms to do, the store 25 times 5 ms."""
    broadcast = system("broadcast", 25.0)
    assert push_load(broadcast, 500.0, 20) == pytest.approx(0.525)
    assert push_load(broadcast, 500.0, 1) == pytest.approx(2.5)
    result = lhsim.simulate(broadcast, agents=21, duration=60.0)
    assert result.utilization["cpu"] == pytest.approx(0.525, rel=0.1)
    assert lower_bound(broadcast, 21) == pytest.approx(0.007)
    assert result.latency.mean > lower_bound(broadcast, 21)


def test_what_a_rate_limit_rejects_loads_no_one():
    """300 messages/s offered to a store that writes 200; 100 are let in."""
    free, limited = (system("ring", 30.0, rate_limit=limit) for limit in (None, RateLimit(10.0, 1)))
    assert lower_bound(free, 10) == float("inf")
    assert lower_bound(limited, 10) == pytest.approx(0.007)
    assert settling_time(limited, 10) == 0.0  # nobody has to be accepted
    result = lhsim.simulate(limited, agents=10, duration=60.0)
    assert not result.overloaded
    assert result.latency.mean > lower_bound(limited, 10)
