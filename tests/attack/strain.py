"""A bridge under garbage for as long as one likes, and what that did to it.

A failure is an answer of 5xx that is not a stated 503, a traceback or a flood in its log, memory or
descriptors that grow with the requests, and an end that is not clean.
"""

from __future__ import annotations

import asyncio
import itertools
import signal
import tempfile
import time
from collections import Counter
from pathlib import Path

import psutil
from attrs import frozen
from bridges import LONGEST_END, Bridge
from garbage import OPTIONS, requests, throw
from watch import Tally

from lhsim.live.client import BridgeClient

AT_ONCE = 12
SETTLED = 0.3  # of the requests, after which memory is looked at for the first time
# Of the memory each request may leave, until the collector of cycles comes, after 500,000 objects:
# from then on it does not grow, however many requests there are.
GROWTH, MOST_GROWTH = 5_000, 100_000_000  # [B]
DESCRIPTORS = 20  # more than at the start
LOG_LINES = 100  # of an attack of any length
AFTERWARDS = 30.0  # in which connections are let go [s]


@frozen
class Use:
    """What a process holds."""

    memory: int  # [B]
    descriptors: int


def strained(store: str, seed: int, seconds: float, most: int) -> Tally:
    """Throw garbage at a bridge for so long, or so many; return what went wrong."""
    with tempfile.TemporaryDirectory(prefix="lhsim-") as folder:
        place = str(Path(folder) / "events.db") if store == "sqlite" else store
        bridge = Bridge(Path(folder), place)
        bridge.start(*OPTIONS)
        try:
            server = psutil.Process(bridge.process.pid)
            before = use(server)
            answers, halfway = asyncio.run(_thrown(bridge.url, server, seed, seconds, most))
            failures = _of_answers(answers) + _of_use(server, before, halfway, answers.total())
            begun = time.monotonic()
            code = bridge.end()
            failures += _of_end(code, time.monotonic() - begun, bridge.log)
        finally:
            bridge.end(signal.SIGKILL)
    examples = tuple(
        f"requests, seed {seed}: {what}: {number}" for what, number in failures.items()
    )
    return Tally(answers.total(), dict(failures), examples)


def use(process: psutil.Process) -> Use:
    """Return what a process holds now."""
    return Use(process.memory_info().rss, process.num_fds())


async def _thrown(
    url: str, server: psutil.Process, seed: int, seconds: float, most: int
) -> tuple[Counter[tuple[str, int | None]], tuple[int, Use]]:
    """Throw garbage; return the answers, and what the server held on the way, after how many."""
    answers: Counter[tuple[str, int | None]] = Counter()
    begun = time.monotonic()
    marks: list[tuple[int, Use]] = []
    async with await BridgeClient.connect(url, "mallory") as mallory:
        attacks = itertools.islice(requests(seed, mallory.token), most)

        async def attack() -> None:
            for one in attacks:
                spent = time.monotonic() - begun
                if spent > seconds:
                    return
                if not marks and max(spent / seconds, answers.total() / most) > SETTLED:
                    marks.append((answers.total(), use(server)))
                answers[one.protocol, await throw(url, one)] += 1

        await asyncio.gather(*(attack() for _ in range(AT_ONCE)))
    return answers, marks[0] if marks else (answers.total(), use(server))


def _of_answers(answers: Counter[tuple[str, int | None]]) -> Counter[str]:
    wrong: Counter[str] = Counter()
    for (protocol, status), number in answers.items():
        if status is not None and status >= 500 and status != 503:
            wrong[f"{protocol}: status {status}"] += number
        if protocol == "http" and status is None:
            wrong["http: no answer"] += number
    return wrong


def _of_use(
    server: psutil.Process, before: Use, halfway: tuple[int, Use], total: int
) -> Counter[str]:
    wrong: Counter[str] = Counter()
    number, then = halfway
    deadline = time.monotonic() + AFTERWARDS
    while (now := use(server)).descriptors > before.descriptors + DESCRIPTORS:
        if time.monotonic() > deadline:
            wrong["descriptors are left"] = now.descriptors - before.descriptors
            break
        time.sleep(0.5)
    if now.memory - then.memory > min(GROWTH * (total - number) + 10_000_000, MOST_GROWTH):
        wrong[f"memory grew by {(now.memory - then.memory) / 1e6:.0f} MB"] = 1
    return wrong


def _of_end(code: int, seconds: float, log: str) -> Counter[str]:
    wrong: Counter[str] = Counter()
    if code != 0 or seconds > LONGEST_END:
        wrong[f"end: exit code {code} after {seconds:.1f} s"] = 1
    if "Traceback" in log:
        wrong["traceback in the log"] = log.count("Traceback")
    if log.count("\n") > LOG_LINES:
        wrong["lines in the log"] = log.count("\n")
    return wrong
