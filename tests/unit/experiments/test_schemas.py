"""The JSON Schemas: what they accept is what `lhsim.parameters` accepts, as far as they can say."""

from __future__ import annotations

import json
import tomllib

import pytest
from jsonschema import Draft202012Validator

from lhsim import _resources, parameters
from lhsim.errors import InputError
from lhsim.experiments.schemas import CLASSES, comments_of, schema_of, schema_text
from lhsim.experiments.specification import Scaling
from lhsim.models import System

SHIPPED = [("models", name) for name in _resources.names("models")] + [
    ("experiments", name) for name in _resources.names("experiments")
]


def mistakes(kind, data):
    return [
        error.message for error in Draft202012Validator(schema_of(CLASSES[kind])).iter_errors(data)
    ]


@pytest.mark.parametrize("kind", CLASSES)
def test_each_is_a_schema_of_its_draft(kind):
    schema = json.loads(schema_text(kind))
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize(("folder", "name"), SHIPPED)
def test_every_file_that_comes_with_lhsim_conforms(folder, name):
    data = tomllib.loads(_resources.find(folder, name).read_text(encoding="utf-8"))
    kind = "system" if folder == "models" else data.get("kind", name)
    assert mistakes(kind, data) == []


SYSTEM = {"name": "x", "polling": {"interval": "1 s"}}


@pytest.mark.parametrize(
    "changes",
    [
        {"polling": {"intervall": 1}},
        {"polling": {"interval": "1 kB"}},
        {"polling": {"interval": -1}},
        {"polling": {"connections": 1.5}},
        {"polling": {"wake_on_write": 1}},
        {"workload": {"topology": "star"}},
        {"workload": {"traffic": {"kind": "poison"}}},
        {"workload": {"traffic": {"kind": "closed", "rate": 1}}},
        {"store": {"query": {"family": "lognormal", "median": "1 ms"}}},
        {"name": 3},
    ],
    ids=str,
)
def test_what_is_refused_when_read_does_not_conform(changes):
    data = SYSTEM | changes
    with pytest.raises(InputError):
        parameters.structure(data, System, source="x")
    assert mistakes("system", data) != []


@pytest.mark.parametrize(
    "changes",
    [
        {"polling": {"interval": 2}},
        {"polling": {"interval": "50ms", "connections": 1e3}},
        {"store": {"query": {"family": "exponential", "mean": "1 ms"}, "connections": 2}},
        {"workload": {"traffic": {"kind": "periodic", "rate": "6/min"}}},
    ],
    ids=str,
)
def test_what_is_read_conforms(changes):
    data = SYSTEM | changes
    parameters.structure(data, System, source="x")
    assert mistakes("system", data) == []


def test_keys_have_their_comments_limits_and_defaults():
    replications = schema_of(Scaling)["properties"]["replications"]
    assert replications == {
        "type": "integer",
        "minimum": 1,
        "description": "of each level",
        "default": 5,
    }
    assert comments_of(Scaling)["agents"] == "levels"


def test_an_unknown_kind():
    with pytest.raises(InputError, match=r"unknown schema 'systm' .did you mean 'system'"):
        schema_text("systm")
