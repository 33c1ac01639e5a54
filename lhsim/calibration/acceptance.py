"""Whether a model holds on what it was calibrated on: else it is none.

A figure is missed by so many of its errors, which cover the chance of the runs and what a model of
this kind may be off at best. Beyond `MOST_ERRORS` the model is another server's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lhsim.calibration.fit import Target
from lhsim.calibration.levels import TINY
from lhsim.errors import InputError
from lhsim.units import format_duration

MOST_ERRORS = 5.0
SAME = 0.05  # part by which a figure may be off in any case


Row = Mapping[str, Any]


def compared(
    levels: Sequence[str], targets: Sequence[Target], simulated: Sequence[float]
) -> tuple[Row, ...]:
    """Return a row for each target, of which level it is, by their names, and how it is missed.

    The columns are ``level``, ``metric``, the ``live`` figure, its ``error``, the ``simulated``
    figure, the ``miss`` of it as a part of the live one, and ``off``, the difference of their
    logarithms, whose error that is.
    """
    return tuple(
        {"level": levels[target.level], "metric": target.measure, "live": target.live,
         "error": target.error, "simulated": value, "miss": value / target.live - 1,
         "off": math.log(max(value, TINY) / target.live)}
        for target, value in zip(targets, simulated, strict=True)
    )  # fmt: skip


def missed(rows: Iterable[Row], same: float = SAME) -> list[Row]:
    """Return those of `compared` that their errors do not explain, the worst first.

    None of them is off by less than `same`, a part of the live figure.
    """
    found = [
        one for one in rows if not _errors(one) <= MOST_ERRORS and not abs(one["miss"]) <= same
    ]
    return sorted(found, key=_errors, reverse=True)


def in_words(rows: Sequence[Row]) -> str:
    """Return how well a model meets its targets."""
    worst = max(abs(one["miss"]) for one in rows)
    return f"least squares; the {len(rows)} targets are missed by at most {worst:.0%}"


def _errors(row: Row) -> float:
    return abs(float(row["off"])) / float(row["error"])


def check(rows: Iterable[Row], source: str, same: float = SAME) -> None:
    """Refuse a model that misses its own calibration, by more than a part `same` of a figure.

    Raises
    ------
    InputError
        With the figure that is missed most.
    """
    worst = missed(rows, same)
    if worst:
        problem = f"no model fits: at {sentence(worst[0])}"
        allowed = "logs of one server that one queue or one poll interval explains"
        raise InputError(problem, source=source, allowed=allowed)


def sentence(row: Row) -> str:
    """Return what is missed, and by how much."""
    live, simulated = (_figure(row["metric"], row[side]) for side in ("live", "simulated"))
    return f"{row['level']} {row['metric']} is {live} in the log and {simulated} in the model"


def _figure(metric: str, value: float) -> str:
    if "_p" in metric and math.isfinite(value):
        return format_duration(float(f"{value:.3g}"))
    return f"{value:.4g}"
