"""The load of a log over time, as traffic: counts are kept, and rates come out again."""

import numpy as np
import pytest

import lhsim
from lhsim.errors import InputError
from lhsim.experiments.profile import as_recorded, profile
from lhsim.models import Poisson, PushServer, System, Workload
from lhsim.readers.requests import read_requests

HOUR = 3600.0


def log(starts, folder):
    path = folder / "log.csv"
    rows = [f"{number % 7},{at!r},{at + 0.01!r}" for number, at in enumerate(map(float, starts))]
    path.write_text("\n".join(["client,start_s,end_s", *rows]) + "\n")
    return read_requests(str(path))


def uneven(seed=1):
    """Return arrivals of three hours with 100, 1,000 and 400 of them."""
    generator = np.random.default_rng(seed)
    parts = [HOUR * (hour + generator.random(n)) for hour, n in enumerate((100, 1000, 400))]
    return np.sort(np.append(np.concatenate(parts), [0.0, 3 * HOUR]))


def test_each_piece_has_as_many_messages_as_the_log(tmp_path):
    traffic = profile(log(uneven(), tmp_path), HOUR, senders=10)
    counts = [piece.duration * piece.rate * 10 for piece in traffic.pieces]
    assert counts == pytest.approx([101, 1000, 401])
    assert traffic.rate_per_agent * 10 == pytest.approx(1502 / (3 * HOUR))


def test_what_is_left_makes_the_last_piece_longer_or_one_of_its_own(tmp_path):
    found = log(uneven(), tmp_path)
    assert len(profile(found, 1.3 * HOUR, 1).pieces) == 2
    assert len(profile(found, 1.1 * HOUR, 1).pieces) == 3
    for every in (1.1 * HOUR, 1.3 * HOUR):
        pieces = profile(found, every, 1).pieces
        assert sum(piece.duration for piece in pieces) == pytest.approx(3 * HOUR)
        assert sum(piece.duration * piece.rate for piece in pieces) == pytest.approx(1502)


@pytest.mark.parametrize("every", [1e-3, 2.1 * HOUR, 100 * HOUR])
def test_too_few_or_too_many_pieces_are_refused(every, tmp_path):
    with pytest.raises(InputError) as refused:
        profile(log(uneven(), tmp_path), every, 1)
    assert refused.value.source == "--every"


def test_a_run_has_the_load_of_the_log_and_says_so_by_its_windows(tmp_path):
    traffic = profile(log(uneven(), tmp_path), HOUR, senders=10)
    system = System(name="day", push=PushServer(), workload=Workload(traffic=traffic))
    run = lhsim.simulate(system, agents=10, duration=30 * HOUR, warmup=0.0, drain=0.0)
    assert sum(run.outcomes.values()) == pytest.approx(10 * 1502, rel=0.05)
    windows = run.windows()
    assert list(windows["start_s"]) == pytest.approx(np.arange(20) * 1.5 * HOUR)
    assert windows["delivered"].sum() == run.latency.count
    rates = windows["messages_per_second"]
    # The first and second half of each three hours: 101 and half of 1,000, then the rest.
    assert rates[::2].mean() == pytest.approx(601 / (1.5 * HOUR), rel=0.1)
    assert rates[1::2].mean() == pytest.approx(901 / (1.5 * HOUR), rel=0.1)


def test_windows_make_up_the_run():
    system = System(name="push", push=PushServer(), workload=Workload(traffic=Poisson(1.0)))
    run = lhsim.simulate(system, agents=20, duration=100.0)
    windows = run.windows()
    mean = (windows["mean_latency_ms"] * windows["delivered"]).sum() / windows["delivered"].sum()
    assert mean == pytest.approx(run.latency.mean * 1e3)
    assert windows["end_s"].iloc[-1] == run.horizon - run.drain


def test_the_command_writes_a_model_that_can_be_run(tmp_path, capsys):
    from lhsim.cli import run as lhsim_command

    log(uneven(), tmp_path)
    out = tmp_path / "day.toml"
    asked = [
        "profile",
        str(tmp_path / "log.csv"),
        "--agents",
        "10",
        "--every",
        "1h",
        "-o",
        str(out),
    ]
    assert lhsim_command([*asked, "--system", "push"]) == 0
    assert "1,502 messages in 3 h, as 3 rates of 10 agents" in capsys.readouterr().out
    assert lhsim.load_system(str(out)).offered_load(10) == pytest.approx(1502 / (3 * HOUR))
    assert lhsim_command([*asked, "--system", "push"]) == 2  # nothing is overwritten
    assert lhsim_command([*asked[:-1], str(tmp_path / "other.toml"), "--agents", "0"]) == 2


def test_a_replay_sends_each_request_of_the_log_at_its_time(tmp_path):
    at = np.round(uneven(), 3)
    traffic = as_recorded(log(at, tmp_path), senders=10)  # more than the 7 clients: in turn
    assert traffic.clients[:12] == (*range(10), 0, 1)
    system = System(name="day", push=PushServer(), workload=Workload(traffic=traffic))
    run = lhsim.simulate(system, agents=10, duration=3 * HOUR, warmup=0.0, drain=0.0,
                         keep_messages=True)  # fmt: skip
    assert np.sort(run.records["created"]) == pytest.approx(at[at < 3 * HOUR])


def test_a_replay_keeps_the_clients_of_the_log_together(tmp_path):
    traffic = as_recorded(log(uneven(), tmp_path), senders=3)
    assert traffic.clients[:9] == (0, 1, 2, 0, 1, 2, 0, 0, 1)


def test_the_command_replays(tmp_path, capsys):
    from lhsim.cli import run as lhsim_command

    log(uneven(), tmp_path)
    out = tmp_path / "replay.toml"
    asked = ["profile", str(tmp_path / "log.csv"), "--agents", "10", "--replay", "-o", str(out)]
    assert lhsim_command(asked) == 0
    assert "1,502 messages in 3 h" in capsys.readouterr().out
    assert len(lhsim.load_system(str(out)).workload.traffic.times) == 1502
    out.unlink()
    assert lhsim_command([*asked, "--every", "1h"]) == 2
    assert lhsim_command([*asked[:3], "2000", *asked[4:-1], str(tmp_path / "new.toml")]) == 2
    errors = capsys.readouterr().err
    assert "--every: goes with no --replay" in errors
    assert "has 1,502 requests; allowed" in errors


def test_a_replay_broadcasts_at_each_time_of_the_log(tmp_path):
    from lhsim.cli import run as lhsim_command

    log(uneven(), tmp_path)
    out = tmp_path / "broadcasts.toml"
    asked = ["profile", str(tmp_path / "log.csv"), "--agents", "10", "--replay", "-o", str(out)]
    assert lhsim_command([*asked, "--set", "workload.topology=broadcast"]) == 0
    found = lhsim.simulate(str(out), agents=10, duration=3 * HOUR, warmup=0.0, drain=0.0)
    assert found.counters.created == pytest.approx(9 * 1502, abs=9)
