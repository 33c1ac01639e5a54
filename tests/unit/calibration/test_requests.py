"""Request logs of servers whose truth is known become systems; what they cannot tell is said."""

from __future__ import annotations

import math

import numpy as np
import pytest
from attrs import evolve
from closed_loops_oracle import busy, log_of, run_of, turns_of

from lhsim.calibration.closed_loops import closed_loop
from lhsim.calibration.disciplines import alone, crps
from lhsim.calibration.request_runs import request_recordings
from lhsim.calibration.requests import from_requests
from lhsim.calibration.run_sheet import Run, read_sheet
from lhsim.calibration.stalls import stalls
from lhsim.calibration.trace import departures
from lhsim.crosscheck import crosscheck
from lhsim.distributions import Exponential
from lhsim.errors import InputError
from lhsim.execution.cells import run as run_cell
from lhsim.models import paths
from lhsim.planning.predictions import interval, intervals, prediction_cells
from lhsim.readers.request_log import Labels

LOADS = (1, 10, 50)


def constant(value):
    return lambda _draw: value


def exponential(mean):
    return lambda draw: draw.expovariate(1 / mean)


def spread(mean, part):
    return lambda draw: mean * (1 + part * (2 * draw.random() - 1))


def runs_of(loads=LOADS, *, known=False, said=None, clock=0.0, first=0, **truth):
    """Return runs of a truth; `known`: with their processor seconds; `said`: their cores."""
    found = []
    for clients in loads:
        rows = run_of(clients, seed=first + clients, **truth)
        used = busy(rows, truth["demand"](_Middle())) if known else None
        found.append(Run(log_of(rows, f"{clients}.csv", clock), used, cores=said))
    return found


class _Middle:
    """Draws that are all in the middle."""

    @staticmethod
    def random():
        return 0.5


STATIONS = [(1, math.inf), (1, 0.0), (1, 0.004), (2, 0.001), (2, 0.0), (3, math.inf)]


@pytest.mark.parametrize(("cores", "quantum"), STATIONS)
def test_a_station_fed_with_a_log_is_the_oracle(cores, quantum):
    rows = run_of(80, demand=constant(0.015), think=exponential(0.7), cores=cores, quantum=quantum)
    starts, ends = (np.array([row[column] for row in rows]) for column in (1, 2))
    found = departures(starts, np.full(len(rows), 0.015), cores, quantum)
    assert np.abs(found - ends).max() < 1e-9


def test_a_loop_that_answers_by_turn_is_the_oracle():
    rows = turns_of(80, demand=constant(0.015), think=exponential(0.7))
    starts, ends = (np.array([row[column] for row in rows]) for column in (1, 2))
    found = departures(starts, np.full(len(rows), 0.015), 1, math.inf, by_turn=True)
    assert np.abs(found - ends).max() < 1e-9


def test_score_is_least_for_the_true_distribution():
    draw = np.random.default_rng(1)
    live = draw.normal(size=20_000)
    true, narrow, off = (draw.normal(mean, sd, size=(6, 20_000)) for mean, sd in
                         ((0, 1), (0, 0.5), (0.5, 1)))  # fmt: skip
    scores = [float(crps(some, live).mean()) for some in (true, narrow, off)]
    assert scores[0] == min(scores)
    assert scores[0] == pytest.approx(1 / math.sqrt(math.pi), abs=0.01)  # closed form


# Of service times 5 %: they come from some 1,200 requests, in steps of 4 % at the finest.
@pytest.mark.parametrize("known", [False, True], ids=["logs alone", "processor seconds"])
@pytest.mark.parametrize(("quantum", "discipline"),
                         [(math.inf, "FIFO"), (0.004, "sliced"), (0.0, "shared")])  # fmt: skip
@pytest.mark.parametrize("delay", [0.0, 0.03], ids=["no delay", "delay"])
def test_service_discipline_and_delay_are_found(quantum, discipline, delay, known):
    box = from_requests(
        runs_of(
            demand=spread(0.0055, 0.1),
            think=exponential(1.0),
            delay=delay,
            quantum=quantum,
            known=known,
            said=1 if known else None,
        )
    )
    assert box.found.discipline == discipline
    assert box.found.cores == 1
    assert box.told
    assert box.demand.mean == pytest.approx(0.0055, rel=0.06)
    network = box.system.network
    assert network.up.mean + network.down.mean == pytest.approx(delay, abs=5e-4)
    assert isinstance(box.system.workload.traffic.think, Exponential)
    assert box.system.workload.traffic.think.mean == pytest.approx(1.0, rel=0.08)
    low, high = (0.9 / 0.0055, 1.1 / 0.0055)
    assert low < box.capacity[0] < high


@pytest.mark.parametrize("cores", [1, 2, 4])
def test_cores_are_found_where_requests_queue(cores):
    loads = (1, 40 * cores, 75 * cores)  # up to three quarters of the capacity
    runs = runs_of(loads, demand=spread(0.01, 0.1), think=exponential(1.0), cores=cores,
                   quantum=0.004, seconds=15.0)  # fmt: skip
    box = from_requests(runs)
    assert box.found.cores == cores
    assert box.capacity[0] == pytest.approx(cores / 0.01, rel=0.1)


def test_constant_think_times_stay_constant():
    box = from_requests(runs_of(demand=spread(0.005, 0.05), think=constant(1.0), quantum=0.004))
    think = box.system.workload.traffic.think
    assert think.mean == pytest.approx(1.0, rel=1e-6)
    assert think.quantile(0.99) == pytest.approx(think.quantile(0.01), rel=1e-6)


def test_what_does_not_queue_tells_no_capacity():
    box = from_requests(runs_of((1, 4, 8), demand=constant(1e-4), think=exponential(1.0)))
    assert not box.told
    (warning, *_) = box.system.calibration.warnings
    assert warning.about == "capacity"
    assert warning.at_least == pytest.approx(box.capacity[0], rel=1e-3)
    assert box.to_dict()["capacity_interval"][1] is None


def test_cores_that_nothing_shows_leave_a_lower_bound():
    runs = runs_of((1, 10), demand=constant(0.002), think=exponential(1.0), known=True)
    box = from_requests(runs)
    assert not box.told
    assert "cores" in box.system.caveats[0]
    assert from_requests([evolve(run, cores=2) for run in runs]).told


def test_a_clock_of_a_millisecond_costs_little():
    box = from_requests(runs_of(demand=spread(0.0055, 0.1), think=exponential(1.0), quantum=0.004,
                                clock=1e-3))  # fmt: skip
    assert box.demand.mean == pytest.approx(0.0055, rel=0.1)


@pytest.fixture(scope="module")
def costly():
    """A costly scan in slices of 4 ms, as PostgreSQL on Linux: demand 4.8 ms, think 1 s."""
    truth = {"demand": spread(0.0048, 0.1), "think": constant(1.0), "quantum": 0.004}
    held = runs_of((100, 150, 200, 250), known=True, first=100, **truth)
    return from_requests(runs_of(**truth)).system, held


def test_predictions_hold_further_runs(costly):
    system, held = costly
    inside = []
    for run in held:
        loop = closed_loop(run)
        cells = prediction_cells(system, loop.clients, seed=1, engine="auto")
        found = intervals(system, [run_cell(cell) for cell in cells])
        live = {"messages_per_second": loop.throughput, "p50_latency_ms": 1e3 * loop.quantile(0.5),
                "p95_latency_ms": 1e3 * loop.quantile(0.95),
                "p99_latency_ms": 1e3 * loop.quantile(0.99)}  # fmt: skip
        inside += [found[name][0] <= value <= found[name][1] for name, value in live.items()]
        assert found["utilization"][1] <= 1.0
    assert sum(inside) >= 14  # of 16: 90 %


def test_the_right_model_is_accepted_and_throughput_is_no_input(costly):
    system, held = costly
    found = crosscheck(system, request_recordings(held))
    assert found.verdict == "accepted"
    assert any("is taken from each log" in note for note in found.notes)
    assert any("saturated" in note for note in found.notes)


def test_first_come_first_served_is_rejected(costly):
    system, held = costly
    fifo = evolve(system, cpu=evolve(system.cpu, quantum=None))
    assert crosscheck(fifo, request_recordings(held)).verdict == "rejected"


def test_half_as_much_work_again_is_rejected_at_every_load(costly):
    system, held = costly
    slower = paths.changed(system, "cpu.query*", 1.5)
    for run in held:
        assert crosscheck(slower, request_recordings([run])).verdict == "rejected"


def test_repeats_are_one_level(costly):
    system, held = costly
    truth = {"demand": spread(0.0048, 0.1), "think": constant(1.0), "quantum": 0.004}
    again = Run(log_of(run_of(100, seed=7, **truth), "again.csv"))
    found = crosscheck(system, request_recordings([held[0], again]))
    assert {one.level for one in found.findings} == {"100 clients"}
    assert max(one.runs for one in found.findings) == 2


def test_an_interval_grows_to_the_side_on_which_the_model_misses():
    values = np.exp(np.random.default_rng(1).normal(size=60))
    low, high = interval(values)
    assert interval(values, 0.3, -0.3) == (pytest.approx(low), pytest.approx(high * math.exp(0.3)))
    wider = interval(values, 0.3)
    assert wider[0] < low
    assert wider[1] > high


# --- what is refused -------------------------------------------------------------------------


def refusal(runs):
    with pytest.raises(InputError) as caught:
        from_requests(runs)
    return str(caught.value)


TRUTH = {"demand": constant(0.005), "think": constant(1.0)}


def test_one_client_alone_tells_no_capacity():
    assert "one request at a time" in refusal(runs_of((1,), **TRUTH, seconds=120.0))


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ({"think": 2.0}, "think: is 2 s, and the log shows 1 s"),
        ({"cpu_seconds": 100.0, "cores": 1}, "cpu_seconds: is more than 1 cores have"),
        ({"cpu_seconds": 15.0, "cores": 1}, "cpu_seconds: is 78.95 ms a request"),
        ({"window": (100.0, 120.0)}, "window_s: lies beyond the log"),
    ],
)
def test_what_the_log_contradicts_is_refused(said, problem):
    runs = runs_of((10, 40), **TRUTH)
    assert problem in refusal([evolve(runs[0], **said), runs[1]])


def test_more_requests_at_a_time_than_said_are_refused():
    rows = run_of(10, **TRUTH)
    doubled = sorted([*rows, *[(name, start + 1e-4, end + 1e-4) for name, start, end in rows]],
                     key=lambda row: row[1])  # fmt: skip
    run = Run(log_of(doubled), in_flight=1)
    assert "in_flight: is 1, and the log has 2 requests of a client at a time" in refusal([run])


def test_runs_that_contradict_one_another_are_refused():
    one, other = runs_of((10, 40), **TRUTH)
    slow = Run(log_of(run_of(10, demand=constant(0.005), think=constant(3.0)), "slow.csv"))
    assert "think for" in refusal([one, slow])
    assert "cores: is 1 and 2" in refusal([evolve(one, cores=1), evolve(other, cores=2)])
    assert "holds the requests of 10.csv" in refusal([one, evolve(one)])


def test_a_log_of_failures_is_refused():
    log = log_of(run_of(10, **TRUTH))
    failed = evolve(log, status=Labels.of(["500"] * 5 + ["200"] * (len(log) - 5)))
    assert "status: has 5 failed requests" in refusal([Run(failed)])


def test_a_log_without_clients_is_refused():
    log = evolve(log_of(run_of(10, **TRUTH)), client=np.full(190, -1))
    assert "names no clients" in refusal([Run(log)])


# --- the run sheet ---------------------------------------------------------------------------


@pytest.fixture
def sheet(tmp_path):
    rows = run_of(10, **TRUTH)
    lines = [f"{name},{start:.6f},{end:.6f}" for name, start, end in rows]
    (tmp_path / "B10.csv").write_text("\n".join(["client,start_s,end_s", *lines]) + "\n")

    def written(text):
        (tmp_path / "runs.toml").write_text(text)
        return tmp_path / "runs.toml"

    return written


def test_a_sheet_says_what_is_known_besides(sheet):
    (run,) = read_sheet(sheet('[[run]]\nlog = "B10.csv"\ncpu_seconds = 0.9\nwindow_s = [2, 18]\n'
                              'cores = 2\nthink = "1 s"\nin_flight = 1\n'))  # fmt: skip
    assert (run.cpu_seconds, run.window, run.cores, run.think, run.in_flight) == (
        0.9, (2, 18), 2, 1.0, 1)  # fmt: skip
    assert run.log.clients == 10


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "run: is missing"),
        ('[[run]]\nlog = "B10.csv"\ncpu = 3', "run[0].cpu: unknown key"),
        ('[[run]]\nlog = "B10.csv"\ncores = 0', "run[0].cores: 0 is out of range"),
        ('[[run]]\nlog = "B10.csv"\ncpu_seconds = -1', "run[0].cpu_seconds: -1.0 is out of range"),
        ('[[run]]\nlog = "B10.csv"\nwindow_s = [3]', "run[0].window_s: is no window"),
        ('[[run]]\nlog = "B10.csv"\nwindow_s = [9, 3]', "run[0].window_s: is no window"),
        ('[[run]]\nlog = "B10.csv"\nthink = "1 m"', "run[0].think: "),
        ('[[run]]\nlog = "none.csv"', "none.csv"),
        ('[[run]]\nlog = "B10.csv"\n[[run]]\nlog = "./B10.csv"', "run[1].log: is there twice"),
        ("[[run]]\ncores = 1", "run[0].log: is missing"),
    ],
)
def test_a_bad_key_of_a_sheet_is_one_line(sheet, text, problem):
    with pytest.raises(InputError) as caught:
        read_sheet(sheet(text))
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


def test_answers_by_turn_are_told_from_those_in_their_order():
    truth = {"demand": spread(0.005, 0.1), "think": exponential(0.5)}
    runs = [Run(log_of(turns_of(clients, seed=clients, **truth), f"{clients}.csv"), cores=1)
            for clients in (1, 10, 60)]  # fmt: skip
    box = from_requests(runs)
    assert box.found.by_turn
    assert box.system.requests.by_turn
    assert from_requests(runs_of((1, 10, 60), said=1, **truth)).found.by_turn is False


def stalled(rows, stalls):
    """Return the requests with answers that a server gives after its stalls: (start, end) [s]."""
    return [(client, start, max([end, *(stop + 1e-4 for began, stop in stalls
                                        if began <= end < stop)]))
            for client, start, end in rows]  # fmt: skip


def test_stalls_that_a_log_shows_are_found_and_no_others():
    truth = {"demand": constant(2e-4), "think": exponential(0.1), "seconds": 60.0}
    rows = run_of(40, seed=1, **truth)
    times = [(0.5 + at, 0.51 + at) for at in range(50)]  # one a second, of 10 ms
    one = closed_loop(Run(log_of(rows, "1.csv")))
    two = closed_loop(Run(log_of(stalled(rows, times), "2.csv")))
    assert stalls([one], alone([one]), 1) is None
    found = stalls([two], alone([two]), 1)
    # 50 in 60 s; of 400 requests a second the first comes 2.5 ms after a stall has begun.
    assert found.gap.mean == pytest.approx(60 / 50, rel=0.2)
    assert found.length.mean == pytest.approx(0.0075, rel=0.2)


def test_slices_that_alternate_are_no_stalls():
    truth = {"demand": spread(0.0048, 0.1), "think": constant(1.0), "quantum": 0.004}
    loops = [closed_loop(run) for run in runs_of(**truth)]
    assert stalls(loops, alone(loops), 1) is None


def test_a_cost_that_falls_with_the_load_is_held_for_the_loads_asked_for():
    """A request costs less where the server is awake: predicted for twice the clients."""
    runs = []
    for clients, cost in ((1, 4e-4), (10, 2.8e-4), (50, 2.1e-4)):
        rows = run_of(clients, seed=clients, demand=constant(cost), think=exponential(0.1))
        runs.append(Run(log_of(rows, f"{clients}.csv"), len(rows) * cost, cores=1))
    box = from_requests(runs)
    assert box.demand.slope == pytest.approx(math.log(2.1 / 4) / math.log(50), rel=0.15)
    assert box.demand.mean == pytest.approx(2.1e-4 * 2**box.demand.slope, rel=0.05)
    assert box.demand.error > 0.05
