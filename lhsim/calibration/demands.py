"""What a request costs the processor: its mean, how it depends on the load, how runs differ.

Each run tells the mean on its own day: the clock rate of a core drifts by tens of percent, and a
busy server is warmer. A line over the logarithm of the clients takes out what depends on the load;
what remains is the variation from run to run. Before any run the line is expected to be flat for a
long request, and to fall for a short one: what it takes to wake a server is a large part of that,
and the more requests there are, the less often it sleeps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from lhsim.calibration.closed_loops import Loop
from lhsim.calibration.disciplines import Alone, Candidate, pace_of
from lhsim.calibration.levels import PRIOR_DOF

Floats = NDArray[np.float64]

USUAL = 0.03  # standard deviation from run to run that is expected of a server at least
OF_A_RUN = 2.0  # times the drift within a run that are expected between runs
CLOCK = 0.08  # at most, where processor seconds are known of all runs
SLOWEST = 0.25  # at most
TREND = 0.03  # standard deviation of the slope over the logarithm of the clients beforehand
AWAKE = 1e-4  # by which a request is cheaper that need not wake the server [s]
STEEPEST = 0.15  # slope that is expected for that at most
TICK = 5e-3  # of processor seconds [s]
BEYOND = math.log(2.0)  # the calibrated loads, as a logarithm: where predictions are asked for
IN_BLOCK = 10  # requests alone of a block


@frozen
class Demand:
    """The processor time of a request."""

    mean: float  # at twice the highest load of a run [s]
    error: float  # standard deviation of its logarithm: of what the runs cannot tell of it
    moves: float  # standard deviation of the logarithm in a further run
    of_runs: tuple[float, ...]  # in each run, as a factor of the mean
    slope: float  # of its logarithm over that of the clients


def demand_of(loops: Sequence[Loop], base: Alone, found: Candidate) -> Demand:
    """Return the processor time of a request of `found`, over all runs."""
    logs = np.array([
        math.log(demand if demand is not None else found.share * base.mean * pace_of(pace))
        for demand, pace in zip(base.demands, base.paces, strict=True)
    ])  # fmt: skip
    known = np.array([demand is not None or not math.isnan(pace)
                      for demand, pace in zip(base.demands, base.paces, strict=True)])  # fmt: skip
    errors = np.array([_error(loop, base) for loop in loops])
    # Responses drift for other reasons, too, which processor seconds do not share.
    most_usual = CLOCK if all(demand is not None for demand in base.demands) else SLOWEST
    usual = math.hypot(USUAL, min(OF_A_RUN * drift(loops), most_usual))
    clients = np.log([loop.clients for loop in loops])
    variances = np.where(known, errors**2 + usual**2, math.inf)
    if not known.any():
        variances = errors**2 + usual**2
    known_demand = any(demand is not None for demand in base.demands)
    falls = min(AWAKE / math.exp(float(logs.mean())), STEEPEST) if known_demand else 0.0
    line = _Line.through(clients, logs, variances, falls)
    top = float(clients.max()) + BEYOND
    rest = logs - line.at(clients)
    excess = np.maximum(rest**2 - errors**2, 0.0)[known]
    whole = PRIOR_DOF + max(len(excess) - 1, 0)
    variance = (PRIOR_DOF * usual**2 + float(excess.sum())) / whole
    # Some ask for loads of the runs, some for four times as many.
    error = math.hypot(line.error(top), BEYOND * line.slope)
    factors = np.exp(np.where(known, logs - line.at(top), 0.0))
    return Demand(math.exp(line.at(top)), error, math.sqrt(variance * whole / (whole - 2)),
                  tuple(factors.tolist()), line.slope)  # fmt: skip


@frozen
class _Line:
    """A straight line, and how uncertain it is."""

    centre: float
    level: float  # there
    slope: float
    level_error: float  # standard deviation
    slope_error: float

    @classmethod
    def through(cls, x: Floats, y: Floats, variances: Floats, falls: float) -> _Line:
        """Return the line through points, expected to fall by `falls` beforehand."""
        weights = 1 / variances
        centre = float(np.average(x, weights=weights))
        level = float(np.average(y, weights=weights))
        before = 1 / (TREND**2 + falls**2)
        precision = float((weights * (x - centre) ** 2).sum()) + before
        rises = float((weights * (x - centre) * (y - level)).sum())
        return cls(centre, level, (rises - falls * before) / precision,
                   1 / math.sqrt(float(weights.sum())), 1 / math.sqrt(precision))  # fmt: skip

    def at(self, x: Any) -> Any:
        """Return its height."""
        return self.level + self.slope * (x - self.centre)

    def error(self, x: float) -> float:
        """Return the standard deviation of its height."""
        return math.hypot(self.level_error, self.slope_error * (x - self.centre))


def _error(loop: Loop, base: Alone) -> float:
    """Return the standard deviation of a run's mean, as a logarithm: its requests are few."""
    requests = len(loop.run.log)
    spread = float(base.times.std()) / base.mean
    if loop.run.cpu_seconds is not None:
        return math.hypot(spread / math.sqrt(requests), TICK / loop.run.cpu_seconds)
    return spread / math.sqrt(max(int(loop.alone.sum()), 1))


def drift(loops: Sequence[Loop]) -> float:
    """Return how far the response of requests alone drifts within a run, as a standard deviation.

    Blocks of a run are compared; what their few requests add by chance is subtracted.
    """
    squares, chances, dof = 0.0, 0.0, 0
    for loop in loops:
        logs = np.log(np.maximum(loop.run.log.response[loop.alone], 1e-9))
        blocks = len(logs) // IN_BLOCK
        if blocks < 3:
            continue
        parts = np.array_split(logs, min(blocks, 10))
        means = np.array([part.mean() for part in parts])
        chance = float(np.mean([part.var(ddof=1) / len(part) for part in parts]))
        squares += float(means.var(ddof=1)) * (len(parts) - 1)
        chances += chance * (len(parts) - 1)
        dof += len(parts) - 1
    if not dof:
        return 0.0
    # What a standard error of a variance explains is no drift.
    return math.sqrt(max(squares - chances * (1 + math.sqrt(2 / dof)), 0.0) / dof)
