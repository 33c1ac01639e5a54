"""Who runs cells: threads, processes, or the workers of a Dask cluster.

The kernels of the compiled engine run without the interpreter lock, so that threads are enough for
them: they start at once and share what was compiled. SimPy's processes are Python, and need
processes.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from concurrent.futures import ThreadPoolExecutor as Pool
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lhsim import simulation
from lhsim.errors import InputError, shown, unknown_name
from lhsim.execution.cluster import cluster
from lhsim.execution.interrupts import interrupts_held_back

if TYPE_CHECKING:
    from lhsim.models import System

KINDS = ("serial", "threads", "processes", "dask")
"""The names of the executors."""


def default_kind(engine: str, systems: Iterable[System]) -> str:
    """Return what runs systems best with an engine, as asked for: SimPy holds threads up."""
    some_with_simpy = engine == "simpy" or any(
        simulation.engines.only_with_simpy(system) for system in systems
    )
    return "processes" if some_with_simpy else "threads"


@contextmanager
def workers(
    jobs: int, kind: str = "processes", scheduler: str | None = None
) -> Iterator[Executor | None]:
    """Yield an executor of so many workers, or None for one: `execute` then works right here.

    Processes are started afresh ("spawn") as they are needed, so that a script which asks for them
    needs the usual ``if __name__ == "__main__"``. What is still running in the end is stopped.

    Parameters
    ----------
    jobs
        How many run at a time, unless there is a scheduler, which has workers of its own.
    kind
        One of `KINDS`.
    scheduler
        The address of a Dask scheduler; None: a cluster on this machine is started.

    Raises
    ------
    InputError
        When there is no such kind, or no such scheduler.
    """
    if not isinstance(kind, str) or kind not in KINDS:
        raise unknown_name("executor", str(kind), KINDS, source="--executor")
    if scheduler is not None and not isinstance(scheduler, str):
        problem = f"{shown(scheduler)} is no address"
        raise InputError(problem, source="--scheduler", allowed="the address of a Dask scheduler")
    if scheduler is not None and kind != "dask":
        raise InputError("is for Dask alone", source="--scheduler", allowed="with --executor dask")
    if kind == "dask":
        with cluster(jobs, scheduler) as executor:
            yield executor
    elif jobs == 1 or kind == "serial":
        yield None
    else:
        pool = Threads(jobs) if kind == "threads" else Processes(jobs)
        try:
            yield pool
        finally:
            pool.stop()


class Threads(Executor):
    """Threads of this process."""

    def __init__(self, jobs: int) -> None:
        self.slots = jobs
        self._pool = Pool(jobs, thread_name_prefix="lhsim")
        self._lock = threading.Lock()
        self._busy: set[int] = set()

    def submit(self, function: Callable[..., Any], /, *args: Any, **more: Any) -> Future[Any]:
        """Run a function in a thread."""
        return self._pool.submit(self._run, function, *args, **more)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more."""
        self._pool.shutdown(wait, cancel_futures=cancel_futures)

    def stop(self) -> None:
        """End what is running, at the next line of Python, and wait for that.

        The kernels come back to Python after a million events (`lhsim.compiled.engine`).
        """
        self._pool.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            for thread in self._busy:
                # Python has no other way to end a thread that was not written to be ended.
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(thread), ctypes.py_object(Stopped)
                )
        self._pool.shutdown(wait=True)

    def _run(self, function: Callable[..., Any], *args: Any, **more: Any) -> Any:
        thread = threading.get_ident()
        with self._lock:
            self._busy.add(thread)
        try:
            return function(*args, **more)
        finally:
            with self._lock:  # whoever stops this has done so, or will not any more
                self._busy.discard(thread)


class Stopped(BaseException):
    """Ends a run in a thread; no handler of `Exception` catches it."""


class Processes(Executor):
    """Processes on this machine; when one of them dies, those that come after it get new ones."""

    renews = True

    def __init__(self, jobs: int) -> None:
        self.slots = jobs
        self._others = set(multiprocessing.active_children())
        self._pool = self._new()

    def submit(self, function: Callable[..., Any], /, *args: Any, **more: Any) -> Future[Any]:
        """Run a function in a process."""
        with interrupts_held_back():
            try:
                return self._pool.submit(function, *args, **more)
            except BrokenExecutor:
                self._pool.shutdown(wait=True)
                self._pool = self._new()
                return self._pool.submit(function, *args, **more)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more."""
        self._pool.shutdown(wait, cancel_futures=cancel_futures)

    def stop(self) -> None:
        """End what is running."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        for worker in set(multiprocessing.active_children()) - self._others:
            worker.terminate()
        self._pool.shutdown(wait=True)

    def _new(self) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(self.slots, mp_context=context, initializer=_begin)


def _begin() -> None:
    """Leave Ctrl-C to the parent process, and end when it ends, however that happens.

    Ctrl-C reaches all processes of a terminal. A process that was killed tells nobody.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: Any) -> None:
    parent.join()
    os._exit(1)
