"""Cells with and without a store, on every executor."""

from __future__ import annotations

import gc
import threading
import time

import pytest
import small

from lhsim.errors import InputError
from lhsim.execution import Failure, Runner, Store, execute, runner, workers
from lhsim.execution.cells import run as run_cell
from lhsim.execution.pools import Threads

CELLS = small.cells(6)


@pytest.fixture(scope="module")
def expected():
    return small.digest(run_cell(cell) for cell in CELLS)


@pytest.fixture
def ran(monkeypatch):
    """The agents and seeds of the cells that were run."""
    seeds = []

    def run(cell):
        seeds.append(cell.seed)
        return run_cell(cell)

    monkeypatch.setattr(runner, "run", run)
    return seeds


@pytest.mark.parametrize("kind", ["serial", "threads", "processes"])
def test_all_executors_have_the_same_bits(tmp_path, kind, expected):
    with workers(2, kind) as executor, Store(tmp_path) as store:
        fresh, interrupted = Runner(executor, store).run(CELLS)
    assert not interrupted
    assert small.digest(fresh.values()) == expected
    with Store(tmp_path) as store:
        resumed, _ = Runner(None, store).run(CELLS)
    assert small.digest(resumed.values()) == expected


def test_both_engines_have_the_same_bits_but_are_kept_apart(tmp_path, ran):
    simpy = small.cells(2, engine="simpy")
    with Store(tmp_path) as store:
        one = Runner(None, store)
        first, _ = one.run(CELLS[:2])
        second, _ = one.run(simpy)
    assert len(ran) == 4
    assert [result.metrics for result in first.values()] == [
        result.metrics for result in second.values()
    ]


def test_a_wider_specification_runs_only_what_is_new(tmp_path, ran):
    with Store(tmp_path) as store:
        Runner(None, store).run(CELLS[:2])
    with Store(tmp_path) as store:
        wider = Runner(None, store)
        assert wider.left(CELLS) == CELLS[2:]
        outcomes, _ = wider.run(CELLS)
        assert wider.left(CELLS) == []
    assert ran == [cell.seed for cell in CELLS]
    assert list(outcomes) == list(range(6))
    assert (wider.tally.done, wider.tally.resumed) == (4, 2)
    assert wider.tally.sentence() == "4 done, 2 resumed, 0 failed, 0 left"


def test_equal_cells_are_run_once(tmp_path, ran):
    with Store(tmp_path) as store:
        outcomes, _ = Runner(None, store).run([CELLS[0], CELLS[1], CELLS[0]])
    assert len(ran) == 2
    assert small.digest([outcomes[0]]) == small.digest([outcomes[2]])


def test_a_failed_cell_is_kept_with_its_traceback_and_run_again(tmp_path, monkeypatch):
    def break_one(cell):
        if cell.seed == CELLS[1].seed:
            raise RuntimeError("broke")
        return run_cell(cell)

    monkeypatch.setattr(runner, "run", break_one)
    with Store(tmp_path) as store:
        first = Runner(None, store)
        outcomes, _ = first.run(CELLS[:3])
    assert isinstance(outcomes[1], Failure)
    assert "in break_one" in outcomes[1].traceback
    assert first.tally.sentence() == "2 done, 0 resumed, 1 failed, 0 left"
    with Store(tmp_path) as store:
        kept = store.get(first._key(CELLS[1]))
        assert "in break_one" in kept.traceback
        monkeypatch.undo()
        again = Runner(None, store)
        again.run(CELLS[:3])
    assert again.tally.sentence() == "1 done, 2 resumed, 0 failed, 0 left"


def test_what_fail_fast_leaves_is_counted(tmp_path, monkeypatch):
    def broken(_cell):
        raise RuntimeError("broke")

    monkeypatch.setattr(runner, "run", broken)
    with Store(tmp_path) as store:
        one = Runner(None, store, fail_fast=True)
        one.run(CELLS)
    assert one.tally.sentence() == "0 done, 0 resumed, 1 failed, 5 left"


def test_the_engine_is_there_for_the_reason_that_is_asked_now(tmp_path):
    with Store(tmp_path) as store:
        Runner(None, store).run(small.cells(1, engine="compiled"))
        (result,) = Runner(None, store).run(small.cells(1))[0].values()
    assert result.engine_reason == "the fastest engine, and it covers the whole system"


def test_no_more_runs_at_a_time_than_fit_in_memory(monkeypatch):
    monkeypatch.setattr("lhsim.execution.executors.free_memory", lambda: 100.0)
    running, most, lock = 0, 0, threading.Lock()

    def work(_size):
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.02)
        with lock:
            running -= 1

    with workers(4, "threads") as executor:
        done = list(execute(work, [40, 40, 40, 40, 500, 1], executor=executor, memory=float))
    assert len(done) == 6  # what fits nowhere is for the run itself to refuse
    assert most == 2


# What a thread has open when it is stopped, such as a file of /proc, is left to Python to close.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_threads_are_stopped_in_the_middle_of_a_run():
    long = small.cells(2, duration=1e8)
    begun = time.monotonic()
    with workers(2, "threads") as executor:
        running = execute(run_cell, [*small.cells(1), *long], executor=executor)
        assert next(running)[0] == 0
        running.close()
    assert time.monotonic() - begun < 60
    assert not [one for one in threading.enumerate() if one.name.startswith("lhsim")]


def test_a_stopped_pool_takes_nothing_more():
    pool = Threads(1)
    pool.stop()
    with pytest.raises(RuntimeError):
        pool.submit(time.sleep, 0)


def test_the_threshold_of_the_collector_is_back_after_runs_that_overlap():
    before = gc.get_threshold()
    with workers(4, "threads") as executor:
        Runner(executor).run(small.cells(8))
    assert gc.get_threshold() == before


@pytest.mark.parametrize(
    ("how", "line"),
    [
        (("trheads",), "--executor: unknown executor 'trheads' (did you mean 'threads'?)"),
        (("threads", "tcp://127.0.0.1:1"), "--scheduler: is for Dask alone"),
    ],
)
def test_executors_that_cannot_be(how, line):
    with pytest.raises(InputError) as error, workers(2, *how):
        pass
    assert line in str(error.value)
