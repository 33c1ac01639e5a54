"""Each reader against a log of its tool (tests/data/logs), with values worked out by hand."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from lhsim.errors import InputError
from lhsim.readers import prometheus
from lhsim.readers.formats.hints import NAMES
from lhsim.readers.formats.table import BY_NAME, FORMATS, KNOWN, NO_LOGS, recognised
from lhsim.readers.percentiles import read_percentiles
from lhsim.readers.prometheus_native import read_native
from lhsim.readers.requests import Hints, read_requests, write_requests
from lhsim.readers.text import read_lines

LOGS = Path(__file__).parents[2] / "data" / "logs"
CLOSED = [LOGS / "pgbench_closed.11494", LOGS / "pgbench_closed.11494.1"]
MSEC = '$msec "$request" $status $request_time'
ACCESS = {
    "nginx.log": Hints(log_format="nginx"),
    "nginx_msec.log": Hints(log_format=MSEC),
    "apache.log": Hints(log_format="apache-combined"),
    "envoy.log": Hints(log_format="envoy"),
}


def read(name, **more):
    return read_requests(LOGS / name, **more)


def access(name):
    return read(name, format="access-log", hints=ACCESS[name])


def clients(log):
    return [log.client_names[code] for code in log.client]


def refusal(paths, **more):
    with pytest.raises(InputError) as error:
        read_requests(paths, **more)
    text = str(error.value)
    assert "\n" not in text
    return text


def changed(tmp_path, name, change, other="log"):
    path = tmp_path / other
    path.write_text(change((LOGS / name).read_text()))
    return path


# --- the table -----------------------------------------------------------------------------------

OF_FILES = {
    "pgbench_closed.11494": "pgbench",
    "pgbench_closed.11494.1": "pgbench",
    "pgbench_rate.11566": "pgbench",
    "pgbench_limit.11577": "pgbench",
    "pgbench_retries.11590": "pgbench",
    "hey.csv": "hey",
    "hey_summary.txt": "hey-summary",
    "wrk.txt": "wrk",
    "locust_requests.csv": "requests",
    "locust_stats.csv": "locust-stats",
    "locust_stats_history.csv": "locust-history",
    "locust_failures.csv": "locust-failures",
    "locust_exceptions.csv": "locust-exceptions",
    "latencies.hgrm": "percentiles",
    "k6.csv": "k6-csv",
    "k6_seconds.csv": "k6-csv",
    "k6.json": "k6-json",
    "jmeter.jtl": "jmeter-csv",
    "jmeter.xml": "jmeter-xml",
    "vegeta.csv": "vegeta-csv",
    "vegeta.json": "vegeta-json",
    "otlp.json": "otlp",
    "metrics_before.txt": "prometheus",
    "metrics_after.txt": "prometheus",
    "native_histogram.json": "prometheus-native",
}


@pytest.mark.parametrize("name", OF_FILES)
def test_a_file_is_recognised_and_looks_like_nothing_else(name):
    assert recognised(LOGS / name).name == OF_FILES[name]


def test_every_sample_is_looked_at():
    special = {"README.md", "pgbench_aggregate.11583", *ACCESS}
    assert {path.name for path in LOGS.iterdir()} == special | set(OF_FILES)


def test_every_format_says_what_it_stamps_and_what_it_cannot_tell():
    assert tuple(BY_NAME) == NAMES
    assert len(NAMES) == len(FORMATS)
    for one in FORMATS:
        assert one.stamps in {"start", "end", "both"}
        assert one.unit
        assert one.source
        assert any("processor" in text for text in one.unknown)
    assert len({one.name for one in KNOWN}) == len(KNOWN)


@pytest.mark.parametrize("name", [one for one, kind in OF_FILES.items() if kind in NAMES])
def test_a_packed_file_is_the_same_log(tmp_path, name):
    path = tmp_path / f"{name}.gz"
    path.write_bytes(gzip.compress((LOGS / name).read_bytes()))
    packed, plain = read_requests(path), read(name)
    assert np.array_equal(packed.start, plain.start)
    assert np.array_equal(packed.end, plain.end)
    assert clients(packed) == clients(plain) if plain.has_clients else True


@pytest.mark.parametrize("name", [one for one, kind in OF_FILES.items() if kind in NAMES])
def test_a_log_that_is_written_natively_is_the_same(tmp_path, name):
    log = read(name)
    again = read_requests(write_requests(log, tmp_path / "log.parquet"))
    assert again.start == pytest.approx(log.start, abs=1e-9)
    assert again.end == pytest.approx(log.end, abs=1e-9)
    assert again.clients == log.clients


@pytest.mark.parametrize("name", [one.name for one in NO_LOGS])
def test_what_is_no_request_log_says_what_to_take(name):
    files = [file for file, kind in OF_FILES.items() if kind == name]
    for file in files:
        text = refusal(LOGS / file)
        assert "no request has a time of its own" in text
        assert "; allowed: " in text


# --- pgbench -------------------------------------------------------------------------------------


def test_pgbench_stamps_ends_in_microseconds():
    log = read("pgbench_closed.11494")
    # 1 1 107227 0 1796022780 1826; 0 1 107726 0 1796022780 2323; 0 2 106975 0 1796022780 109300
    assert clients(log)[:2] == ["0", "1"] or clients(log)[:2] == ["1", "0"]
    first = log.start[log.client == log.client_names.index("0")][0]
    assert log.origin + first == pytest.approx(1796022780.002323 - 0.107726, abs=1e-6)
    of_zero = log.client == log.client_names.index("0")
    assert log.response[of_zero][:2] == pytest.approx([0.107726, 0.106975], abs=1e-9)
    assert log.end[of_zero][1] - log.end[of_zero][0] == pytest.approx(0.106977, abs=1e-9)
    assert (len(log), log.clients, log.clock_resolution) == (116, 2, 1e-6)
    assert log.scheduled is None
    assert log.facts["skipped"] == 0


def test_pgbench_files_of_threads_are_one_log():
    log = read_requests(CLOSED)
    assert len(log) == 233
    assert sorted(log.client_names) == ["0", "1", "2", "3"]
    assert log.most_in_flight.tolist() == [1, 1, 1, 1]
    assert np.all(np.diff(log.start) >= 0)


def test_pgbench_a_sleep_of_the_script_is_thinking_where_the_user_says_so():
    plain = read_requests(CLOSED)
    first = read_requests(CLOSED, hints=Hints(sleep_first=0.1))
    last = read_requests(CLOSED, hints=Hints(sleep_last=0.1))
    assert first.response == pytest.approx(plain.response - 0.1, abs=1e-9)
    assert last.response == pytest.approx(plain.response - 0.1, abs=1e-9)
    assert np.allclose(last.start, plain.start)
    assert np.allclose(first.end, plain.end - 0.1)  # the first start is 0.1 s later
    assert "less than a sleep" in refusal(CLOSED, hints=Hints(sleep_first=0.2))


def test_pgbench_rate_counts_from_the_schedule():
    log = read("pgbench_rate.11566")
    # 0 1 2677 0 1796022786 56730 78: scheduled 2677 us before its end, started 78 us later.
    assert log.response[0] == pytest.approx(2599e-6, abs=1e-9)
    assert log.start[0] - log.scheduled[0] == pytest.approx(78e-6, abs=1e-9)
    assert log.most_in_flight.tolist() == [1, 1, 1, 1]
    assert len(log) == 237
    assert log.facts["untimed"] == 23  # lines whose time is their lag
    assert np.all(log.scheduled <= log.start)


def test_pgbench_skipped_transactions_are_counted():
    log = read("pgbench_limit.11577")
    lines = (LOGS / "pgbench_limit.11577").read_text().splitlines()
    skipped = sum(" skipped " in line for line in lines)
    assert skipped > 0
    assert log.facts["skipped"] == skipped
    assert len(log) == len(lines) - skipped
    assert any("skipped" in note for note in log.facts["notes"])


def test_pgbench_a_seventh_column_is_the_lag_or_the_retries(tmp_path):
    assert read("pgbench_retries.11590").scheduled is None
    assert read("pgbench_rate.11566").scheduled is not None
    rows = [f"0 {number} 2000 0 1796022786 {5000 * number} 300" for number in range(1, 60)]
    path = tmp_path / "log"
    path.write_text("\n".join(rows) + "\n")
    assert "pgbench-rate, or pgbench-retries" in refusal(path)
    assert read_requests(path, format="pgbench-rate").response[0] == pytest.approx(1.7e-3)
    assert read_requests(path, format="pgbench-retries").response[0] == pytest.approx(2e-3)


def test_pgbench_failed_transactions_and_samples_are_said(tmp_path):
    path = tmp_path / "log"
    path.write_text("0 1 500 0 1796022786 1000\n0 2 failed 0 1796022786 3000\n"
                    "0 3 500 0 1796022786 5000\n0 9 500 0 1796022786 7000\n")  # fmt: skip
    log = read_requests(path)
    assert len(log) == 3
    assert (log.facts["failed"], log.facts["sampled"]) == (1, True)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text[:-3], ["cut off"]),
        (lambda text: text[: text.rindex(" ")] + "\n", ["line 116", "5 fields"]),
        (lambda text: text.replace(" 107726 ", " 107.726 "), ["line 2", "time"]),
        (lambda text: text.replace(" 107726 ", " -107726 "), ["line 2", "time"]),
        (lambda text: text.replace(" 107726 ", " NaN "), ["line 2", "time"]),
        (lambda text: text + text, ["jumps back"]),
        (lambda text: text + "client,start_s,end_s\n1,2,3\n", ["line 117"]),
        (lambda text: text.replace("1796022780 2323", "1796022780 2323000"), ["time_us"]),
        (lambda text: text.replace("0 2 106975 0 1796022780", "0 2 106975 0 1796022779"),
         ["line 3", "jumps back"]),
    ],
)  # fmt: skip
def test_pgbench_bad_lines(tmp_path, change, words):
    path = changed(tmp_path, "pgbench_closed.11494", change)
    text = refusal(path, format="pgbench")
    assert [word for word in words if word not in text] == []


def test_pgbench_files_of_two_runs_and_aggregated_logs(tmp_path):
    copy = changed(tmp_path, "pgbench_closed.11494", str)
    assert "transaction number twice" in refusal([CLOSED[0], copy])
    assert "aggregated log" in refusal(LOGS / "pgbench_aggregate.11583")
    assert "another format" in refusal([CLOSED[0], LOGS / "k6.csv"])


# --- k6 ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "requests"), [("k6.csv", 3), ("k6.json", 2)])
def test_k6_stamps_ends_and_counts_milliseconds(name, requests):
    log = read(name)
    assert len(log) == requests
    assert clients(log)[:2] == ["1", "2"]
    assert log.origin == pytest.approx(1767225600.25 - 0.1505, abs=1e-6)
    assert log.response[:2] == pytest.approx([0.1505, 0.02025])
    assert log.end[:2] == pytest.approx([0.1505, 0.2005])
    assert log.status.texts[:2] == ["200", "503"]
    assert log.failed.tolist()[:2] == [False, True]
    assert log.operation.texts[:2] == ["http://127.0.0.1/a", "http://127.0.0.1/b"]
    assert log.facts["stamps"] == "end"


def test_k6_clocks_of_seconds_and_their_units(tmp_path):
    log = read("k6_seconds.csv")
    assert (log.clock_resolution, log.clients) == (1.0, None)
    assert any("unix_micro" in note for note in log.facts["notes"])
    assert read("k6.csv").clock_resolution == 1e-6
    seconds = ("1595325560", "1595325562")
    for digits in ("000", "000000000"):
        text = (LOGS / "k6_seconds.csv").read_text()
        for one in seconds:
            text = text.replace(one, one + digits)
        path = tmp_path / f"{digits}.csv"
        path.write_text(text)
        assert read_requests(path).end == pytest.approx([0.221899, 2.221899])
    path = changed(
        tmp_path,
        "k6_seconds.csv",
        lambda text: text.replace("1595325560", "2020-07-21T09:59:20Z").replace(
            "1595325562", "2020-07-21T09:59:22Z"
        ),
    )
    assert read_requests(path).end == pytest.approx([0.221899, 2.221899])


@pytest.mark.parametrize(
    ("name", "change", "word"),
    [
        ("k6.csv", lambda text: text.replace("150.500000", "-1"), "line 3"),
        ("k6.csv", lambda text: text.replace("1767225600300000", "soon"), "line 5"),
        ("k6.csv", lambda text: text.replace("1767225600300000", "17672256003x0"), "line 5"),
        ("k6.csv", lambda text: text.replace("150.500000", "many"), "'many'"),
        ("k6.csv", lambda text: text.replace("http_req_duration", "http_req_waiting"), "has no"),
        ("k6.csv", lambda text: text.replace("vu=2&", ""), "names no client"),
        ("k6.csv", lambda text: text[:-9], "cut off"),
        ("k6.json", lambda text: text.replace("150.5", '"150.5"'), "line 2"),
        ("k6.json", lambda text: text.replace("150.5", "1e999"), "line 2"),
        ("k6.json", lambda text: text.replace("2026-01-01T01", "2026-13-01T01"), "line 2"),
        ("k6.json", lambda text: text + "[1, 2]\n", "line 5"),
        ("k6.json", lambda text: text + '{"a": 1}\n', "line 5"),
        ("k6.json", lambda text: text[:-9], "cut off"),
    ],
)
def test_k6_bad_files(tmp_path, name, change, word):
    assert word in refusal(changed(tmp_path, name, change))


# --- JMeter --------------------------------------------------------------------------------------


def test_jmeter_stamps_starts_and_leaves_out_transaction_controllers():
    log = read("jmeter.jtl")
    assert log.start == pytest.approx([0.0, 0.01, 1.12])
    assert log.end == pytest.approx([0.12, 0.04, 1.2])
    assert clients(log) == ["Thread Group 1-1", "Thread Group 1-2", "Thread Group 1-1"]
    assert log.status.texts == ["200", "failed", "503"]
    assert log.failed.tolist() == [False, True, True]
    assert log.operation.texts == ["Home", "Home", "Cart"]
    assert log.origin == 1767225600
    assert log.clock_resolution == 1e-3


def test_jmeter_may_stamp_ends():
    log = read("jmeter.jtl", hints=Hints(stamps="end"))
    assert log.start == pytest.approx([0.0, 0.1, 1.16])
    assert log.origin == pytest.approx(1767225600 - 0.12)
    assert log.end == pytest.approx([0.12, 0.13, 1.24])


def test_jmeter_samples_within_a_sample_of_xml_are_part_of_it():
    log = read("jmeter.xml")
    assert log.start == pytest.approx([0.0, 0.01])
    assert log.response == pytest.approx([0.12, 0.03])
    assert log.failed.tolist() == [False, True]


@pytest.mark.parametrize(
    ("name", "change", "word"),
    [
        ("jmeter.jtl", lambda text: text.replace("1767225600010", "2026/01/01 00:00:00"), "line 3"),
        ("jmeter.jtl", lambda text: text.replace("1767225600010", "1767225600010000"), "line 3"),
        ("jmeter.jtl", lambda text: text.replace(",30,", ",-30,"), "line 3"),
        ("jmeter.jtl", lambda text: text.replace("threadName", "thread"), "missing"),
        ("jmeter.jtl", lambda text: text[:-60] + "\n", "fields"),
        ("jmeter.jtl", lambda text: text[:-60], "cut off"),
        ("jmeter.xml", lambda text: text.replace('t="30"', 't="soon"'), "sample 2"),
        ("jmeter.xml", lambda text: text.replace(' tn="Thread Group 1-2"', ""), "sample 2"),
        ("jmeter.xml", lambda text: text[:-60], "no XML"),
        ("jmeter.xml", lambda text: text.replace("UTF-8", "UTF-w"), "no XML"),
        ("jmeter.xml", lambda text: text.replace(
            "<testResults", '<!DOCTYPE a [<!ENTITY b "c">]><testResults', 1), "document type"),
    ],
)  # fmt: skip
def test_jmeter_bad_files(tmp_path, name, change, word):
    assert word in refusal(changed(tmp_path, name, change))


# --- vegeta and hey ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["vegeta.csv", "vegeta.json"])
def test_vegeta_stamps_starts_in_nanoseconds(name):
    log = read(name)
    assert log.start[:2] == pytest.approx([0.0, 0.020000123], abs=1e-12)
    assert log.response[:2] == pytest.approx([1.5e-3, 2.5e-3], abs=1e-12)
    assert log.status.texts[:2] == ["200", "503"]
    assert log.clients is None
    assert log.facts["loop"] == "open"


def test_vegeta_a_request_without_an_answer_failed():
    log = read("vegeta.csv")
    assert log.failed.tolist() == [False, True, True]
    assert log.response[2] == 30.0


@pytest.mark.parametrize(
    ("name", "change", "word"),
    [
        ("vegeta.csv", lambda text: text.replace("2500000", "-5"), "line 2"),
        ("vegeta.csv", lambda text: text.replace("1767225600020000123", "1767225600"), "line 2"),
        ("vegeta.csv", lambda text: text[:-20], "cut off"),
        ("vegeta.json", lambda text: text.replace("2500000", '"2.5ms"'), "line 2"),
        ("vegeta.json", lambda text: text[:-20] + "\n", "line 2"),
        ("vegeta.json", lambda text: text + "0,1,2\n", "line 3"),
    ],
)
def test_vegeta_bad_files(tmp_path, name, change, word):
    assert word in refusal(changed(tmp_path, name, change))


def test_hey_counts_seconds_from_its_start():
    log = read("hey.csv")
    # 0.0087,...,200,0.0506 and 0.0102,...,200,0.0513 are the first rows
    assert len(log) == 200
    assert log.origin == pytest.approx(0.0506)
    assert log.response[0] == pytest.approx(0.0087)
    assert 0.0102 in np.round(log.response, 6)
    assert (log.clock_resolution, log.clients) == (1e-4, None)


# --- access logs ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "start", "end", "origin"),
    [
        ("nginx.log", [0.0, 0.75], [0.25, 1.25], 1767225600.75),
        ("nginx_msec.log", [0.0, 0.625], [0.25, 1.125], 1767225600.875),
        ("apache.log", [0.0, 1.0], [0.25, 1.5], 1767225601.0),
        ("envoy.log", [0.0, 0.875], [0.25, 1.375], 1767225601.125),
    ],
)
def test_nginx_stamps_ends_apache_and_envoy_starts(name, start, end, origin):
    log = access(name)
    assert log.start == pytest.approx(start)
    assert log.end == pytest.approx(end)
    assert log.origin == pytest.approx(origin)
    assert log.clients is None


def test_apache_ends_of_requests(tmp_path):
    path = tmp_path / "log"
    path.write_text('1767225601250000 "GET /a HTTP/1.1" 200 250000\n'
                    '1767225602000000 "GET /b HTTP/1.1" 200 -\n'
                    '1767225603000000 "GET /b HTTP/1.1" 200 500000\n')  # fmt: skip
    form = '%{end:usec}t "%r" %>s %D'
    log = read_requests(path, "access-log", Hints(log_format=form))
    assert log.origin == pytest.approx(1767225601.0)
    assert log.end == pytest.approx([0.25, 2.0])
    assert any("no duration" in note for note in log.facts["notes"])


def test_access_logs_need_their_format(tmp_path):
    path = LOGS / "nginx.log"
    assert "no known format" in refusal(path)
    assert "--log-format" in refusal(path, format="access-log")
    hints = Hints(log_format='"$request" $status $request_time')
    assert "when a request was" in refusal(path, format="access-log", hints=hints)
    assert "line 1" in refusal(path, format="access-log", hints=ACCESS["envoy.log"])
    for change, word in (
        (lambda text: text + "garbage\n", "line 3"),
        (lambda text: text.replace("01/Jan/2026:01", "31/Feb/2026:01"), "no time"),
        (lambda text: text[:-5], "cut off"),
    ):
        other = changed(tmp_path, "nginx.log", change)
        assert word in refusal(other, format="access-log", hints=ACCESS["nginx.log"])


def test_a_variable_of_an_access_log_names_clients_where_the_user_says_so(tmp_path):
    path = tmp_path / "log"
    path.write_text('10.0.0.7 "GET /a HTTP/1.1" 200 0.250 1767225601.000\n'
                    '10.0.0.9 "GET /b HTTP/1.1" 200 0.500 1767225602.000\n'
                    '10.0.0.7 "GET /b HTTP/1.1" 200 0.125 1767225603.000\n')  # fmt: skip
    form = '$remote_addr "$request" $status $request_time $msec'
    for said in ("$remote_addr", "${remote_addr}", "remote_addr"):
        log = read_requests(path, "access-log", Hints(log_format=form, client=said))
        assert [log.client_names[code] for code in log.client] == [
            "10.0.0.7",
            "10.0.0.9",
            "10.0.0.7",
        ]
        assert not any("clients" in one for one in log.facts["unknown"])
    without = read_requests(path, "access-log", Hints(log_format=form))
    assert without.clients is None
    assert any("clients" in one for one in without.facts["unknown"])
    for said in ("$cookie_user", "$status", "", "$request_time"):
        hints = Hints(log_format=form, client=said)
        assert "--client: " in refusal(path, format="access-log", hints=hints)
        assert "allowed: one of remote_addr" in refusal(path, format="access-log", hints=hints)


# --- OpenTelemetry -------------------------------------------------------------------------------


def test_spans_of_servers_are_requests():
    log = read("otlp.json")
    assert log.start == pytest.approx([0.0, 0.5])
    assert log.response == pytest.approx([1.5e-3, 2.5e-3])
    assert log.operation.texts == ["GET /a", "GET /b"]
    assert log.failed.tolist() == [False, True]
    assert log.facts["notes"] == ("2 of 3 spans are requests (server)",)


def test_spans_of_both_kinds_have_to_be_chosen_from(tmp_path):
    path = changed(tmp_path, "otlp.json", lambda text: text.replace('"kind":1', '"kind":3'))
    assert "--span-kind" in refusal(path)
    assert len(read_requests(path, hints=Hints(span_kind="server"))) == 2
    assert "one request" in refusal(path, hints=Hints(span_kind="client"))


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda text: text.replace('"1767225600001500000"', '"soon"'), "nanoseconds"),
        (lambda text: text.replace('"1767225600001500000"', '"1767225500001500000"'), "before"),
        (lambda text: text.replace('"kind":2', '"kind":1').replace("SPAN_KIND_SERVER", "x"),
         "no span"),
        (lambda text: text[:-40] + "\n", "line 2"),
        (lambda text: text.replace('"spans":[', '"spans":7,"other":['), "no list"),
    ],
)  # fmt: skip
def test_bad_spans(tmp_path, change, word):
    assert word in refusal(changed(tmp_path, "otlp.json", change))


# --- distributions -------------------------------------------------------------------------------


def test_percentiles_need_a_unit():
    lines = list(read_lines(LOGS / "latencies.hgrm"))
    found = read_percentiles(lines, "ms", "x")
    assert found.requests == 2000
    # What the histogram itself says: mean 5.021 ms, p50 3.841 ms, p99 18.751 ms.
    assert found.distribution.mean == pytest.approx(5.021e-3, rel=0.01)
    assert float(found.distribution.quantile(0.5)) == pytest.approx(3.841e-3, rel=0.01)
    assert float(found.distribution.quantile(0.99)) == pytest.approx(18.751e-3, rel=0.02)
    wrk2 = ["Running 30s test @ http://127.0.0.1/", "  Detailed Percentile spectrum:", *lines]
    assert read_percentiles(wrk2, None, "x").distribution.mean == found.distribution.mean
    for bad, word in ((lines, "unit"), (lines[:9], "whole table"), (["a"], "whole table"),
                      ([*lines[:5], "oops", *lines[5:]], "line 6")):  # fmt: skip
        with pytest.raises(InputError, match=word):
            read_percentiles(bad, None if bad is lines else "ms", "x")


def test_scrapes_are_subtracted():
    before, after = (list(read_lines(LOGS / f"metrics_{name}.txt")) for name in ("before", "after"))
    name = "http_request_duration_seconds"
    found = prometheus.read_difference(before, after, name)
    assert found.requests == 100  # 40 up to 10 ms, and 60 more up to 100 ms
    assert found.distribution.mean == pytest.approx(0.4 * 0.005 + 0.6 * 0.055)
    with pytest.raises(InputError, match="counted less"):
        prometheus.read_difference(after, before, name)
    other = [line.replace('le="0.01"', 'le="0.02"') for line in before]
    with pytest.raises(InputError, match="other bounds"):
        prometheus.read_difference(other, after, name)


def test_native_histograms():
    text = (LOGS / "native_histogram.json").read_bytes()
    found = read_native(text, None, "x")
    assert found.requests == 40  # 4 at 0, 16 from 10 to 20 ms, 20 from 20 to 40 ms
    assert found.distribution.mean == pytest.approx((16 * 0.015 + 20 * 0.03) / 40)
    for bad, word in ((b"{}", "no answer"), (text.replace(b"vector", b"matrix"), "matrix"),
                      (text.replace(b'"0.01"', b'"-0.01"', 1), "below 0"),
                      (text.replace(b'"16"', b'"NaN"'), "no number")):  # fmt: skip
        with pytest.raises(InputError, match=word):
            read_native(bad, None, "x")
