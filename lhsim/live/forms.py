"""Forms of elicitations: a flat JSON Schema of primitives, as in MCP, of which nothing is trusted.

A form comes from one client and is evaluated, on the loop, on the answer of another. So it is data
of a small size, made of keywords that are listed here with the values they may have; each of them
takes a time that grows with the answer, and no faster. Nothing refers to anything: there is no
``$ref``, no ``pattern``, and the validator's registry of other schemas is empty.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry

from lhsim.live.bodies import dump
from lhsim.live.refusals import Refusal

LONGEST_CONTENT = 100_000  # characters of an answer in JSON
_LONGEST_FORM = 10_000  # characters
_MOST_FIELDS = 50
_MOST_CHOICES = 100  # of an enum
_LONGEST_NAME = 100  # characters of the name of a field
_PRIMITIVES = ("string", "number", "integer", "boolean")

Check = Callable[[object], bool]


def check_form(schema: object) -> dict[str, Any]:
    """Return a schema that is a flat form; refuse (400) any other."""
    if not isinstance(schema, dict) or schema.get("type") != "object":
        raise Refusal(400, f"schema is no form; allowed: an object with {', '.join(_OF_FORM)}")
    if len(json.dumps(schema)) > _LONGEST_FORM:
        raise Refusal(400, f"schema is longer than {_LONGEST_FORM} characters")
    _check_keywords("schema", schema, _OF_FORM)
    if "properties" not in schema:
        raise Refusal(400, f"schema.properties is not there; allowed: {_OF_FORM['properties'][1]}")
    for name, one in schema["properties"].items():
        _check_field(f"schema.properties.{name[:40]}", one)
    missing = [name for name in schema.get("required", ()) if name not in schema["properties"]]
    if missing:
        raise Refusal(400, f"schema.required names {missing[0][:40]!r}, which is no property")
    return schema


def validate(schema: Mapping[str, Any], content: object) -> str | None:
    """Return what is wrong with the content of an answer by a form; None when nothing is."""
    if len(dump(content)) > LONGEST_CONTENT:
        return f"content is longer than {LONGEST_CONTENT} characters"
    for error in _compiled(json.dumps(schema, sort_keys=True)).iter_errors(content):
        # Not the message: it repeats the content, however long that is.
        place = ".".join(str(step) for step in error.absolute_path)
        return f"content{'.' if place else ''}{place} breaks {error.validator!r} of the schema"
    return None


@lru_cache(maxsize=256)
def _compiled(text: str) -> Draft202012Validator:
    """Return the validator of a form. To make one takes a hundred times as long as to use it."""
    return Draft202012Validator(json.loads(text), registry=Registry(), format_checker=_FORMATS)


# --- formats -------------------------------------------------------------------------------------

# The longest text of each, looked at before it is read: RFC 5321 (4.5.3.1.3) for addresses, what
# browsers and servers take for URIs, and what ISO 8601 can need.
LENGTHS = {"email": 254, "uri": 2048, "date": 10, "date-time": 64}
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[\x21-\x7e]+")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_ZONED = re.compile(_DATE.pattern + r"[Tt][0-9:]{8}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})")
_FORMATS = FormatChecker(formats=())


def _format(name: str, shape: re.Pattern[str], read: Callable[[str], object]) -> None:
    """Let a text have a format when it is short enough, has its shape, and can be read."""

    @_FORMATS.checks(name, ValueError)
    def check(value: object) -> bool:
        if not isinstance(value, str):
            return True  # a matter of the type
        short = len(value) <= LENGTHS[name]
        return short and shape.fullmatch(value) is not None and read(value) is not None


_format("email", _EMAIL, str)
_format("uri", _URI, urlsplit)
_format("date", _DATE, date.fromisoformat)
_format("date-time", _ZONED, lambda text: datetime.fromisoformat(text.upper()))

# --- what a form may say -------------------------------------------------------------------------


def _check_field(place: str, field: object) -> None:
    if not isinstance(field, dict) or field.get("type") not in _PRIMITIVES:
        allowed = f"an object with a type of {', '.join(_PRIMITIVES)}"
        raise Refusal(400, f"{place} is no primitive; allowed: {allowed}")
    kind = field["type"]
    _check_keywords(place, field, _OF_ALL | _OF_KIND[kind])
    values = [*field.get("enum", ()), *([field["default"]] if "default" in field else [])]
    if not all(_IS[kind](value) for value in values):
        raise Refusal(400, f"{place} has a choice or a default that is no {kind}")
    for low, high in (("minimum", "maximum"), ("minLength", "maxLength")):
        if low in field and high in field and field[low] > field[high]:
            raise Refusal(400, f"{place}.{low} is above {high}: nobody can answer that")


def _check_keywords(
    place: str, given: Mapping[str, Any], known: Mapping[str, tuple[Check, str]]
) -> None:
    """Refuse keywords that are not known, and values that are not theirs."""
    for keyword, value in given.items():
        if keyword not in known:
            allowed = ", ".join(known)
            raise Refusal(400, f"{place} has the keyword {keyword[:40]!r}; allowed: {allowed}")
        accepts, allowed = known[keyword]
        if not accepts(value):
            raise Refusal(400, f"{place}.{keyword} is out of range; allowed: {allowed}")


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_number(value: object) -> bool:
    numeric = isinstance(value, int | float) and not isinstance(value, bool)
    return numeric and math.isfinite(value)  # type: ignore[arg-type]


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_length(value: object) -> bool:
    return _is_integer(value) and value >= 0  # type: ignore[operator]


def _is_truth(value: object) -> bool:
    return isinstance(value, bool)


def _are_choices(value: object) -> bool:
    return isinstance(value, list) and 0 < len(value) <= _MOST_CHOICES


def _are_texts(most: int) -> Check:
    return lambda value: (
        isinstance(value, list) and len(value) <= most and all(map(_is_text, value))
    )


def _are_fields(value: object) -> bool:
    if not isinstance(value, dict) or len(value) > _MOST_FIELDS:
        return False
    return all(len(name) <= _LONGEST_NAME for name in value)


_TEXT = (_is_text, "a text")
_LENGTH = (_is_length, "a whole number >= 0")
_NUMBER = (_is_number, "a number")
_OF_FORM: dict[str, tuple[Check, str]] = {
    "type": (lambda value: value == "object", "'object'"),
    "properties": (
        _are_fields,
        f"an object with at most {_MOST_FIELDS} fields of at most {_LONGEST_NAME} characters",
    ),
    "required": (_are_texts(_MOST_FIELDS), f"a list of at most {_MOST_FIELDS} names"),
    "title": _TEXT,
    "description": _TEXT,
    "additionalProperties": (_is_truth, "true or false"),
}
_OF_ALL: dict[str, tuple[Check, str]] = {
    "type": (_is_text, ", ".join(_PRIMITIVES)),
    "title": _TEXT,
    "description": _TEXT,
    "default": (lambda _value: True, "a value of the type"),
    "enum": (_are_choices, f"a list of 1-{_MOST_CHOICES} values of the type"),
    "enumNames": (_are_texts(_MOST_CHOICES), f"a list of at most {_MOST_CHOICES} texts"),
}
_OF_KIND: dict[str, dict[str, tuple[Check, str]]] = {
    "string": {
        "minLength": _LENGTH,
        "maxLength": _LENGTH,
        "format": (lambda value: _is_text(value) and value in LENGTHS, ", ".join(LENGTHS)),
    },
    "number": {"minimum": _NUMBER, "maximum": _NUMBER},
    "integer": {"minimum": _NUMBER, "maximum": _NUMBER},
    "boolean": {},
}
_IS: Mapping[str, Check] = {
    "string": _is_text,
    "number": _is_number,
    "integer": _is_integer,
    "boolean": _is_truth,
}
