"""Spells in which the server's core is slow, and what they do to it, from runs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lhsim.calibration.levels import FALL, Level, log_paces
from lhsim.calibration.points import LEVELS
from lhsim.distributions import Exponential, Quantiles
from lhsim.models import Slowdowns
from lhsim.recording import Manifest

FEWEST = 5  # spells, or there are none
EXPECTED = 0.9  # power with which costs follow the pace; measured: 0.6-1
# As much is known of it beforehand as from runs whose squared deviations of log paces add up to
# this, where costs move by 3 % besides: within 0.17.
KNOWN = 0.05


def follows(some: Sequence[Level]) -> float:
    """Return the power with which a server's costs follow the speed of its core.

    The pace is that of a piece of work in the processor's caches; what a server does may wait for
    memory, which a neighbour slows down less. It shows in the slope of the processor's time for a
    message over the mean pace, as logarithms, among runs of one load. A slower core is busier, and
    so warmer, which takes a part of the slope away.
    """
    squares, products = KNOWN, KNOWN * EXPECTED
    for level in some:
        if not level.saturated:
            paces = log_paces([run.manifest for run in level.runs])
            costs = -np.log(level.values("capacity"))
            squares += float(paces @ paces)
            products += (1 + FALL) * float(paces @ costs)
    return float(np.clip(products / squares, 0.0, 1.0))


def slowdowns(runs: Sequence[Manifest], follows: float) -> Slowdowns | None:
    """Return spells as long and as frequent as in some runs, for a server that so follows the pace.

    None where they are too few, or the pace of a run is not known.
    """
    if any(run.machine.pace is None for run in runs):
        return None
    found = [one for run in runs for one in run.machine.slowdowns]
    if len(found) < FEWEST:
        return None
    lengths = np.array([one.duration for one in found])
    fast = sum(run.end for run in runs) - float(lengths.sum())
    return Slowdowns(
        gap=Exponential(max(fast, 0.0) / len(found)),
        length=Quantiles(LEVELS, tuple(np.quantile(lengths, LEVELS).tolist())),
        factor=float(np.average([one.factor**follows for one in found], weights=lengths)),
    )
