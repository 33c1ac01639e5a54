"""How long a run lasts, and what of it counts: one rule, wherever a run is asked for.

::

    warm-up = lead + window / 10     lead: all agents have started, and the work of it is done
    window  = as long as it takes for so many messages, and so many seconds at least, and where
              the server saturates, to see that the backlog grows
    drain   = window / 4, at most 5 s

The lead is `lhsim.simulation.settling.settling_time` with a margin. A duration that is given is
that of the whole run: the window is as long as makes the three add up to it. Where the lead leaves
neither half of it nor the shortest window, it is cut to a quarter, so that growth from early on
shows what is overloaded: the run has a short warm-up, and says so.

Nobody knows the rate of a closed loop beforehand: a run of it lasts 60 s, or longer where the lead
is long. A loop with an end has few messages, which count but for those of the lead: there is no
tenth of a window before them, no drain, and the lead takes a quarter of the time that the loop
lasts at least, at most. Of two agents all messages count. Such a loop is called short of warm-up
only where its agents make a crowd: where their start keeps the server busy for more than half of
the time in which they start.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from attrs import frozen

from lhsim.simulation.settling import (
    cycle_time,
    growing_time,
    settled_after,
    settling_time,
    shortest_loop,
    start_work,
)

if TYPE_CHECKING:
    from lhsim.models import System

MARGIN = 1.25  # for what the closed form of the settling time leaves out: collections, chance
CUT = 0.25  # of a duration, which a lead takes that does not fit
LONGEST_DRAIN = 5.0  # [s]
CLOSED_LOOP = 60.0  # of a run whose rate nobody knows beforehand [s]
PAIR = 2  # agents, of whom none waits behind more than one other
CYCLES = 5  # of clients that a window holds at least
CROWD = 0.5  # of the time in which agents start, for which they keep the server busy


@frozen
class Horizon:
    """What is asked of the length of a run."""

    messages: int = 20_000  # at least, created in the measured window
    shortest: float = 20.0  # measured window at least [s]
    duration: float | None = None  # of the whole run, instead of the above [s]


@frozen
class Times:
    """When a run begins to count, when it ceases to, and when it ends."""

    warmup: float  # [s]
    drain: float  # [s]
    duration: float  # of all of it [s]


def times(
    system: System,
    agents: int,
    horizon: Horizon,
    warmup: float | None = None,
    drain: float | None = None,
) -> Times:
    """Return the times of a run; a warm-up or a drain that is given stays as it is."""
    lead, duration = lead_time(system, agents), horizon.duration
    rate = system.offered_load(agents)
    if duration is None and system.requests is not None and not _ends(system):
        return _of_clients(system, agents, horizon, warmup, drain)
    if duration is None and rate is None:
        duration = max(CLOSED_LOOP, lead / CUT)
    if _ends(system):
        assert duration is not None, "nobody knows the rate of a closed loop"
        shortest = min(duration, shortest_loop(system, agents))
        lead = min(lead, CUT * shortest) if agents > PAIR else 0.0
        return Times(_given(warmup, lead), _given(drain, 0.0), duration)
    if duration is None:
        assert rate is not None
        window = max(horizon.shortest, horizon.messages / rate, growing_time(system, agents))
    else:
        lead = _fitting(lead, duration, horizon.shortest)
        window = _window(duration, lead, warmup, drain)
    warmup = _given(warmup, lead + window / 10)
    drain = _given(drain, _drain(window))
    # Without a duration the drain comes on top, so that the window holds its messages.
    return Times(warmup, drain, warmup + window + drain if duration is None else duration)


def _of_clients(
    system: System, agents: int, horizon: Horizon, warmup: float | None, drain: float | None
) -> Times:
    """Return the times of a run of clients, or of who sends requests at a rate.

    The most that they can ask for is known, and that is the rate of the requests or a little less.
    """
    rate, shortest = system.offered_load(agents), horizon.shortest
    if rate is None:
        cycle = cycle_time(system, agents)
        at_a_time = system.workload.traffic.at_a_time
        rate = agents * at_a_time / cycle if cycle > 0 else math.inf
        shortest = max(shortest, CYCLES * cycle)
    window = max(shortest, horizon.messages / rate if rate > 0 else 0.0)
    warmup = _given(warmup, lead_time(system, agents) + window / 10)
    drain = _given(drain, _drain(window))
    return Times(warmup, drain, warmup + window + drain)


def lead_time(system: System, agents: int) -> float:
    """Return how long a run waits for the start of all agents, and the work that it makes [s]."""
    return system.workload.started_by + MARGIN * settling_time(system, agents)


def settled_by(system: System, agents: int) -> float:
    """Return from when on a run shows nothing of its start any more, by the closed form [s].

    0 where the start is a part of what is asked: for loads that change, or that faults interrupt,
    and for loops with an end whose agents make no crowd.
    """
    changes = math.isfinite(system.workload.traffic.period) or bool(system.faults)
    if changes or (_ends(system) and not _crowds(system, agents)):
        return 0.0
    return system.workload.started_by + settled_after(system, agents)


def _ends(system: System) -> bool:
    return math.isfinite(system.workload.traffic.messages_of_a_sender)


def _fitting(lead: float, duration: float, shortest: float) -> float:
    """Return what a run of a given duration leaves out of its start [s]."""
    left = duration - lead
    fits = left >= duration / 2 or left >= 1.1 * shortest + _drain(shortest)
    return lead if fits else CUT * duration


def _drain(window: float) -> float:
    return min(LONGEST_DRAIN, window / 4)


def _crowds(system: System, agents: int) -> bool:
    """Return whether agents wait for each other when they start."""
    busy = start_work(system, agents)
    return agents > PAIR and busy > CROWD * system.workload.started_by


def _window(duration: float, lead: float, warmup: float | None, drain: float | None) -> float:
    """Return the window with which a run lasts for `duration` [s]."""
    rest = duration - _given(warmup, lead) - _given(drain, 0.0)
    parts = 1.1 if warmup is None else 1.0
    if drain is not None:
        return max(0.0, rest / parts)
    window = rest / (parts + 0.25)
    if window / 4 > LONGEST_DRAIN:
        window = (rest - LONGEST_DRAIN) / parts
    return max(0.0, window)


def _given(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value
