from __future__ import annotations

import math

import pytest

from lhsim.report.levels import latency_table, prediction_table, scaling_table
from lhsim.report.text import Column, between, latency, percent, quantity, table, three_digits


def row(agents, **changed):
    return {
        "system": "polling",
        "architecture": "polling",
        "agents": agents,
        "servers": 1,
        "min_latency_ms": 2.0,
        "mean_latency_ms": 512.3,
        "p50_latency_ms": 511.9,
        "p95_latency_ms": 951.2,
        "p99_latency_ms": 999.9,
        "max_latency_ms": 1204.0,
        "messages_per_second": agents / 10,
        "delivery_success_rate": 1.0,
        "backlog_growth_per_s": 0.0,
        "utilization": 0.08,
        "bottleneck": "cpu",
        "overloaded": False,
        "extrapolated": False,
        "lower_bounds": [],
        "flags": {},
    } | changed


BEYOND = {
    "p50_latency_ms": 3399.0,
    "p95_latency_ms": 6460.0,
    "p99_latency_ms": 6735.0,
    "max_latency_ms": None,
    "delivery_success_rate": 0.0,
    "messages_per_second": 13_000.4,
    "backlog_growth_per_s": 98_904.4,
    "utilization": 1.0,
    "overloaded": True,
    "extrapolated": True,
    "lower_bounds": ["p50_latency_ms", "p95_latency_ms", "p99_latency_ms"],
}

SCALED_OUT = {"system": "polling, scaled out"}
PENDING = {
    "p95_latency_ms": 6460.0,
    "p99_latency_ms": 6735.0,
    "delivery_success_rate": 0.43,
    "utilization": 0.999,
    "lower_bounds": ["p95_latency_ms", "p99_latency_ms"],
}

SCALING = """\
polling
    agents     p50      p95      p99   msg/s    busiest  arrived    backlog
        10  512 ms   951 ms   1.00 s    1.00    cpu 8 %
     2,000  512 ms  >6.46 s  >6.74 s     200  cpu >99 %     43 %
1,000,000*       -        -        -  13,000  cpu 100 %           +98,904/s

polling, scaled out
    agents  servers     p50     p95     p99    msg/s  busiest
     4,000        2  512 ms  951 ms  1.00 s      400  cpu 8 %
1,000,000*      500  512 ms  951 ms  1.00 s  100,000  cpu 8 %

mine (push)
agents     p50     p95     p99  msg/s   busiest
    10  512 ms  951 ms  1.00 s   1.00  cpu 99 %

* extrapolated: beyond what the model was calibrated on
> a lower bound: messages were still on their way at the end of a run
backlog: overloaded; messages pile up at this rate, and no latency settles"""

LATENCY = """\
system       min    mean     p50     p95     p99     max
polling  2.00 ms  512 ms  512 ms  951 ms  1.00 s  1.20 s
push      350 us  512 ms  512 ms  951 ms  1.00 s  1.20 s"""


def test_the_scaling_table_at_80_columns():
    rows = [
        row(10),
        row(2000, **PENDING),
        row(1_000_000, **BEYOND),
        row(4000, **SCALED_OUT, servers=2),
        row(1_000_000, **SCALED_OUT, servers=500, extrapolated=True),
        row(10, system="mine", architecture="push", utilization=0.99),
    ]
    text = scaling_table(rows)
    assert text == SCALING
    assert max(map(len, text.splitlines())) <= 80


def test_the_widest_levels_have_80_columns():
    bounds = list(BEYOND["lower_bounds"])
    thin = {name: ["thin tail"] for name in bounds}
    pending = PENDING | {"p50_latency_ms": 61_234.0, "lower_bounds": bounds, "flags": thin}
    rows = [row(10_000, **pending, extrapolated=True), row(1_000_000, **BEYOND)]
    rows[1]["backlog_growth_per_s"] = 100_077.0
    text = scaling_table(rows)
    assert ">61.2 s?" in text
    assert max(map(len, text.splitlines())) <= 80


def test_an_overloaded_level_has_no_latencies_to_be_bounds():
    text = scaling_table([row(10), row(100_000, **BEYOND)])
    assert "lower bound" not in text
    assert "backlog: overloaded" in text


def test_the_latency_table():
    rows = [row(2), row(2, system="push", architecture="push", min_latency_ms=0.3499)]
    assert latency_table(rows) == LATENCY


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0.3499, "350 us"),
        (0.9996, "1.00 ms"),
        (1.0, "1.00 ms"),
        (512.3, "512 ms"),
        (999.4, "999 ms"),
        (999.6, "1.00 s"),
        (61_234.0, "61.2 s"),
        (5_000_000.0, "5,000 s"),
        (0.0, "0 s"),
        (None, "-"),
        (math.nan, "-"),
    ],
)
def test_latencies_have_three_digits(milliseconds, text):
    assert latency(milliseconds) == text


def test_a_lower_bound_says_so():
    assert latency(3399.0, at_least=True) == ">3.40 s"
    assert latency(None, at_least=True) == "-"


@pytest.mark.parametrize(
    ("number", "text"),
    [(0.998, "0.998"), (99.64, "99.6"), (999.7, "1,000"), (12345.6, "12,346"), (812.0, "812")],
)
def test_three_digits(number, text):
    assert three_digits(number) == text


def test_only_all_of_it_is_100_percent():
    assert [percent(share) for share in (1.0, 0.9951, 0.994, 0.0)] == [
        *("100 %", ">99 %", "99 %", "0 %")
    ]


def test_an_empty_column_is_left_out():
    columns = [Column("a"), Column("b", left=True)]
    assert table(columns, [["1", ""], ["22", ""]]) == " a\n 1\n22"
    assert table(columns, [["1", "x"], ["22", ""]]) == " a  b\n 1  x\n22"


DOUBTS = """\
push
agents  runs     p50     p95      p99  msg/s  busiest
    10     5  512 ms  951 ms   1.00 s   1.00  cpu 8 %
   100   50!  512 ms  951 ms  1.00 s?   10.0  cpu 8 %
 1,000?  2!  512 ms  951 ms   1.00 s    100  cpu 8 %

! not as precise as was asked for
? few replications: fewer than 3 runs say too little about their spread
? thin tail: the sample holds too few independent values beyond the quantile"""


def test_what_cannot_be_trusted_is_marked_and_explained():
    push = {"system": "push", "architecture": "push"}
    few = {name: ["few replications"] for name in ("mean_latency_ms", "p99_latency_ms")}
    thin, missed = {"p99_latency_ms": ["thin tail"]}, {"precision": "max replications"}
    rows = [
        row(10, **push, replications=5, precision="reached"),
        row(100, **push, replications=50, flags=thin, **missed),
        row(1000, **push, replications=2, flags=few, **missed),
    ]
    text = scaling_table(rows)
    assert [line.split() for line in text.splitlines()] == [
        line.split() for line in DOUBTS.splitlines()
    ]


def test_marks_of_their_own_need_no_other():
    flags = {"p99_latency_ms": ["lower bound"]}
    text = scaling_table([row(10, lower_bounds=["p99_latency_ms"], flags=flags)])
    assert ">1.00 s" in text
    assert "?" not in text


def test_a_server_that_answers_requests_has_clients_and_requests():
    web = row(50, system="web", architecture="requests")
    title, header, *_ = scaling_table([web]).splitlines()
    assert title == "web (requests)"
    assert header.split() == ["clients", "p50", "p95", "p99", "req/s", "busiest"]
    assert "agents are clients, latency is the response time" in scaling_table([web])
    both = scaling_table([row(10), web])
    assert [line.split()[0] for line in both.splitlines() if "p50" in line] == ["agents", "clients"]


def test_a_prediction_has_its_units_once():
    ends = {"p50_latency_ms": [117, 174], "p95_latency_ms": [609, 1110], "utilization": [0.15, 0.2]}
    *_, line = prediction_table([row(50, prediction90=ends)])[-1].splitlines()
    assert line.split() == ["50", *("117-174", "ms", "609", "ms-1.11", "s", "-", "-", "15-20", "%")]


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [("0 s", "119 ms", "0-119 ms"), ("0 s", "0 s", "0-0 s"), ("0 B", "2 kB", "0-2 kB")],
)
def test_nothing_needs_no_unit_in_an_interval(low, high, text):
    assert between(low, high) == text


def test_no_size_is_no_fraction_of_a_byte():
    assert quantity(0, "B") == "0 B"
