"""Histograms in both text formats, as clients write them and as nobody should."""

from __future__ import annotations

import random

import numpy as np
import pytest

from lhsim.errors import InputError
from lhsim.readers.prometheus import histogram, read_durations

pytest.importorskip("prometheus_client")

LABELS_END_IN_LE = """\
# HELP http_request_duration_seconds Time of a request.
# TYPE http_request_duration_seconds histogram
http_request_duration_seconds_bucket{handler="orders",role="writer",le="0.005"} 10
http_request_duration_seconds_bucket{handler="orders",role="writer",le="0.01"} 60
http_request_duration_seconds_bucket{handler="orders",role="writer",le="0.05"} 95
http_request_duration_seconds_bucket{handler="orders",role="writer",le="+Inf"} 100
http_request_duration_seconds_sum{handler="orders",role="writer"} 1.3
http_request_duration_seconds_count{handler="orders",role="writer"} 100
"""
BRACES = """\
h_bucket{path="/users/{id}",le="0.1"} 50
h_bucket{path="/users/{id}",le="0.5"} 90
h_bucket{path="/users/{id}",le="1"} 100
h_bucket{path="/users/{id}",le="+Inf"} 100
h_bucket{path="/health",le="0.1"} 1000
h_bucket{path="/health",le="0.5"} 1000
h_bucket{path="/health",le="1"} 1000
h_bucket{path="/health",le="+Inf"} 1000
"""


def both_formats():
    """What a client says of the same durations in two units, in either format."""
    from prometheus_client import CollectorRegistry, Histogram, exposition
    from prometheus_client.openmetrics import exposition as openmetrics

    registry = CollectorRegistry()
    seconds = Histogram(
        "took_seconds", "T", ["role"], registry=registry, buckets=[0.01, 0.02, 0.05]
    )
    milliseconds = Histogram(
        "took", "T", unit="milliseconds", registry=registry, buckets=[10, 20, 50]
    )
    Histogram("size_bytes", "Size.", registry=registry).observe(1)
    for value in np.random.Generator(np.random.Philox(1)).exponential(0.01, 500):
        seconds.labels('q"\\{le="1"}\n').observe(value)
        milliseconds.observe(1e3 * value)
    return [one.generate_latest(registry).decode() for one in (exposition, openmetrics)]


def test_a_label_that_ends_in_le_is_no_bound():
    found = read_durations(LABELS_END_IN_LE.splitlines(), "http_request_duration_seconds")
    assert found.requests == 100
    assert found.distribution.mean == pytest.approx(0.017)
    assert found.notes == ("5 % took longer than 50 ms, the last bound: they count as that",)


def test_braces_in_a_label_hide_no_series():
    found = read_durations(BRACES.splitlines(), "h")
    assert found.requests == 1100
    assert found.distribution.mean == pytest.approx(0.0655, rel=1e-3)
    assert found.notes == ()


@pytest.mark.parametrize("text", both_formats(), ids=["text", "OpenMetrics"])
def test_both_formats_and_units_say_the_same(text):
    found = histogram(text, "took_seconds")
    assert found == histogram(text, "took_milliseconds") == histogram(text, "took_seconds_bucket")
    assert found.bounds == (0.01, 0.02, 0.05)
    assert found.total == 500
    with pytest.raises(InputError, match="counts bytes, no durations"):
        histogram(text, "size_bytes")
    with pytest.raises(InputError, match=r"did you mean 'took_seconds'"):
        histogram(text, "tok_seconds")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "unknown histogram 'h'"),
        ("<html>", "is not in Prometheus' text format"),
        (BRACES + BRACES, 'the bound 0.1 of {path="/users/{id}"} stands there twice'),
        (BRACES.replace('"1"', '"2"', 1), "its series have different bounds"),
        (BRACES.replace('"1"', '"one"'), "the bound 'one' is no number"),
        (BRACES.replace('"1"', '"NaN"'), "the bound 'NaN' is no number"),
        (BRACES.replace(" 90", " 40"), "its counts decrease"),
        (BRACES.replace(" 50", " -1"), "its counts decrease, or are no counts"),
        (BRACES.replace(" 100\n", " NaN\n"), "its counts decrease, or are no counts"),
        (BRACES.replace(" 1000", " 1e308"), "its counts decrease, or are no counts"),
        ('h_bucket{le="1"} 2\n', "has no bounds of durations"),
        ('h_bucket{le="+Inf"} 2\n', "has no bounds of durations"),
        ('h_bucket{le="-1"} 1\nh_bucket{le="+Inf"} 2\n', "has no bounds of durations"),
        ('h_bucket{le="1"} 0\nh_bucket{le="+Inf"} 0\n', "has counted nothing"),
        ('h_bucket{le="1"} 1\nh_bucket{le="+Inf"} 9\n', "88.9 % of its durations are longer"),
    ],
    ids=str,
)
def test_a_histogram_that_tells_nothing_is_refused_in_a_line(text, said):
    with pytest.raises(InputError) as caught:
        histogram(text, "h", "metrics.txt")
    assert str(caught.value).startswith("metrics.txt: h: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_the_parser_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setattr("lhsim.readers.prometheus.find_spec", lambda _name: None)
    with pytest.raises(InputError, match=r"prometheus_client is not installed; .*lhsim\[live\]"):
        histogram(BRACES, "h")


@pytest.mark.parametrize("text", both_formats(), ids=["text", "OpenMetrics"])
def test_garbage_is_refused_and_nothing_else_is_raised(text):
    generator = random.Random(1)
    refused = 0
    for _ in range(300):
        spoiled = list(text)
        for place in generator.sample(range(len(spoiled)), 4):
            spoiled[place] = generator.choice('{}"\n\\ #9e\0é')
        try:
            histogram("".join(spoiled), "took_seconds")
        except InputError:
            refused += 1
    assert refused > 200
