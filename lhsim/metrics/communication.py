"""The metrics of the original proposal, under its names and in its units."""

from __future__ import annotations

import math
from typing import Any

from attrs import evolve, fields, frozen


@frozen
class AgentCommunicationMetrics:
    """Agent-to-agent communication, as the proposal's ``AgentCommunicationMetrics`` has it.

    Latencies and deliveries are those of the cohort; rates, counters and the processor are those of
    the measured window; memory and connections are peaks of the whole run.
    """

    # Latency; the first three are means
    message_send_latency_ms: float  # from creation to the store
    message_receive_latency_ms: float  # from the store to delivery
    end_to_end_latency_ms: float
    p50_latency_ms: float
    p95_latency_ms: float
    p99_latency_ms: float
    max_latency_ms: float
    # Throughput
    messages_per_second: float  # delivered
    successful_deliveries: int
    failed_deliveries: int  # rejected, dropped, expired or lost
    delivery_success_rate: float  # delivered by the end of the run, of all in the cohort
    # Resources
    memory_baseline_mb: float
    memory_peak_mb: float
    memory_per_agent_mb: float  # (peak - baseline) / agents
    cpu_utilization_percent: float  # mean over the loops; NaN where a server of your own has none
    connection_count: int  # most at a time
    # Polling
    polling_cycles_total: int
    database_queries_total: int
    timeout_events: int  # requests answered with nothing, after their timeout
    wasted_poll_cycles: int  # cycles that found nothing
    # Push
    elicitation_requests_created: int
    elicitation_responses_received: int  # in time; 0 without `push.elicitation`
    schema_validation_time_ms: float  # mean cost of one validation
    websocket_events_sent: int

    def without_latencies(self) -> AgentCommunicationMetrics:
        """Return the same with NaN for each latency: those of an overloaded run do not settle."""
        names = [one.name for one in fields(type(self)) if one.name.endswith("_latency_ms")]
        unknown: Any = dict.fromkeys(names, math.nan)
        return evolve(self, **unknown)
