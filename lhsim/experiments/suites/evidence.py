"""What the claims are judged by: figures of one polling and one push system, with intervals.

An interval has two parts, which are combined on a logarithmic scale: that of the runs, and that of
the parameters, from runs with the joint samples that a model file has of them
(`lhsim.planning.uncertainty`). The parameters' part of a latency is that of the pair that is alone;
it stands for the latencies at other levels, and for the throughput of a closed loop, as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from attrs import evolve, field, frozen

from lhsim.analysis import flags
from lhsim.analysis.comparison import compare
from lhsim.analysis.intervals import Estimate, estimate
from lhsim.experiments.suites.claim_table import Figure
from lhsim.metrics.latency import quantile_of_runs
from lhsim.planning.uncertainty import Spread, combined, knee_spread, spread

if TYPE_CHECKING:
    from lhsim.analysis.knee import Knee
    from lhsim.models import System
    from lhsim.simulation import Result

MS = 1e3
LEVELS = (10, 100, 1000)
LATENCIES: Mapping[str, Callable[[Result], float]] = {
    "min": lambda result: result.latency.min,
    "avg": lambda result: result.latency.mean,
    "max": lambda result: result.latency.max,
    "p99": lambda result: result.latency.quantile(0.99),
}


@frozen(eq=False)
class Evidence:
    """The runs of one architecture."""

    pair: Sequence[Result]
    sampled: Sequence[Result]  # of the pair, with samples of the parameters, under its first seed
    steady: Mapping[int, Sequence[Result]]  # by agents
    closed: Mapping[int, Sequence[Result]]  # by agents
    knee: Knee
    system: System = field(repr=False)  # that the knee is of

    def spread(self, name: str) -> Spread | None:
        """Return what the parameters do to a latency of the pair; None where nobody knows."""
        measure = LATENCIES[name]
        base = measure(self.pair[0])
        ratios = [measure(one) / base for one in self.sampled]
        return spread(ratios, 0.95) if len(ratios) > 1 else None


def figures(polling: Evidence, push: Evidence) -> dict[str, Figure]:
    """Return the figure of each claim, in its unit."""
    found: dict[str, Figure] = {}
    both = {"polling": polling, "push": push}
    for name in LATENCIES:
        for kind, one in both.items():
            found[f"latency.{name}.{kind}"] = _latency(one, name)
        found[f"latency.{name}.factor"] = _factor(polling, push, name)
    for agents in LEVELS:
        _add_level(found, agents, polling, push)
    for kind, one in both.items():
        found[f"agents.{kind}"] = found[f"scalability.{kind}"] = _knee(one)
    found["overall.factor"] = found["latency.avg.factor"]
    _add_resources(found, polling, push)
    return found


def _mean(values: Sequence[float]) -> Estimate:
    """Return the mean of something that is never negative."""
    return estimate(values).within(0.0)


def _latency(one: Evidence, name: str) -> Figure:
    if name == "p99":
        runs = quantile_of_runs([result.latency for result in one.pair], 0.99)
    else:
        runs = _mean([LATENCIES[name](result) for result in one.pair])
    return _figure(_open(runs, one.pair).scaled(MS), one.spread(name))


def _open(found: Estimate, results: Sequence[Result]) -> Estimate:
    """Return a latency as a lower bound where the runs are overloaded: it grows as they last."""
    if not any(result.overloaded for result in results):
        return found
    return evolve(found, high=math.inf).flagged(flags.OVERLOADED)


def _factor(polling: Evidence, push: Evidence, name: str) -> Figure:
    slow, quick = ([LATENCIES[name](result) for result in one.pair] for one in (polling, push))
    return _figure(compare(slow, quick).ratio, polling.spread(name), push.spread(name))


def _add_level(found: dict[str, Figure], agents: int, polling: Evidence, push: Evidence) -> None:
    means = {
        kind: _open(
            _mean([result.latency.mean for result in one.steady[agents]]), one.steady[agents]
        )
        for kind, one in (("polling", polling), ("push", push))
    }
    spreads = {"polling": polling.spread("avg"), "push": push.spread("avg")}
    found[f"latency_at.{agents}.polling"] = _figure(means["polling"], spreads["polling"])
    found[f"latency_at.{agents}.push"] = _figure(means["push"].scaled(MS), spreads["push"])
    rates = [
        [result.metrics.messages_per_second for result in one.closed[agents]]
        for one in (polling, push)
    ]
    name = f"throughput.{agents}"
    found[f"{name}.push"] = _figure(_mean(rates[1]), spreads["push"])
    if agents < LEVELS[-1]:
        found[f"{name}.polling"] = _figure(_mean(rates[0]), spreads["polling"])
        ratio = compare(rates[1], rates[0]).ratio
        found[f"{name}.factor"] = _figure(ratio, spreads["polling"], spreads["push"])
    else:
        medians = [result.latency.quantile(0.5) for result in polling.closed[agents]]
        known = _open(_mean(medians), polling.closed[agents])
        found[f"{name}.polling"] = _figure(known, spreads["polling"])
        found[f"{name}.factor"] = found[f"{name}.polling"]


def _knee(one: Evidence) -> Figure:
    """Return the knee; where it lies beyond all levels, what is known of it."""
    knee = one.knee
    low, high = float(knee.low or 0), math.inf if knee.high is None else float(knee.high)
    if knee.agents is None:
        ends = [float(end) for end in (knee.low, knee.high) if end is not None]
        return Figure(math.prod(ends) ** (1 / max(len(ends), 1)), low, high)
    value = float(knee.agents)
    parameters = knee_spread(one.system)
    if parameters is None:
        return Figure(value, low, high)
    return Figure(value, *combined(value, (low, high), parameters.interval_at(value)))


def _add_resources(found: dict[str, Figure], polling: Evidence, push: Evidence) -> None:
    grown = {
        agents: [
            (result.metrics.memory_peak_mb - result.metrics.memory_baseline_mb) / agents
            for result in polling.steady[agents]
        ]
        for agents in (100, 1000)
    }
    found["memory.polling"] = _figure(compare(grown[1000], grown[100]).ratio)
    peaks = {
        agents: [result.metrics.memory_peak_mb for result in push.steady[agents]]
        for agents in (10, 1000)
    }
    found["memory.push"] = _figure(compare(peaks[1000], peaks[10]).ratio)
    asked = [result.metrics for result in polling.steady[100]]
    found["database.polling"] = _figure(
        compare(
            [float(one.database_queries_total) for one in asked],
            [float(one.polling_cycles_total) for one in asked],
        ).ratio
    )
    queries = [float(result.metrics.database_queries_total) for result in push.steady[100]]
    found["database.push"] = _figure(_mean(queries))
    shares = [
        100 * result.metrics.schema_validation_time_ms / (result.latency.mean * MS)
        for result in push.steady[100]
    ]
    found["validation.push"] = _figure(_mean(shares), push.spread("avg"))


def _figure(runs: Estimate, *parameters: Spread | None) -> Figure:
    """Return an estimate with what the parameters add to its interval."""
    known = [one for one in parameters if one is not None]
    if not known or not runs.low > 0 or math.isinf(runs.high):
        return Figure(runs.value, runs.low, runs.high, runs.flags)
    half = math.hypot(*(one.half_width for one in known))
    around = (runs.value * math.exp(-half), runs.value * math.exp(half))
    low, high = combined(runs.value, (runs.low, runs.high), around)
    return Figure(runs.value, low, high, runs.flags)
