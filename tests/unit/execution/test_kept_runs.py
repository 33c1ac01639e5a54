"""A kept run with a right checksum and other content is run again, and a notice says so."""

from __future__ import annotations

import json
import logging
import os
import struct
import zlib

import numpy as np
import pytest
import small
from attrs import evolve

from lhsim._machine import free_memory
from lhsim.errors import InputError
from lhsim.execution import Failure, Runner, Store, run
from lhsim.execution import store as stores
from lhsim.execution.encoding import decode, encode
from lhsim.execution.identity import Keys

CELL, OTHER = small.cells(2)


@pytest.fixture(scope="module")
def result():
    return run(CELL)


def packed(tree, arrays=b""):
    text = tree if isinstance(tree, bytes) else json.dumps(tree).encode()
    return zlib.compress(struct.pack("<I", len(text)) + text + arrays)


def kept(folder, monkeypatch, content, result):
    """Keep some bytes as the result of the cell, with a right checksum."""
    with monkeypatch.context() as patch, Store(folder) as store:
        patch.setattr(stores, "encode", lambda _: content)
        store.put(Keys()(CELL), result)


def outcome(folder):
    with Store(folder) as store:
        runner = Runner(None, store)
        outcomes, _ = runner.run([CELL])
        return outcomes[0], runner.tally


NO_RESULTS = {
    "noise": b"noise",
    "nothing": b"",
    "a number": packed(3),
    "a dictionary": packed({"dict": {}}),
    "a failure": encode(Failure("RuntimeError", "broke", "...")),
    "nested without end": packed(b"[" * 100_000),
    "lists without end": packed(b'{"tuple":[' * 50_000),
    "a class of others": packed({"os:system": {"dict": {}}}),
    "a module that runs": packed({"lhsim.experiments.__main__:X": {}}),
    "another class of lhsim": packed({"lhsim.metrics.account:Window": {}}),
    "objects": packed({"array": ["|O", [4], 0, "<i8"]}, b"\0"),
    "a huge array": packed({"array": ["<i8", [2**60], 0, "<i8"]}),
    "a huge sparse array": packed({"array": ["<i8", [10**11], 0, "<i8"]}, b"\0" * 100),
    "a negative shape": packed({"array": ["<i8", [-1, -8]]}, b"\0" * 64),
    "two keys": packed({"tuple": [], "dict": {}}),
    "a huge number": packed(b"1" * 10_000),
}


@pytest.mark.parametrize("content", NO_RESULTS.values(), ids=NO_RESULTS)
def test_what_is_no_result_is_run_again(tmp_path, monkeypatch, caplog, result, content):
    kept(tmp_path, monkeypatch, content, result)
    with caplog.at_level(logging.WARNING):
        found, tally = outcome(tmp_path)
    assert small.digest([found]) == small.digest([result])
    assert (tally.done, tally.resumed) == (1, 0)
    assert "1 kept runs are not what this lhsim has written" in caplog.text
    assert outcome(tmp_path)[1].resumed == 1  # what was run again is kept


@pytest.mark.parametrize(
    "change",
    [
        {"agents": 11},
        {"seed": 1},
        {"system": "another"},
        {"duration": 21.0},
        {"engine": "simpy"},
        {"horizon": float("nan")},
        {"warmup": -1.0},
        {"agents": "10"},
        {"overloaded": None},
        {"utilization": {}},
        {"utilization": {"cpu": "high"}},
        {"outcomes": {"delivered": 3}},
        {"samples": {}},
        {"samples": {"time_s": np.zeros(3)}},
        {"records": {}},
        {"extrapolated_because": ("a", 3)},
    ],
    ids=str,
)
def test_a_result_of_another_run_is_run_again(tmp_path, monkeypatch, result, change):
    kept(tmp_path, monkeypatch, encode(evolve(result, **change)), result)
    found, tally = outcome(tmp_path)
    assert small.digest([found]) == small.digest([result])
    assert tally.resumed == 0


@pytest.mark.parametrize(
    "change",
    [
        {"counts": np.zeros(3, np.int64)},
        {"counts": np.zeros((20, 3))},
        {"ages": np.array(0.0)},
        {"sums": np.array(["a"] * 20)},
        {"min": None},
    ],
    ids=str,
)
def test_latencies_of_another_shape_are_run_again(tmp_path, monkeypatch, result, change):
    other = evolve(result, latency=evolve(result.latency, **change))
    kept(tmp_path, monkeypatch, encode(other), result)
    assert outcome(tmp_path)[1].resumed == 0


def test_a_small_record_that_unpacks_to_more_than_the_memory_is_refused(monkeypatch):
    monkeypatch.setattr("lhsim.execution.encoding.free_memory", lambda: 1e6)
    assert free_memory() > 1e6
    with pytest.raises(ValueError, match="too large"):
        decode(zlib.compress(b"\0" * 10_000_000))


def test_a_store_without_room_loses_no_result(tmp_path, monkeypatch, caplog, result):
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with Store(tmp_path) as store:
        runner = Runner(None, store)
        with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
            patch.setattr(os, "write", full)
            outcomes, _ = runner.run([CELL, OTHER])
        assert small.digest([outcomes[0]]) == small.digest([result])
        assert runner.tally.sentence().endswith("0 left, 2 not kept")
        assert caplog.text.count("runs are no longer kept: ") == 1
        assert len(store) == 0


def test_a_fifo_as_the_store_is_refused(tmp_path):
    os.mkfifo(tmp_path / stores.NAME)
    with pytest.raises(InputError, match="is not a regular file"):
        Store(tmp_path)
