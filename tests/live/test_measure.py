"""The driver against a real bridge: small runs, since what is tested is no speed."""

from __future__ import annotations

import attrs
import numpy as np
import pytest

import lhsim
from lhsim.cli import run as command
from lhsim.errors import InputError
from lhsim.live import counters
from lhsim.live.driver import Load, measure
from lhsim.models import Poisson, Workload
from lhsim.models.schedule import schedule
from lhsim.recording import Recording
from lhsim.replay import replay

WORKLOAD = Workload(traffic=Poisson(2.0))


def load(url: str, architecture: str) -> Load:
    return Load(
        url=url,
        architecture=architecture,
        agents=6,
        workload=WORKLOAD,
        duration=2.0,
        warmup=1.2,
        drain=1.3,
        seed=3,
        spin=0.1,
    )


@pytest.mark.parametrize("architecture", ["polling", "push"])
def test_what_was_to_be_sent_is_sent_and_comes(bridge, architecture):
    url = bridge.start("--interval", "100ms")
    one = load(url, architecture)
    found = measure(one)
    planned = schedule(WORKLOAD, 6, one.end, 3)
    assert found.messages["intended_s"].to_numpy() == pytest.approx(planned.time, abs=0)
    assert (found.messages["target"].to_numpy() == planned.target).all()
    cohort = found.cohort
    assert len(cohort) > 5
    assert cohort["delivered_s"].notna().all()
    assert (cohort["sent_s"] >= cohort["intended_s"]).all()
    assert (cohort["acknowledged_s"] > cohort["sent_s"]).all()
    figures = found.measures()
    assert figures["delivery"] == 1.0
    assert 0.0 < figures["cpu"] < 1.0
    if architecture == "polling":
        assert found.manifest.server["polling.interval"] == pytest.approx(0.1)
        assert 20.0 < figures["polls"] < 100.0  # six agents, ten a second at most, and answers
    else:
        assert figures["polls"] == 0.0


def test_by_short_polls_the_agents_sleep(bridge):
    url = bridge.start("--interval", "100ms", "--short-poll")
    found = measure(load(url, "polling"))
    assert found.manifest.way == "short poll"
    assert found.cohort["delivered_s"].notna().all()
    # Six agents, ten a second at most, and one more for each answer; they would be thousands.
    assert 20.0 < found.measures()["polls"] < 100.0
    replayed = replay(lhsim.load_system("polling"), found.manifest).measures()
    assert replayed["polls"] == pytest.approx(found.measures()["polls"], rel=0.15)


def test_a_server_that_is_not_there_is_bad_input():
    with pytest.raises(InputError, match="cannot be reached"):
        measure(load("http://127.0.0.1:9", "push"))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"url": "ftp://here"}, "is no URL"),
        ({"url": "http://127.0.0.1:99999"}, "is no URL"),
        ({"duration": 4000.0}, "too long"),
        ({"agents": 60_000}, "too many"),
        ({"agents": 7, "workload": Workload("pair")}, "do not pair up"),
        ({"workload": attrs.evolve(WORKLOAD, think=Poisson(1.0).gap)}, r"workload\.think"),
    ],
)
def test_what_cannot_be_driven_is_refused(changes, problem):
    with pytest.raises(InputError, match=problem):
        attrs.evolve(load("http://127.0.0.1:9", "push"), **changes)


def test_the_command_writes_a_recording_and_overwrites_none(bridge, tmp_path, capsys):
    url = bridge.start()
    folder = tmp_path / "run"
    times = ["--duration", "1", "--warmup", "500ms", "--drain", "500ms"]
    load = ["--url", url, "--architecture", "push", "--agents", "4"]
    arguments = ["measure", *load, *times, "--quiet", "-o", str(folder)]
    assert command(arguments) == 0
    assert "throughput" in capsys.readouterr().out
    assert Recording.read(folder).manifest.agents == 4
    assert command(arguments) == 2
    assert "holds a recording" in capsys.readouterr().err


def test_counters_are_summed_over_their_labels():
    page = (
        "# TYPE message_deliveries_total counter\n"
        'message_deliveries_total{architecture="push"} 3.0\n'
        'message_deliveries_total{architecture="polling"} 4.0\n'
        "process_cpu_seconds_total 1.5\npolling_interval_seconds 0.5\nodd NaN\nno number\n"
    )
    assert counters.counters(page) == {"cpu_s": 1.5, "deliveries": 7.0}
    assert counters.settings(page) == {"polling.interval": 0.5}
    assert not np.isnan(list(counters.parse(page).values())).any()


def test_the_pace_of_the_servers_core_is_recorded(bridge):
    url = bridge.start()
    found = measure(attrs.evolve(load(url, "push"), server_core=0)).manifest.machine
    assert 1e-6 < found.pace < 0.1
    assert measure(load(url, "push")).manifest.machine.pace is None


def test_a_core_that_is_not_there_is_bad_input():
    with pytest.raises(InputError, match="server_core"):
        attrs.evolve(load("http://127.0.0.1:9", "push"), server_core=100_000)


def test_agents_for_which_there_are_no_files_are_refused(bridge, monkeypatch):
    monkeypatch.setattr("lhsim.live.probe.open_files", lambda: 70)
    with pytest.raises(InputError, match="76 open files in each process, of 70"):
        measure(attrs.evolve(load(bridge.start(), "push"), processes=1))


def test_a_server_that_was_started_again_makes_a_run_doubtful(bridge, monkeypatch):
    pages = iter([3.0, 2.0, 1.0, *[0.5] * 20])
    monkeypatch.setattr(counters, "counters", lambda _page: {"cpu_s": next(pages)})
    doubts = measure(load(bridge.start(), "push")).manifest.doubts
    assert "the server's counters fell: it was started again" in doubts
