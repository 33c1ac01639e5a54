"""One run: `simulate(system, agents, duration, seed) -> Result`.

The run has a warm-up, in which nothing counts, a window in which the cohort of messages is created,
and a drain, in which the last of them may still be delivered. How long each of them is where nobody
says: `lhsim.simulation.horizons` ::

    0 ......... warmup ................... duration - drain ........ duration
                [ cohort: messages created                )
                [ rates, counters and utilisations                          )
"""

from __future__ import annotations

import math

from lhsim.errors import InputError
from lhsim.metrics.account import Window
from lhsim.models.system import System
from lhsim.models.workload import check_count
from lhsim.simulation import engines, memory
from lhsim.simulation.engines import ENGINES
from lhsim.simulation.horizons import Horizon, settled_by, times
from lhsim.simulation.result import Result
from lhsim.simulation.run import SAMPLES, Run
from lhsim.streams import check_seed

__all__ = ["ENGINES", "MEANING", "SAMPLES", "Result", "simulate"]

# The version of what a run means. To be raised by whoever changes a figure of an unchanged run:
# results that were kept under another one are not used again.
MEANING = 2


def simulate(
    system: System | str,
    *,
    agents: int,
    duration: float | None = None,
    seed: int = 1,
    engine: str = "auto",
    warmup: float | None = None,
    drain: float | None = None,
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
        Simulated time, warm-up and drain included [s]. A closed loop that has sent all it has to
        ends sooner. None: a window of at least 20 s and 20,000 messages, as in `lhsim.sweep`, with
        a warm-up before and a drain after it; for a closed loop 60 s, more where it starts slowly.
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
    system = _system(system)
    check_count(system.workload, agents)
    check_seed(seed)
    _check_samples(samples)
    name, reason = engines.choose(engine, system)
    window = _window(system, agents, duration, warmup, drain)
    memory.check(system, agents, window.end, name, keep=keep_messages)
    with engines.rare_garbage_collection():
        started = engines.start(name, system, agents, seed, window, keep_messages=keep_messages)
        run = Run(
            started,
            system,
            agents,
            window,
            stop_when_overloaded=stop_when_overloaded,
            samples=samples,
        )
    return run.result(seed, window.end, reason, settled_by(system, agents))


def _system(system: System | str) -> System:
    if isinstance(system, System):
        return system
    from lhsim.library import load_system  # noqa: PLC0415

    return load_system(system)


def _window(
    system: System, agents: int, duration: float | None, warmup: float | None, drain: float | None
) -> Window:
    if duration is not None:
        _check_time("duration", duration, positive=True)
    for key, value in (("warmup", warmup), ("drain", drain)):
        if value is not None:
            _check_time(key, value)
    found = times(system, agents, Horizon(duration=duration), warmup, drain)
    if found.warmup + found.drain >= found.duration:
        left = f"nothing of {found.duration:g} s"
        problem = f"warmup ({found.warmup:g} s) and drain ({found.drain:g} s) leave {left}"
        raise InputError(problem, key="duration", allowed="more than both together")
    return Window(found.warmup, found.duration - found.drain, found.duration)


def _check_samples(samples: object) -> None:
    if isinstance(samples, bool) or not isinstance(samples, int) or samples < 1:
        raise InputError(
            f"{samples!r} is out of range", key="samples", allowed="a whole number >= 1"
        )


def _check_time(key: str, value: object, *, positive: bool = False) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and math.isfinite(value) and (value > 0 or (value == 0 and not positive)):  # type: ignore[arg-type, operator]
        return
    bound = "> 0" if positive else ">= 0"
    raise InputError(f"{value!r} is out of range", key=key, allowed=f"a number of seconds {bound}")
