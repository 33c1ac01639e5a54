"""What never gets worse when something gets better, under common random numbers.

Only what is really true: more database connections, for one, can make a poller's p99 worse, as an
earlier query may just miss a message.
"""

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lhsim.distributions import Exponential, Lognormal
from lhsim.models import EventStore, Network, Poisson, PollingServer, PushServer, System, Workload
from lhsim.simulation import simulate

ROUNDING = 1e-9  # [s] of sums in another order
SHAPES = {"exponential": Exponential(0.05), "heavy tail": Lognormal(median=0.02, sigma=1.5)}


def stored(connections, write, rate, seed):
    """Return when each message is stored [s], by the order of arrival."""
    system = System(
        "writes",
        workload=Workload(traffic=Poisson(rate), start="together"),
        store=EventStore(write=write, connections=connections),
        push=PushServer(),
    )
    result = simulate(system, agents=10, duration=30.0, seed=seed, keep_messages=True)
    return result.messages["stored"].to_numpy()


@pytest.mark.parametrize("shape", SHAPES)
@given(servers=st.integers(1, 6), rate=st.floats(0.5, 8.0), seed=st.integers(0, 1000))
@settings(max_examples=15)
def test_no_write_ends_later_with_one_connection_more(shape, servers, rate, seed):
    fewer = stored(servers, SHAPES[shape], rate, seed)
    more = stored(servers + 1, SHAPES[shape], rate, seed)
    later = np.nan_to_num(more, nan=np.inf) > np.nan_to_num(fewer, nan=np.inf) + ROUNDING
    assert not later.any()


def test_a_longer_interval_never_lowers_the_delay_at_low_load():
    delays = []
    for interval in (0.25, 0.5, 1.0, 2.0, 4.0):
        system = System(
            "polling",
            workload=Workload(traffic=Poisson(0.05)),
            polling=PollingServer(interval=interval),
        )
        delays.append(simulate(system, agents=200, duration=300.0).latency.mean)
    assert delays == sorted(delays)


@given(more=st.floats(0.0, 0.2), seed=st.integers(0, 1000))
@settings(max_examples=15)
def test_a_slower_way_down_makes_each_pushed_message_as_much_later(more, seed):
    system = System("push", workload=Workload(traffic=Poisson(2.0)), push=PushServer())
    slow = attrs.evolve(system, network=Network(down=Exponential(0.01)))
    slower = attrs.evolve(system, network=Network(down=Exponential(0.01 + more)))
    first, second = (
        simulate(one, agents=5, duration=20.0, seed=seed, keep_messages=True).messages["delivered"]
        for one in (slow, slower)
    )
    both = first.notna() & second.notna()
    assert (second[both] >= first[both]).all()
