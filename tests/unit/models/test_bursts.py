"""Traffic whose rate changes: a worked example, its counts, and what bursts do to a server."""

import numpy as np
import pytest

import lhsim
from lhsim import parameters
from lhsim.distributions import Deterministic, Exponential
from lhsim.errors import InputError
from lhsim.models import Cpu, Piece, Piecewise, Poisson, PushServer, System, Workload
from lhsim.rules import draw
from lhsim.streams import Purpose

ENGINES = pytest.mark.parametrize("engine", ["simpy", "compiled"])
BURSTS = Piecewise((Piece(1.0, 0.0), Piece(1.0, 4.0)))


def run(traffic, engine="compiled", agents=2, duration=20.0, start="together", **parts):
    workload = Workload("pair", traffic, start=start)
    system = System("bursts", workload=workload, push=PushServer(), **parts)
    return lhsim.simulate(
        system, agents=agents, duration=duration, warmup=0.0, seed=5, engine=engine,
        keep_messages=True,
    )  # fmt: skip


@ENGINES
def test_messages_come_when_the_rate_adds_up_to_their_draws(engine):
    """Nothing in even seconds and 4 in odd ones: E expected are there at 2 (E // 4) + 1 + rest."""
    cells = Exponential(1.0).table().cells
    expected = 0.0
    created = run(BURSTS, engine).records["created"]
    assert len(created) > 20
    for number, time in enumerate(created):
        expected += draw(cells, 5, int(Purpose.MESSAGE_GAP), 0, number)
        assert time == pytest.approx(2 * (expected // 4) + 1 + expected % 4 / 4)


@pytest.mark.parametrize("start", ["together", "random"])
def test_each_piece_has_its_rate_for_all_agents_alike(start):
    """Poisson counts, so with standard deviations of the root of their means."""
    pieces = (Piece(2.0, 1.0), Piece(1.0, 20.0), Piece(1.0, 0.0))
    records = run(Piecewise(pieces), agents=100, duration=80.0, start=start).records
    phase = records["created"][records["created"] >= 4.0] % 4.0
    counts = [np.sum((low <= phase) & (phase < high)) for low, high in ((0, 2), (2, 3), (3, 4))]
    means = [50 * 19 * 2, 50 * 19 * 20, 0]
    assert counts == [pytest.approx(mean, abs=4 * mean**0.5) for mean in means]
    assert Piecewise(pieces).rate_per_agent == 22 / 4


def test_one_piece_is_a_poisson_process_with_its_gaps():
    one, poisson = (run(traffic) for traffic in (Piecewise((Piece(0.7, 3.0),)), Poisson(3.0)))
    assert one.records["created"] == pytest.approx(poisson.records["created"], rel=1e-6)


def test_bursts_wait_where_the_same_load_spread_evenly_does_not():
    cpu = Cpu(send=Deterministic(0.01))
    bursts = Piecewise((Piece(5.0, 0.5), Piece(1.0, 50.0)))  # 100 % and more of the loop
    even = Poisson(bursts.rate_per_agent)
    waits = [run(traffic, agents=6, duration=120.0, cpu=cpu) for traffic in (bursts, even)]
    assert waits[0].latency.mean > 10 * waits[1].latency.mean


def test_a_file_holds_a_list_of_pieces():
    text = {"kind": "piecewise", "pieces": [{"duration": "1 min", "rate": "6/min"}]}
    workload = parameters.structure({"traffic": text}, Workload, source="file")
    assert workload.traffic == Piecewise((Piece(60.0, 0.1),))


@pytest.mark.parametrize("pieces", [(), (Piece(1.0, 0.0),)])
def test_a_schedule_without_a_mean_rate_is_refused(pieces):
    with pytest.raises(InputError, match="pieces: has no finite mean rate > 0"):
        Piecewise(pieces)


def test_a_piece_beyond_any_use_is_refused():
    with pytest.raises(InputError, match=r"duration: 1e\+300 is out of range"):
        Piece(1e300, 1e300)
