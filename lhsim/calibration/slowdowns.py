"""Spells in which the server's core is slow, from those that were measured in the runs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lhsim.calibration.points import LEVELS
from lhsim.distributions import Exponential, Quantiles
from lhsim.models.cpu import Slowdowns
from lhsim.recording import Manifest

FEWEST = 5  # spells, or there are none


def slowdowns(runs: Sequence[Manifest]) -> Slowdowns | None:
    """Return spells as long and as frequent as in some runs.

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
        factor=float(np.average([one.factor for one in found], weights=lengths)),
    )
