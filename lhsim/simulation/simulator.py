"""Runs a system once: `simulate`."""

from __future__ import annotations

from os import PathLike

from lhsim.checks import duration as time
from lhsim.checks import truth, whole_number
from lhsim.errors import InputError
from lhsim.library import as_system
from lhsim.metrics.account import Window
from lhsim.models import System
from lhsim.models.workload import check_count
from lhsim.simulation import engines, memory
from lhsim.simulation.horizons import Horizon, settled_by, times
from lhsim.simulation.result import Result
from lhsim.simulation.run import SAMPLES, Run
from lhsim.streams import MAX_SEED

MOST_SAMPLES = 1_000_000  # of a run


def simulate(
    system: System | str | PathLike[str],
    *,
    agents: int,
    duration: float | str | None = None,
    seed: int = 1,
    engine: str = "auto",
    warmup: float | str | None = None,
    drain: float | str | None = None,
    stop_when_overloaded: bool = False,
    keep_messages: bool = False,
    samples: int = SAMPLES,
) -> Result:
    """Simulate a system with so many agents, and return what it showed.

    Parameters
    ----------
    system
        A system, or the name or file of one; see `lhsim.systems`.
    agents
        How many agents there are.
    duration
        Simulated time, warm-up and drain included: a number [s], or a text such as ``"2 min"``, as
        for all times here. A closed loop that has sent all it has to ends sooner. None: a window of
        at least 20 s and 20,000 messages, as in `lhsim.sweep`, with a warm-up before and a drain
        after it; for a closed loop 60 s, more where it starts slowly.
    seed
        From 0 to 2**63 - 1. One seed gives one result, to the bit.
    engine
        ``"simpy"``, ``"compiled"``, or ``"auto"`` for the fastest that covers the system. Both
        give the same result, to the bit; `Result.engine_reason` says why one ran.
    warmup
        Time at the start that does not count [s]. None: until all agents have started and the work
        of that is done, and for a tenth of the window more (`lhsim.simulation.horizons`). Where the
        duration leaves too little for that, `Result.short_warmup` says so.
    drain
        Time at the end in which no message joins the cohort [s]. None: a quarter of the window, at
        most 5 s; nothing for a closed loop with an end.
    stop_when_overloaded
        End the run once it is known to be overloaded.
    keep_messages
        Keep a record of each message, for `Result.messages`.
    samples
        How often the state is looked at, at equal distances: rows of `Result.timeseries`.

    Raises
    ------
    InputError
        When an argument is out of range, the name or file is no system, or the run would not fit
        in memory.
    LhsimError
        When the messages on their way no longer fit in memory.
    """
    system = as_system(system)
    agents = check_count(system.workload, whole_number(agents, "agents", 1))
    seed = whole_number(seed, "seed", 0, MAX_SEED)
    samples = whole_number(samples, "samples", 1, MOST_SAMPLES)
    keep_messages = truth(keep_messages, "keep_messages")
    stop_when_overloaded = truth(stop_when_overloaded, "stop_when_overloaded")
    engines.choose(engine, system)
    window = _window(system, agents, duration, warmup, drain)
    name, reason = engines.choose_now(engine, system, agents, window.end)
    memory.check(system, agents, window.end, name, keep=keep_messages)
    with engines.rare_garbage_collection():
        started = engines.start(name, system, agents, seed, window, keep_messages=keep_messages)
        stop = stop_when_overloaded
        run = Run(started, system, agents, window, stop_when_overloaded=stop, samples=samples)
    return run.result(seed, window.end, reason, settled_by(system, agents))


def _window(
    system: System,
    agents: int,
    duration: float | str | None,
    warmup: float | str | None,
    drain: float | str | None,
) -> Window:
    found = times(
        system,
        agents,
        Horizon(duration=None if duration is None else time(duration, "duration")),
        None if warmup is None else time(warmup, "warmup", least=0.0),
        None if drain is None else time(drain, "drain", least=0.0),
    )
    if found.warmup + found.drain >= found.duration:
        left = f"nothing of {found.duration:g} s"
        problem = f"warmup ({found.warmup:g} s) and drain ({found.drain:g} s) leave {left}"
        raise InputError(problem, key="duration", allowed="more than both together")
    return Window(found.warmup, found.duration - found.drain, found.duration)
