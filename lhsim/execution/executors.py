"""Runs cells, one after the other or at once, and hands out their results as they finish.

The order in which results come depends on the machine; their index says where they belong. Who
sorts by it gets the same output with any number of workers.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

from lhsim.execution.cells import Failure, attempt

C = TypeVar("C")
R = TypeVar("R")

Done = Generator[tuple[int, R | Failure], None, None]


@contextmanager
def workers(jobs: int) -> Iterator[Executor | None]:
    """Yield an executor of so many processes, or None for one: `execute` then works right here.

    They are started afresh ("spawn") as they are needed, so that a script which asks for them
    needs the usual ``if __name__ == "__main__"``. What is still running in the end is stopped.
    """
    if jobs == 1:
        yield None
        return
    others = set(multiprocessing.active_children())
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_ignore_interrupts)
    try:
        yield pool
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in set(multiprocessing.active_children()) - others:
            worker.terminate()
        pool.shutdown(wait=True)


def execute(
    function: Callable[[C], R],
    cells: Sequence[C],
    *,
    executor: Executor | None = None,
    fail_fast: bool = False,
    on_done: Callable[[int, R | Failure], None] | None = None,
) -> Done[R]:
    """Run each of the cells, and yield its index and its result or failure once it is done.

    Cells that have not begun are cancelled when the caller leaves the loop, on Ctrl-C and on
    another exception: what was yielded until then is the caller's to keep.

    Parameters
    ----------
    function
        What makes a result of a cell. For other processes it has to be a module's function.
    cells
        What to run, in the order in which they begin.
    executor
        Runs the cells, such as that of `workers`, and stays open. None: here, one by one.
    fail_fast
        Run nothing more after a failure.
    on_done
        Is called with each index and result, before it is yielded.
    """
    done = _in_turn(function, cells) if executor is None else _submitted(function, cells, executor)
    try:
        for index, outcome in done:
            if on_done is not None:
                on_done(index, outcome)
            yield index, outcome
            if fail_fast and isinstance(outcome, Failure):
                return
    finally:
        done.close()


def _in_turn(function: Callable[[C], R], cells: Sequence[C]) -> Done[R]:
    for index, cell in enumerate(cells):
        yield index, attempt(function, cell)


def _submitted(function: Callable[[C], R], cells: Sequence[C], executor: Executor) -> Done[R]:
    with _interrupts_held_back():
        futures = {
            executor.submit(partial(attempt, function), cell): index
            for index, cell in enumerate(cells)
        }
    try:
        for future in as_completed(futures):
            error = future.exception()  # of the executor: a worker that died
            yield futures[future], future.result() if error is None else Failure.of(error)
    finally:
        for future in futures:
            future.cancel()


def _ignore_interrupts() -> None:
    """Leave Ctrl-C, which reaches all processes of a terminal, to the one that started this."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Hold Ctrl-C back for a moment; processes started in it never see one.

    A worker that is still importing has not ignored it yet, and would print a traceback.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
