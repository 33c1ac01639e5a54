"""What one run showed."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import asdict, field, frozen

from lhsim.analysis import flags
from lhsim.analysis.intervals import Estimate
from lhsim.analysis.warmup import Truncation, truncation
from lhsim.metrics import AgentCommunicationMetrics, Alert, Latency
from lhsim.metrics.account import Counters
from lhsim.metrics.alerts import (
    Series,
    alerts,
    average_of_minute,
    growth_per_hour,
    of_minute,
    success_percent,
)
from lhsim.report.notebook import card
from lhsim.report.text import between, duration, latency

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEVELS = (50, 95, 99)  # of the quantiles that have columns [%]
MS = 1e3
MB = 1e6


@frozen(eq=False)
class ClassResult:
    """What one run showed of the messages that one class of agents has sent, in the window."""

    agents: int
    created: int  # messages
    delivered: int
    latency: Latency = field(repr=False)


@frozen(eq=False, repr=False)
class Result:
    """What one run showed."""

    system: str
    architecture: str  # "polling", "push" or "own"
    agents: int
    duration: float  # asked for [s]
    horizon: float  # simulated [s]
    warmup: float  # [s]
    drain: float  # [s]
    seed: int
    engine: str
    engine_reason: str  # why this engine ran
    _metrics: AgentCommunicationMetrics = field(repr=False)
    latency: Latency  # as it was observed; of an overloaded run it says how long the run was
    utilization: dict[str, float]  # of each station, as a part of its servers
    backlog_growth: float  # messages per second, in the measured window
    overloaded: bool
    extrapolated_because: tuple[str, ...]
    outcomes: dict[str, int]  # of all messages created in the run, warm-up included
    counters: Counters  # of the whole run, warm-up included
    engine_events: int | None  # delays and services scheduled; None where nobody counts them
    samples: dict[str, np.ndarray] = field(repr=False)  # of the state, by name; see `timeseries`
    records: dict[str, np.ndarray] | None = field(repr=False, default=None)  # see `messages`
    steady: bool = True  # whether the load goes on as it is: it neither ends nor comes in bursts
    warnings: tuple[str, ...] = ()  # what the calibration of the system says against it
    settled_by: float = 0.0  # all agents have started and the work of it is done, closed form [s]
    # By the class of the sender; empty where all are alike.
    classes: dict[str, ClassResult] = field(factory=dict)

    def __repr__(self) -> str:
        """Return what ran in a line; `summary` has the figures."""
        overloaded = ", overloaded" if self.overloaded else ""
        return (
            f"<Result of {self.system}: {self.agents:,} agents, {self.horizon:g} s, "
            f"seed {self.seed}, {self.engine}{overloaded}>"
        )

    @cached_property
    def metrics(self) -> AgentCommunicationMetrics:
        """The original proposal's metrics; latencies are NaN if overloaded: none settles."""
        return self._metrics.without_latencies() if self.overloaded else self._metrics

    @property
    def model_events(self) -> int:
        """Messages created and delivered, queries and sleeps, over the whole run."""
        return self.counters.model_events

    @property
    def bottleneck(self) -> str:
        """The station with the highest utilisation."""
        return max(self.utilization, key=lambda name: self.utilization[name])

    @property
    def stopped_early(self) -> bool:
        """Whether the run ended before its duration: overloaded, or with nothing left to do."""
        return self.horizon < self.duration

    @property
    def extrapolated(self) -> bool:
        """Whether the level lies beyond what the system was calibrated on."""
        return bool(self.extrapolated_because)

    @cached_property
    def truncation(self) -> Truncation | None:
        """What MSER-5 would leave out of the backlog over time; None where nothing can be said.

        That is so for a load that is not steady, and for very short runs.
        """
        if not self.steady:
            return None
        return truncation(self.samples["time_s"], self.samples["backlog"], self.warmup)

    @property
    def shows_start(self) -> bool:
        """Whether the window has the start of the agents in it, by its closed form."""
        return self.warmup < self.settled_by

    @property
    def short_warmup(self) -> bool:
        """Whether the warm-up is too short, by the closed form of the start or by its looks."""
        if self.shows_start:
            return True
        return self.truncation is not None and self.truncation.short_warmup

    def mean_estimate(self) -> Estimate:
        """Return the mean latency [s] of this run with its 95 % interval, from batches."""
        return self.latency.mean_estimate().flagged(*self._flags())

    def estimate(self, q: float) -> Estimate:
        """Return the `q`-quantile of the latency [s] with its 95 % interval, from batches."""
        return self.latency.estimate(q).flagged(*self._flags())

    @cached_property
    def flags(self) -> dict[str, tuple[str, ...]]:
        """Why the latencies of this run cannot be trusted, by their columns in `row`."""
        found = {f"{name}_latency_ms": one.flags for name, one in self._estimates.items()}
        return {name: why for name, why in found.items() if why}

    @cached_property
    def _estimates(self) -> dict[str, Estimate]:
        quantiles = {f"p{level}": self.estimate(level / 100) for level in LEVELS}
        return {"mean": self.mean_estimate(), **quantiles}

    def _flags(self) -> list[str]:
        """Return what speaks against every estimate of this run."""
        found = [flags.OVERLOADED] if self.overloaded else []
        return [*found, flags.SHORT_WARMUP] if self.short_warmup else found

    @property
    def timeseries(self) -> pd.DataFrame:
        """The state at equally spaced times."""
        return _frame(self.samples)

    @property
    def messages(self) -> pd.DataFrame | None:
        """Each message with its times [s] and outcome, where ``keep_messages`` asked for it."""
        return None if self.records is None else _frame(self.records)

    def windows(self) -> pd.DataFrame:
        """Return the latencies over the run: a row for each twentieth of the measured window.

        Messages are counted where they were created; those still on their way count with their
        age, and ``pending`` says how many they are: a quantile that they reach is a lower bound.
        """
        rows = [
            {
                "start_s": start,
                "end_s": end,
                "messages_per_second": (part.count + part.pending) / (end - start),
                "delivered": part.count,
                "pending": part.pending,
                "mean_latency_ms": part.mean * MS,
                **{f"p{level}_latency_ms": part.quantile(level / 100) * MS for level in LEVELS},
            }
            for start, end, part in self.parts()
        ]
        return _frame(rows)

    def parts(self) -> Iterator[tuple[float, float, Latency]]:
        """Yield the twentieths of the measured window: start and end [s], and their latencies."""
        edges = np.linspace(self.warmup, self.horizon - self.drain, len(self.latency.sums) + 1)
        since = self.horizon - self.latency.ages
        for number, (start, end) in enumerate(itertools.pairwise(edges.tolist())):
            part = Latency(
                counts=self.latency.counts[number : number + 1],
                sums=self.latency.sums[number : number + 1],
                min=self.latency.min,
                max=self.latency.max,
                ages=self.latency.ages[(start <= since) & (since < end)],
            )
            yield start, end, part

    def alerts(self) -> tuple[Alert, ...]:
        """Return which alerts would have fired in the run, and when, its warm-up included.

        The processor is known by its mean over the window alone, which stands for all of it.
        Where no messages were kept, latencies are known of the window alone, by twentieths of it:
        each counts when a mean message of it was delivered.
        """
        return alerts(self._series())

    def _series(self) -> dict[str, Series]:
        samples = self.samples
        at, memory = samples["time_s"], samples["memory_b"] / MB
        delivered = samples["delivered"].astype(float)
        failed = samples["created"] - samples["backlog"] - delivered
        success = success_percent(of_minute(at, at, delivered), of_minute(at, at, failed))
        window, busy = np.array([self.warmup, self.horizon]), self.metrics.cpu_utilization_percent
        return {
            "average_latency_ms": self._latency_of_minute(),
            "memory_growth_mb_per_hour": (at, growth_per_hour(at, memory)),
            "memory_usage_mb": (at, memory),
            "cpu_utilization_percent": (window, np.array([busy, busy])),
            "delivery_success_percent": (at, success),
            "active_agents": (at, samples["connections"].astype(float)),
        }

    def _latency_of_minute(self) -> Series:
        if self.records is not None:
            created, delivered = self.records["created"], self.records["delivered"]
            some, at = np.isfinite(delivered), self.samples["time_s"]
            latency = (delivered - created)[some]
            return at, MS * average_of_minute(at, delivered[some], latency)
        sums, counts = self.latency.sums, self.latency.counts.sum(axis=1)
        some = counts > 0
        width = (self.horizon - self.drain - self.warmup) / len(sums)
        middles = self.warmup + width * (np.arange(len(sums)) + 0.5)
        ended = middles[some] + sums[some] / counts[some]
        at = np.sort(ended)
        return at, MS * average_of_minute(at, ended, sums[some], counts[some])

    def row(self) -> dict[str, Any]:
        """Return the run as one flat record, with the unit in each name.

        The latencies of an overloaded run are NaN. ``flags`` says in words which of the others
        cannot be trusted, and why.
        """
        over = self.overloaded
        bounds = {level: self.latency.is_lower_bound(level / 100) for level in LEVELS}
        return {
            "system": self.system,
            "architecture": self.architecture,
            "agents": self.agents,
            "seed": self.seed,
            "engine": self.engine,
            "duration_s": self.duration,
            "horizon_s": self.horizon,
            "warmup_s": self.warmup,
            "drain_s": self.drain,
            "mser_truncation_s": math.nan if self.truncation is None else self.truncation.time,
            "short_warmup": self.short_warmup,
            **asdict(self.metrics),
            "mean_latency_ms": math.nan if over else self.latency.mean * MS,
            "min_latency_ms": math.nan if over else self.latency.min * MS,
            "pending": self.latency.pending,
            **{f"p{level}_is_lower_bound": bound for level, bound in bounds.items()},
            "utilization": self.utilization[self.bottleneck],
            **{f"utilization_{name}": value for name, value in self.utilization.items()},
            "bottleneck": self.bottleneck,
            "overloaded": over,
            "backlog_growth_per_s": self.backlog_growth,
            "extrapolated": self.extrapolated,
            "warnings": " ".join(self.warnings),
            "flags": "; ".join(f"{name}: {', '.join(why)}" for name, why in self.flags.items()),
        }

    def to_frame(self) -> pd.DataFrame:
        """Return the run as a table of one tidy row."""
        return _frame([self.row()])

    def summary(self) -> str:
        """Return the run in a few lines for people."""
        return "\n".join(_summary(self))

    def plot(self, ax: Axes | None = None) -> Figure:
        """Draw which part of the messages takes longer than a latency, and return the figure."""
        from lhsim.analysis.curves import tail_plot  # noqa: PLC0415 - as late as matplotlib

        count = max(self.latency.count + self.latency.pending, 1)
        part = np.geomspace(1.0, 1 / count, 200)
        times = [self.latency.quantile(float(1 - p)) for p in part]
        return tail_plot({self._title(): (times, part)}, ax)

    def _title(self) -> str:
        """Return what a plot calls the run: with all that speaks against it."""
        against = [*(["extrapolated"] if self.extrapolated else []), *self._all_flags()]
        name = f"{self.system}, {self.agents:,} agents"
        return f"{name} ({', '.join(against)})" if against else name

    def _all_flags(self) -> tuple[str, ...]:
        return flags.merged(*self.flags.values())

    def _repr_html_(self) -> str:
        headline, *sentences = _summary(self)
        return card(headline, sentences)


def _frame(rows: Any) -> pd.DataFrame:
    import pandas as pd  # noqa: PLC0415 - a late import keeps the command line quick

    return pd.DataFrame(rows)


def _summary(result: Result) -> list[str]:
    metrics = result.metrics
    stations = ", ".join(f"{name} {share:.1%}" for name, share in result.utilization.items())
    lines = [
        f"{result.system} ({result.architecture}): {result.agents:,} agents, "
        f"{result.horizon:g} s, seed {result.seed}, {result.engine}",
        *_latencies(result),
        *_of_classes(result),
        f"delivered  {metrics.messages_per_second:.4g} messages/s, {_arrived(result)}",
        f"busy       {stations}; bottleneck: {result.bottleneck}",
        f"database   {metrics.database_queries_total:,} queries, "
        f"{metrics.wasted_poll_cycles:,} wasted poll cycles",
        f"memory     {metrics.memory_peak_mb:.4g} MB, {metrics.connection_count:,} connections",
    ]
    if result.overloaded:
        lines.append(f"overloaded: the backlog grows by {result.backlog_growth:.4g} messages/s")
    lines += [f"extrapolated: {reason}" for reason in result.extrapolated_because]
    lines += [f"warning: {text}" for text in result.warnings]
    return lines + ([] if result.overloaded else _doubts(result._estimates))


def _of_classes(result: Result) -> list[str]:
    """Return the latencies of each class of agents, by who has sent the messages."""
    if result.overloaded:
        return []
    return [
        f"  {name}: {one.agents:,} agents, {one.delivered:,} messages, "
        + ", ".join(f"p{level} {_of_class(one.latency, level / 100)}" for level in LEVELS)
        for name, one in result.classes.items()
    ]


def _of_class(found: Latency, q: float) -> str:
    return latency(found.quantile(q) * MS, at_least=found.is_lower_bound(q))


def _arrived(result: Result) -> str:
    """Return which part of the cohort was delivered, and how many messages it has."""
    of = sum(result.outcomes.values())
    return f"{result.metrics.delivery_success_rate:.2%} of {of:,}" if of else "none was created"


def _latencies(result: Result) -> list[str]:
    """Return the latencies with their marks, and their intervals; none of an overloaded run."""
    if result.overloaded:
        return [f"latency    none: {flags.MEANINGS[flags.OVERLOADED]}"]
    estimates = result._estimates
    shown = [f"{name} {_marked(one)}" for name, one in estimates.items()]
    ends = ", ".join(f"{name} {_interval(estimates[name])}" for name in ("mean", "p99"))
    bound = result.latency.is_lower_bound(0.99)  # then there are later ones to come
    longest = latency(result.latency.max * MS, at_least=bound)
    return [f"latency    {', '.join(shown)}, max {longest}", f"95 %       {ends}"]


def _marked(estimate: Estimate) -> str:
    """Return a latency with its marks: what is only a lower bound, and what cannot be trusted."""
    at_least = flags.LOWER_BOUND in estimate.flags
    doubtful = bool(set(estimate.flags) - {flags.LOWER_BOUND})
    return latency(estimate.value * MS, at_least=at_least, doubtful=doubtful)


def _interval(estimate: Estimate) -> str:
    """Return an interval, with a mark where it cannot be trusted."""
    mark = "" if estimate.reliable else " (?)"
    if math.isnan(estimate.low):
        return "unknown" + mark
    low = duration(max(estimate.low, 0.0))
    if math.isinf(estimate.high):
        return f"{low} or more{mark}"
    return f"{between(low, duration(estimate.high))}{mark}"


def _doubts(estimates: Mapping[str, Estimate]) -> list[str]:
    """Return a line for each flag, with the estimates that carry it."""
    carriers = {
        flag: [name for name, one in estimates.items() if flag in one.flags]
        for flag in flags.MEANINGS
    }
    return [
        f"(?) {_listed(names)}: {flag}: {flags.MEANINGS[flag]}"
        for flag, names in carriers.items()
        if names
    ]


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]
