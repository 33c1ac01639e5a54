"""What one run showed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import field, frozen

from lhsim.metrics import AgentCommunicationMetrics, Latency
from lhsim.metrics.account import Counters

if TYPE_CHECKING:
    import pandas as pd

MS = 1e3


@frozen(eq=False)
class Result:
    """What one run showed."""

    system: str
    architecture: str  # "polling" or "push"
    agents: int
    duration: float  # asked for [s]
    horizon: float  # simulated [s]
    warmup: float  # [s]
    drain: float  # [s]
    seed: int
    engine: str
    engine_reason: str  # why this engine ran
    metrics: AgentCommunicationMetrics
    latency: Latency
    utilization: dict[str, float]  # of each station, as a part of its servers
    backlog_growth: float  # messages per second, in the measured window
    overloaded: bool
    extrapolated_because: tuple[str, ...]
    outcomes: dict[str, int]  # of all messages created in the run, warm-up included
    counters: Counters  # of the whole run, warm-up included
    engine_events: int | None  # delays and services scheduled; None where nobody counts them
    samples: dict[str, np.ndarray] = field(repr=False)  # of the state, by name; see `timeseries`
    records: dict[str, np.ndarray] | None = field(repr=False, default=None)  # see `messages`

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

    @property
    def timeseries(self) -> pd.DataFrame:
        """The state at equally spaced times."""
        import pandas as pd  # noqa: PLC0415 - a late import keeps the command line quick

        return pd.DataFrame(self.samples)

    @property
    def messages(self) -> pd.DataFrame | None:
        """Each message with its times [s] and outcome, where ``keep_messages`` asked for it."""
        import pandas as pd  # noqa: PLC0415 - a late import keeps the command line quick

        return None if self.records is None else pd.DataFrame(self.records)

    def row(self) -> dict[str, Any]:
        """Return the run as one flat record, with the unit in each name."""
        from attrs import asdict  # noqa: PLC0415

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
            **asdict(self.metrics),
            "mean_latency_ms": self.latency.mean * MS,
            "min_latency_ms": self.latency.min * MS,
            "pending": self.latency.pending,
            "p99_is_lower_bound": self.latency.is_lower_bound(0.99),
            "utilization": self.utilization[self.bottleneck],
            **{f"utilization_{name}": value for name, value in self.utilization.items()},
            "bottleneck": self.bottleneck,
            "overloaded": self.overloaded,
            "backlog_growth_per_s": self.backlog_growth,
            "extrapolated": self.extrapolated,
        }

    def to_frame(self) -> pd.DataFrame:
        """Return the run as a table of one tidy row."""
        import pandas as pd  # noqa: PLC0415 - a late import keeps the command line quick

        return pd.DataFrame([self.row()])

    def summary(self) -> str:
        """Return the run in a few lines for people."""
        return "\n".join(_summary(self))

    def _repr_html_(self) -> str:
        lines = "".join(f"<li>{line}</li>" for line in _summary(self)[1:])
        return f"<b>{_summary(self)[0]}</b><ul>{lines}</ul>"


def _summary(result: Result) -> list[str]:
    metrics, latency = result.metrics, result.latency
    bound = " or more" if latency.is_lower_bound(0.99) else ""
    stations = ", ".join(f"{name} {share:.1%}" for name, share in result.utilization.items())
    lines = [
        f"{result.system} ({result.architecture}): {result.agents:,} agents, "
        f"{result.horizon:g} s, seed {result.seed}, {result.engine}",
        f"latency    mean {latency.mean * MS:.4g} ms, p50 {metrics.p50_latency_ms:.4g}, "
        f"p95 {metrics.p95_latency_ms:.4g}, p99 {metrics.p99_latency_ms:.4g}{bound}, "
        f"max {metrics.max_latency_ms:.4g}",
        f"delivered  {metrics.messages_per_second:.4g} messages/s, "
        f"{metrics.delivery_success_rate:.2%} of {sum(result.outcomes.values()):,}",
        f"busy       {stations}; bottleneck: {result.bottleneck}",
        f"database   {metrics.database_queries_total:,} queries, "
        f"{metrics.wasted_poll_cycles:,} wasted poll cycles",
        f"memory     {metrics.memory_peak_mb:.4g} MB, {metrics.connection_count:,} connections",
    ]
    if result.overloaded:
        lines.append(f"overloaded: the backlog grows by {result.backlog_growth:.4g} messages/s")
    lines += [f"extrapolated: {reason}" for reason in result.extrapolated_because]
    return lines
