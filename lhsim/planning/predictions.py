"""What one further run of a server would show: prediction intervals from a calibrated system.

Each joint sample of the parameters is one day of the server, and its costs vary as runs of one load
do (`lhsim.planning.samples`). It is simulated under a seed of its own, for as long as the runs of
the calibration were, so that the figures of all samples spread as those of further runs would:
parameters, variation from run to run, and chance at once. Between two order statistics of n such
figures lies one more of their kind with a known probability, whatever their distribution (Wilks
1941, Ann. Math. Stat. 12, 91-96). What the system misses where it was calibrated adds to either
side as the root of the sum of squares, on a logarithmic scale; what of it has a sign, to one side.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import attrs
import numpy as np

from lhsim.execution import Cell
from lhsim.models import Calibration
from lhsim.planning.samples import in_runs, samples_of
from lhsim.simulation.horizons import Horizon, times
from lhsim.simulation.settling import cycle_time
from lhsim.streams import replication_seed

if TYPE_CHECKING:
    from lhsim.models import System
    from lhsim.simulation import Result

CONFIDENCE = 0.9
SIGMAS = 1.645  # of a normal distribution to either end
COUNTED = 3e-3  # of a figure: the ends of a window, clocks, timers of clients
# By how much a latency is missed, as a logarithm, at loads e times those of the runs. Measured
# on servers that nobody here wrote (docs/explanation/foreign.md): 0.1 to 1.
PER_STEP = 0.25
LONGEST = 120.0  # window of a run that is simulated [s]
# The figures by their columns, the names of what is missed of them, and where they end.
FIGURES = {
    "messages_per_second": ("throughput", math.inf),
    "utilization": ("cpu", 1.0),
    "p50_latency_ms": ("latency_p50", math.inf),
    "p95_latency_ms": ("latency_p95", math.inf),
    "p99_latency_ms": ("latency_p99", math.inf),
}
MOST_UNKNOWN = 0.1  # of the runs, in which a figure may be unknown
TINY = 1e-12

Intervals = Mapping[str, tuple[float, float]]  # by column, in its unit


def predictable(system: System) -> bool:
    """Return whether a system has what predictions are made of: samples, and what a run is.

    That are requests of clients, or open runs as long as those of message logs. The default systems
    say nothing of the length of runs.
    """
    known = system.calibration
    if known is None or not known.samples:
        return False
    return system.requests is not None or known.window is not None


def prediction_cells(system: System, agents: int, seed: int, engine: str) -> list[Cell]:
    """Return a run of each sample of the parameters, as of one further run."""
    calibration = system.calibration
    assert calibration is not None
    window = min(calibration.window or LONGEST, LONGEST)
    found = times(system, agents, Horizon(messages=0, shortest=window))
    plain = [attrs.evolve(one, calibration=None) for one in in_runs(samples_of(system))]
    # Clients in step send in bursts: how many fall into a window depends on where it begins.
    cycle = min(cycle_time(system, agents), window) if system.requests is not None else 0.0
    found_cells = []
    for number, one in enumerate(plain, start=1):
        warmup = found.warmup + cycle * (number - 0.5) / len(plain)
        run = replication_seed(seed, number)
        length = warmup + window + found.drain
        found_cells.append(Cell(one, agents, length, run, engine, warmup, found.drain))
    return found_cells


def intervals(system: System, runs: Sequence[Result]) -> Intervals:
    """Return the 90 % prediction interval of each figure; of those that nearly all runs have."""
    rows = [run.row() for run in runs]
    known = system.calibration or Calibration()
    found = {}
    for column, (name, most) in FIGURES.items():
        if name == "cpu" and system.requests is None:
            continue  # message logs do not show it, however well a model meets their delays
        values = np.array([float(row[column]) for row in rows])
        finite = np.isfinite(values)
        # A sample at the edge of what the runs allow may be overloaded, so that its p99 lies beyond
        # the end of its run. A tenth of such samples is no more than the interval leaves out. More
        # of them say that the figure may have no bound, and an interval without them would lie.
        if np.mean(~finite) <= MOST_UNKNOWN:
            some = values[finite]
            miss = known.misses.get(name, 0.0)
            if system.requests is not None and name.startswith("latency"):
                miss = math.hypot(miss, PER_STEP * _steps_beyond(known, runs))
            low, high = interval(some, miss, known.biases.get(name, 0.0))
            found[column] = low, min(high, most)
    return found


def _steps_beyond(known: Calibration, runs: Sequence[Result]) -> float:
    """Return how far the load of runs lies above that of the calibration, as a logarithm."""
    if known.agents is None:
        return 0.0
    return max(math.log(runs[0].agents / known.agents[1]), 0.0)


def interval(values: np.ndarray, miss: float = 0.0, bias: float = 0.0) -> tuple[float, float]:
    """Return an interval of one more value of a kind.

    Parameters
    ----------
    values
        Some of that kind, > 0.
    miss, bias
        Of the logarithm by which the model of them was off: its root mean square, and its mean,
        below 0 where the model was too low.
    """
    logs = np.log(np.maximum(values, TINY))
    tail = (1 - CONFIDENCE) / 2
    low, middle, high = np.quantile(logs, (tail, 0.5, 1 - tail), method="weibull").tolist()
    more = SIGMAS * math.hypot(math.sqrt(max(miss**2 - bias**2, 0.0)), COUNTED)
    return (
        math.exp(middle - math.hypot(middle - low, more) - max(bias, 0.0)),
        math.exp(middle + math.hypot(high - middle, more) + max(-bias, 0.0)),
    )
