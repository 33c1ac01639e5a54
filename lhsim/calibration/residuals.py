"""By how much a calibrated system misses the figures of its own runs, beyond chance.

Predictions of further runs widen by it (`lhsim.planning.predictions`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from attrs import frozen


@frozen
class Residual:
    """A figure of one run: simulated over live."""

    off: float  # logarithm of the ratio
    noise: float  # variance of it by chance
    weight: float  # of the run among the others


def residual(simulated: Sequence[float], live: float, values: int) -> Residual:
    """Return by how much runs of a system miss a live figure.

    Parameters
    ----------
    simulated
        The figure of several runs of the system, > 0.
    live
        Of the run, > 0.
    values
        How many times or messages the figure is of: of a few, a quantile says little.
    """
    logs = np.log(simulated)
    noise = float(logs.var(ddof=1)) * (1 + 1 / len(logs))
    return Residual(float(logs.mean()) - math.log(live), noise, 1 / (noise + 4 / values))


def misses_of(found: Mapping[str, Sequence[Residual]]) -> tuple[dict[str, float], dict[str, float]]:
    """Return the misses and the biases of figures by their names, as `lhsim.models.Calibration`."""
    misses, biases = {}, {}
    for name, some in found.items():
        weights, logs, noises = (
            np.array([getattr(one, key) for one in some]) for key in ("weight", "off", "noise")
        )
        squares = np.maximum(logs**2 - noises, 0)
        misses[name] = math.sqrt(float(np.average(squares, weights=weights)))
        bias = float(np.average(logs, weights=weights))
        error = math.sqrt(float((weights**2 * noises).sum())) / float(weights.sum())
        biases[name] = math.copysign(max(abs(bias) - error, 0.0), bias)
    return misses, biases
