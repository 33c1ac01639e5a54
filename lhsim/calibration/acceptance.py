"""Whether a model holds on what it was calibrated on: else it is none.

A figure is missed by so many of its errors, which cover the chance of the runs and what a model of
this kind may be off at best. Beyond `MOST_ERRORS` the model is another server's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from lhsim.errors import InputError
from lhsim.units import format_duration

MOST_ERRORS = 5.0
SAME = 0.05  # part by which a figure may be off in any case


def missed(targets: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the figures that a model misses by more than their errors explain, the worst first.

    Parameters
    ----------
    targets
        ``live`` and ``simulated`` figures, the ``miss`` of one as a part of the other, and the
        ``error`` of ``off``, the difference of their logarithms.
    """
    found = [
        one for one in targets if not _errors(one) <= MOST_ERRORS and not abs(one["miss"]) <= SAME
    ]
    return sorted(found, key=_errors, reverse=True)


def _errors(target: Mapping[str, Any]) -> float:
    return abs(float(target["off"])) / float(target["error"])


def check(targets: Iterable[Mapping[str, Any]], source: str) -> None:
    """Refuse a model that misses its own calibration.

    Raises
    ------
    InputError
        With the figure that is missed most.
    """
    worst = missed(targets)
    if worst:
        problem = f"no model fits: at {sentence(worst[0])}"
        allowed = "logs of one server that one queue or one poll interval explains"
        raise InputError(problem, source=source, allowed=allowed)


def sentence(target: Mapping[str, Any]) -> str:
    """Return what is missed, and by how much."""
    live, simulated = (_figure(target["metric"], target[side]) for side in ("live", "simulated"))
    return f"{target['level']} {target['metric']} is {live} in the log and {simulated} in the model"


def _figure(metric: str, value: float) -> str:
    if "_p" in metric and math.isfinite(value):
        return format_duration(float(f"{value:.3g}"))
    return f"{value:.4g}"
