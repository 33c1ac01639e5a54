"""What the other modules are worth: models that are wrong, and the same harness says so.

Each differs from a right one by what a slip of the pen could do. The verdict has to be "differs":
"too wide" would only say that the harness has not looked long enough.
"""

import attrs
import numpy as np
import pytest
from harness import compare, comparisons, latencies, open_queue
from simpy import Environment
from test_closed_networks import observe as observe_pollers
from test_closed_networks import pollers
from test_loss import WARMUP, limited, observe_loss
from test_open_queues import ALWAYS, S, observe_station
from test_polling_delay import STEADY, Z
from test_polling_delay import S as QUERY
from test_polling_delay import observe as observe_delay
from test_time_sharing import RATE, RHO, SERVICES, clients, sharing, throughput_of, workers_of
from test_time_sharing import D as DEMAND
from test_time_sharing import Z as THINK
from test_time_sharing import observe as observe_shared

from lhsim.distributions import Deterministic, Exponential, Hyperexponential
from lhsim.models import EventStore
from lhsim.models.database import Store
from lhsim.models.push_processes import Push
from lhsim.models.request_processes import Answering
from lhsim.models.sharing import TimeShared
from lhsim.models.station import Station
from lhsim.simulation import engines
from lhsim.theory import FixedIntervalPolling, MachineRepair, MMc, engset


def verdicts(observe, theory, within):
    return {one.name: one.verdict for one in comparisons(observe, theory, within)}


# The harness itself


@pytest.fixture(autouse=True)
def simpy_runs(monkeypatch):
    """Let the SimPy engine run: what is planted here are processes."""
    monkeypatch.setattr(engines, "choose", lambda *_asked: ("simpy", "its processes are wrong"))


def test_an_interval_that_is_too_wide_shows_nothing():
    assert compare("x", [0.5, 1.5], 1.0, within=0.05).verdict == "too wide"


def test_the_interval_holds_the_truth_as_often_as_it_says():
    """Exponential samples of 1,000 in each of 32 replications; one 5 % off is out."""
    samples = np.random.default_rng(1).exponential(size=(200, 32, 1_000)).mean(axis=2)
    right = [compare("x", list(values), 1.0, within=0.05).verdict for values in samples]
    wrong = [compare("x", list(values), 1.05, within=0.05).verdict for values in samples]
    assert right.count("agrees") >= 199
    assert wrong.count("differs") >= 199


# Stations


class SlowToFree(Station):
    """Keeps a server for a moment after its service has ended."""

    def complete(self, service):
        later = self.env.timeout(0.1 * S)
        later.callbacks.append(lambda _: super(SlowToFree, self).complete(service))


class OneServerMore(Station):
    def __init__(self, env, servers, *others):
        super().__init__(env, servers + 1, *others)


class Slow(Station):
    def duration(self, demand):
        return 1.1 * demand


class LastFirst(Station):
    """Serves the newest first: right in the mean, and wrong for those who wait."""

    def complete(self, service):
        self.waiting.reverse()
        newest = [self.waiting.popleft()] if self.waiting else []
        self.waiting.reverse()
        self.waiting.extendleft(newest)
        super().complete(service)


QUEUE = MMc(50.0, S)


@pytest.mark.parametrize("wrong", [SlowToFree, OneServerMore, Slow])
def test_a_wrong_station_is_found_by_its_mean(wrong):
    observe = observe_station(50.0, Exponential(S), 1, 6_000, wrong)
    theory = {"response": QUEUE.mean_response_time}
    assert verdicts(observe, theory, within=0.08) == {"response": "differs"}


@pytest.mark.parametrize("wrong", [SlowToFree, OneServerMore])
def test_a_wrong_station_is_found_inside_the_push_server(monkeypatch, wrong):
    monkeypatch.setattr("lhsim.models.sharing.Station", wrong)
    system = open_queue(50.0, store=EventStore(write=Exponential(S), connections=1))
    theory = {"response": QUEUE.mean_response_time}

    def observe(seed):
        return {"response": latencies(system, seed, 1_200).mean()}

    assert verdicts(observe, theory, within=0.1) == {"response": "differs"}


def test_a_wrong_discipline_is_found_by_its_quantiles_alone():
    theory = {
        "response": QUEUE.mean_response_time,
        "p50": QUEUE.response_time_quantile(0.50),
        "p99": QUEUE.response_time_quantile(0.99),
    }
    observe = observe_station(50.0, Exponential(S), 1, 6_000, LastFirst)
    found = verdicts(observe, theory, within=0.15)
    assert found == {"response": "agrees", "p50": "differs", "p99": "differs"}


# Shared stations, and their clients


class NeverPutsOff(TimeShared):
    """Serves first come, first served, whatever its quantum."""

    def _end_slices_early(self):
        pass

    def _run(self, job, switch=0.0):
        self.waiting, waiting = [], self.waiting
        super()._run(job, switch)
        self.waiting = waiting


SHARED = {"response": S / (1 - RHO)}


def test_sharing_that_lets_one_job_more_run_unhindered_is_found(monkeypatch):
    monkeypatch.setattr("lhsim.models.sharing.pace", lambda jobs, _: 1 / max(1, jobs - 1))
    observe = observe_shared(sharing, RATE, SERVICES["constant"], 6_000)
    assert verdicts(observe, SHARED, within=0.1) == {"response": "differs"}


def test_slices_that_never_end_are_found_by_variable_services():
    def make():
        return NeverPutsOff(Environment(), 1, ALWAYS, quantum=S / 50)

    observe = observe_shared(make, RATE, SERVICES["very variable"], 12_000)
    assert verdicts(observe, SHARED, within=0.3) == {"response": "differs"}


def test_a_finite_source_that_is_served_in_turn_is_found_by_variable_services():
    """It is insensitive to them where it is shared, and there alone."""
    theory = {"throughput": MachineRepair(THINK, DEMAND, 25).throughput}
    cost = Hyperexponential((0.9, 0.1), (DEMAND / 2, 5.5 * DEMAND))
    observe = throughput_of(clients(cost), 25)
    assert verdicts(observe, theory, within=0.05) == {"throughput": "differs"}


def test_cores_that_do_not_share_are_found_by_their_throughput(monkeypatch):
    monkeypatch.setattr("lhsim.models.sharing.pace", lambda jobs, processors: 1 / jobs)
    theory = {"throughput": MachineRepair(THINK, DEMAND, 42, 2).throughput}
    observe = throughput_of(clients(Exponential(DEMAND), cores=2, quantum=0.0), 42)
    assert verdicts(observe, theory, within=0.05) == {"throughput": "differs"}


def test_a_worker_that_is_never_waited_for_is_found(monkeypatch):
    def occupy(self, _workers, node):
        self._occupied[node] += 1
        return
        yield

    monkeypatch.setattr(Answering, "_occupy", occupy)
    theory = {"throughput": MachineRepair(THINK, DEMAND, 70, 3).throughput}
    observe = throughput_of(workers_of(3), 70)
    assert verdicts(observe, theory, within=0.05) == {"throughput": "differs"}


# Polling


def snapshot_at_the_end(store, agent, index, read):
    """Answer with what is stored when a query ends, which no database does."""
    store.queries += 1
    yield store.pool.serve(store._query.draw(agent, index))
    return read()


DELAY = {"delay": FixedIntervalPolling(Z, QUERY).mean}


def test_a_snapshot_at_the_end_of_a_query_is_found(monkeypatch):
    monkeypatch.setattr(Store, "query", snapshot_at_the_end)
    assert verdicts(observe_delay(STEADY), DELAY, within=0.02) == {"delay": "differs"}


def test_a_sleep_from_the_start_of_a_query_is_found():
    """Queries every Z instead of every Z + S."""
    server = attrs.evolve(STEADY.polling, interval=Z - QUERY)
    workload = attrs.evolve(STEADY.workload, think=Deterministic(Z - QUERY))
    wrong = attrs.evolve(STEADY, polling=server, workload=workload)
    assert verdicts(observe_delay(wrong), DELAY, within=0.02) == {"delay": "differs"}


@pytest.mark.parametrize("wrong", [OneServerMore, Slow])
def test_a_wrong_store_is_found_by_the_throughput_of_its_pollers(monkeypatch, wrong):
    monkeypatch.setattr("lhsim.models.sharing.Station", wrong)
    theory = {"throughput": MachineRepair(Z, 0.05, 21).throughput}
    observe = observe_pollers(pollers(Exponential(0.05)), 21)
    assert verdicts(observe, theory, within=0.03) == {"throughput": "differs"}


# The connection limit


def leave_late(push, agent):
    """Give a place back a tenth of a session after its agent has gone."""
    push._connections.pop(agent).open = False
    late = push.env.timeout(0.1)
    late.callbacks.append(lambda _: push.bridge.memory.disconnect())


def one_place_more(push, _node):
    return push.bridge.memory.connections > push.server.connections


@pytest.mark.parametrize(("name", "wrong"), [("_leave", leave_late), ("_is_full", one_place_more)])
def test_a_wrong_limit_is_found_by_its_loss(monkeypatch, name, wrong):
    monkeypatch.setattr(Push, name, wrong)
    system = limited(5, Exponential(1.0), Exponential(2.0))
    theory = {"calls lost": engset(5, 12, 1 / 2).call_congestion}
    observe = observe_loss(system, 12, WARMUP + 500.0)
    assert verdicts(observe, theory, within=0.07) == {"calls lost": "differs"}
