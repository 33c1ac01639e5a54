"""Which engine runs a system, and why."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lhsim import _jit, compiled, models
from lhsim.checks import choice
from lhsim.errors import InputError
from lhsim.models import ArrivalProcess
from lhsim.simulation.work import seconds_with_simpy

if TYPE_CHECKING:
    from lhsim.metrics.account import Window
    from lhsim.models import System
    from lhsim.simulation.run import Engine

SOONER = "done before the compiled engine, which gives the same result, is compiled"
ENGINES = ("auto", "simpy", "compiled")


# The options that the compiled engine does not cover, and whether a system uses them: Python of the
# user's own.
ONLY_WITH_SIMPY: Mapping[str, Callable[[System], bool]] = {
    "server": lambda system: system.own_server is not None,
    "workload.traffic of your own": lambda system: isinstance(
        system.workload.traffic, ArrivalProcess
    ),
}


def only_with_simpy(system: System) -> tuple[str, ...]:
    """Return the options that a system uses and the compiled engine does not cover."""
    return tuple(path for path, is_used in ONLY_WITH_SIMPY.items() if is_used(system))


def choose(asked: str, system: System) -> tuple[str, str]:
    """Return the name of the engine that runs a system, and why, for what was asked for.

    Raise `InputError` when there is no such engine, or it does not cover the system.
    """
    asked = choice(asked, "engine", ENGINES, "engine")
    obstacle = _obstacle(system)
    if asked == "compiled" and obstacle:
        raise InputError(obstacle, key="engine", allowed="auto, simpy")
    if asked != "auto":
        return asked, "it was asked for"
    if obstacle:
        return "simpy", obstacle
    return "compiled", "the fastest engine, and it covers the whole system"


def choose_now(asked: str, system: System, agents: int, duration: float) -> tuple[str, str]:
    """Return the name of the engine that is done first with a run that begins now, and why.

    As `choose`, but SimPy where a kernel is still to be compiled, and the run is done before that:
    the results are the same, to the bit.
    """
    name, reason = choose(asked, system)
    if asked == "auto" and name == "compiled":
        left = compiled.seconds_left(compiled.kind_of(system))
        if left > 0 and seconds_with_simpy(system, agents, duration) < left:
            return "simpy", SOONER
    return name, reason


def _obstacle(system: System) -> str | None:
    """Return why the compiled engine cannot run a system, or None."""
    missing = ", ".join(only_with_simpy(system))
    if missing:
        return f"the compiled engine does not cover {missing}"
    return "NUMBA_DISABLE_JIT turns the compiler off" if _jit.OFF else None


def start(
    name: str, system: System, agents: int, seed: int, window: Window, *, keep_messages: bool
) -> Engine:
    """Return an engine at time 0."""
    if name == "compiled":
        return compiled.CompiledEngine(system, agents, seed, window, keep_messages=keep_messages)
    return models.SimpyEngine(system, agents, seed, window, keep_messages=keep_messages)


_LOCK = threading.Lock()
_BEFORE: list[tuple[int, int, int]] = []  # the thresholds that the runs under way found


@contextmanager
def rare_garbage_collection() -> Iterator[None]:
    """Let the collector look less often at the many objects of a run, nearly all of them alive.

    Events and processes are freed by their reference counts; at the default threshold the search
    for cycles among them takes a third of the time of a run with 10,000 agents. The process has
    one threshold: the last of several runs that overlap in threads puts it back.
    """
    with _LOCK:
        _BEFORE.append(gc.get_threshold())
        gc.set_threshold(1_000_000, *_BEFORE[0][1:])
    try:
        yield
    finally:
        with _LOCK:
            before = _BEFORE.pop()
            if not _BEFORE:
                gc.set_threshold(*before)
