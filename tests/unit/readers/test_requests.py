"""The native request log: what is read, what is written, and what is refused."""

from __future__ import annotations

import gzip

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lhsim.errors import InputError
from lhsim.readers.request_log import Labels, clock_resolution, request_log
from lhsim.readers.requests import Hints, read_requests, write_requests

HEADER = "client,start_s,end_s"


def written(tmp_path, *rows, header=HEADER, name="log.csv"):
    path = tmp_path / name
    text = "\n".join([header, *rows]) + "\n"
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return path


def refusal(path, **more):
    with pytest.raises(InputError) as error:
        read_requests(path, **more)
    text = str(error.value)
    assert "\n" not in text
    return text


# --- what is read --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["log.csv", "log.csv.gz"])
def test_times_count_from_the_first_start_and_rows_are_sorted(tmp_path, name):
    path = written(tmp_path, "b,1700000002,1700000003", "a,1700000000.5,1700000001",
                   "a,1700000001,1700000004", name=name)  # fmt: skip
    log = read_requests(path)
    assert log.start.tolist() == [0.0, 0.5, 1.5]
    assert log.end.tolist() == [0.5, 3.5, 2.5]
    assert [log.client_names[code] for code in log.client] == ["a", "a", "b"]
    assert log.origin == 1700000000.5
    assert (log.clients, log.span, len(log)) == (2, 3.5, 3)
    assert log.response.tolist() == [0.5, 3.0, 1.0]


def test_units_timestamps_and_optional_columns(tmp_path):
    header = "operation,client,start_ms,end_ms,status,scheduled_ms"
    rows = ["read,1,1000,1250,200,990", "write,1,2000,2500,503,", "read,2,3000,3001,,3000"]
    log = read_requests(written(tmp_path, *rows, header=header))
    assert log.start.tolist() == [0.0, 1.0, 2.0]
    assert log.end.tolist() == [0.25, 1.5, 2.001]
    assert log.status.texts == ["200", "503", ""]
    assert log.operation.texts == ["read", "write", "read"]
    assert log.failed.tolist() == [False, True, False]
    assert log.scheduled[0] == pytest.approx(-0.01)
    assert np.isnan(log.scheduled[1])
    assert log.clock_resolution == pytest.approx(1e-3)


def test_timestamps_of_a_parquet_file(tmp_path):
    path = tmp_path / "log.parquet"
    stamps = np.array(["2026-01-01T00:00:00.25", "2026-01-01T00:00:01"], "datetime64[us]")
    pq.write_table(
        pa.table({"client": [7, 7], "start_s": stamps, "end_s": stamps + np.timedelta64(1500)}),
        path,
    )
    log = read_requests(path)
    assert log.start.tolist() == [0.0, 0.75]
    assert log.response == pytest.approx([0.0015, 0.0015])


def test_a_log_without_clients(tmp_path):
    log = read_requests(written(tmp_path, "-1,0,1", "-1,2,3", "-1,1,2"))
    assert not log.has_clients
    assert log.clients is None
    assert log.most_in_flight.tolist() == []


def test_overlap_of_a_client_is_counted(tmp_path):
    log = read_requests(written(tmp_path, "a,0,3", "a,1,2", "a,1.5,4", "b,0,1", "b,1,2"))
    most = dict(zip(log.client_names, log.most_in_flight.tolist(), strict=True))
    assert most == {"a": 3, "b": 1}


def test_rows_in_the_order_of_their_ends_are_read(tmp_path):
    log = read_requests(written(tmp_path, "a,1,2", "a,0,3"))
    assert log.start.tolist() == [0.0, 1.0]


def test_requests_without_a_duration_follow_one_another(tmp_path):
    log = read_requests(written(tmp_path, "a,0,0", "a,0,0", "a,1,1"))
    assert log.most_in_flight.max() >= 1


@pytest.mark.parametrize(
    ("status", "failed"),
    [("200", False), ("304", False), ("404", True), ("0", True), ("ok", False), ("OK", False),
     ("true", False), ("failed", True), ("", False), ("Non HTTP response code", True)],
)  # fmt: skip
def test_what_a_failure_is(tmp_path, status, failed):
    header = HEADER + ",status"
    log = read_requests(written(tmp_path, f"a,0,1,{status}", f"a,2,3,{status}", header=header))
    assert log.failed.tolist() == [failed, failed]


@pytest.mark.parametrize(
    ("times", "tick"),
    [([0.0, 60.0, 180.0], 60.0), ([0.0, 1.0, 5.0], 1.0), ([0.001, 0.025], 1e-3),
     ([0.1234567891, 0.2], 1e-9)],
)  # fmt: skip
def test_the_resolution_of_a_clock(times, tick):
    assert clock_resolution(np.array(times)) == pytest.approx(tick)


# --- round trips ---------------------------------------------------------------------------------

times = st.floats(0, 1e6, allow_subnormal=False).map(lambda value: round(value, 6))
rows = st.tuples(st.sampled_from(["a", "007", "é", "NA", "x y", '"']), times, times)


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(rows, min_size=2, max_size=12), kind=st.sampled_from([".csv", ".parquet"]))
def test_what_is_written_is_read_again(tmp_path_factory, rows, kind):
    texts = [client for client, _, _ in rows]
    start = np.array([first for _, first, _ in rows])
    log = request_log(
        client=Labels.of(texts),
        start=start,
        end=start + np.array([lasting for _, _, lasting in rows]),
        source="drawn",
        format="requests",
        status=Labels.of(["200" if text == "a" else "" for text in texts]),
    )
    path = tmp_path_factory.mktemp("log") / f"log{kind}"
    assert write_requests(log, path) == path
    again = read_requests(path)
    assert again.start == pytest.approx(log.start, abs=2e-9)
    assert again.end == pytest.approx(log.end, abs=2e-9)
    assert [again.client_names[code] for code in again.client] == [
        log.client_names[code] for code in log.client
    ]
    assert again.status.texts == log.status.texts


def test_a_log_without_clients_is_written_as_one(tmp_path):
    log = read_requests(written(tmp_path, "-1,0,1", "-1,2,3"))
    again = read_requests(write_requests(log, tmp_path / "other.parquet"))
    assert again.clients is None


def test_scheduled_starts_are_written(tmp_path):
    path = written(tmp_path, "a,1,2,0.5", "a,3,4,", header=HEADER + ",scheduled_s")
    log = read_requests(path)
    for kind in (".csv", ".parquet"):
        again = read_requests(write_requests(log, tmp_path / f"other{kind}"))
        assert again.scheduled[0] == pytest.approx(-0.5)
        assert np.isnan(again.scheduled[1])


def test_other_kinds_of_files_are_not_written(tmp_path):
    log = read_requests(written(tmp_path, "a,0,1", "a,2,3"))
    with pytest.raises(InputError, match=r"\.parquet"):
        write_requests(log, tmp_path / "log.txt")
    assert not (tmp_path / "log.txt").exists()


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "header", "words"),
    [
        (["a,0,1", "a,2"], HEADER, ["line 3", "2 fields"]),
        (["a,0,1", "a,2,"], HEADER, ["line 3", "end_s", "empty"]),
        (["a,0,1", "a,,3"], HEADER, ["line 3", "start_s", "empty"]),
        (["a,0,1", ",2,3"], HEADER, ["line 3", "client"]),
        (["a,0,1", "a,nan,3"], HEADER, ["line 3", "start_s"]),
        (["a,0,1", "a,2,inf"], HEADER, ["line 3", "end_s"]),
        (["a,0,1", "a,3,2"], HEADER, ["line 3", "before start_s"]),
        (["a,0,1", "a,two,3"], HEADER, ["line 3", "'two'"]),
        (["a,0,1", HEADER, "b,2,3"], HEADER, ["line 3", "'start_s'"]),
        (["a,0,1", "0 1 2719 0 1796022790 70167"], HEADER, ["line 3", "fields"]),
        (["a,5,6", "a,1,2", "a,3,4"], HEADER, ["line 3", "earlier"]),
        (["a,0,1", "-1,2,3"], HEADER, ["line 3", "names no client"]),
        (["a,0,1"], HEADER, ["one request"]),
        ([], HEADER, ["no request"]),
        (["a,0", "a,1"], "client,start_s", ["end_s", "missing"]),
        (["0,1,1", "2,3,1"], "start_s,end_s,start_s", []),
        (["a,1767225600000,1767225600001", "a,1767225600002,1767225600003"], HEADER, ["_ms"]),
        (["a,0,1,2", "a,2,3,4"], "client,start_s,end_s,end_s", ["2 times"]),
    ],
)
def test_bad_rows_are_refused_in_one_line(tmp_path, rows, header, words):
    text = refusal(written(tmp_path, *rows, header=header))
    assert "log.csv" in text
    assert [word for word in words if word not in text] == []


@pytest.mark.parametrize("cut", range(1, 8))
def test_a_last_line_that_ends_within_a_number_is_refused(tmp_path, cut):
    path = written(tmp_path, *(f"a,{number}.250000,{number}.750000" for number in range(20)))
    path.write_text(path.read_text()[: -1 - cut])
    text = refusal(path)
    assert "line 21" in text
    assert "cut off" in text


def test_a_last_line_without_an_end_is_a_line(tmp_path):
    path = written(tmp_path, *(f"a,{number}.25,{number}.75" for number in range(20)))
    path.write_text(path.read_text().rstrip())
    assert len(read_requests(path)) == 20
    path.write_text(path.read_text()[:-3])  # and a whole number may be one among decimals
    assert "before start_s" in refusal(path) or "cut off" in refusal(path)


def test_what_is_no_log_is_refused(tmp_path):
    assert "does not exist" in refusal(tmp_path / "none.csv")
    assert "is a directory" in refusal(tmp_path)
    (tmp_path / "empty.csv").write_text("")
    assert "is empty" in refusal(tmp_path / "empty.csv")
    (tmp_path / "cut.csv.gz").write_bytes(gzip.compress(b"client,start_s,end_s\na,0,1\n" * 99)[:-9])
    assert "damaged" in refusal(tmp_path / "cut.csv.gz")
    (tmp_path / "cut.parquet").write_bytes(b"PAR1 and no more")
    assert "no Parquet file" in refusal(tmp_path / "cut.parquet")
    (tmp_path / "what.csv").write_text("hello\nworld\n")
    assert "known format" in refusal(tmp_path / "what.csv")


def test_a_message_log_is_named(tmp_path):
    path = written(tmp_path, "0,0,1,a", header="intended_s,sent_s,delivered_s,agent")
    assert "of messages" in refusal(path)
    pq.write_table(
        pa.table({"intended_s": [0.0], "sent_s": [0.0], "delivered_s": [1.0], "agent": ["a"]}),
        tmp_path / "messages.parquet",
    )
    assert "of messages" in refusal(tmp_path / "messages.parquet")


def test_formats_hints_and_files_that_do_not_fit(tmp_path):
    path = written(tmp_path, "a,0,1", "a,2,3")
    assert "did you mean 'pgbench'" in refusal(path, format="pgbnch")
    assert "--log-format" in refusal(path, hints=Hints(log_format="nginx"))
    assert "is there twice" in refusal([path, path])
    other = written(tmp_path, "b,0,1", "b,2,3", name="other.csv")
    assert "one file a run" in refusal([path, other])
    assert "names no file" in refusal([])
