"""What is found of a design: how many agents it holds, until when, and on how many servers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import field, frozen

from lhsim.planning.levels import not_lost
from lhsim.planning.misfits import misfit

if TYPE_CHECKING:
    from lhsim.planning.growth import Forecast
    from lhsim.planning.levels import Question
    from lhsim.planning.odds import Found, Odds
    from lhsim.simulation import Result


@frozen
class Design:
    """What was found of a design, on one server where nothing else is said."""

    name: str
    capacity: int | None  # agents: best estimate; 0: none are held; None: no end was found
    interval: tuple[int | None, int | None]  # of the capacity, at the confidence asked for
    sure: int | None  # agents held with that confidence; None: no end was found
    binding_objective: str | None
    p_keeps: tuple[float, ...]  # at each date of the decision
    lasts_until: date | None  # last day that keeps the objectives that surely; None: not even today
    crossing_date: date | None  # first day with more agents than the capacity; None: none
    crossing_interval: tuple[date | None, date | None]
    servers_now: int | None  # that keep the objectives surely; None: no number of them does
    servers: int | None  # the most, up to the horizon
    server_months: float | None  # all of them together
    cost: float | None  # of these, in the currency; None without a cost of a server
    p50: float | None  # of the latency now [s]; None where it does not settle
    p99: float | None  # likewise [s]
    queries: float  # of the database, now [1/s]
    cpu: float | None  # use of the loops now, a share; None: the server has none
    memory: float  # peak now [B]
    delivers: float  # share of the messages that are not lost on the way, now
    extrapolated: bool  # the capacity lies beyond what the model was calibrated on
    beyond: tuple[str, ...]  # why
    unknown: tuple[str, ...]  # what the probabilities do not count: it is not known
    warnings: tuple[str, ...]  # what the calibration says against the model
    odds: Odds = field(repr=False)  # of keeping the objectives, by the number of agents

    @property
    def p_keeps_now(self) -> float:
        """The probability of keeping the objectives today."""
        return self.p_keeps[0]


def design_of(
    question: Question,
    found: Found,
    runs: Sequence[Result],
    ahead: Forecast,
    dates: Sequence[date],
    server_cost: float | None,
) -> Design:
    """Return what the odds of a design and its runs of today say, as the agents grow."""
    odds = found.odds
    system, confidence = question.system, question.confidence
    ends = [odds.holding(one) for one in ((1 + confidence) / 2, (1 - confidence) / 2)]
    sure = odds.holding(confidence)
    per_server = None if sure == math.inf else int(sure)
    sized = ahead.servers(per_server) if per_server else None
    if per_server is None:
        sized = np.ones_like(ahead.agents)
    months = None if sized is None else float(sized.mean()) * ahead.months
    capacity = None if odds.crossing == math.inf else int(odds.crossing)
    known = system.calibration
    reasons = () if known is None or not capacity else known.beyond(
        capacity, system.offered_load(capacity))  # fmt: skip
    return Design(
        name=system.name,
        capacity=capacity,
        interval=(_whole(ends[0], math.floor), _whole(ends[1], math.ceil)),
        sure=per_server,
        binding_objective=found.binding_objective,
        p_keeps=tuple(odds.keeping(max(ahead.on(day), 1)) for day in dates),
        lasts_until=_lasts(ahead, sure),
        crossing_date=ahead.first_beyond(odds.crossing),
        crossing_interval=(ahead.first_beyond(ends[0]), ahead.first_beyond(ends[1])),
        servers_now=None if sized is None else int(sized[0]),
        servers=None if sized is None else int(sized.max()),
        server_months=months,
        cost=None if months is None or server_cost is None else months * server_cost,
        **_figures(runs),
        extrapolated=bool(reasons),
        beyond=reasons,
        unknown=_unknown(question),
        warnings=system.caveats,
        odds=odds,
    )


def _whole(value: float, rounded: Callable[[float], int]) -> int | None:
    return None if value == math.inf else rounded(value)


def _lasts(ahead: Forecast, sure: float) -> date | None:
    """Return the last day before there are more agents than are held surely."""
    first = ahead.first_beyond(sure)
    if first is None:
        return ahead.end
    return None if first == ahead.start else first - timedelta(1)


def _figures(runs: Sequence[Result]) -> dict[str, Any]:
    """Return what the runs of today show, in the mean; latencies are None where they overload."""
    settles = not any(one.overloaded for one in runs)
    quantiles = {
        name: float(np.mean([one.latency.quantile(level) for one in runs])) if settles else None
        for name, level in (("p50", 0.5), ("p99", 0.99))
    }
    busy = float(np.mean([one.metrics.cpu_utilization_percent for one in runs])) / 100
    return {
        **{name: value if value is None or math.isfinite(value) else None
           for name, value in quantiles.items()},
        "queries": float(np.mean([one.metrics.database_queries_total / (one.horizon - one.warmup)
                                  for one in runs])),
        "cpu": busy if math.isfinite(busy) else None,
        "delivers": float(np.mean([not_lost(one) for one in runs])),
        "memory": float(np.mean([one.metrics.memory_peak_mb for one in runs])) * 1e6,
    }  # fmt: skip


def _unknown(question: Question) -> tuple[str, ...]:
    """Return what of a model is not known, and so in no probability."""
    known = question.system.calibration
    found = [] if known is not None and known.samples else ["the uncertainty of its parameters"]
    if all(misfit(question.system, one) == (0.0, 0.0) for one in question.objectives):
        found.append("the error of the model itself")
    if known is None or not known.moves:
        found.append("how days differ")
    return tuple(found)
