"""The FIFO station."""

import numpy as np
import pytest
import simpy
from hypothesis import given
from hypothesis import strategies as st

from lhsim.models.station import Station

FOREVER = (0.0, 1e9)


def serve(env, station, at, demand, log, name=None):
    yield env.timeout(at)
    yield station.serve(demand)
    log.append((name if name is not None else demand, env.now))


def test_one_server_serves_in_the_order_of_arrival():
    env, log = simpy.Environment(), []
    station = Station(env, 1, FOREVER)
    for at, demand in ((0, 5), (1, 1), (2, 3)):
        env.process(serve(env, station, at, demand, log))
    env.run()
    assert log == [(5, 5), (1, 6), (3, 9)]


def test_two_servers_work_side_by_side():
    env, log = simpy.Environment(), []
    station = Station(env, 2, FOREVER)
    for at, demand in ((0, 5), (1, 1), (1, 2)):
        env.process(serve(env, station, at, demand, log))
    env.run()
    assert log == [(1, 2), (2, 4), (5, 5)]


def test_on_completion_the_effect_comes_first_then_the_next_service_then_the_owner():
    env, log = simpy.Environment(), []
    station = Station(env, 1, FOREVER)

    def owner(name):
        yield station.serve(
            1.0, begin=lambda: log.append(f"begin {name}"), effect=lambda: log.append(f"end {name}")
        )
        log.append(f"owner {name}")

    env.process(owner("a"))
    env.process(owner("b"))
    env.run()
    assert log == ["begin a", "end a", "begin b", "owner a", "end b", "owner b"]


def test_a_service_gives_its_owner_what_it_saw_when_it_began():
    env, seen = simpy.Environment(), []
    station = Station(env, 1, FOREVER)

    def owner():
        seen.append((yield station.serve(1.0, begin=lambda: env.now)))

    env.process(owner())
    env.process(owner())
    env.run()
    assert seen == [0.0, 1.0]


def test_a_demand_that_depends_on_the_state_is_asked_when_the_service_begins():
    env, log = simpy.Environment(), []
    station = Station(env, 1, FOREVER)
    env.process(serve(env, station, 0, 2.0, log, "first"))
    env.process(serve(env, station, 1, lambda: env.now * 10, log, "second"))
    env.run()
    assert log == [("first", 2.0), ("second", 22.0)]


@pytest.mark.parametrize(
    ("window", "busy"), [((0.0, 10.0), 4.0), ((1.0, 10.0), 3.0), ((2.0, 3.0), 1.0), ((5.0, 9.0), 0)]
)
def test_busy_time_counts_inside_the_measured_window(window, busy):
    env = simpy.Environment()
    station = Station(env, 1, window)
    env.process(serve(env, station, 0, 4.0, []))
    env.run()
    assert station.busy_time == busy


jobs = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 6)), min_size=1, max_size=25)


@given(jobs, st.integers(1, 4))
def test_it_has_the_completions_of_simpys_resource_ties_included(jobs, servers):
    def reference():
        env, log = simpy.Environment(), []
        resource = simpy.Resource(env, servers)

        def job(number, at, demand):
            yield env.timeout(at)
            with resource.request() as request:
                yield request
                yield env.timeout(demand)
            log.append((number, env.now))

        for number, (at, demand) in enumerate(jobs):
            env.process(job(number, at, demand))
        env.run()
        return log

    env, log = simpy.Environment(), []
    station = Station(env, servers, FOREVER)
    for number, (at, demand) in enumerate(jobs):
        env.process(serve(env, station, at, float(demand), log, number))
    env.run()
    assert sorted(log) == sorted(reference())


@given(jobs)
def test_it_obeys_lindleys_recursion(jobs):
    env, log = simpy.Environment(), []
    station = Station(env, 1, FOREVER)
    arrivals = sorted(jobs, key=lambda job: job[0])
    for number, (at, demand) in enumerate(arrivals):
        env.process(serve(env, station, at, float(demand), log, number))
    env.run()
    free = -np.inf
    for number, (at, demand) in enumerate(arrivals):
        free = max(free, at) + demand
        assert (number, free) in log
