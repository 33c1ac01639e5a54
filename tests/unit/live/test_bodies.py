"""Bodies: what every store and every client can hold, and nothing else."""

from __future__ import annotations

import gc
import json
import time

import pytest
from starlette.datastructures import QueryParams

from lhsim.live import bodies
from lhsim.live.refusals import Refusal


def refusal(work, *arguments, **options):
    with pytest.raises(Refusal) as refused:
        work(*arguments, **options)
    assert refused.value.status == 400
    return refused.value.problem


@pytest.mark.parametrize(
    "number", ["1e999", "-1e999", "NaN", "Infinity", "-Infinity", "9" * 20, "9" * 5000, str(2**63),
               str(-(2**63) - 1), "0." + "1" * 2000],
)  # fmt: skip
def test_numbers_that_are_beyond_64_bits_or_none_are_refused(number):
    for body in (f'{{"payload":{number}}}', f'{{"payload":[{{"deep":{number}}}]}}'):
        assert "the body is" in refusal(bodies.parse, body.encode())


@pytest.mark.parametrize("number", ["0", "-0.0", "1e308", "5e-324", "1e-999", str(2**63 - 1)])
def test_numbers_of_64_bits_come_through_as_json_again(number):
    value = bodies.parse(f'{{"payload":{number}}}'.encode())
    assert json.loads(bodies.dump(value), parse_constant=pytest.fail) == value


@pytest.mark.parametrize(
    "text", [rb"\ud800", rb"\udfff", rb"\ude00\ud83d", rb"\u0000", rb"a\\\u0000", rb"\ud83dx"]
)
def test_text_that_is_no_unicode_or_has_the_character_0_is_refused(text):
    for body in (b'{"payload":"' + text + b'"}', b'{"' + text + b'":1}'):
        assert "text that is none" in refusal(bodies.parse, body)


@pytest.mark.parametrize(
    "body",
    [b'{"a":"\xed\xa0\x80"}', '{"a":1}'.encode("utf-16"), b'\xef\xbb\xbf{"a":1}', b'{"a":"\x00"}'],
)
def test_only_utf_8_is_read(body):
    assert refusal(bodies.parse, body) == "the body is not JSON"


def test_pairs_of_surrogates_and_backslashes_are_text():
    assert bodies.parse(rb'{"a":"\ud83d\ude00","b":"\\u0000","c":"\\ud800"}') == {
        "a": "\U0001f600", "b": r"\u0000", "c": r"\ud800"}  # fmt: skip


@pytest.mark.parametrize("brackets", [("[", "]"), ('{"a":', "}")])
def test_the_depth_is_bounded_whatever_the_brackets_are(brackets):
    def nested(depth):
        return (f'{{"payload":{brackets[0] * depth}1{brackets[1] * depth}}}').encode()

    bodies.parse(nested(bodies.DEEPEST))
    assert "nested more than 32 deep" in refusal(bodies.parse, nested(bodies.DEEPEST + 1))
    refusal(bodies.parse, nested(100_000))  # no RecursionError
    texts = json.dumps({"payload": ['"[' * 40, "\\", "]" * 40]})
    assert bodies.parse(texts.encode()) == json.loads(texts)


def test_a_key_that_comes_twice_or_is_huge_is_refused():
    assert "a key comes twice" in refusal(bodies.parse, b'{"sender":"alice","sender":"bob"}')
    long = b"k" * (bodies.LONGEST_KEY + 1)
    assert "a key has more than" in refusal(bodies.parse, b'{"payload":{"' + long + b'":1}}')


@pytest.mark.parametrize("part", ["[],", '{"a":1},', '"\\u0041",', "[[[[[[1]]]]]],", "1e5,"])
def test_a_megabyte_is_checked_in_a_time_that_grows_with_it(part):
    def seconds(size):
        body = ('{"payload":[' + part * (size // len(part)) + "1]}").encode()
        gc.disable()  # as good as, in a bridge (decision 52)
        try:
            begun = time.thread_time()
            bodies.parse(body)
            return time.thread_time() - begun
        finally:
            gc.enable()

    small = min(seconds(100_000) for _ in range(3))
    # Ten times as long; a quadratic check would take a hundred times as long.
    assert seconds(1_000_000) < 40 * small + 0.05


@pytest.mark.parametrize(
    "value", ["٣", "1_0", " 1", "nan", "inf", "1e999", "", "0x1", "+1", "1" * 31, True, None, [1]]
)
def test_numbers_of_a_query_are_ascii_decimals(value):
    assert "is no number from 0 to 300" in refusal(bodies.number, value, "timeout_seconds", 0, 300)


def test_numbers_of_a_query_are_read():
    for text, number in (("1", 1), ("0.5", 0.5), ("1e2", 100), ("3.", 3), ("1e-320", 1e-320)):
        assert bodies.number(text, "timeout_seconds", 0, 300) == number


@pytest.mark.parametrize("value", ["1e999", "1" * 30, "-1", "٣", "", " 1", "1.0", 1.0, True, -1])
def test_a_cursor_is_a_whole_number_that_a_store_can_hold(value):
    assert "since_sequence is no whole number" in refusal(bodies.whole, value, "since_sequence")


def test_a_query_says_a_thing_once():
    assert bodies.once(QueryParams("a=1&b=2"), "a") == "1"
    assert bodies.once(QueryParams("a=1"), "b") is None
    assert refusal(bodies.once, QueryParams("a=1&a=2"), "a") == "a comes 2 times; allowed: once"


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_no_dump_writes_what_is_not_json(number):
    with pytest.raises(ValueError, match="not JSON compliant"):
        bodies.dump({"payload": number})
