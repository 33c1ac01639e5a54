"""One run: `simulate(system, agents, duration, seed) -> Result`.

The run has a warm-up, in which nothing counts, a window in which the cohort of messages is created,
and a drain, in which the last of them may still be delivered ::

    0 ......... warmup ................... duration - drain ........ duration
                [ cohort: messages created                )
                [ rates, counters and utilisations                          )
"""

from __future__ import annotations

import math

from lhsim.errors import InputError
from lhsim.metrics.account import Window
from lhsim.models.system import System
from lhsim.models.workload import Closed, check_count
from lhsim.simulation import engines, memory
from lhsim.simulation.engines import ENGINES
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
    duration: float = 60.0,
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
        Simulated time, warm-up and drain included [s]. A closed loop that has sent all its messages
        ends sooner.
    seed
        From 0 to 2**63 - 1. One seed gives one result, to the bit.
    engine
        ``"simpy"``, ``"compiled"``, or ``"auto"`` for the fastest that covers the system. Both
        give the same result, to the bit; `Result.engine_reason` says why one ran.
    warmup
        Time at the start that does not count [s]. None: a tenth of the duration, from the start of
        the last agent on; nothing for a closed loop with an end.
    drain
        Time at the end in which no message joins the cohort [s]. None: a tenth of the duration, at
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
    window = _window(system, duration, warmup, drain)
    memory.check(system, agents, duration, name, keep=keep_messages)
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
    return run.result(seed, duration, reason)


def _system(system: System | str) -> System:
    if isinstance(system, System):
        return system
    from lhsim.library import load_system  # noqa: PLC0415

    return load_system(system)


def _window(system: System, duration: float, warmup: float | None, drain: float | None) -> Window:
    _check_time("duration", duration, positive=True)
    traffic = system.workload.traffic
    ends = isinstance(traffic, Closed) and traffic.messages is not None
    if warmup is None:
        warmup = 0.0 if ends else min(system.workload.started_by, duration / 4) + duration / 10
    if drain is None:
        drain = 0.0 if ends else min(5.0, duration / 10)
    _check_time("warmup", warmup)
    _check_time("drain", drain)
    if warmup + drain >= duration:
        problem = f"warmup ({warmup:g} s) and drain ({drain:g} s) leave nothing of {duration:g} s"
        raise InputError(problem, key="duration", allowed="more than both together")
    return Window(warmup, duration - drain, duration)


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
