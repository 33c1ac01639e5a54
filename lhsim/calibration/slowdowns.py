"""Spells in which the server's core is slow, from those that were measured in the runs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lhsim.calibration.levels import Level, timed
from lhsim.calibration.points import LEVELS
from lhsim.distributions import Exponential, Quantiles
from lhsim.models.cpu import Slowdowns
from lhsim.recording import Manifest, Recording

FEWEST = 5  # spells, or there are none
FEWEST_MESSAGES = 20  # inside and outside of spells
LOW = 0.25  # of the times: those that did not wait for others
QUIET = 0.4  # of the processor, up to which there are many of them
EXPECTED = 0.8  # power with which costs follow the pace; measured: 0.5-1.2
EXPECTED_ON = 300


def follows(some: Sequence[Level]) -> float:
    """Return the power with which a server's costs follow the pace of its core.

    The pace is that of a piece of work in the processor's caches; what a server does may wait for
    memory, which a neighbour slows down less, or more. It shows in the times of those who come
    inside and outside of slow spells, where nobody queues for long. What is expected beforehand
    counts like `EXPECTED_ON` messages in a spell.
    """
    weights, powers = [EXPECTED_ON], [EXPECTED]
    for level in some:
        if level.mean("cpu") < QUIET:
            for run in level.runs:
                count, power = _power(run, timed(level))
                weights.append(count)
                powers.append(power)
    return float(np.clip(np.average(powers, weights=weights), 0.0, 1.0))


def _power(run: Recording, what: str) -> tuple[int, float]:
    """Return how many messages came in the slow spells of a run, and how they were slowed down."""
    ends = run.ends[what]
    table = run.messages.dropna(subset=["sent_s", ends])
    sent, times = table["sent_s"].to_numpy(), (table[ends] - table["sent_s"]).to_numpy()
    factor = np.ones(len(sent))
    for spell in run.manifest.machine.slowdowns:
        factor[(sent >= spell.at) & (sent < spell.at + spell.duration)] = spell.factor
    slow = factor > 1
    if slow.sum() < FEWEST_MESSAGES or (~slow).sum() < FEWEST_MESSAGES:
        return 0, EXPECTED
    slower = np.log(np.quantile(times[slow], LOW) / np.quantile(times[~slow], LOW))
    return int(min(slow.sum(), (~slow).sum())), float(slower / np.log(factor[slow]).mean())


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
