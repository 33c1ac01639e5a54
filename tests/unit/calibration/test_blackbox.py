"""Message logs of servers of which the truth is known: capacity, delays, polling or not."""

from __future__ import annotations

import math
from types import SimpleNamespace

import attrs
import numpy as np
import pytest
from attrs import evolve
from scipy.optimize import brentq

import lhsim
from lhsim.calibration import from_logs
from lhsim.calibration.fifo import deliveries
from lhsim.calibration.logs import clocks_apart, of_recording
from lhsim.calibration.pattern import pattern
from lhsim.calibration.polling_logs import most_agents
from lhsim.calibration.push_logs import unseen
from lhsim.distributions import Deterministic, Exponential
from lhsim.errors import InputError
from lhsim.models import Cpu, Network, Poisson, PushServer, System, Workload, paths
from lhsim.models.cpu import Warmth
from lhsim.planning.predictions import predictable
from lhsim.recording import Manifest
from lhsim.replay import replay
from lhsim.rules import slopes

NEVER_COLD = slopes(np.array([0.0, 1.0]), np.array([0.0, 0.0]))
AGENTS = 200


def manifest(architecture, agents, rate, seed):
    return Manifest(architecture, agents, Workload(traffic=Poisson(rate)), seed, 2.0, 8.0, 2.0)


def log(system, agents, rate, seed):
    run = replay(system, manifest(system.architecture, agents, rate / agents, seed), seed + 500)
    return of_recording(run, f"{rate:g}/s")


# --- the queue -----------------------------------------------------------------------------------


def test_one_service_is_the_recursion_of_lindley():
    generator = np.random.Generator(np.random.Philox(1))
    arrivals = np.cumsum(generator.exponential(1.0, 500))
    services = generator.exponential(0.8, 500)
    expected, left = [], 0.0
    for at, service in zip(arrivals, services, strict=True):
        left = max(at, left) + service
        expected.append(left)
    found = deliveries(arrivals, services[None, :], 0, NEVER_COLD, 1e-3)
    assert found == pytest.approx(expected, rel=1e-12)


def test_the_queue_is_that_of_the_processes():
    """With costs that are no random numbers, message by message."""
    warmth = Warmth((0.0, 1e-3, 1e-1), (0.0, 0.5, 2.0))
    costs = (2e-4, 3e-4, 1e-4)
    cpu = Cpu(**dict(zip(("parse_message", "write", "acknowledge"), map(Deterministic, costs),
                         strict=True)), warmth=warmth)  # fmt: skip
    system = System("queue", cpu=cpu, push=PushServer())
    for rate in (100, 1200):
        # Together, so that all are connected when the first message comes.
        workload = Workload(traffic=Poisson(rate / AGENTS), start="together")
        asked = Manifest("push", AGENTS, workload, 3, 2.0, 8.0, 2.0)
        table = replay(system, asked).messages
        table = table.sort_values("sent_s", kind="stable")
        sent = table["sent_s"].to_numpy()
        found = deliveries(
            sent, np.tile(np.array(costs)[:, None], len(sent)), 1,
            slopes(np.array(warmth.gaps), np.array(warmth.excess)), warmth.memory,
        )  # fmt: skip
        arrived = table["delivered_s"].notna().to_numpy()
        assert arrived.sum() > 500
        assert found[arrived] == pytest.approx(table["delivered_s"].to_numpy()[arrived], rel=1e-9)


# --- a server that pushes ------------------------------------------------------------------------


def pushing(costs, delay):
    """The default server with costs and ways that are others by these factors."""
    system = lhsim.load_system("push")
    for name in ("parse_message", "validate", "write", "acknowledge", "send"):
        system = paths.changed(system, f"cpu.{name}*", costs)
    return paths.changed(system, "network.up*", delay)


def busiest(system):
    """What the server delivers when a third more than it can do comes [1/s]."""
    costs = (system.cpu.parse_message, system.cpu.validate, system.cpu.write,
             system.cpu.acknowledge, system.cpu.send)  # fmt: skip
    rate = 1.3 / sum(cost.mean for cost in costs)
    asked = manifest("push", AGENTS, rate / AGENTS, 5)
    return replay(system, asked).measures()["throughput"]


@pytest.mark.parametrize("loads", [(0.05, 0.45, 1.6), (0.1, 0.4, 0.75)])
@pytest.mark.parametrize(("costs", "delay"), [(1.4, 3.0), (0.6, 1.0)])
def test_capacity_and_held_out_medians_of_a_server_that_pushes(costs, delay, loads):
    """Within 10 % and 25 %, with a saturated log among the three and without one."""
    system = pushing(costs, delay)
    capacity = busiest(system)
    found = from_logs([log(system, AGENTS, load * capacity, k) for k, load in enumerate(loads)])
    assert found.architecture == "push"
    assert found.capacity.seen == (loads[-1] > 1)
    assert found.capacity.value == pytest.approx(capacity, rel=0.10)
    for load in (0.2, 0.6):
        asked = manifest("push", AGENTS, load * capacity / AGENTS, 9)
        true, predicted = (replay(one, asked).measures() for one in (system, found.system))
        assert predicted["latency_p50"] == pytest.approx(true["latency_p50"], rel=0.25)


@pytest.fixture(scope="module")
def pushed():
    """A server without warmth and noise of its host, known by three logs."""
    system = attrs.evolve(lhsim.load_system("push"), calibration=None)
    system = attrs.evolve(
        system, cpu=attrs.evolve(system.cpu, warmth=None, stalls=None, collection=None)
    )
    logs = [log(system, AGENTS, rate, seed) for seed, rate in enumerate((90, 700, 1400))]
    return system, logs, from_logs(logs, name="found")


def test_warmth_that_is_not_there_is_not_found(pushed):
    unknowns = {one["name"]: one for one in pushed[2].unknowns}
    assert unknowns["excess"]["value"] < 0.1


def test_the_capacity_is_as_uncertain_as_its_interval_says(pushed):
    found = pushed[2].capacity
    assert found.low < found.value < found.high
    assert not found.seen


def test_the_system_is_written_and_read_again(pushed, tmp_path):
    system = pushed[2].system
    lhsim.parameters.dump(system, tmp_path / "found.toml")
    again = lhsim.load_system(tmp_path / "found.toml")
    assert again.calibration == system.calibration
    assert all(len(numbers) == 40 for numbers in again.calibration.samples.values())


def test_what_a_log_does_not_have_is_missing_in_its_recording(pushed):
    run = pushed[1][1].recording("push")
    measures = run.measures()
    assert math.isnan(measures["cpu"])
    assert math.isnan(measures["store_p50"])
    assert measures["latency_p50"] > 0
    assert run.manifest.offered_load == pytest.approx(700, rel=0.05)


def test_loops_behind_a_distance_and_clocks_that_differ():
    """Four steps on each of four loops, so that a log beyond the capacity delivers less than it."""
    names = ("parse_message", "validate", "write", "send")
    cpu = Cpu(workers=4, **{name: Exponential(2e-3) for name in names})
    far = Network(up=Deterministic(0.06), down=Deterministic(0.02))
    system, capacity, behind = System("loops", cpu=cpu, push=PushServer(), network=far), 500, 0.2
    logs = []
    for seed, load in enumerate((0.1, 0.4, 1.4)):
        one = log(system, AGENTS, load * capacity, seed)
        logs.append(one.later(-behind))
    apart = [clocks_apart(one.delivered - one.sent) for one in logs]
    found = from_logs([evolve(one, delivered=one.delivered + by, clocks_apart=by)
                       for one, by in zip(logs, apart, strict=True)])  # fmt: skip
    assert max(one.delivery_rate for one in logs) < 0.95 * capacity
    assert found.capacity.low <= capacity <= found.capacity.high < 1.6 * found.capacity.low
    (frame,) = {one.clocks_apart for one in found.logs}
    assert frame >= max(apart)
    asked = manifest("push", AGENTS, 0.25 * capacity / AGENTS, 9)
    true, predicted = (replay(one, asked).measures() for one in (system, found.system))
    live = true["latency_p50"] - behind + frame
    assert predicted["latency_p50"] == pytest.approx(live, abs=2e-3)
    assert found.system.calibration.window == pytest.approx(8.4, rel=0.05)
    assert predictable(found.system)


@pytest.mark.parametrize("steps", [1, 4, 1000])
def test_what_a_log_beyond_the_capacity_delivers_bounds_it(steps):
    """At a rate L, k equal steps deliver L y^k, with y + ... + y^k = k C / L; here C = 1."""
    offered = 1.5
    y = brentq(lambda y: sum(y**k for k in range(1, steps + 1)) * offered - steps, 0.1, 1.0)
    delivered = offered * y**steps
    bound = delivered * unseen(SimpleNamespace(throughput=delivered, rate=offered))
    assert bound + 1e-3 >= 1.0
    assert bound <= (1.0 + 1e-3 if steps == 1000 else 1.25)


# --- a server that is polled ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def polled():
    system = paths.changed(lhsim.load_system("polling"), "polling.interval", 0.5)
    return paths.changed(system, "cpu.query*", 1.3)


def test_polling_is_told_from_pushing_with_its_interval(polled):
    logs = [log(polled, 40, 40.0, 1), log(polled, 100, 100.0, 2)]
    found = pattern(logs)
    assert found.interval == pytest.approx(0.5, rel=0.02)
    assert found.silence == 0
    assert pattern([log(pushing(1.0, 1.0), 40, 40.0, 1)]).interval is None


def test_delays_that_are_uniform_alone_are_no_polling():
    """Pushed over a network with jitter: deliveries do not wait for one another."""
    network = {"family": "uniform", "low": 0.0, "high": 0.5}
    table = lhsim.parameters.unstructure(attrs.evolve(lhsim.load_system("push"), calibration=None))
    table["network"]["down"] = network
    system = lhsim.parameters.structure(table, System, source="test")
    found = pattern([log(system, 40, 100.0, 1)])
    assert found.distance < 0.08
    assert found.interval is None


def test_capacity_and_held_out_medians_of_a_server_that_is_polled(polled):
    capacity = most_agents(polled, log(polled, 100, 100.0, 1))
    sizes = (30, round(0.5 * capacity), round(1.3 * capacity))
    found = from_logs([log(polled, agents, float(agents), k) for k, agents in enumerate(sizes)])
    assert found.architecture == "polling"
    assert found.capacity.unit == "agents"
    assert found.capacity.seen
    assert found.capacity.value == pytest.approx(capacity, rel=0.10)
    for load in (0.3, 0.7):
        asked = manifest("polling", round(load * capacity), 1.0, 9)
        true, predicted = (replay(one, asked).measures() for one in (polled, found.system))
        assert predicted["latency_p50"] == pytest.approx(true["latency_p50"], rel=0.25)


def test_agents_keep_all_processors_busy(polled):
    few = log(polled, 40, 40.0, 1)
    cpu = evolve(polled.cpu, warmth=None, collection=None).slower(20.0)
    one = evolve(polled, cpu=cpu, calibration=None)
    two = evolve(one, cpu=evolve(one.cpu, workers=2))
    assert most_agents(two, few) == pytest.approx(2 * most_agents(one, few), rel=0.15)


def test_a_polled_server_far_away_is_found_there(polled):
    far = evolve(polled, network=Network(up=Deterministic(0.1), down=Deterministic(0.08)))
    found = from_logs([log(far, 40, 40.0, 1), log(far, 80, 80.0, 2)])
    way = found.system.network.up.mean + found.system.network.down.mean
    assert way == pytest.approx(0.18, abs=0.02)
    assert predictable(found.system)


def test_logs_that_do_not_show_a_polled_servers_work_leave_that_of_the_template(polled):
    found = from_logs([log(polled, 30, 30.0, 1), log(polled, 60, 60.0, 2)])
    assert not found.capacity.seen
    assert found.capacity.low == 60
    assert found.capacity.high == math.inf
    assert found.system.cpu == lhsim.load_system("polling").cpu
    assert found.to_dict()["capacity_interval"] == [60, None]


# --- what cannot be used -------------------------------------------------------------------------


def test_one_load_is_too_few(pushed):
    first = pushed[1][0]
    with pytest.raises(InputError, match="2 of one load"):
        from_logs([first, evolve(first, delivered=first.delivered + 1e-6)])


def test_a_copy_of_a_log_is_no_second_log(pushed):
    first, *others = pushed[1]
    with pytest.raises(InputError, match=r"holds the messages of copy.csv; allowed: each run once"):
        from_logs([*others, first, evolve(first, name="copy.csv")])


def test_a_server_that_is_not_polled_has_no_polled_template(pushed):
    with pytest.raises(InputError, match="is polled, and the server of the logs is not"):
        from_logs(pushed[1], template=lhsim.load_system("polling"))


def test_logs_of_overload_alone_are_refused(pushed):
    logs = [log(pushed[0], AGENTS, rate, 1) for rate in (3000, 4000)]
    with pytest.raises(InputError, match="are all saturated"):
        from_logs(logs)
