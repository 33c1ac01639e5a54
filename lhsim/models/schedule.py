"""The messages of an open workload before anybody runs it: who sends to whom, and when.

It holds the very numbers that a simulation draws under the same seed, so that a live run and its
simulation can have the same messages at the same times.
"""

from __future__ import annotations

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
    kinds = workload.kinds
    rows = [
        (time, sender, number * copies + copy)
        for sender in workload.senders(agents)
        if (number_of_class := population.class_of(sender)) not in workload.silent
        for number, time in enumerate(
            _times(kinds[number_of_class], sender, starts[sender], until, seed)
        )
        for copy in range(copies)
    ]
    rows.sort()
    times, senders, numbers = np.array(rows, float).reshape(-1, 3).T
    targets = [target_of(workload, population, sender, number, seed) for _, sender, number in rows]
    return Schedule(
        np.array(starts), senders.astype(int), numbers.astype(int), np.array(targets, int), times
    )


def _times(workload: Workload, agent: int, start: float, until: float, seed: int) -> list[float]:
    """Return when an agent sends, before `until` [s]."""
    traffic = workload.traffic
    if isinstance(traffic, OpenTraffic):
        first = Stage(traffic.first_gap, Purpose.MESSAGE_GAP, seed)
        gap = Stage(traffic.gap, Purpose.MESSAGE_GAP, seed)
        now, number = start + first.draw(agent, 0), 0
        found = []
        while now < until:
            found.append(now)
            number += 1
            now += gap.draw(agent, number)
        return found
    if isinstance(traffic, Piecewise):
        expected = Stage(traffic.expected, Purpose.MESSAGE_GAP, seed)
        found, now, number = [], start, 0
        while True:
            now += time_to_next(now, expected.draw(agent, number), traffic.schedule)
            if now >= until:
                return found
            found.append(now)
            number += 1
    if isinstance(traffic, ArrivalProcess):
        found, now = [], start
        while (now := now + traffic.time_to_next(agent, len(found), now, seed)) < until:
            found.append(now)
        return found
    allowed = "poisson, periodic or piecewise: a closed loop has no times of its own"
    raise InputError(f"is {traffic.name}", key="workload.traffic", allowed=allowed)
