"""The alert thresholds of the original proposal, as data.

From here come the alert rules for Prometheus, and the alerts of a run.
"""

from __future__ import annotations

from typing import Literal

from attrs import frozen

Severity = Literal["warning", "critical"]


@frozen
class Threshold:
    """When a metric of the monitor is no longer as it should be.

    The metrics are those of the proposal's monitor, or made of them: ``average_latency_ms`` and
    ``delivery_success_percent`` are means over the last minute, ``memory_growth_mb_per_hour`` is
    the trend of ten minutes, and ``active_agents`` counts those that hold a connection.
    """

    name: str
    severity: Severity
    metric: str
    above: bool  # whether too much is wrong, else too little
    limit: float  # [the unit in the name of the metric]
    lasting: float = 0.0  # it has to have been so for this long [s]

    @property
    def sentence(self) -> str:
        """When it is broken: ``"cpu_utilization_percent > 70 for 60 s"``."""
        lasting = f" for {self.lasting:g} s" if self.lasting else ""
        return f"{self.metric} {'>' if self.above else '<'} {self.limit:g}{lasting}"

    def broken_by(self, value: float) -> bool:
        """Return whether `value`, in the unit of the metric, is on the wrong side of the limit."""
        return value > self.limit if self.above else value < self.limit


THRESHOLDS = (
    Threshold("HighLatency", "warning", "average_latency_ms", True, 1000),
    Threshold("VeryHighLatency", "critical", "average_latency_ms", True, 5000),
    Threshold("MemoryGrows", "warning", "memory_growth_mb_per_hour", True, 1000),
    Threshold("MemoryExhausted", "critical", "memory_usage_mb", True, 5000),
    Threshold("ProcessorBusy", "warning", "cpu_utilization_percent", True, 70, lasting=60),
    Threshold("DeliveriesFail", "warning", "delivery_success_percent", False, 95),
    Threshold("ManyDeliveriesFail", "critical", "delivery_success_percent", False, 90),
    Threshold("ManyAgents", "warning", "active_agents", True, 500),
    Threshold("TooManyAgents", "critical", "active_agents", True, 800),
)
"""The thresholds of all alerts."""
