"""Message logs as files, good and bad."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lhsim.calibration.logs import COLUMNS, read_log
from lhsim.errors import InputError


def table(n=400, agents=20):
    generator = np.random.Generator(np.random.Philox(1))
    sent = np.sort(generator.uniform(0, 20, n))
    return pd.DataFrame(
        {
            "intended_s": sent,
            "sent_s": sent + 1e-4,
            "delivered_s": sent + 2e-3,
            "agent": [f"agent {k}" for k in generator.integers(agents, size=n)],
        }
    )


def written(frame, tmp_path, suffix=".csv"):
    path = tmp_path / f"log{suffix}"
    if suffix == ".csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_parquet(path)
    return path


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_log_is_read(tmp_path, suffix):
    log = read_log(written(table(), tmp_path, suffix))
    assert log.agents == 20
    assert log.rate == pytest.approx(20, rel=0.02)
    assert log.lag == pytest.approx(1e-4)
    assert not log.saturated


def test_agents_that_received_nothing_are_guessed(tmp_path):
    """Of 300 agents with 300 messages a third receives none."""
    log = read_log(written(table(n=300, agents=300), tmp_path))
    assert len(np.unique(log.agent)) < 210
    assert log.agents == pytest.approx(300, rel=0.15)


def test_what_was_not_delivered_is_empty(tmp_path):
    frame = table()
    frame.loc[frame.index[::4], "delivered_s"] = np.nan
    log = read_log(written(frame, tmp_path))
    assert np.isnan(log.delivered).sum() == len(frame.index[::4])
    assert log.saturated


def spoiled(column, value, row=10):
    def spoil(frame):
        frame[column] = frame[column].astype(object)
        frame.loc[row, column] = value
        return frame

    return spoil


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda frame: frame.drop(columns="agent"), "agent: is missing"),
        (spoiled("sent_s", "soon"), "sent_s: line 12: 'soon' is no number"),
        (spoiled("sent_s", np.nan), "sent_s: line 12: is empty"),
        (spoiled("agent", np.nan), "agent: line 12: is empty"),
        (spoiled("delivered_s", 0.0), "delivered_s: line 12: is before sent_s"),
        (spoiled("sent_s", 0.0), "sent_s: line 12: is before intended_s"),
        (spoiled("intended_s", -1.0), "intended_s: line 12: is earlier than the line before"),
        (spoiled("delivered_s", "inf"), "delivered_s: line 12: 'inf' is no number"),
        (lambda frame: frame.head(50), "50 messages are too few"),
        (lambda frame: frame.assign(intended_s=frame.intended_s * 1e-310), "messages within "),
        (lambda frame: frame.assign(intended_s=frame.intended_s * 1e-12), "messages within "),
        (lambda frame: frame.assign(delivered_s=np.nan), "only 0 messages amid the log arrived"),
    ],
)
def test_bad_logs_are_refused_with_their_place(tmp_path, spoil, said):
    path = written(spoil(table()), tmp_path)
    with pytest.raises(InputError) as caught:
        read_log(path)
    text = str(caught.value)
    assert str(path) in text
    assert said in text
    assert "\n" not in text


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Berlin"])
def test_timestamps_say_the_same_as_seconds(tmp_path, suffix, zone):
    frame = table().round(6)
    expected = read_log(written(frame, tmp_path, suffix))
    begin = pd.Timestamp("2026-03-01T09:00:00", tz=zone)
    for column in COLUMNS[:3]:
        frame[column] = (begin + pd.to_timedelta(frame[column], unit="s")).dt.as_unit("us")
    log = read_log(written(frame, tmp_path, suffix))
    delays = expected.delivered - expected.sent
    assert log.delivered - log.sent == pytest.approx(delays, abs=1.1e-6)  # pandas cuts digits off
    assert log.throughput == pytest.approx(expected.throughput)
    assert log.rate == pytest.approx(expected.rate)


def test_names_that_mean_nothing_to_pandas_are_agents(tmp_path):
    names = ["NA", "null", "nan", "None", "007", "7"]
    log = read_log(written(table().assign(agent=(names * 67)[:400]), tmp_path))
    assert log.agents == 6


@pytest.mark.parametrize("agent", [[1], {"name": 1}, True, b"1"], ids=str)
def test_agents_that_are_no_names_are_refused(tmp_path, agent):
    path = written(table().assign(agent=[agent] * 400), tmp_path, ".parquet")
    with pytest.raises(InputError, match=r"agent: holds .*, no names") as caught:
        read_log(path)
    assert "\n" not in str(caught.value)


def test_milliseconds_since_1970_are_refused_as_seconds_and_read_by_their_name(tmp_path):
    frame = table()
    for column in COLUMNS[:3]:
        frame[column] = 1e3 * (1_772_355_600 + frame[column])
    with pytest.raises(InputError, match=r"if it counts ms from 1970, end the name .* in _ms"):
        read_log(written(frame, tmp_path))
    frame.columns = [name.replace("_s", "_ms") for name in frame]
    log = read_log(written(frame, tmp_path))
    assert log.lag == pytest.approx(1e-4, rel=0.01)


@pytest.mark.parametrize(
    ("name", "said"), [("log.txt", "ends in neither"), ("no.csv", "does not exist")]
)
def test_what_is_no_table_is_refused(tmp_path, name, said):
    (tmp_path / "log.txt").write_text("x")
    with pytest.raises(InputError, match=said):
        read_log(tmp_path / name)


def test_a_damaged_parquet_file_is_refused(tmp_path):
    path = tmp_path / "log.parquet"
    path.write_bytes(b"PAR1 nothing")
    with pytest.raises(InputError, match="is no Parquet file"):
        read_log(path)


def test_the_columns_are_those_of_the_documentation():
    assert COLUMNS == ("intended_s", "sent_s", "delivered_s", "agent")
