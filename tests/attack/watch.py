"""Tries things one by one in a process that may hang, grow or die, and says what became of each."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection

import psutil
from attrs import field, frozen

LONGEST = 10.0  # processor time of a trial, before it counts as a hang [s]
WAITING = 60.0  # time of a trial that waits for something, likewise [s]
MEMORY = 6_000_000_000  # of the process that tries [B]

OK = "ok"
Try = Callable[[int], str]  # what a trial came to: OK, or the kind of failure and its first line


@frozen
class Tally:
    """What the trials of one kind came to."""

    tried: int = 0
    failures: dict[str, int] = field(factory=dict)  # by what went wrong
    examples: tuple[str, ...] = ()  # some of them, with what makes them again

    @property
    def failed(self) -> int:
        """Trials that went wrong."""
        return sum(self.failures.values())

    def __add__(self, other: Tally) -> Tally:
        both = Counter(self.failures) + Counter(other.failures)
        return Tally(self.tried + other.tried, dict(both), (*self.examples, *other.examples)[:20])


def tally(kind: str, outcomes: Iterable[tuple[int, str]]) -> Tally:
    """Count what trials came to."""
    tried, failures, examples = 0, Counter[str](), []
    for number, outcome in outcomes:
        tried += 1
        if outcome != OK:
            failures[outcome.partition(":")[0]] += 1
            examples.append(f"{kind} {number}: {outcome}")
    return Tally(tried, dict(failures), tuple(examples[:20]))


def watched(attempt: Try, numbers: Iterable[int], until: float) -> Iterator[tuple[int, str]]:
    """Yield the number and the outcome of each trial, up to a moment of `time.monotonic`.

    A trial that does not end, or whose process dies, is a failure like another; the next ones run
    in a new process.
    """
    left = iter(numbers)
    worker = None
    try:
        for number in left:
            if time.monotonic() > until:
                break
            worker = worker or _Worker(attempt)
            outcome = worker.outcome(number)
            if outcome.startswith(("hang", "died")):
                worker.end()
                worker = None
            yield number, outcome
    finally:
        if worker is not None:
            worker.end()


class _Worker:
    """A process that tries numbers as they are sent."""

    def __init__(self, attempt: Try) -> None:
        context = multiprocessing.get_context("fork")
        self._numbers, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(attempt, theirs), daemon=True)
        self._process.start()
        theirs.close()

    def outcome(self, number: int) -> str:
        self._numbers.send(number)
        begun, used = time.monotonic(), self._used()
        while not self._numbers.poll(0.5):
            if self._used() - used > LONGEST or time.monotonic() - begun > WAITING:
                return f"hang: after {self._used() - used:.1f} s of processor time"
        try:
            answer: str = self._numbers.recv()
        except EOFError:
            self._process.join(5)
            return f"died: exit code {self._process.exitcode}"
        return answer

    def _used(self) -> float:
        """Return the processor time of the process so far [s]."""
        try:
            times = psutil.Process(self._process.pid).cpu_times()
        except psutil.Error:  # it died
            return 0.0
        return float(times.user + times.system)

    def end(self) -> None:
        self._numbers.close()
        if self._process.is_alive() and self._process.pid is not None:
            os.kill(self._process.pid, signal.SIGKILL)
        self._process.join()


def _serve(attempt: Try, numbers: Connection) -> None:
    # Besides what the process has by then: one that has compiled kernels has gigabytes.
    most = psutil.Process().memory_info().vms + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))
    while True:
        try:
            number = numbers.recv()
        except (EOFError, OSError):
            return
        numbers.send(attempt(number))
