"""Service level objectives: ``p99<1500ms``, ``delivery>95%``, ``memory<5GB``.

================  ====================================  =====  ==============
metric            what it is                            limit  unit
================  ====================================  =====  ==============
``p50, p99.9``    a quantile of the end-to-end latency  <      a time
``mean``          the mean end-to-end latency           <      a time
``delivery``      messages delivered by the end         >      %
``utilization``   busy time of the busiest station      <      %
``cpu``           processor time, mean over the loops   <      %
``throughput``    messages delivered                    >      /s, /min, /h
``memory``        the most memory of the server         <      B, kB, MB, GB
================  ====================================  =====  ==============

A limit the other way round is refused: nobody wants a latency of at least a second, and a search
for it would answer the opposite question. The longest latency is no metric: it grows with the
length of a run.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from attrs import frozen

from lhsim import checks
from lhsim.analysis.measures import MORE_IS_BETTER
from lhsim.errors import InputError, unknown_name
from lhsim.units import BYTE, PER_SECOND, SECOND, Unit

if TYPE_CHECKING:
    from lhsim.simulation import Result

SHARE = Unit("1", {"%": 1e-2}, ("%",))
_UNITS = {
    "mean": SECOND,
    "delivery": SHARE,
    "utilization": SHARE,
    "cpu": SHARE,
    "throughput": PER_SECOND,
    "memory": BYTE,
}
METRICS = ("p50", "p95", "p99", *_UNITS)  # and any other quantile
_FORM = re.compile(r"\s*([A-Za-z][\w.]*)\s*(<=|>=|<|>)\s*(\S.*?)\s*")
_QUANTILE = re.compile(r"p(\d{1,2}(?:\.\d+)?)")
_ALLOWED = "METRIC<VALUE or METRIC>VALUE, such as p99<1500ms"
# What has no value where messages pile up without end; the others settle even then.
_UNSETTLED = {"mean", "delivery", "memory"}


@frozen
class Objective:
    """A limit that a figure has to keep."""

    text: str  # as it was written
    metric: str
    upper: bool  # whether the figure has to stay below the limit
    limit: float  # [s], [B], [1/s], or a share from 0 to 1

    @property
    def quantile(self) -> float | None:
        """The level of a latency quantile, from 0 to 1; None for another metric."""
        match = _QUANTILE.fullmatch(self.metric)
        return float(match[1]) / 100 if match else None

    @property
    def unit(self) -> str:
        """The symbol of the base unit of its figure and its limit; "1" for a share."""
        return _unit(self.metric).symbol

    @property
    def of_latency(self) -> bool:
        """Whether it is about latencies."""
        return self.metric == "mean" or self.quantile is not None

    @property
    def bounds(self) -> tuple[float, float]:
        """Where the figure can lie at all."""
        return 0.0, 1.0 if _UNITS.get(self.metric) is SHARE else math.inf

    def settles(self, *, overloaded: bool) -> bool:
        """Return whether the figure says something about a long run."""
        return not overloaded or not (self.of_latency or self.metric in _UNSETTLED)

    def margin(self, figure: float) -> float:
        """Return by which part of the limit a figure keeps it; negative where it does not."""
        room = self.limit - figure if self.upper else figure - self.limit
        return room / self.limit if self.limit else room

    def figure(self, result: Result) -> tuple[float, bool]:
        """Return the figure of a run, and whether it is only a lower bound of it."""
        latency, metrics = result.latency, result.metrics
        if self.metric == "cpu" and "cpu" not in result.utilization:
            problem = f"{result.system} does not use the processor of lhsim's servers"
            stations = ", ".join(result.utilization)
            allowed = f"utilization, which is that of its busiest station: {stations}"
            raise InputError(problem, source="--slo", key=self.text, allowed=allowed)
        level = self.quantile
        if level is not None:
            return latency.quantile(level), latency.is_lower_bound(level)
        if self.metric == "mean":
            count = latency.count + latency.pending
            total = float(latency.sums.sum()) + float(latency.ages.sum())
            return (total / count if count else math.nan), latency.pending > 0
        return {
            "delivery": metrics.delivery_success_rate,
            "utilization": result.utilization[result.bottleneck],
            "cpu": metrics.cpu_utilization_percent / 100,
            "throughput": metrics.messages_per_second,
            "memory": metrics.memory_peak_mb * 1e6,
        }[self.metric], False


def parse_objectives(texts: str | Iterable[str]) -> tuple[Objective, ...]:
    """Return the objectives that a text or several describe.

    Raises `InputError` for the first that has not the form, names no metric, has a wrong unit, a
    limit that no figure can keep or one on the wrong side; and for one that is there twice.
    """
    try:
        given = checks.texts(texts, "", _ALLOWED)
    except InputError as error:
        raise InputError(error.problem, source="--slo", allowed=error.allowed) from None
    if not given:
        raise InputError("there is no objective", source="--slo", allowed=_ALLOWED)
    objectives = tuple(_parse(text) for text in given)
    for number, one in enumerate(objectives):
        if one in objectives[:number]:
            allowed = "each objective once"
            raise InputError("is there twice", source="--slo", key=one.text, allowed=allowed)
    return objectives


def _parse(text: str) -> Objective:
    match = _FORM.fullmatch(text)
    if match is None:
        raise InputError(f"{text!r} is no objective", source="--slo", allowed=_ALLOWED)
    metric, sign, limit = match.groups()
    unit = _unit(metric)
    try:
        number = unit.parse(limit)
    except InputError:
        allowed = f"a number with one of {', '.join(unit.multiples)}"
        problem = f"{limit!r} is no limit of {metric!r}"
        raise InputError(problem, source="--slo", key=text.strip(), allowed=allowed) from None
    objective = Objective(text.strip(), metric, sign.startswith("<"), number)
    _check_limit(objective, unit, strict="=" not in sign)
    _check_side(objective)
    return objective


def _unit(metric: str) -> Unit:
    match = _QUANTILE.fullmatch(metric)
    if match and float(match[1]) > 0:
        return SECOND
    if metric not in _UNITS:
        raise unknown_name("metric", metric, METRICS, source="--slo")
    return _UNITS[metric]


def _check_limit(objective: Objective, unit: Unit, *, strict: bool) -> None:
    limit = objective.limit
    never = limit < 0 or (objective.upper and limit == 0)
    if unit is SHARE:
        never = never or limit > 1 or (not objective.upper and strict and limit == 1)
    if never:
        allowed = "more than 0 % and at most 100 %" if unit is SHARE else "a limit > 0"
        raise InputError("no figure keeps it", source="--slo", key=objective.text, allowed=allowed)


def _check_side(objective: Objective) -> None:
    """Refuse a limit on the side on which a figure may be as bad as it likes."""
    metric, upper = objective.metric, objective.metric not in MORE_IS_BETTER
    if objective.upper == upper:
        return
    what = "a latency" if objective.of_latency else metric
    wrong, right = ("<", ">") if objective.upper else (">", "<")
    raise InputError(
        f"{what} has {'an upper' if upper else 'a lower'} limit",
        source="--slo",
        key=objective.text,
        allowed=objective.text.replace(wrong, right),
    )
