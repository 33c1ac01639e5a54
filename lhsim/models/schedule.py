"""The messages of an open workload before anybody runs it: who sends to whom, and when.

It holds the very numbers that a simulation draws under the same seed, so that a live run and its
simulation can have the same messages at the same times.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from lhsim.errors import InputError
from lhsim.models.classes import Population
from lhsim.models.stage import Stage
from lhsim.models.workload import (
    START_KINDS,
    ArrivalProcess,
    OpenTraffic,
    Piecewise,
    Recorded,
    Traffic,
    Workload,
    target_of,
)
from lhsim.rules import start_time, time_to_next
from lhsim.streams import Purpose


@frozen(eq=False)
class Schedule:
    """Messages in the order of their times; one row of each array is one message."""

    starts: NDArray[np.float64]  # when each agent starts, by agent [s]
    sender: NDArray[np.int64] = field()
    number: NDArray[np.int64]  # of its sender, from 0 on
    target: NDArray[np.int64]
    time: NDArray[np.float64]  # when its sender means to send it [s]

    def __len__(self) -> int:
        return len(self.time)


def schedule(workload: Workload, agents: int, until: float, seed: int) -> Schedule:
    """Return the messages of so many agents that are created before `until` [s].

    Raises
    ------
    InputError
        When the traffic is a closed loop, in which the server sets the pace.
    """
    how = START_KINDS[workload.start]
    starts = [start_time(how, workload.start_over, agent, agents, seed) for agent in range(agents)]
    copies, population = workload.copies(agents), Population(workload.classes, agents)
    kinds, ranks = workload.kinds, workload.senders(agents)
    rows = [
        (time, sender, number * copies + copy)
        for rank, sender in enumerate(ranks)
        if (number_of_class := population.class_of(sender)) not in workload.silent
        for number, time in enumerate(
            _times(kinds[number_of_class], rank, sender, starts[sender], until, seed)
        )
        for copy in range(copies)
    ]
    rows.sort()
    times, senders, numbers = np.array(rows, float).reshape(-1, 3).T
    targets = [target_of(workload, population, sender, number, seed) for _, sender, number in rows]
    return Schedule(
        np.array(starts), senders.astype(int), numbers.astype(int), np.array(targets, int), times
    )


def _times(
    workload: Workload, rank: int, agent: int, start: float, until: float, seed: int
) -> list[float]:
    """Return when an agent sends, before `until` [s]; `rank` is its number among the senders."""
    gap = _gaps(workload.traffic, rank, agent, seed)
    now, found = 0.0 if isinstance(workload.traffic, Recorded) else start, list[float]()
    while (now := now + gap(len(found), now)) < until:
        found.append(now)
    return found


def _gaps(traffic: Traffic, rank: int, agent: int, seed: int) -> Callable[[int, float], float]:
    """Return the function that says how long it takes from a time to a message by its number."""
    if isinstance(traffic, OpenTraffic):
        first = Stage(traffic.first_gap, Purpose.MESSAGE_GAP, seed)
        gap = Stage(traffic.gap, Purpose.MESSAGE_GAP, seed)
        return lambda number, _: (gap if number else first).draw(agent, number)
    if isinstance(traffic, Piecewise):
        expected, rates = Stage(traffic.expected, Purpose.MESSAGE_GAP, seed), traffic.schedule
        return lambda number, now: time_to_next(now, expected.draw(agent, number), rates)
    if isinstance(traffic, Recorded):
        return lambda number, now: max(0.0, traffic.time_of(rank, number, seed) - now)
    if isinstance(traffic, ArrivalProcess):
        return lambda number, now: traffic.time_to_next(agent, number, now, seed)
    allowed = "poisson, periodic, piecewise or recorded: a closed loop has no times of its own"
    raise InputError(f"is {traffic.name}", key="workload.traffic", allowed=allowed)
