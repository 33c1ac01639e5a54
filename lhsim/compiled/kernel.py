"""The loop over the events: what is compiled, once for each architecture.

A kernel runs until a time, and comes back earlier when it needs more room, or after so many events
that the caller may have something else to do, such as to notice Ctrl-C.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lhsim._jit import inlined, jit
from lhsim.compiled import polling, push, requests
from lhsim.compiled.ledger import has_records, has_room
from lhsim.compiled.log import forget, has_log
from lhsim.compiled.queue import TOO_SHORT, next_event, next_ready, retune
from lhsim.compiled.senders import send, start
from lhsim.compiled.sharing import slice_over
from lhsim.compiled.state import (
    DONE,
    FAILURES,
    NOBODY,
    NONE,
    PLAIN,
    SLICE_OVER,
    SOME,
    WITH_FAILURES,
    WITH_OPTIONS,
    WITH_WORLD,
    WORLD,
    State,
)
from lhsim.compiled.stations import begin, complete
from lhsim.compiled.views import attach

PATIENCE = 2.0  # before the user is told why nothing happens [s]

# Why a kernel came back.
NOTHING, REACHED, NO_ROOM, NO_RECORDS, NO_LOG, PAUSED, SHORT_DAYS = -1, 0, 1, 2, 3, 4, 5

# What is compiled, or a constant in what is; under lhsim/.
PARTS = (
    "compiled/*.py",
    "_jit.py",
    "_linking.py",
    "distributions/table.py",
    "metrics/account.py",
    "metrics/histogram.py",
    "rules.py",
    "streams.py",
)

logger = logging.getLogger(__name__)

Protocol = Callable[[State, int, int], int]


def _sources() -> str:
    """Return a digest of all that is compiled into a kernel.

    Numba keeps a kernel on disk as long as the source of its own module stays the same. As a cell
    of the function the digest becomes part of the key, so that no kernel is older than its parts.
    """
    digest = hashlib.sha256()
    root = Path(__file__).parents[1]
    for part in PARTS:
        for path in sorted(root.glob(part)):
            digest.update(path.read_bytes())
    return digest.hexdigest()


@inlined
def _run(s: State, until: float, most: int, attend: Protocol, carry: Protocol) -> int:
    for _ in range(most):
        lacking = _lacks(s)
        if lacking != NOTHING:
            return lacking
        entity = NOBODY
        if len(s.options) > 0:
            entity = next_ready(s)  # one for which there was no room before
        if entity == NOBODY:
            entity = next_event(s, until)
            if entity == NOBODY:
                if len(s.options) > 0:
                    forget(s, until)  # for the state of the system by then
                return REACHED
            if entity == TOO_SHORT:
                return SHORT_DAYS
            entity = _happen(s, entity)
        while entity != NOBODY:
            _go_on(s, entity, attend, carry)
            if len(s.options) > 0 and s.queue[0].ready >= 0 and _lacks(s) != NOTHING:
                break
            entity = next_ready(s)
    return PAUSED


@inlined
def _lacks(s: State) -> int:
    """Return what has to grow before one more entity goes on, or NOTHING."""
    if not has_room(s):
        return NO_ROOM
    if not has_records(s):
        return NO_RECORDS
    if len(s.options) > 0 and not has_log(s):
        return NO_LOG
    return NOTHING


@inlined
def _happen(s: State, entity: int) -> int:
    """Let the event of an entity happen; return the entity that goes on by it, or NOBODY."""
    if 2 * s.settings[0].agents <= entity < 3 * s.settings[0].agents:
        send(s, entity)
        return next_ready(s)
    if len(s.options) > 0 and s.events[entity].phase == SLICE_OVER:
        job = slice_over(s, entity)
        return job if job >= 0 else next_ready(s)
    complete(s, entity)
    return entity


@inlined
def _go_on(s: State, entity: int, attend: Protocol, carry: Protocol) -> None:
    """Let an entity go on from phase to phase, up to the next that takes time."""
    phase = s.events[entity].phase
    while True:
        if entity < 2 * s.settings[0].agents:
            phase = attend(s, entity >> 1, phase)
        else:
            phase = carry(s, entity, phase)
        if phase == DONE or begin(s, entity, phase):
            return


def _kernels(sources: str) -> tuple[Any, Any, dict[tuple[str, int], Any]]:
    @jit
    def start_agents(memory: Any) -> None:
        _ = sources
        start(attach(memory.ctypes.data, NONE))

    @jit
    def retune_calendar(memory: Any, days_per_second: float) -> None:
        _ = sources
        retune(attach(memory.ctypes.data, NONE), days_per_second)

    @jit
    def run_polling(memory: Any, until: float, most: int) -> int:
        _ = sources
        return _run(attach(memory.ctypes.data, NONE), until, most, polling.attend, polling.carry)

    @jit
    def run_push(memory: Any, until: float, most: int) -> int:
        _ = sources
        return _run(attach(memory.ctypes.data, NONE), until, most, push.attend, push.carry)

    @jit
    def run_polling_with_options(memory: Any, until: float, most: int) -> int:
        _ = sources
        return _run(attach(memory.ctypes.data, SOME), until, most, polling.attend, polling.carry)

    @jit
    def run_push_with_options(memory: Any, until: float, most: int) -> int:
        _ = sources
        return _run(attach(memory.ctypes.data, SOME), until, most, push.attend, push.carry)

    @jit
    def run_requests(memory: Any, until: float, most: int) -> int:
        _ = sources
        state = attach(memory.ctypes.data, WORLD)
        return _run(state, until, most, requests.attend, requests.carry)

    @jit
    def run_polling_with_failures(memory: Any, until: float, most: int) -> int:
        _ = sources
        state = attach(memory.ctypes.data, FAILURES)
        return _run(state, until, most, polling.attend, polling.carry)

    @jit
    def run_push_with_failures(memory: Any, until: float, most: int) -> int:
        _ = sources
        state = attach(memory.ctypes.data, FAILURES)
        return _run(state, until, most, push.attend, push.carry)

    runs = {
        ("polling", PLAIN): run_polling,
        ("push", PLAIN): run_push,
        ("polling", WITH_OPTIONS): run_polling_with_options,
        ("push", WITH_OPTIONS): run_push_with_options,
        ("requests", WITH_WORLD): run_requests,
        ("polling", WITH_FAILURES): run_polling_with_failures,
        ("push", WITH_FAILURES): run_push_with_failures,
    }
    return start_agents, retune_calendar, runs


start_agents, retune_calendar, RUNS = _kernels(_sources())


def load(run: Any, memory: Any) -> None:
    """Compile a kernel, or read it from Numba's cache; tell the user where that takes long."""
    if run.signatures:
        return
    text = "lhsim: compiling the engine, which takes up to a minute; it is kept for the next time"
    notice = threading.Timer(PATIENCE, logger.warning, [text])
    notice.daemon = True
    notice.start()
    try:
        run(memory, 0.0, 0)
    finally:
        notice.cancel()
