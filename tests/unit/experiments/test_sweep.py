from __future__ import annotations

import math

import pytest
from attrs import evolve

import lhsim
from lhsim import parameters
from lhsim.errors import InputError
from lhsim.execution import Cell
from lhsim.experiments.levels import Horizon, cells, model_events, seeds, why_not
from lhsim.experiments.points import levels
from lhsim.experiments.specification import MaxEvents, Scaling, load
from lhsim.experiments.sweep import plan, sweep
from lhsim.library import load_system
from lhsim.models import Cache, Growth, System
from lhsim.planning import ScaleOut
from lhsim.planning.bounds import lower_bound
from lhsim.simulation.settling import settling_time


def system(architecture, **more):
    cost = {"family": "deterministic", "value": "1 ms"}
    data = {
        "name": architecture,
        architecture: {},
        "cpu": {"parse_message": cost, "query": cost, "send": cost},
        "workload": {"traffic": {"kind": "poisson", "rate": 0.1}},
    }
    return parameters.structure(data | more, System, source="test")


POLLING, PUSH = system("polling"), system("push")
CLOSED = {"workload": {"traffic": {"kind": "closed", "messages": 3}}}


def test_a_sweep_has_a_row_per_run_and_per_level():
    found = sweep([POLLING, PUSH], [20, 10], replications=2, duration=10.0)
    runs = found.to_frame()
    assert list(runs["agents"]) == [10, 10, 20, 20] * 2
    assert list(found.levels()["agents"]) == [10, 20, 10, 20]
    assert set(found.levels()["replications"]) == {2}
    assert set(runs["seed"]) == set(seeds(1, 2))
    assert found.knees["polling"].sentence() == "no knee up to 20 agents"
    assert "<table" in found._repr_html_()
    assert found.plot().axes


def test_the_runs_of_the_search_for_a_knee_are_points_of_the_plot():
    found = sweep(PUSH, [10, 30], replications=2, duration=10.0)
    near = [lhsim.simulate(PUSH, agents=agents, duration=10.0) for agents in (10, 20)]
    over = lhsim.simulate(system("push", cpu={"send": "1 s"}), agents=25, duration=60.0)
    assert over.overloaded
    more = found.followed_by(found.knees, {}, {"push": [*near, over]}, interrupted=False)
    assert more.level_rows() == found.level_rows()
    lines = more.plot().axes[0].lines
    # A level that was run is known better, and an overload is no point.
    assert list(lines[0].get_xdata()) == [10, 20, 30]
    assert any(20 in line.get_xdata() for line in lines if line.get_fillstyle() == "left")


def test_replications_are_those_of_simulate():
    found = sweep(PUSH, [10], replications=2, duration=10.0)
    alone = lhsim.simulate(
        PUSH, agents=10, duration=10.0, seed=seeds(1, 2)[1], stop_when_overloaded=True
    )
    assert found.results[1].metrics == alone.metrics


def test_both_architectures_see_the_same_messages():
    found = sweep([POLLING, PUSH], [10], replications=1, duration=50.0)
    created = [sum(result.outcomes.values()) for result in found.results]
    assert created[0] == created[1] > 0


@pytest.mark.parametrize("executor", [None, "serial", "threads"])
def test_a_folder_keeps_runs_for_a_wider_sweep(tmp_path, executor):
    told = []
    how = {"duration": 10.0, "folder": tmp_path, "jobs": 2, "executor": executor}
    narrow = sweep(PUSH, [10], replications=1, **how)
    wider = sweep(PUSH, [10, 20], replications=2, on_done=lambda *one: told.append(one), **how)
    assert len(told) == 3
    assert wider.results[0].metrics == narrow.results[0].metrics
    assert wider.levels().equals(sweep(PUSH, [10, 20], replications=2, duration=10.0).levels())


def test_numbers_that_a_workload_cannot_have_are_refused():
    with pytest.raises(InputError, match=r"agents: 0 .* allowed: different whole numbers >= 1"):
        sweep(PUSH, [0])


def test_two_systems_of_one_name_are_refused():
    with pytest.raises(InputError, match="two systems are called 'push'"):
        sweep([PUSH, PUSH], [10])


@pytest.mark.parametrize(("agents", "window"), [(10, 20_000), (1000, 200), (100_000, 20)])
def test_a_level_is_as_short_as_messages_and_seconds_allow(agents, window):
    (cell,) = cells(POLLING, agents, Horizon(), (7,), "auto")
    assert cell.duration - cell.warmup - cell.drain == pytest.approx(window)
    assert cell.warmup >= POLLING.workload.started_by
    assert cell.stop_when_overloaded


def test_the_start_of_all_agents_is_no_overload():
    connect = {"family": "deterministic", "value": "3 ms"}
    cost = {"family": "deterministic", "value": "200 us"}
    slow = system("push", cpu={"connect": connect, "parse_message": cost, "send": cost})
    assert settling_time(slow, 10_000) == pytest.approx(30 / (1 - 0.4))
    found = sweep(slow, [10_000], replications=1)
    (row,) = found.level_rows()
    assert not row["overloaded"]
    assert row["utilization"] == pytest.approx(0.4, rel=0.03)
    early = sweep(slow, [10_000], replications=1, duration=20.0)
    assert early.results[0].overloaded


def test_where_a_station_saturates_anyway_the_start_is_waited_for_if_that_is_short():
    costs = {name: {"family": "deterministic", "value": "3 ms"} for name in ("connect", "send")}
    slow = system("push", cpu=costs)
    assert settling_time(slow, 5000) == pytest.approx(15.0)
    assert settling_time(slow, 50_000) == 0.0


def test_a_duration_that_is_asked_for_is_kept():
    (cell,) = cells(POLLING, 10, Horizon(duration=33.0), (7,), "auto")
    assert (cell.duration, cell.warmup, cell.drain) == (33.0, None, None)


def test_a_closed_loop_has_no_rate_to_go_by():
    (cell,) = cells(system("push", **CLOSED), 10, Horizon(), (7,), "auto")
    assert cell.duration == 60.0


@pytest.mark.parametrize("one", [POLLING, PUSH], ids=["polling", "push"])
def test_the_bound_on_model_events_is_one_and_not_far_off(one):
    result = lhsim.simulate(one, agents=50, duration=100.0, seed=3)
    bound = model_events(Cell(one, 50, 100.0, 3))
    # The messages are random: four standard deviations of their number.
    assert result.model_events <= bound + 3 * 4 * math.sqrt(500)
    assert result.model_events >= 0.8 * bound


ONE_THOUSAND = MaxEvents(1000, 1000)


@pytest.mark.parametrize(
    ("engine", "name"), [("simpy", "SimPy"), ("compiled", "compiled"), ("auto", "compiled")]
)
def test_what_is_too_much_says_why_and_for_which_engine(engine, name):
    assert why_not(Cell(PUSH, 10, 100.0, 1, engine), ONE_THOUSAND) is None
    reason = why_not(Cell(PUSH, 10_000, 100.0, 1, engine), ONE_THOUSAND)
    assert reason == (
        "100 s may be the work of 400,000 model events, "
        f"and the limit for the {name} engine is 1,000 (--max-events)"
    )


@pytest.mark.parametrize("engine", ["simpy", "compiled", "auto"])
def test_the_default_experiment_skips_only_what_is_too_much_for_simpy(engine):
    asked = load("scaling", Scaling)
    systems = [load_system(name, asked.settings) for name in asked.systems]
    horizon = Horizon(asked.messages, asked.min_duration)
    points = levels(systems, asked.agents, asked.scale_out)
    planned = plan(systems, points, horizon, 1, 1, engine, asked.max_events, asked.scale_out)
    skipped = {level.agents for level in planned.skipped}
    assert skipped == ({1_000_000} if engine == "simpy" else set())


RULE = ScaleOut(agents_per_server=50)


def test_a_scaled_out_level_has_its_servers_and_follows_the_levels_of_its_system():
    points = levels([POLLING, PUSH], [200, 20, 50], RULE)
    planned = plan([POLLING, PUSH], points, Horizon(), 1, 1, "auto", MaxEvents(), RULE)
    assert [(cell.system.name, cell.agents, cell.system.cpu.workers) for cell in planned.cells] == [
        *(("polling", 20, 1), ("polling", 50, 1), ("polling", 200, 1)),
        ("polling, scaled out", 200, 4),
        *(("push", 20, 1), ("push", 50, 1), ("push", 200, 1)),
        ("push, scaled out", 200, 4),
    ]


def test_rows_say_how_many_servers_and_only_the_system_as_it_is_has_a_knee():
    found = sweep(PUSH, [20, 120], replications=2, duration=10.0, agents_per_server=50)
    levels = [(row["system"], row["agents"], row["servers"]) for row in found.level_rows()]
    assert levels == [("push", 20, 1), ("push", 120, 1), ("push, scaled out", 120, 3)]
    assert list(found.to_frame()["servers"]) == [1, 1, 1, 1, 3, 3]
    assert set(found.metrics()["servers"]) == {1, 3}
    assert found.knees.keys() == {"push"}
    assert "servers" in found._repr_html_()


def test_scaled_out_a_system_does_what_one_server_cannot():
    found = sweep(POLLING, [3000], replications=1, duration=20.0, agents_per_server=500)
    alone, scaled = found.level_rows()
    assert alone["utilization"] > 0.99
    assert alone["delivery_success_rate"] < 0.9
    # A loop has 500 pollers of 1 ms a second, and 50 messages/s of 2 queries less sleep and 1 ms.
    assert scaled["utilization"] == pytest.approx(0.6, abs=0.08)
    assert scaled["delivery_success_rate"] == 1.0
    assert scaled["p50_latency_ms"] == pytest.approx(500, rel=0.05)


def test_a_system_may_not_be_called_like_a_scaled_out_one():
    other = evolve(POLLING, name="push, scaled out")
    with pytest.raises(InputError, match="two systems are called 'push, scaled out'"):
        sweep([PUSH, other], [10])


def test_the_figure_continues_a_system_scaled_out_from_its_last_level_with_one_server():
    found = sweep(PUSH, [10, 20, 120], replications=2, duration=10.0, agents_per_server=50)
    dashed = [line for line in found.plot().axes[0].lines if line.get_linestyle() == "--"]
    assert [list(line.get_xdata()) for line in dashed] == [[20, 120], [20, 120]]  # p50 and p99


@pytest.mark.parametrize("agents", [100, 300, 2000])
def test_no_run_of_polling_beats_the_lower_bound(agents):
    result = lhsim.simulate(POLLING, agents=agents, duration=60.0, seed=2)
    bound = lower_bound(POLLING, agents)
    low, high = result.latency.mean_interval(0.999)
    assert high >= bound
    if agents < 900:  # and without a queue it is nearly reached
        assert low < 1.05 * bound


@pytest.mark.parametrize("agents", [100, 2000])
@pytest.mark.parametrize(
    "options",
    [
        {"jitter": 1.0},
        {"growth": Growth(2.0, 4.0)},
        {"wake_on_write": True},
        {"cache": Cache(5.0)},
        {"cache": Cache(5.0, invalidate=False), "wake_on_write": True},
        {"priorities": (0.1, 0.9)},
    ],
    ids=str,
)
def test_no_option_of_polling_beats_the_lower_bound(options, agents):
    polling = evolve(POLLING.polling, **options)
    changed = evolve(POLLING, polling=polling)
    result = lhsim.simulate(changed, agents=agents, duration=60.0, seed=2)
    assert result.latency.mean_interval(0.999)[1] >= lower_bound(changed, agents)
    # As many sleeps as fit on average; random ones may be some more.
    assert result.model_events <= 1.02 * model_events(Cell(changed, agents, 60.0, 2, "compiled"))


def test_no_run_of_push_beats_the_lower_bound():
    result = lhsim.simulate(PUSH, agents=500, duration=60.0, seed=2)
    assert lower_bound(PUSH, 500) == pytest.approx(2e-3)
    assert 2e-3 <= result.latency.mean * (1 + 1e-9) < 2.5e-3
    assert lower_bound(PUSH, 5000) == math.inf


def test_a_closed_loop_has_no_such_bound():
    assert lower_bound(system("polling", **CLOSED), 10) is None


AXES = {"polling.interval": ["250 ms", "1 s"], "agents": [20, 10]}


@pytest.fixture(scope="module")
def over_axes():
    return sweep([POLLING, PUSH], axes=AXES, replications=2, duration=10.0)


def test_axes_are_columns_and_an_axis_of_one_kind_says_nothing_of_the_other(over_axes):
    rows = [(r["system"], r["polling.interval"], r["agents"]) for r in over_axes.level_rows()]
    assert rows == [
        *(("polling", 0.25, 20), ("polling", 0.25, 10), ("polling", 1.0, 20), ("polling", 1.0, 10)),
        *(("push", None, 20), ("push", None, 10)),
    ]
    assert list(over_axes.to_frame()["polling.interval"].dropna().unique()) == [0.25, 1.0]
    assert over_axes.units == {"polling.interval": "s"}
    assert over_axes.knees == {}
    assert over_axes.plot().axes


def test_a_level_of_some_axes_is_that_of_a_system_with_these_values(over_axes):
    quick = evolve(POLLING, polling=evolve(POLLING.polling, interval=0.25))
    alone = sweep(quick, [20], replications=2, duration=10.0).level_rows()
    assert over_axes.level_rows()[0] == alone[0] | {"polling.interval": 0.25}


def test_agents_are_an_axis_like_any_other():
    found = sweep(PUSH, axes={"agents": "lin 10..20 x 2"}, replications=2, duration=10.0)
    plain = sweep(PUSH, [10, 20], replications=2, duration=10.0)
    assert found.level_rows() == plain.level_rows()
    assert found.knees == plain.knees
    given = sweep(PUSH, [10, 20], axes={"store.connections": [1]}, replications=2, duration=10.0)
    assert [row["agents"] for row in given.level_rows()] == [10, 20]


def test_points_are_compared_where_all_axes_agree(over_axes):
    with pytest.raises(InputError, match=r"at: 2 levels of polling are so"):
        over_axes.compare("polling", "push", agents=20)
    slow, quick = (
        over_axes.compare("polling", "push", metric="mean", agents=20, at={"polling.interval": one})
        for one in (1.0, 0.25)
    )
    assert slow.n == quick.n == 2
    assert slow.a.value > quick.a.value > slow.b.value == quick.b.value
    table = over_axes.comparisons(["mean"])
    assert list(zip(table["polling.interval"], table["agents"], strict=True)) == [
        (0.25, 20), (0.25, 10), (1.0, 20), (1.0, 10),
    ]  # fmt: skip
    assert table["a_value"][0] == quick.a.value


def test_each_point_is_known_as_well_as_was_asked():
    how = {"messages": 500, "min_duration": 1.0, "precision": {"mean": 0.2}}
    found = sweep(PUSH, [20], axes={"workload.traffic.rate": ["1/s", "5/s"]}, **how)
    assert set(found.verdicts) == {("push", 20, 1.0), ("push", 20, 5.0)}
    assert {row["precision"] for row in found.level_rows()} == {"reached"}


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({}, "agents: is missing"),
        ({"axes": AXES, "agents": [10]}, "agents: is an axis, too"),
        ({"axes": {"polling.interval": ["1 s"]}}, "agents: is missing"),
        ({"axes": {}}, "axes: is empty"),
        ({"axes": [1]}, "axes: a list is no table"),
        ({"axes": {"agents": []}}, 'axes."agents": is empty'),
        ({"axes": {"agents": ["ten"]}}, "axes.\"agents\": 'ten' is no number of agents"),
        ({"axes": {"agents": [10], "push.x": [1]}}, 'axes."push.x": no chosen system is one of'),
        ({"axes": {"agents": [10], "polling.intervall": [1]}}, 'axes."polling.intervall": unknown'),
        ({"axes": AXES, "agents_per_server": 5}, "agents_per_server: is of no use here"),
        ({"axes": AXES, "design": "random"}, "'random' is no design"),
    ],
)
def test_axes_that_cannot_be_are_refused(arguments, line):
    with pytest.raises(InputError) as refused:
        sweep(POLLING, **arguments)
    assert line in str(refused.value)
