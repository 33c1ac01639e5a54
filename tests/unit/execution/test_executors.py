from __future__ import annotations

import math
import os
import pickle
import threading
import time
from concurrent.futures import Executor, Future, ThreadPoolExecutor

import pytest

from lhsim.errors import InputError
from lhsim.execution import Failure, execute, workers


def invert(number):
    return 1 / number


def leave(number):
    if number == 0:
        os._exit(3)
    return number


@pytest.mark.parametrize("jobs", [1, 2])
def test_each_result_comes_with_its_index(jobs):
    with workers(jobs) as executor:
        found = dict(execute(math.sqrt, [1.0, 4.0, 9.0], executor=executor))
    assert found == {0: 1.0, 1: 2.0, 2: 3.0}


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_failed_cell_does_not_stop_the_others(jobs):
    with workers(jobs) as executor:
        found = dict(execute(invert, [1, 0, 2], executor=executor))
    assert (found[0], found[2]) == (1.0, 0.5)
    assert str(found[1]) == "ZeroDivisionError: division by zero"
    assert "in invert" in found[1].traceback


def test_fail_fast_stops_at_the_first_failed_cell():
    found = dict(execute(invert, [1, 0, 2], fail_fast=True))
    assert list(found) == [0, 1]


def test_a_worker_that_dies_is_a_failure_not_a_hang():
    with workers(2) as executor:
        found = dict(execute(leave, [0, 0], executor=executor))
    assert {type(one) for one in found.values()} == {Failure}
    assert found[0].kind == "BrokenProcessPool"


def test_a_worker_that_dies_takes_nobody_with_it():
    """Cells that were running beside the one that killed its worker are innocent."""
    with workers(2) as executor:
        found = dict(execute(leave, [3, 0, 1, 2, 4, 5], executor=executor))
    assert {index: one for index, one in found.items() if index != 1} == {
        0: 3,
        2: 1,
        3: 2,
        4: 4,
        5: 5,
    }
    assert found[1].kind == "BrokenProcessPool"


class Silent(Executor):
    """An executor that ends the first cells, and has then lost its workers without a word."""

    def __init__(self, ends):
        self.ends, self.lost, self.begun = ends, False, 0

    def submit(self, function, /, *arguments):
        future = Future()
        if self.begun < self.ends:
            future.set_result(function(*arguments))
        self.begun += 1
        self.lost = self.begun >= self.ends
        return future


def test_workers_that_are_lost_without_a_word_are_not_waited_for():
    outcomes = dict(execute(invert, [1, 2, 4, 5], executor=Silent(2)))
    assert [outcomes[0], outcomes[1]] == [1.0, 0.5]
    assert {str(outcomes[2]), str(outcomes[3])} == {"LhsimError: the workers were lost"}


def test_a_result_may_be_none():
    with workers(2, "threads") as executor:
        assert dict(execute(time.sleep, [0, 0], executor=executor)) == {0: None, 1: None}


def test_any_executor_runs_cells_and_stays_open():
    with ThreadPoolExecutor(2) as executor:
        assert dict(execute(invert, [1, 2], executor=executor)) == {0: 1.0, 1: 0.5}
        assert executor.submit(invert, 4).result() == 0.25


def test_results_are_told_as_they_are_done():
    told = []
    list(execute(invert, [2, 4], on_done=lambda index, result: told.append((index, result))))
    assert told == [(0, 0.5), (1, 0.25)]


def test_an_interrupt_reaches_the_caller_who_keeps_what_was_done():
    def interrupted(number):
        if number == 2:
            raise KeyboardInterrupt
        return number

    running = execute(interrupted, [0, 1, 2, 3])
    assert [next(running), next(running)] == [(0, 0), (1, 1)]
    with pytest.raises(KeyboardInterrupt):
        next(running)


def test_workers_stop_what_is_still_running():
    begun = time.monotonic()
    with workers(2) as executor:
        running = execute(time.sleep, [0, 600], executor=executor)
        assert next(running) == (0, None)
        running.close()
    assert time.monotonic() - begun < 60


def test_leaving_the_loop_cancels_what_has_not_begun():
    begun, go_on = [], threading.Event()

    def work(number):
        begun.append(number)
        if number:
            go_on.wait(10)
        return number

    with ThreadPoolExecutor(1) as executor:
        running = execute(work, [0, 1, 2, 3, 4], executor=executor)
        assert next(running) == (0, 0)
        running.close()
        go_on.set()
    assert len(begun) <= 2


def test_a_failure_survives_pickling_whatever_the_exception_was():
    class OddError(Exception):
        def __init__(self, one, two):
            super().__init__(one)

    failure = Failure.of(OddError("first\nline", 2))
    assert pickle.loads(pickle.dumps(failure)) == failure
    assert str(failure) == "OddError: first line"
    refused = Failure.of(InputError("is negative", key="rate"))
    assert str(refused) == "InputError: rate: is negative"
