"""The store: what it keeps, whatever happens to its file."""

from __future__ import annotations

import os
import random
import subprocess
import sys

import pytest
import small
from attrs import evolve

from lhsim.errors import InputError
from lhsim.execution import Failure, Store, run
from lhsim.execution.store import FIRST_LINE, NAME

FAILURE = Failure("RuntimeError", "broke", "Traceback ...")


def key(number):
    return bytes([number]) * 32


@pytest.fixture(scope="module")
def result():
    return run(small.cells(1)[0])


def filled(folder, count=3, outcome=FAILURE):
    """Write some records; return the content of the file after each of them."""
    contents = []
    with Store(folder) as store:
        for number in range(count):
            store.put(key(number), evolve(outcome, message=str(number)))
            contents.append((folder / NAME).read_bytes())
    return contents


def test_a_result_comes_back_to_the_bit(tmp_path, result):
    with Store(tmp_path / "new") as store:
        store.put(key(1), result)
        assert small.digest([store.get(key(1))]) == small.digest([result])
    with Store(tmp_path / "new") as store:
        assert key(1) in store
        assert key(2) not in store
        assert store.get(key(2)) is None
        found = store.get(key(1))
        assert store.notices == []
    assert small.digest([found]) == small.digest([result])
    assert found.metrics == result.metrics
    assert found.latency.interval(0.5) == result.latency.interval(0.5)
    assert found.timeseries.equals(result.timeseries)


def test_a_failure_keeps_its_traceback_and_is_no_result(tmp_path, result):
    with Store(tmp_path) as store:
        store.put(key(1), FAILURE)
    with Store(tmp_path) as store:
        assert key(1) not in store
        assert store.get(key(1)) == FAILURE
        store.put(key(1), result)
        assert key(1) in store
    with Store(tmp_path) as store:
        assert key(1) in store


def test_killed_at_any_byte_it_keeps_what_was_whole(tmp_path):
    contents = filled(tmp_path)
    whole = contents[-1]
    for cut in range(len(whole)):
        (tmp_path / NAME).write_bytes(whole[:cut])
        intact = sum(cut >= len(content) for content in contents)
        with Store(tmp_path) as store:
            kept = [number for number in range(3) if store.get(key(number))]
            assert kept == list(range(intact)), cut
            at_a_border = cut in {0, len(FIRST_LINE), *map(len, contents)}
            assert bool(store.notices) == (cut > len(FIRST_LINE) and not at_a_border), cut
            store.put(key(9), FAILURE)
        with Store(tmp_path) as store:
            assert store.notices == []
            assert len(store) == intact + 1


def test_a_cut_record_is_named(tmp_path):
    whole = filled(tmp_path)[-1]
    (tmp_path / NAME).write_bytes(whole[:-5])
    with Store(tmp_path) as store:
        (notice,) = store.notices
    assert "cells.store: the last record was incomplete; " in notice
    assert notice.endswith(" bytes are cut off")


def test_a_damaged_byte_costs_the_record_that_it_is_in(tmp_path):
    contents = filled(tmp_path, 4)
    whole = contents[-1]
    ends = [len(FIRST_LINE), *map(len, contents)]
    positions = random.Random(3).sample(range(len(FIRST_LINE), ends[-2]), 60)
    for position in positions:
        damaged = bytearray(whole)
        damaged[position] ^= 0x55
        (tmp_path / NAME).write_bytes(damaged)
        broken = max(number for number in range(4) if ends[number] <= position)
        with Store(tmp_path) as store:
            kept = [number for number in range(4) if store.get(key(number))]
            assert kept == [number for number in range(4) if number != broken]
            (notice,) = store.notices
            assert f"bytes {ends[broken]:,} to {ends[broken + 1]:,} are damaged" in notice
            store.put(key(broken), FAILURE)
        with Store(tmp_path) as store:
            assert [bool(store.get(key(number))) for number in range(4)] == [True] * 4


def refused(folder, **how):
    before = (folder / NAME).read_bytes()
    with pytest.raises(InputError) as error:
        Store(folder, **how)
    assert (folder / NAME).read_bytes() == before
    return str(error.value)


def test_a_store_of_another_version_is_refused_and_stays(tmp_path):
    (tmp_path / NAME).write_bytes(b"lhsim cells 77\nwhat 77 writes")
    line = refused(tmp_path)
    assert line.startswith("--output-dir: ")
    assert "is a store of version 77; allowed: version 2; --fresh starts over" in line
    with Store(tmp_path, fresh=True) as store:
        assert len(store) == 0
    assert (tmp_path / NAME).read_bytes() == FIRST_LINE


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize("content", [b"my own notes\n", b"\0" * 500, b"lhsim calls"])
def test_what_is_no_store_is_never_touched(tmp_path, content, fresh):
    (tmp_path / NAME).write_bytes(content)
    assert "is no store of lhsim" in refused(tmp_path, fresh=fresh)


@pytest.mark.parametrize("fresh", [False, True])
def test_a_store_is_open_once(tmp_path, fresh):
    filled(tmp_path)
    with Store(tmp_path) as store:
        assert "is in use by another run; allowed: one run" in refused(tmp_path, fresh=fresh)
        assert len(store) == 3
    with Store(tmp_path) as store:
        assert len(store) == 3


def test_another_process_finds_it_locked_until_this_one_has_died(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from lhsim.execution import Store\n"
        "store = Store(Path(sys.argv[1])); print('open', flush=True); time.sleep(600)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "open\n"
    assert "in use" in refused(tmp_path)
    process.kill()
    process.communicate()
    Store(tmp_path).close()


def test_starting_over_forgets_the_store_and_nothing_else(tmp_path):
    filled(tmp_path)
    (tmp_path / "notes").write_text("mine")
    with Store(tmp_path, fresh=True) as store:
        assert len(store) == 0
    assert (tmp_path / "notes").read_text() == "mine"


def test_a_full_disk_is_a_line_and_loses_nothing(tmp_path, monkeypatch):
    filled(tmp_path)
    with Store(tmp_path) as store:
        write = os.write

        def full(file, data):
            if len(data) > 40:
                return write(file, data[:40])
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "write", full)
        with pytest.raises(InputError, match="cannot be written: No space left on device"):
            store.put(key(5), FAILURE)
        monkeypatch.undo()
    with Store(tmp_path) as store:
        assert (store.notices, len(store)) == ([], 3)


def test_a_folder_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be opened"):
        Store(tmp_path / "file")
