"""Recordings of runs, their schedules, and their replay."""

import math

import attrs
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

import lhsim
from lhsim import parameters
from lhsim.calibration import calibrate, levels
from lhsim.calibration.logs import of_recording
from lhsim.crosscheck import crosscheck
from lhsim.distributions import Deterministic
from lhsim.errors import InputError
from lhsim.models import Closed, Periodic, Poisson, Webhook, Workload
from lhsim.models.schedule import schedule
from lhsim.models.workload import Piece, Piecewise
from lhsim.recording import COUNTERS, MANIFEST, MESSAGES, Machine, Manifest, Recording
from lhsim.replay import replay

MANIFEST_OF_A_RUN = Manifest(
    architecture="polling",
    agents=20,
    workload=Workload(traffic=Poisson(1.0)),
    seed=3,
    warmup=2.0,
    duration=10.0,
    drain=3.0,
    machine=Machine(host="a host", stalls_per_s=1.5, stall_lengths=(0.001, 0.002)),
    doubts=("the driver was late",),
)


@pytest.fixture(scope="module")
def run():
    return replay(lhsim.load_system("polling"), MANIFEST_OF_A_RUN)


TRAFFIC = [Poisson(2.0), Periodic(3.0, 0.5), Piecewise((Piece(1.0, 1.0), Piece(2.0, 5.0)))]


@pytest.mark.parametrize("traffic", TRAFFIC, ids=lambda traffic: traffic.name)
@pytest.mark.parametrize("topology", ["ring", "pair", "random", "hub", "broadcast"])
def test_a_schedule_is_what_a_simulation_sends(traffic, topology):
    workload = Workload(topology=topology, traffic=traffic, start="ramp", start_over=2.0)
    system = attrs.evolve(lhsim.load_system("polling"), workload=workload)
    simulated = lhsim.simulate(
        system, agents=6, duration=8.0, seed=11, engine="simpy", keep_messages=True
    ).messages
    planned = schedule(workload, 6, 8.0, 11)
    table = pd.DataFrame(
        {
            "sender": planned.sender,
            "number": planned.number,
            "target": planned.target,
            "created": planned.time,
        }
    )
    keys = ["sender", "number"]
    expected = simulated[list(table)].sort_values(keys, ignore_index=True)
    pd.testing.assert_frame_equal(table.sort_values(keys, ignore_index=True), expected)
    assert (np.diff(planned.time) >= 0).all()


def test_a_closed_loop_has_no_schedule():
    with pytest.raises(InputError, match=r"workload\.traffic: is closed"):
        schedule(Workload(traffic=Closed(3)), 2, 1.0, 1)


def test_what_is_written_is_read_again(run, tmp_path):
    run.write(tmp_path / "run")
    again = Recording.read(tmp_path / "run")
    assert again.manifest == MANIFEST_OF_A_RUN
    pd.testing.assert_frame_equal(again.messages, run.messages)
    assert again.measures() == pytest.approx(run.measures(), nan_ok=True)
    with pytest.raises(InputError, match="holds a recording"):
        run.write(tmp_path / "run")


def test_the_figures_of_a_replay_are_those_of_the_simulation(run):
    system = attrs.evolve(
        lhsim.load_system("polling"), workload=MANIFEST_OF_A_RUN.workload, calibration=None
    )
    result = lhsim.simulate(
        system, agents=20, duration=15.0, warmup=2.0, drain=3.0, seed=3, keep_messages=True
    )
    found = run.measures()
    assert found["cpu"] == pytest.approx(result.metrics.cpu_utilization_percent / 100)
    assert found["polls"] == pytest.approx(result.metrics.polling_cycles_total / 13.0)
    assert found["latency_p99"] == pytest.approx(result.metrics.p99_latency_ms / 1e3, rel=0.05)
    assert found["delivery"] == 1.0
    assert 0 < found["store_p50"] < found["store_p99"] < 1.0


def test_figures_by_hand():
    """Four messages, one before the window, one not delivered; a core half busy."""
    messages = pd.DataFrame(
        {
            "sender": 0,
            "number": range(4),
            "target": 1,
            "intended_s": [1.0, 2.0, 3.0, 4.0],
            "sent_s": [1.0, 2.0, 3.0, 4.0],
            "acknowledged_s": [1.1, 2.1, 3.3, math.nan],
            "delivered_s": [1.5, 2.5, 4.5, math.nan],
        }
    )
    counters = pd.DataFrame({"time_s": [0.0, 2.0, 12.0], "cpu_s": [0.0, 1.0, 6.0]})
    found = Recording(MANIFEST_OF_A_RUN, messages, counters).measures()
    assert found["delivery"] == pytest.approx(2 / 3)
    assert found["throughput"] == pytest.approx(0.2)
    assert found["cpu"] == pytest.approx(0.5)
    assert math.isnan(found["polls"])
    assert found["store_p50"] == pytest.approx(0.2)
    assert found["latency_p50"] == pytest.approx(1.0)


def test_a_run_by_mcp_has_figures_of_its_own_and_no_model(run):
    """A question reaches who is asked before its answer comes back."""
    messages = run.messages.copy()
    messages["acknowledged_s"] = messages["delivered_s"] + 1.0
    asked = Recording(attrs.evolve(MANIFEST_OF_A_RUN, architecture="mcp"), messages, run.counters)
    found, pushed = asked.measures(), run.measures()
    assert {name for name in found if name.endswith("_p50")} == {"latency_p50", "answer_p50"}
    assert found["latency_p50"] == pushed["latency_p50"]
    assert found["answer_p50"] == pytest.approx(found["latency_p50"] + 1.0)
    assert {one.get_label() for one in asked.plot().axes[0].lines} == {"latency", "answer"}
    refusal = "is a run by mcp, of which there is no model; allowed: a run by polling or push"
    with pytest.raises(InputError, match=refusal):
        replay(lhsim.load_system("push"), asked.manifest)
    with pytest.raises(InputError, match=refusal):
        calibrate([asked])
    with pytest.raises(InputError, match=refusal):
        crosscheck(lhsim.load_system("push"), [asked])
    log, other = of_recording(asked, "log"), of_recording(run, "log")
    assert np.array_equal(log.delivered, other.delivered, equal_nan=True)
    assert (log.rate, log.agents) == (other.rate, other.agents)


def test_what_is_no_recording_is_refused(run, tmp_path):
    with pytest.raises(InputError, match="is no recording"):
        Recording.read(tmp_path)
    run.write(tmp_path / "damaged")
    (tmp_path / "damaged" / MESSAGES).write_bytes(b"PAR1 and no more")
    with pytest.raises(InputError, match=r"messages\.parquet"):
        Recording.read(tmp_path / "damaged")
    run.write(tmp_path / "short")
    run.messages.drop(columns="target").to_parquet(tmp_path / "short" / MESSAGES)
    with pytest.raises(InputError, match="has no column target"):
        Recording.read(tmp_path / "short")
    run.write(tmp_path / "unknown")
    with (tmp_path / "unknown" / MANIFEST).open("a") as file:
        file.write("\n[nothing]\nx = 1\n")
    with pytest.raises(InputError, match="nothing"):
        Recording.read(tmp_path / "unknown")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("sent_s", True, "sent_s: holds other than numbers"),
        ("sent_s", pd.Timestamp("2026-03-01"), "sent_s: holds other than numbers"),
        ("sent_s", pd.Timedelta(1, unit="s"), "sent_s: holds other than numbers"),
        ("sent_s", math.inf, "holds infinite numbers"),
        ("delivered_s", -1e305, "holds numbers out of range"),
        ("target", 1.5, "target: holds other than whole numbers"),
        ("target", "7", "target: holds other than numbers"),
        ("more", "text", "more: holds other than numbers"),
    ],
    ids=str,
)
def test_a_recording_of_other_than_numbers_is_refused(run, tmp_path, name, value, said):
    run.write(tmp_path / "run")
    run.messages.assign(**{name: value}).to_parquet(tmp_path / "run" / MESSAGES)
    with pytest.raises(InputError, match=said):
        Recording.read(tmp_path / "run")


def test_a_column_without_a_number_is_one_of_numbers(run, tmp_path):
    run.write(tmp_path / "run")
    run.messages.assign(delivered_s=None).to_parquet(tmp_path / "run" / MESSAGES)
    run.counters.assign(cpu_s=None).to_parquet(tmp_path / "run" / COUNTERS)
    found = Recording.read(tmp_path / "run")
    measures = found.measures()
    assert measures["delivery"] == measures["throughput"] == 0
    assert math.isnan(measures["cpu"])
    assert found.alerts() is not None


@pytest.mark.parametrize("time", [0.0, math.nan, None], ids=str)
def test_counters_whose_times_do_not_go_on_are_refused(run, tmp_path, time):
    run.write(tmp_path / "run")
    late = run.counters["time_s"].where(run.counters.index < 1, time)
    run.counters.assign(time_s=late).to_parquet(tmp_path / "run" / COUNTERS)
    with pytest.raises(InputError, match="time_s: goes back, or stands still"):
        Recording.read(tmp_path / "run")


def test_another_architecture_is_refused():
    with pytest.raises(InputError, match="push: is a push server"):
        replay(lhsim.load_system("push"), MANIFEST_OF_A_RUN)


@pytest.mark.parametrize("noted", [b"{", b"\xb9", b'{"columns": [{"numpy_type": "1e400 s"}]}'])
def test_what_pandas_notes_in_a_file_is_not_believed(run, tmp_path, noted):
    run.write(tmp_path / "run")
    path = tmp_path / "run" / MESSAGES
    table = pa.parquet.read_table(path)
    pa.parquet.write_table(table.replace_schema_metadata({b"pandas": noted}), path)
    found = Recording.read(tmp_path / "run").messages
    pd.testing.assert_frame_equal(found, run.messages)


POLLED = attrs.evolve(MANIFEST_OF_A_RUN, doubts=(), server={"polling.interval": 0.5})
BY_WAYS = {
    "short poll": attrs.evolve(POLLED, server={"polling.interval": 0.5, "polling.hold": 0.0}),
    "queue": attrs.evolve(
        POLLED,
        server={"polling.visibility": 2.0},
        workload=Workload("queue", Poisson(1.0), think=Deterministic(0.1)),
    ),
    "webhook": attrs.evolve(
        POLLED, architecture="push", server={}, webhook=Webhook(failure=0.2, backoff=0.3)
    ),
}


@pytest.mark.parametrize("way", BY_WAYS)
def test_a_replay_delivers_as_the_run_did(way, monkeypatch):
    """And so, by the costs of a usual bridge, do a calibration and a cross-check."""
    manifest = BY_WAYS[way]
    assert manifest.way == way
    assert parameters.structure(parameters.unstructure(manifest), Manifest, source="") == manifest
    asked = []

    def simulate(system, **given):
        asked.append(system)
        return lhsim.simulate(system, **given, engine="simpy")

    monkeypatch.setattr("lhsim.replay.simulate", simulate)
    usual = lhsim.load_system(manifest.architecture)
    run = replay(usual, manifest)
    (system,) = asked
    if way == "short poll":
        assert (system.polling.hold, system.polling.interval) == (False, 0.5)
        assert run.measures()["polls"] > 30  # twice a second for each of 20 agents
    elif way == "queue":
        assert system.polling == attrs.evolve(usual.polling, visibility=2.0)
        assert run.times("latency").min() >= 0.1
    else:
        assert system.push == attrs.evolve(usual.push, webhook=manifest.webhook)
        assert run.times("latency").quantile(0.9) >= 0.3  # the back-off of a fifth of them
    assert way in repr(run)


def test_a_run_in_the_usual_way_leaves_a_system_as_it_is(monkeypatch):
    asked = []

    def simulate(system, **given):
        asked.append(system)
        return lhsim.simulate(system, **given)

    monkeypatch.setattr("lhsim.replay.simulate", simulate)
    system = lhsim.load_system("polling", {"polling.hold": False, "polling.interval": 0.3})
    replay(system, POLLED)
    assert asked[0].polling == system.polling


def test_levels_of_two_ways_are_two():
    some = [replay(lhsim.load_system("polling"), one) for one in (POLLED, BY_WAYS["short poll"])]
    found = levels(some)
    assert [level.name for level in found] == [
        "20 agents, 20 messages/s", "20 agents, 20 messages/s, short poll"
    ]  # fmt: skip
