"""Results as bytes and back."""

from __future__ import annotations

import json
import math
import struct
import zlib

import numpy as np
import pytest
import small
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

import lhsim
from lhsim.execution.encoding import decode, encode

PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
TREES = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner).map(tuple) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
NUMBERS = st.sampled_from(["i1", "u2", "i8", "u8", "f8"])


@given(TREES)
def test_plain_values_come_back(value):
    assert repr(decode(encode(value))) == repr(value)


@given(NUMBERS.flatmap(lambda kind: arrays(kind, array_shapes(min_side=0, max_dims=3))))
def test_arrays_come_back_to_the_bit(array):
    found = decode(encode(array))
    assert (found.dtype, found.shape) == (array.dtype, array.shape)
    assert found.tobytes() == array.tobytes()


@given(st.dictionaries(st.integers(0, 4999), st.integers(-(2**63), 2**63 - 1), max_size=600))
def test_arrays_that_are_mostly_zero_come_back(values):
    array = np.zeros((2, 2500), np.int64)
    for place, value in values.items():
        array.flat[place] = value
    assert np.array_equal(decode(encode(array)), array)


def test_a_result_with_its_messages_comes_back():
    result = lhsim.simulate(small.PUSH, agents=4, duration=20.0, keep_messages=True)
    assert decode(encode(result)).messages.equals(result.messages)


def test_a_result_takes_little_room():
    result = lhsim.simulate(small.PUSH, agents=100, duration=60.0)
    assert len(encode(result)) < 10_000 < result.latency.counts.nbytes


def test_what_is_not_known_is_refused():
    for value in (object(), {1: 2}, [1], np.array([object()]), math):
        with pytest.raises(TypeError, match="cannot be kept"):
            encode(value)


@pytest.mark.parametrize(
    "tree",
    [
        {"os:system": {}},
        {"lhsim.errors:InputError": {}},
        {"lhsim.no_such:Thing": {}},
        {"lhsim.metrics.account:Window": {"begin": 1.0}},
        {"tuple": 3},
    ],
)
def test_a_record_names_no_class_but_those_of_results(tree):
    text = json.dumps(tree).encode()
    with pytest.raises(ValueError, match="is no"):
        decode(zlib.compress(struct.pack("<I", len(text)) + text))
    with pytest.raises(ValueError, match="is no result"):
        decode(b"noise")
