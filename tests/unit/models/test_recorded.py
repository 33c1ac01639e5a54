"""Recorded traffic: hand-worked examples, its account, and what is refused."""

import numpy as np
import pytest

import lhsim
from lhsim import parameters
from lhsim.distributions import Deterministic
from lhsim.errors import InputError
from lhsim.models import Cpu, Piece, Piecewise, PushServer, Recorded, System, Workload
from lhsim.models.schedule import schedule
from lhsim.streams import Purpose, uniform

ENGINES = pytest.mark.parametrize("engine", ["simpy", "compiled"])
TWO = Recorded((0.0, 0.25, 0.5, 0.5), 1.0, clients=(0, 1, 0, 0))


def run(traffic, agents, engine="compiled", duration=2.0, topology="ring", start_over=1.0, **parts):
    workload = Workload(topology, traffic, start_over=start_over)
    system = System("recorded", workload=workload, push=PushServer(), **parts)
    return lhsim.simulate(
        system, agents=agents, duration=duration, warmup=0.0, drain=0.0, seed=5, engine=engine,
        keep_messages=True,
    )  # fmt: skip


def sent(result, agent):
    records = result.records
    return records["created"][records["sender"] == agent].tolist()


@ENGINES
@pytest.mark.parametrize("start_over", [0.0, 1.0])
def test_each_client_sends_at_its_times_whenever_it_starts_and_again(engine, start_over):
    result = run(TWO, 2, engine, start_over=start_over)
    assert sent(result, 0) == [0.0, 0.5, 0.5, 1.0, 1.5, 1.5]
    assert sent(result, 1) == [0.25, 1.25]


@ENGINES
def test_in_pairs_the_clients_are_those_that_send(engine):
    result = run(TWO, 4, engine, topology="pair")
    assert sent(result, 0) == [0.0, 0.5, 0.5, 1.0, 1.5, 1.5]
    assert sent(result, 2) == [0.25, 1.25]


@ENGINES
def test_further_senders_have_the_same_record_from_a_random_time_on(engine):
    shift = uniform(5, int(Purpose.RECORD), 2, 0)
    expected = sorted((time + shift) % 1.0 for time in (0.0, 0.5, 0.5))
    times = sent(run(TWO, 3, engine), 2)
    assert times == pytest.approx([*expected, *(1 + time for time in expected)])


def test_all_that_was_recorded_is_sent_once_a_period():
    generator = np.random.default_rng(3)
    times = np.sort(generator.uniform(0, 7, 400))
    clients = np.append(np.arange(9), generator.integers(0, 9, 391))
    traffic = Recorded(tuple(times.tolist()), 7.0, tuple(clients.tolist()))
    records = run(traffic, 9, duration=14.0).records
    assert np.sort(records["created"]) == pytest.approx(np.append(times, times + 7.0))
    assert traffic.rate_per_agent == pytest.approx(400 / 9 / 7)
    assert len(run(traffic, 90, duration=14.0).records["created"]) == 20 * 400


def test_the_schedule_holds_the_times_of_a_run():
    table = schedule(Workload("random", TWO), 5, 3.0, 5)
    records = run(TWO, 5, topology="random", duration=3.0).records
    assert sorted(zip(table.time, table.sender, table.target, strict=True)) == sorted(
        zip(*(records[name].tolist() for name in ("created", "sender", "target")), strict=True)
    )


def test_clusters_wait_as_they_were_recorded():
    """Twenty at once, each for 10 ms: they wait for 0, 10, ... 190 ms, so 95 ms in the mean."""
    cpu = Cpu(send=Deterministic(0.01))
    together = Recorded((0.0,) * 20, 1.0, tuple(range(20)))
    spread = Piecewise((Piece(1.0, 1.0),))
    means = [
        run(one, 20, duration=60.0, start_over=0.0, cpu=cpu).latency.mean
        for one in (together, spread)
    ]
    assert means[0] == pytest.approx(0.095 + 0.01, rel=0.05)
    assert means[1] < 0.02


def test_a_file_holds_times_and_clients():
    text = {"kind": "recorded", "times": [0, "250 ms"], "length": "1 min", "clients": [0, 1]}
    workload = parameters.structure({"traffic": text}, Workload, source="file")
    assert workload.traffic == Recorded((0.0, 0.25), 60.0, (0, 1))


@pytest.mark.parametrize(
    ("times", "length", "clients", "problem"),
    [
        ((), 1.0, None, "times: is empty; allowed: one value or more"),
        ((0.0,) * 200_001, 1.0, None, "times: are 200,001; allowed: at most 200,000"),
        ((0.5,), 1.0, (), "clients: is empty"),
        ((0.5, 0.25), 1.0, None, "times: are out of order or range"),
        ((0.5, 1.0), 1.0, None, "times: are out of order or range"),
        ((-0.5, 0.5), 1.0, None, "times: "),
        ((0.0, np.nan), 1.0, None, "times: "),
        ((0.0, 0.5), 1.0, (0,), "clients: has 1 values; allowed: one for each time"),
        ((0.0, 0.5), 1.0, (0, 2), "clients: leave numbers out"),
        ((0.0, 0.5), 1.0, (-1, 0), "clients.*: -1 is out of range"),
        ((0.0, 0.5), 1.0, (0, 10**15), "clients.*: 1000000000000000 is out of range"),
        (("soon",), 1.0, None, "times"),
        (0.5, 1.0, None, "times"),
        ((0.5,), 1.0, ("me",), "clients"),
        ((0.5,), 1.0, (0.5,), "clients"),
        ((0.5,), 1.0, 3, "clients"),
        ((0.0, 0.5), 0.0, None, "length: "),
    ],
)
def test_what_is_no_record_is_refused(times, length, clients, problem):
    with pytest.raises(InputError, match=problem):
        Recorded(times, length, clients)


def test_a_record_is_no_steady_load():
    assert not run(TWO, 2).steady
