"""Stalls of a server, from request logs: when it answers nobody though somebody waits.

Others on its core take it for a slice of time, or its host stands still. A stall comes by time, a
long request with the requests: so stalls matter more the more requests there are to be held up, and
clients that think for a constant time stay bunched after one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lhsim.calibration.closed_loops import Loop
from lhsim.calibration.disciplines import Alone
from lhsim.calibration.pauses import unanswered
from lhsim.calibration.points import stalls_of
from lhsim.models import Stalls

SHORTEST = 1.5e-3  # what is shorter is not told from a request that is longer than others [s]
OF_LONGEST = 1.5  # times the work of all that wait, at what 99 % of the requests alone take at most
BUSIEST = 0.4  # of its cores: a run above that has queues that look like stalls
FEWEST = 5  # stalls, or there are none


def stalls(loops: Sequence[Loop], base: Alone, cores: int) -> Stalls | None:
    """Return the stalls that runs show in which the server has time; None where they are too few.

    Parameters
    ----------
    loops
        The runs.
    base
        What requests take that meet no queue.
    cores
        That the server has.
    """
    free = [loop for loop in loops if loop.throughput * base.mean < BUSIEST * cores]
    usual, longest = (float(np.quantile(base.times, level)) for level in (0.5, 0.99))
    seen = [unanswered(loop.run.log.start, loop.run.log.end) for loop in free]
    found = np.concatenate([
        (lengths - usual)[lengths - usual > np.maximum(SHORTEST, OF_LONGEST * longest * waiting)]
        for lengths, waiting in seen
    ] or [np.zeros(0)])  # fmt: skip
    if len(found) < FEWEST:
        return None
    # One is seen only where a request comes while it lasts.
    mean = float(found.mean())
    visible = sum(loop.run.log.span * -np.expm1(-loop.throughput * mean) for loop in free)
    return stalls_of([len(found) / visible], found.tolist())
