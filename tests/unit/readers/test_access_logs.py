"""Access logs by the formats of their servers: the request's own time, or a refusal."""

from __future__ import annotations

import time

import pytest

from lhsim.errors import InputError
from lhsim.readers.access_logs import read_durations
from lhsim.readers.log_formats import PRESETS, log_format

PATH = "/event/wait"
HEAD = (
    '10.0.0.1 - - [21/Jan/2026:08:59:00 +0100] "GET /event/wait?agent=7 HTTP/1.1" 200 99 "-" '
    '"Mozilla/5.0 (X; \\"y\\")"'
)
APACHE = '%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i"'
MILLISECONDS = [20 + number % 11 for number in range(60)]


def log(line):
    """Return a line for each duration; MS and SECONDS in it stand for the time."""
    return [
        line.replace("SECONDS", f"{ms / 1e3:.3f}").replace("MS", str(ms)) for ms in MILLISECONDS
    ]


def found(lines, given="nginx", path=PATH):
    return read_durations(lines, path, log_format(given), "access.log")


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ("nginx", HEAD + " SECONDS"),
        ("nginx-upstream", HEAD + " SECONDS 0.015, 0.011"),
        ("nginx-upstream", HEAD + " SECONDS -"),
        ("nginx-upstream", HEAD + " SECONDS 0.001 : 0.002, -"),
        (PRESETS["nginx"] + " $realip_remote_addr", HEAD + " SECONDS 192.168.7.25"),
        (PRESETS["nginx"] + " $ssl_protocol", HEAD + " SECONDS TLSv1.3"),
        (
            "log_format timed '$remote_addr - $remote_user [$time_local] \"$request\" $status '\n"
            "  '$body_bytes_sent \"$http_referer\" \"$http_user_agent\" '\n"
            "  'rt=$request_time urt=\"$upstream_response_time\"';",
            HEAD + ' rt=SECONDS urt="0.015, 0.011"',
        ),
        (
            '{"request":"$request","status":$status,"time":$request_time,"agent":"$http_agent"}',
            '{"request":"GET /event/wait HTTP/1.1","status":200,"time":SECONDS,"agent":"a b"}',
        ),
        ("$upstream_response_time $uri$is_args$args $status ${request_time}s",
         "0.001, 0.002 /event/wait?a=1 200 SECONDSs"),
        ("apache-combined", HEAD + " MS000"),
        (f"{APACHE} %{{ms}}T", HEAD + " MS"),
        (f"{APACHE} %{{us}}T", HEAD + " MS000"),
        (f"{APACHE} %T/%D", HEAD + " 0/MS000"),
        ('LogFormat "%h \\"%r\\" %>s %D" timed', 'h "GET /event/wait HTTP/1.1" 200 MS000'),
        ("%m %U%q %>s %D", "GET /event/wait?a=1 200 MS000"),
        ("envoy", '[2026-01-21T08:59:00.123Z] "GET /event/wait?a HTTP/2" 200 - 0 11 MS 24 "-" '
                  '"curl/8 x" "id" "host" "10.0.0.1:80"'),
    ],
)  # fmt: skip
def test_the_time_of_the_request_is_read_in_its_unit(given, line):
    durations = found(log(line), given)
    assert durations.requests == 60
    assert durations.distribution.mean == pytest.approx(sum(MILLISECONDS) / 60e3, rel=1e-9)
    assert durations.notes == ()


@pytest.mark.parametrize(
    "rest",
    ["SECONDS 0.015, 0.011", "SECONDS -", "SECONDS 192.168.7.25", "SECONDS TLSv1.3", "MS000",
     '"2.MS"', "2.MS", "rt=SECONDS", "", "SECONDS SECONDS"],
)  # fmt: skip
def test_a_line_that_may_mean_another_time_is_refused_without_its_format(rest):
    with pytest.raises(InputError) as caught:
        found(log(f"{HEAD} {rest}"))
    text = str(caught.value)
    assert text.startswith("access.log: line 1: ")
    assert "--log-format" in text
    assert "\n" not in text


def test_requests_without_an_upstream_count():
    lines = log(HEAD + " SECONDS 0.015")
    lines[::5] = log(HEAD + " 0.526 -")[::5]
    durations = found(lines, "nginx-upstream")
    assert durations.requests == 60
    assert durations.distribution.quantile(0.9) == pytest.approx(0.526)


def test_a_request_in_another_format_is_refused_wherever_it_is():
    lines = log(HEAD + " SECONDS")
    lines[40] = HEAD + " -"
    with pytest.raises(InputError, match="line 41: "):
        found(lines)


def test_what_is_no_request_of_the_path_is_left_out_and_said():
    lines = log(HEAD + " SECONDS")
    lines[1:1] = [
        "# a comment", "", "something else", (HEAD + " 9.000").replace(" 200 ", " 500 "),
        (HEAD + " 9.000").replace("/event/wait", "/health"),
        (HEAD + " 9.000").replace("GET /event/wait?agent=7 HTTP/1.1", "\\x16\\x03"),
    ]  # fmt: skip
    durations = found(lines)
    assert durations.requests == 60
    said = "1 of 64 lines are in another format and left out, the first of them is line 4"
    assert durations.notes == (said,)


def test_a_last_line_that_breaks_off_is_left_out_and_said():
    durations = found([*log(HEAD + " SECONDS"), HEAD[:90]])
    assert durations.requests == 60
    assert "the first of them is line 61" in durations.notes[0]


def test_a_request_with_the_name_of_its_host_has_its_path():
    lines = log(HEAD.replace("/event/wait", "http://x.org/event/wait") + " SECONDS")
    assert found(lines).requests == 60


def test_a_coarse_clock_is_said_or_refused():
    assert found(log(HEAD + " 0.002")).notes == ("the clock of this log has steps of 1 ms",)
    assert "steps of 1 s" in found(log(HEAD + " 1"), f"{APACHE} %T").notes[0]
    with pytest.raises(InputError, match="all 60 durations are 0, in steps of 1 ms"):
        found(log(HEAD + " 0.000"))


def test_a_date_is_no_duration():
    with pytest.raises(InputError, match=r"line 1: 1769000000\.123 is no duration"):
        found(log(HEAD + " 1769000000.123"))


def test_too_few_requests_are_refused():
    with pytest.raises(InputError, match="has 0 requests of /none that were answered well"):
        found(log(HEAD + " SECONDS"), path="/none")
    with pytest.raises(InputError, match="has 0 requests"):
        found([])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("", "has no variables"),
        ("nginx-combined", "has no variables"),
        ('log_format "', "is no directive"),
        ("LogFormat", "has no variables"),
        ("$status $request_time", "does not say the request"),
        ("$request $request_time", "does not say the status"),
        ("$request $status $upstream_response_time", "does not say the duration"),
        ("$http_a$request $status $request_time", "nothing stands between http_a and request"),
    ],
)
def test_a_format_that_says_too_little_is_refused(given, said):
    with pytest.raises(InputError, match=said) as caught:
        log_format(given)
    assert str(caught.value).startswith("--log-format: ")


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("unit", ["a ", '"', "\\", '\\"', "[", "- "])
def test_no_line_takes_long_to_refuse(preset, unit):
    form = log_format(preset)
    begun = time.process_time()
    assert form.pattern.fullmatch("[x] " + unit * 100_000) is None
    assert time.process_time() - begun < 2.0  # it is linear: 0.02 s on a slow core
