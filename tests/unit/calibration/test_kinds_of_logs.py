"""Message logs of every kind: the capacity is right, a bound, or refused in one line.

The servers are single queues whose truth is known: Lindley's recursion with a constant delay.
"""

from __future__ import annotations

import json
import math

import attrs
import numpy as np
import pandas as pd
import pytest

import lhsim
from lhsim import cli
from lhsim.calibration import from_logs
from lhsim.calibration.acceptance import check, missed
from lhsim.calibration.arrivals import constant_part
from lhsim.calibration.logs import BURSTS, POISSON, REGULAR, Log, read_log, resolution
from lhsim.calibration.pattern import pattern
from lhsim.calibration.polling_logs import is_late, stretch
from lhsim.errors import InputError
from lhsim.replay import replay

MESSAGES = 6_000


def served(arrivals, services, delay):
    """Return when messages are delivered by one server, first come, first served."""
    free, done = 0.0, np.empty(len(arrivals))
    for k, (at, service) in enumerate(zip(arrivals, services, strict=True)):
        free = max(at, free) + service
        done[k] = free + delay
    return done


def poisson(generator, rate, n):
    return np.cumsum(generator.exponential(1 / rate, n))


def steady(_generator, rate, n):
    return np.arange(n) / rate


def batches(_generator, rate, n):
    return np.floor(np.arange(n) / 10) * 10 / rate


def constant(_generator, mean, n):
    return np.full(n, mean)


def exponential(generator, mean, n):
    return generator.exponential(mean, n)


def log(come, work, use, mean, delay, seed=1, n=MESSAGES, tick=0.0, agents=50):
    """Return the log of a server that is busy for a part `use` of the time."""
    generator = np.random.default_rng([seed, round(1000 * use)])
    arrivals = come(generator, use / mean, n)
    delivered = served(arrivals, work(generator, mean, n), delay)
    delivered[delivered > 1.02 * arrivals[-1] + delay] = np.nan  # the log is no longer
    if tick:
        arrivals, delivered = (np.round(times / tick) * tick for times in (arrivals, delivered))
    return Log(f"{use:g}", arrivals, arrivals, delivered, generator.integers(0, agents, n))


def polled(rate, intervals, seed=1, n=3000, agents=20):
    """Return the log of agents who poll at these intervals in turn, of a server that is idle."""
    generator = np.random.default_rng(seed)
    sent, agent = poisson(generator, rate, n), generator.integers(0, agents, n)
    every = np.array([intervals[k % len(intervals)] for k in range(agents)])
    phase = generator.uniform(0, every)
    after = np.ceil((sent - phase[agent]) / every[agent])
    return Log("polled", sent, sent, after * every[agent] + phase[agent] + 1e-3, agent)


KINDS = {
    "far away": (poisson, constant, (0.16, 0.48), 2e-4, 0.04, 0.0),
    "constant rate, clock of 1 ms": (steady, exponential, (0.2, 0.5), 2e-3, 1e-3, 1e-3),
    "batches of ten": (batches, exponential, (0.2, 0.5), 2e-3, 1e-3, 0.0),
    "saturated and far away": (poisson, exponential, (0.1, 1.5), 2e-3, 0.2, 0.0),
}
NEAR = {"near": (poisson, exponential, (0.2, 0.6), 2e-3, 1e-3, 0.0)}


@pytest.mark.parametrize("kind", KINDS)
def test_capacity_and_held_out_delays_of_a_queue(kind):
    come, work, uses, mean, delay, tick = KINDS[kind]
    logs = [log(come, work, use, mean, delay, tick=tick) for use in uses]
    found = from_logs(logs)
    assert found.architecture == "push"
    assert found.capacity.value >= max(one.throughput for one in logs)
    assert found.capacity.low <= 1 / mean <= found.capacity.high
    assert found.capacity.value == pytest.approx(1 / mean, rel=0.15)
    held_out = log(poisson, work, 0.3, mean, delay, seed=2)
    true = float(np.nanmedian(held_out.delivered - held_out.sent))
    predicted = replay(found.system, held_out.recording("push").manifest).measures()
    assert predicted["latency_p50"] == pytest.approx(true, rel=0.25)


def test_random_servers_are_never_slower_than_they_were_seen_and_mostly_in_their_interval():
    """M/M/1 and M/D/1, at random loads and distances."""
    inside, refused, number = 0, 0, 8
    for seed in range(number):
        generator = np.random.default_rng(1000 + seed)
        work = (exponential, constant)[seed % 2]
        mean = 10 ** generator.uniform(-4, -2)
        delay = mean * 10 ** generator.uniform(-1, 2)
        uses = (generator.uniform(0.05, 0.3), generator.uniform(0.45, 0.9))
        logs = [log(poisson, work, use, mean, delay, seed=seed, n=3000) for use in uses]
        try:
            capacity = from_logs(logs).capacity
        except InputError:
            refused += 1
            continue
        assert capacity.value >= max(one.delivery_rate for one in logs), seed
        inside += capacity.low <= 1 / mean <= capacity.high
    assert refused <= 1
    assert inside >= number - refused - 2


@pytest.mark.parametrize("delay", [0.01, 0.0])
def test_without_a_queue_the_capacity_is_at_least_what_was_delivered(delay, tmp_path):
    """Equal services at a constant rate: any service time up to the gap explains them."""
    found = from_logs([log(steady, constant, use, 2e-3, delay, n=1500) for use in (0.2, 0.4)])
    assert found.capacity.low == pytest.approx(200, rel=0.01)
    assert found.capacity.high == math.inf
    lhsim.parameters.dump(found.system, tmp_path / "found.toml")
    system = lhsim.load_system(tmp_path / "found.toml")
    (warning, *_) = system.calibration.warnings
    assert warning.about == "capacity"
    assert warning.at_least == pytest.approx(200, rel=0.01)
    assert "Trust no capacity of this model" in warning.text


def test_a_clock_of_a_second_tells_no_service_time():
    logs = [log(poisson, exponential, use, 2e-3, 1e-3, tick=1.0) for use in (0.1, 0.4)]
    capacity = from_logs(logs).capacity
    assert capacity.high == math.inf
    assert capacity.low >= 190


def test_ticks_of_clocks_are_seen():
    times = np.random.default_rng(1).uniform(0, 100, 500)
    assert resolution(times) == 0
    for tick in (1.0, 1e-3):
        assert resolution(np.round(times / tick) * tick) == tick
    assert resolution(np.full(3, np.nan)) == 0


def test_the_constant_part_of_delays_leaves_room_for_the_service():
    far = [log(poisson, constant, use, 2e-4, 0.04) for use in (0.16, 0.48)]
    assert 0.039 < constant_part(far) <= 0.04
    near = [log(poisson, exponential, use, 2e-3, 1e-3) for use in (0.2, 0.5)]
    assert constant_part(near) == 0


def test_how_messages_come_is_known():
    assert log(poisson, constant, 0.3, 1e-3, 0).arrivals == POISSON
    assert log(steady, constant, 0.3, 1e-3, 0).arrivals == REGULAR
    assert log(batches, constant, 0.3, 1e-3, 0).arrivals == BURSTS


# --- polling or not ------------------------------------------------------------------------------


def test_batches_with_uniform_delays_are_no_polling():
    """Few messages for many agents, so that silence between polls says nothing."""
    found = pattern([log(batches, constant, 0.2, 2e-3, 0.05, n=1000, agents=500)])
    assert found.distance < 0.08
    assert math.isnan(found.silence)
    assert found.interval is None


def test_polling_over_a_distance_is_polling():
    """What is sent while the next request is on its way is delivered one round trip later."""
    generator = np.random.default_rng(1)
    every, trip, agents = 0.5, 0.15, 10
    sent, agent = poisson(generator, 5, 3000), generator.integers(0, agents, 3000)
    delivered = np.empty(len(sent))
    for one in range(agents):
        own, k, look = np.flatnonzero(agent == one), 0, generator.uniform(0, every)
        while k < len(own):
            waiting = own[k:][sent[own[k:]] <= look]
            delivered[waiting] = look + trip / 2
            k += len(waiting)
            look += trip if len(waiting) else every
    found = pattern([Log("far", sent, sent, delivered, agent)])
    assert found.interval == pytest.approx(every, rel=0.1)
    assert found.silence < 0.05


def test_equal_delays_are_no_polling():
    assert pattern([log(steady, constant, 0.2, 2e-3, 0.05)]).interval is None


def test_late_polls_are_seen_over_any_distance():
    few, many, late = polled(20, (1.0,)), polled(40, (1.0,)), polled(60, (1.3,))
    logs = [few, many, late]
    assert [is_late(one, logs) for one in logs] == [False, False, True]
    assert stretch(late, logs) == pytest.approx(1.3, rel=0.05)
    moved = [one.later(10.0) for one in logs]
    assert stretch(moved[-1], moved) == pytest.approx(stretch(late, logs), rel=1e-6)


def test_agents_who_poll_at_intervals_of_their_own_are_refused_in_a_line():
    assert pattern([polled(20, (1.0,))]).interval == pytest.approx(1.0, rel=0.03)
    logs = [polled(20, (1.0, 5.0)), polled(40, (1.0, 5.0), n=6000)]
    with pytest.raises(InputError, match=r"intervals of their own, from .* to") as caught:
        from_logs(logs)
    assert "\n" not in str(caught.value)


# --- what is refused -----------------------------------------------------------------------------


def test_lost_messages_are_no_saturation():
    logs = [log(poisson, exponential, use, 2e-3, 1e-3, n=2000) for use in (0.1, 0.4)]
    lossy = np.where(np.random.default_rng(1).random(2000) < 0.2, np.nan, logs[0].delivered)
    with pytest.raises(InputError, match="never arrive, and the others are not late"):
        from_logs([attrs.evolve(logs[0], delivered=lossy), logs[1]])


def test_logs_that_contradict_one_another_are_refused_with_what_is_missed():
    kept = log(poisson, exponential, 0.8, 2e-3, 1e-3, n=2000)
    slower = log(poisson, exponential, 3.6, 4e-3, 1e-3, n=4000)
    with pytest.raises(InputError, match=r"no model fits: at .* throughput is .* in the log"):
        from_logs([kept, slower])


def test_a_figure_is_missed_beyond_its_errors():
    row = {"level": "20 agents", "metric": "delay_p50", "live": 1.0, "error": 0.05}
    near = {**row, "simulated": 1.1, "miss": 0.1, "off": 0.0953}
    far = {**row, "simulated": 2.0, "miss": 1.0, "off": 0.693}
    unknown = {**row, "simulated": math.nan, "miss": math.nan, "off": math.nan}
    assert missed([near]) == []
    assert missed([near, far]) == [far]
    assert missed([unknown]) == [unknown]
    with pytest.raises(InputError, match="delay_p50 is 1 s in the log and 2 s in the model"):
        check([far], "mine")
    check([far], "mine", same=1.0)


# --- files ---------------------------------------------------------------------------------------


def table(one, first=0.0):
    """Return a log as the table that a file has."""
    columns = {"intended_s": one.intended, "sent_s": one.sent, "delivered_s": one.delivered}
    frame = pd.DataFrame({name: times + first for name, times in columns.items()})
    return frame.assign(agent=one.agent)


def written(tmp_path, delay=0.003, first=0.0):
    path = tmp_path / "log.csv"
    table(log(poisson, exponential, 0.3, 2e-3, delay, n=400), first).to_csv(path, index=False)
    return path


def stamped(frame):
    """Return a table with timestamps for times."""
    begun = pd.Timestamp("2026-03-01T09:00:00Z")
    times = {
        name: (begun + pd.to_timedelta(frame[name], unit="s")).dt.as_unit("us")
        for name in ("intended_s", "sent_s", "delivered_s")
    }
    return frame.assign(**times)


@pytest.mark.parametrize(
    ("kind", "as_written"),
    [
        ("far away", pd.DataFrame.copy),
        ("constant rate, clock of 1 ms", pd.DataFrame.copy),
        ("batches of ten", pd.DataFrame.copy),
        ("near", stamped),
    ],
)
def test_files_of_a_queue_say_its_capacity(tmp_path, capsys, kind, as_written):
    come, work, uses, mean, delay, tick = (KINDS | NEAR)[kind]
    logs, rates = [], []
    for use in uses:
        one = log(come, work, use, mean, delay, tick=tick)
        logs.append(str(tmp_path / f"{use}.parquet"))
        as_written(table(one)).to_parquet(logs[-1], index=False)
        rates.append(use / mean)
    asked = ["calibrate", *logs, "-o", str(tmp_path / "made.toml"), "--format", "json", "--quiet"]
    assert cli.run(asked) == 0
    found = json.loads(capsys.readouterr().out)
    low, high = found["capacity_interval"]
    assert low <= 1 / mean <= high
    assert high < 2 / mean
    assert found["capacity"] >= max(rates)


def test_times_since_the_epoch_count_from_the_first_message(tmp_path):
    near, far = read_log(written(tmp_path)), read_log(written(tmp_path, first=1.8e9))
    assert far.sent[0] == 0
    assert far.delivered - far.sent == pytest.approx(near.delivered - near.sent, abs=1e-6)


def test_deliveries_before_their_sending_are_clocks_that_differ(tmp_path):
    found = read_log(written(tmp_path, delay=-0.5))
    assert found.clocks_apart == pytest.approx(0.5, rel=0.01)
    assert np.nanmin(found.delivered - found.sent) == pytest.approx(0, abs=1e-6)


def test_rows_that_are_there_twice_are_refused(tmp_path):
    path = written(tmp_path)
    table = pd.read_csv(path)
    table.loc[table.index.repeat(2)].to_csv(path, index=False)
    with pytest.raises(InputError, match="400 of 800 rows are there twice"):
        read_log(path)
