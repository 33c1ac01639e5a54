"""The nodes of a day, against theory, a day that is simulated, and an autoscaler that is."""

from __future__ import annotations

import math
from datetime import date

import attrs
import numpy as np
import pytest

import lhsim
from lhsim.distributions import Exponential
from lhsim.errors import InputError
from lhsim.execution import running
from lhsim.models import Cpu, EventStore, Nodes, RequestServer, System, Workload
from lhsim.models.faults import NodeFailure
from lhsim.models.workload import Piece, Piecewise, Poisson
from lhsim.planning import Autoscaler, autoscale, fleet, fleet_sizes, fleets
from lhsim.planning.autoscaling import FleetSize

AGENTS, PIECES, LENGTH = 200, 20, 120.0
SERVICE, LIMIT = 0.01, 0.15  # [s]
# Nodes behind a balancer that sends to any of them are M/M/1 queues of their own, whose p99 is
# ln(100) / (mu - lambda).
EACH = 1 / SERVICE - math.log(100) / LIMIT  # messages of a node that keep p99 < 150 ms [1/s]
RATES = [0.7 + 0.5 * math.sin(2 * math.pi * (number - 4) / PIECES) for number in range(PIECES)]
RULE = Autoscaler(target=0.6, start_delay=20.0, stabilization=60.0, period=5.0)


def day(rates=tuple(RATES), length=LENGTH, nodes=1, rule="random", **more):
    traffic = Piecewise(tuple(Piece(length, rate) for rate in rates))
    return System(
        name="web",
        requests=RequestServer(),
        nodes=Nodes(nodes, rule),
        cpu=Cpu(query=Exponential(SERVICE)),
        workload=Workload(traffic=traffic, start="together"),
        **more,
    )


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    return tmp_path_factory.mktemp("fleet")


@pytest.fixture(scope="module")
def found(kept):
    return fleet(
        day(),
        "p99<150ms",
        agents=AGENTS,
        growth="1.5%/month",
        start="2027-01-01",
        window=LENGTH,
        autoscaler=RULE,
        folder=kept,
        progress=False,
    )


@pytest.fixture(scope="module")
def sizes(found):
    return found.plans[0].sizes


def simulated(nodes, **more):
    """A day with so many nodes, a window of `Result.windows` for each piece of it."""
    run = lhsim.simulate(
        day(nodes=nodes, **more), agents=AGENTS, duration=PIECES * LENGTH, warmup=0, drain=0, seed=3
    )
    windows = run.windows()
    assert windows["start_s"].to_numpy() == pytest.approx(np.arange(PIECES) * LENGTH)
    return run, windows


def test_capacities_are_those_of_theory(sizes):
    """The intervals have 95 % each, and are a level of the search wide on either side."""
    for size in sizes:
        low, high = size.interval
        assert low <= size.nodes * EACH * 1.01
        assert high >= size.nodes * EACH * 0.99
        assert size.capacity == pytest.approx(size.nodes * EACH, rel=0.06)


def test_utilization_and_throughput_are_those_of_theory(sizes):
    for size in sizes:
        for share in (0.3, 0.6):
            load = share * size.nodes / SERVICE
            assert size.busy(load) == pytest.approx(share, abs=0.03)
        assert size.throughput == pytest.approx(size.nodes / SERVICE, rel=0.12)


def test_the_fewest_nodes_are_those_whose_capacity_the_window_does_not_exceed(found):
    plan = found.plans[0]
    for window, rate in zip(plan.windows, RATES, strict=True):
        load = rate * AGENTS
        assert window.load == pytest.approx(load)
        assert window.peak == pytest.approx(load)
        low, high = window.interval
        assert low <= window.nodes <= high
        assert low <= math.ceil(load / EACH / 1.01) <= high or math.isclose(
            load / EACH, round(load / EACH), rel_tol=0.03
        )
    hours = sum(window.nodes for window in plan.windows) / PIECES * 24
    assert plan.node_hours == pytest.approx(hours)
    low, high = plan.node_hours_interval
    assert low - 1e-9 <= hours <= high + 1e-9


def test_a_day_that_is_simulated_keeps_the_objective_where_pieces_on_their_own_do(sizes):
    """Loads that go on for ever stand for pieces of 120 s, a hundred times the settling time.

    A piece has 5,000 to 29,000 messages: where it is 8 % beside the capacity its p99 is on the
    right side of the limit. What piled up in an overload reaches into the pieces after it.
    """
    checked = {True: 0, False: 0}
    for size in sizes[1:]:
        _, windows = simulated(size.nodes)
        after_overload = False
        for rate, p99 in zip(RATES, windows["p99_latency_ms"], strict=True):
            share = rate * AGENTS / size.capacity
            after_overload = share > 0.92 or (after_overload and p99 > LIMIT * 1e3)
            if share > 1.08:
                assert p99 > LIMIT * 1e3
                checked[False] += 1
            elif share < 0.92 and not after_overload:
                assert p99 < LIMIT * 1e3
                checked[True] += 1
    assert min(checked.values()) >= 5


def downtimes(ready, period):
    """The nodes that are not ready, as faults that cut them off."""
    for node in range(int(ready.max())):
        down = np.diff(np.concatenate([[0], (ready <= node).astype(int), [0]]))
        for first, end in zip(np.flatnonzero(down == 1), np.flatnonzero(down == -1), strict=True):
            yield NodeFailure(first * period, (end - first) * period, node)


@pytest.mark.parametrize("delay", [20.0, 180.0])
def test_an_autoscaler_that_is_simulated_shows_what_the_rule_says(sizes, delay):
    """The nodes that the rule has ready are up in the run, and the others are cut off.

    The balancer sends to the node with the fewest requests, so that all nodes help with what has
    piled up, as in the fluid of the rule. Its capacity is a little more than that of the sizes,
    which only matters where there is just enough.
    """
    rates = [0.2] * 6 + [1.1] * 6 + [0.2] * 8  # a jump, and the end of it
    rule = attrs.evolve(RULE, start_delay=delay)
    load = np.repeat(np.array(rates) * AGENTS, round(LENGTH / rule.period))
    ran = autoscale(load, sizes, rule, start=2)
    faults = tuple(downtimes(ran.ready, rule.period))
    run, windows = simulated(
        int(ran.ready.max()), rates=rates, rule="least_connections", faults=faults
    )
    assert run.outcomes["delivered"] > 0.99 * sum(run.outcomes.values())
    of_piece = ran.short.reshape(PIECES, -1).mean(axis=1)
    longest = ran.wait.reshape(PIECES, -1).max(axis=1)
    p99 = windows["p99_latency_ms"].to_numpy() / 1e3
    assert (of_piece[:6] == 0).all()
    assert of_piece[6] > 0.2  # it comes too late
    assert (p99[of_piece == 0] < LIMIT).all()
    assert (p99[of_piece > 0.2] > LIMIT).all()
    # Whoever comes when the most has piled up waits for all of it, and its service besides.
    assert run.latency.max == pytest.approx(longest.max(), rel=0.05)
    assert p99[6] == pytest.approx(longest[6], rel=0.1)


def test_growth_says_until_when_how_many_nodes_suffice(found):
    first, last = found.plans
    assert last.day == date(2028, 1, 1)
    assert last.agents == round(AGENTS * 1.015**12)
    assert last.nodes >= first.nodes
    peak = max(RATES)
    reached = found.milestones
    assert [one.nodes for one in reached] == list(range(first.nodes, last.nodes))
    for one in reached:
        low, high = one.interval
        assert low * peak <= one.nodes * EACH * 1.01
        assert high * peak >= one.nodes * EACH * 0.99
        assert low <= one.agents <= high
        sooner, later = one.days
        assert sooner <= one.day
        assert later is None or one.day <= later


@pytest.mark.parametrize(
    ("hours", "ticks"),
    [(4, [0, 1, 2, 3, 4]), (23.999, list(range(0, 25, 3))), (168, list(range(0, 169, 24)))],
)
def test_the_axis_of_a_day_is_marked_in_steps_that_divide_it(hours, ticks):
    assert fleets._ticks(hours) == ticks


def test_its_data_and_frame_and_words_agree(found):
    data, frame = found.to_dict(), found.to_frame()
    assert len(frame) == 2 * PIECES
    assert frame["nodes"].tolist() == [
        one["nodes"] for plan in data["plans"] for one in plan["windows"]
    ]
    assert data["autoscaler"]["target"] == RULE.target
    first = found.sentences()[0]
    assert first.startswith("p99<150ms: ")
    assert repr(found) == f"<Fleet of web: {first}>"
    assert "<table" in found._repr_html_()


def test_it_is_the_same_again_with_runs_that_are_kept(found, kept):
    ran = []
    again = fleet(
        day(), "p99<150ms", agents=AGENTS, growth="1.5%/month", start="2027-01-01", window=LENGTH,
        autoscaler=RULE, folder=kept, progress=False, on_done=lambda *_: ran.append(1),
    )  # fmt: skip
    assert again.to_dict() == found.to_dict()
    assert not ran


def test_nodes_that_a_store_holds_back_are_no_use(kept):
    """The store serves 100/s, whatever the number of nodes in front of it."""
    shared = day(
        rates=[0.2, 1.0], store=EventStore(query=Exponential(SERVICE), connections=1),
    )  # fmt: skip
    shared = attrs.evolve(shared, cpu=Cpu(query=Exponential(SERVICE / 10)))
    found = fleet(shared, "p99<150ms", agents=AGENTS, window=LENGTH, folder=kept, progress=False)
    low, high = found.plans[0].windows
    assert low.nodes == 1
    assert high.nodes is None
    assert found.plans[0].node_hours is None
    assert len(found.plans[0].sizes) < 10
    assert "no number of nodes up to" in found.sentences()[0]
    assert "00:02-00:04" in found.sentences()[0]


def test_an_objective_that_no_idle_server_keeps_is_given_up_soon(kept):
    hopeless = fleet(day(), "p99<1ms", agents=AGENTS, window=LENGTH, folder=kept, progress=False)
    (plan,) = hopeless.plans
    assert plan.nodes is None
    assert len(plan.sizes) < 10
    assert all(window.interval[1] is None for window in plan.windows)
    assert "no number of nodes up to 5 keeps it 00:00-00:40" in hopeless.sentences()[0]


@pytest.mark.parametrize(("idle", "gives_up"), [(1.0, False), (0.8, False), (0.2, True)])
def test_nodes_that_polls_alone_keep_busy_need_further_ones(idle, gives_up):
    """Where no number so far keeps the objective, further ones do if the processors are full."""
    asked = fleets.ask(
        day(), "p99<150ms", AGENTS, None, None, None, LENGTH, 100, None, 0.95, 1, "auto"
    )
    sizes = [FleetSize(nodes, 0.0, (0.0, 1.0), (idle, idle), (0.0, 0.1)) for nodes in range(1, 6)]
    assert fleet_sizes._is_enough(asked, sizes, peak=10.0) is gives_up


def test_an_autoscaler_may_have_more_nodes_at_least_than_the_load_needs(kept):
    rule = attrs.evolve(RULE, least=3)
    found = fleet(
        day(rates=[0.2, 0.3]), "p99<150ms", agents=AGENTS, window=LENGTH, autoscaler=rule,
        folder=kept, progress=False,
    )  # fmt: skip
    assert [window.nodes for window in found.plans[0].windows] == [1, 1]
    assert [window.autoscaled for window in found.plans[0].windows] == [(3, 3), (3, 3)]


def test_beyond_eight_nodes_some_numbers_are_interpolated(kept):
    found = fleet(
        day(rates=[0.5, 3.2]), "p99<150ms", agents=AGENTS, window=LENGTH, folder=kept,
        progress=False,
    )  # fmt: skip
    sizes = found.plans[0].sizes
    assert [size.nodes for size in sizes] == list(range(1, len(sizes) + 1))
    assert len(sizes) == 10
    assert sizes[8].capacity == pytest.approx((sizes[7].capacity + sizes[9].capacity) / 2)
    assert sizes[8].busy(450.0) == pytest.approx(0.5, abs=0.03)
    assert any("interpolated" in line for line in found.sentences())


def test_pieces_that_are_too_short_are_a_warning(kept):
    found = fleet(
        day(rates=[0.2, 0.3], length=0.2), "p99<150ms", agents=AGENTS, folder=kept, progress=False
    )
    assert any("pieces of 200 ms are short against the 3" in line for line in found.warnings)


class Interrupted:
    """A runner that Ctrl-C ends after some calls, with what the calls before have run."""

    def __init__(self, runner, calls):
        self.runner, self.left = runner, calls

    def run(self, cells, *, on_done=None):
        self.left -= 1
        assert self.left >= 0, "it goes on after Ctrl-C"
        return ({}, True) if not self.left else self.runner.run(cells, on_done=on_done)


@pytest.mark.parametrize("calls", [1, 3, 30])
def test_ctrl_c_ends_it(calls):
    asked = fleets.ask(
        day(), "p99<150ms", AGENTS, None, None, None, LENGTH, 100, None, 0.95, 1, "auto"
    )
    with (
        running([asked.with_nodes(2, 1.0)], "auto", 1, None, None) as runner,
        pytest.raises(KeyboardInterrupt),
    ):
        fleets.answer(asked, Interrupted(runner, calls))


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"system": attrs.evolve(day(), workload=Workload(traffic=Poisson()))},
         "web: workload.traffic: is no load over time"),
        ({"system": day(nodes=2, faults=(NodeFailure(1.0, 1.0, 0),))}, "web: faults: happen at"),
        ({"slo": "p99"}, "--slo"),
        ({"agents": None}, "--agents: is missing"),
        ({"horizon": 6}, "--horizon: changes nothing; allowed: none without --growth"),
        ({"growth": "much"}, "--growth: 'much' is no growth"),
        ({"start": "tomorrow"}, "--start"),
        ({"window": 0.0}, "window"),
        ({"window": 0.1}, "--window: 0.1 s is out of range"),
        ({"autoscaler": 0.7}, "autoscaler: is none"),
        ({"autoscaler": Autoscaler(least=5), "most": 4}, "--most: 4 is out of range"),
        ({"autoscaler": Autoscaler(period=60.0)}, "--period: 60 s is out of range"),
        ({"autoscaler": Autoscaler(period=1e-9)}, "--period: 1 ns is out of range"),
        ({"confidence": 1.0}, "confidence"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_refused_before_anything_runs(changes, part):
    asked = {"system": day(), "slo": "p99<150ms", "agents": AGENTS, "window": LENGTH} | changes
    with pytest.raises(InputError) as refused:
        fleet(asked.pop("system"), asked.pop("slo"), progress=False, **asked)
    assert part in str(refused.value)
