"""Pauses of a server: how often it answers nobody for a while, for how long, and what brings them.

In the log of a run a pause is a gap between two answers though somebody waits for one. Some come by
themselves, as those of the host or of a collection of garbage; some come with a write, as those of
an event store that moves its log to its tables each so many pages. Over several loads the two can
be separated: the first come by time, the others by messages.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from attrs import evolve, field, frozen
from numpy.typing import NDArray
from scipy.optimize import nnls

from lhsim.calibration.levels import Level
from lhsim.calibration.points import LEVELS, stalls_of
from lhsim.distributions import Deterministic, Exponential, Mixture, Quantiles
from lhsim.models import Stalls, System
from lhsim.recording import Recording

SHORTEST = 4e-3  # what is shorter is not told from a queue [s]
OF_MEDIAN = 4.0  # times the median of a round trip, likewise
FEWEST = 5  # pauses, or there are none
MOST_SEEN = 0.9  # part of the pauses, from which on a level is trusted to show how many there are
ENOUGH = 20  # pauses that say how long they are


@frozen
class Pauses:
    """What brings pauses, and how long they are."""

    per_second: float  # that come by themselves [1/s]
    per_message: float  # that come with a write
    lengths: tuple[float, ...] = field(repr=False)  # of those that were seen [s]


def gaps(run: Recording) -> NDArray[np.float64]:
    """Return the lengths of the pauses in a run [s].

    A pause begins with the answer before it, or with the first who waits; the time that an answer
    takes anyway is not a part of it.
    """
    table = run.messages.dropna(subset=["sent_s", "acknowledged_s"])
    lengths, _ = unanswered(table["sent_s"].to_numpy(), table["acknowledged_s"].to_numpy())
    lengths = lengths - _usual(run)
    found: NDArray[np.float64] = lengths[lengths > shortest(run)]
    return found


def unanswered(
    sent: NDArray[np.float64], answered: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return for how long nobody was answered before each answer but the first, and who waited.

    Parameters
    ----------
    sent, answered
        When requests set out and answers came, in any order, shape n [s].

    Returns
    -------
    tuple
        Times in which somebody waited and nobody was answered [s], and how many waited at their
        ends, both of shape n - 1.
    """
    sent, answered = np.sort(sent), np.sort(answered)
    begins, known = answered[:-1], np.arange(1, len(answered))
    came = np.searchsorted(sent, begins, side="right")
    following = sent[np.minimum(came, len(sent) - 1)]
    starts = np.where(came > known, begins, np.maximum(following, begins))
    return answered[1:] - starts, np.searchsorted(sent, answered[1:], side="left") - known


def shortest(run: Recording) -> float:
    """Return from which length on a gap in a run is told from a queue [s]."""
    return max(SHORTEST, OF_MEDIAN * _usual(run))


def _usual(run: Recording) -> float:
    return float((run.messages["acknowledged_s"] - run.messages["sent_s"]).median())


def pauses(some: Sequence[Level], without: Sequence[Sequence[Recording]]) -> Pauses | None:
    """Return the pauses that levels show; None where they are too few.

    Parameters
    ----------
    some
        Levels at which the server keeps up.
    without
        Runs of each as a system without such pauses has them, whose queues may look like some.
    """
    seen = [np.concatenate([gaps(run) for run in level.runs]) for level in some]
    queues = [
        len(level.runs) * float(np.mean([len(gaps(run)) for run in runs]))
        for level, runs in zip(some, without, strict=True)
    ]
    lengths = _lengths(seen)
    counts = np.maximum([len(one) for one in seen] - np.array(queues), 0.0)
    if counts.sum() < FEWEST:
        return None
    mean = float(lengths.mean())
    messages = np.array([sum(len(run.messages) for run in level.runs) for level in some], float)
    seconds = np.array([len(level.runs) * level.manifest.end for level in some])
    # One that comes by itself is seen only where a message comes in it.
    visible = seconds * (1 - np.exp(-messages / seconds * mean))
    weights = 1 / np.sqrt(np.maximum(counts, 1.0))
    part = _seen(some, lengths)
    if (part >= MOST_SEEN).sum() >= 2:  # enough to tell time from messages
        weights *= part >= MOST_SEEN
    both = np.column_stack([visible, messages]) * (part * weights)[:, None]
    (per_second, per_message), _ = nnls(both, counts * weights)
    return Pauses(float(per_second), min(float(per_message), 1.0), tuple(lengths.tolist()))


def _seen(some: Sequence[Level], lengths: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return which part of the pauses is long enough to be seen at each level."""
    return np.array(
        [np.mean([(lengths > shortest(run)).mean() for run in level.runs]) for level in some]
    )


def _lengths(seen: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the lengths at the lowest loads that show enough of them.

    At a high load those who have come in the pause are served after it before anybody is answered
    who can be seen, and it looks longer than it was.
    """
    enough = 1 + next((i for i in range(len(seen)) if sum(map(len, seen[: i + 1])) >= ENOUGH),
                      len(seen) - 1)  # fmt: skip
    return np.concatenate(seen[:enough])


def without_pauses(system: System) -> System:
    """Return a system whose writes do not pause: where most take no time, the others were pauses.

    Those of a template are another server's, and would be taken off those that the runs show.
    """
    if float(system.store.write.quantile(np.array([0.5]))[0]) > 0:
        return system
    return evolve(system, store=evolve(system.store, write=Deterministic(0.0)))


def with_pauses(system: System, found: Pauses | None) -> System:
    """Return a system that has these pauses, besides shorter stalls of its host."""
    if found is None:
        return system
    values = tuple(np.quantile(found.lengths, LEVELS).tolist())
    length = Quantiles(LEVELS, values)
    if found.per_message > 0:
        parts = (1 - found.per_message, found.per_message)
        write = Mixture(parts, (system.store.write, length))
        store = evolve(system.store, write=write)
        system = evolve(system, store=store)
    if found.per_second > 0:
        stalls = _together(system.cpu.stalls, found.per_second, length)
        system = evolve(system, cpu=evolve(system.cpu, stalls=stalls))
    return system


def short_stalls(some: Sequence[Level]) -> Stalls | None:
    """Return the stalls that probes of the machine saw and no log would show."""
    machines = [run.manifest.machine for level in some for run in level.runs]
    rates = [one.stalls_per_s for one in machines if one.stalls_per_s is not None]
    lengths = [length for one in machines for length in one.stall_lengths]
    short = [length for length in lengths if length < SHORTEST]
    part = len(short) / len(lengths) if lengths else 0.0
    return stalls_of([rate * part for rate in rates], short)


def _together(stalls: Stalls | None, rate: float, length: Quantiles) -> Stalls:
    """Return stalls of which some are those that a host has anyway."""
    if stalls is None:
        return Stalls(Exponential(1 / rate), length)
    other = 1 / stalls.gap.mean
    whole = rate + other
    lengths = Mixture((other / whole, rate / whole), (stalls.length, length))
    return Stalls(Exponential(1 / whole), lengths)
