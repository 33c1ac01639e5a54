from __future__ import annotations

import pytest

from lhsim.errors import InputError
from lhsim.planning.objectives import parse_objectives


@pytest.mark.parametrize(
    ("text", "metric", "upper", "limit"),
    [
        ("p99<1500ms", "p99", True, 1.5),
        (" p99.9 <= 2 s ", "p99.9", True, 2.0),
        ("mean<50us", "mean", True, 50e-6),
        ("delivery>95%", "delivery", False, 0.95),
        ("memory<5GB", "memory", True, 5e9),
        ("cpu<70%", "cpu", True, 0.7),
        ("throughput>=10/min", "throughput", False, 1 / 6),
    ],
)
def test_what_is_read(text, metric, upper, limit):
    (one,) = parse_objectives([text])
    assert (one.metric, one.upper, one.limit) == (metric, upper, pytest.approx(limit))


@pytest.mark.parametrize(
    ("texts", "part"),
    [
        ([], "there is no objective"),
        (["p99"], "is no objective"),
        (["p98.5.1<1s"], "unknown metric 'p98.5.1'"),
        (["p0<1s"], "unknown metric 'p0'"),
        (["latency<1s"], "unknown metric 'latency'"),
        (["deliverry>95%"], "did you mean 'delivery'?"),
        (["p99<1"], "'1' is no limit of 'p99'; allowed: a number with one of ns"),
        (["p99<1GB"], "'1GB' is no limit"),
        (["p99<0s"], "no figure keeps it"),
        (["delivery>100%"], "no figure keeps it"),
        (["delivery<101%"], "no figure keeps it"),
        (["p99<1s", "p99>2s"], "p99>2s: a latency has an upper limit; allowed: p99<2s"),
        (["p50>1s", "p99<500ms"], "p50>1s: a latency has an upper limit; allowed: p50<1s"),
        (["mean >= 1 s"], "mean >= 1 s: a latency has an upper limit; allowed: mean <= 1 s"),
        (["utilization>50%"], "utilization has an upper limit; allowed: utilization<50%"),
        (["cpu>50%"], "cpu has an upper limit"),
        (["memory>=1GB"], "memory has an upper limit; allowed: memory<=1GB"),
        (["delivery<95%"], "delivery has a lower limit; allowed: delivery>95%"),
        (["throughput<=10/s"], "throughput has a lower limit; allowed: throughput>=10/s"),
        (["p99<1s", "p99 < 2s", "p99<1s"], "p99<1s: is there twice"),
        ([5], "5 is not a text"),
        (5, "5 is no list"),
    ],
)
def test_what_is_refused(texts, part):
    with pytest.raises(InputError) as caught:
        parse_objectives(texts)
    assert str(caught.value).startswith("--slo: ")
    assert part in str(caught.value)


@pytest.mark.parametrize(
    "texts",
    [
        ["p50<1s", "p99<500ms"],
        ["p99<1s", "p99<2s"],
        ["delivery>=100%"],
    ],
)
def test_what_can_be_kept_at_once(texts):
    assert len(parse_objectives(texts)) == len(texts)


def test_one_objective_needs_no_list():
    assert parse_objectives("p99<1s") == parse_objectives(["p99<1s"])


def test_margins_are_parts_of_the_limit():
    below, above = parse_objectives(["p99<2s", "delivery>80%"])
    assert below.margin(1.5) == pytest.approx(0.25)
    assert below.margin(3.0) == pytest.approx(-0.5)
    assert above.margin(0.6) == pytest.approx(-0.25)


def test_only_what_settles_is_judged_under_overload():
    texts = ["p99<1s", "mean<1s", "delivery>1%", "memory<1GB", "cpu<50%", "throughput>1/s"]
    settled = [one.settles(overloaded=True) for one in parse_objectives(texts)]
    assert settled == [False] * 4 + [True] * 2
