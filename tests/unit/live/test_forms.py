"""Forms: flat, small, of known keywords, and evaluated in no time whatever the answer is."""

from __future__ import annotations

import time

import pytest

from lhsim.live.forms import LENGTHS, LONGEST_CONTENT, check_form, validate
from lhsim.live.refusals import Refusal


def form(more=None, **field):
    return {"type": "object", "properties": {"a": field or {"type": "string"}}, **(more or {})}


@pytest.mark.parametrize(
    "evil",
    [
        {"type": "string", "pattern": "^(a+)+$"},
        {"pattern": "^(a+)+$"},
        {"$ref": "http://127.0.0.1:9/"},
        {"$ref": "file:///etc/passwd"},
        {"$ref": "#/nope"},
        {"$dynamicRef": "#x"},
        {"allOf": []},
        {},
        1,
        "true",
        None,
        [],
    ],
)
def test_additional_properties_are_true_or_false(evil):
    with pytest.raises(Refusal, match=r"schema\.additionalProperties is out of range") as refused:
        check_form(form({"additionalProperties": evil}))
    assert refused.value.status == 400
    for plain in (True, False):
        check_form(form({"additionalProperties": plain}))
    assert validate(form({"additionalProperties": False}), {"b": 1}) is not None
    assert validate(form({"additionalProperties": True}), {"b": 1}) is None


EVERYWHERE = {
    "$ref": "http://127.0.0.1:9/", "$dynamicRef": "#x", "$id": "http://127.0.0.1:9/",
    "$schema": "http://127.0.0.1:9/", "$defs": {}, "$anchor": "x", "$vocabulary": {}, "allOf": [],
    "anyOf": [{}], "oneOf": [{}], "not": {}, "if": {}, "dependentSchemas": {}, "const": 1,
    "propertyNames": {"pattern": "^(a+)+$"}, "patternProperties": {"^(a+)+$": {}}, "contains": {},
    "unevaluatedProperties": {}, "items": {}, "pattern": "^(a+)+$", "multipleOf": 1e-300,
    "contentSchema": {},
}  # fmt: skip


@pytest.mark.parametrize("keyword", EVERYWHERE)
def test_keywords_that_are_not_known_are_refused_everywhere(keyword):
    evil = {keyword: EVERYWHERE[keyword]}
    with pytest.raises(Refusal, match="has the keyword"):
        check_form(form(evil))
    for kind in ("string", "number", "integer", "boolean"):
        with pytest.raises(Refusal, match="has the keyword"):
            check_form(form(type=kind, **evil))


@pytest.mark.parametrize(
    "field",
    [
        {"type": "object"},
        {"type": "array"},
        {"type": "null"},
        {"type": ["string"]},
        {},
        {"type": "string", "format": "regex"},
        {"type": "string", "format": "ipv6"},
        {"type": "string", "format": ["email"]},
        {"type": "number", "format": "email"},
        {"type": "string", "minimum": 1},
        {"type": "number", "maxLength": 1},
        {"type": "string", "maxLength": -1},
        {"type": "string", "maxLength": "5"},
        {"type": "string", "maxLength": True},
        {"type": "string", "minLength": 1.5},
        {"type": "number", "minimum": "1"},
        {"type": "number", "minimum": float("inf")},
        {"type": "string", "enum": []},
        {"type": "string", "enum": "ab"},
        {"type": "string", "enum": [1]},
        {"type": "string", "enum": [{"a": 1}]},
        {"type": "integer", "enum": [True]},
        {"type": "string", "enum": ["x"] * 101},
        {"type": "string", "enumNames": [1]},
        {"type": "string", "default": {"a": []}},
        {"type": "string", "title": 1},
        {"type": "string", "description": ["x"]},
    ],
)
def test_values_of_keywords_are_checked(field):
    with pytest.raises(Refusal, match=r"schema\.properties\.a"):
        check_form({"type": "object", "properties": {"a": field}})


@pytest.mark.parametrize(
    "schema",
    [
        form({"required": "a"}),
        form({"required": [1]}),
        form({"required": ["a"] * 51}),
        form({"title": {}}),
        {"type": "object", "properties": {f"f{n}": {"type": "string"} for n in range(51)}},
        {"type": "object", "properties": {"x" * 101: {"type": "string"}}},
        {"type": "object", "properties": []},
        form(type="string", description="x" * 10_000),
    ],
)
def test_the_size_of_a_form_is_bounded(schema):
    with pytest.raises(Refusal, match="schema"):
        check_form(schema)


GOOD = {
    "email": ["a@b", "a.b+c@example.org"],
    "uri": ["https://example.org/a?b=c#d", "urn:isbn:1", "mailto:a@b"],
    "date": ["2026-02-28"],
    "date-time": ["2026-02-28T12:00:00Z", "2026-02-28t12:00:00.25+05:30"],
}
BAD = {
    "email": ["", "a", "a@", "@b", "a@b@c", "a b@c", "a@b\n"],
    "uri": ["", "a", "/a", "http://a b", "http://[", "1:x", "é:x"],
    "date": ["", "2026-02-30", "20260228", "2026-W01-1", "2026-02-2", "٢٠٢٦-02-28"],
    "date-time": ["2026-02-28", "2026-02-28T12:00:00", "2026-02-28T25:00:00Z", "now"],
}


@pytest.mark.parametrize("name", LENGTHS)
def test_a_format_has_a_shape_and_a_longest_text(name):
    schema = check_form(form(type="string", format=name))
    for text in GOOD[name]:
        assert validate(schema, {"a": text}) is None
    start = GOOD[name][0]
    for text in (*BAD[name], start + "x" * LENGTHS[name], "(" * 5000, "x" * 50_000):
        assert validate(schema, {"a": text}) == "content.a breaks 'format' of the schema"


def test_answers_of_any_size_and_shape_are_validated_in_no_time():
    field = {"type": "string", "maxLength": 5, "enum": [f"c{n}" for n in range(100)]}
    schema = check_form({"type": "object", "properties": {f"f{n}": {"type": "string"} for n in
                                                         range(49)} | {"a": field}})  # fmt: skip
    longest = LONGEST_CONTENT - 100
    validate(schema, {})  # the first call makes the validator
    for content in (
        {"a": "a" * longest}, {"a": "(" * longest}, {"a": [[]] * (longest // 4)},
        {f"k{n}": n for n in range(longest // 20)}, "a" * longest, list(range(longest // 8)),
        {f"f{n}": "x" * (longest // 60) for n in range(49)},
    ):  # fmt: skip
        begun = time.thread_time()
        validate(schema, content)
        assert time.thread_time() - begun < 0.2
    assert validate(schema, {"a": "a" * LONGEST_CONTENT}) == (
        "content is longer than 100000 characters"
    )


@pytest.mark.parametrize(
    ("evil", "said"),
    [
        (form({"required": ["a", "b"]}), "schema.required names 'b', which is no property"),
        (form(type="number", minimum=2, maximum=1), "minimum is above maximum"),
        (form(type="integer", minimum=2, maximum=1.5), "minimum is above maximum"),
        (form(type="string", minLength=2, maxLength=1), "minLength is above maxLength"),
    ],
)
def test_a_form_that_nobody_can_answer_is_refused(evil, said):
    with pytest.raises(Refusal, match=said) as refused:
        check_form(evil)
    assert refused.value.status == 400


def test_a_form_with_one_answer_is_taken():
    one = check_form(form({"required": ["a"]}, type="integer", minimum=2, maximum=2))
    assert validate(one, {"a": 2}) is None
    assert validate(one, {"a": 3}) is not None
