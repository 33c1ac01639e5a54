"""The speed of a core: how long a piece of work takes on it, and when it takes longer.

Two processors of a virtual machine, or of two, may be threads of one core, each of which is up to
twice as slow while the other is busy, for tens of milliseconds or for seconds. Nothing counts that
as stolen time, and a server's costs move with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lhsim.models import Slowdown

FAST = 0.1  # part of the pieces of work that are surely done at full speed
SLOWER = 1.25  # times as long as these takes a piece in a slowdown
AGREE = 3  # pieces, the middle one of which decides: one alone may have found its caches cold


def slowdowns(
    times: NDArray[np.float64], seconds: NDArray[np.float64]
) -> tuple[float, tuple[Slowdown, ...]]:
    """Return the speed of a core at its best, and when it was slower.

    Parameters
    ----------
    times
        When a piece of work was done, from the start of the run on, ascending [s].
    seconds
        How long each took.
    """
    middle = pd.Series(seconds).rolling(AGREE, center=True).median().bfill().ffill()
    slow = middle.to_numpy() > SLOWER * np.quantile(seconds, FAST)
    pace = float(seconds[~slow].mean())
    return pace, tuple(
        Slowdown(
            at=float(round(times[first], 3)),
            duration=float(round(times[last] - times[first], 3)),
            factor=max(1.0, float(round(np.median(seconds[first:last]) / pace, 3))),
        )
        for first, last in _stretches(slow)
    )


def _stretches(slow: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Yield where each slow stretch begins, and where the pace is back, or the last piece."""
    turns = np.flatnonzero(np.diff(slow, prepend=False))
    ends = [*turns.tolist(), *([len(slow) - 1] if len(turns) % 2 else [])]
    for first, last in list(pairwise(ends))[::2]:
        if last > first:
            yield first, last
