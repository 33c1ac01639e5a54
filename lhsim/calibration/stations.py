"""The stations that may serve the messages of a log: loops, or cores that share one line.

Each loop is an own queue (`fifo`), and a message stays with the one that it happens to come to: a
log does not say which. Cores share a line, first come, first served or in slices (`trace`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from attrs import evolve, frozen

from lhsim.calibration.fifo import Floats, deliveries
from lhsim.calibration.trace import passages
from lhsim.models import System

SLICES = 8.0  # of a message, that are as good as equal shares
FIFO = 1e3  # quantum that no service exceeds, for samples of one [s]


def with_quantum(system: System, samples: Mapping[str, Sequence[float]]) -> System:
    """Return a system that has a quantum where samples have some: one that no service exceeds."""
    if "cpu.quantum" not in samples or system.cpu.quantum is not None:
        return system
    return evolve(system, cpu=evolve(system.cpu, quantum=FIFO))


@frozen
class Station:
    """How many messages are served at a time, and how."""

    workers: int = 1  # loops, each with a line of its own
    cores: int = 1  # that share a line
    # For which a message keeps a core while others wait [s]; 0: equal shares; infinite: a message
    # keeps it, and loops always are so.
    quantum: float = math.inf
    early: float = 0.0  # part of the work before the delivery that is a step of its own, and waits

    @property
    def processors(self) -> int:
        """How many messages are served at a time at most."""
        return self.workers * self.cores

    @property
    def shares(self) -> bool:
        """Whether it is cores with one line, rather than loops."""
        return self.cores > 1 or not math.isinf(self.quantum)

    @property
    def is_loop(self) -> bool:
        """Whether it is one loop, of which alone warmth is looked for."""
        return self.workers == 1 and not self.shares

    @property
    def loses(self) -> bool:
        """Whether it delivers less than its capacity where more messages come than that."""
        return self.early > 0 or self.quantum == 0

    @property
    def unusual(self) -> tuple[int, bool, bool]:
        """By what stations that explain logs as well are ordered: few processors come first."""
        return self.processors, self.loses, self.shares

    @property
    def settings(self) -> dict[str, Any]:
        """The parameters of `lhsim.models.Cpu`."""
        if not self.shares:
            return {"workers": self.workers}
        return {"cores": self.cores, "quantum": None if math.isinf(self.quantum) else self.quantum}

    def left(
        self, sent: Floats, costs: Floats, places: Floats, delivering: int, warmth: Floats,
        memory: float,
    ) -> Floats:  # fmt: skip
        """Return when each message is delivered [s].

        Parameters
        ----------
        sent
            When messages come, ascending, shape n [s].
        costs
            Of their services, shape (services, n) [s].
        places
            Uniform random numbers that say to which loop each comes, shape n.
        delivering, warmth, memory
            As of `lhsim.calibration.fifo.deliveries`.
        """
        if self.shares:
            quantum = self.quantum or float(costs.sum(axis=0).mean()) / SLICES
            return np.asarray(passages(sent, costs, delivering, self.cores, quantum))
        if self.workers == 1:
            return np.asarray(deliveries(sent, costs, delivering, warmth, memory))
        found, loops = np.empty(len(sent)), (places * self.workers).astype(int)
        for loop in range(self.workers):
            own = loops == loop
            some = np.ascontiguousarray(costs[:, own])
            found[own] = deliveries(sent[own], some, delivering, warmth, memory)
        return found


LOOP = Station()
STATIONS = (
    LOOP,
    Station(early=0.5),
    Station(workers=2),
    Station(workers=4),
    Station(workers=4, early=0.5),
    Station(workers=8),
    Station(cores=2),
    Station(cores=4),
    Station(cores=4, early=0.5),
    Station(cores=8),
    Station(quantum=0.0),
    Station(cores=2, quantum=0.0),
    Station(cores=4, quantum=0.0),
    Station(cores=8, quantum=0.0),
)
