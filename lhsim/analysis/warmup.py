"""Warm-up by MSER-5: how much of the beginning of a run is better left out.

The series is cut into batches of five, and truncated where that makes the marginal standard error
of the mean of the rest least: with batch means Z_1 ... Z_k, of which d are left out ::

    MSER(d) = sum over i > d of (Z_i - Z(d))^2 / (k - d)^2,   Z(d) the mean of the rest

White (1997), An effective truncation heuristic for bias reduction in simulation output, Simulation
69, 323-334; White, Cobb and Spratt (2000), A comparison of five steady-state truncation heuristics,
Proc. Winter Simulation Conference, 755-760. A minimum beyond half of the series says that it has
not settled; the last five batches are never left out, whose spread may be small by chance (Hoad,
Robinson and Davies 2010, Automating warm-up length estimation, JORS 61, 1389-1403).

The least of a noisy function lies somewhere: in a series without any start-up, of 20 batches, MSER
leaves out more than a tenth in three cases of ten. So a warm-up is called too short only when what
MSER would leave out beyond it differs from the rest by more than noise does, too.
"""

from __future__ import annotations

import math

import numpy as np
from attrs import frozen
from numpy.typing import ArrayLike, NDArray

BATCH = 5  # observations
LAST = 5  # batches that are never left out
NOISE = 4.0  # standard errors; d is chosen to make them many, and neighbouring batches are alike


@frozen
class Truncation:
    """What MSER-5 would leave out of a series."""

    observations: int  # at the beginning
    time: float  # from the start [s]
    settled: bool  # False: the least error lies beyond half of the series
    short_warmup: bool  # the warm-up that was used is shorter, and what it leaves in is no noise


def truncation(time: ArrayLike, values: ArrayLike, warmup: float = 0.0) -> Truncation | None:
    """Return what MSER-5 leaves out of a series, and whether a warm-up was too short.

    Parameters
    ----------
    time
        Of the observations, equally spaced, of shape (n,) [s].
    values
        The observations, of shape (n,).
    warmup
        The warm-up that was used [s].

    Returns
    -------
    Truncation or None
        None for fewer than 50 observations, ten batches: nothing can be said.
    """
    times, series = np.asarray(time, float), np.asarray(values, float)
    batches = len(series) // BATCH
    if batches < 2 * LAST:
        return None
    means = series[: batches * BATCH].reshape(batches, BATCH).mean(axis=1)
    ends = times[: batches * BATCH].reshape(batches, BATCH)[:, -1]
    least = int(np.argmin(marginal_errors(means)))
    until = float(ends[least - 1]) if least else 0.0
    used = int(np.searchsorted(ends, warmup, side="left")) + 1 if warmup > 0 else 0
    return Truncation(
        observations=least * BATCH,
        time=until,
        settled=least <= batches / 2,
        short_warmup=least > used and _differ(means[used:least], means[least:]),
    )


def marginal_errors(means: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return MSER(d) of batch means, for d = 0, 1, ... without the last five.

    From the end to the beginning all sums are cumulative. They are of differences from the first
    batch, so that hardly a digit is lost, and none where all are equal.
    """
    rest = np.arange(len(means), 0, -1)
    centred = means - means[0]
    sums = np.cumsum(centred[::-1])[::-1]
    squares = np.cumsum(centred[::-1] ** 2)[::-1]
    errors: NDArray[np.float64] = np.maximum(squares - sums**2 / rest, 0.0) / rest**2
    return errors[: len(means) - LAST + 1]


def _differ(first: NDArray[np.float64], rest: NDArray[np.float64]) -> bool:
    """Return whether two stretches differ in their mean by more than noise, that of the rest."""
    difference = abs(float(first.mean() - rest.mean()))
    error = float(rest.std(ddof=1)) * math.sqrt(1 / len(first) + 1 / len(rest))
    return difference > NOISE * error
